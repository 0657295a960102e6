from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from gradclinic import init, numpy_net
from gradclinic.activations import ACTIVATIONS, gaussian_mean
from gradclinic.spec import MLP, Parameters, check_parameters

VARIANCES = {  # of a (n_out, n_in) = (300, 500) weight
    "glorot_normal": 2 / 800,
    "glorot_uniform": 2 / 800,
    "he_normal": 2 / 500,
    "he_uniform": 2 / 500,
    "lecun_normal": 1 / 500,
    "orthogonal": 1 / 500,
    "normal": 1.0,
}


def test_fans_read_torchs_layout():
    assert init.fans((30, 64)) == (64, 30)
    assert init.fans((7, 2, 30, 64)) == (64, 30)
    assert init.fans((1, 1)) == (1, 1)
    for bad in ((3,), (), (0, 3), (2, -1, 3)):
        with pytest.raises(ValueError, match=r"shape: got \(.*\), wanted \(..., n_out, n_in\)"):
            init.fans(bad)


def test_every_scheme_has_its_variance():
    assert set(VARIANCES) == set(init.SCHEMES)


@pytest.mark.parametrize("scheme", VARIANCES)
def test_moments_and_reproducibility(scheme):
    draw = init.SCHEMES[scheme]
    w = draw((4, 300, 500), np.random.default_rng(0))
    assert w.shape == (4, 300, 500)
    assert w.dtype == np.float64
    # 600,000 entries: the relative error of a variance is below sqrt(2 / 600,000) = 0.0018
    assert w.var() == pytest.approx(VARIANCES[scheme], rel=0.008)
    assert abs(w.mean()) < 5 * math.sqrt(VARIANCES[scheme] / w.size)
    np.testing.assert_array_equal(w, draw((4, 300, 500), np.random.default_rng(0)))
    assert abs(np.corrcoef(w[0].ravel(), w[1].ravel())[0, 1]) < 0.015


@pytest.mark.parametrize("scheme", ["glorot_normal", "he_normal", "lecun_normal"])
def test_normal_schemes_are_normal(scheme):
    w = init.SCHEMES[scheme]((300, 500), np.random.default_rng(1))
    assert kstest(w.ravel() / math.sqrt(VARIANCES[scheme]), "norm").pvalue > 0.01


@pytest.mark.parametrize(("scheme", "bound"), [("glorot_uniform", (6 / 800) ** 0.5), ("he_uniform", (6 / 500) ** 0.5)])
def test_uniform_schemes_are_uniform_up_to_their_bound(scheme, bound):
    w = init.SCHEMES[scheme]((300, 500), np.random.default_rng(1))
    assert 0.999 * bound < np.abs(w).max() <= bound
    assert kstest(w.ravel() / bound, "uniform", args=(-1, 2)).pvalue > 0.01


@pytest.mark.parametrize("scheme", ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "orthogonal"])
def test_a_gain_multiplies_the_weights(scheme):
    draw = init.SCHEMES[scheme]
    one, three = (draw((5, 6), np.random.default_rng(2), gain=g) for g in (1.0, 3.0))
    np.testing.assert_allclose(three, 3 * one, rtol=1e-14)


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 5, 5), (2, 3, 7, 4), (1, 1)])
def test_orthogonal_has_singular_values_of_one(shape):
    w = init.orthogonal(shape, np.random.default_rng(3), gain=1.5)
    assert w.shape == shape
    np.testing.assert_allclose(np.linalg.svd(w, compute_uv=False), 1.5, rtol=1e-13)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7, 4), (2, 3, 6, 1)])
