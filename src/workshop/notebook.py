"""One notebook, a function of three things: the page's text, the outputs of its cells, the book's address.

Because nothing else goes in, a recording can be checked by making it again from its own outputs, a changed
sentence needs no run, and a fork rewrites addresses without running anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache

import jupytext
import nbformat
from jupytext.myst import MystMetadataParsingError
from nbformat import NotebookNode
from pybtex.database import BibliographyData, parse_string
from pybtex.exceptions import PybtexError

from workshop.book import Book, BookError
from workshop.markdown import plain

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {  # without the interpreter's version: it would change the file on every reader's machine
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}
"""Cell metadata that folds code under its title (``# @title``), in Colab and in JupyterLab."""

FOLDING = {"hide-input", "hide-cell"}
VEILED = {"jupyter": {"outputs_hidden": True}}
"""Cell metadata that folds what a cell printed, in JupyterLab; Colab has no such thing."""

PRIVATE = re.compile(
    r"(?<![\w.:/~])/(?:home|Users|root|tmp|private|opt|usr|var|mnt|work|content)/[\w.+-]+|\bat 0x[0-9a-f]{6,}\b"
)
"""What differs from machine to machine: absolute paths and the addresses of objects."""


def source_hash(text: str) -> str:
    """Return the hash of a page's text."""
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=512)
def read_text(text: str) -> NotebookNode:
    """Read a page as Jupytext does; not to be changed."""
    return jupytext.reads(text, fmt="md:myst")


@lru_cache(maxsize=512)
def code_sources(text: str) -> list[str]:
    """Return the source of each code cell of a page; not to be changed."""
    return [cell.source for cell in read_text(text).cells if cell.cell_type == "code"]


def legible(book: Book) -> None:
    """Refuse a configuration, table of contents, bibliography or page that cannot be read, naming file and line."""
    _ = book.config, book.toc, bibliography(book)
    problems = []
    for page in book.coded:
        try:
            code_sources(book.text(page))
        except MystMetadataParsingError as error:
            line = re.search(r" at line (\d+)", str(error))
            what = str(error).partition(" could not be read: ")[2] or str(error)
            problems.append(f"book/{page}.md:{line[1] if line else 1}: the options of this cell: {what}")
    if problems:
        raise BookError("\n  ".join(problems))


def bibliography(book: Book) -> BibliographyData:
    """Return the works of references.bib."""
    path = book.root / "book" / "references.bib"
    try:
        return works_of(path.read_text(encoding="utf-8")) if path.is_file() else BibliographyData()
    except PybtexError as error:
        raise BookError(f"book/references.bib: {error}") from error


@lru_cache(maxsize=4)
def works_of(text: str) -> BibliographyData:
    """Return the works of a BibTeX file's text; not to be changed."""
    return parse_string(text, "bibtex")


