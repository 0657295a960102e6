"""The printed rows of the matrix lead to the chapters of their remedies, and the chapters back."""

import importlib
import posixpath
import re
from html import unescape

import pytest

from gradclinic.course.remedies import REMEDIES
from workshop import notebook as nb


@pytest.fixture(scope="module")
def extension():
    """The extension, as a module."""
    return importlib.import_module("workshop.sphinx.matrix_links")


def test_the_rows_are_those_of_the_library(extension):
    assert {remedy.title: remedy.page for remedy in REMEDIES.values()} == extension.ROWS


def test_every_chapter_on_a_remedy_has_a_row(real, extension):
    chapters = {page for page in real.pages if page.startswith("remedies/")}
    about_all_rows = {"remedies/patients", "remedies/signal-propagation"}
    elsewhere = {"today/orthogonal-steps"}  # Muon
    assert set(extension.ROWS.values()) == chapters - about_all_rows | elsewhere


def texts(printed, pages):
    """The matrix, a printed text and code that prints, chapters that settle claims, and a page that is none."""
    chapters = {page: f"# {page}\n\n## Claims settled here\n\nNone.\n\n## After\n" for page in pages}
    matrix = f"# Matrix\n\n```none\n{printed}```\n\n```python\nprint('A powers')\n```\n"
    return chapters | {"remedies/matrix": matrix, "other": "# Other\n\n## Claims settled here\n"}


def recorded_table(real, extension):
    """What the chapter prints."""
    outputs = nb.recorded_outputs(nb.read(real, extension.PAGE))
    printed = ["".join(output.get("text", "")) for cell in outputs for output in cell]
    (table,) = [text for text in printed if extension.HEAD in text.split("\n")[0]]
    return table


def test_links_lead_both_ways_and_the_text_stays_as_printed(real, render, extension, tmp_path):
    table = recorded_table(real, extension)
    pages = sorted(set(extension.ROWS.values()) - {extension.PAGE})
    made, said = render(tmp_path, texts(table, pages), "matrix_links")
    assert said == ""
    matrix = (made / "remedies/matrix.html").read_text(encoding="utf-8")
    shown = unescape(re.search(r"<pre[^>]*>(.*?)</pre>", matrix, re.S)[1])
    assert re.sub("<[^>]*>", "", shown).rstrip("\n") == table.rstrip("\n")
    for title, page in extension.ROWS.items():
        assert f'id="{extension.anchor(title)}"' in shown
        if page != extension.PAGE:
            there = posixpath.relpath(f"{page}.html", "remedies")
            assert f'href="{there}">{title}</a>' in shown
            chapter = (made / f"{page}.html").read_text(encoding="utf-8")
            back = posixpath.relpath("remedies/matrix.html", posixpath.dirname(page))
            assert f'href="{back}#{extension.anchor(title)}"' in chapter
            assert chapter.index("matrix.html#") < chapter.index(">After<")
    assert "matrix.html#" not in (made / "other.html").read_text(encoding="utf-8")


def test_a_row_that_is_missing_fails_the_build(real, render, extension, tmp_path):
    table = recorded_table(real, extension)
    _, said = render(tmp_path, texts(table.replace("\nL2 penalty", "\nL2"), []), "matrix_links")
    assert "the printed table has no row L2 penalty" in said


def test_a_table_that_is_missing_fails_the_build(render, tmp_path):
    _, said = render(tmp_path, texts("nothing\n", []), "matrix_links")
    assert "0 printed tables begin with 'A powers', wanted one" in said
