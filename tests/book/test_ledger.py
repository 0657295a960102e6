"""The ledger and the chapters say the same: every row of every table is a claim, and the site links both ways."""

import posixpath
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from gradclinic.course.claims import LEDGER, SOURCES, VERDICTS
from workshop.book import Book
from workshop.markdown import plain
from workshop.sources import HEADING as NEW_HEADING
from workshop.sources import escaped, own_words, pieces, problems, section, verdict_line, written

HEADING = "## Claims settled here"
WORDS = {
    "true": ("true", "right", "works"),
    "false": (
        "false",
        "garbled",
        "not supported",
        "neither",
        "not by itself",
        "does not run",
    ),
    "conditional": (
        "under a condition",
        "under two conditions",
        "in part",
        "half true",
        "softly",
        "depends on the axis",
        "not the mechanism",
        "not for",
        "missing",
        "the same",
    ),
}
"""How a verdict in a chapter's table may begin, for each verdict of the ledger."""

CHINESE = re.compile(r"[\u3400-\u9fff]")

OLD = "remedies/clipping"
"""A page that still has the table in the tests of the site."""

SETTLED_ANEW = frozenset(
    [
        "S0-clipping-into-range",
        "S0-early-layers-stop",
        "S0-explosion-shows-in-norm",
        "S0-most-factors",
        "S0-normalising-keeps-stable",
        "S0-rnn-long-sequences",
        "S1-adagrad-adapts",
        "S1-regularization-solves",
        "S3-loss-without-half",
        "S3-skip-gradient-one",
        "S4-hundred-layers-freeze",
        "S4-loss-stands-still",
        "S4-parameters-stand-still",
        "belief-adam-fixes-vanishing",
        "belief-bfloat16-no-scale",
        "belief-default-init-safe",
        "belief-orthogonal-any-depth",
        "belief-pretraining-is-scale",
        "belief-right-scale-cures-sigmoid",
    ]
)
"""Claims whose verdict in the ledger is newer than the tables of the pages that are still to be rewritten."""


def table(text):
    """(sources, sentence, verdict cell) of each row under a page's heading "Claims settled here"."""
    section = text.partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [tuple(part.strip().replace("\\|", "|") for part in row) for row in rows]


def verdicts(said):
    """The verdicts that the bold words of a cell stand for; a cell without bold words refers to another chapter."""
    bold = re.findall(r"\*\*(?:vanishing: |exploding: )?(.+?)\*\*", said)
    found = {v for v, starts in WORDS.items() for phrase in bold if re.match(rf"(?:{'|'.join(starts)})\b", phrase)}
    return {"conditional"} if {"true", "false"} <= found else found


@pytest.fixture(scope="module")
def tables(real):
    """Page -> rows, for every page that has the heading."""
    pages = {page: real.text(page) for page in real.pages}
    return {page: table(text) for page, text in pages.items() if f"\n{HEADING}\n" in text}


def rows_of(claim, rows):
    """The rows of a table that are about a claim."""
    kinds = {"belief": {"popular", "folklore"}, "paper": {"Xiong et al."}}.get(claim.source, {claim.source})
    return [row for row in rows if claim.mark and claim.mark in row[1] and kinds & set(re.split(r",\s*", row[0]))]


@pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim.id)
def test_every_claim_stands_in_its_chapters_with_its_verdict(claim, tables, real):
    for page in claim.pages:
        if written(real.text(page)) is not None:
            continue  # that it says what the ledger says is a check of the workshop
        assert page in tables, f"{page} has neither the heading {HEADING!r} nor {NEW_HEADING!r}"
        if not claim.mark:
            continue  # newer than the tables
        found = rows_of(claim, tables[page])
        assert len(found) == 1, f"{page}: {len(found)} rows with {claim.mark!r}"
        said = verdicts(found[0][2])
        if claim.id not in SETTLED_ANEW:
            assert said == {claim.verdict} or (not said and "**" not in found[0][2]), f"{page}: {found[0][2]}"


def test_every_part_written_from_the_ledger_is_what_the_ledger_says(real):
    assert problems(real) == []


