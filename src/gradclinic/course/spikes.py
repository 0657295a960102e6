r"""Adam where nothing is random: a quiet weight, a parabola, and a network of which every step sees all samples.

Adam (Kingma & Ba 2015) divides the averaged gradient by the root of the averaged squared gradient:

.. math::
    m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad
    \Delta_t = -\eta \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

The page today/spikes and the ledger use the functions of this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gradclinic.course import data

BETA1 = 0.9
EPSILON = 1e-8
LIMIT = (2 + 2 * BETA1) / (1 - BETA1)
r"""Adam on a parabola of curvature ``h`` leaves its minimum where :math:`\eta h / \sqrt{v}` exceeds this: 38."""
SIZES = ((64, 24), (24, 10))
"""Fan-in and fan-out of the two matrices of :func:`train`."""


def after_quiet(beta2: float, batches: int, *, loud: int | None = None, quiet: float = 0.0) -> np.ndarray:
    r"""Steps of a weight, in learning rates, when its gradient rises to 1 after a long time at size ``quiet``.

    The gradients before had random signs, so ``m`` is 0 and ``v`` is ``quiet**2``; the gradient is 1 in the first
    ``loud`` of ``batches`` (all of them for ``None``) and ``quiet`` afterwards. Shape ``(batches,)``. While the
    gradient is 1, step ``t`` is :math:`(1 - \beta_1^t) / \sqrt{\beta_2^t q^2 + 1 - \beta_2^t}`.
    """
    loud = batches if loud is None else loud
    m, v, steps = 0.0, quiet**2, []
    for t in range(batches):
        m = BETA1 * m + (1 - BETA1) * (t < loud)
        v = beta2 * v + (1 - beta2) * (1.0 if t < loud else quiet**2)
        steps.append(m / np.sqrt(v))
    return np.array(steps)


def parabola(rate: float, beta2: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Adam on ``C = w**2 / 2`` from ``w = 1``: ``w`` before each step and the corrected ``v`` of it, ``(steps,)``."""
    w, m, v = 1.0, 0.0, 0.0
    path, memory = np.empty(steps), np.empty(steps)
    for t in range(1, steps + 1):
        m, v = BETA1 * m + (1 - BETA1) * w, beta2 * v + (1 - beta2) * w**2
        path[t - 1], memory[t - 1] = w, v / (1 - beta2**t)
        w -= rate * m / (1 - BETA1**t) / (np.sqrt(memory[t - 1]) + EPSILON)
    return path, memory


class Run(NamedTuple):
    """What :func:`train` saw before each step, each ``(steps, seeds)``.

    ``loss``: half the squared error, mean over the digits; ``norm``: length of the gradient; ``loudness``: the larger
    of the two weight matrices' :math:`\\sqrt{\\mathrm{mean}(g^2 / \\hat v)}`; ``step``: root mean square of a weight's
    step, in rates.
    """

    loss: np.ndarray
    norm: np.ndarray
    loudness: np.ndarray
    step: np.ndarray


def train(
    seeds: Sequence[int],
    *,
    rate: float,
    beta2: float,
    steps: int,
    update_clip: bool = False,
    gradient_clip: float | None = None,
    wrong: range = range(0),
    skip: bool = False,
    restart: int | None = None,
    keep: Literal["nothing", "m"] = "nothing",
    warm: int = 0,
) -> Run:
    """Train one tanh network, 64-24-10, per seed on fifty digits and their squared error; each step sees all fifty.

    ``update_clip``: divide a matrix's step by its loudness where that exceeds 1 (Wortsman et al. 2023).
    ``gradient_clip``: the greatest length of the gradient. ``wrong``: steps that see the labels moved by three;
    ``skip`` leaves these steps out. ``restart``: before this step Adam's averages and its count begin again, or only
    ``v`` with ``keep="m"``; the rate then rises to ``rate`` over ``warm`` steps.
    """
    digits = data.digits(n_train=1000, rng=np.random.default_rng(0))
    x, y = digits.x_train[:50], np.eye(10)[digits.y_train[:50]]
    draws = [np.random.default_rng(seed) for seed in seeds]
    weights = [np.stack([rng.normal(0, fan_in**-0.5, (fan_in, fan_out)) for rng in draws]) for fan_in, fan_out in SIZES]
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    seen: list[tuple[np.ndarray, ...]] = []
    t = 0
    for step in range(steps):
        if step == restart:
            v = [np.zeros_like(w) for w in weights]
            if keep == "nothing":
                m, t = [np.zeros_like(w) for w in weights], 0
        a = np.tanh(x @ weights[0])
        error = a @ weights[1] - y
        loss = 0.5 * (error**2).sum(-1).mean(-1)
        if step in wrong:
            error += y - np.roll(y, 3, axis=1)
        back = error / len(x)
        gradients = [
            x.T @ (back @ weights[1].swapaxes(1, 2) * (1 - a**2)),
            a.swapaxes(1, 2) @ back,
        ]
        norm = np.sqrt(sum((g**2).sum((1, 2)) for g in gradients))
        if skip and step in wrong:
            seen.append((loss, norm, seen[-1][2], np.zeros_like(loss)))
            continue
        if gradient_clip is not None:
            gradients = [g * np.minimum(1, gradient_clip / norm)[:, None, None] for g in gradients]
        t += 1
        now = rate * min(1.0, (step - restart + 1) / warm) if warm and restart is not None and step >= restart else rate
        loudness, moved = [], []
        for i, g in enumerate(gradients):
            m[i] = BETA1 * m[i] + (1 - BETA1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            memory = v[i] / (1 - beta2**t)
            loud = np.sqrt((g**2 / np.maximum(memory, EPSILON**2)).mean((1, 2)))
            each = m[i] / (1 - BETA1**t) / (np.sqrt(memory) + EPSILON)
            if update_clip:
                each /= np.maximum(1, loud)[:, None, None]
            weights[i] = weights[i] - now * each
            loudness.append(loud)
            moved.append((each**2).mean((1, 2)))
        seen.append((loss, norm, np.max(loudness, axis=0), np.sqrt(np.max(moved, axis=0))))
    return Run(*(np.array(column) for column in zip(*seen, strict=True)))


def jump(loss: np.ndarray) -> np.ndarray:
    """Largest loss over the least one before it, per network: 1 where the loss never rose, ``(steps, E) -> (E,)``."""
    return np.max(loss / np.minimum.accumulate(loss, axis=0), axis=0)
