from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gradclinic import gated
from gradclinic.course import data

MODULES = {"tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
WIDTHS = (3, 5, 2)


def draw(kind: str, lead: tuple[int, ...] = (2,), seed: int = 0, **options: object) -> gated.GatedParameters:
    return gated.draw(kind, np.random.default_rng(seed), lead, WIDTHS, **{"scheme": "torch", **options})


def as_tensors(params: gated.GatedParameters) -> gated.GatedParameters:
    return params.map(torch.as_tensor)


def torch_module(kind: str, params: gated.GatedParameters, member: int) -> nn.Module:
    """PyTorch's own module with one member's weights; its second bias vector is 0 but for the GRU's inner one."""
    module = MODULES[kind](3, 5, batch_first=True, dtype=torch.float64)
    rows = gated.BLOCKS[kind] * 5
    bias = torch.as_tensor(params.bias[member])
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.as_tensor(params.input[member]))
        module.weight_hh_l0.copy_(torch.as_tensor(params.recurrent[member]))
        module.bias_ih_l0.copy_(bias[:rows])
        module.bias_hh_l0.zero_()
        if kind == "gru":
            module.bias_hh_l0[10:].copy_(bias[rows:])
    return module


@pytest.mark.parametrize("kind", gated.BLOCKS)
def test_each_member_is_the_frameworks_own_network(kind):
    params = draw(kind)
    x = torch.as_tensor(np.random.default_rng(1).normal(size=(4, 9, 3)))
    output, memory = gated.forward(kind, as_tensors(params), x)
    assert output.shape == (2, 4, 2)
    assert len(memory) == 9
    assert memory[0].shape == (2, 5, 4)
    for member in range(2):
        states, last = torch_module(kind, params, member)(x)
        wanted = states[:, -1] @ torch.as_tensor(params.readout[member]).T + torch.as_tensor(
            params.readout_bias[member]
        )
        torch.testing.assert_close(output[member], wanted, rtol=1e-12, atol=1e-12)
        kept = last[1][0] if kind == "lstm" else last[0]
        torch.testing.assert_close(memory[-1][member].mT, kept, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "bias"), [("lstm", 0.0), ("lstm", 5.0), ("gru", -1.0), ("gru", 2.0)])
def test_without_recurrent_weights_the_memory_gradient_is_the_carry_to_the_power_of_the_lag(kind, bias):
    params = draw(kind, (2, 3), carry_bias=bias)
    params.recurrent[:] = 0.0
    params.input[..., 5:10, :] = 0.0  # the carry gate sees no input either
    x, v = np.random.default_rng(2).normal(size=(4, 31, 3)), np.random.default_rng(3).normal(size=(4, 5))
    sizes = gated.memory_gradients(kind, params, x, v)
    assert sizes.shape == (2, 3, 31)
    carry = 1 / (1 + np.exp(-bias))
    np.testing.assert_allclose(sizes / sizes[..., -1:], np.tile(carry ** np.arange(30, -1, -1), (2, 3, 1)), rtol=1e-10)


def test_memory_gradients_agree_with_central_differences():
    params = draw("gru", (1,))
    x, v = np.random.default_rng(4).normal(size=(2, 6, 3)), np.random.default_rng(5).normal(size=(2, 5))
    n, step, late = 5, 1e-6, as_tensors(params)

    def value(start: np.ndarray) -> float:
        h = torch.as_tensor(start.T[None])
        for t in range(2, 6):  # what follows the second memory
            a = late.input @ torch.as_tensor(x[:, t].T) + late.bias[:, : 3 * n, None]
            u = late.recurrent @ h
            r, z = torch.sigmoid(a[:, : 2 * n] + u[:, : 2 * n]).split(n, 1)
            h = (1 - z) * torch.tanh(a[:, 2 * n :] + r * (u[:, 2 * n :] + late.bias[:, 3 * n :, None])) + z * h
        return float((h[0].mT * torch.as_tensor(v)).sum())

    _, memory = gated.forward("gru", late, torch.as_tensor(x))
    start, slope = memory[1][0].mT.numpy().copy(), np.zeros((2, n))
    for index in np.ndindex(slope.shape):
        shift = np.zeros_like(slope)
        shift[index] = step
        slope[index] = (value(start + shift) - value(start - shift)) / (2 * step)
    wanted = np.sqrt(np.mean(np.sum(slope**2, axis=1)))
    assert gated.memory_gradients("gru", params, x, v)[0, 1] == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("kind", gated.BLOCKS)
def test_the_schemes_draw_what_the_frameworks_draw(kind):
    k, n = gated.BLOCKS[kind], 40
    keras = gated.draw(kind, np.random.default_rng(0), (3,), (8, n, 1), scheme="keras")
    gram = keras.recurrent.swapaxes(-1, -2) @ keras.recurrent
    np.testing.assert_allclose(gram, np.tile(np.eye(n), (3, 1, 1)), atol=1e-12)
    assert abs(keras.input).max() <= np.sqrt(6 / (8 + k * n))
    forget = keras.bias[:, n : 2 * n] if kind == "lstm" else keras.bias
    np.testing.assert_array_equal(forget, 1.0 if kind == "lstm" else 0.0)
    ours = gated.draw(kind, np.random.default_rng(0), (50,), (8, n, 1), scheme="torch")
    module = MODULES[kind](8, n)
    bound = max(p.abs().max().item() for p in module.parameters())
    for array in (ours.input, ours.recurrent):
        assert bound == pytest.approx(abs(array).max(), rel=0.01)
    single = slice(2 * n, None) if kind == "gru" else slice(0, 0)  # blocks with one bias each, not the sum of two
    np.testing.assert_allclose(ours.bias[:, : (k - (kind == "gru")) * n].var(), 2 / (3 * n), rtol=0.1)
    assert abs(ours.bias[:, single]).max(initial=0.0) <= n**-0.5
    assert ours.bias.shape == (50, (k + (kind == "gru")) * n)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_carry_bias_replaces_one_block(kind):
    plain, changed = draw(kind), draw(kind, carry_bias=3.0)
    np.testing.assert_array_equal(changed.bias[:, 5:10], 3.0)
    np.testing.assert_array_equal(np.delete(changed.bias, range(5, 10), 1), np.delete(plain.bias, range(5, 10), 1))
    np.testing.assert_array_equal(changed.recurrent, plain.recurrent)


