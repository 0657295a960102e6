"""The rules of a page that teaches: each is broken once."""

from __future__ import annotations

import pytest

from workshop.teaching import (
    NOT_YET,
    Cell,
    code_rules,
    parts_rules,
    print_rules,
    source_rules,
    teaching,
    veil_rules,
    veiled_rules,
)

GOOD = """# A remedy

![a layer with a path past it, and the gradient coming back on both](../_static/drawings/x.svg)

**Predict.** How many?

<details class="veil"><summary>Show the answer</summary>

Two.

</details>

## Take it with you

## In three lines

- One.
- Two.
- Three.

## What the sources say

S0 says so {cite}`source_s0`.
"""
PAGE = "remedies/residual"
TAKEN = [Cell(1, ["import torch"], {"pytorch"}), Cell(1, ["import keras"], {"keras"}), Cell(1, ["x"], {"curve"})]


def problems(text=GOOD, page=PAGE, cells=TAKEN):
    found = [*veil_rules(text), *parts_rules(page, text, cells), *source_rules(page, text)]
    return found + [problem for cell in cells for rule in (code_rules, print_rules) for problem in rule(cell)]


def test_a_good_page_has_no_problem():
    assert problems() == []


def test_a_veiled_cell_needs_a_veil_below_it_before_the_next_heading():
    veil = '<details class="veil"><summary>Show the answer</summary>\n\nSo.\n\n</details>\n'
    cell = "```{code-cell} ipython3\n:tags: [veil]\nprint(1)\n```\n"
    for text, wanted in ((cell + "\n" + veil, []), (veil + cell, [8]), (cell + "\n## Next\n\n" + veil, [3])):
        line = text.split("\n").index("print(1)") + 1
        assert [found for found, _ in veiled_rules(text, [Cell(line, ["print(1)"], {"veil"})])] == wanted


@pytest.mark.parametrize(
    ("cell", "line", "what"),
    [
        (Cell(7, ["x = 1", "y" * 79], set()), 8, "79 characters"),
        (Cell(7, ["assert x"], set()), 7, "an assertion"),
        (Cell(7, ["# @title Plumbing", "    np.testing.assert_allclose(a, b)"], {"hide-input"}), 8, "an assertion"),
        (Cell(7, ["import numpy"], set()), 7, "a visible import"),
        (Cell(7, ["from gradclinic import chain"], set()), 7, "a visible import"),
        (Cell(7, ["fig, ax = plt.subplots()"], set()), 7, "visible plotting"),
        (Cell(7, ["x = 1"], {"hide-input"}), 7, "without a label"),
        (Cell(7, ["# @title What is asserted here", "assert x"], {"checks", "hide-input"}), 7, "hide-cell"),
        (Cell(7, ["x"], set(), ["a" * 81]), 7, "prints 81 characters"),
        (Cell(7, ["x"], set(), ["above 0.8: True"]), 7, "prints True"),
    ],
)
def test_each_rule_of_a_cell_catches(cell, line, what):
    found = [problem for rule in (code_rules, print_rules) for problem in rule(cell)]
    assert [number for number, _ in found] == [line]
    assert what in found[0][1]


@pytest.mark.parametrize(
    "cell",
    [
        Cell(1, ["# @title What is asserted here", "assert x"], {"hide-cell", "checks"}),
        Cell(1, ["# @title Solution 1", "assert x", "y" * 100], {"hide-cell", "solution"}, ["True"]),
        Cell(1, ["# @title Imports", "import numpy"], {"hide-input"}),
        Cell(1, ["import torch", "from torch import nn"], {"pytorch"}),
        Cell(1, ["x" * 78], set(), ["y" * 80, "Truely False_positive"]),
    ],
)
def test_what_is_allowed_is_let_through(cell):
    assert [*code_rules(cell), *print_rules(cell)] == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('<details class="veil">', "<details>", "without its veil"),
        ("<details", "## Next\n\n<details", "without its veil"),
        ("## In three lines", "## In short", "no section In three lines"),
        ("- Three.\n", "", "has 2 lines"),
        ("## Take it with you", "## Code", "no section Take it with you"),
        ("../_static/drawings/x.svg", "../_static/x.png", "no drawing"),
        ("**Predict.**", "As S3 says.\n\n**Predict.**", "names a source (S3)"),
        ("**Predict.**", "So {cite}`source_s2`.\n\n**Predict.**", "names a source (source_s2)"),
    ],
)
def test_each_rule_of_a_page_catches(old, new, what):
    found = problems(GOOD.replace(old, new, 1))
    assert len(found) == 1
    assert what in found[0][1]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_remedy_needs_both_frameworks_and_a_curve(missing):
    cells = [cell for place, cell in enumerate(TAKEN) if place != missing]
    assert len(problems(cells=cells)) == 1


def test_other_pages_need_neither_a_curve_nor_code_to_take_home():
    text = GOOD.replace("## Take it with you\n", "").replace("![a layer", "[a layer")
    assert problems(text, "why/descent", []) == []


def test_a_page_about_the_sources_may_name_them():
    assert problems(GOOD.replace("**Predict", "S3 says.\n\n**Predict", 1), "reproduce/exploding", []) == []


def test_the_book_keeps_the_rules_and_the_list_of_exceptions_is_honest(real):
    assert teaching(real) == []
    assert set(real.executed) >= NOT_YET
