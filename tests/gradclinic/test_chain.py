from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

from gradclinic import chain
from gradclinic.activations import ACTIVATIONS

LN10 = math.log(10)


def output(weights, biases, x, activation):
    a = x
    for i in range(weights.shape[-1]):
        a = ACTIVATIONS[activation](a * weights[..., i] + biases[..., i])
    return a


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_against_central_differences(activation):
    rng = np.random.default_rng(1)
    weights, biases, x = rng.normal(0, 2, (20, 4)), rng.normal(size=(20, 4)), rng.normal(size=20)
    g = chain.gradients(weights, biases, x, activation)
    np.testing.assert_array_equal(g.output, output(weights, biases, x, activation))
    h = 1e-6
    for i in range(4):
        step = h * np.eye(4)[i]
        high, low = (output(weights + s * step, biases, x, activation) for s in (1, -1))
        np.testing.assert_allclose(g.dw[:, i], (high - low) / (2 * h), rtol=1e-6, atol=1e-8)
        high, low = (output(weights, biases + s * step, x, activation) for s in (1, -1))
        np.testing.assert_allclose(g.db[:, i], (high - low) / (2 * h), rtol=1e-6, atol=1e-8)


def test_gradients_against_the_product_written_out():
    (w0, w1, w2), (b0, b1, b2), x = (0.7, -1.3, 2.1), (0.2, 0.4, -0.5), 1.7

    def s(z):
        return 1 / (1 + math.exp(-z))

    def d(z):
        return s(z) * (1 - s(z))

    z0 = x * w0 + b0
    z1 = s(z0) * w1 + b1
    z2 = s(z1) * w2 + b2
    g = chain.gradients([w0, w1, w2], [b0, b1, b2], x)
    assert g.output == pytest.approx(s(z2), rel=1e-14)
    np.testing.assert_allclose(g.z, [z0, z1, z2], rtol=1e-14)
    np.testing.assert_allclose(g.db, [d(z0) * w1 * d(z1) * w2 * d(z2), d(z1) * w2 * d(z2), d(z2)], rtol=1e-14)
    np.testing.assert_allclose(g.dw, g.db * [x, s(z0), s(z1)], rtol=1e-14)


def test_gradients_against_autograd():
    rng = np.random.default_rng(2)
    w, b = (torch.tensor(rng.normal(0, 3, 12), requires_grad=True) for _ in range(2))
    a = torch.tensor(0.3, dtype=torch.float64)
    for i in range(12):
        a = torch.sigmoid(a * w[i] + b[i])
    a.backward()
    g = chain.gradients(w.detach().numpy(), b.detach().numpy(), 0.3)
    np.testing.assert_allclose(g.dw, w.grad.numpy(), rtol=1e-11)
    np.testing.assert_allclose(g.db, b.grad.numpy(), rtol=1e-11)


def test_leading_axes_broadcast():
    rng = np.random.default_rng(3)
    weights, biases, x = rng.normal(size=(5, 1, 3)), rng.normal(size=(4, 3)), rng.normal(size=(2, 1, 1))
    g = chain.gradients(weights, biases, x)
    log10 = chain.log10_gradient(weights, biases, x)
    assert g.output.shape == log10.shape == (2, 5, 4)
    assert g.dw.shape == g.db.shape == g.z.shape == (2, 5, 4, 3)
    assert {a.dtype for a in (g.output, g.dw, g.db, g.z, log10)} == {np.dtype(np.float64)}
    one = chain.gradients(weights[3, 0], biases[2], x[1, 0, 0])
    np.testing.assert_allclose(one.dw, g.dw[1, 3, 2], rtol=1e-13)
    np.testing.assert_allclose(one.db, g.db[1, 3, 2], rtol=1e-13)
    np.testing.assert_allclose(log10, np.log10(np.abs(g.dw[..., 0])), rtol=0, atol=1e-13)
    assert np.ndim(one.output) == 0


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_log10_gradient_is_the_logarithm_where_both_exist(activation):
    rng = np.random.default_rng(4)
    weights, biases, x = rng.normal(0, 3, (200, 8)), rng.normal(1, 1, (200, 8)), rng.normal(size=200)
    dw = np.abs(chain.gradients(weights, biases, x, activation).dw[:, 0])
    log10 = chain.log10_gradient(weights, biases, x, activation)
    seen = dw > 1e-280
    assert seen.any()
    np.testing.assert_allclose(log10[seen], np.log10(dw[seen]), rtol=0, atol=1e-9)
    assert np.all(log10[~seen] < -279)
    single = [chain.log10_gradient(w, b, x_i, activation) for w, b, x_i in zip(weights, biases, x, strict=True)]
    # Alone and in a batch, a processor may take different code for tanh. Absolute: of a product near 1 the logarithm is
    # near 0, and its error is the product's relative one.
    np.testing.assert_allclose(single, log10, rtol=1e-13, atol=1e-13)