def test_a_page_says_each_sentence_whole_with_its_verdict_and_its_count(real):
    for page in sorted({page for claim in LEDGER for page in claim.pages if page in real.pages}):
        text = section(page)
        for claim in LEDGER:
            assert (f"`{claim.id}`" in text) == (page in claim.pages)
            if page in claim.pages:
                assert verdict_line(claim) in text
                assert f"held in {claim.held[0]} of {claim.held[1]} situations" in verdict_line(claim)
                assert (escaped(claim.quote) if claim.quote else own_words(claim.statement)) in text


def test_a_part_that_says_something_else_is_found(tiny):
    page = LEDGER[0].page
    path = tiny.source(page)
    path.parent.mkdir(parents=True, exist_ok=True)
    good = f"# P\n\n## Before\n\n{section(page)}\n## Further reading\n\nMore.\n"
    for text, wrong in (
        (good, ""),
        (good.replace(f"**{LEDGER[0].verdict}**", "**perhaps**"), "is not what the ledger says (from its line"),
        ("# P\n\n## Nothing of the kind\n", ""),
    ):
        path.write_text(text, encoding="utf-8")
        found = problems(Book(tiny.root))
        assert (found == []) == (wrong == "")
        assert wrong in "".join(found)
    other = tiny.source("other")
    other.write_text(f"# O\n\n## {NEW_HEADING}\n\nSo it is.\n", encoding="utf-8")
    assert "the ledger settles nothing on this page" in "".join(problems(Book(tiny.root)))


def test_every_row_of_every_table_is_a_claim(real, tables):
    """Of every page in the table of contents: a page that is still being written may be ahead of the ledger."""
    held = Counter(
        (page, row) for claim in LEDGER for page in claim.pages for row in rows_of(claim, tables.get(page, ()))
    )
    rows = [(page, row) for page, rows in tables.items() if page in real.toc for row in rows]
    assert [where for where in rows if held[where] == 0] == []
    assert [where for where in rows if held[where] > 1] == []


def test_tables_are_read_as_written():
    head = f"# T\n\n{HEADING}\n\n| source | claim | verdict |\n|---|---|---|\n"
    text = head + "| S0 | a \\|w\\|: 大 (big) | **false**: x |\n\n## E\n"
    assert table(text) == [("S0", "a |w|: 大 (big)", "**false**: x")]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("**true** at once", {"true"}),
        ("**false**, reversed", {"false"}),
        ("**vanishing: true**; **exploding: false** for x", {"conditional"}),
        ("**false at the start**; **true slowly**", {"conditional"}),
        ("see elsewhere", set()),
        ("**perhaps**", set()),
    ],
)
def test_verdicts_are_read_from_bold_words(said, found):
    assert verdicts(said) == found


def test_no_verdict_begins_with_an_unknown_word(real, tables):
    rows = [row for page, rows in tables.items() if page in real.toc for row in rows]
    assert [row for row in rows if "**" in row[2] and not verdicts(row[2])] == []


