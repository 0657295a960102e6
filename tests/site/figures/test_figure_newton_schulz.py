"""What the figure newton-schulz says, against gradclinic's iteration on matrices."""

import numpy as np
import pytest
import torch

from gradclinic.course import ensemble


def lifted(start, iterations):
    """The singular value ``start`` of a matrix of Frobenius norm 1, after the iterations on the matrix."""
    matrix = torch.diag(torch.tensor([np.sqrt(1 - start**2), start, 0.0], dtype=torch.float64))
    return ensemble.orthogonalized(matrix, iterations)[1, 1].item()


def test_newton_schulz_is_gradclinic_s(panel):
    shown = panel("newton-schulz")
    for start, iterations in ((0.001, 5), (1e-6, 12), (0.1, 0), (0.018, 1), (0.56, 7)):
        shown.turn(start=start, iterations=iterations)
        for k, value, times, _, beside in shown.table:
            assert value == pytest.approx(lifted(start, k), rel=1e-6)
            assert times == pytest.approx(value / start, rel=1e-9)
            assert beside == pytest.approx(value / shown.table[iterations][1], rel=1e-9)
        classical = start
        for _ in range(12):
            classical = 1.5 * classical - 0.5 * classical**3
        assert shown.table[12][3] == pytest.approx(classical, rel=1e-9)
        here = shown.points()["all singular values"]["here"]
        assert here["x"][0] == pytest.approx(np.log10(start))
        assert here["y"][0] == pytest.approx(lifted(start, iterations), rel=1e-6)


def test_the_answer_s_numbers():
    assert lifted(0.0018, 5) == pytest.approx(0.79, abs=0.005)
    assert lifted(0.001, 5) == pytest.approx(0.47, abs=0.005)
    assert lifted(1e-5, 9) == pytest.approx(0.64, abs=0.005)
    assert lifted(1e-5, 8) < 0.5
