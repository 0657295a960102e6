"""What the figure adaptive says, against its source."""

import numpy as np
import pytest

from gradclinic import chain

KERAS = 1 / np.sqrt(1 - 0.999)


def steps(depth, eps):
    """Gradient of each weight of the page's chain, and Adam's first step by PyTorch's and by Keras's rule."""
    half = np.full(depth, 0.5)
    g = abs(chain.gradients(half, half, 2.0).dw)
    return g, g / (g + eps), g / (g + KERAS * eps)


def test_adaptive_is_gradclinic_s(panel):
    shown = panel("adaptive")
    for depth, exponent in ((20, -8), (20, -7), (40, -39), (2, 0), (60, -20), (33, -40)):
        eps = float(f"1e{exponent}")
        shown.turn(eps=eps, depth=depth)
        expected = steps(depth, eps)
        for layer, *row in shown.table:
            for value, source in zip(row, expected, strict=True):
                assert value == pytest.approx(source[int(layer) - 1], rel=1e-7)
        said = f"{np.sum(expected[1] > 0.5)} of {depth} layers take more than half of Adam's full step with PyTorch"
        assert f"{said}, {np.sum(expected[2] > 0.5)} with Keras" in shown.sentence
        assert shown.table[0][0] == 1


def test_the_answer_s_numbers():
    for depth in (20, 40):
        assert np.sum(steps(depth, 1e-8)[1] > 0.5) == 8
    assert steps(40, 1e-39)[1][0] > 0.5 > steps(40, 1e-38)[1][0]
    full = [[np.sum(share > 0.5) for share in steps(60, 10.0**exponent)[1:]] for exponent in range(-40, -4)]
    assert {torch - keras for torch, keras in full} == {1, 2}
