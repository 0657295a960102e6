"""The arithmetic of one row, from the notes that both frameworks take."""

import pytest

from gradclinic.instrument.core import Bend, Call, Layer, reading


def test_the_readings_of_an_activation_are_those_of_one_function():
    """A layer that a ReLU reads and then a tanh: shares of two functions have no common meaning."""
    relu = Bend("relu", dead=0.5, saturated=0.25, size=3.0, entries=9)
    tanh = Bend("tanh", dead=None, saturated=0.75, size=40.0, entries=16)
    again = Bend("relu", dead=0.3, saturated=0.35, size=4.0, entries=16)
    layer = Layer("fc", "Linear", [Call([2.0], 4, [0], bends=[relu, tanh]), Call([2.0], 4, [0], bends=[again])])
    found = reading(layer, batch=1)
    assert found.function == "relu"
    assert found.dead == pytest.approx(0.4)
    assert found.saturated == pytest.approx(0.3)
    assert found.activation == pytest.approx(1.0)  # sqrt(3^2 + 4^2) over sqrt(9 + 16)
    assert found.output == pytest.approx(1.0)  # sqrt(2^2 + 2^2) over sqrt(4 + 4)
