"""What the figure window says, against its source."""

import numpy as np
import pytest

from gradclinic import activations, chain


def test_window_is_gradclinic_s(panel):
    shown = panel("window")
    slope = activations.get("sigmoid").slope
    for w, b in ((20.0, -10.0), (6.9, -3.5), (40.0, -20.0), (3.0, 1.0), (4.0, -2.0), (5.5, 2.25)):
        rows = dict(shown.turn(w=w, b=b).table)
        width, ends = chain.explosive_width(w), chain.explosive_window(w, b)
        assert rows["width of the window"] == pytest.approx(width, rel=1e-9)
        assert rows["peak w/4"] == w / 4
        if w >= 4:
            found = rows["its lower edge"], rows["its upper edge"]
            np.testing.assert_allclose(found, ends, rtol=1e-9)
            share = max(0.0, min(1, ends[1]) - max(0, ends[0]))
            assert rows["share of the inputs (0, 1)"] == pytest.approx(share, rel=1e-9)
        else:
            assert rows["its lower edge"] == rows["its upper edge"] == "none"
        for tenth in range(11):
            a = tenth / 10
            assert rows[f"factor at a = {a:g}"] == pytest.approx(w * slope(w * a + b), rel=1e-9)


def test_the_answer_s_numbers():
    assert chain.explosive_width(6.9) == pytest.approx(0.448, abs=5e-4)
