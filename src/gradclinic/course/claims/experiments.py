"""Experiments that several claims share; results are cached, so that a patient is examined once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gradclinic import init, measure, numpy_net
from gradclinic.course import data
from gradclinic.numpy_net import RNNParameters
from gradclinic.spec import MLP, RNN, Parameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from gradclinic.course.remedies import Row, Treatment

FEW_RATES = (0.01, 0.1, 1.0)


@cache
def digits() -> data.Split:
    """500 digits to train on, 500 to test."""
    return data.digits(n_train=500, n_test=500, rng=np.random.default_rng(0))


def profile(
    spec: MLP, params: Parameters, x: np.ndarray | None = None, y: np.ndarray | None = None
) -> measure.GradientProfile:
    """Gradient profile of an ensemble by :mod:`gradclinic.numpy_net`, on a hundred digits unless data is given."""
    if x is None:
        x, y = digits().x_train[:100], digits().y_train[:100]
    assert y is not None, "targets of x"
    with np.errstate(all="ignore"):
        g = numpy_net.gradients(spec, params, x, y)
        return measure.profile_from(spec.names, g.delta, g.weights, g.loss)


def hidden_factor(
    activation: str, weight_variance: float, *, depth: int = 20, width: int = 100, seed: int = 0, **options: Any
) -> float:
    """Growth of the gradient per hidden layer towards the input, geometric mean over the deeper two thirds of the
    hidden layers and over three networks; ``options`` go to :class:`~gradclinic.spec.MLP`, ``bias_std`` to the draw."""
    bias_std = options.pop("bias_std", 0.0)
    spec = MLP((64, *[width] * depth, 10), activation, **options)
    rng = np.random.default_rng(seed)
    nets = init.mlp(spec, rng, weight_variance=weight_variance, ensemble=3, bias_std=bias_std)
    return float(np.exp(np.mean(np.log(profile(spec, nets).ratios[:, depth // 3 : depth - 1]))))


def descend(slope: Callable[[Any], Any], start: float | np.ndarray, lr: float, steps: int) -> np.ndarray:
    """Path ``(steps + 1, ...)`` of plain descent; overflow is silent."""
    path = [np.asarray(start, dtype=np.float64)]
    with np.errstate(all="ignore"):
        for _ in range(steps):
            path.append(path[-1] - lr * slope(path[-1]))
    return np.array(path)


def step(params: Parameters, g: numpy_net.Gradients, sizes: float | list[np.ndarray]) -> Parameters:
    """One step of descent; ``sizes``: one for all layers, or one ``(members,)`` for each."""
    sizes = sizes if isinstance(sizes, list) else [np.asarray(sizes, dtype=np.float64)] * len(g.weights)
    with np.errstate(all="ignore"):
        weights = [w - s[..., None, None] * d for w, d, s in zip(params.weights, g.weights, sizes, strict=True)]
        biases = [b - s[..., None] * d for b, d, s in zip(params.biases, g.biases, sizes, strict=True)]
    return Parameters(tuple(weights), tuple(biases))


def train(
    spec: MLP, params: Parameters, steps: int, *, lr: float | None = None, ratio: float | None = None
) -> Parameters:
    """Full-batch descent on the 500 digits: at one rate ``lr``, or with a step per layer whose update is ``ratio``
    times the weights' norm."""
    here = digits()
    for _ in range(steps):
        with np.errstate(all="ignore"):
            g = numpy_net.gradients(spec, params, here.x_train, here.y_train)
        sizes: float | list[np.ndarray] = (
            lr
            if lr is not None
            else [
                ratio * measure.frobenius(w) / measure.frobenius(d)
                for w, d in zip(params.weights, g.weights, strict=True)
            ]
        )
        params = step(params, g, sizes)
    return params


def accuracy(spec: MLP, params: Parameters) -> np.ndarray:
    """Share of the 500 test digits that each member reads."""
    here = digits()
    return np.mean(numpy_net.forward(spec, params, here.x_test).output.argmax(-1) == here.y_test, axis=-1)


def gain_profile(weights: ArrayLike, biases: ArrayLike, x: float) -> np.ndarray:
    """The factors ``|w_i sigma'(z_i)|``, ``i >= 1``, of a scalar sigmoid chain."""
    from gradclinic import activations, chain

    z = chain.gradients(weights, biases, x).z
    return np.abs(np.asarray(weights) * activations.get("sigmoid").slope(z))[..., 1:]


@cache
def treated(patient: str, remedy: str) -> tuple[Treatment, measure.GradientProfile]:
    """One of the two patients under a remedy, five seeds, and its profile before any step."""
    from gradclinic.course import remedies

    treatment = remedies.treat(patient, remedy)
    return treatment, remedies.profile(treatment)


@cache
def examined(patient: str, remedy: str) -> Row:
    """One row of the matrix of remedies, at three learning rates instead of nine."""
    from gradclinic.course import remedies

    treatment, found = treated(patient, remedy)
    with np.errstate(all="ignore"):
        run = remedies.train(treatment, FEW_RATES)
    return remedies.Row(remedies.PATIENTS[patient], remedies.REMEDIES[remedy], treatment, found, run)


