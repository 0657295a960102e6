"""What the figure parabola says, against its source."""

import numpy as np


def test_parabola_is_the_power_of_one_factor(panel):
    shown = panel("parabola")
    for rate in (0.01, 0.1, 0.5, 0.9, 1.3):
        shown.turn(rate=rate)
        expected = (1 - 2 * rate) ** np.arange(21)
        np.testing.assert_allclose(shown.column(1), expected, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(shown.column(2), expected**2, rtol=1e-9, atol=1e-300)
    assert "comes to rest" in shown.turn(rate=0.99).sentence
    assert "for ever" in shown.turn(rate=1.0).sentence
    assert "leaves for good" in shown.turn(rate=1.01).sentence
    assert "is 0 away from the bottom" in shown.turn(rate=0.5).sentence
