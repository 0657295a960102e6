"""The parts of a page as the site shows them: labels of folds, veils, tabs, drawings, minutes."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from workshop.sphinx import anatomy, drawings, page_times


def cell(source, *tags, printed="", **more):
    """A code cell as myst-nb makes it."""
    code = nodes.container("", nodes.literal_block(source, source), classes=["cell_input"])
    out = [nodes.container("", nodes.literal_block(printed, printed), classes=["cell_output"])] if printed else []
    classes = ["cell", *(f"tag_{tag}" for tag in tags)]
    return nodes.container("", code, *out, nb_element="cell_code", classes=classes, cell_metadata={}, **more)


def page(*children):
    return nodes.section("", nodes.title("", "Page"), *children)


def test_a_fold_carries_its_title_and_shows_only_the_code():
    made = page(cell("# @title The imports\nimport numpy", "hide-input", hide_mode="input"))
    anatomy.label_folds(made)
    assert made[1]["prompt_show"] == made[1]["prompt_hide"] == "The imports"
    assert made[1].astext() == "import numpy"
    assert next(made.findall(nodes.literal_block)).rawsource == "import numpy"


def test_checks_have_one_name_whatever_their_title():
    made = page(cell("# @title Anything\nassert x", "hide-cell", "checks", hide_mode="all"))
    anatomy.label_folds(made)
    assert made[1]["prompt_show"] == "What is asserted here"


def test_what_veiled_cells_print_moves_into_the_next_veil_in_order():
    opened = nodes.raw("", '<details class="veil"><summary>Show the answer</summary>', format="html")
    after = nodes.paragraph("", "Because.")
    made = page(cell("a", "veil", printed="1"), cell("b", "veil", printed="2"), opened, after)
    anatomy.move_under_veils(made)
    assert [node.astext() for node in made.children[1:]] == ["a", "b", opened.astext(), "1", "2", "Because."]
    assert all("cell_output" not in node["classes"] for node in made[1].children)


def test_a_veiled_cell_without_a_veil_is_a_warning(render, tmp_path):
    heard = []
    anatomy.LOGGER.logger.addFilter(lambda record: heard.append(record.getMessage()) or True)
    made = page(cell("a", "veil", printed="1"))
    anatomy.move_under_veils(made)
    assert made[1].astext() == "a\n\n1"


def test_two_frameworks_become_tabs_that_agree_on_the_whole_site():
    made = page(cell("t", "pytorch"), cell("k", "keras"), cell("plain"), cell("k2", "keras"))
    anatomy.side_by_side(made)
    sets = [node for node in made.children if node.get("design_component") == "tab-set"]
    assert [[item[0].astext() for item in group] for group in sets] == [["PyTorch", "Keras"], ["Keras"]]
    assert [item[0]["sync_id"] for item in sets[0]] == ["pytorch", "keras"]
    assert made.children[2].astext() == "plain"


def test_a_drawing_is_part_of_the_page_and_its_names_are_its_own(tmp_path):
    file = tmp_path / "skip.svg"
    file.write_text(
        '<svg viewBox="0 0 1 1"><style>text{fill:red}</style><title>x</title>'
        '<marker id="m"/><path marker-end="url(#m)"/></svg>'
    )
    made = BeautifulSoup(drawings.inline(file, 'a "skip" and its way back'), "html.parser")
    assert made.svg["aria-label"] == 'a "skip" and its way back'
    assert made.svg["role"] == "img"
    assert made.marker["id"] == "skip-m"
    assert made.path["marker-end"] == "url(#skip-m)"
    assert not made.find(["style", "title"])


def test_all_drawings_bring_the_same_style_sheet(real):
    files = sorted((real.root / "book/_static/drawings").glob("*.svg"))
    sheets = {file.name: drawings.STYLE.search(file.read_text(encoding="utf-8"))[0].strip() for file in files}
    assert len(set(sheets.values())) == 1, sheets.keys()
    colours = re.compile(r'(?:fill|stroke)="(?!none)|style="')
    assert [file.name for file in files if colours.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("child", "seconds"),
    [
        (nodes.paragraph("", "one two three four five"), 3),
        (cell("a\nb\n\nc"), 3 * 8),
        (cell("a\nb", "hide-input", hide_mode="input", printed="x\ny"), 2 * 3),
        (cell("a\nb", "hide-cell", hide_mode="all", printed="x\ny"), 0),
        (nodes.paragraph("", "", nodes.strong("", "Predict.")), 75 + 0.6),
        (nodes.math_block("", "x"), 30),
    ],
)
def test_the_formula_of_minutes_counts_what_a_reader_does(child, seconds):
    assert page_times.minutes(nodes.section("", child)) * 60 == pytest.approx(seconds)


@pytest.mark.parametrize(("value", "said"), [(0.2, 1), (12.4, 12), (22, 20), (63, 65)])
def test_minutes_are_said_as_people_say_them(value, said):
    assert page_times.said(value) == said