def test_qr_has_the_signs_that_make_it_unique(shape, monkeypatch):
    a = np.random.default_rng(6).standard_normal(shape)
    q, r = init.qr(a)
    np.testing.assert_allclose(q @ r, a, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.swapaxes(q, -1, -2) @ q, np.eye(shape[-1]) + 0 * r, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(np.tril(r, -1), 0)
    assert np.all(np.diagonal(r, axis1=-2, axis2=-1) > 0)
    lapack = np.linalg.qr
    monkeypatch.setattr(np.linalg, "qr", lambda a: tuple(-part for part in lapack(a)))  # another processor's choice
    np.testing.assert_array_equal(init.qr(a)[0], q)
    np.testing.assert_array_equal(init.qr(a)[1], r)


def test_qr_refuses_what_has_no_unique_one():
    with pytest.raises(ValueError, match=r"a: got shape \(2, 3\), wanted \(..., m, n\) with m >= n"):
        init.qr(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"a: got shape \(2, 3, 4\)"):
        init.qr(np.ones((2, 3, 4)))


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    w = init.orthogonal((4000, 2, 2), np.random.default_rng(4))
    angle = np.arctan2(w[:, 1, 0], w[:, 0, 0])
    assert kstest(angle / np.pi, "uniform", args=(-1, 2)).pvalue > 0.01
    assert abs(np.linalg.det(w).mean()) < 5 / math.sqrt(4000)


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu"])
def test_gain_is_torchs_where_both_mean_the_same(name):
    torchs = torch.nn.init.calculate_gain(name, *([0.01] if name == "leaky_relu" else []))
    assert init.gain(name) == pytest.approx(torchs, rel=1e-13)


def test_gain_is_not_torchs_where_torchs_is_empirical():
    torchs = {name: torch.nn.init.calculate_gain(name) for name in ("tanh", "sigmoid", "selu")}
    assert torchs == {"tanh": 5 / 3, "sigmoid": 1, "selu": 3 / 4}
    assert {name: round(init.gain(name), 3) for name in torchs} == {"tanh": 1.467, "sigmoid": 4.723, "selu": 0.966}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gain_keeps_the_gradient_norm_through_one_layer(name):
    # measured: backwards through W^T diag(phi'(z)), z ~ N(0, 1), delta fixed
    rng = np.random.default_rng(5)
    n, samples = 400, 200
    delta = rng.standard_normal(n)
    w = init.he_normal((n, n), rng, gain=init.gain(name))
    back = (delta * ACTIVATIONS[name].slope(rng.standard_normal((samples, n)))) @ w
    # one matrix: relative error of the mean square about sqrt(2 / n) = 0.07
    assert np.mean(back**2) / np.mean(delta**2) == pytest.approx(1, abs=0.15)
    assert init.gain(name) == pytest.approx(
        gaussian_mean(lambda u: ACTIVATIONS[name].slope(u) ** 2, 1) ** -0.5, rel=1e-14
    )


def test_mlp_draws_what_the_spec_describes():
    spec = MLP((6, 5, 4, 3), normalization="batch")
    params = init.mlp(spec, np.random.default_rng(6), "glorot_uniform")
    check_parameters(spec, params)
    assert all(not b.any() for b in params.biases)
    assert all((g == 1).all() for g in params.gains)
    assert all((s == 0).all() for s in params.shifts)
    plain = init.mlp(MLP((6, 5, 4, 3)), np.random.default_rng(6), "glorot_uniform")
    assert plain.gains == plain.shifts == ()
    for a, b in zip(params.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_mlp_draws_an_ensemble():
    spec = MLP((6, 5, 3), normalization="layer")
    params = init.mlp(spec, np.random.default_rng(7), "orthogonal", ensemble=4)
    check_parameters(spec, params)
    assert params.ensemble == (4,)
    assert len({w.tobytes() for w in params.weights[0]}) == 4


def test_mlp_weight_variance_is_fan_in_times_the_variance_of_a_weight():
    spec = MLP((200, 300, 100))
    for w in init.mlp(spec, np.random.default_rng(8), "orthogonal", weight_variance=1.7).weights:
        assert w.shape[-1] * w.var() == pytest.approx(1.7, rel=0.03)
    sweep = init.mlp(spec, np.random.default_rng(8), ensemble=3, weight_variance=[0.0, 1.0, 4.0])
    for w in sweep.weights:
        np.testing.assert_allclose(w.shape[-1] * w.var(axis=(1, 2)), [0, 1, 4], rtol=0.04)


def test_mlp_biases_do_not_disturb_the_weights_of_a_seed():
    spec = MLP((50, 400, 300))
    without, with_biases = (init.mlp(spec, np.random.default_rng(9), bias_std=s) for s in (0.0, 0.3))
    for a, b in zip(without.weights, with_biases.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.concatenate(with_biases.biases).std() == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scheme": "xavier"}, "scheme: got 'xavier', wanted one of glorot_uniform"),
        ({"ensemble": 0}, "ensemble: got 0, wanted None or a positive integer"),
        ({"bias_std": -1.0}, "bias_std: got -1.0, wanted a finite number >= 0"),
        ({"weight_variance": -2.0}, "weight_variance: got -2.0"),
        ({"weight_variance": [1.0, 2.0], "ensemble": 3}, r"weight_variance: got \[1.0, 2.0\]"),
    ],
)
def test_mlp_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        init.mlp(MLP((3, 2)), np.random.default_rng(0), **arguments)


def test_mlp_refuses_biases_that_the_spec_does_not_have():
    with pytest.raises(ValueError, match=r"bias_std: got 0.1, wanted 0, for this spec has no biases"):
        init.mlp(MLP((3, 2), bias=False), np.random.default_rng(0), bias_std=0.1)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "gelu"])
