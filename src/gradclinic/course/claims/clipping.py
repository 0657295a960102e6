"""Claims about clipping the gradient, and penalties on the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gradclinic import clip, init, measure, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    FEW_RATES,
    digits,
    examined,
    on_the_cliff,
    spread,
    treated,
)
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-clipping-prevents",
    statement="clipping prevents exploding gradients",
    said=sentences.S0_CLIPPING,
    part="这样可以防止梯度爆炸。",
    verdict="conditional",
    why="a gradient of finite norm makes no infinite weights; it explodes as before, and where every layer "
    "explodes nothing trains",
    page="remedies/clipping",
    also=("practice/clinic",),
    mark="这样可以防止梯度爆炸",
    held=(1, 3),
)
def _clipping_prevents() -> Iterator[Case]:
    from gradclinic.course import remedies

    (treatment, untreated), row = treated("B", "none"), examined("B", "clipping")
    with np.errstate(all="ignore"):
        bare = remedies.train(treatment, FEW_RATES, steps=20)
    counts, total = (bare.finite.sum(), row.run.finite.sum()), row.run.finite.size
    yield Case(
        "patient B: finite weights",
        counts[1] == total,
        f"{counts[0]} of {total} runs after 20 steps without, {counts[1]} of {total} after 200 with",
    )
    said = f"{np.median(untreated.factor):.2f} per layer without, {np.median(row.profile.factor):.2f} with"
    yield Case("patient B: a gradient that does not explode", row.profile.verdict != "exploding", said)
    reached = float(np.median(row.accuracy))
    yield Case("patient B: training", reached > 0.5, f"median accuracy {reached:.2f} at the best of three rates")


@settles(
    "S0-clipping-into-range",
    statement="gradients over the threshold are forced into the range",
    said=sentences.S0_CLIPPING,
    part="如果更新梯度时,梯度超过了这个阈值,那么就将其强制限制在这个范围之内。",
    page="remedies/clipping",
    mark="将其强制限制在这个范围之内",
    verdict="conditional",
    why="a finite gradient, entry by entry or its norm; an inf becomes NaN when clipped by norm",
    held=(2, 3),
)
def _clipping_into_range() -> Iterator[Case]:
    import torch

    treatment, _ = treated("B", "none")
    g = numpy_net.gradients(treatment.spec, treatment.params, digits().x_train[:50], digits().y_train[:50])
    arrays = [w[0] for w in g.weights]
    largest = max(np.abs(a).max() for a in clip.by_value(arrays, 1.0))
    yield Case(
        "patient B, by value, limit 1",
        largest <= 1,
        f"largest entry {max(np.abs(a).max() for a in arrays):.0e}, then {largest:.0f}",
    )
    p: list[Any] = [torch.zeros(a.shape, dtype=torch.float64) for a in arrays]
    for parameter, a in zip(p, arrays, strict=True):
        parameter.grad = torch.tensor(a)
    torch.nn.utils.clip_grad_norm_(p, 1.0)
    norm = clip.global_norm([parameter.grad.numpy() for parameter in p])
    yield Case(
        "the same in PyTorch, by global norm, limit 1",
        norm <= 1 + 1e-12,
        f"norm {clip.global_norm(arrays):.0e}, then {norm:.6f}",
    )
    p[0].grad[0, 0] = torch.inf
    torch.nn.utils.clip_grad_norm_(p, 1.0)
    lost = sum(int(parameter.grad.isnan().sum()) for parameter in p)
    yield Case("the same with one entry inf", lost == 0, f"entries that are NaN afterwards: {lost}")


@settles(
    "S0-clipping-for-explosion",
    statement="clipping is mainly against exploding gradients",
    said=sentences.S0_CLIPPING,
    part="这个方案主要是针对梯度爆炸提出的",
    verdict="true",
    why="under the limit it changes no bit: a vanishing gradient never meets it",
    page="remedies/clipping",
    mark="主要是针对梯度爆炸提出的",
    held=(3, 3),
)
def _clipping_for_explosion() -> Iterator[Case]:
    from gradclinic.course import remedies

    treatment, _ = treated("A", "none")
    runs = [remedies.train(replace(treatment, clip_norm=limit), (0.1,), steps=60).loss for limit in (None, 100.0)]
    changed = int(np.sum(runs[0] != runs[1]))
    yield Case(
        "patient A, 60 steps, norm limited to 100",
        changed == 0,
        f"losses that differ in any bit: {changed} of {runs[0].size}",
    )
    treatment, _ = treated("B", "none")
    g = numpy_net.gradients(treatment.spec, treatment.params, digits().x_train[:50], digits().y_train[:50])
    norm = clip.global_norm([w[0] for w in g.weights])
    spec = MLP((64, *[64] * 9, 10), "relu")
    healthy = numpy_net.gradients(spec, init.mlp(spec, np.random.default_rng(0)), digits().x_train, digits().y_train)
    size = clip.global_norm([w.squeeze() for w in healthy.weights])
    yield Case(
        "ten ReLU layers at He's scale, the same limit", size < 100, f"norm of the gradient {size:.1f}, not clipped"
    )
    yield Case("patient B, the same limit", norm > 100, f"norm of the gradient {norm:.0e}")


@settles(
    "S3-clipping-mitigates",
    statement="clipping mitigates exploding gradients",
    said=sentences.S3_CLIPPING,
    part="缓解梯度爆炸。",
    verdict="conditional",
    why="where level ground is within reach, as on a cliff; a network whose every layer explodes stays sick",
    page="remedies/clipping",
    mark="缓解梯度爆炸",
    held=(1, 2),
)
def _clipping_mitigates() -> Iterator[Case]:
    (thrown, _), (held, loss) = on_the_cliff(np.inf), on_the_cliff(1.0)
    yield Case(
        "500 descents beside a cliff, norm limited to 1",
        held.sum() == 0 and np.all(loss < 0.01),
        f"thrown: {thrown.mean():.0%} without the limit, {held.mean():.0%} with; final losses up to {loss.max():.0e}",
    )
    row = examined("B", "clipping")
    yield Case(
        "patient B, norm limited to 1",
        bool(np.median(row.accuracy) > 0.5),
        f"{np.median(row.profile.factor):.2f} per layer as before; median accuracy {np.median(row.accuracy):.2f}",
    )


@settles(
    "S3-ridge-loss",
    statement=r"the loss $(y - W^T x)^2 + \alpha \lVert W \rVert^2$ adds to the gradient a force that shrinks weights",
    said=sentences.S3_RIDGE,
    part="正则化损失函数形式如下所示:Loss=(y−W^T x)²+α||W||² ",
    verdict="true",
    why="the force is 2 alpha W, Keras's convention and twice PyTorch's weight_decay",
    page="remedies/regularization",
    mark="Loss = (y - W^T x)^2",
    held=(3, 3),
)
def _ridge_loss() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for alpha in (1e-3, 0.3, 3.0):
        x, y, w = rng.normal(size=6), rng.normal(), rng.normal(size=6)

        def loss(w: np.ndarray, x: np.ndarray = x, y: float = y, alpha: float = alpha) -> float:
            return float((y - w @ x) ** 2 + alpha * w @ w)

        force = measure.numerical_gradient(loss, w) + 2 * (y - w @ x) * x
        ratio = force / w
        yield Case(f"alpha = {alpha}", np.allclose(ratio, 2 * alpha, rtol=1e-4), f"force over weight {spread(ratio)}")


@settles(
    "belief-exploding-layers-drown",
    statement="in an exploding gradient the exploding layers drown the others",
    verdict="false",
    why="in patient B no layer has more than a quarter of the squared norm of the weight gradient",
    page="remedies/clipping",
    mark="the exploding layers drown the others",
    held=(0, 2),
)
def _exploding_layers_drown() -> Iterator[Case]:
    from gradclinic.course import remedies

    here = remedies.ward()
    for seed in (1, 2):
        t = remedies.treat("B", "none", rng=np.random.default_rng(seed))
        g = numpy_net.gradients(t.spec, t.params, here.x[:200], here.y[:200])
        squares = np.stack(
            [np.sum(w**2, axis=(1, 2)) + np.sum(b**2, axis=1) for w, b in zip(g.weights, g.biases, strict=True)],
            axis=-1,
        )
        share = (squares / squares.sum(axis=-1, keepdims=True)).max()
        yield Case(f"patient B, five networks of seed {seed}", share > 0.25, f"largest share of one layer {share:.2f}")


@settles(
    "belief-cliff-without-clipping-lost",
    statement="on a cliff, descent without clipping is lost",
    verdict="false",
    page="remedies/clipping",
    mark="on a cliff, descent without clipping is lost",
    why="seven in ten are not thrown; of the thrown six in ten come back on this page's bowl, none where a sigmoid "
    "flattens it",
    held=(1, 5),
)
def _cliff_without_clipping_lost() -> Iterator[Case]:
    thrown, loss = on_the_cliff(np.inf)
    lost = np.mean(loss[thrown] > 0.01)
    yield Case(
        "500 descents beside the wall: those thrown",
        lost > 0.5,
        f"{thrown.sum()} thrown, {lost:.0%} of them do not arrive",
    )
    lost = np.mean(loss[~thrown] > 0.01)
    yield Case("those not thrown", lost > 0.5, f"{lost:.0%} do not arrive")
    lost = np.mean(loss > 0.01)
    yield Case("all of them", lost > 0.5, f"{lost:.0%} do not arrive")
    thrown, loss = on_the_cliff(np.inf, squashed=False)
    for name, those in (("those thrown", thrown), ("all of them", np.full(len(thrown), True))):
        lost = np.mean(loss[those] > 0.01)
        yield Case(f"the loss without its sigmoid: {name}", lost > 0.5, f"{lost:.0%} do not arrive")


@settles(
    "S0-penalty-limits",
    statement="limiting the penalty term limits exploding gradients to some degree",
    said=sentences.S0_PENALTY,
    part="通过限制正则化项的大小,也可以在一定程度上限制梯度爆炸的发生。",
    verdict="conditional",
    why="not at the start: NaN comes at the same step; slowly, over 1/(eta lambda) steps, where it outweighs the data",
    page="remedies/regularization",
    mark="通过限制正则化项的大小,也可以在一定程度上限制梯度爆炸的发生",
    held=(1, 3),
)
@settles(
    "S1-regularization-solves",
    statement="another way to solve exploding gradients is to regularise the weights, L1 or L2",
    said=sentences.S1_PENALTY,
    page="remedies/regularization",
    mark="另外一种解决梯度爆炸的手段是采用权重正则化",
    verdict="conditional",
    why="not at the start: at strength 0.1 the data's force is 300,000 times larger; once, at 10 million and a rate "
    "that learns nothing",
    held=(1, 3),
)
@settles(
    "S3-penalty-relieves",
    statement="a penalty on the weights relieves exploding gradients to some degree",
    said=sentences.S3_RIDGE,
    part="通过正则化项可以在一定程度上缓解梯度爆炸的发生。",
    verdict="conditional",
    why="not at the start, where the data's force is larger; slowly, where the penalty outweighs the data",
    page="remedies/regularization",
    mark="通过正则化项可以在一定程度上缓解梯度爆炸的发生",
    held=(1, 3),
)
def _penalty_on_weights() -> Iterator[Case]:
    """A penalty on the weights against patient B: from the first step on, and alone over many steps."""
    from gradclinic.course import remedies

    treatment, untreated = treated("B", "none")

    def first_bad(l2: float) -> np.ndarray:
        with np.errstate(all="ignore"):
            bad = ~np.isfinite(remedies.train(replace(treatment, l2=l2), (0.001, 0.01), steps=6).loss)
        return np.where(bad.any(axis=0), bad.argmax(axis=0), 99)

    bare = first_bad(0.0)
    for l2 in (0.01, 1.0):
        later = int(np.sum(first_bad(l2) > bare))
        said = f"first non-finite loss after {bare.min()} to {bare.max()} steps; later in {later} of {bare.size} runs"
        yield Case(f"patient B, L2 of strength {l2:g}, two rates", later > 0, said)
    lr, l2 = 1e-9, 1e7
    steps = round(np.log(2) / -np.log1p(-lr * l2))
    spec, params = treatment.spec, treatment.params
    here = remedies.ward()
    for _ in range(steps):
        g = numpy_net.gradients(spec, params, here.x[:50], here.y[:50])
        shrunk = tuple(w - lr * (d + l2 * w) for w, d in zip(params.weights, g.weights, strict=True))
        params = Parameters(shrunk, tuple(b - lr * d for b, d in zip(params.biases, g.biases, strict=True)))
    after = remedies.profile(replace(treatment, params=params))
    yield Case(
        f"patient B, strength 1e7, {steps} steps at rate 1e-9",
        after.verdict == "healthy",
        f"factor {np.median(untreated.factor):.2f} before, {np.median(after.factor):.2f} after",
    )
