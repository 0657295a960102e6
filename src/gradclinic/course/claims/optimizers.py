"""Claims about optimizers that adapt the step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    examined,
)

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@cache
def online_regression(
    seed: int,
) -> tuple[np.ndarray, dict[tuple[float, float], np.ndarray], dict[tuple[float, float], float]]:
    """Sixty features that are on in a share ``p`` of 2000 samples, between 0.5 and 0.005; twenty tasks.

    Three rules ``(power, rate)``: a step is ``rate * s^power * g`` with ``s`` the feature's sum of squared gradients:
    descent (0), Adagrad (-1/2) and the rule as the source words it (+1/2), each at several rates. Returns ``p``, the
    rate that each feature has at the end (median), and the excess risk (median).
    """
    rng, tasks, d = np.random.default_rng(seed), 20, 60
    p, truth = np.geomspace(0.5, 0.005, d), rng.standard_normal((tasks, d))
    rules = (
        [(0.0, r) for r in (0.01, 0.03, 0.1, 0.3)]
        + [(-0.5, r) for r in (0.1, 0.3, 1.0, 3.0)]
        + [(0.5, r) for r in (3e-4, 1e-3, 3e-3)]
    )
    power, rate = (np.array(column)[:, None, None] for column in zip(*rules, strict=True))
    w = np.zeros((len(rules), tasks, d))
    s = np.zeros_like(w)
    for _ in range(2000):
        x, noise = rng.random((tasks, d)) < p, rng.standard_normal((tasks, 1))
        g = (np.sum((w - truth) * x, axis=-1, keepdims=True) - noise) * x
        s += g**2
        w -= rate * g * np.where(s > 0, s, 1.0) ** power
    error = w - truth
    risk = np.median(np.sum(error**2 * p * (1 - p), axis=-1) + (error @ p) ** 2, axis=-1)
    used = np.median(rate * np.where(s > 0, s, 1.0) ** power, axis=1)
    return p, dict(zip(rules, used, strict=True)), dict(zip(rules, risk, strict=True))


@settles(
    "S1-adagrad-rare-low",
    statement="Adagrad gives rare features a low rate and frequent features a high one",
    said=sentences.S1_ADAGRAD,
    part="对低频出现的特征采用低的更新率,对高频出现的特征采用高的更新率",
    verdict="false",
    why="reversed: the rate goes as one over the square root of the count",
    page="remedies/adaptive-optimizers",
    mark="对低频出现的特征采用低的更新率",
    held=(0, 2),
)
def _adagrad_rare_low() -> Iterator[Case]:
    import torch

    _, used, _ = online_regression(0)
    rates = used[-0.5, 0.3]
    yield Case(
        "online regression, features on in 0.5 % to 50 % of the samples",
        rates[-1] < rates[0],
        f"rate of the rarest over that of the most frequent feature {rates[-1] / rates[0]:.1f}",
    )
    w = torch.zeros(2, dtype=torch.float64)
    rule, sizes = torch.optim.Adagrad([w], lr=1.0), []
    for t in range(100):
        w.grad = torch.tensor([1.0, float(t % 10 == 9)], dtype=torch.float64)
        before = w.clone()
        rule.step()
        sizes.append((before - w).numpy())
    yield Case(
        "PyTorch's Adagrad, one feature in every step, one in every tenth",
        sizes[-1][1] < sizes[-1][0],
        f"hundredth step: {sizes[-1][0]:.2f} of the rate for the frequent, {sizes[-1][1]:.2f} for the rare one",
    )


@settles(
    "S1-adagrad-sparse",
    statement="Adagrad does well on sparse data",
    said=sentences.S1_ADAGRAD,
    part="对于稀疏的数据它表现的很好",
    verdict="true",
    why="at its best rate less than 0.7 of the excess risk of plain descent at its best",
    page="remedies/adaptive-optimizers",
    mark="对于稀疏的数据它表现的很好",
    held=(3, 3),
)
def _adagrad_sparse() -> Iterator[Case]:
    for seed in (0, 1, 2):
        _, _, risk = online_regression(seed)
        best = {power: min(v for (q, _), v in risk.items() if q == power) for power in (0.0, -0.5)}
        share = best[-0.5] / best[0.0]
        yield Case(f"online regression, seed {seed}", share < 0.8, f"excess risk over that of descent {share:.2f}")


@settles(
    "S1-adagrad-adapts",
    statement="Adagrad adapts the rate to each parameter",
    said=sentences.S1_ADAGRAD,
    part="Adagrad算法可以针对不同的参数自适应的采用不同的更新频率",
    page="remedies/adaptive-optimizers",
    mark="针对不同的参数自适应",
    verdict="conditional",
    why="once the squared gradients outweigh the constant that the sums start from",
    held=(2, 3),
)
def _adagrad_adapts() -> Iterator[Case]:
    import torch

    for scale, initial in ((1e-3, 0.0), (1e-6, 0.0), (1e-3, 0.1)):
        w = torch.zeros(2, dtype=torch.float64)
        rule = torch.optim.Adagrad([w], lr=1.0, initial_accumulator_value=initial)
        for _ in range(10):
            w.grad = torch.tensor([1.0, scale], dtype=torch.float64)
            rule.step()
        moved = w.numpy()
        yield Case(
            f"PyTorch, gradients 1 and {scale:.0e}, sums that start from {initial}",
            np.isclose(moved[0], moved[1], rtol=1e-2),
            f"ten steps move the two by {-moved[0]:.2f} and {-moved[1]:.2f} rates",
        )


@settles(
    "belief-adam-fixes-vanishing",
    statement="Adam fixes vanishing gradients",
    page="remedies/adaptive-optimizers",
    mark="Adam fixes vanishing gradients",
    verdict="false",
    why="the front layers move again, while gradients exceed its epsilon; the digits have already merged on the way up",
    held=(1, 3),
)
def _adam_fixes_vanishing() -> Iterator[Case]:
    import torch

    for g in (1e-5, 1e-12):
        w = torch.zeros(1, dtype=torch.float64)
        rule = torch.optim.Adam([w], lr=1.0)
        for _ in range(10):
            w.grad = torch.full((1,), g, dtype=torch.float64)
            rule.step()
        moved = -w.item()
        yield Case(f"one weight, gradient {g:.0e}: ten steps of one rate", moved > 5, f"moved by {moved:.2g} rates")
    row, bare = examined("A", "adaptive-optimizers"), examined("A", "none")
    reached = [float(np.median(r.accuracy)) for r in (bare, row)]
    yield Case(
        "patient A: reading digits", reached[1] > 0.5, f"accuracy {reached[0]:.2f} without, {reached[1]:.2f} with Adam"
    )


@settles(
    "belief-one-name-one-rule",
    statement="an optimizer of one name is one rule",
    verdict="false",
    why="RMSProp's first step is 10 rates in PyTorch and 3.16 in Keras",
    page="remedies/adaptive-optimizers",
    mark="of one name is one rule",
    held=(1, 3),
)
def _one_name_one_rule() -> Iterator[Case]:
    import torch

    from gradclinic.tf_net import keras, tf

    for name in ("SGD", "RMSprop", "Adagrad"):
        w = torch.zeros(1, dtype=torch.float64)
        w.grad = torch.ones_like(w)
        getattr(torch.optim, name)([w], lr=0.1).step()
        v = tf.Variable([0.0], dtype=tf.float64)  # pyright: ignore[reportArgumentType]  # its stubs know no lists
        getattr(keras.optimizers, name)(learning_rate=0.1).apply_gradients([(tf.constant([1.0], tf.float64), v)])
        steps = -w.item() / 0.1, -float(v.numpy()[0]) / 0.1
        said = f"first step at gradient 1: PyTorch {steps[0]:.2f}, Keras {steps[1]:.2f} rates"
        yield Case(name, np.isclose(*steps, rtol=1e-4), said)


@settles(
    "S1-adagrad-robust",
    statement="Adagrad improves the robustness of SGD much",
    said=sentences.S1_ADAGRAD,
    part="很好的提升了SGD的鲁棒性",
    page="remedies/adaptive-optimizers",
    verdict="conditional",
    why="over a wide range of rates: none makes it diverge. Near its best rate it is the more sensitive of the two",
    held=(2, 4),
)
def _adagrad_robust() -> Iterator[Case]:
    for seed in (0, 1):
        _, _, risk = online_regression(seed)
        for count, span in ((3, "ten"), (4, "thirty")):
            worse = {}
            for power in (0.0, -0.5):
                found = [value for (q, _), value in risk.items() if q == power][:count]
                worse[power] = max(found) / min(found)
            said = f"worst over best risk {worse[-0.5]:.1f}, descent {worse[0.0]:.2g}"
            yield Case(
                f"online regression, seed {seed}, rates up to {span} times apart", worse[-0.5] < worse[0.0], said
            )
