"""Finding one's way: the order of the pages, terms, claims, remedies, and taking code along."""

import posixpath
import re

import pytest
from bs4 import BeautifulSoup, SoupStrainer

from gradclinic.course.claims import LEDGER
from gradclinic.course.remedies import REMEDIES
from workshop import notebook as nb
from workshop.glossary import CHINESE, MOST_LINKS, PAGE, entries


def read(folder, page, *tags):
    """A built page; with ``tags`` only these (much faster)."""
    text = (folder / f"{page}.html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser", parse_only=SoupStrainer(tags) if tags else None)


def to(here, there):
    return posixpath.relpath(f"{there}.html", posixpath.dirname(here) or ".")


@pytest.fixture(scope="module")
def shown(real, site):
    """Return {page: (links to its neighbours, lines of minutes, terms)}: each page parsed once."""
    found = {}
    for page in real.toc:
        lines = read(site, page, "a", "p")
        links = {link["class"][0]: link["href"] for link in lines.select("a.left-prev, a.right-next")}
        minutes = [line.get_text() for line in lines.select("p.page-times")]
        terms = [(link["href"], link.get_text(), link["title"]) for link in lines.select("a.term")]
        found[page] = links, minutes, terms
    return found


def test_previous_and_next_follow_the_table_of_contents(real, shown):
    for position, page in enumerate(real.toc):
        links, _, _ = shown[page]
        wanted = {"left-prev": real.toc[position - 1]} if position else {}
        wanted |= {"right-next": real.toc[position + 1]} if page != real.toc[-1] else {}
        assert links == {name: to(page, other) for name, other in wanted.items()}, page


def test_every_executed_page_says_how_long_it_takes(real, shown):
    for page in real.toc:
        _, minutes, _ = shown[page]
        said = [line for line in minutes if "It runs" in line]  # the others: the minutes of each part of Deeper
        assert len(said) == (page in real.executed), page
        for line in said:
            assert re.fullmatch(r"About \d+ minutes?\b.*\. It runs in \d+ s on one core\.", line), page


def test_a_term_is_linked_once_in_each_language_and_tells_its_meaning(real, site, shown):
    rows = {entry.anchor: entry for entry in entries(real.text(PAGE))}
    assert {row["id"] for row in read(site, PAGE, "tr").select("tr.glossary-row")} == set(rows)
    met = set()
    for page in real.toc:
        _, _, terms = shown[page]
        uses = [(address, bool(CHINESE.search(word))) for address, word, _ in terms]
        assert len(set(uses)) == len(uses) <= MOST_LINKS, page
        for (_, _, title), (address, chinese) in zip(terms, uses, strict=True):
            target, anchor = address.split("#")
            assert target == to(page, PAGE)
            assert title.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") == rows[anchor].tip(chinese=chinese)
            met.add(anchor)
    assert shown[PAGE][2] == []
    assert len(met) > len(rows) / 2, "the others are words of everyday use, or come after a page's fifteenth"


APART = "h1, h2, h3, h4, th, a, pre, code, math, figcaption, summary, label, legend, .cell_output, .page-times"


@pytest.mark.parametrize("page", ["index", "why/recurrence", "remedies/matrix", "practice/myths"])
def test_a_term_stands_in_a_sentence(site, page):
    found = read(site, page).select("a.term")
    assert found
    assert [link for link in found if link.find_parent(lambda tag: tag.name == "a")] == []
    assert [link for link in read(site, page).select(", ".join(f"{part} a.term" for part in APART.split(", ")))] == []


def test_a_term_leads_to_its_row_and_shows_its_meaning_to_a_keyboard(open_page):
    page = open_page("why/descent.html", width=360)
    term = page.locator("a.term").nth(3)
    meaning = term.get_attribute("title")
    assert page.evaluate("link => getComputedStyle(link, '::after').content", term.element_handle()) == "none"
    term.evaluate("link => link.focus()")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.title") == meaning
    shown = page.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert meaning in shown.replace('\\"', '"')
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.keyboard.press("Enter")
    page.wait_for_url("**/appendix/glossary.html#term-*")
    row = page.locator("tr.glossary-row:target")
    box = row.bounding_box()
    assert 0 < box["y"] < 740
    assert meaning.split(" (")[0][:20] in row.inner_text()


