"""The rules of a page that teaches, as far as a program can see them; each names page and line.

What a page is made of stands in CONTRIBUTING.md. The cell tags are those of ``workshop.sphinx.anatomy``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from workshop import notebook as nb
from workshop.book import Book
from workshop.markdown import code_cells, code_lines, parse

CHAPTERS = ("why/", "reproduce/", "remedies/", "beyond/", "today/", "practice/")
WIDEST_CODE = 78
WIDEST_PRINT = 80
FOLDED = {"hide-input", "hide-cell"}
UNSEEN = {"remove-cell", "remove-input", "setup"}
FRAMEWORKS = {"pytorch", "keras"}
TAKEN_HOME = {
    *("beyond/mixed-precision", "beyond/transformers", "reproduce/measuring", "practice/your-own-model"),
    "today/spikes",
    "today/attention-logits",
    "today/width",
}
"""Pages besides those on remedies that end in code to take with one."""

NO_REMEDY = {"remedies/patients", "remedies/matrix"}
ABOUT_THE_SOURCES = ("reproduce/", "practice/myths")
"""Pages whose subject the sources are; everywhere else no source is named before the part on them."""

SOURCES_HEADING = "What the sources say"
SOURCE = re.compile(r"\bS[0-4]\b(?!\()|source_s[0-4]")
ASSERT = re.compile(r"\s*(?:assert\b|(?:np|numpy)\.testing\.|(?:np\.)?assert_\w+\()")
IMPORT = re.compile(r"(?:import|from)\s+\w")
DRAWS = re.compile(r"\bplt\.|\bplots\.|\bax(?:es)?\b\.")
TRUTH = re.compile(r"\b(?:True|False)\b")
PREDICT = re.compile(r"^\*\*Predict", re.M)
VEIL = re.compile(r'^<details class="veil">', re.M)
TITLED = re.compile(r"# @title \S")
DRAWING = re.compile(r"!\[[^\]]+\]\([^)]*_static/drawings/[\w-]+\.svg\)")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.M)
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", re.M | re.S)

NOT_YET: frozenset[str] = frozenset()
"""Chapters that were written before these rules. A chapter that keeps them must leave this list."""


@dataclass(frozen=True)
class Cell:
    """A code cell of a page: where its code begins, what it is, and what it printed when it was recorded."""

    line: int
    lines: list[str]
    tags: set[str]
    printed: list[str] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether a reader of the site sees the code without a click."""
        return not self.tags & (FOLDED | UNSEEN)

    @property
    def taken_home(self) -> bool:
        """Whether it is complete code for a reader's own program, imports included."""
        return bool(self.tags & FRAMEWORKS)


def cells(book: Book, page: str) -> list[Cell]:
    """The code cells of a page with what they printed, as far as the recording still fits."""
    text = book.text(page)
    code = code_cells(text)
    recorded = nb.recorded_outputs(notebook) if (notebook := nb.read(book, page)) else []
    if len(recorded) != len(code):
        recorded = [[] for _ in code]
    made = []
    for line, cell, outputs in zip(code_lines(text), code, recorded, strict=True):
        printed = "".join(
            "".join(output["text"]) for output in outputs if output.get("name") == "stdout" and "text" in output
        )
        made.append(Cell(line, cell.source.splitlines(), set(cell.metadata.get("tags", [])), printed.splitlines()))
    return made


def prose(text: str) -> str:
    """The page without its code cells, line for line."""
    return FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)


def line_of(text: str, place: int) -> int:
    """The line (from 1) of a place in a text."""
    return text.count("\n", 0, place) + 1


def code_rules(cell: Cell) -> Iterator[tuple[int, str]]:
    """What the code of one cell must keep."""
    for number, line in enumerate(cell.lines, start=cell.line):
        if cell.open and len(line) > WIDEST_CODE:
            yield number, f"a visible line of code has {len(line)} characters, wanted at most {WIDEST_CODE}"
        if ASSERT.match(line) and not cell.tags & {"checks", "solution", "questions"}:
            yield number, "an assertion outside a cell tagged checks or solution"
        if cell.open and not cell.taken_home and IMPORT.match(line):
            yield number, "a visible import; fold it (tag hide-input, first line # @title ...)"
        if cell.open and not cell.taken_home and DRAWS.search(line):
            yield number, "visible plotting; fold it (tag hide-input, first line # @title ...)"
    if cell.tags & FOLDED and not cell.tags & UNSEEN and not (cell.lines and TITLED.match(cell.lines[0])):
        yield cell.line, "a folded cell without a label; its first line is # @title and what the cell does"
    if "checks" in cell.tags and "hide-cell" not in cell.tags:
        yield cell.line, "the tag checks also needs the tag hide-cell"


