"""Claims of S4, a page that reproduces vanishing gradients with TensorFlow 1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import activations, chain
from gradclinic.course.claims.claim import Case, Claim, entry
from gradclinic.course.claims.experiments import descend, latch, spread

CLAIMS: list[Claim] = []
settles = partial(entry, CLAIMS)

PUBLISHED = """\
step=998,dw0=-0.0004,w0=0.5947,z=0.0061
step=998,db0=-0.0002,b0=0.5474,z=0.0061
step=998,dw1=-0.0014,w1=0.9078,z=0.0061
step=998,db1=-0.0017,b1=0.9895,z=0.0061
step=998,dw2=0.0052,w2=-2.2514,z=0.0061
step=998,db2=0.0061,b2=-3.1738,z=0.0061
step=999,dw0=-0.0004,w0=0.5948,z=0.0061
step=999,db0=-0.0002,b0=0.5474,z=0.0061
step=999,dw1=-0.0014,w1=0.9080,z=0.0061
step=999,db1=-0.0017,b1=0.9897,z=0.0061
step=999,dw2=0.0052,w2=-2.2519,z=0.0061
step=999,db2=0.0060,b2=-3.1744,z=0.0061""".splitlines()


@cache
def trained_chain(layers: int, steps: int, lr: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases, all 0.5 at first, of the source's chain (input 2) after plain descent on its output."""
    w, b = np.full(layers, 0.5), np.full(layers, 0.5)
    for _ in range(steps):
        g = chain.gradients(w, b, 2.0)
        w, b = w - lr * g.dw, b - lr * g.db
    return w, b


def printed(step: int, w: np.ndarray, b: np.ndarray, dw: np.ndarray, db: np.ndarray, z: float) -> list[str]:
    """The source's six lines for one step."""
    rows = ((f"{kind}{i}", g[i], p[i]) for i in range(3) for kind, g, p in (("w", dw, w), ("b", db, b)))
    return [f"step={step},d{name}={g:.4f},{name}={p:.4f},z={z:.4f}" for name, g, p in rows]


@settles(
    "S4-slope-range",
    statement="the slope of the sigmoid lies in (0, 1)",
    quote="范围在(0,1)之间",
    verdict="true",
    why="true but loose: it lies in (0, 1/4]",
    page="why/sigmoid-chain",
)
def _slope_range() -> Iterator[Case]:
    sigma = activations.get("sigmoid")
    slope = sigma.slope(np.linspace(-700, 700, 14_001))
    yield Case("14,001 inputs between -700 and 700", slope.min() > 0 and slope.max() < 1, f"slopes {spread(slope)}")
    logs = sigma.log_slope(np.array([-1e300, -1e3, 1e3, 1e300]))
    yield Case("inputs up to 1e300, in logarithms", np.all(np.isfinite(logs) & (logs < 0)), f"ln slope {spread(logs)}")


@settles(
    "S4-five-large-weights",
    statement="five very large weights multiplied make the gradient of w0 very large",
    quote="5个很大的数相乘",
    verdict="conditional",
    why="every z must stay near 0; elsewhere the six slopes outweigh the five weights",
    page="reproduce/exploding",
    also=("why/sigmoid-chain",),
)
def _five_large_weights() -> Iterator[Case]:
    for w in (20.0, 100.0):
        weights = np.full(6, w)
        for name, biases in (
            ("biases 0.5", np.full(6, 0.5)),
            ("biases that hold z at 0", np.array([-2 * w, *[-w / 2] * 5])),
        ):
            size = float(chain.log10_gradient(weights, biases, 2.0))
            yield Case(f"six layers, w = {w:.0f}, {name}", size > 0, f"log10 |dz/dw0| = {size:.2f}")


