"""Claims about the Jacobian of a layer and of many."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic import activations, init, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    digits,
    spread,
)
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


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
    statement=r"the Jacobian of the layer $h = \sigma(W h)$ is $\mathrm{Diag}[\sigma'(W h)]\,W^T$",
    said=sentences.S2_JACOBIAN,
    verdict="false",
    why=r"it is $\mathrm{Diag}[\sigma'(W h)]\,W$; the transpose belongs to the layout $W^T h$ used further down",
    page="why/jacobians",
    mark="the layer's Jacobian is",
    held=(0, 2),
)
def _jacobian_transposed() -> Iterator[Case]:
    for name, widths in STACKS.items():
        weights, slopes = _relu_stack(widths, 0)
        gap, said = _gap(slopes[1] @ weights[1], [slopes[1], weights[1].T])
        yield Case(f"ReLU layer, {name}", gap < 1e-10, said)


@settles(
    "S2-product-range",
    statement="the Jacobian from layer t to layer d is the product over the layers t to d - 1",
    said=sentences.S2_PRODUCT,
    verdict="false",
    why="over the layers t + 1 to d, the last on the left; the line before it in the source is right",
    page="why/jacobians",
    mark="is the product of layers",
    held=(0, 2),
)
def _product_range() -> Iterator[Case]:
    for name, widths in {"widths 6, 5, 4, 3": (6, 5, 4, 3), "square, 30 units": (30, 30, 30, 30)}.items():
        w, d = _relu_stack(widths, 1)
        gap, said = _gap(d[2] @ w[2] @ d[1] @ w[1], [d[1], w[1], d[0], w[0]])
        yield Case(f"three ReLU layers, t = 1, d = 3, {name}", gap < 1e-10, said)


@settles(
    "S2-masks-separate",
    statement="in the product of Jacobians the masks and the weights separate into two products",
    said=sentences.S2_SEPARATE,
    verdict="false",
    why="matrices do not commute; it is true of one layer and of diagonal weights",
    page="why/jacobians",
    mark="masks and weights separate into two products",
    held=(1, 4),
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
    said=sentences.S2_GROWTH,
    part="最终导致∏W_i^T连乘过程中越来越大。从而导致∂L/∂W越来越大",
    verdict="conditional",
    why="for inputs that are nowhere negative; an input with a negative sum can switch off a whole layer",
    page="why/jacobians",
    mark="权重结果各分量 > 1",
    statement="with every weight above 1 the gradient of a ReLU network gets larger and larger",
    held=(1, 2),
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
    "belief-he-keeps-variance",
    verdict="false",
    why=r"it keeps the mean over networks; the median falls as $e^{-5L/2n}$, to 0.08 at 40 layers of 40 units",
    page="why/typical-network",
    also=("remedies/initialization", "beyond/ten-thousand-layers"),
    mark="of the typical network too",
    statement="He initialisation keeps the variance at any depth, of the typical network too",
    held=(1, 3),
)
def _he_keeps_variance() -> Iterator[Case]:
    for depth, n in ((2, 100), (20, 40), (40, 40)):
        rng = np.random.default_rng(8)
        a, v, log = np.ones((200, n, 1)), rng.standard_normal((200, n, 1)), np.zeros(200)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        for _ in range(depth):
            w = init.he_normal((200, n, n), rng)
            z, u = w @ a, w @ v
            a, v = np.maximum(z, 0), (z > 0) * u
            length = np.linalg.norm(v, axis=1, keepdims=True)
            log, v, a = log + np.log(length[:, 0, 0]), v / length, a / np.linalg.norm(a, axis=1, keepdims=True)
        median = float(np.exp(2 * np.median(log)))
        yield Case(
            f"{depth} layers of {n} units",
            abs(median - 1) < 0.1,
            f"median squared norm of the gradient {median:.3f}",
        )


@settles(
    "belief-slopes-at-most-one",
    statement="ReLU-like slopes are at most 1",
    verdict="false",
    why="GELU reaches 1.129, SiLU 1.100, SELU 1.758",
    page="why/jacobians",
    also=("remedies/activations",),
    mark="ReLU-like slopes are at most 1",
    held=(3, 6),
)
def _slopes_at_most_one() -> Iterator[Case]:
    z = np.linspace(-6, 6, 24_001)
    for name in ("relu", "leaky_relu", "elu", "selu", "gelu", "silu"):
        largest = float(activations.get(name).slope(z).max())
        yield Case(name, largest <= 1 + 1e-12, f"largest slope {largest:.3f}")


@settles(
    "S2-weight-gradient",
    statement="the gradient by the weights of layer t is the product of the Jacobians above it and dh_t/dW_t",
    said=sentences.S2_CHAIN,
    verdict="true",
    why="the chain rule; equal to automatic differentiation in each layer",
    page="why/jacobians",
    held=(3, 3),
)
def _weight_gradient() -> Iterator[Case]:
    import torch

    widths = (6, 5, 4, 3)
    rng = np.random.default_rng(5)
    weights = [rng.standard_normal(shape) for shape in zip(widths[1:], widths[:-1], strict=True)]
    h, slopes = [rng.standard_normal(6)], []
    for w in weights:
        h.append(np.tanh(w @ h[-1]))
        slopes.append(1 - h[-1] ** 2)
    tensors = [torch.tensor(w, requires_grad=True) for w in weights]
    top = torch.tensor(h[0])
    for w in tensors:
        top = torch.tanh(w @ top)
    by_torch = torch.autograd.grad(0.5 * (top - 1).square().sum(), tensors)
    for layer in (1, 2, 3):
        upstream = h[-1] - 1
        for i in range(2, layer - 1, -1):
            upstream = upstream @ (slopes[i][:, None] * weights[i])
        ours = np.outer(upstream * slopes[layer - 1], h[layer - 1])
        gap = float(np.abs(ours - by_torch[layer - 1].numpy()).max())
        yield Case(f"three tanh layers, weights of layer {layer}", gap < 1e-12, f"largest difference {gap:.0e}")


@settles(
    "S2-masked-weights",
    statement="the slope matrix of ReLU has entries 0 and 1, and the weights that belong to its zeros have gradient 0",
    said=sentences.S2_MASK,
    verdict="true",
    why="sample by sample; over a batch a unit must be off for all of its samples",
    page="why/jacobians",
    also=("remedies/activations",),
    held=(3, 3),
)
def _masked_weights() -> Iterator[Case]:
    for depth in (2, 5, 20):
        spec = MLP((64, *[50] * depth, 10), "relu")
        nets = init.mlp(spec, np.random.default_rng(depth), ensemble=5)
        x, y = digits().x_train[:1], digits().y_train[:1]
        g = numpy_net.gradients(spec, nets, x, y)
        z = numpy_net.forward(spec, nets, x).z[:-1]
        rows = [np.abs(w).max(axis=-1)[v[:, 0] <= 0] for w, v in zip(g.weights[:-1], z, strict=True)]
        largest, count = max(float(r.max()) for r in rows), sum(r.size for r in rows)
        said = f"largest gradient of the weights into {count} units that are off: {largest:.0f}"
        yield Case(f"{depth} ReLU layers of 50 units, one digit", largest == 0, said)


@settles(
    "S2-weights-grow",
    statement="so the weights, adding up, get larger and larger: exploding gradients",
    said=sentences.S2_GROWTH,
    part="最终导致W^(t+1)累加过程中越来越大,导致梯度爆炸现象。",
    verdict="conditional",
    why="under ascent, as the source steps; a descent with a small enough step makes them smaller",
    page="why/jacobians",
    also=("reproduce/exploding",),
    held=(2, 3),
)
def _weights_grow() -> Iterator[Case]:
    rng = np.random.default_rng(7)
    start = [rng.uniform(1, 2, (6, 6)) for _ in range(4)]
    x = rng.uniform(0, 1, 6)
    for name, sign, size in (
        ("ascent on the sum of the outputs, rate 0.01", 1.0, 1e-2),
        ("ascent, rate 1e-6", 1.0, 1e-6),
        ("descent on half the squared output, rate 1e-12", -1.0, 1e-12),
    ):
        weights, sizes = [w.copy() for w in start], []
        with np.errstate(all="ignore"):
            for _ in range(30):
                h = [x]
                for w in weights:
                    h.append(np.maximum(w @ h[-1], 0))
                upstream = np.ones(6) if sign > 0 else h[-1]
                for i in range(3, -1, -1):
                    masked = upstream * (h[i + 1] > 0)
                    upstream = masked @ weights[i]
                    weights[i] = weights[i] + sign * size * np.outer(masked, h[i])
                sizes.append(float(np.sqrt(sum(np.sum(w**2) for w in weights))))
        grows = not sizes[-1] <= sizes[0]
        yield Case(
            f"four ReLU layers, weights in (1, 2), {name}, 30 steps",
            grows,
            f"the norm changes by {sizes[-1] - sizes[0]:+.1e}",
        )
