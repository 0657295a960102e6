r"""One network at many widths: how far Adam's first steps move its values, and at which rate it learns best.

The network is 64-n-n-10 with ReLU, cross-entropy, digits. Standard: weights of variance ``2/fan_in`` (``1/n`` at the
output), one rate for all. **muP** (Yang et al. 2022, table 8, for Adam), relative to a base width ``n_0``: the rates of
the two matrices that sum over the width are multiplied by ``n_0/n``, and the output's weights have the variance
:math:`n_0/n^2`. At ``n = n_0`` both are the same network. The page today/width and the ledger use these functions.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradclinic.course import data

BASE = 32
BATCH = 50


class Weights(NamedTuple):
    """The three matrices, each ``(fan_in, fan_out)``; the biases stay at 0 and are left out."""

    first: np.ndarray
    hidden: np.ndarray
    last: np.ndarray


def draw(width: int, rng: np.random.Generator, *, mup: bool) -> Weights:
    """Draw a network of ``width``; float32, for the widest have a million weights."""
    last = np.sqrt(BASE) / width if mup else width**-0.5
    sizes = ((64, width, (2 / 64) ** 0.5), (width, width, (2 / width) ** 0.5), (width, 10, last))
    return Weights(*(rng.normal(0, scale, (a, b)).astype(np.float32) for a, b, scale in sizes))


def rates(width: int, rate: float, *, mup: bool) -> tuple[float, float, float]:
    """The learning rates of the three matrices."""
    narrow = rate * BASE / width if mup else rate
    return rate, narrow, narrow


def forward(weights: Weights, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First activations and hidden pre-activations, each ``(batch, width)``, and logits ``(batch, 10)``."""
    a = np.maximum(x @ weights.first, 0)
    z = a @ weights.hidden
    return a, z, np.maximum(z, 0) @ weights.last


def loss_and_gradients(weights: Weights, x: np.ndarray, labels: np.ndarray) -> tuple[float, Weights]:
    """Mean cross-entropy and its gradient."""
    a, z, logits = forward(weights, x)
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    back = np.exp(log_p)
    back[np.arange(len(x)), labels] -= 1
    back /= len(x)
    to_hidden = (back @ weights.last.T) * (z > 0)
    to_first = (to_hidden @ weights.hidden.T) * (a > 0)
    gradients = Weights(x.T @ to_first, a.T @ to_hidden, np.maximum(z, 0).T @ back)
    return -float(log_p[np.arange(len(x)), labels].mean()), gradients


class Run(NamedTuple):
    """``loss`` ``(steps,)``, each before its step on its batch; ``hidden`` and ``logits`` ``(steps,)``: root mean
    square of how far the hidden pre-activations and the logits of the first batch have moved since the start."""

    loss: np.ndarray
    hidden: np.ndarray
    logits: np.ndarray


@cache
def samples() -> tuple[np.ndarray, np.ndarray]:
    """The thousand digits of the page, float32 ``(1000, 64)``, and their labels."""
    digits = data.digits(n_train=1000, rng=np.random.default_rng(0))
    return digits.x_train.astype(np.float32), digits.y_train


def train(width: int, rate: float, steps: int, seed: int, *, mup: bool, watched: bool = False) -> Run:
    """Adam (0.9, 0.999) on batches of fifty digits; ``seed`` and ``steps`` decide the batches and the weights."""
    x, labels = samples()
    rng = np.random.default_rng(seed)
    batches = rng.integers(0, len(x), (steps, BATCH))
    weights = draw(width, rng, mup=mup)
    each = rates(width, rate, mup=mup)
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    first = forward(weights, x[batches[0]])
    loss, moved = [], []
    for t in range(1, steps + 1):
        now, gradients = loss_and_gradients(weights, x[batches[t - 1]], labels[batches[t - 1]])
        loss.append(now)
        for i, g in enumerate(gradients):
            m[i] += np.float32(0.1) * (g - m[i])
            v[i] += np.float32(0.001) * (g * g - v[i])
            root = np.sqrt(v[i] / np.float32(1 - 0.999**t)) + np.float32(1e-8)
            weights[i][...] -= np.float32(each[i] / (1 - 0.9**t)) * m[i] / root
        if watched:
            after = forward(weights, x[batches[0]])
            moved.append([np.sqrt(np.mean((b - a) ** 2)) for a, b in zip(first[1:], after[1:], strict=True)])
    hidden, logits = np.array(moved).T if watched else (np.empty(0), np.empty(0))
    return Run(np.array(loss), hidden, logits)


def exponent(widths: list[int], sizes: np.ndarray) -> float:
    """The power of the width with which ``sizes`` grow: the slope of a line through the logarithms."""
    return float(np.polyfit(np.log(widths), np.log(sizes), 1)[0])


WIDTHS = (32, 128, 512)
RATES = tuple(0.0005 * 2**k for k in range(8))
READ = (30, 100, 300)
"""Steps after which :func:`table` reads the loss."""


def curve(width: int, seed: int, *, mup: bool) -> np.ndarray:
    """Mean loss over the last ten of :data:`READ` steps at each of :data:`RATES`, ``(3, 8)``: inf where it is lost."""
    found = np.empty((len(READ), len(RATES)))
    for j, rate in enumerate(RATES):
        with np.errstate(all="ignore"):
            loss = train(width, rate, READ[-1], seed, mup=mup).loss
        found[:, j] = [np.mean(loss[step - 10 : step]) for step in READ]
    return np.where(np.isfinite(found), found, np.inf)


def table() -> dict[str, list]:
    """``standard`` and ``mup``, each ``[width][seed][read][rate]``; ``python -m gradclinic.course.width`` stores it."""
    return {
        name: [[np.round(curve(n, seed, mup=mup), 4).tolist() for seed in range(3)] for n in WIDTHS]
        for name, mup in (("standard", False), ("mup", True))
    }


@cache
def stored(name: str) -> np.ndarray:
    """The stored losses of ``"standard"`` or ``"mup"``, ``(widths, seeds, reads, rates)``: three minutes' work."""
    file = files("gradclinic.course") / "width.json"
    return np.array(json.loads(file.read_text("utf-8"))[name], dtype=float)


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(table(), separators=(",", ":")) + "\n", encoding="utf-8")
