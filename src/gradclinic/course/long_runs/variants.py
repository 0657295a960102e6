"""Networks that chapters compare with the rows of the matrix, trained by the same protocol at the same two budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from gradclinic import activations, init, pretrain, theory
from gradclinic.course import registry, remedies
from gradclinic.course.long_runs import matrix
from gradclinic.spec import MLP, Parameters

ABOUT = (
    "Networks beside the rows of the matrix, examined in the same way: five seeds, batches of 50 digits, the rates "
    "0.01 to 1, half a power of ten apart, carried to the last step; for both budgets the curve of the rate with the "
    "best median accuracy on 297 validation digits. loss: on the 1000 training digits; accuracy: on 500 test digits."
)
RATES = remedies.LEARNING_RATES[4:]
Treatment = remedies.Treatment


def centred(params: Parameters, mean: float) -> Parameters:
    """Biases after the first layer that take away an activation's ``mean``: ``b_i = -mean * sum_j w_ij``."""
    biases = (params.biases[0], *(-mean * weight.sum(-1) for weight in params.weights[1:]))
    return replace(params, biases=biases)


def centred_on_digits(params: Parameters) -> Parameters:
    """Biases that put the mean of every hidden pre-activation of a sigmoid network over the training digits at 0."""
    sigmoid, a, biases = activations.get("sigmoid"), remedies.ward().x, []
    for weight in params.weights[:-1]:
        z = a @ weight.mT
        biases.append(-z.mean(axis=-2))
        a = sigmoid(z + biases[-1][..., None, :])
    return Parameters(params.weights, (*biases, np.zeros_like(params.biases[-1])))


def of_variance(spec: MLP, variance: float) -> Treatment:
    """Five networks of a spec with normal weights of ``variance`` over fan-in."""
    return Treatment(spec, init.mlp(spec, np.random.default_rng(1), weight_variance=variance, ensemble=5))


def at_gain(activation: str) -> Treatment:
    """Patient A's shape with another activation, weights at its gain."""
    spec = replace(registry.PATIENTS["A"].spec, activation=activation)
    return of_variance(spec, init.gain(activation) ** 2)


def thirty(
    activation: str, variance: float, normalization: Literal["batch", "layer"] | None = None, width: int = 32
) -> Treatment:
    """Thirty layers, 29 of them hidden."""
    return of_variance(MLP((64, *[width] * 29, 10), activation, normalization=normalization), variance)


def shuffled() -> Treatment:
    """Patient A pre-trained, and the entries inside every matrix shuffled."""
    learnt = remedies.treat("A", "pretraining")
    return replace(learnt, params=pretrain.shuffled(learnt.params, np.random.default_rng(3)))


def boltzmann() -> Treatment:
    """Patient A with hidden layers learnt as restricted Boltzmann machines."""
    spec = registry.PATIENTS["A"].spec
    start = init.mlp(spec, np.random.default_rng(1), weight_variance=1.0, ensemble=5)
    learnt = pretrain.greedy(spec, start, remedies.ward().x, np.random.default_rng(2), rule="rbm")
    return Treatment(spec, learnt.params)


def with_params(treatment: Treatment, change: Callable[[Parameters], Parameters]) -> Treatment:
    """The same treatment with other parameters."""
    return replace(treatment, params=change(treatment.params))


def drowned(activation: str, hidden: int) -> Treatment:
    """He's weights, and every hidden bias at -20, so that all units start far on the left."""
    spec = MLP((64, *[64] * hidden, 10), activation)
    params = init.mlp(spec, np.random.default_rng(4), "he_normal", ensemble=5)
    return Treatment(spec, replace(params, biases=(*(bias - 20 for bias in params.biases[:-1]), params.biases[-1])))


SPEC_A = registry.PATIENTS["A"].spec
VARIANTS: dict[str, Callable[[], Treatment]] = {
    "A variance 103": lambda: of_variance(SPEC_A, float(theory.critical_weight_variance("sigmoid"))),
    "A scaled, centred": lambda: with_params(remedies.treat("A", "initialization"), lambda p: centred(p, 0.5)),
    "A layer norm, centred": lambda: with_params(remedies.treat("A", "layer-normalization"), lambda p: centred(p, 0.5)),
    "A tanh at its gain": lambda: at_gain("tanh"),
    "A leaky ReLU at its gain": lambda: at_gain("leaky_relu"),
    "A ELU at its gain": lambda: at_gain("elu"),
    "A SELU at its gain": lambda: at_gain("selu"),
    "A linear at its gain": lambda: at_gain("linear"),
    "A Boltzmann machines": boltzmann,
    "A shuffled": shuffled,
    "A shuffled, centred": lambda: with_params(shuffled(), centred_on_digits),
    "A scaled, centred on digits": lambda: with_params(remedies.treat("A", "initialization"), centred_on_digits),
    **{
        f"drowned {activation}, {hidden} hidden": lambda activation=activation, hidden=hidden: drowned(
            activation, hidden
        )
        for hidden in (1, 2)
        for activation in ("relu", "leaky_relu", "elu")
    },
    "30 sigmoid layers": lambda: thirty("sigmoid", 1.0),
    "30 sigmoid layers, batch norm": lambda: thirty("sigmoid", 1.0, "batch"),
    "30 ReLU layers of 100, He": lambda: thirty("relu", 2.0, width=100),
    "30 ReLU layers of 100, Glorot": lambda: thirty("relu", 1.0, width=100),
}


def tasks() -> dict[str, Callable[[], dict[str, Any]]]:
    """One task for each of :data:`VARIANTS`."""
    return {key: lambda make=make: examine(make()) for key, make in VARIANTS.items()}


def examine(treatment: Treatment) -> dict[str, Any]:
    """One network, as it is stored."""
    return matrix.readings(treatment) | matrix.compared(treatment, RATES)