class Page(HTMLParser):
    """What the tests look at: ids with their classes, links, inputs with their labels, and the text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.inputs, self.legends, self.said, self.langs = {}, [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if "id" in named:
            self.ids[named["id"]] = (named.get("class") or "").split()
        if tag == "a":
            self.links.append(named.get("href", ""))
        if tag == "input":
            self.inputs.append(named)
        if named.get("lang"):
            self.langs.append(named["lang"])
        if tag == "fieldset":
            self.legends.append("hidden" in named)

    def handle_data(self, data):
        self.said.append(data)


@pytest.fixture(scope="module")
def site(render, tmp_path_factory):
    """A site of every page that the ledger names, each with nothing but its part, one with the old table, and of the
    ledger."""
    pages = sorted({page for claim in LEDGER for page in claim.pages})
    texts = {page: f"# {page}\n\n{section(page)}".replace("{cite}", "") for page in pages}
    texts[OLD] = f"# {OLD}\n\n{HEADING}\n\n| a | b | c |\n|---|---|---|\n"
    for claim in (claim for claim in LEDGER if OLD in claim.pages and claim.mark):
        sentence = f"**x** {claim.mark}".replace("|", "\\|")
        texts[OLD] += f"| {claim.source} | {sentence} | it is |\n"
    texts |= {"practice/myths": "# Myths\n\n```{ledger}\n```\n", "other": f"# Other\n\n{HEADING}\n\nNothing.\n"}
    made, said = render(tmp_path_factory.mktemp("site"), texts, "ledger")
    assert said == ""
    return {name: Page((made / f"{name}.html").read_text(encoding="utf-8")) for name in texts}


def test_the_ledger_shows_every_claim_with_its_verdict_in_words(site):
    page = site["practice/myths"]
    said = "".join(page.said).translate({0x2019: "'", 0x2018: "'", 0x2026: "…"})  # Sphinx sets typographic quotes
    for claim in LEDGER:
        assert {f"source-{claim.source}", f"verdict-{claim.verdict}"} <= set(page.ids[claim.id])
        for part in (claim.statement, claim.part or claim.quote, claim.why):
            assert all(piece in said for piece in pieces(part))
    assert Counter(re.findall("[✓◐✗] (true|conditional|false)\n", said)) >= Counter(c.verdict for c in LEDGER)
    assert page.langs.count("zh") == sum(bool(claim.quote) for claim in LEDGER)


def test_links_lead_both_ways(site):
    ledger = site["practice/myths"]
    for claim in LEDGER:
        for page in claim.pages:
            assert f"{posixpath.relpath(page, 'practice')}.html#claim-{claim.id}" in ledger.links
            if page == OLD and not claim.mark:
                continue  # newer than the table
            assert f"claim-{claim.id}" in site[page].ids
            back = posixpath.relpath("practice/myths", posixpath.dirname(page))
            assert f"{back}.html#{claim.id}" in site[page].links
    assert not [link for link in site["other"].links if "myths.html#" in link]


def test_filters_are_labelled_radio_buttons_hidden_where_they_would_do_nothing(site, real):
    page = site["practice/myths"]
    filters = [button for button in page.inputs if button.get("name", "").startswith("ledger-")]
    assert all(button["type"] == "radio" for button in filters)
    values = [button["value"] for button in filters]
    assert values == ["all", *SOURCES, "all", *VERDICTS]
    assert [button["value"] for button in filters if "checked" in button] == ["all", "all"]
    assert page.legends == [True, True]
    style = (real.root / "book/_static/ledger.css").read_text(encoding="utf-8")
    for kind, names in (("source", SOURCES), ("verdict", VERDICTS)):
        for name in names:
            assert f'.ledger:has(input[value="{name}"]:checked) tbody tr:not(.{kind}-{name})' in style
    assert style.index("@supports selector(:has(*))") < style.index(":has(input")


def test_a_claim_without_its_page_fails_the_build(render, tmp_path):
    _, said = render(tmp_path, {"practice/myths": "# Myths\n\n```{ledger}\n```\n"}, "ledger")
    named = set(re.findall(r"the ledger names the page (\S+), which the book does not have", said))
    assert named == {page for claim in LEDGER for page in claim.pages}


def test_a_claim_without_its_row_fails_the_build(render, tmp_path):
    claim = next(claim for claim in LEDGER if claim.mark)
    row = f"| S0 | {claim.mark} | true |\n"
    chapter = f"# P\n\n{HEADING}\n\n| a | b | c |\n|---|---|---|\n{row}{row}"
    _, said = render(tmp_path, {"practice/myths": "# Myths\n", claim.page: chapter}, "ledger")
    others = [other for other in LEDGER if claim.page in other.pages and other != claim and other.mark]
    wanted = {(2, claim.id)} | {(0, other.id) for other in others}
    found = re.findall(r"(\d) rows are about the claim (\S+) of the ledger, wanted one", said)
    assert {(int(count), name) for count, name in found} == wanted


def test_outside_the_site_the_ledger_is_a_link_to_it(tiny):
    said = plain(tiny, "practice/myths", "Here:\n\n```{ledger}\n```\n", None)
    assert "{ledger}" not in said
    assert tiny.address("practice/myths") in said
