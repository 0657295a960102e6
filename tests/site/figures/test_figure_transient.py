"""What the figure transient says, against its source."""

import numpy as np
import pytest


def test_transient_is_numpy_s(panel):
    shown = panel("transient")
    for rho, c, lag in ((0.9, 10.0, 100), (0.5, 10.0, 20), (1.05, 0.0, 50), (0.3, 20.0, 200)):
        shown.turn(rho=rho, c=c, lag=lag)
        matrix = np.array([[rho, c], [0, rho]])
        norms = [np.linalg.norm(np.linalg.matrix_power(matrix, int(k)), 2) for k in shown.column(0)]
        np.testing.assert_allclose(shown.column(1), norms, rtol=1e-9)
        np.testing.assert_allclose(shown.column(2), rho ** shown.column(0), rtol=1e-9)
    assert "grows to 39 at k = 9" in shown.turn(rho=0.9, c=10.0, lag=100).sentence


def test_the_answer_s_numbers():
    assert np.linalg.norm([[0.5, 10], [0, 0.5]], 2) == pytest.approx(10, rel=0.01)
    powers = [np.linalg.norm(np.linalg.matrix_power([[0.85, 10], [0, 0.85]], k), 2) for k in range(60)]
    assert np.argmax(powers) == 6
    assert max(powers) == pytest.approx(27, abs=0.5)
    for c, grows in ((0.5, False), (0.74, False), (0.76, True), (1.0, True)):
        powers = [np.linalg.norm(np.linalg.matrix_power([[0.5, c], [0, 0.5]], k), 2) for k in range(1, 60)]
        assert (max(powers) > 1) == grows