@pytest.mark.parametrize("kind", gated.BLOCKS)
def test_training_is_adam_with_clipping_member_by_member(kind):
    params = draw(kind, (2, 3), seed=7)
    options = {"rates": (0.01, 0.1), "steps": 6, "batch": 5, "held_out": 20, "clip": 0.3, "dtype": "float64"}

    def task(n: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return rng.normal(size=(n, length, 3)), rng.integers(0, 2, n)

    found = gated.learn(kind, params, task, 8, rng=np.random.default_rng(1), **options)
    assert found.test.shape == found.validation.shape == (2, 2, 3)
    assert found.error.shape == (2, 3)
    alone = [torch.tensor(getattr(params, name)[1, 2:]) for name in vars(params)]
    weights = [w.requires_grad_(True) for w in alone]
    rule, rng = torch.optim.Adam(weights, lr=0.1), np.random.default_rng(1)
    task(20, 8, rng), task(20, 8, rng)
    for _ in range(6):
        x, y = (torch.as_tensor(a) for a in task(5, 8, rng))
        rule.zero_grad()
        output, _ = gated.forward(kind, gated.GatedParameters(*weights), x)
        nn.functional.cross_entropy(output[0], y).backward()
        nn.utils.clip_grad_norm_(weights, 0.3)
        rule.step()
    for name, weight in zip(vars(params), weights, strict=True):
        np.testing.assert_allclose(
            getattr(found.params, name)[1, 1, 2], weight[0].detach().numpy(), rtol=1e-4, atol=1e-6
        )


def test_the_rate_is_chosen_on_validation_and_reported_on_test():
    errors = np.array([[[0.5, 0.5, 0.5]], [[0.1, 0.2, 0.9]], [[0.3, 0.3, 0.3]]])
    found = gated.Learned(np.array([1.0, 2.0, 3.0]), errors, errors + 1, draw("lstm"))
    np.testing.assert_array_equal(found.best, [1])
    np.testing.assert_array_equal(found.error, errors[1] + 1)


def test_a_network_that_knows_nothing_has_error_one():
    params = draw("tanh", (1,))
    params.readout[:] = 0.0
    values = np.array([[1.0, -1.0], [-1.0, 1.0]])
    for target in (values, np.array([0, 1])):

        def task(n: int, length: int, rng: np.random.Generator, target: np.ndarray = target) -> tuple:
            return rng.normal(size=(n, length, 3)), target[np.arange(n) % 2]

        found = gated.learn("tanh", params, task, 5, rates=(0.0,), steps=1, rng=np.random.default_rng(0))
        assert found.test[0, 0] == pytest.approx(1.0, abs=0.03)


def test_a_trial_compares_the_same_networks_at_several_carry_biases():
    options = {"widths": (1, 6, 2), "rates": (0.01,), "steps": 2}
    run = gated.trial("lstm", (0.0, 5.0), data.latch, 12, rng=np.random.default_rng(0), **options)
    assert run.before.shape == run.after.shape == (2,)
    assert run.error.shape == (2, 5)
    assert run.before[0] < -1 < run.before[1]
    alone = gated.trial("lstm", (5.0,), data.latch, 12, rng=np.random.default_rng(0), **options)
    np.testing.assert_allclose(alone.before, run.before[1:], rtol=1e-10)
    shut = gated.trial("lstm", (5.0,), data.latch, 12, rng=np.random.default_rng(0), input_bias=-40.0, **options)
    assert shut.before[0] == pytest.approx(11 * np.log10(1 / (1 + np.exp(-5.0))), abs=0.01)  # nothing is written
    plain = gated.trial("tanh", (0.0, 5.0), data.latch, 12, rng=np.random.default_rng(0), **options)
    np.testing.assert_array_equal(plain.before[0], plain.before[1])


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"input_bias: got -5\.0 for 'gru', wanted an LSTM"):
        gated.trial("gru", (0.0,), data.latch, 5, (1, 4, 2), rng=np.random.default_rng(0), input_bias=-5.0)
    with pytest.raises(ValueError, match="kind: got 'elman', wanted one of tanh, lstm, gru"):
        draw("elman")
    with pytest.raises(ValueError, match="scheme: got 'jax', wanted one of keras, torch"):
        draw("lstm", scheme="jax")
    with pytest.raises(ValueError, match=r"weights: got shape \(4, 6\), wanted \(4, 5\)"):
        gated.memory_gradients("lstm", draw("lstm"), np.zeros((4, 7, 3)), np.zeros((4, 6)))
