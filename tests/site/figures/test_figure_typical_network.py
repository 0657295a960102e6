"""What the figure typical-network says, against drawn networks and the theory to leading order."""

import numpy as np
from scipy.stats import norm

from gradclinic import init, theory


def drawn(depth, n, networks):
    """ln of the squared norm of a random direction after ``depth`` ReLU layers, for many networks."""
    rng = np.random.default_rng(3)
    a, v, log = np.ones((networks, n, 1)), rng.standard_normal((networks, n, 1)), np.zeros(networks)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    for _ in range(depth):
        w = init.he_normal((networks, n, n), rng)
        z = w @ a
        a, v = np.maximum(z, 0), (z > 0) * (w @ v)
        size = np.linalg.norm(v, axis=1, keepdims=True)
        log, v, a = log + 2 * np.log(size[:, 0, 0]), v / size, a / np.linalg.norm(a, axis=1, keepdims=True)
    return log


def test_typical_network_is_what_is_drawn(panel):
    shown = panel("typical-network")
    for depth, width in ((40, 40), (10, 20), (20, 30)):
        log = drawn(depth, width, 1500)
        shown.turn(depth=depth, width=width)
        value = shown.column(1)
        np.testing.assert_allclose(np.log(value[0]), log.mean(), atol=4 * log.std() / np.sqrt(1500))
        np.testing.assert_allclose(value[6], log.var(), rtol=0.15)
        np.testing.assert_allclose(value[4], np.mean(log < 0), atol=0.05)
    for depth, width in ((400, 1000), (20, 600)):
        shown.turn(depth=depth, width=width)
        value, leading = shown.column(1), theory.finite_width_log_variance(depth, width, "relu")
        np.testing.assert_allclose(value[6], leading, rtol=0.02)
        np.testing.assert_allclose(np.log(value[[0, 1]]), -leading / 2, rtol=0.02)
        np.testing.assert_allclose(value[5], norm.cdf((np.log(0.01) + leading / 2) / leading**0.5), atol=2e-3)
    assert shown.turn(depth=40, width=1000).column(1)[0] > 0.9 > shown.turn(depth=40, width=600).column(1)[0]
    np.testing.assert_allclose(
        shown.turn(depth=400, width=400).column(1)[0], shown.turn(depth=40, width=40).column(1)[0], rtol=0.12
    )