def test_the_numbers_of_the_exploding_page():
    # w everywhere, bias 0.5, x = 2: from w = 10 on every sigmoid is 1 to eight digits, so z = 2w + .5, w + .5, w + .5
    w = np.array([0.5, 1, 2, 5, 10, 20, 50, 100, 200])
    log10 = chain.log10_gradient(w[:, None] * np.ones(3), 0.5 * np.ones((9, 3)), 2.0)
    assert log10.round(2).tolist() == [-2.50, -2.43, -3.30, -7.64, -15.72, -32.49, -83.81, -170.07, -343.18]
    np.testing.assert_allclose(log10[4:], np.log10(2 * w[4:] ** 2) - (4 * w[4:] + 1.5) / LN10, atol=1e-3)
    # float64 itself loses the last row
    assert chain.gradients([200.0] * 3, [0.5] * 3, 2.0).dw[0] == 0


def test_biases_that_hold_z_at_zero_make_every_factor_a_quarter_of_w():
    for w in (0.5, 4.0, 100.0):
        g = chain.gradients([w] * 3, [-2 * w, -w / 2, -w / 2], 2.0)
        np.testing.assert_array_equal(g.z, 0)
        assert g.dw[0] == pytest.approx(2 * 4.0**-3 * w**2, rel=1e-14)
    assert g.dw[0] == pytest.approx(312.5, rel=1e-14)


def test_log10_gradient_needs_no_range():
    depth = 10_000
    ones = np.ones(depth)
    # z = 0 throughout: the factor is w / 4 in every layer
    for w in (0.04, 4.0, 400.0):
        biases = np.r_[-w, np.full(depth - 1, -w / 2)]
        expected = -math.log10(4) + (depth - 1) * math.log10(w / 4)
        assert chain.log10_gradient(w * ones, biases, 1.0) == pytest.approx(expected, rel=1e-12)
    # a slope of e^-200000 in each layer
    expected = (-2e5 - 0.5 - 2 * (1e5 + 0.5)) / LN10 + math.log10(2) + 10
    assert chain.log10_gradient([1e5] * 3, [0.5] * 3, 2.0) == pytest.approx(expected, rel=1e-14)
    # the forward pass of a ReLU chain leaves float64 on either side, and its slope is 1 all the same
    for w in (0.5, 2.0, 1e200):
        expected = (depth - 1) * math.log10(w)
        assert chain.log10_gradient(w * ones, 0 * ones, 1.0, "relu") == pytest.approx(expected, rel=1e-12)
        assert chain.log10_gradient(w * ones, 0 * ones, 1.0, "leaky_relu") == pytest.approx(expected, rel=1e-12)
    assert chain.log10_gradient([1e-200, 1e-200, 1.0], [0, 0, 1e-300], 1.0, "relu") == pytest.approx(-200)
    assert chain.log10_gradient([1e-200, 1e-200, 1.0], [0, 0, -1e-300], 1.0, "relu") == -math.inf
    assert not np.isnan(chain.log10_gradient([1e300] * 4, [0.0] * 4, 1e300, "gelu"))


def test_a_sum_that_cancels_forgets_how_large_its_parts_were():
    """z_0 = 2^1000 - 2^1000 = 0, and z_1 is a bias of 2^-1000: positive, so that its slope is 1 and not 0.01."""
    log10 = chain.log10_gradient([1.0, 1.0], [-(2.0**1000), 2.0**-1000], 2.0**1000, "leaky_relu")
    assert log10 == pytest.approx(1000 * math.log10(2) - 2, rel=1e-13)


def test_gradients_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        chain.gradients([1.0], [0.0], 1.0).dw = 0


