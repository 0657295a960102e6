"""`python -m workshop slides PAGE --out slides.html`: a chapter as slides for a lesson, from its own source.

A slide holds what a class looks at: headings, formulas, drawings, tables, questions to predict; the run that decides
and its figure come on the next one, the answer on the one after. The prose between stands in the speaker's notes.
Nothing is written twice and nothing is run: what is shown is what was recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from workshop import notebook as nb
from workshop.book import Book, BookError, replace_file

LEFT_OUT = {"Check yourself", "Exercises", "What the sources say", "Further reading", "Take it with you"}
"""Sections for reading at home; slides end where the lesson does."""

UNSEEN = {"remove-cell", "remove-input", "setup", "checks", "solution", "questions"}
FOLDED = {"hide-input", "hide-cell"}
LONGEST_CODE = 18  # lines that a room can read
BLOCK = re.compile(
    r"<details\b.*?</details>|^\$\$.*?\$\$[^\n]*$|^```.*?^```[^\n]*$|^#{1,4} [^\n]*$"
    r"|[^\n]+(?:\n(?!\n|\$\$|<details)[^\n]+)*",
    re.M | re.S,
)
HEADING = re.compile(r"(#{1,4}) +(.+?) *(?:#* *)?")
SHOWN = re.compile(r"\$\$|\||!\[|- |\d+\. |\*\*Predict")
VEIL = re.compile(r"<details\b[^>]*>\s*<summary>(.*?)</summary>(.*?)</details>", re.S)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of the parts of a text cell: `slide`, `subslide`, `-` (on the same slide) or `notes`."""
    for found in BLOCK.finditer(text):
        block = found[0].strip()
        if heading := HEADING.fullmatch(block):
            yield ("slide" if len(heading[1]) < 3 else "subslide"), block
        elif veil := VEIL.fullmatch(block):
            first, *rest = re.split(r"\n\s*\n", veil[2].strip())
            yield "subslide", first
            for part in rest:
                yield ("-" if SHOWN.match(part) else "notes"), part
        elif SHOWN.match(block):
            yield "-", block
        elif block:
            yield "notes", block


def lesson(book: Book, page: str) -> NotebookNode:
    """Return the notebook of a chapter's slides. `BookError` where nothing is recorded."""
    if (recorded := nb.read(book, page)) is None:
        raise BookError(f"{page}: nothing is recorded; first: python -m workshop record {page}")
    cells: list[NotebookNode] = []
    waiting: list[str] = []
    left_out = False

    def say() -> None:
        """Put the prose that has gathered into the notes of the slide before."""
        if waiting and cells:
            cells.append(typed(nbformat.v4.new_markdown_cell("\n\n".join(waiting)), "notes"))
        waiting.clear()

    for cell in recorded.cells:
        if cell.cell_type != "code":
            for kind, text in blocks(cell.source):
                if kind == "slide":
                    left_out = text.lstrip("# ") in LEFT_OUT
                if left_out:
                    continue
                if kind == "notes":
                    waiting.append(text)
                    continue
                if kind != "-":
                    say()
                cells.append(typed(nbformat.v4.new_markdown_cell(text), kind))
            continue
        tags = set(cell.metadata.get("tags", []))
        long = bool(tags & FOLDED) or len(cell.source.splitlines()) > LONGEST_CODE
        if left_out or tags & UNSEEN or (long and not cell.outputs):
            continue
        say()
        source = "" if long else cell.source
        made = nbformat.v4.new_code_cell(source, outputs=cell.outputs)
        if not source:
            made.metadata["tags"] = ["no-input"]
        cells.append(typed(made, "subslide"))
    say()
    title = cells[0].source.lstrip("# ") if cells else page
    # Format 4.4 has no ids of cells, so the same page gives the same slides.
    return nbformat.from_dict({"cells": cells, "metadata": {"title": title}, "nbformat": 4, "nbformat_minor": 4})


def typed(cell: NotebookNode, kind: str) -> NotebookNode:
    """Return a cell of this kind, as nbconvert reads it."""
    cell.pop("id", None)
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def write(book: Book, page: str, out: Path) -> None:
    """Write the slides of a page as one HTML file; its browser fetches reveal.js and MathJax."""
    from nbconvert.exporters import SlidesExporter
    from traitlets.config import Config

    if out.suffix != ".html":
        raise BookError(f"--out: got {out.name}, wanted a name that ends in .html")
    settings = Config()
    settings.SlidesExporter.reveal_scroll = True
    settings.SlidesExporter.exclude_input_prompt = settings.SlidesExporter.exclude_output_prompt = True
    settings.TagRemovePreprocessor.enabled = True
    settings.TagRemovePreprocessor.remove_input_tags = {"no-input"}
    notebook = lesson(book, page)
    text, _ = SlidesExporter(config=settings).from_notebook_node(notebook)
    replace_file(out, text)
    print(f"slides: {sum(1 for cell in notebook.cells if 'slide' in kind(cell))} slides of {page} in {out}")


def kind(cell: NotebookNode) -> str:
    """Return what a cell is on the slides."""
    return cell.metadata["slideshow"]["slide_type"]
