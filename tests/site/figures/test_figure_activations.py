"""What the figure activations says, against its source."""

import numpy as np
import pytest

from gradclinic.activations import gaussian_mean


def factor(slope, gain):
    return gain * np.sqrt(gaussian_mean(lambda u: np.where(u > 0, 1.0, slope) ** 2, 1.0))


def test_activations_is_gradclinic_s(panel):
    shown = panel("activations")
    for slope, gain in ((0.0, 1.0), (0.0, 1.41), (0.3, 1.41), (1.0, 1.0), (-0.5, 2.5), (0.01, 0.5)):
        rows = dict(shown.turn(slope=slope, gain=gain).table)
        assert rows["factor per layer"] == pytest.approx(factor(slope, gain), rel=1e-6)
        assert factor(slope, rows["gain that is level"]) == pytest.approx(1, rel=1e-6)
        for layer in (1, 10, 50):
            expected = factor(slope, gain) ** (50 - layer)
            assert rows[f"gradient in layer {layer}"] == pytest.approx(expected, rel=1e-6)


def test_the_answer_s_numbers():
    assert factor(0.0, 1.41) == pytest.approx(1, abs=0.005)
    assert factor(0.3, 1.41) ** 49 == pytest.approx(7.1, abs=0.1)
    assert factor(0.3, np.sqrt(2)) ** 49 == pytest.approx(8.3, abs=0.05)
    assert factor(1.0, 1.0) == pytest.approx(1, rel=1e-9)
