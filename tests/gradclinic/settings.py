"""One list of networks from which NumPy, PyTorch and TensorFlow are compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradclinic.numpy_net import RNNParameters
from gradclinic.spec import ACTIVATION_NAMES, MLP, RNN, Parameters

RTOL = {"float64": 1e-10, "float32": 1e-5}  # promise 6 of the design

BASE = MLP((5, 7, 7, 6, 3), "tanh")
SETTINGS = [
    *(replace(BASE, activation=name) for name in ACTIVATION_NAMES),
    replace(BASE, bias=False),
    replace(BASE, normalization="batch"),
    replace(BASE, normalization="layer", activation="relu"),
    replace(BASE, residual=True),
    replace(BASE, residual=True, branch_scale=0.3, normalization="batch", activation="gelu"),
    MLP((4, 2), "sigmoid"),
]
RNNS = [RNN(3, 5, 2), RNN(3, 5, 2, "relu"), RNN(1, 4, 3, "linear")]


def name(spec: MLP | RNN) -> str:
    """A readable test id."""
    if isinstance(spec, RNN):
        return f"rnn-{spec.activation}"
    parts = [spec.activation, spec.normalization, "residual" if spec.residual else None]
    return "-".join(p for p in [*parts, None if spec.bias else "no-bias", str(spec.depth)] if p)


def draw(spec: MLP, rng: np.random.Generator, lead: tuple[int, ...] = ()) -> Parameters:
    """Parameters with every entry random, gains and shifts included."""
    pairs = list(zip(spec.widths[:-1], spec.widths[1:], strict=True))
    weights = tuple(rng.normal(0, 1.2 / np.sqrt(n), (*lead, m, n)) for n, m in pairs)
    biases = tuple((0.3 if spec.bias else 0.0) * rng.normal(size=(*lead, m)) for _, m in pairs)
    hidden = spec.widths[1:-1] if spec.normalization else ()
    gains = tuple(1 + 0.2 * rng.normal(size=(*lead, m)) for m in hidden)
    return Parameters(weights, biases, gains, tuple(0.2 * rng.normal(size=(*lead, m)) for m in hidden))


def draw_rnn(spec: RNN, rng: np.random.Generator) -> RNNParameters:
    """Random recurrent parameters with spectral radius of order one."""
    n = spec.hidden
    return RNNParameters(
        rng.normal(0, 1 / np.sqrt(n), (n, n)),
        rng.normal(size=(n, spec.inputs)),
        0.1 * rng.normal(size=n),
        rng.normal(size=(spec.outputs, n)),
        rng.normal(size=spec.outputs),
    )


def batch(spec: MLP, rng: np.random.Generator, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Eight samples with class labels (``"classes"``) or real targets (``"values"``)."""
    x = rng.normal(size=(8, spec.widths[0]))
    if task == "classes":
        return x, rng.integers(0, spec.widths[-1], 8)
    return x, rng.normal(size=(8, spec.widths[-1]))
