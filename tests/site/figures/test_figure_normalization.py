"""What the figure normalization says, against its source."""

import numpy as np
import pytest

from gradclinic import theory

NAMES = ("relu", "tanh", "sigmoid")


def by_batch(name, m):
    return theory.batchnorm_factor(name) * np.sqrt((m - 2) / (m - 3))


def test_normalization_is_gradclinic_s(panel):
    shown = panel("normalization")
    for axis, act, batch in ((0, 0, 32), (1, 0, 32), (0, 2, 4), (1, 2, 256), (0, 1, 8)):
        name = NAMES[act]
        for layer, over_batch, over_units, chosen in shown.turn(axis=axis, act=act, batch=batch).table:
            assert chosen == (over_batch, over_units)[axis]
            assert over_batch == pytest.approx(by_batch(name, batch) ** (50 - layer), rel=1e-3)
            assert over_units == pytest.approx(theory.layernorm_factor(name) ** (50 - layer), rel=1e-3)


def test_the_answer_s_numbers():
    assert by_batch("relu", 256) ** 49 == pytest.approx(1.3e4, rel=0.03)
    assert 1e11 < by_batch("relu", 4) ** 49 < 1e12
    assert theory.layernorm_factor("relu") == pytest.approx(1, abs=1e-6)
    assert theory.layernorm_factor("sigmoid") == pytest.approx(0.39, abs=0.005)
    assert by_batch("sigmoid", 256) ** 49 < 3