@settles(
    "S4-weights-above-100",
    statement="raise every weight to 100 or more, and the same program shows an exploding gradient",
    quote="把各个w调大一点,比如100以上",
    verdict="false",
    why="its gradient is exactly 0 in float32, and below 1e-160 in real numbers: no weight moves",
    page="reproduce/exploding",
)
def _weights_above_100() -> Iterator[Case]:
    import torch

    for value in (100.0, 200.0, 1000.0):
        size = float(chain.log10_gradient(np.full(3, value), np.full(3, 0.5), 2.0))
        yield Case(f"exact, w = {value:.0f}", size > 0, f"log10 |dz/dw0| = {size:.2f}")
        w = torch.full((3,), value, requires_grad=True)
        b = torch.full((3,), 0.5, requires_grad=True)
        for _ in range(100):
            a = torch.tensor(2.0)
            for i in range(3):
                a = torch.sigmoid(a * w[i] + b[i])
            grads = torch.autograd.grad(a, (w, b))
            with torch.no_grad():
                w -= 0.1 * grads[0]
                b -= 0.1 * grads[1]
        moved = int((w != value).sum() + (b != 0.5).sum())
        yield Case(f"PyTorch, float32, w = {value:.0f}, 100 steps", moved > 0, f"parameters that moved: {moved} of 6")


@settles(
    "S4-overshoot-in-one-update",
    statement="one update may pass the extremum",
    quote="更新一次就可能越过极值",
    verdict="true",
    why="on a parabola from step size times curvature 1 on, and harmless up to 2",
    page="why/descent",
)
def _overshoot_in_one_update() -> Iterator[Case]:
    for product in (1.5, 2.5):
        x = descend(lambda v: 24 * v, 1.0, product / 24, 1)[1]
        yield Case(f"parabola, step size times curvature {product}", x < 0, f"from 1 to {x:.2f}, extremum at 0")
    w = descend(lambda v: 20 * v**19 * (v**20 - 1), 1.3, 0.01, 1)[1]
    yield Case("20 linear layers that share w = 1.3, step size 0.01", w < 1, f"from 1.3 to {w:.3g}, extremum at 1")


@settles(
    "S4-demos-print-the-same",
    statement="the hand-written demo and the TensorFlow demo print the same",
    quote="两段代码的结果是一样的",
    verdict="false",
    why="the variables agree; the derivative is printed after the step by one and before it by the other",
    page="reproduce/vanishing",
    universal=True,
)
def _demos_print_the_same() -> Iterator[Case]:
    from gradclinic.tf_net import tf

    x, hand = 1.0, []
    for _ in range(10):
        dx = 2 * x
        x -= dx * 0.1
        hand.append((dx, x))
    graph, tf1 = [], tf.compat.v1
    with tf1.Graph().as_default(), tf1.Session() as session:
        v = [tf1.get_variable(name, initializer=1.0) for name in "xy"]
        optimizer = tf1.train.GradientDescentOptimizer(learning_rate=0.1)
        pairs = optimizer.compute_gradients(v[0] * v[0] + v[1] * v[1], v)
        train_step = optimizer.apply_gradients(pairs)
        session.run(tf1.global_variables_initializer())
        for _ in range(10):
            session.run(train_step)
            graph.append(session.run(pairs)[0])
    for column, name in ((1, "x"), (0, "dx")):
        ours, theirs = ([f"{row[column]:.4f}" for row in rows] for rows in (hand, graph))
        same = sum(a == b for a, b in zip(ours, theirs, strict=True))
        shifted = sum(a == b for a, b in zip(ours[1:], theirs[:-1], strict=True))
        yield Case(f"ten printed values of {name}", same == 10, f"{same} of 10 equal, {shifted} of 9 one step apart")


@settles(
    "S4-final-table",
    statement="after 1000 steps the program prints the table of steps 998 and 999",
    verdict="true",
    why="12 of 12 rows",
    page="reproduce/vanishing",
    mark="the table of steps 998 and 999",
)
def _final_table() -> Iterator[Case]:
    import torch

    ours: list[str] = []
    for step in (998, 999):
        w, b = trained_chain(3, step + 1)
        g = chain.gradients(w, b, 2.0)
        ours += printed(step, w, b, g.dw, g.db, float(g.output))
    theirs: list[str] = []
    p = torch.full((2, 3), 0.5, requires_grad=True)
    for step in range(1001):
        a = torch.tensor(2.0)
        for i in range(3):
            a = torch.sigmoid(a * p[0, i] + p[1, i])
        (g,) = torch.autograd.grad(a, p)
        if step >= 999:
            theirs += printed(step - 1, *p.detach().numpy(), *g.numpy(), a.item())
        with torch.no_grad():
            p -= 0.1 * g
    for name, rows in (("NumPy, float64", ours), ("PyTorch, float32", theirs)):
        same = sum(a == b for a, b in zip(rows, PUBLISHED, strict=True))
        yield Case(name, same == 12, f"{same} of 12 rows equal")


