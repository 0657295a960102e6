"""Every page, visited once for all that is asked of every page: its weight, its order, its type, and axe-core.

axe runs all rules of its default set, each of them wide and narrow, light and dark: all rules on the wide light page
and on the narrow dark one, and those that look at colours on the other two as well. Nearly all of its time went into
asking for the colours of every letter of every formula, token and table cell. So these rules see each *kind* of text
once: the first of all that have the same colours, background, opacity and effects from the root down, and the same size
and weight. What is equal in all of that has the same contrast, on this page and on the next. All that is folded is
unfolded; a formula within a line is plain text of its surroundings, which is what it is in colour (axe does not read
MathML: a table header that is a formula is empty to it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import kinds_of_text
import pytest

from workshop.book import Book

ROOT = Path(__file__).parents[2]
ADDRESSES = [f"{page}.html" for page in Book(ROOT).toc] + ["search.html?q=gradient", "genindex.html"]

LARGEST, MOST = 1_200_000, 40  # bytes as sent, compressed; requests
EXTRA = (
    "/_static/interactive/"  # Bokeh and its figures: only on pages that have some, and only when the words are there
)

UNFOLD = "document.querySelectorAll('details').forEach(details => { details.open = true; })"
SETTLE = "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 350))"
"""The theme looks 300 ms after a change of width which code and tables now scroll."""

PROBLEMS = """() => {
  const problems = [];
  const shown = element => element.checkVisibility({contentVisibilityAuto: true});
  const levels = [...document.querySelectorAll('main :is(h1, h2, h3, h4, h5, h6)')].filter(shown);
  if (levels.filter(heading => heading.tagName === 'H1').length !== 1 || levels[0].tagName !== 'H1')
    problems.push('not one h1, first of all headings');
  levels.slice(1).forEach((heading, i) => {
    if (heading.tagName[1] > +levels[i].tagName[1] + 1) problems.push(`too deep: ${heading.outerHTML}`);
  });
  for (const formula of document.querySelectorAll('article math')) {
    const [shape, annotation] = formula.firstElementChild.children;
    if (!shape.childElementCount && !shape.textContent) problems.push(`empty formula: ${annotation.textContent}`);
    if (formula.closest('[aria-hidden=true], [role=img]') || !shown(formula))
      problems.push(`hidden formula: ${annotation.textContent}`);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (/[\\u3400-\\u9fff]/.test(texts.currentNode.data)
      && !parent.closest('script, style, math, [lang|=zh], #search-results'))
      problems.push(`Chinese without its language: ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  for (const image of document.querySelectorAll('article img')) {
    if (!image.alt.trim()) problems.push(`no text for ${image.src}`);
    if (!image.complete || !image.naturalWidth) problems.push(`not there: ${image.src}`);
    if (!image.getAttribute('width') || !image.getAttribute('height')) problems.push(`no size: ${image.src}`);
  }
  return problems;
}"""

NARROW = """() => {
  const problems = [];
  const scroller = element => /auto|scroll/.test(getComputedStyle(element).overflowX);
  const inside = element => element !== document.body && (scroller(element) || inside(element.parentElement));
  if (document.documentElement.scrollWidth > innerWidth) {
    for (const element of document.querySelectorAll('main *'))
      if (element.getBoundingClientRect().right > innerWidth + 1 && element.checkVisibility() && !inside(element))
        problems.push(`wider than the page: ${element.outerHTML.slice(0, 120)}`);
    problems.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  }
  for (const element of document.querySelectorAll('main *')) {
    if (!(element.scrollWidth > element.clientWidth + 1 && scroller(element) && element.checkVisibility())) continue;
    if (element.tabIndex < 0 && !element.querySelector('a, button, input, [tabindex="0"]'))
      problems.push(`scrolls, but not by keyboard: ${element.outerHTML.slice(0, 120)}`);
  }
  return problems;
}"""

LETTERS = """() => {
  const seen = new Set();
  for (const leaf of document.querySelectorAll('.katex-html :not(:has(*))')) {
    const {fontFamily, fontStyle, fontWeight, fontSize} = getComputedStyle(leaf);
    const kind = [leaf.localName, leaf.textContent, fontFamily, fontStyle, fontWeight, fontSize].join('|');
    if (!seen.has(kind)) leaf.dataset.letter = '';
    seen.add(kind);
  }
}"""
"""Mark one of all leaves of formulas that have the same text and ask for the same font."""

SHORTEN = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll('.highlight pre span')) {
    const cell = token.closest('.cell_output, .cell_input');
    const kind = [token.className, cell?.className, token.closest('.highlight').parentElement.className].join('|');
    if (seen.has(kind)) token.replaceWith(...token.childNodes);
    seen.add(kind);
  }
  for (const formula of document.querySelectorAll('span.math .katex'))
    formula.replaceWith(formula.querySelector('annotation').textContent);
}"""
"""Of tokens of the same class in the same kind of cell one stays; formulas within a line become text."""


def axe_finds(page, axe, known, *, width, scheme, options):
    """Return what axe finds wrong on a page of this width and scheme, one line for each element.

    ``known``: kinds of text whose colours axe has seen, in any width and scheme; those that it finds in order join.
    """
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
    if page.viewport_size["width"] != width:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(SETTLE)
    if not page.evaluate("'axe' in window"):
        kinds_of_text.prepare(page, axe)
    kinds = kinds_of_text.mark(page, known)
    if not kinds and options.get("runOnly") == list(kinds_of_text.COLOURS):
        return set()
    found = page.evaluate("options => axe.run(options)", {"resultTypes": ["violations"]} | options)["violations"]
    if not found:
        known.update(kinds)
    return {f"{width} {scheme} {broken['id']}: {node['html'][:200]}" for broken in found for node in broken["nodes"]}


SEEN = set()
"""The kinds of text that axe has found in order on the pages of this process."""


def every_axe_rule(page, known=SEEN):
    """Return what axe finds wrong, each rule at both widths and in both schemes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    only = {"runOnly": list(kinds_of_text.COLOURS)}
    page.evaluate(SHORTEN)
    found = axe_finds(page, axe, known, width=360, scheme="light", options=only)
    found |= axe_finds(page, axe, known, width=360, scheme="dark", options={})
    found |= axe_finds(page, axe, known, width=1280, scheme="dark", options=only)
    return found | axe_finds(page, axe, known, width=1280, scheme="light", options={})


def strange_fonts(page):
    """Return the leaves of formulas that are drawn in a font which is not the site's."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    page.evaluate("document.fonts.ready")
    page.evaluate(LETTERS)
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    others = set()
    leaves = {"nodeId": root, "selector": ".katex-html [data-letter]"}
    for leaf in session.send("DOM.querySelectorAll", leaves)["nodeIds"]:
        for font in session.send("CSS.getPlatformFontsForNode", {"nodeId": leaf})["fonts"]:
            if not font["isCustomFont"]:
                others.add(session.send("DOM.getOuterHTML", {"nodeId": leaf})["outerHTML"])
    session.detach()
    return others


@dataclass
class Visit:
    """What one visit has found. sizes: bytes of each request for the page's own files, as sent."""

    failed: list[str]
    sizes: dict[str, int]
    bodies: dict[str, int]
    strange: set[str]
    problems: list[str] = field(default_factory=list)
    narrow: list[str] = field(default_factory=list)
    axe: set[str] = field(default_factory=set)


def visited(open_page, requests, address):
    """Go through a page from its first byte to its narrow, dark, unfolded form."""
    page = open_page(address)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")  # for what is loaded when it comes into sight
    page.wait_for_load_state("networkidle")
    own = [request for request in requests if request.url.startswith("http") and EXTRA not in request.url]
    sizes = {request.url: request.sizes() for request in own}
    found = Visit(
        [request.url for request in requests if request.failure or request.response().status >= 400],
        {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()},
        {url: size["responseBodySize"] for url, size in sizes.items()},
        strange_fonts(page),
    )
    page.evaluate("scrollTo(0, 0)")
    page.evaluate(UNFOLD)
    found.problems = page.evaluate(PROBLEMS)
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate(SETTLE)
    found.narrow = page.evaluate(NARROW)
    found.axe = every_axe_rule(page)
    return found


@pytest.fixture(scope="class")
def visit(visiting, address):
    """Return what a visit to the page at this address has found."""
    with visiting() as (open_page, requests):
        return visited(open_page, requests, address)


class EveryPage:
    """Two halves, so that two workers share them."""

    def test_it_is_light_and_asks_for_little(self, visit, address):
        if address.startswith("search"):
            pytest.skip("a search reads the pages that it shows")
        total = sum(visit.sizes.values())
        largest = sorted(visit.bodies, key=lambda url: -visit.bodies[url])[:4]
        assert total <= LARGEST, f"{total} bytes, most of them {largest}"
        assert len(visit.sizes) <= MOST, sorted(visit.sizes)
        assert visit.failed == []

    def test_it_is_in_order(self, visit):
        assert visit.problems == []

    def test_a_phone_shows_all_of_it(self, visit):
        assert visit.narrow == []

    def test_formulas_are_drawn_in_the_font_of_the_site_alone(self, visit):
        """Every letter: a font that lacks one leaves it to whatever the reader's machine has."""
        assert visit.strange == set()

    def test_axe_finds_nothing(self, visit):
        assert sorted(visit.axe) == []


@pytest.mark.parametrize("address", ADDRESSES[0::2], scope="class")
class TestEvenPages(EveryPage):
    pass


@pytest.mark.parametrize("address", ADDRESSES[1::2], scope="class")
class TestOddPages(EveryPage):
    pass


def test_axe_sees_what_is_wrong(open_page):
    """Of structure, and each fault of colour where it shows: in one scheme alone, and behind others of its kind."""
    page = open_page("why/descent.html")
    page.evaluate(UNFOLD)
    known = set()
    assert every_axe_rule(page, known) == set()
    assert len(known) > 100  # of which none is asked again
    page.evaluate(
        """() => {
          document.head.insertAdjacentHTML('beforeend', `<style>
            .lit { color: #595959; background: #fff } html[data-theme=dark] .lit { color: #999 }
            @media (max-width: 400px) { .small { color: #bbb; background: #fff } }
            .words { color: #111; background: #fff }
            .same { color: #333 !important; text-decoration: none !important; border: 0 !important }</style>`);
          document.querySelector('article').insertAdjacentHTML('beforeend', `<img src=""><h6>deep</h6>
            <p>plain</p><p>plain</p><p style="color: #aaa; background: #fff">pale</p><p class="lit">lit</p>
            <p class="small">small</p>
            <p class="words">words, then <a class="same" href="#x">a link like them</a>, words</p>
            <div style="opacity: 0.3"><p>faint</p></div>`);
        }"""
    )
    broken = every_axe_rule(page, known)
    rules = {line.split()[2].rstrip(":") for line in broken}
    assert rules >= {"image-alt", "color-contrast", "heading-order", "link-in-text-block"}
    places = {
        word: {line.rpartition(" color-contrast")[0] for line in broken if f">{word}<" in line and "contrast" in line}
        for word in ("pale", "lit", "small", "faint", "plain")
    }
    both = {f"{width} {scheme}" for width in (360, 1280) for scheme in ("light", "dark")}
    assert places["pale"] == places["faint"] == both
    assert places["lit"] == {"360 dark", "1280 dark"}
    assert places["small"] == {"360 light", "360 dark"}
    assert places["plain"] == set()