def test_claims_and_chapters_lead_to_each_other(site):
    links, ids, old = {}, {}, set()
    for page in {page for claim in LEDGER for page in claim.pages}:
        lines = read(site, page, "a", "tr", "li")
        links[page] = {link["href"] for link in lines.select("a[href]")}
        ids[page] = {row.get("id") for row in lines.find_all(["tr", "li"])}
        if 'id="what-the-sources-say"' not in (site / f"{page}.html").read_text(encoding="utf-8"):
            old.add(page)
    ledger = read(site, "practice/myths", "tr", "a")
    there, rows = {a.get("href") for a in ledger.find_all("a")}, {row.get("id") for row in ledger.find_all("tr")}
    for claim in LEDGER:
        assert claim.id in rows
        for page in claim.pages:
            if page in old and not claim.mark:
                continue  # newer than the tables of the pages that are still to be rewritten
            assert f"claim-{claim.id}" in ids[page]
            assert f"{to(page, 'practice/myths')}#{claim.id}" in links[page]
            assert f"{to('practice/myths', page)}#claim-{claim.id}" in there


def test_remedies_and_the_rows_of_the_matrix_lead_to_each_other(site):
    matrix = read(site, "remedies/matrix")
    for remedy in REMEDIES.values():
        row = matrix.find(id=re.compile("^row-"), string=remedy.title) or matrix.find("a", string=remedy.title).parent
        if remedy.page == "remedies/matrix":
            continue
        assert row.find("a")["href"] == to("remedies/matrix", remedy.page)
        links = [link.get("href") for link in read(site, remedy.page, "a").find_all("a")]
        assert f"{to(remedy.page, 'remedies/matrix')}#{row['id']}" in links, remedy.page


FOLDED = {"hide-input", "hide-cell", "remove-cell", "remove-input"}


def code_cells(page):
    """The code that a reader sees without a click."""
    return page.locator("div.cell:not(.tag_hide-input):not(.tag_hide-cell) > div.cell_input div.highlight")


def test_code_is_copied_by_keyboard_as_it_stands(real, open_page):
    page = open_page("why/descent.html", permissions=["clipboard-read", "clipboard-write"])
    page.wait_for_selector("button.copybtn", state="attached")
    notebook = nb.read(real, "why/descent")
    shown = [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and not FOLDED & set(cell.metadata.get("tags", []))
    ][:3]
    for count, source in enumerate(shown):
        button = code_cells(page).nth(count).locator("button.copybtn")
        button.evaluate("button => button.focus()")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className").startswith("copybtn")
        page.wait_for_function("getComputedStyle(document.activeElement).opacity == 1")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        page.keyboard.press("Enter")
        page.wait_for_selector("button.copybtn.success")
        assert page.evaluate("navigator.clipboard.readText()").rstrip("\n") == source
        page.wait_for_selector("button.copybtn.success", state="detached")
    assert page.locator("div.cell_output button.copybtn").count() == 0
    name = button.evaluate("button => button.querySelector('title').textContent")
    assert name in {"Copy to clipboard", "Copied!"}


def test_a_finger_sees_the_copy_buttons(open_page):
    page = open_page("why/descent.html", width=360, has_touch=True, is_mobile=True)
    page.wait_for_selector("button.copybtn", state="attached")
    assert page.evaluate("matchMedia('(hover: none)').matches")
    shown = page.locator("button.copybtn").first.evaluate("button => getComputedStyle(button).opacity")
    assert float(shown) > 0.5


def test_folded_code_opens_by_keyboard(open_page):
    page = open_page("why/descent.html", javascript=False)
    fold = page.locator("details.hide:has(div.cell_input), div.cell details.hide").first
    code = fold.locator("div.highlight pre").first
    assert not code.is_visible()
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert code.is_visible()