@settles(
    "S4-dw0-small-by-depth",
    statement="dw0 is small because the network is deep",
    verdict="conditional",
    why="at the start depth is the larger factor; at the end the saturated output is, 165 against 15",
    page="reproduce/vanishing",
    mark="dw0 is small because the network is deep",
)
def _dw0_small_by_depth() -> Iterator[Case]:
    for steps in (0, 1000):
        w, b = trained_chain(3, steps)
        g = chain.gradients(w, b, 2.0)
        output = 1 / activations.get("sigmoid").slope(g.z[2])
        depth = 1 / (output * abs(g.dw[0]))
        yield Case(
            f"after {steps} steps",
            depth > output,
            f"dw0 = {g.dw[0]:.2g}: depth divides by {depth:.0f}, the slope of the output by {output:.0f}",
        )


@settles(
    "S4-hundred-layers-freeze",
    statement="with 100 layers w0 hardly moves, however one trains",
    quote="无论怎么训练w0都不会怎么变化",
    verdict="conditional",
    why="plain descent at one ordinary step size; a step of its own for each layer moves it",
    page="reproduce/vanishing",
    mark="with 100 layers w0 hardly moves",
)
def _hundred_layers_freeze() -> Iterator[Case]:
    w, _ = trained_chain(100, 300)
    yield Case("plain descent, step size 0.1, 300 steps", abs(w[0] - 0.5) < 1e-3, f"w0 = {w[0]:.3f}, it was 0.5")
    w, b = np.full(100, 0.5), np.full(100, 0.5)
    for _ in range(300):
        g = chain.gradients(w, b, 2.0)
        w, b = w - 0.001 * np.sign(g.dw), b - 0.001 * np.sign(g.db)
    yield Case("each parameter its own step, of length 0.001, 300 steps", abs(w[0] - 0.5) < 1e-3, f"w0 = {w[0]:.3f}")


@settles(
    "S4-frozen-loss",
    statement="a loss that no longer changes means that the gradient has vanished",
    quote="损失函数都不变化 … 遇到了梯度消失",
    verdict="conditional",
    why="it can also stand at a minimum or bounce at a constant distance from it",
    page="reproduce/vanishing",
    also=("practice/clinic",),
)
def _frozen_loss() -> Iterator[Case]:
    situations = {
        "20 linear layers that share w = 0.4": (
            lambda v: 0.5 * (v**20 - 1) ** 2,
            lambda v: 20 * v**19 * (v**20 - 1),
            0.4,
            0.01,
        ),
        "a parabola at its minimum": (lambda v: v**2 / 2, lambda v: v, 1e-9, 0.1),
        "a parabola, step size times curvature 2": (lambda v: v**2 / 2, lambda v: v, 1.0, 2.0),
    }
    for name, (loss, slope, start, lr) in situations.items():
        path = descend(slope, start, lr, 100)
        frozen, left, g = np.ptp(loss(path)) < 1e-4, loss(path[-1]), abs(slope(path[-1]))
        yield Case(name, frozen and left > 1e-3 and g < 1e-2, f"loss {left:.3g} for 100 steps, gradient {g:.1e}")


@settles(
    "S4-loss-stands-still",
    statement="when training a recurrent network one may well meet a loss that stands still, as if time did",
    quote="仿佛时间静止了一样",
    verdict="true",
    why="with weights that forget it stays at ln 2, the loss of knowing nothing",
    page="why/recurrence",
)
def _loss_stands_still() -> Iterator[Case]:
    for rho in (0.3, 0.5):
        _, loss, _ = latch(rho)
        away = float(np.abs(loss[10:] - np.log(2)).max())
        yield Case(f"latch over 60 steps, rho = {rho}", away < 0.1, f"five networks within {away:.3f} of ln 2")


@settles(
    "S4-parameters-stand-still",
    statement="where the loss stands still, most parameters no longer change",
    quote="很可能是大多数参数都不变了",
    verdict="false",
    why="the weights move while the loss stands; only the long-range part of the gradient has vanished",
    page="why/recurrence",
)
def _parameters_stand_still() -> Iterator[Case]:
    for rho in (0.3, 0.5):
        _, _, still = latch(rho)
        yield Case(
            f"latch over 60 steps, rho = {rho}", np.median(still) > 0.5, f"weights that stand: {still.max():.1%}"
        )
