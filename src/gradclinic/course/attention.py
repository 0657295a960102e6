r"""The entropy of attention with random scores, and small transformers whose scores grow while they learn.

A query gives its attention as a softmax over ``T`` scores. For scores that are normal with standard deviation
:math:`\sigma` the entropy of that softmax is :math:`\ln T - \sigma^2/2` while :math:`\sigma` is well below
:math:`\sqrt{2 \ln T}` (the random energy model, Derrida 1981; for attention Giorlandino and Goldt 2025). The page
today/attention-logits and the ledger use the functions of this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

LOOKS = (1, 20, 50, 100, 150, 200)
"""The steps after which :func:`reverse` reads the scores."""


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def entropy(weights: np.ndarray) -> np.ndarray:
    """Entropy in nats over the last axis; a weight of 0 adds nothing."""
    return -np.sum(weights * np.log(np.where(weights > 0, weights, 1.0)), axis=-1)


def random_entropy(length: int, sigma: float, rng: np.random.Generator, rows: int = 400) -> float:
    """Mean entropy of ``rows`` softmaxes over ``length`` normal scores of deviation ``sigma``."""
    return float(np.mean(entropy(softmax(sigma * rng.standard_normal((rows, length))))))


def law(length: int, sigma: float) -> float:
    r""":math:`\ln T - \sigma^2/2`, and 0 from :math:`\sigma = \sqrt{2 \ln T}` on: exact as ``T`` grows."""
    return max(0.0, float(np.log(length) - sigma**2 / 2))


class Reversal(NamedTuple):
    """What :func:`reverse` saw: ``loss`` ``(steps, seeds)``, and per look of :data:`LOOKS` and seed, ``(6, seeds)``,
    the largest ``sigma`` and the least ``entropy`` that a block's attention has, as a mean over its rows."""

    loss: np.ndarray
    sigma: np.ndarray
    entropy: np.ndarray


@cache
def reverse(
    rate: float, seeds: Sequence[int] = (0, 1, 2), *, query_key_norm: bool = False, cap: float | None = None
) -> Reversal:
    """Train a transformer per seed to reverse eight symbols out of eight: 200 steps of Adam at ``rate``.

    Two pre-LN blocks of width 32 with two heads; 16 sequences a step, the same for all seeds.
    """
    import torch

    from gradclinic import transformer

    spec = transformer.Transformer(
        2, width=32, heads=2, hidden=64, vocabulary=8, length=8, query_key_norm=query_key_norm, cap=cap
    )
    drawn = [transformer.draw(spec, np.random.default_rng(seed), 1) for seed in seeds]
    together = {name: np.concatenate([each[name] for each in drawn]) for name in drawn[0]}
    looked: list[tuple[np.ndarray, np.ndarray]] = []

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        symbols = np.random.default_rng((3, step)).integers(0, 8, (16, 8))
        return symbols, symbols[:, ::-1].copy()

    def look(step: int, p: Mapping[str, torch.Tensor], _: Mapping[str, torch.Tensor]) -> None:
        if step not in LOOKS:
            return
        with torch.no_grad():
            streams = transformer.forward(spec, p, torch.as_tensor(batch(0)[0]))[1]
            blocks = [transformer.scores(spec, transformer.given(spec, streams, p, i), p, i).numpy() for i in range(2)]
        sigma = np.max([scores.std(axis=-1).mean(axis=(1, 2, 3)) for scores in blocks], axis=0)
        looked.append((sigma, np.min([entropy(softmax(s)).mean(axis=(1, 2, 3)) for s in blocks], axis=0)))

    _, history = transformer.train(spec, together, batch, steps=LOOKS[-1], rate=lambda step: rate, each_step=look)
    return Reversal(history.loss, *(np.array(column) for column in zip(*looked, strict=True)))
