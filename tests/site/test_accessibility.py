"""The site for readers who listen, type, enlarge or use a phone: every page, light and dark, wide and narrow.

A page is loaded once, and its scheme and width are changed in place. axe-core runs all rules of its default set each
time. Three quarters of its time went into asking for the colour of every letter of every formula and every token of
every program: so before it runs, a token that looks like an earlier one of its page (same class, same kind of cell)
and each formula within a line become plain text of their surroundings, which is what they are in colour. All that is
folded is unfolded.
"""

from pathlib import Path

import pytest

from workshop.book import Book

ROOT = Path(__file__).parents[2]
ADDRESSES = [f"{page}.html" for page in Book(ROOT).toc] + ["search.html?q=gradient", "genindex.html"]

UNFOLD = "document.querySelectorAll('details').forEach(details => { details.open = true; })"
SHORTEN = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll('.highlight pre span')) {
    const cell = token.closest('.cell_output, .cell_input');
    const kind = [token.className, cell?.className, token.closest('.highlight').parentElement.className].join('|');
    if (seen.has(kind)) token.replaceWith(...token.childNodes);
    seen.add(kind);
  }
  for (const formula of document.querySelectorAll('math:not([display=block])')) {
    formula.replaceWith(formula.querySelector('annotation').textContent);
  }
}"""
SETTLE = "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 350))"
"""The theme looks 300 ms after a change of width which code and tables now scroll."""


def pytest_generate_tests(metafunc):
    """Give every page to the tests that ask for an ``address``; of axe's classes each takes a half."""
    if "address" in metafunc.fixturenames:
        half = getattr(metafunc.cls, "half", None)
        metafunc.parametrize("address", ADDRESSES if half is None else ADDRESSES[half::2])


class Axe:
    def test_axe_finds_nothing(self, open_page, address):
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        page = open_page(address, reduced_motion="reduce")
        page.evaluate(UNFOLD)
        page.evaluate(SHORTEN)
        found = set()
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(SETTLE)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
                for broken in axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]:
                    found |= {f"{width} {scheme} {broken['id']}: {node['html'][:200]}" for node in broken["nodes"]}
        assert sorted(found) == []


class TestAxeOnEvenPages(Axe):
    half = 0


class TestAxeOnOddPages(Axe):
    half = 1


def test_axe_sees_what_is_wrong(open_page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page("index.html")
    page.evaluate(
        "document.querySelector('article').insertAdjacentHTML('beforeend', "
        '\'<img src=""><p style="color: #aaa; background: #fff">pale</p><h6>deep</h6>\')'
    )
    broken = {violation["id"] for violation in axe.run(page).response["violations"]}
    assert broken >= {"image-alt", "color-contrast", "heading-order"}


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
    if (/[\\u3400-\\u9fff]/.test(texts.currentNode.data) && !parent.closest('script, style, math, [lang|=zh]'))
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


def test_a_page_is_in_order(open_page, address):
    page = open_page(address)
    page.evaluate(UNFOLD)
    assert page.evaluate(PROBLEMS) == []
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate(SETTLE)
    assert page.evaluate(NARROW) == []


@pytest.mark.parametrize("width", [1280, 360])
def test_the_focus_is_seen_on_everything_that_takes_it(open_page, width):
    page = open_page("why/descent.html", width=width, reduced_motion="reduce")
    ring = """() => {
      const element = document.activeElement, style = getComputedStyle(element);
      const seen = element.checkVisibility({opacityProperty: true}) && element.getBoundingClientRect().width > 0
        && ((style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== 'none');
      element.dataset.visits = 1 + +(element.dataset.visits || 0);
      return [element === document.body, element.dataset.visits > 1, seen, element.outerHTML.slice(0, 150)];
    }"""
    unseen, visited = [], []
    for _ in range(600):
        page.keyboard.press("Tab")
        over, again, seen, html = page.evaluate(ring)
        if over or again:
            break
        visited.append(html)
        if not seen:
            unseen.append(html)
    assert unseen == []
    assert len(visited) > 40
    assert "Skip to main content" in visited[0]
    assert any("copybtn" in html or "<summary" in html for html in visited)


def test_the_first_key_leads_past_the_navigation(open_page):
    page = open_page("why/descent.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_nothing_moves_for_a_reader_who_wants_it_so(open_page):
    moving = """() => [...document.querySelectorAll('*')].filter(element => {
      const style = getComputedStyle(element);
      const lasts = style.transitionDuration.split(', ').some(time => parseFloat(time) > 0);
      return style.scrollBehavior === 'smooth' || style.animationName !== 'none'
        || (style.transitionProperty !== 'none' && lasts);
    }).map(element => element.outerHTML.slice(0, 80))"""
    assert open_page("why/descent.html", reduced_motion="no-preference").evaluate(moving) != []
    assert open_page("why/descent.html", reduced_motion="reduce").evaluate(moving) == []


def test_formulas_are_drawn_in_the_font_of_the_site_alone(open_page, address):
    """Every letter: a font that lacks one leaves it to whatever the reader's machine has."""
    page = open_page(address)
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    page.evaluate("document.fonts.ready")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    others = set()
    for leaf in session.send(
        "DOM.querySelectorAll", {"nodeId": root, "selector": "math :not(annotation):not(:has(*))"}
    )["nodeIds"]:
        for font in session.send("CSS.getPlatformFontsForNode", {"nodeId": leaf})["fonts"]:
            if not font["isCustomFont"]:
                others.add(session.send("DOM.getOuterHTML", {"nodeId": leaf})["outerHTML"])
    assert others == set()
