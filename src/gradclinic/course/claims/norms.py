"""Claims about the norm of the gradient that a log prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

import numpy as np

from gradclinic import init, measure, numpy_net
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import digits, treated
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)

THREE_LAYERS = MLP((64, 64, 64, 10), "relu")


def whole_norm(spec: MLP, params: Parameters, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Loss, and norm of the gradient by all weights and biases, of one network."""
    g = numpy_net.gradients(spec, params, x, y)
    return float(g.loss), float(np.sqrt(sum(np.sum(a**2) for a in (*g.weights, *g.biases))))


@cache
def after(steps: int, *, start: float = 1.0, rate: float = 0.1, batch: int = 32) -> Parameters:
    """A network of three ReLU layers after so many steps on 500 digits, from ``start`` times He's weights."""
    here, order = digits(), np.random.default_rng(0)
    params = init.mlp(THREE_LAYERS, np.random.default_rng(0))
    params = Parameters(tuple(start * w for w in params.weights), params.biases)
    for _ in range(steps):
        rows = order.choice(len(here.y_train), batch, replace=False)
        g = numpy_net.gradients(THREE_LAYERS, params, here.x_train[rows], here.y_train[rows])
        params = Parameters(
            tuple(w - rate * d for w, d in zip(params.weights, g.weights, strict=True)),
            tuple(b - rate * d for b, d in zip(params.biases, g.biases, strict=True)),
        )
    return params


@cache
def batch_norms(steps: int, size: int, draws: int = 100) -> np.ndarray:
    """Norm of the gradient of ``draws`` batches of ``size`` digits, after ``steps`` steps."""
    here, order = digits(), np.random.default_rng(1)
    rows = (order.integers(0, len(here.y_train), size) for _ in range(draws))
    return np.array([whole_norm(THREE_LAYERS, after(steps), here.x_train[r], here.y_train[r])[1] for r in rows])


@settles(
    "belief-clip-one-safe",
    statement="clipping at 1.0 is a safe default",
    page="today/gradient-norm",
    mark="1.0 is no safe default",
    verdict="false",
    why="the norm depends on the batch, on sum or mean and on the moment: the same limit clips every batch or none",
    held=(2, 4),
)
def _clip_one_safe() -> Iterator[Case]:
    for steps, size, factor, name in (
        (30, 16, 1, "30 steps, batches of 16"),
        (30, 256, 1, "30 steps, batches of 256"),
        (300, 64, 1, "300 steps, batches of 64"),
        (300, 64, 64, "300 steps, batches of 64, losses added and not averaged"),
    ):
        share = np.mean(factor * batch_norms(steps, size) > 1)
        said = f"clips {share:.0%} of ordinary batches"
        yield Case(f"three layers on digits, {name}: it spares most batches", share < 0.5, said)


@settles(
    "belief-norm-should-fall",
    statement="grad_norm should go down while the loss goes down",
    page="today/gradient-norm",
    mark="Should it go down?",
    verdict="conditional",
    why="from a usual start it does; not while a plateau is left, nor where weights before a normalisation shrink",
    held=(1, 3),
)
def _norm_should_fall() -> Iterator[Case]:
    here = digits()
    for start, rate, steps, name in ((1.0, 0.1, (0, 100), "He's start"), (0.2, 0.5, (0, 40), "a fifth of He's")):
        (loss, norm), (loss_then, norm_then) = (
            whole_norm(THREE_LAYERS, after(k, start=start, rate=rate), here.x_train, here.y_train) for k in steps
        )
        said = f"loss {loss:.1f} to {loss_then:.1f}, norm {norm:.2g} to {norm_then:.1g} in {steps[1]} steps"
        yield Case(f"three layers on digits, {name}", loss_then < loss and norm_then < norm, said)
    spec = MLP((64, 64, 64, 10), "relu", normalization="layer")
    params = init.mlp(spec, np.random.default_rng(0))
    norms, losses = [], []
    for scale in (1.0, 0.5):
        weights = (*(scale * w for w in params.weights[:-1]), params.weights[-1])
        g = numpy_net.gradients(spec, replace(params, weights=weights), here.x_train, here.y_train)
        norms.append(np.sqrt(sum(np.sum(d**2) for d in g.weights[:-1])))
        losses.append(float(g.loss))
    said = (
        f"loss {losses[0]:.2f} and {losses[1]:.2f}, norm of the hidden weights' gradient {norms[1] / norms[0]:.1f}-fold"
    )
    yield Case("layer norm, hidden weights halved, as weight decay does in time", norms[1] <= norms[0], said)


@settles(
    "belief-large-norm-explodes",
    statement="a large grad_norm means an exploding gradient",
    page="today/gradient-norm",
    mark="The line does not say",
    verdict="false",
    why="a small batch or a sum of losses makes it large too; an explosion is read from layer to layer",
    held=(1, 3),
)
def _large_norm_explodes() -> Iterator[Case]:
    here = digits()
    treatment, exploding = treated("B", "none")
    g = numpy_net.gradients(treatment.spec, treatment.params, here.x_train, here.y_train)
    norm = np.median(np.sqrt(sum(measure.frobenius(w) ** 2 for w in g.weights)))
    yield Case(
        "patient B",
        exploding.verdict == "exploding",
        f"norm {norm:.0e}, factor per layer {np.median(exploding.factor):.1f}",
    )
    found = numpy_net.gradients(THREE_LAYERS, after(30), here.x_train, here.y_train)
    healthy = measure.profile_from(THREE_LAYERS.names, found.delta, found.weights, found.loss)
    alone, mean = (
        np.sqrt(np.mean(batch_norms(30, 1) ** 2)),
        whole_norm(THREE_LAYERS, after(30), here.x_train, here.y_train)[1],
    )
    said = f"norm {alone:.0f} with one digit, {mean:.1f} with all, factor per layer {float(healthy.factor):.1f}"
    yield Case("three layers on digits, one digit a batch", healthy.verdict == "exploding", said)
    said = f"norm {500 * mean:.0f} as a sum over 500 digits, {mean:.1f} as a mean"
    yield Case("the same, losses added and not averaged", healthy.verdict == "exploding", said)
