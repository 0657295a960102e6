"""The page of recipes: every *Take it with you* of the book in one place, made from the chapters that run them."""

from __future__ import annotations

import posixpath
import re

from workshop.book import Book, replace_file
from workshop.markdown import parse
from workshop.teaching import FRAMEWORKS, cells

PAGE = "appendix/recipes"
NAMES = {"pytorch": "PyTorch", "keras": "Keras"}
OPENING = """\
# Recipes

All code of the sections *Take it with you*, in PyTorch and in Keras. Each section is complete: copy its blocks of one
framework together, and nothing of this course is needed. Some only define functions for your own loop; the others end
with a small run, and what it printed when the book was recorded stands below the code. Each is executed on its own
page, where its numbers are compared with the other framework's and with the derivation; the heading leads there
("above" means: on that page). This page is made from those by `python -m workshop recipes`.
"""
SAID = re.compile(r"## Take it with you\n\n(.+?)(?=\n\n|\Z)", re.DOTALL)


def purpose(book: Book, page: str) -> str:
    """What the section says that its code is for: its first paragraph, as long as it stands in words before the code;
    links are made those of this page."""
    found = SAID.search(book.text(page))
    if not found or found[1].startswith("```"):
        return ""

    def moved(match: re.Match) -> str:
        address = match[1]
        if re.match(r"\w+:", address):
            return match[0]
        target, _, place = address.partition("#")
        where = posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else page + ".md"
        here = posixpath.relpath(where, posixpath.dirname(PAGE))
        return f"]({here}#{place})" if place else f"]({here})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, found[1])


def place(heading: str) -> str:
    """The address of a heading on its page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def title(book: Book, page: str) -> str:
    """The heading of the first level of a page."""
    return parse(book.text(page)).headings[0][1]


def recipes(book: Book) -> str:
    """The text of the page, from the cells tagged ``pytorch`` and ``keras`` of all chapters, in the book's order."""
    parts, index = [], []
    for page in book.toc:
        if page not in book.executed:
            continue
        taken = [cell for cell in cells(book, page) if cell.tags & FRAMEWORKS]
        if not taken:
            continue
        heading = title(book, page)
        index.append(f"- [{heading}](#{place(heading)})")
        parts.append(f"## [{heading}](../{page}.md#take-it-with-you)\n")
        if said := purpose(book, page):
            parts.append(f"{said}\n")
        for cell in taken:
            name = next(NAMES[tag] for tag in sorted(cell.tags & FRAMEWORKS))
            code = "\n".join(cell.lines)
            parts.append(f"**{name}**\n\n```python\n{code}\n```\n")
            if cell.printed:
                printed = "\n".join(cell.printed)
                parts.append(f"It prints\n\n```text\n{printed}\n```\n")
    return "\n".join([OPENING, *index, "", *parts])


def write(book: Book) -> None:
    """Write the page."""
    replace_file(book.source(PAGE), recipes(book))
    print(f"recipes: book/{PAGE}.md written")


def problems(book: Book) -> list[str]:
    """The page is what the chapters make."""
    if PAGE not in book.pages or book.text(PAGE) == recipes(book):
        return []
    return [f"book/{PAGE}.md:1: is not what the chapters make; python -m workshop recipes"]
