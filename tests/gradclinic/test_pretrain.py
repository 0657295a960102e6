from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from gradclinic import activations, init, pretrain
from gradclinic.course import data
from gradclinic.measure import numerical_gradient
from gradclinic.spec import MLP

BITS = {n: np.array(list(product([0.0, 1.0], repeat=n))) for n in (3, 4)}


def layer(rng, n_in=4, n_out=3, lead=()):
    return rng.normal(size=(*lead, n_out, n_in)), rng.normal(size=(*lead, n_out)), rng.normal(size=(*lead, n_in))


@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_free_energy_sums_the_hidden_units_out(visible):
    rng = np.random.default_rng(0)
    w, b, c = layer(rng)
    v = rng.normal(size=(5, 4))
    own = -v @ c if visible == "binary" else 0.5 * np.sum((v - c) ** 2, axis=1)
    energy = own[:, None] - BITS[3] @ b - v @ w.T @ BITS[3].T
    np.testing.assert_allclose(
        pretrain.free_energy(v, w, b, c, visible), -np.log(np.exp(-energy).sum(axis=1)), rtol=1e-12
    )


def test_on_average_cd1_is_one_exact_gibbs_step():
    rng = np.random.default_rng(1)
    w, b, c = layer(rng)
    sigmoid = activations.get("sigmoid")
    v = BITS[4]
    p0 = sigmoid(v @ w.T + b)
    positive, negative = p0.T @ v / len(v), np.zeros_like(w)
    for h in BITS[3]:  # every hidden state with its probability
        chance = np.prod(np.where(h == 1, p0, 1 - p0), axis=1)
        v1 = sigmoid(h @ w + c)
        negative += chance.sum() / len(v) * np.outer(sigmoid(w @ v1 + b), v1)
    steps = np.array([pretrain.cd1(v, w, b, c, rng)[0] for _ in range(4000)])
    error = steps.std(axis=0) / np.sqrt(len(steps))
    assert np.all(np.abs(steps.mean(axis=0) - (positive - negative)) < 4.5 * error)


def test_cd1_rests_where_model_and_data_agree():
    rng = np.random.default_rng(2)
    w, c = np.zeros((3, 4)), np.log([3.0, 1.0, 1 / 3, 1.0])
    v = np.tile([0.75, 0.5, 0.25, 0.5], (7, 1))  # the model's own means
    for step in pretrain.cd1(v, w, np.zeros(3), c, rng):
        np.testing.assert_allclose(step, 0.0, atol=1e-15)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_autoencoder_gradients_are_those_of_its_loss(name, visible):
    rng = np.random.default_rng(3)
    w, b, c = layer(rng)
    v = rng.random((6, 4))

    def loss(flat):
        weight, bias, shift = flat[:12].reshape(3, 4), flat[12:15], flat[15:]
        out = activations.get(name)(v @ weight.T + bias) @ weight + shift
        per_pixel = np.logaddexp(0, out) - v * out if visible == "binary" else 0.5 * (out - v) ** 2
        return per_pixel.sum(axis=1).mean()

    found = np.concatenate([g.ravel() for g in pretrain.autoencoder_gradients(v, w, b, c, name, visible)])
    wanted = numerical_gradient(loss, np.concatenate([w.ravel(), b, c]))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


