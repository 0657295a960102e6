"""What the figure edge says, against the descent of the page and the matrix of second derivatives."""

import numpy as np
import pytest


def descent(rate, start, steps=600):
    u, v = start, 1.02 / start
    path = [(u, v)]
    for _ in range(steps):
        error = u * v - 1
        u, v = u - rate * error * v, v - rate * error * u
        path.append((u, v))
    return np.array(path)


def test_edge_is_the_descent_of_the_page(panel):
    shown = panel("edge")
    for rate, start in ((0.25, 3.0), (0.05, 1.0), (0.21, 3.0), (0.22, 3.0), (0.2, 4.0)):
        path = descent(rate, start)
        for k, u, v, error, product in shown.turn(rate=rate, start=start).table:
            np.testing.assert_allclose([u, v], path[int(k)], rtol=1e-6, atol=1e-9)
            assert error == pytest.approx(path[int(k)].prod() - 1, rel=1e-5, abs=1e-9)
            assert product == pytest.approx(rate * np.sum(path[int(k)] ** 2), rel=1e-6)
    assert "leaves for infinity" in shown.turn(rate=0.25, start=4.0).sentence
    assert "leaves for infinity" not in shown.turn(rate=0.25, start=3.0).sentence


def test_sharpness_is_the_largest_eigenvalue():
    for u in (1.0, 3.0):
        v = 1 / u
        hessian = np.array([[v * v, 2 * u * v - 1], [2 * u * v - 1, u * u]])
        assert np.linalg.eigvalsh(hessian)[-1] == pytest.approx(u * u + v * v)


def test_the_answer_s_numbers():
    for rate, product, last in ((0.21, 1.91, 1.91), (0.22, 2.01, 1.99)):
        path = descent(rate, 3.0, 3000)
        begin, end = (rate * np.sum(path[k] ** 2) for k in (0, -1))
        error = np.abs(path.prod(axis=1) - 1)
        assert begin == pytest.approx(product, abs=0.005)
        assert end == pytest.approx(last, abs=0.005)
        assert (error.max() > 0.021) == (begin > 2)
    product = 0.25 * (16 + 0.255**2)
    assert product == pytest.approx(4.02, abs=0.005)