def print_rules(cell: Cell) -> Iterator[tuple[int, str]]:
    """What the print-out of one cell must keep."""
    if cell.tags & {"remove-cell", "checks", "solution", "questions", "setup"}:
        return
    for line in cell.printed:
        if len(line) > WIDEST_PRINT:
            yield cell.line, f"prints {len(line)} characters in a line, wanted at most {WIDEST_PRINT}: {line[:40]}..."
        if found := TRUTH.search(line):
            yield cell.line, f"prints {found[0]} where a number would say how far: {line[:60]}"


def veil_rules(text: str) -> Iterator[tuple[int, str]]:
    """Every Predict has its veil before the next one and before the next heading."""
    words = prose(text)
    ends = sorted(found.start() for pattern in (PREDICT, HEADING) for found in pattern.finditer(words))
    for found in PREDICT.finditer(words):
        end = next((place for place in ends if place > found.start()), len(words))
        if not VEIL.search(words, found.start(), end):
            yield line_of(words, found.start()), 'a Predict without its veil (<details class="veil"> before the next)'


def veiled_rules(text: str, page_cells: list[Cell]) -> Iterator[tuple[int, str]]:
    """What a veiled cell shows has its veil below it, before the next heading; the site cannot be built without."""
    words = prose(text)
    for cell in page_cells:
        if "veil" not in cell.tags:
            continue
        start = sum(len(line) + 1 for line in words.split("\n")[: cell.line - 1])
        heading = HEADING.search(words, start)
        if not VEIL.search(words, start, heading.start() if heading else len(words)):
            yield cell.line, 'a cell tagged veil needs a <details class="veil"> after it, before the next heading'


def parts_rules(page: str, text: str, page_cells: list[Cell]) -> Iterator[tuple[int, str]]:
    """The parts that every chapter has, and those of a remedy."""
    headings = {title: line for line, title in parse(text).headings}
    if "In three lines" not in headings:
        yield 1, "no section In three lines"
    else:
        rest = "\n".join(text.splitlines()[headings["In three lines"] :])
        items = re.findall(r"^- ", HEADING.split(rest, maxsplit=1)[0], re.M)
        if len(items) != 3:
            yield headings["In three lines"], f"In three lines has {len(items)} lines, wanted three list items"
    remedy = page.startswith("remedies/") and page not in NO_REMEDY
    if remedy or page in TAKEN_HOME:
        start = headings.get("Take it with you")
        if start is None:
            yield 1, "no section Take it with you"
        for framework in sorted(FRAMEWORKS):
            if not any(framework in cell.tags for cell in page_cells):
                yield start or 1, f"Take it with you has no cell tagged {framework}"
    if remedy and not DRAWING.search(text):
        yield 1, "no drawing of what the remedy changes (an SVG of _static/drawings)"
    if remedy and not any("curve" in cell.tags for cell in page_cells):
        yield 1, "no training curve (a cell tagged curve)"


def source_rules(page: str, text: str) -> Iterator[tuple[int, str]]:
    """No source is named before the part on the sources."""
    if page.startswith(ABOUT_THE_SOURCES):
        return
    words = prose(text)
    end = next((found.start() for found in HEADING.finditer(words) if found[2] == SOURCES_HEADING), len(words))
    for found in SOURCE.finditer(words, 0, end):
        yield line_of(words, found.start()), f"names a source ({found[0]}) before the section {SOURCES_HEADING}"


def broken(book: Book, page: str) -> list[str]:
    """Every rule that one chapter breaks."""
    text = book.text(page)
    page_cells = cells(book, page)
    found = [problem for cell in page_cells for rule in (code_rules, print_rules) for problem in rule(cell)]
    found += [*veil_rules(text), *veiled_rules(text, page_cells)]
    found += [*parts_rules(page, text, page_cells), *source_rules(page, text)]
    return [f"book/{page}.md:{line}: {what}" for line, what in sorted(set(found))]


def teaching(book: Book) -> list[str]:
    """Every chapter keeps the rules of a page that teaches; those that do not yet are listed, and only those."""
    problems = []
    for page in book.executed:
        if not page.startswith(CHAPTERS):
            continue
        found = broken(book, page)
        if page not in NOT_YET:
            problems += found
        elif not found:
            problems.append(f"src/workshop/teaching.py: {page} keeps every rule now; take it out of NOT_YET")
    return problems
