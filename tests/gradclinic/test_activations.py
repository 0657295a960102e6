from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit

from gradclinic import activations
from gradclinic.activations import ACTIVATIONS, gaussian_mean
from gradclinic.spec import ACTIVATION_NAMES

TORCH = {
    "linear": lambda z: z.clone(),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "elu": torch.nn.functional.elu,
    "selu": torch.selu,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
}
every_activation = pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)


def test_the_names_are_those_that_a_spec_may_use():
    assert tuple(ACTIVATIONS) == ACTIVATION_NAMES
    assert all(phi.name == name for name, phi in ACTIVATIONS.items())


@every_activation
def test_values_and_slopes_agree_with_torch_including_at_the_kink(phi):
    z = torch.tensor([*np.linspace(-15, 15, 301), 0.0, -0.0], dtype=torch.float64, requires_grad=True)
    value = TORCH[phi.name](z)
    value.sum().backward()
    np.testing.assert_allclose(phi(z.detach().numpy()), value.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(phi.slope(z.detach().numpy()), z.grad.numpy(), rtol=1e-9, atol=1e-14)


@every_activation
def test_the_slope_is_the_derivative(phi):
    z = np.linspace(-6, 6, 240)  # an even number of points: 0, where some have a kink, is not among them
    h = 1e-6
    np.testing.assert_allclose(phi.slope(z), (phi(z + h) - phi(z - h)) / (2 * h), atol=2e-9)


@every_activation
def test_both_ends_of_float64_are_finite_and_free_of_warnings(phi):
    size = np.array([1e3, 1e10, 1e100, 1e200, 1e308])
    for z in (size, -size):
        assert np.isfinite(phi(z)).all()
        assert np.isfinite(phi.slope(z)).all()
        assert not np.isnan(phi.log_slope(z)).any()
    limits = {"linear": (1, 1), "leaky_relu": (0.01, 1), "selu": (0, activations.SELU_SCALE)}
    left, right = limits.get(phi.name, (0, 0) if phi.bounded else (0, 1))
    assert np.all(phi.slope(-size) == left)
    assert np.all(phi.slope(size) == right)


@every_activation
def test_the_log_slope_is_the_logarithm_of_the_slope(phi):
    z = np.linspace(-30, 30, 1201)
    slope = np.abs(phi.slope(z))
    seen = slope > 1e-290
    np.testing.assert_allclose(phi.log_slope(z[seen]), np.log(slope[seen]), rtol=1e-9, atol=1e-9)
    assert np.all(phi.log_slope(z[slope == 0]) < -600)


def test_the_log_slope_goes_on_where_the_slope_underflows():
    z = np.array([-1e4, 1e4])
    assert np.all(ACTIVATIONS["sigmoid"].slope(z) == 0)
    assert np.all(ACTIVATIONS["sigmoid"].log_slope(z) == -1e4)
    np.testing.assert_allclose(ACTIVATIONS["tanh"].log_slope(z), -2e4 + math.log(4), rtol=1e-15)
    assert ACTIVATIONS["elu"].log_slope(-1e4) == -1e4
    assert ACTIVATIONS["silu"].log_slope(-1e4) == pytest.approx(-1e4 + math.log(1e4), abs=1e-3)
    # |phi'(z)| = z density(z) (1 + O(1/z^2)) for the GELU's far left
    expected = -0.5e8 - 0.5 * math.log(2 * math.pi) + math.log(1e4)
    assert ACTIVATIONS["gelu"].log_slope(-1e4) == pytest.approx(expected, abs=1e-3)


@every_activation
def test_the_largest_slope_is_the_supremum(phi):
    z = np.concatenate([np.linspace(-10, 10, 2_000_001), [-1e-12]])
    largest = np.abs(phi.slope(z)).max()
    assert largest <= phi.max_slope * (1 + 1e-12)
    assert largest == pytest.approx(phi.max_slope, rel=1e-9)


def test_the_logistic_function_is_scipys():
    """It is written out: a browser has SciPy only where a page needs it."""
    z = np.concatenate([np.linspace(-800, 800, 4001), [-1e308, -0.0, 0.0, 1e-300, 1e308, np.inf, -np.inf, np.nan]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        ours = activations._logistic(z)
    np.testing.assert_allclose(ours, expit(z), rtol=1e-15, atol=np.finfo(float).tiny)  # SciPy has 0 below it
    short = z[:-8].astype("float32")
    single = activations._logistic(short)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expit(short.astype("float64")), rtol=3e-7, atol=3e-45)


def test_max_slopes_that_the_book_quotes():
    expected = {"sigmoid": 0.25, "tanh": 1, "selu": 1.7581, "gelu": 1.1289, "silu": 1.0998}
    assert {name: round(ACTIVATIONS[name].max_slope, 4) for name in expected} == expected


@every_activation
def test_flags(phi):
    z = np.array([-1e5, -1.0, 0.5, 1e5])
    assert phi.bounded == (np.abs(phi(z)).max() <= 1)
    assert phi.homogeneous == np.allclose(phi(3 * z), 3 * phi(z), rtol=1e-12, atol=0)


@every_activation
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floating_dtypes_are_kept_and_integers_become_float64(phi, dtype):
    z = np.array([-1, 0, 2], dtype=dtype)
    assert phi(z).dtype == phi.slope(z).dtype == phi.log_slope(z).dtype == dtype
    assert phi(np.array([1, 2])).dtype == phi.slope(np.array([1, 2])).dtype == np.float64
    assert np.ndim(phi(2.0)) == np.ndim(phi.slope(2)) == 0


def test_get():
    assert activations.get("tanh") is ACTIVATIONS["tanh"]
    assert activations.get(ACTIVATIONS["relu"]) is ACTIVATIONS["relu"]
    with pytest.raises(ValueError, match="activation: got 'swish', wanted one of linear, sigmoid"):
        activations.get("swish")
    with pytest.raises(TypeError, match="activation: got function, wanted a name or an Activation"):
        activations.get(lambda z: z)
    with pytest.raises(FrozenInstanceError):
        ACTIVATIONS["relu"].name = "other"


@pytest.mark.parametrize("q", [1e-30, 1e-6, 0.3, 1.0, 40.0, 1e12, 1e30])
def test_gaussian_mean_of_known_moments(q):
    assert gaussian_mean(np.ones_like, q) == pytest.approx(1, rel=1e-14)
    assert gaussian_mean(lambda u: u, q) == pytest.approx(0, abs=1e-14 * math.sqrt(q))
    assert gaussian_mean(lambda u: u**2, q) == pytest.approx(q, rel=1e-13)
    assert gaussian_mean(lambda u: u**4, q) == pytest.approx(3 * q**2, rel=1e-13)
    assert gaussian_mean(np.abs, q) == pytest.approx(math.sqrt(2 * q / math.pi), rel=1e-13)
    assert gaussian_mean(lambda u: u > 0, q) == pytest.approx(0.5, rel=1e-14)


def test_gaussian_mean_of_a_sigmoid_slope_at_huge_variance():
    # E[sigma'(sqrt(q) z)^2] -> density(0) / sqrt(q) * integral of sigma'^2 = 1 / (6 sqrt(2 pi q))
    sigmoid = ACTIVATIONS["sigmoid"]
    mean = gaussian_mean(lambda u: sigmoid.slope(u) ** 2, 1e24)
    assert mean == pytest.approx(1 / (6 * math.sqrt(2 * math.pi * 1e24)), rel=1e-12)


@every_activation
def test_gaussian_mean_against_adaptive_quadrature(phi):
    for q in (1e-4, 1.0, 1e4):
        width = 1 / math.sqrt(q)
        inner = [width * m for m in (0.1, 1, 3, 10, 30) if width * m < 12]
        cuts = [-12, *(-c for c in reversed(inner)), 0, *inner, 12]
        for f in (lambda u: phi(u) ** 2, lambda u: phi.slope(u) ** 2):
            reference = sum(
                quad(
                    lambda z, f=f, q=q: f(math.sqrt(q) * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
                    low,
                    high,
                    epsabs=0,
                    epsrel=1e-12,
                )[0]
                for low, high in pairwise(cuts)
            )
            assert gaussian_mean(f, q) == pytest.approx(reference, rel=1e-11)


def test_gaussian_mean_has_the_shape_of_the_variance():
    q = np.array([[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]])
    np.testing.assert_allclose(gaussian_mean(lambda u: u**2, q), q, rtol=1e-13)
    assert isinstance(gaussian_mean(np.cos, 1), float)
    assert gaussian_mean(np.cos, 1) == pytest.approx(math.exp(-0.5), rel=1e-13)
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match=r"q: got .*, wanted a variance >= 0"):
            gaussian_mean(np.cos, bad)
