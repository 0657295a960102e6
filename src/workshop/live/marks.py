"""Which cells of a page run in the browser, and what the page must load for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from workshop.book import Book
from workshop.live import package
from workshop.live.cells import MAGIC, Page, aliases, only_imports

LEAST = 0.4
"""Share of the cells that must run, or the page is left to Colab."""


@dataclass(frozen=True)
class Marks:
    """A page's visible cells in order: ``r`` runs, ``p`` runs in part; what the parts lack; the wheels."""

    cells: str
    lacks: tuple[frozenset[str], ...]
    wheels: tuple[str, ...]

    @property
    def run(self) -> int:
        """Return how many cells do all that they show."""
        return self.cells.count("r")


def left_out() -> dict[str, str]:
    """Return the pages that are not live although they could be -> why (``exceptions.json``)."""
    return exceptions()["pages"]


def exceptions() -> dict[str, dict]:
    """Return ``exceptions.json``: pages left out, print-outs that cannot be those of the recording, with reasons."""
    return json.loads(Path(__file__).with_name("exceptions.json").read_text(encoding="utf-8"))


def runnable(source: str) -> str:
    """Return a cell without the commands that are a notebook's own."""
    return "\n".join("" if line.startswith(MAGIC) else line for line in source.split("\n"))


HIDDEN = {"remove-cell", "remove-input", "setup"}


def visible_cells(notebook: Path) -> list[dict]:
    """Return the code cells of a recorded notebook whose code its page shows."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        cell for cell in cells if cell["cell_type"] == "code" and not HIDDEN & set(cell["metadata"].get("tags", []))
    ]


def live_pages(root: Path) -> dict[str, Marks]:
    """Return the live pages of the book at `root` in its order, read from its recorded notebooks."""
    book, reader, found = Book(root), Reader(root / "src"), {}
    for page in book.executed:
        sources = ["".join(cell["source"]) for cell in visible_cells(book.notebook(page))]
        if marks := reader.live(page, sources):
            found[page] = marks
    return found


def counted(root: Path, folder: str) -> tuple[int, int]:
    """Return how many visible cells the pages of a folder have, live or not, and how many of them run."""
    book, live = Book(root), live_pages(root)
    pages = [page for page in book.executed if page.startswith(f"{folder}/")]
    cells = sum(len(visible_cells(book.notebook(page))) for page in pages)
    return cells, sum(live[page].run for page in pages if page in live)


class Reader:
    """Reads pages against the package as it is."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the one with the package, ``src``."""
        texts = package.sources(folder)
        self.modules = {name: package.at_import(text) for name, text in texts.items()}
        calls: dict[str, set[str]] = {}
        for name, text in texts.items():
            calls |= package.at_call(name, text)
        self.calls = self.modules | calls
        self.lacking = package.lacking(self.modules) | package.lacking_calls(self.modules, calls)

    def read(self, sources: list[str]) -> Marks:
        """Return the marks of a page with these cells."""
        page, cells, lacks, names, known = Page(self.lacking), "", [], set(), {}
        for source in sources:
            parts = page.read(runnable(source))
            whole = only_imports(parts)
            cells += "r" if whole else "p"
            lacks.append(frozenset() if whole else frozenset().union(*(part.lacks for part in parts)))
            for part in parts:
                if not part.lacks:
                    known |= aliases(part.node)
                    names |= package.used(part.node, known)
        return Marks(cells, tuple(lacks), tuple(package.wheels(names, self.calls)))

    def live(self, page: str, sources: list[str]) -> Marks | None:
        """Return the marks of a page that is to be live, None for one that is not."""
        if page in left_out() or not sources:
            return None
        marks = self.read(sources)
        return marks if marks.run >= LEAST * len(marks.cells) else None
