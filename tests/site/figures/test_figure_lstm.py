"""What the figure lstm says, against its source."""

import json
import re

import numpy as np
import pytest
from panels import FIGURES, ROOT
from scipy.special import expit


def test_lstm_is_the_page_s(panel):
    """The carousel in closed form; all paths as the page's own recording prints them."""
    shown = panel("lstm")
    recorded = json.loads((ROOT / "notebooks/remedies/lstm.ipynb").read_text(encoding="utf-8"))
    printed = "".join(
        "".join(output.get("text", ()))
        for cell in recorded["cells"]
        for output in cell.get("outputs", ())
        if "all paths" in "".join(output.get("text", ()))
    )
    found = re.findall(r"forget bias +(-?\d): carousel 10\^ *(\S+) \(exact\), all paths 10\^ *(\S+)", printed)
    assert len(found) == 8
    for bias, _, paths in found:
        shown.turn(bias=float(bias), lag=100)
        np.testing.assert_allclose(shown.column(1), expit(float(bias)) ** shown.column(0), rtol=1e-9)
        assert np.log10(shown.column(2)[-1]) == pytest.approx(float(paths), abs=1e-6)


def test_the_answer_s_numbers():
    grid = FIGURES["lstm"].grid()
    kept = {bias: row[100] for bias, row in zip(grid["biases"], grid["lstm"], strict=True)}
    assert 13 < kept[1.0] - kept[0.0] < 14
    assert min(bias for bias in grid["biases"] if kept[bias] > 0) == 2.75