@cache
def latch(
    rho: float, *, lr: float = 0.05, limit: float = np.inf, steps: int = 60, members: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tanh network of 24 units, recurrent matrix ``rho`` times orthogonal, asked to hold one bit for sixty steps.

    Descent at rate ``lr``, the norm of the gradient limited to ``limit``. Returns the test accuracy ``(members,)``,
    the loss in each step and the size of each update of the recurrent weights over theirs, both ``(steps, members)``.
    """
    n, length, rng, spec = 24, 60, np.random.default_rng(seed), RNN(1, 24, 2)
    p = RNNParameters(
        init.orthogonal((members, n, n), rng, rho),
        rng.standard_normal((members, n, 1)),
        np.zeros((members, n)),
        init.lecun_normal((members, 2, n), rng),
        np.zeros((members, 2)),
    )
    (x, y), (x_test, y_test) = (data.latch(samples, length, rng, noise=0.05) for samples in (40, 200))
    losses, ratios = [], []
    for _ in range(steps):
        found = numpy_net.rnn_gradients(spec, p, x, y)
        losses.append(found.loss)
        g = [getattr(found, f.name) for f in fields(p)]
        norm = np.sqrt(sum(np.sum(a.reshape(members, -1) ** 2, axis=1) for a in g))
        size = lr * np.minimum(1.0, limit / norm)
        ratios.append(size * measure.frobenius(found.recurrent) / measure.frobenius(p.recurrent))
        p = RNNParameters(
            *(getattr(p, f.name) - a * size.reshape(-1, *[1] * (a.ndim - 1)) for f, a in zip(fields(p), g, strict=True))
        )
    right = np.mean(numpy_net.rnn_forward(spec, p, x_test)[2].argmax(axis=-1) == y_test, axis=-1)
    return right, np.array(losses), np.array(ratios)


def cliff(w: np.ndarray, b: np.ndarray, *, squashed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Loss ``(sigma(x_50) - 0.7)^2`` of one recurrent unit ``x <- w sigma(x) + b`` and its gradient
    in ``(w, b)``, as in Pascanu, Mikolov & Bengio 2013, figure 6. Not ``squashed``: ``(x_50 - 0.7)^2``."""
    from gradclinic import activations

    sigma = activations.get("sigmoid")
    h, dw, db = 0.5 + 0 * w, 0 * w, 0 * w
    for _ in range(50):
        s = sigma(h)
        h, dw, db = w * s + b, s + w * s * (1 - s) * dw, 1 + w * s * (1 - s) * db
    if not squashed:
        return (h - 0.7) ** 2, 2 * (h - 0.7) * np.stack([dw, db])
    s = sigma(h)
    return (s - 0.7) ** 2, 2 * (s - 0.7) * s * (1 - s) * np.stack([dw, db])


@cache
def on_the_cliff(limit: float, *, squashed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """500 descents from within 0.5 of the cliff's wall, norm of the gradient at most ``limit``, a rate that falls
    to 0 in 300 steps, from 1 or, not ``squashed``, from 0.01: which were ever thrown further than 5, and the final
    losses."""
    from gradclinic import activations

    rng = np.random.default_rng(0)
    w = rng.uniform(4.5, 6.5, 500)
    start = p = np.stack([w, 0.5 - w * activations.get("sigmoid")(0.5) + rng.uniform(-0.5, 0.5, 500)])
    far = np.zeros(500)
    for k in range(300):
        g = cliff(*p, squashed=squashed)[1]
        p = p - (1.0 if squashed else 0.01) * (1 - k / 300) * g * np.minimum(1, limit / np.maximum(np.hypot(*g), 1e-30))
        far = np.maximum(far, np.hypot(*(p - start)))
    return far > 5, cliff(*p, squashed=squashed)[0]


@cache
def critic(clip: float, *, steps: int, members: int = 3) -> measure.GradientProfile:
    """Profile of Wasserstein critics, twelve ReLU layers of 64 units and a linear output, on two clouds of 64 points,
    every weight and bias clipped to ``[-clip, clip]`` before the first and after each of ``steps`` steps of Adam."""
    import torch

    from gradclinic import torch_net

    rng = np.random.default_rng(0)
    real, fake = (2 * data.spirals(64, rng)[0] for _ in range(2))
    x = torch.as_tensor(np.concatenate([real, fake + rng.standard_normal(fake.shape)]))
    sign = torch.cat([torch.ones(64, 1), -torch.ones(64, 1)]).to(x) / 64
    spec = MLP((2, *[64] * 12, 1), "relu")
    net = torch_net.build(spec, init.mlp(spec, np.random.default_rng(2), ensemble=members))
    rule = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.0, 0.9), eps=1e-20)
    for k in range(steps + 1):
        if k > 0:
            rule.zero_grad()
            (-(sign * net(x)).sum()).backward()
            rule.step()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.clamp_(-clip, clip)
    return torch_net.profile(net, x, sign, lambda output, _: output.mean((-1, -2)))


def spread(values: np.ndarray, digits_: int = 3) -> str:
    """A few numbers as ``least to most``."""
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.{digits_}g}" if np.isclose(low, high, rtol=1e-12) else f"{low:.{digits_}g} to {high:.{digits_}g}"
