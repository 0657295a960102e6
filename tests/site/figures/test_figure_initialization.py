"""What the figure initialization says, against its source."""

import numpy as np
import pytest
from panels import FIGURES

from gradclinic import activations, theory


def followed(name, gain, depth):
    """Rms of z in the last layer and the gradient of the first over that of the last, by following q."""
    phi, q, gradient = activations.get(name), gain**2, 1.0
    for _ in range(depth - 1):
        gradient *= np.sqrt(gain**2 * activations.gaussian_mean(lambda u, q=q: phi.slope(u) ** 2, q))
        q = theory.variance_map(name, q, gain**2)
    return np.sqrt(q), gradient


def test_initialization_is_gradclinic_s(panel):
    shown = panel("initialization")
    gains = FIGURES["initialization"].knobs[0].values
    for at, depth in ((12, 30), (18, 100), (52, 60), (0, 2), (60, 100)):
        gain = gains[at]
        shown.turn(gain=gain, depth=depth)
        for row, name in zip(shown.table, ("sigmoid", "tanh", "relu"), strict=True):
            last, gradient = followed(name, gain, depth)
            np.testing.assert_allclose(row[1], gradient, rtol=1e-3)  # six decimals of log10, a hundred layers
            np.testing.assert_allclose(row[2], theory.layer_factor(name, gain**2), rtol=1e-5)
            np.testing.assert_allclose(row[3:], [gain, last], rtol=1e-4)


def test_the_answer_s_numbers():
    assert np.sqrt(theory.critical_weight_variance("sigmoid")) > 10
    gains = FIGURES["initialization"].knobs[0].values
    assert (gains[19] / np.sqrt(2)) ** 39 == pytest.approx(10, rel=0.1)
