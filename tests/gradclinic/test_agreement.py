"""The same weights give the same numbers in NumPy, PyTorch and TensorFlow (promise 6)."""

from __future__ import annotations

import numpy as np
import pytest
from settings import RNNS, RTOL, SETTINGS, batch, draw, draw_rnn, name

from gradclinic import measure, numpy_net, tf_net, torch_net
from gradclinic.spec import MLP

BACKENDS = {"torch": torch_net, "tensorflow": tf_net}


def numpy_profile(spec, params, x, y):
    g = numpy_net.gradients(spec, params, x, y)
    return measure.profile_from(spec.names, g.delta, g.weights, g.loss)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("task", ["classes", "values"])
@pytest.mark.parametrize("spec", SETTINGS, ids=name)
def test_profile(spec, task, dtype, backend):
    rng = np.random.default_rng(7)
    params, (x, y) = draw(spec, rng), batch(spec, rng, task)
    wanted = numpy_profile(spec, params, x, y)
    net = BACKENDS[backend]
    found = net.profile(net.build(spec, params, dtype=dtype), x, y)
    rtol = RTOL[dtype]
    np.testing.assert_allclose(found.loss, wanted.loss, rtol=rtol)
    np.testing.assert_allclose(found.delta, wanted.delta, rtol=rtol)
    np.testing.assert_allclose(found.weight, wanted.weight, rtol=rtol)
    assert found.names == wanted.names
    assert found.verdict == wanted.verdict


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_ensemble_equals_its_members(backend, normalization):
    spec = MLP((5, 6, 6, 3), "tanh", normalization=normalization, residual=True)
    rng = np.random.default_rng(3)
    params, (x, y) = draw(spec, rng, (4,)), batch(spec, rng, "classes")
    net = BACKENDS[backend]
    together = net.profile(net.build(spec, params), x, y)
    by_numpy = numpy_profile(spec, params, x, y)
    np.testing.assert_allclose(together.delta, by_numpy.delta, rtol=1e-10)
    for i in range(4):
        member = type(params)(*(tuple(a[i] for a in part) for part in vars(params).values()))
        alone = net.profile(net.build(spec, member), x, y)
        np.testing.assert_allclose(together[i].delta, alone.delta, rtol=1e-10)
        np.testing.assert_allclose(together[i].weight, alone.weight, rtol=1e-10)
        np.testing.assert_allclose(together[i].loss, alone.loss, rtol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("spec", RNNS, ids=name)
def test_recurrent_profile(spec, backend):
    rng = np.random.default_rng(11)
    params, x, y = draw_rnn(spec, rng), rng.normal(size=(6, 9, spec.inputs)), rng.integers(0, spec.outputs, 6)
    g = numpy_net.rnn_gradients(spec, params, x, y)
    wanted = measure.profile_from([f"t = {t}" for t in range(1, 10)], g.delta, g.recurrent_per_step, g.loss)
    net = BACKENDS[backend]
    found = net.profile(net.build(spec, params), x, y)
    np.testing.assert_allclose(found.delta, wanted.delta, rtol=1e-10)
    np.testing.assert_allclose(found.weight[1:], wanted.weight[1:], rtol=1e-10)
    np.testing.assert_allclose(found.loss, wanted.loss, rtol=1e-10)
    assert found.weight[0] == wanted.weight[0] == 0.0  # h_0 = 0: the first step adds nothing to dC/dW_h
    assert found.names == wanted.names


@pytest.mark.parametrize("spec", [*SETTINGS[:3], *SETTINGS[10:12]], ids=name)
def test_training_agrees_step_by_step(spec):
    rng = np.random.default_rng(5)
    params, (x, y) = draw(spec, rng), batch(spec, rng, "classes")
    losses, weights = {}, {}
    for key, net in BACKENDS.items():
        model, batches = net.build(spec, params), np.random.default_rng(1)
        # Keras keeps the learning rate in float32: 1/16 is the same number there
        losses[key] = net.train(model, x, y, steps=20, lr=1 / 16, batch_size=5, rng=batches).loss
        weights[key] = net.profile(model, x, y).weight
    np.testing.assert_allclose(losses["torch"], losses["tensorflow"], rtol=1e-9)
    np.testing.assert_allclose(weights["torch"], weights["tensorflow"], rtol=1e-9)
    assert losses["torch"].shape == (20,)
    assert np.ptp(losses["torch"]) > 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_ensemble_trains_members_independently(backend):
    spec = MLP((5, 6, 3), "relu", normalization="batch")
    rng = np.random.default_rng(3)
    params, (x, y) = draw(spec, rng, (3,)), batch(spec, rng, "classes")
    net = BACKENDS[backend]
    together = net.train(net.build(spec, params), x, y, steps=10, lr=0.1).loss
    member = type(params)(*(tuple(a[1] for a in part) for part in vars(params).values()))
    alone = net.train(net.build(spec, member), x, y, steps=10, lr=0.1).loss
    assert together.shape == (10, 3)
    np.testing.assert_allclose(together[:, 1], alone, rtol=1e-10)