def assemble(book: Book, page: str, outputs: Sequence[list] | None, modules: dict[str, str]) -> str:
    """Return the text of the page's .ipynb file.

    outputs: one list of nbformat outputs for each code cell, None for a page that is not run; modules: the hashes of
    what the cells imported.
    """
    text = book.text(page)
    pages = read_text(text)
    works = bibliography(book)
    code = [cell for cell in pages.cells if cell.cell_type == "code"]
    if outputs is not None and len(code) != len(outputs):
        raise ValueError(f"outputs: {len(outputs)} lists for the {len(code)} code cells of {page}")
    cells, count = [], 0
    for position, cell in enumerate(pages.cells):
        source = plain(book, page, cell.source, works) if cell.cell_type == "markdown" else cell.source
        made = {
            "cell_type": cell.cell_type,
            "id": hashlib.sha256(f"{position}\0{cell.cell_type}\0{source}".encode()).hexdigest()[:16],
            "metadata": dict(cell.metadata),
            "source": source,
        }
        if cell.cell_type == "code":
            count += 1
            ran = outputs is not None
            made["execution_count"] = count if ran else None
            made["outputs"] = normalised(outputs[count - 1], count) if ran else []
            tags = set(cell.metadata.get("tags", []))
            if {"solution", "questions"} & tags or (FOLDING & tags and source.startswith("# @title")):
                made["metadata"] |= FOLDED
            if "veil" in tags:
                made["metadata"] |= VEILED
        cells.append(made)
    whole = nbformat.from_dict(
        {
            "cells": cells,
            "metadata": {
                "workshop": {"modules": modules, "source_sha256": source_hash(text)}
                | ({"run_sha256": run_hash(cells)} if outputs is not None else {}),
                "kernelspec": KERNELSPEC,
                "language_info": LANGUAGE,
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
    return dumps(whole)


def run_hash(cells: Sequence[dict]) -> str:
    """Return the hash of the code cells and what they put out: a cell edited or run by hand changes it."""
    run = [(cell["source"], cell.get("outputs", [])) for cell in cells if cell["cell_type"] == "code"]
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()


def dumps(whole: NotebookNode) -> str:
    """Return the one text of a notebook."""
    nbformat.validate(whole)
    return json.dumps(nbformat.v4.rwbase.split_lines(whole), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def normalised(outputs: list, count: int) -> list:
    """Return outputs with adjacent pieces of one stream merged and nothing that differs between two runs."""
    result: list[dict] = []
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            if result and result[-1]["output_type"] == "stream" and result[-1]["name"] == output["name"]:
                result[-1]["text"] += output["text"]
                continue
            result.append({"output_type": kind, "name": output["name"], "text": output["text"]})
        elif kind in {"display_data", "execute_result"}:
            made = {"output_type": kind, "data": dict(output["data"]), "metadata": dict(output["metadata"])}
            result.append(made | {"execution_count": count} if kind == "execute_result" else made)
        else:
            result.append(dict(output))
    return result


def output_problems(outputs: list) -> list[str]:
    """Return what is wrong with a cell's outputs.

    Errors, stderr, paths of one machine, object addresses, and what a drawing function returned.
    """
    problems = []
    draws = any(kind.startswith("image/") for output in outputs for kind in output.get("data", {}))
    for output in outputs:
        if draws and output["output_type"] == "execute_result":
            said = "".join(output["data"].get("text/plain", ""))[:40]
            problems.append(f"prints what its last line returns beside its figure; begin that line with `_ =`: {said}")
        if output["output_type"] == "error":
            problems.append(f"{output['ename']}: {output['evalue']}")
            continue
        if output.get("name") == "stderr":
            problems.append(f"writes to stderr: {output['text'].strip().splitlines()[0]}")
        texts = [output.get("text", "")] + [
            data for kind, data in output.get("data", {}).items() if kind.startswith("text/")
        ]
        for text in texts:
            if match := PRIVATE.search("".join(text)):
                problems.append(f"prints what differs between machines: {match[0]}")
    return problems


def read(book: Book, page: str) -> NotebookNode | None:
    """Return the page's recorded notebook, None where there is none or it cannot be read."""
    path = book.notebook(page)
    if not path.is_file():
        return None
    try:
        return nbformat.from_dict(nbformat.v4.reads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, AttributeError):
        return None


def recorded_outputs(notebook: NotebookNode) -> list[list]:
    """Return the outputs of each code cell."""
    return [cell.get("outputs", []) for cell in notebook.cells if cell.cell_type == "code"]


def runs(notebook: NotebookNode | None, text: str) -> bool:
    """Tell whether the notebook holds exactly the code of the page's text."""
    if notebook is None:
        return False
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"] == code_sources(text)


def stale(book: Book, page: str) -> str:
    """Say why the page's recording is out of date: "" where it is not, "text" where only words changed."""
    notebook = read(book, page)
    if notebook is None:
        return "no recording"
    if not runs(notebook, book.text(page)):
        return "code changed"
    meta = notebook.metadata.get("workshop", {})
    modules = meta.get("modules")
    run = run_hash(notebook.cells)
    if modules is None or meta.get("run_sha256", run) != run:
        return "run by hand"
    if changed := [name for name, old in modules.items() if book.modules.get(name) != old]:
        return f"{', '.join(changed)} changed"
    if assemble(book, page, recorded_outputs(notebook), modules) != book.notebook(page).read_text(encoding="utf-8"):
        return "text"
    return ""
