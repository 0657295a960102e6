"""What the figure lstm says, against its source."""

import json
import re

import numpy as np
import pytest
from panels import FIGURES, ROOT
from scipy.special import expit


def test_lstm_is_the_page_s(panel):
    """The carousel in closed form; all paths as the page's own recording prints them, rounded to a tenth."""
    shown = panel("lstm")
    recorded = json.loads((ROOT / "notebooks/remedies/lstm.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in recorded["cells"] for output in cell.get("outputs", ())]
    printed = ["".join(output.get("text", ())) for output in outputs]
    (measured,) = [text for text in printed if "measured" in text and "forget bias" in text]
    found = re.findall(r"^forget bias (-?\d) +(\S+)", measured, re.MULTILINE)
    assert [bias for bias, _ in found] == ["0", "1", "2"]
    for bias, paths in found:
        shown.turn(bias=float(bias), lag=100)
        np.testing.assert_allclose(shown.column(1), expit(float(bias)) ** shown.column(0), rtol=1e-9)
        assert np.log10(shown.column(2)[-1]) == pytest.approx(float(paths), abs=0.06)


def test_the_answer_s_numbers():
    grid = FIGURES["lstm"].grid()
    kept = {bias: row[100] for bias, row in zip(grid["biases"], grid["lstm"], strict=True)}
    assert 13 < kept[1.0] - kept[0.0] < 14
    assert min(bias for bias in grid["biases"] if kept[bias] > 0) == 2.75
