"""Claims of S2, notes on numerical stability that derive the Jacobian of a layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic import init
from gradclinic.course.claims.claim import Case, Claim, entry
from gradclinic.course.claims.experiments import descend, spread

CLAIMS: list[Claim] = []
settles = partial(entry, CLAIMS)


def _relu_stack(widths: tuple[int, ...], seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """He weights and the diagonal slope matrices of a ReLU network on one input of ones."""
    rng, h, weights, slopes = np.random.default_rng(seed), np.ones(widths[0]), [], []
    for shape in zip(widths[1:], widths[:-1], strict=True):
        weights.append(init.he_normal(shape, rng))
        z = weights[-1] @ h
        slopes.append(np.diag((z > 0).astype(float)))
        h = np.maximum(z, 0)
    return weights, slopes


def _gap(right: np.ndarray, factors: list[np.ndarray]) -> tuple[float, str]:
    """Relative distance of the product of ``factors`` from ``right``; infinite where the shapes do not fit."""
    try:
        product = np.linalg.multi_dot(factors)
    except ValueError:
        return np.inf, "the shapes do not fit"
    if product.shape != right.shape:
        return np.inf, f"a matrix {product.shape}, wanted {right.shape}"
    gap = float(np.linalg.norm(product - right) / np.linalg.norm(right))
    return gap, f"relative error {gap:.2f}"


STACKS = {"widths 6, 5, 4": (6, 5, 4), "square, 30 units": (30, 30, 30)}


@settles(
    "S2-jacobian-transposed",
    statement="the Jacobian of the layer h = sigma(W h) is Diag[sigma'(W h)] times W transposed",
    verdict="false",
    why="it is Diag[sigma'(W h)] W; the transpose belongs to the layout W^T h that the source uses further down",
    page="why/jacobians",
    universal=True,
    mark="the layer's Jacobian is",
)
def _jacobian_transposed() -> Iterator[Case]:
    for name, widths in STACKS.items():
        weights, slopes = _relu_stack(widths, 0)
        gap, said = _gap(slopes[1] @ weights[1], [slopes[1], weights[1].T])
        yield Case(f"ReLU layer, {name}", gap < 1e-10, said)


@settles(
    "S2-product-range",
    statement="the Jacobian from layer t to layer d is the product over the layers t to d - 1",
    verdict="false",
    why="over the layers t + 1 to d, the last on the left; the line before it in the source is right",
    page="why/jacobians",
    universal=True,
    mark="is the product of layers",
)
def _product_range() -> Iterator[Case]:
    for name, widths in {"widths 6, 5, 4, 3": (6, 5, 4, 3), "square, 30 units": (30, 30, 30, 30)}.items():
        w, d = _relu_stack(widths, 1)
        gap, said = _gap(d[2] @ w[2] @ d[1] @ w[1], [d[1], w[1], d[0], w[0]])
        yield Case(f"three ReLU layers, t = 1, d = 3, {name}", gap < 1e-10, said)


@settles(
    "S2-masks-separate",
    statement="in the product of Jacobians the masks and the weights separate into two products",
    verdict="false",
    why="matrices do not commute; it is true of one layer and of diagonal weights",
    page="why/jacobians",
    universal=True,
    mark="masks and weights separate into two products",
)
def _masks_separate() -> Iterator[Case]:
    for layers in (1, 2, 5, 20):
        weights, slopes = _relu_stack((100,) * (layers + 1), 2)
        true = np.eye(100)
        for w, d in zip(weights, slopes, strict=True):
            true = d @ w @ true
        gap, said = _gap(true, [*slopes[::-1], *weights[::-1]])
        yield Case(f"He, 100 units, {layers} layers", gap < 1e-10, said)


@settles(
    "S2-weights-above-one",
    statement="with every weight above 1, the gradient of a ReLU network explodes",
    quote="权重结果各分量 > 1",
    verdict="conditional",
    why="for inputs that are nowhere negative; an input with a negative sum can switch off a whole layer",
    page="why/jacobians",
)
def _weights_above_one() -> Iterator[Case]:
    rng = np.random.default_rng(3)
    weights = rng.uniform(1, 2, (20, 10, 100, 100))
    for name, h in (
        ("nowhere negative", rng.uniform(0, 1, (10, 100))),
        ("all entries negative", -rng.uniform(0, 1, (10, 100))),
    ):
        a, v = h[..., None], rng.standard_normal((10, 100, 1))
        start = np.linalg.norm(v, axis=1)
        for w in weights:
            z = w @ a
            a, v = np.maximum(z, 0), (z > 0) * (w @ v)
            a /= np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-300)
        growth = np.linalg.norm(v, axis=1) / start
        yield Case(f"20 layers of 100 units, input {name}", growth.min() > 1e2, f"gradient times {spread(growth)}")


@settles(
    "S2-gradient-ascent",
    statement="the update W <- W + eta dL/dW, gradient ascent, is used",
    quote="针对某任务目标(例如极大似然估计),使用梯度上升法",
    verdict="conditional",
    why="a sign convention: right where L is a likelihood to be raised, wrong where L is a loss to be lowered",
    page="why/descent",
)
def _gradient_ascent() -> Iterator[Case]:
    x = np.random.default_rng(4).normal(2.0, 1.0, 50)
    for name, sign in (
        ("log-likelihood of a normal mean, to be raised", -1.0),
        ("the same, negative: a loss, to be lowered", 1.0),
    ):
        mean = descend(lambda m, sign=sign: -sign * np.mean(m - x), 0.0, 0.3, 20)
        objective = sign * 0.5 * np.mean((mean[:, None] - x) ** 2, axis=1)
        better = objective[-1] < objective[0] if sign > 0 else objective[-1] > objective[0]
        yield Case(name, better, f"objective from {objective[0]:.2f} to {objective[-1]:.2f} in 20 steps")
