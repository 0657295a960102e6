"""The page of recipes holds what the chapters run, and nothing else."""

from __future__ import annotations

import re

from workshop.recipes import PAGE, problems, recipes
from workshop.teaching import FRAMEWORKS, cells


def test_every_cell_to_take_home_is_there_once_word_by_word(real):
    text = recipes(real)
    code = re.findall(r"```python\n(.*?)\n```\n", text, re.S)
    taken = [
        "\n".join(cell.lines)
        for page in real.toc
        if page in real.executed
        for cell in cells(real, page)
        if cell.tags & FRAMEWORKS
    ]
    assert code == taken
    assert len(code) >= 4
    assert text.count("**PyTorch**") + text.count("**Keras**") == len(code)


def test_what_a_run_printed_stands_below_its_code(real):
    below = {}
    for block in recipes(real).split("```python\n")[1:]:
        code, after = block.split("\n```\n", 1)
        if after.startswith("\nIt prints\n\n```text\n"):
            below[code] = after.split("```text\n", 1)[1].split("\n```\n", 1)[0]
    printed = {
        "\n".join(cell.lines): "\n".join(cell.printed)
        for page in real.toc
        if page in real.executed
        for cell in cells(real, page)
        if cell.tags & FRAMEWORKS and cell.printed
    }
    assert below == printed
    assert len(below) >= 10


def test_each_recipe_leads_to_its_page(real):
    pages = re.findall(r"^## \[.+\]\(\.\./(.+)\.md#take-it-with-you\)$", recipes(real), re.M)
    assert len(pages) == len(set(pages)) >= 2
    assert set(pages) <= set(real.executed)


def test_a_page_that_is_not_what_the_chapters_make_is_named(real, monkeypatch):
    assert problems(real) == []
    monkeypatch.setattr(type(real), "text", lambda book, page: "# Recipes\n" if page == PAGE else read(book, page))
    assert problems(real) == [f"book/{PAGE}.md:1: is not what the chapters make; python -m workshop recipes"]


def read(book, page):
    return book.source(page).read_text(encoding="utf-8")