def test_autoencoder_gradients_agree_with_autograd():
    rng = np.random.default_rng(4)
    state = layer(rng)
    v = rng.random((6, 4))
    w, b, c = tensors = [torch.tensor(s, requires_grad=True) for s in state]
    x = torch.as_tensor(v)
    out = torch.sigmoid(x @ w.T + b) @ w + c
    torch.nn.functional.binary_cross_entropy_with_logits(out, x, reduction="sum").div(6).backward()
    for mine, theirs in zip(pretrain.autoencoder_gradients(v, *state), tensors, strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("rule", pretrain.RULES)
def test_greedy_learns_to_reconstruct_and_leaves_the_output_layer_and_its_input_alone(rule):
    spec = MLP((64, 32, 32, 10), "sigmoid")
    start = init.mlp(spec, np.random.default_rng(5), weight_variance=1.0, ensemble=3)
    kept = [w.copy() for w in start.weights]
    x = data.digits(300, 100).x_train
    before = pretrain.greedy(spec, start, x, np.random.default_rng(6), rule=rule, steps=0)
    after = pretrain.greedy(spec, start, x, np.random.default_rng(6), rule=rule)
    assert after.error.shape == (2, 3)
    assert np.all(after.error < 0.6 * before.error)
    for untouched, w in zip(kept, start.weights, strict=True):
        np.testing.assert_array_equal(untouched, w)
    np.testing.assert_array_equal(after.params.weights[-1], start.weights[-1])
    np.testing.assert_array_equal(before.params.weights[0], start.weights[0])


def test_a_member_is_pretrained_as_it_would_be_alone():
    spec = MLP((64, 16, 16, 10), "relu")
    start = init.mlp(spec, np.random.default_rng(7), weight_variance=1.0, ensemble=2)
    alone = type(start)(tuple(w[1] for w in start.weights), tuple(b[1] for b in start.biases))
    x = data.digits(200, 100).x_train
    together, single = (
        pretrain.greedy(spec, p, x, np.random.default_rng(8), lr=0.01, steps=20).params for p in (start, alone)
    )
    for a, b in zip(together.weights, single.weights, strict=True):
        np.testing.assert_allclose(a[1], b, rtol=1e-8, atol=1e-12)


def test_shuffled_keeps_every_number_of_a_matrix_and_no_order():
    start = init.mlp(MLP((6, 5, 4)), np.random.default_rng(9), ensemble=3, bias_std=1.0)
    mixed = pretrain.shuffled(start, np.random.default_rng(10))
    for w, m in zip(start.weights, mixed.weights, strict=True):
        np.testing.assert_array_equal(np.sort(w.reshape(3, -1)), np.sort(m.reshape(3, -1)))
        assert np.mean(w == m) < 0.3
    np.testing.assert_array_equal(mixed.biases[0], start.biases[0])
    assert not pretrain.shuffled(start, np.random.default_rng(10), biases=False).biases[0].any()


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        (MLP((4, 3, 2)), {"rule": "prayer"}, "rule: got 'prayer', wanted one of rbm, autoencoder"),
        (MLP((4, 3, 2), "relu"), {"rule": "rbm"}, "spec.activation: got 'relu', wanted 'sigmoid'"),
        (MLP((4, 3, 2), residual=True), {}, "wanted a plain network with biases"),
        (MLP((4, 3, 2), normalization="layer"), {}, "wanted a plain network with biases"),
        (MLP((4, 3, 2)), {"x": np.ones((8, 5))}, r"x: got shape \(8, 5\), wanted \(n, 4\)"),
        (MLP((4, 3, 2)), {"batch": 9}, "batch: got 9, wanted a number from 1 to the 8 inputs"),
    ],
)
def test_greedy_refuses_what_it_cannot_train(spec, changes, message):
    rng = np.random.default_rng(11)
    arguments = {"x": np.ones((8, 4)), "batch": 4} | changes
    with pytest.raises(ValueError, match=message):
        pretrain.greedy(spec, init.mlp(spec, rng), rng=rng, **arguments)


def test_a_layer_that_does_not_fit_and_an_unknown_kind_of_unit_are_refused():
    rng = np.random.default_rng(12)
    w, b, c = layer(rng)
    with pytest.raises(ValueError, match=r"v: got shape \(2, 5\), wanted \(..., 4\)"):
        pretrain.cd1(np.ones((2, 5)), w, b, c, rng)
    with pytest.raises(ValueError, match="visible: got 'ternary', wanted one of binary, gaussian"):
        pretrain.free_energy(np.ones((2, 4)), w, b, c, "ternary")
