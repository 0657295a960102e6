"""Claims about the step, the curvature and what a descent does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from gradclinic import chain, init, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    descend,
    digits,
    step,
    treated,
)
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-step-too-large",
    statement="a gradient that is too large is a step that is too large",
    said=sentences.S0_LARGE,
    part="造成梯度太大(也就是下降的步伐太大)",
    page="why/descent",
    mark="梯度太大(也就是下降的步伐太大)",
    verdict="conditional",
    why="too large is step size times curvature above 2: so on a wall, where the two come together",
    held=(2, 4),
)
def _step_too_large() -> Iterator[Case]:
    def wall(v: Any) -> Any:
        return 20 * v**19 * (v**20 - 1)

    def bowl(v: Any) -> Any:
        return v

    for name, slope, start, goal, size in (
        ("20 linear layers that share w = 1.3, step size 0.01", wall, 1.3, 1.0, 0.01),
        ("the same at w = 1.01, step size 0.001", wall, 1.01, 1.0, 0.001),
        ("parabola, 1e9 from its minimum, step size times curvature 0.5", bowl, 1e9, 0.0, 0.5),
        ("parabola, 1e-9 from its minimum, step size times curvature 3", bowl, 1e-9, 0.0, 3.0),
    ):
        path, gradient = descend(slope, start, size, 100), abs(slope(start))
        leaves = not abs(path[-1] - goal) < abs(start - goal)
        end = "not finite" if not np.isfinite(path[-1]) else f"{abs(path[-1] - goal):.0e} from it"
        said = f"gradient {gradient:.1e}; after 100 steps {end}, at first {abs(start - goal):.0e}"
        yield Case(name, (gradient > 10) == leaves, said)


@settles(
    "S2-gradient-ascent",
    said=sentences.S2_ASCENT,
    part="针对某任务目标(例如极大似然估计),使用梯度上升法作为参数的迭代算法",
    verdict="conditional",
    why="a sign convention: right where L is a likelihood to be raised, wrong where L is a loss to be lowered",
    page="why/descent",
    mark="针对某任务目标(例如极大似然估计),使用梯度上升法",
    held=(1, 2),
    statement="the update W ← W + η ∂L/∂W, gradient ascent, is used",
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


@settles(
    "S3-overshoot-picture",
    statement="a descent that jumps from A to F and back to A shows an exploding gradient",
    said=sentences.S3_PICTURE,
    part="而在梯度爆炸的情况下,可能第一次更新网络就找到了点 F,第二次更新回到了点 A",
    page="why/descent",
    mark="在梯度爆炸的情况下 … 第二次更新回到了点 A",
    verdict="conditional",
    why="where depth has made the slope steep; on one parabola the same picture is a matter of the step",
    held=(2, 4),
)
def _overshoot_picture() -> Iterator[Case]:
    for layers, curvature in ((20, 1.0), (10, 1.0), (1, 1.0), (1, 100.0)):

        def slope(w: Any, layers: int = layers, curvature: float = curvature) -> Any:
            return curvature * layers * w ** (2 * layers - 1)

        start = 1.2
        path = descend(slope, start, 2 * start / slope(start), 2)
        grown = slope(start) / (curvature * start)
        back = bool(np.isclose(path[2], start))
        yield Case(
            f"half the square of w^{layers}, curvature {curvature:g} times that, A = 1.2",
            back and grown > 10,
            f"A {path[0]:.1f}, F {path[1]:.1f}, then {path[2]:.1f}; slope at A {grown:.0f} times that of one layer",
        )


@settles(
    "S3-undershoot-picture",
    statement="a descent that after many epochs has only reached B shows a vanishing gradient",
    said=sentences.S3_PICTURE,
    part="在梯度消失的情况下,可能经过很多个 Epoch 的情况下,网络只找到了点 B,因此找不到最优点",
    verdict="conditional",
    why="true on a plateau, as of 20 layers with w = 0.6; on the curve of the picture it is a small step size",
    page="why/descent",
    mark="经过很多个 Epoch … 只找到了点 B",
    held=(1, 2),
)
def _undershoot_picture() -> Iterator[Case]:
    situations = {
        "20 linear layers that share w = 0.6, step size 0.01": (lambda v: 20 * v**19 * (v**20 - 1), 0.6, 0.01, 1.0),
        "a parabola, step size 0.0001": (lambda v: v, -1.0, 1e-4, 0.0),
    }
    for name, (slope, start, lr, goal) in situations.items():
        path = descend(slope, start, lr, 1000)
        way, g = (path[-1] - start) / (goal - start), abs(slope(path)).max()
        yield Case(name, way < 0.5 and g < 0.02, f"{way:.0%} of the way in 1000 steps; gradient up to {g:.2g}")


@settles(
    "S3-crossing-never-arrives",
    statement="a descent that keeps crossing the optimum cannot find it",
    said=sentences.S3_PICTURE,
    part="也就是说网络的更新过程中一直越过了最优点,因此也找不到最优点。",
    page="why/descent",
    mark="一直越过了最优点,因此也找不到最优点",
    verdict="conditional",
    override=False,
    reason="it sums up a picture that 可能 introduces twice",
    why="so it is from step size times curvature 2 on; between 1 and 2 every step crosses and the descent converges",
    held=(2, 4),
)
def _crossing_never_arrives() -> Iterator[Case]:
    for product in (1.2, 1.8, 2.0, 2.2):
        path = descend(lambda v: v, 1.0, product, 200)
        crosses = bool(np.all(path[:50] * path[1:51] < 0))
        yield Case(
            f"parabola, step size times curvature {product}",
            crosses and abs(path[-1]) > 1e-6,
            f"crosses in every step: {crosses}; distance after 200 steps {abs(path[-1]):.1e}",
        )


@settles(
    "S3-update-rule",
    said=sentences.S3_UPDATE,
    verdict="true",
    why="for every small enough alpha; it is what every framework's SGD does",
    page="why/descent",
    mark="w ← w + Δw",
    held=(3, 3),
    statement="w ← w + Δw with Δw = −α ∂E/∂w lowers the error",
)
def _update_rule() -> Iterator[Case]:
    import torch

    rng = np.random.default_rng(5)
    w, b = rng.standard_normal((2, 20, 4))
    g = chain.gradients(w, b, 0.5)
    loss = 0.5 * (g.output - 0.3) ** 2
    stepped = w - 0.1 * (g.output - 0.3)[:, None] * g.dw
    lower = 0.5 * (chain.gradients(stepped, b, 0.5).output - 0.3) ** 2 < loss
    yield Case("20 random chains, alpha = 0.1", lower.all(), f"the error falls in {lower.sum()} of 20")
    net = MLP((64, 32, 10), "relu")
    drawn = init.mlp(net, np.random.default_rng(6), ensemble=5)
    before = numpy_net.gradients(net, drawn, digits().x_train, digits().y_train)
    after = numpy_net.gradients(net, step(drawn, before, 0.1), digits().x_train, digits().y_train)
    lower = after.loss < before.loss
    yield Case("five ReLU networks on 500 digits, alpha = 0.1", lower.all(), f"the error falls in {lower.sum()} of 5")
    p = torch.tensor(w, requires_grad=True)
    (0.5 * p.square().sum()).backward()
    torch.optim.SGD([p], lr=0.1).step()
    gap = np.abs(p.detach().numpy() - (w - 0.1 * w)).max()
    yield Case("PyTorch's SGD", gap < 1e-15, f"largest difference from the rule {gap:.0e}")


@settles(
    "S4-overshoot-in-one-update",
    statement="one update may pass the extremum",
    said=sentences.S4_LARGE,
    part="更新一次就可能越过极值.",
    verdict="true",
    why="on a parabola beyond step size times curvature 1, and harmless up to 2",
    page="why/descent",
    mark="更新一次就可能越过极值",
    held=(3, 3),
)
def _overshoot_in_one_update() -> Iterator[Case]:
    for product in (1.5, 2.5):
        x = descend(lambda v: 24 * v, 1.0, product / 24, 1)[1]
        yield Case(f"parabola, step size times curvature {product}", x < 0, f"from 1 to {x:.2f}, extremum at 0")
    w = descend(lambda v: 20 * v**19 * (v**20 - 1), 1.3, 0.01, 1)[1]
    yield Case("20 linear layers that share w = 1.3, step size 0.01", w < 1, f"from 1.3 to {w:.3g}, extremum at 1")


@settles(
    "S0-explosion-unstable",
    said=sentences.S0_UNSTABLE,
    verdict="false",
    why="so it is at ordinary step sizes; with 4e-7 the same descent arrives in 50,000 steps, and its loss never rises",
    page="why/descent",
    statement="exploding gradients make learning unstable and keep the best parameters out of reach",
    held=(2, 3),
)
def _explosion_unstable() -> Iterator[Case]:
    for size, steps in ((0.01, 2000), (0.001, 2000), (4e-7, 50_000)):
        path = descend(lambda w: 20 * w**19 * (w**20 - 1), 1.3, size, steps)
        away = abs(path[-1] - 1)
        with np.errstate(all="ignore"):
            falls = bool(np.all(np.diff((path**20 - 1) ** 2) <= 0))
        end = "not finite" if not np.isfinite(away) else f"{away:.0e} from the optimum"
        yield Case(
            f"20 linear layers that share w = 1.3, step size {size:g}, {steps} steps",
            not (away < 1e-3 and falls),
            f"first step {abs(path[1] - path[0]):.1g}; {end} at the end",
        )


@settles(
    "S3-explosion-unstable",
    statement="exploding gradients make the updates large and the training very unstable",
    said=sentences.S3_EXPLODING,
    part="网络权重更新的幅度很大,导致网络训练过程变得很不稳定",
    verdict="conditional",
    why="at every ordinary rate; a rate as small as the gradient is large gives small and steady steps",
    page="why/descent",
    also=("reproduce/exploding",),
    held=(2, 3),
)
def _explosion_makes_training_unstable() -> Iterator[Case]:
    from gradclinic.course import remedies

    treatment, _ = treated("B", "none")
    for rate in (1e-2, 1e-4, 1e-9):
        with np.errstate(all="ignore"):
            run = remedies.train(treatment, (rate,), steps=60)
        loss = run.loss[:, 0]
        jumps = int(np.sum(~(loss[1:] < 2 * loss[:-1]).all(axis=0)))
        said = f"the loss doubles in a single step, or is no number, in {jumps} of {loss.shape[1]} networks"
        yield Case(f"patient B, rate {rate:.0e}, 60 steps", jumps > loss.shape[1] / 2, said)
