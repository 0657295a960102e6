"""What the figure width says, against its source."""

import numpy as np

from gradclinic import activations
from gradclinic.course import width


def test_change_is_the_rate_times_the_sum_of_the_inputs(panel):
    shown = panel("width")
    mean = activations.gaussian_mean(lambda u: np.maximum(u, 0.0), 2.0)
    for n, rate, rule in ((32, 0.001, 0), (4096, 0.001, 0), (1024, 0.01, 1), (256, 0.0001, 1), (64, 0.003, 0)):
        shown.turn(width=n, rate=rate, rule=rule)
        widths = shown.column(0)
        used = np.array([width.rates(int(w), rate, mup=bool(rule))[1] for w in widths])
        np.testing.assert_allclose(shown.column(1), used, rtol=1e-9)
        np.testing.assert_allclose(shown.column(2), used * widths * mean, rtol=1e-3)
        np.testing.assert_allclose(shown.column(3)[list(widths).index(n)], 1, rtol=1e-9)


def test_width_answer(panel):
    change = panel("width").turn(width=32, rate=0.001, rule=0).column(2)
    assert change[-1] > np.sqrt(2) > change[-2]
    assert abs(change[-1] - 2.3) < 0.05
    assert change[-1] / change[0] == 128
