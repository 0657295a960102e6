"""Claims about numbers of 16 bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import init, numpy_net
from gradclinic.course import data
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@cache
def _layer_gradients(layers: int) -> tuple[np.ndarray, float]:
    """Weight gradient of the first layer of a sigmoid network on a hundred digits, flattened, and the largest entry of
    any layer's gradient or delta, the numbers that a float16 backward pass has to hold."""
    spec = MLP((64, *[64] * (layers - 1), 10), "sigmoid")
    params = init.mlp(spec, np.random.default_rng(0), weight_variance=1.0)
    here = data.digits(n_train=100, n_test=1, rng=np.random.default_rng(0))
    g = numpy_net.gradients(spec, params, here.x_train, here.y_train)
    return g.weights[0].ravel(), float(max(np.abs(a).max() for a in (*g.weights, *g.biases, *g.delta)))


def _flushed(values: np.ndarray) -> float:
    """Share of the numbers that are not 0 and become 0 in float16."""
    some = values[values != 0]
    with np.errstate(over="ignore", under="ignore"):
        return float(np.mean(some.astype(np.float16) == 0))


@settles(
    "belief-loss-scaling-cures",
    statement="loss scaling cures vanishing gradients",
    verdict="false",
    why="it moves all layers alike: where they span more decades than float16 has, no scale holds them all",
    page="beyond/mixed-precision",
    mark="loss scaling cures vanishing gradients",
    held=(1, 2),
)
def _loss_scaling_cures() -> Iterator[Case]:
    for layers in (10, 30):
        first, largest = _layer_gradients(layers)
        scales = [2.0**k for k in range(0, 80) if 2.0**k * largest < float(np.finfo(np.float16).max)]
        lost = min(_flushed(scale * first) for scale in scales)
        said = f"layer 1 loses {_flushed(first):.0%} of its gradient unscaled, {lost:.0%} at the best scale"
        yield Case(f"{layers} sigmoid layers, float16", lost < 0.02, said)


@settles(
    "belief-dynamic-scaling",
    statement="dynamic loss scaling finds the right scale",
    verdict="conditional",
    why="it finds the largest scale that does not overflow, and cannot see what is lost below",
    page="beyond/mixed-precision",
    mark="dynamic scaling finds the right scale",
    held=(1, 2),
)
def _dynamic_scaling() -> Iterator[Case]:
    for layers in (10, 30):
        first, largest = _layer_gradients(layers)
        scale = 1.0
        for _ in range(60):  # double where everything is finite, halve where something is not
            with np.errstate(over="ignore"):
                finite = np.isfinite(np.float16(scale * largest))
            scale = scale * 2 if finite else scale / 2
        scale = scale if scale * largest < float(np.finfo(np.float16).max) else scale / 2
        lost = _flushed(scale * first)
        said = f"scale 2^{np.log2(scale):.0f}; layer 1 loses {_flushed(first):.0%} unscaled, {lost:.0%} scaled"
        yield Case(f"{layers} sigmoid layers, float16", lost < 0.02, said)


@settles(
    "belief-bfloat16-no-scale",
    statement="bfloat16 needs no loss scale",
    page="beyond/mixed-precision",
    mark="bfloat16 needs no loss scale",
    verdict="conditional",
    why="its range is that of float32, enough for some fifty sigmoid layers, not for seventy",
    held=(2, 3),
)
def _bfloat16_no_scale() -> Iterator[Case]:
    import torch

    for layers in (10, 50, 70):
        first, _ = _layer_gradients(layers)
        kept = torch.tensor(first[first != 0]).to(torch.bfloat16).double()
        lost = float(np.mean(kept.numpy() == 0))
        said = f"layer 1 loses {lost:.0%} of its gradient, {_flushed(first):.0%} in float16"
        yield Case(f"{layers} sigmoid layers", lost < 0.02, said)
