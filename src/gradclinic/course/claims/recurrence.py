"""Claims about the same weights at every time step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic import init, measure, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    latch,
)
from gradclinic.numpy_net import RNNParameters
from gradclinic.spec import RNN

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-rnn-long-sequences",
    statement="a recurrent network with exploding gradients at best cannot learn long sequences",
    said=sentences.S0_RNN,
    part="最好的结果是网络不能在长输入数据序列上学习。",
    page="why/recurrence",
    also=("remedies/lstm",),
    mark="网络不能在长输入数据序列上学习",
    verdict="false",
    why="most fail over 60 steps, as it says; the exception is a remedy: with clipped steps most of them learn",
    held=(2, 3),
)
def _rnn_long_sequences() -> Iterator[Case]:
    for name, options in (
        ("rho = 2.5, step size 0.05", {"rho": 2.5}),
        ("rho = 2.5, step size 1, norm limited to 1", {"rho": 2.5, "lr": 1.0, "limit": 1.0}),
        ("rho = 3, step size 0.05", {"rho": 3.0}),
    ):
        right, _, _ = latch(options.pop("rho"), members=8, **options)
        learned = int(np.sum(right > 0.95))
        yield Case(f"latch over 60 steps, {name}", learned < 4, f"{learned} of 8 networks learn")


@settles(
    "S4-loss-stands-still",
    statement="when training a recurrent network one may well meet a loss that stands still, as if time did",
    said=sentences.S4_STILL,
    part="在训练rnn模型时,很可能会遇到一段时间后,无论怎么训练,损失函数都不变化的情况.仿佛时间静止了一样.",
    page="why/recurrence",
    mark="仿佛时间静止了一样",
    verdict="conditional",
    why="with weights that forget it stays at ln 2 for 300 steps, not for 600; with rho = 1 it leaves it within 60",
    held=(2, 4),
)
def _loss_stands_still() -> Iterator[Case]:
    for rho, steps in ((0.3, 60), (0.5, 300), (0.5, 600), (1.0, 60)):
        _, loss, _ = latch(rho, steps=steps)
        away = float(np.abs(loss[10:] - np.log(2)).max())
        said = f"five networks within {away:.3f} of ln 2"
        yield Case(f"latch over 60 time steps, rho = {rho}, {steps} steps of training", away < 0.1, said)


@settles(
    "S4-parameters-stand-still",
    statement="where the loss stands still, most parameters no longer change",
    said=sentences.S4_STILL,
    part="这时候很可能是大多数参数都不变了.",
    page="why/recurrence",
    mark="很可能是大多数参数都不变了",
    verdict="conditional",
    why="at a small step its updates are below a thousandth of the weights, what this book calls still",
    held=(2, 3),
)
def _parameters_stand_still() -> Iterator[Case]:
    for rho, rate in ((0.3, 0.05), (0.5, 0.05), (0.3, 0.3)):
        _, loss, ratio = latch(rho, lr=rate)
        away, typical = float(np.abs(loss[10:] - np.log(2)).max()), float(np.median(ratio[10:]))
        said = f"loss within {away:.3f} of ln 2; an update is {typical:.1e} of the recurrent weights"
        yield Case(f"latch over 60 steps, rho = {rho}, step size {rate}", typical < 1e-3, said)


@settles(
    "belief-explodes-above-rho-one",
    statement="a recurrent network explodes exactly when rho > 1",
    verdict="false",
    why="false both ways: saturation shrinks it above 1, and a non-normal matrix grows it below 1",
    page="why/recurrence",
    mark="a recurrent net explodes exactly when",
    held=(1, 4),
)
def _explodes_above_rho_one() -> Iterator[Case]:
    n, steps, rng = 64, 100, np.random.default_rng(1)
    for rho, act in ((1.1, "linear"), (1.1, "tanh")):
        w = init.orthogonal((5, n, n), rng, rho)
        u, v = init.lecun_normal((5, n, n), rng), np.tile(np.eye(n), (5, 1, 1))
        x, y = np.sqrt(0.1) * rng.standard_normal((10, steps, n)), 100 * rng.standard_normal((10, n))
        g = numpy_net.rnn_gradients(RNN(n, n, n, act), RNNParameters(w, u, np.zeros((5, n)), v, np.zeros((5, n))), x, y)
        size = measure.sample_norm(g.hidden)
        growth = float(np.median(size[:, 0] / size[:, -1]))
        yield Case(f"{act} units, rho = {rho}, noisy input", growth > 1, f"gradient over 100 steps times {growth:.2g}")
    jordan = np.array([[0.9, 10.0], [0.0, 0.9]])
    peak = max(np.linalg.norm(np.linalg.matrix_power(jordan, k), 2) for k in range(60))
    yield Case("two linear units, both eigenvalues 0.9", peak <= 1, f"norm of the product grows to {peak:.0f} first")
    w, b = np.array([[1.5, -2.0], [1.125, -1.5]]), np.array([2.0, 40.0])
    h, jacobian = np.array([0.0, 1.0]), np.eye(2)
    for _ in range(60):
        h = np.tanh(w @ h + b)
        jacobian = np.diag(1 - h**2) @ w @ jacobian
    rho = float(np.sqrt(abs(np.linalg.det(w))))
    yield Case(
        f"two tanh units, one saturated, rho = {rho:.0f}",
        abs(jacobian[0, 0]) <= 1,
        f"gradient over 60 steps {jacobian[0, 0]:.1e}",
    )