def test_a_factor_of_zero_gives_minus_infinity_without_a_warning():
    assert chain.log10_gradient([1.0, 0.0, 1.0], [0.0] * 3, 1.0) == -math.inf
    assert chain.log10_gradient([1.0, 1.0], [0.0] * 2, 0.0) == -math.inf
    assert chain.log10_gradient([1.0, 1.0], [-2.0, 0.0], 1.0, "relu") == -math.inf
    # w_0 is not a factor of the derivative with respect to w_0
    assert math.isfinite(chain.log10_gradient([0.0, 1.0], [0.0] * 2, 1.0))
    batch = chain.log10_gradient([[1.0, 0.0], [1.0, 1.0]], [0.0, 0.0], [1.0, 1.0])
    assert np.isneginf(batch).tolist() == [True, False]
    # an overflow on the way does not turn the zero into nan
    assert chain.log10_gradient([1e300, 1e300, 0.0, 1.0], [0.0] * 4, 1.0, "selu") == -math.inf


@pytest.mark.parametrize("function", [chain.gradients, chain.log10_gradient])
def test_shapes_that_do_not_fit_are_refused(function):
    with pytest.raises(ValueError, match=r"weights: got shape \(\), wanted \(..., L\)"):
        function(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"weights: got shape \(0,\)"):
        function([], [], 1.0)
    with pytest.raises(ValueError, match=r"biases: got shape \(2,\), wanted \(..., 3\)"):
        function(np.ones(3), np.ones(2), 1.0)
    with pytest.raises(ValueError, match=r"x: got shape \(5,\), wanted one that broadcasts"):
        function(np.ones((4, 3)), np.ones(3), np.ones(5))
    with pytest.raises(ValueError, match="activation: got 'step'"):
        function(np.ones(3), np.ones(3), 1.0, "step")


def test_log10_gradient_refuses_what_is_not_finite():
    for name, arguments in {
        "weights": ([math.nan, 1], [0, 0], 1),
        "biases": ([1, 1], [0, math.inf], 1),
        "x": ([1, 1], [0, 0], -math.inf),
    }.items():
        with pytest.raises(ValueError, match=f"{name}: got nan or inf"):
            chain.log10_gradient(*arguments)


def test_explosive_width_is_nielsens():
    w = np.array([4.001, 5.0, 6.894, 20.0, 1e3])
    nielsen = 2 / w * np.log(w * (1 + np.sqrt(1 - 4 / w)) / 2 - 1)
    np.testing.assert_allclose(chain.explosive_width(w), nielsen, rtol=1e-11)
    np.testing.assert_array_equal(chain.explosive_width(-w), chain.explosive_width(w))
    widest = minimize_scalar(lambda v: -chain.explosive_width(v), bounds=(4, 20), method="bounded")
    assert round(widest.x, 3) == 6.894
    assert round(-widest.fun, 4) == 0.4477


def test_explosive_width_is_the_measure_of_the_set():
    sigmoid = ACTIVATIONS["sigmoid"]
    for w, b in ((5.0, 0.0), (6.894, -3.0), (-12.0, 1.0), (300.0, -150.0)):
        low, high = chain.explosive_window(w, b)

        def excess(a, w=w, b=b):
            return abs(w) * sigmoid.slope(w * a + b) - 1

        centre = -b / w
        assert high == pytest.approx(brentq(excess, centre, centre + 10, xtol=1e-13), abs=1e-11)
        assert low == pytest.approx(brentq(excess, centre - 10, centre, xtol=1e-13), abs=1e-11)
        assert high - low == pytest.approx(chain.explosive_width(w), rel=1e-12)


def test_explosive_width_at_the_edge_and_at_huge_weights():
    np.testing.assert_array_equal(chain.explosive_width([0, 1, -3.999, 4, -4]), 0)
    assert isinstance(chain.explosive_width(5), float)
    # width = sqrt(eps) / 2 for |w| = 4 + eps: half-window in z is artanh(r) * 2 with r = sqrt(eps) / 2
    for eps in (2.0**-50, 2.0**-30):
        assert chain.explosive_width(4 + eps) == pytest.approx(math.sqrt(eps) / 2, rel=1e-8)
    for w in (1e20, 1e300):
        assert chain.explosive_width(w) == pytest.approx(2 * math.log(w) / w, rel=1e-12)


def test_explosive_window_where_there_is_none_or_one_point():
    assert all(map(math.isnan, chain.explosive_window(3.9, 1.0)))
    assert all(map(math.isnan, chain.explosive_window(0.0, 1.0)))
    assert chain.explosive_window(4.0, 2.0) == (-0.5, -0.5)
    low, high = chain.explosive_window(np.array([[1.0], [8.0]]), np.array([0.0, -4.0]))
    assert low.shape == high.shape == (2, 2)
    assert np.isnan(low[0]).all()
    assert (low[1] + high[1]).tolist() == [0.0, 1.0]