@pytest.mark.parametrize("ensemble", [None, 3])
def test_lsuv_gives_every_layer_unit_variance(activation, ensemble):
    rng = np.random.default_rng(10)
    spec = MLP((20, 40, 30, 40, 10), activation)
    x = rng.normal(0.3, 2, (64, 20))
    start = init.mlp(spec, rng, "orthogonal", ensemble=ensemble)
    params = init.lsuv(spec, start, x)
    check_parameters(spec, params)
    a = x
    for before, after in zip(start.weights, params.weights, strict=True):
        z = a @ np.swapaxes(after, -1, -2)
        np.testing.assert_allclose(z.std(axis=(-2, -1)), 1, rtol=1e-12)
        ratio = after / before  # one positive factor per layer and member
        np.testing.assert_allclose(ratio, ratio[..., :1, :1] * np.ones_like(ratio), rtol=1e-12)
        assert (ratio > 0).all()
        a = ACTIVATIONS[activation](z)


def test_lsuv_refuses():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(8, 3))
    for spec in (MLP((3, 3, 2), normalization="batch"), MLP((3, 3, 2), residual=True)):
        with pytest.raises(ValueError, match=r"spec: got MLP.*wanted a plain network"):
            init.lsuv(spec, init.mlp(spec, rng), x)
    spec = MLP((3, 3, 2), "relu")
    with pytest.raises(ValueError, match="params: got biases other than 0"):
        init.lsuv(spec, init.mlp(spec, rng, bias_std=0.1), x)
    with pytest.raises(ValueError, match=r"x: got shape \(8, 4\), wanted \(batch, 3\)"):
        init.lsuv(spec, init.mlp(spec, rng), np.ones((8, 4)))
    dead = Parameters((-np.eye(3), np.ones((2, 3))), (np.zeros(3), np.zeros(2)))
    with pytest.raises(ValueError, match="x: the standard deviation of layer 2"):
        init.lsuv(spec, dead, np.abs(x))


@pytest.mark.parametrize("activation", ["linear", "tanh", "sigmoid", "relu", "leaky_relu"])
def test_isometric_networks_start_as_the_rotation_they_say(activation):
    hidden = 12 if activation in ("relu", "leaky_relu") else 8  # six pairs, so that no direction is lost
    spec = MLP((6, hidden, hidden, hidden, 8), activation)
    params = init.isometric(spec, np.random.default_rng(0), ensemble=3)
    check_parameters(spec, params)
    x = 1e-4 * np.random.default_rng(1).standard_normal((5, 6))
    output = numpy_net.forward(spec, params, x).output
    np.testing.assert_allclose(
        np.linalg.norm(output, axis=-1), np.broadcast_to(np.linalg.norm(x, axis=-1), (3, 5)), rtol=1e-6
    )


def test_an_isometric_sigmoid_network_is_a_tanh_network():
    spec = MLP((6, 8, 5, 7), "sigmoid")
    params = init.isometric(spec, np.random.default_rng(2))
    scale = (2, 4, 2)
    twin = Parameters(tuple(w / c for w, c in zip(params.weights, scale, strict=True)), tuple(map(np.zeros, (8, 5, 7))))
    x = np.random.default_rng(3).standard_normal((4, 6))
    np.testing.assert_allclose(
        numpy_net.forward(spec, params, x).output,
        numpy_net.forward(MLP(spec.widths, "tanh"), twin, x).output,
        rtol=1e-10,
        atol=1e-12,
    )
    for w, c in zip(params.weights, scale, strict=True):
        np.testing.assert_allclose(np.linalg.svd(w, compute_uv=False), c, rtol=1e-12)


def test_isometric_refuses_what_it_cannot_make_a_rotation():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"activation: got 'gelu', wanted linear, tanh"):
        init.isometric(MLP((4, 4, 4), "gelu"), rng)
    with pytest.raises(ValueError, match=r"spec: got .*, wanted a plain network"):
        init.isometric(MLP((4, 4, 4), "tanh", residual=True), rng)
    with pytest.raises(ValueError, match=r"spec: got a sigmoid network without biases"):
        init.isometric(MLP((4, 4, 4), "sigmoid", bias=False), rng)
    with pytest.raises(ValueError, match=r"widths: got \(4, 5, 4\), wanted even hidden widths"):
        init.isometric(MLP((4, 5, 4), "relu"), rng)
