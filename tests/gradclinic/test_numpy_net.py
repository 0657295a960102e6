from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from settings import RNNS, SETTINGS, batch, draw, draw_rnn, name

from gradclinic import numpy_net
from gradclinic.measure import numerical_gradient
from gradclinic.spec import MLP, Parameters


@pytest.mark.parametrize("task", ["classes", "values"])
@pytest.mark.parametrize("spec", SETTINGS, ids=name)
def test_every_gradient_agrees_with_central_differences(spec, task):
    rng = np.random.default_rng(2)
    params, (x, y) = draw(spec, rng), batch(spec, rng, task)
    g = numpy_net.gradients(spec, params, x, y)
    for part in ("weights", "biases", "gains", "shifts"):
        for layer, array in enumerate(getattr(params, part)):

            def loss(changed, part=part, layer=layer):
                arrays = list(getattr(params, part))
                arrays[layer] = changed
                return float(numpy_net.gradients(spec, replace(params, **{part: tuple(arrays)}), x, y).loss)

            np.testing.assert_allclose(
                getattr(g, part)[layer],
                numerical_gradient(loss, array),
                rtol=2e-6,
                atol=2e-9,
                err_msg=f"{part}[{layer}]",
            )
    by_input = numerical_gradient(lambda x: float(numpy_net.gradients(spec, params, x, y).loss), x)
    np.testing.assert_allclose(g.input / len(x), by_input, rtol=2e-6, atol=2e-9)


@pytest.mark.parametrize("spec", RNNS, ids=name)
def test_through_time_agrees_with_central_differences(spec):
    rng = np.random.default_rng(4)
    params, x, y = draw_rnn(spec, rng), rng.normal(size=(4, 6, spec.inputs)), rng.integers(0, spec.outputs, 4)
    g = numpy_net.rnn_gradients(spec, params, x, y)
    for part in vars(params):

        def loss(changed, part=part):
            return float(numpy_net.rnn_gradients(spec, replace(params, **{part: changed}), x, y).loss)

        wanted = numerical_gradient(loss, getattr(params, part))
        np.testing.assert_allclose(getattr(g, part), wanted, rtol=2e-6, atol=2e-9, err_msg=part)
    np.testing.assert_allclose(g.recurrent_per_step.sum(0), g.recurrent, rtol=1e-13)


def test_ensemble_axes_are_independent_networks():
    spec = MLP((3, 4, 4, 2), "relu", normalization="layer", residual=True)
    rng = np.random.default_rng(0)
    params, (x, y) = draw(spec, rng, (2, 3)), batch(spec, rng, "classes")
    together = numpy_net.gradients(spec, params, x, y)
    assert together.loss.shape == (2, 3)
    member = Parameters(*(tuple(a[1, 2] for a in part) for part in vars(params).values()))
    alone = numpy_net.gradients(spec, member, x, y)
    np.testing.assert_allclose(together.loss[1, 2], alone.loss, rtol=1e-13)
    for a, b in zip(together.weights, alone.weights, strict=True):
        np.testing.assert_allclose(a[1, 2], b, rtol=1e-12)


def test_the_squared_loss_of_an_ensemble_is_that_of_each_member():
    rng = np.random.default_rng(1)
    output, y = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(5, 3))
    value, delta = numpy_net.loss_and_delta(output, y)
    np.testing.assert_allclose(value, 0.5 * ((output - y) ** 2).sum(axis=(-2, -1)) / 5, rtol=1e-13)
    np.testing.assert_array_equal(delta, output - y)


def test_cross_entropy_is_stable_for_huge_logits():
    value, delta = numpy_net.loss_and_delta(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert value == 5e3
    np.testing.assert_array_equal(delta, [[0.0, 0.0], [-1.0, 1.0]])


SPEC = MLP((3, 4, 2))
PARAMS = draw(SPEC, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("x", "y", "loss", "error", "words"),
    [
        (np.zeros((5, 2)), np.zeros(5, int), None, ValueError, r"x: got shape \(5, 2\), wanted \(batch, 3\)"),
        (np.zeros(3), np.zeros(5, int), None, ValueError, r"x: got shape \(3,\)"),
        (
            np.zeros((5, 3)),
            np.zeros(4, int),
            None,
            ValueError,
            r"y: got shape \(4,\), wanted one label per sample, \(5,\)",
        ),
        (np.zeros((5, 3)), np.zeros((5, 3)), None, ValueError, r"y: got shape \(5, 3\), wanted the output's"),
        (np.zeros((5, 3)), np.zeros(5), "cross-entropy", TypeError, "y: got dtype float64, wanted integer"),
        (np.zeros((5, 3)), np.zeros(5, int), "hinge", ValueError, "loss: got 'hinge'"),
    ],
)
def test_bad_input_is_named(x, y, loss, error, words):
    with pytest.raises(error, match=words):
        numpy_net.gradients(SPEC, PARAMS, x, y, loss)


def test_wrong_parameters_are_named():
    short = replace(PARAMS, weights=PARAMS.weights[:1])
    with pytest.raises(ValueError, match=r"params.weights: got 1 arrays, wanted 2"):
        numpy_net.forward(SPEC, short, np.zeros((1, 3)))
    turned = replace(PARAMS, weights=(PARAMS.weights[0].T, PARAMS.weights[1]))
    with pytest.raises(ValueError, match=r"params.weights\[0\]: got shape \(3, 4\), wanted \(4, 3\)"):
        numpy_net.forward(SPEC, turned, np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"x: got shape \(2, 3\), wanted \(batch, time, 3\)"):
        numpy_net.rnn_forward(RNNS[0], draw_rnn(RNNS[0], np.random.default_rng(0)), np.zeros((2, 3)))


def test_what_is_computed_cannot_be_changed():
    x, y = np.zeros((5, 3)), np.zeros(5, int)
    recurrent = draw_rnn(RNNS[0], np.random.default_rng(0))
    sequence = np.zeros((2, 4, RNNS[0].inputs))
    for record, field in (
        (numpy_net.forward(SPEC, PARAMS, x), "z"),
        (numpy_net.gradients(SPEC, PARAMS, x, y), "loss"),
        (recurrent, "bias"),
        (numpy_net.rnn_gradients(RNNS[0], recurrent, sequence, np.zeros((2, RNNS[0].outputs))), "loss"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(record, field, None)
