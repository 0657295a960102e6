"""What the figure residual says, against its source."""

import numpy as np
import pytest

from gradclinic import theory


def normalised(depth):
    return np.prod(1 + 1 / (1 + (1 - 1 / np.pi) * np.arange(depth)))


def test_residual_is_gradclinic_s(panel):
    shown = panel("residual")
    for scale, depth in ((1.0, 32), (0.18, 32), (0.0, 7), (1.5, 200), (0.09, 128), (0.5, 1)):
        first = shown.turn(scale=scale, depth=depth).table[0]
        assert first[0] == 0
        assert first[1] == pytest.approx(theory.residual_growth(depth, scale), rel=1e-9)
        assert first[2] == pytest.approx(normalised(depth), rel=1e-9)
        assert first[3] == pytest.approx(theory.residual_growth(depth, depth**-0.5), rel=1e-9)
    for layer, here, *_ in shown.turn(scale=0.3, depth=40).table:
        assert here == pytest.approx((1 + 0.3**2) ** (40 - layer), rel=1e-9)


def test_the_answer_s_numbers():
    assert theory.residual_growth(32, 0.27) == pytest.approx(9.5, abs=0.05)
    assert theory.residual_growth(32, 0.28) == pytest.approx(11, abs=0.5)
    assert theory.residual_growth(128, 0.27) == pytest.approx(8200, rel=0.01)
    for depth, scale in ((32, 0.18), (128, 0.09)):
        assert depth**-0.5 == pytest.approx(scale, abs=0.005)
        assert theory.residual_growth(depth, depth**-0.5) == pytest.approx(2.7, abs=0.05)
