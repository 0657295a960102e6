"""The page of recipes: every *Take it with you* of the book in one place, made from the chapters that run them."""

from __future__ import annotations

from workshop.book import Book, replace_file
from workshop.markdown import parse
from workshop.teaching import FRAMEWORKS, cells

PAGE = "appendix/recipes"
NAMES = {"pytorch": "PyTorch", "keras": "Keras"}
OPENING = """\
# Recipes

All code of the sections *Take it with you*, in PyTorch and in Keras. Each piece is complete: copy it, and nothing of
this course is needed. Each is executed on its own page, where its numbers are compared with the other framework's and
with the derivation; the heading leads there. This page is made from those by `python -m workshop recipes`.
"""


def title(book: Book, page: str) -> str:
    """The heading of the first level of a page."""
    return parse(book.text(page)).headings[0][1]


def recipes(book: Book) -> str:
    """The text of the page, from the cells tagged ``pytorch`` and ``keras`` of all chapters, in the book's order."""
    parts = [OPENING]
    for page in book.toc:
        if page not in book.executed:
            continue
        taken = [cell for cell in cells(book, page) if cell.tags & FRAMEWORKS]
        if not taken:
            continue
        parts.append(f"## [{title(book, page)}](../{page}.md#take-it-with-you)\n")
        for cell in taken:
            name = next(NAMES[tag] for tag in sorted(cell.tags & FRAMEWORKS))
            code = "\n".join(cell.lines)
            parts.append(f"**{name}**\n\n```python\n{code}\n```\n")
    return "\n".join(parts)


def write(book: Book) -> None:
    """Write the page."""
    replace_file(book.source(PAGE), recipes(book))
    print(f"recipes: book/{PAGE}.md written")


def problems(book: Book) -> list[str]:
    """The page is what the chapters make."""
    if PAGE not in book.pages or book.text(PAGE) == recipes(book):
        return []
    return [f"book/{PAGE}.md:1: is not what the chapters make; python -m workshop recipes"]
