"""The tables of *Choosing* on the matrix's page: every number is the stored runs', and every piece of code works."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gradclinic.course import long_runs
from gradclinic.tf_net import keras

PAGE = Path(__file__).parents[2] / "book" / "remedies" / "matrix.md"
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^]]+)\]\(([\w./-]+)\.md\)")
LOOPS = {"pytorch": "torch.optim.Muon", "keras": "keras.optimizers.Muon"}  # what a link to *a loop* promises
N, DEPTH = 32, 20

# The first words of a row, and the row of the table of remedies; which patient's number it is, stands above each table.
ROWS = {
    "a skip around every layer": "residual",
    "batch normalisation": "batch-normalization",
    "layers learnt one by one": "pretraining",
    "isometric start": "initialization-isometric",
    "ReLU in place of the sigmoid": "relu",
    "Muon on the hidden weights": "muon",
    "orthogonal weights": "initialization-orthogonal",
    "He's scale": "relu",
    "layer normalisation inside the branch": "residual-layer",
    "batch normalisation inside the branch": "residual-normalized",
    "the branch scaled": "residual-scaled",
}


def tables():
    """For each table its patient and its rows: treatment, steps, PyTorch, Keras."""
    text = PAGE.read_text()
    section = text[text.index("## Choosing\n") : text.index("## In three lines")]
    found = []
    for block in section.split("**The ")[1:]:
        patient = re.search(r"This is patient ([AB])", block).group(1)
        lines = [line for line in block.splitlines() if line.startswith("|")][2:]
        found.append((patient, [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]))
    return found


CASES = [(patient, *row) for patient, rows in tables() for row in rows]


def key_of(treatment):
    """The longest beginning that fits, so that 'batch normalisation inside' is not 'batch normalisation'."""
    return ROWS[max((words for words in ROWS if treatment.startswith(words)), key=len)]


def arrival(row):
    steps = [run.steps[np.median(run.accuracy, axis=1) > 0.85] for run in (row.short, row.long)]
    return min(np.concatenate(steps))


def test_there_are_three_tables_and_none_lost_a_row():
    assert [(patient, len(rows)) for patient, rows in tables()] == [("A", 6), ("B", 3), ("B", 3)]
    assert {key_of(treatment) for _, treatment, *_ in CASES} == set(ROWS.values())


@pytest.mark.parametrize(("patient", "treatment", "steps"), [case[:3] for case in CASES])
def test_steps_are_the_stored_ones(patient, treatment, steps):
    assert int(re.match(r"\d+", steps).group()) == arrival(long_runs.table()[key_of(treatment), patient])


@pytest.mark.parametrize("rows", [rows for _, rows in tables()], ids=["vanishing", "exploding", "with skips"])
def test_the_quickest_comes_first(rows):
    steps = [int(re.match(r"\d+", row[1]).group()) for row in rows]
    assert steps == sorted(steps)


def links():
    """Framework, name and page of each cell that is a link; a cell is one, or a piece of code."""
    found = []
    for case in CASES:
        for tag, cell in zip(LOOPS, case[3:], strict=True):
            if not CODE.fullmatch(cell):
                words, page = LINK.fullmatch(cell).groups()
                found.append((tag, LOOPS[tag] if words == "a loop" else words.strip("`"), page))
    return found


@pytest.mark.parametrize(("tag", "name", "page"), links())
def test_a_link_leads_to_code_in_that_framework(tag, name, page):
    text = (PAGE.parent / f"{page}.md").read_text()
    cells = re.findall(rf":tags: \[{tag}\]\n(.*?)```", text, re.DOTALL)
    assert any(name in code for code in cells)


def spans(column):
    return [CODE.fullmatch(case[column]).group(1) for case in CASES if CODE.fullmatch(case[column])]


@pytest.mark.parametrize("code", spans(3))
def test_pytorch_code_works(code):
    torch.manual_seed(0)
    x, w, branch = torch.randn(8, N), nn.Parameter(torch.empty(N, N)), nn.Linear(N, N)
    made = eval(code, {"nn": nn, "init": nn.init, "n": N, "x": x, "w": w, "branch": branch, "depth": DEPTH})
    if isinstance(made, tuple):
        assert nn.Sequential(*made)(x).shape == x.shape
    elif made is w:
        assert abs(w.std().item() / (2 / N) ** 0.5 - 1) < 0.1
    else:
        scale = DEPTH**-0.5 if "depth" in code else 1.0
        assert torch.allclose(made, x + scale * branch(x))


@pytest.mark.parametrize("code", spans(4))
def test_keras_code_works(code):
    keras.utils.set_random_seed(0)
    names = vars(keras.layers) | vars(keras.initializers) | {"n": N, "depth": DEPTH}
    x, branch = keras.random.normal((8, N)), keras.layers.Dense(N)
    made = eval(code, {**names, "x": x, "branch": branch})
    if isinstance(made, tuple):
        assert keras.Sequential(list(made))(x).shape == x.shape
    elif isinstance(made, keras.initializers.Initializer):
        layer = keras.layers.Dense(N, "relu", kernel_initializer=made)
        layer.build((None, N))
        assert abs(np.std(layer.kernel.numpy()) / (2 / N) ** 0.5 - 1) < 0.1
    else:
        scale = DEPTH**-0.5 if "depth" in code else 1.0
        assert np.allclose(made, x + scale * branch(x), atol=1e-6)
