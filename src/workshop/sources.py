"""*What the sources say*: the last part of a chapter, written from the ledger of claims.

``python -m workshop sources PAGE`` prints it, for an author to paste; ``python -m workshop check`` compares every page
that has the heading. Each sentence stands whole, as in its source, with a rendering; below it every claim that the
page settles about it: the verdict, in how many situations it was tried and in how many it held, what decides whether
it claims no exception, and why. The ledger itself is the page of myths.
"""

from __future__ import annotations

import posixpath
import re

from gradclinic.course.claims import LEDGER, SOURCES, Claim, Sentence
from gradclinic.course.claims import sentences as sentences_of_the_sources
from workshop.book import Book, BookError, replace_file
from workshop.markdown import parse

HEADING = "What the sources say"
LEDGER_PAGE = "practice/myths"
NAMES = {
    "S0": "study notes {cite}`source_s0`",
    "S1": "a page of collected answers {cite}`source_s1`",
    "S2": "notes on numerical stability {cite}`source_s2`",
    "S3": "a laboratory report {cite}`source_s3`",
    "S4": "a reproduction in TensorFlow 1 {cite}`source_s4`",
}
"""What each of the five sources is, with its citation."""

INTRODUCTION = (
    "Each sentence stands whole, as its source has it. A verdict is *true*, *conditional* or *false*; a sentence that "
    "claims no exception is *false* as soon as it has one, in however many situations it held. How a verdict is "
    "reached is said in the [ledger]({ledger})."
)


def escaped(text: str) -> str:
    """Return a sentence as Markdown that shows it letter by letter."""
    for sign in "\\*_|$~^<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def pieces(text: str) -> list[str]:
    """Split a line of the ledger's own words: plain text and formulas, the latter without their ``$``, in turn."""
    return re.split(r"\$([^$]+)\$", text)


def own_words(text: str) -> str:
    """Return a line of the ledger's own words as Markdown: a formula between two ``$`` stays one."""
    return "".join(f"${part}$" if place % 2 else escaped(part) for place, part in enumerate(pieces(text)))


def reading(claim: Claim) -> str:
    """Say how the words of a claim are meant, and which words say so; empty for a plain sentence."""
    if claim.override is not None:
        return f"read as {'claiming' if claim.override else 'not claiming'} no exception: {claim.reason}"
    words = ", ".join(escaped(word) for word in claim.reading.words)
    return {"hedged": f"hedged: {words}", "universal": f"claims no exception: {words}", "plain": ""}[claim.reading.kind]


def verdict_line(claim: Claim) -> str:
    """Return the line of one claim below its sentence."""
    held, tried = claim.held or (0, 0)
    words = f" ({meant})" if (meant := reading(claim)) else ""
    about = f"*{own_words(claim.statement)}*: " if claim.said else ""
    said = f"**{claim.verdict}**, held in {held} of {tried} situations{words}"
    return f"- {about}{said}. {own_words(claim.why[0].upper() + claim.why[1:])}. `{claim.id}`"


def groups(page: str) -> list[tuple[str, list[list[Claim]]]]:
    """Return for each source the claims of a page in the order of its text, those about one sentence together."""
    texts = [value for value in vars(sentences_of_the_sources).values() if isinstance(value, Sentence)]
    order = {sentence: place for place, sentence in enumerate(texts)}
    here = [claim for claim in LEDGER if page in claim.pages]
    found: dict[str, dict[str, list[Claim]]] = {}
    for claim in sorted(here, key=lambda c: (SOURCES.index(c.source), order.get(c.said, -1))):
        found.setdefault(claim.source, {}).setdefault(claim.quote or claim.id, []).append(claim)
    return [(source, list(sentences.values())) for source, sentences in found.items()]


def section(page: str) -> str:
    """Return the Markdown of a page's part *What the sources say*, heading included; ``BookError`` without claims."""
    parts = groups(page)
    if not parts:
        raise BookError(f"{page}: the ledger settles no sentence on this page")
    ledger = posixpath.relpath(f"{LEDGER_PAGE}.md", posixpath.dirname(page))
    blocks = [f"## {HEADING}", INTRODUCTION.format(ledger=ledger)]
    for source, sentences in parts:
        title = {"paper": "**Published papers**", "belief": "**Often said**"}
        blocks.append(title.get(source) or f"**{source}**, {NAMES[source]}")
        for claims in sentences:
            said = claims[0].said
            if said:
                blocks.append(f"> {escaped(said.chinese)}\n>\n> {escaped(said.english)}")
            else:
                blocks.append(f"> {own_words(claims[0].statement)}")
            blocks.append("\n".join(verdict_line(claim) for claim in claims))
    return "\n\n".join(blocks) + "\n"


def written(text: str) -> str | None:
    """Return the part of a page under the heading, heading included; ``None`` where the page has no such heading."""
    lines = text.splitlines()
    starts = [line for line, title in parse(text).headings if title == HEADING]
    if not starts:
        return None
    first = starts[0] - 1
    level = len(lines[first]) - len(lines[first].lstrip("#"))
    ends = [
        line - 1
        for line, _ in parse(text).headings
        if line - 1 > first and len(lines[line - 1]) - len(lines[line - 1].lstrip("#")) <= level
    ]
    end = ends[0] if ends else len(lines)
    return "\n".join(lines[first:end]).rstrip() + "\n"


def write(book: Book, page: str) -> None:
    """Replace a page's part under the heading by what the ledger says."""
    text = book.text(page)
    old = written(text)
    if old is None:
        raise BookError(f"{page}: has no heading {HEADING!r}")
    replace_file(book.source(page), text.replace(old.rstrip("\n"), section(page).rstrip("\n"), 1))


def problems(book: Book) -> list[str]:
    """Return which pages have the heading and say something else under it than the ledger."""
    found = []
    for page in book.pages:
        text = written(book.text(page))
        if text is None:
            continue
        try:
            wanted = section(page)
        except BookError:
            found.append(f"book/{page}.md: has the heading {HEADING!r}, but the ledger settles nothing on this page")
            continue
        if text != wanted:
            pairs = zip(text.splitlines(), wanted.splitlines(), strict=False)
            different = next((i for i, (a, b) in enumerate(pairs) if a != b), "the end")
            found.append(
                f"book/{page}.md: {HEADING!r} is not what the ledger says (from its line {different} on); paste what "
                f"`python -m workshop sources {page}` prints"
            )
    return found
