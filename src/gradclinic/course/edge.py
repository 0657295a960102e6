"""A network that trains at the edge of stability: loss and sharpness along the way (Cohen et al. 2021, 2022).

Two tanh layers of 32 units and a linear one on 200 digits, half the squared distance to the ten targets, every sample
in every step, float64. The sharpness is the largest eigenvalue of the matrix of second derivatives of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from gradclinic.course import data

EVERY = 50
"""Steps between two readings of the sharpness."""


@dataclass(frozen=True)
class Run:
    """``loss`` ``(steps + 1,)`` before each step and at the end; ``sharpness`` at ``steps``."""

    loss: np.ndarray
    steps: np.ndarray
    sharpness: np.ndarray


def network(seed: int = 0) -> tuple[list[torch.Tensor], Callable[[], torch.Tensor]]:
    """Weights and biases drawn with ``seed``, and the loss on the 200 digits as a function of nothing."""
    split, rng = data.digits(n_train=200, n_test=500, rng=np.random.default_rng(0)), np.random.default_rng(seed)
    x = torch.as_tensor(split.x_train)
    y = torch.nn.functional.one_hot(torch.as_tensor(split.y_train), 10).double()
    params: list[torch.Tensor] = []
    for fan_in, fan_out in ((64, 32), (32, 32), (32, 10)):
        weight = torch.tensor(rng.standard_normal((fan_in, fan_out)) / fan_in**0.5)
        params += [weight, torch.zeros(fan_out, dtype=torch.float64)]
    for p in params:
        p.requires_grad_()

    def loss() -> torch.Tensor:
        a = x
        for layer in range(0, len(params), 2):
            z = a @ params[layer] + params[layer + 1]
            a = torch.tanh(z) if layer + 2 < len(params) else z
        return 0.5 * (a - y).square().sum(1).mean()

    return params, loss


def times_curvature(
    loss: Callable[[], torch.Tensor], params: Sequence[torch.Tensor], v: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Matrix of second derivatives of the loss times ``v``, by a derivative of the slope along ``v``."""
    gradient = torch.autograd.grad(loss(), params, create_graph=True)
    along: Any = sum((g * a).sum() for g, a in zip(gradient, v, strict=True))
    return list(torch.autograd.grad(along, params))


class Sharpness:
    """Largest eigenvalue of ``D^(1/2) H D^(1/2)`` by power iteration, each call going on from the last direction."""

    params: Sequence[torch.Tensor]
    v: list[torch.Tensor]

    def __init__(self, params: Sequence[torch.Tensor]) -> None:
        """``params``: those by which the loss is differentiated."""
        draw = torch.Generator().manual_seed(1)
        self.params, self.v = params, [torch.randn(p.shape, dtype=p.dtype, generator=draw) for p in params]

    def __call__(
        self, loss: Callable[[], torch.Tensor], rounds: int, roots: Sequence[torch.Tensor] | None = None
    ) -> float:
        """``roots``: the entries of ``D^(1/2)``, 1 where none are given. ``nan`` where the loss is not finite."""
        value = float("nan")
        for _ in range(rounds):
            norm = torch.stack([(a * a).sum() for a in self.v]).sum().sqrt()
            v = [a / norm for a in self.v]
            into = v if roots is None else [r * a for r, a in zip(roots, v, strict=True)]
            out = times_curvature(loss, self.params, into)
            out = out if roots is None else [r * a for r, a in zip(roots, out, strict=True)]
            value = float(torch.stack([(a * b).sum() for a, b in zip(out, v, strict=True)]).sum())
            if not np.isfinite(value):
                return value
            self.v = out
        return value


@lru_cache
def descend(rate: float, steps: int, seed: int = 0) -> Run:
    """Plain descent on all samples; the sharpness before every :data:`EVERY`-th step."""
    params, loss = network(seed)
    sharpness, losses, readings = Sharpness(params), [], []
    sharpness(loss, 40)
    for step in range(steps + 1):
        value = loss()
        losses.append(value.item())
        if step % EVERY == 0:
            readings.append(sharpness(loss, 10))
        gradients = torch.autograd.grad(value, params)
        with torch.no_grad():
            for p, g in zip(params, gradients, strict=True):
                p -= rate * g
    return Run(np.array(losses), np.arange(0, steps + 1, EVERY), np.array(readings))


@lru_cache
def adam(rate: float, steps: int, beta1: float, seed: int = 0) -> Run:
    """Adam on all samples, ``beta2`` 0.999, epsilon 1e-8; the sharpness after its own division, from step 50 on."""
    params, loss = network(seed)
    rule = torch.optim.Adam(params, lr=rate, betas=(beta1, 0.999))
    sharpness, losses, readings = Sharpness(params), [], []
    for step in range(steps + 1):
        value = loss()
        losses.append(value.item())
        for p, g in zip(params, torch.autograd.grad(value, params), strict=True):
            p.grad = g
        rule.step()
        if step and step % EVERY == 0:
            squares = [rule.state[p]["exp_avg_sq"] / (1 - 0.999 ** (step + 1)) for p in params]
            readings.append(sharpness(loss, 20, [(square.sqrt() + 1e-8).rsqrt() for square in squares]))
    return Run(np.array(losses), np.arange(EVERY, steps + 1, EVERY), np.array(readings))
