"""What the figure recurrence says, against its source."""

import numpy as np
import pytest

from gradclinic import theory


def test_recurrence_is_gradclinic_s(panel):
    shown = panel("recurrence")
    for rho, v, lag in ((1.1, 0.1, 60), (0.5, 0.0, 5), (2.0, 1.0, 200), (1.4, 0.1, 100)):
        shown.turn(rho=rho, v=v, lag=lag)
        factor = theory.layer_factor("tanh", rho**2, v)
        lags = shown.column(0)
        np.testing.assert_allclose(shown.column(1), rho**lags, rtol=1e-9)
        np.testing.assert_allclose(shown.column(2), factor**lags, rtol=2e-6 * lag)  # six digits of a factor
        assert f"at {factor:.3f} per step" in shown.sentence


def test_recurrence_does_not_open_on_its_answer(panel):
    sentence = panel("recurrence").sentence
    assert "1.4" not in sentence
    assert "0.883" not in sentence


def test_the_answer_s_numbers():
    assert theory.layer_factor("tanh", 1.1**2, 0.1) == pytest.approx(0.883, abs=5e-4)
    assert np.sqrt(theory.critical_weight_variance("tanh", 0.1)) == pytest.approx(1.41, abs=5e-3)
