"""Claims about Wasserstein critics and the gradient penalty."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import init, measure, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    critic,
    spread,
    treated,
)
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S1-critic-clipping-range",
    statement="vanishing and exploding gradients are both caused by the choice of the clipping range",
    said=sentences.S1_RANGE,
    part="梯度消失与梯度爆炸原因均在于剪切范围的选择",
    verdict="conditional",
    why="for the weight clipping of a Wasserstein critic; networks that clip nothing have both problems",
    page="remedies/gradient-penalty",
    mark="梯度消失与梯度爆炸原因均在于剪切范围的选择",
    held=(1, 2),
)
def _critic_clipping_range() -> Iterator[Case]:
    small, large = critic(0.01, steps=0), critic(0.4, steps=40)
    yield Case(
        "a critic of twelve ReLU layers, clipped at 0.01 and at 0.4",
        small.verdict == "vanishing" and large.verdict == "exploding",
        f"{np.median(small.factor):.2f} and {np.median(large.factor):.2f} per layer: {small.verdict}, {large.verdict}",
    )
    sick = {p: treated(p, "none")[1].verdict for p in "AB"}
    healthy = set(sick.values()) == {"healthy"}
    yield Case(
        "patients A and B, nothing clipped",
        healthy,
        f"{sick['A']} and {sick['B']}; without clipping both should be healthy",
    )


@settles(
    "S1-small-range-vanishes",
    statement="too small a clipping range makes the critic's gradient vanish",
    said=sentences.S1_RANGE,
    part="选择过小的话会导致梯度消失",
    verdict="true",
    why=r"always below $1/n$ for n units, and up to $\sqrt{2/n}$ while the signs stay random, at 0.01 for 400 steps",
    page="remedies/gradient-penalty",
    mark="选择过小的话会导致梯度消失",
    held=(3, 3),
)
def _small_range_vanishes() -> Iterator[Case]:
    for clip, steps in ((0.001, 0), (0.01, 0), (0.01, 40)):
        found = critic(clip, steps=steps)
        said = f"{np.median(found.factor):.2g} per layer, {found.verdict}"
        yield Case(f"clipped at {clip}, {steps} steps of training", found.verdict == "vanishing", said)


@settles(
    "S1-large-range-explodes",
    statement="with a range a little too large the gradient grows with every layer, and many layers explode",
    said=sentences.S1_RANGE,
    part="如果设得稍微大了一点,每经过一层网络,梯度变大一点点,多层之后就会发生梯度爆炸。",
    verdict="true",
    why="and sooner than the variance says: training aligns signs, in 60 steps and further in 600",
    page="remedies/gradient-penalty",
    mark="每经过一层网络,梯度变大一点点",
    held=(3, 3),
)
def _large_range_explodes() -> Iterator[Case]:
    spec = MLP((2, *[64] * 12, 1), "relu")
    drawn = init.mlp(spec, np.random.default_rng(1), ensemble=10)
    x = np.random.default_rng(2).standard_normal((50, 2))
    signs = Parameters(tuple(0.4 * np.sign(w) for w in drawn.weights), drawn.biases)
    g = numpy_net.gradients(spec, signs, x, np.zeros((50, 1)))
    found = measure.profile_from(spec.names, g.delta, g.weights)
    yield Case(
        "every weight +0.4 or -0.4 at random", found.verdict == "exploding", f"{np.median(found.factor):.2f} per layer"
    )
    for limit in (0.2, 0.15):
        trained = critic(limit, steps=60)
        grows = np.median(trained.ratios, axis=0)[1:-1]
        yield Case(
            f"clipped at {limit}, 60 steps of training",
            trained.verdict == "exploding" and grows.min() > 1,
            f"{np.median(trained.factor):.2f} per layer, each of them {spread(grows)}",
        )


@cache
def penalised_slopes() -> np.ndarray:
    """Norm of a small critic's gradient at points between two clouds, after training with Gulrajani's penalty."""
    import torch

    rng = np.random.default_rng(0)
    real, fake = (torch.as_tensor(rng.standard_normal((64, 2)) + shift) for shift in ([0.5, 0.0], [-0.5, 0.0]))
    generator = torch.Generator().manual_seed(0)
    weights = [
        torch.as_tensor(init.he_normal(shape, rng)).requires_grad_(True) for shape in ((64, 2), (64, 64), (1, 64))
    ]
    biases = [torch.zeros(len(w), dtype=torch.float64, requires_grad=True) for w in weights]

    def run(x: torch.Tensor) -> torch.Tensor:
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            x = x @ w.T + b
            x = torch.relu(x) if i < 2 else x
        return x

    def size(points: torch.Tensor, graph: bool) -> torch.Tensor:
        points = points.clone().requires_grad_(True)
        return torch.autograd.grad(run(points).sum(), points, create_graph=graph)[0].norm(dim=-1)

    rule = torch.optim.Adam([*weights, *biases], lr=3e-3, betas=(0.0, 0.9))
    for _ in range(300):
        share = torch.rand(64, 1, generator=generator, dtype=torch.float64)
        penalty = 10 * (size(share * real + (1 - share) * fake, True) - 1).square().mean()
        rule.zero_grad()
        (run(fake).mean() - run(real).mean() + penalty).backward()
        rule.step()
    share = torch.rand(64, 1, generator=generator, dtype=torch.float64)
    return size(share * real + (1 - share) * fake, False).numpy()


@settles(
    "S1-penalty-continuity",
    statement="the gradient penalty makes the critic satisfy the Lipschitz condition, slopes of at most 1",
    said=sentences.S1_CONTINUITY,
    part="作者提出了使用梯度惩罚(gradient penalty)的方式以满足此连续性条件。",
    verdict="conditional",
    why="softly: near 1.1 on average between the two sets, above 1 at nine points of ten, after 300 and 3000 steps",
    page="remedies/gradient-penalty",
    mark="梯度惩罚(gradient penalty)的方式以满足此连续性条件",
    held=(1, 2),
)
def _penalty_continuity() -> Iterator[Case]:
    slopes = penalised_slopes()
    yield Case("on average between the sets, to 30 %", abs(slopes.mean() - 1) < 0.3, f"mean slope {slopes.mean():.2f}")
    yield Case(
        "at every point between the sets",
        slopes.max() <= 1,
        f"largest slope {slopes.max():.2f}; above 1 at {np.mean(slopes > 1):.0%}",
    )


@settles(
    "S1-penalty-in-general",
    statement="the gradient penalty solves vanishing and exploding gradients, taken in general",
    said=sentences.S1_CONTINUITY,
    part="为了解决这个问题",
    verdict="false",
    why="the page speaks of critics here: neither patient's profile changes and neither trains, in 2000 steps either",
    page="remedies/gradient-penalty",
    mark="read as a remedy for vanishing and exploding gradients in general",
    held=(0, 2),
)
def _penalty_in_general() -> Iterator[Case]:
    from gradclinic.course import remedies

    for patient in "AB":
        treatment, found = treated(patient, "gradient-penalty")
        accuracy = np.median(remedies.train(treatment, (0.01, 1.0), steps=60).accuracy, axis=1).max()
        yield Case(
            f"patient {patient}, strength 0.01, two rates, 60 steps",
            found.verdict == "healthy" or accuracy > 0.5,
            f"{found.verdict}, best median accuracy {accuracy:.2f}",
        )
