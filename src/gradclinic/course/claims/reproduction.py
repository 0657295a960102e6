"""Claims about the demonstrations that this book repeats, and what measuring shows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import activations, chain, clip, init, measure, numpy_net, theory
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    accuracy,
    descend,
    digits,
    hidden_factor,
    profile,
    spread,
    step,
    train,
    treated,
)
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-early-layers-stop",
    statement="with vanishing gradients the front layers stop learning",
    said=sentences.S0_FRONT,
    page="reproduce/vanishing",
    mark="前面层的网络权重无法得到更新",
    verdict="false",
    why="under plain descent in every network tried; a rule that divides by the gradient's size, as Adam's, moves them",
    held=(2, 3),
)
def _early_layers_stop() -> Iterator[Case]:
    for name, spec, variance in (
        ("ten sigmoid layers", MLP((64, *[64] * 9, 10), "sigmoid"), 1.0),
        ("twenty ReLU layers of half He's variance, no biases", MLP((64, *[64] * 19, 10), "relu", bias=False), 0.5),
    ):
        nets = init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=5)
        found = profile(spec, nets)
        front = float(np.median(found.weight[:, 0] / measure.frobenius(nets.weights[0])))
        said = f"{found.verdict}; at step size 1 the front layer's update is {front:.0e} of its weights"
        yield Case(f"{name}, descent", front < 1e-3, said)
    from gradclinic import torch_net

    treatment, found = treated("A", "none")
    net = torch_net.build(treatment.spec, treatment.params)
    before = net.linears[0].weight.detach().clone()
    torch_net.train(net, digits().x_train, digits().y_train, steps=1, lr=0.003, optimizer="adam")
    front = float(((net.linears[0].weight - before).norm() / before.norm()).item())
    said = f"{found.verdict}; the front layers' update at rate 0.003 is {front:.0e} of their weights"
    yield Case("patient A, Adam", front < 1e-3, said)


@settles(
    "S0-nan-weights",
    statement="at worst the weights become NaN and can no longer be updated",
    said=sentences.S0_NAN,
    part="最坏的结果是由于权重值为NaN而无法更新权重。",
    verdict="true",
    why="for good once it happens, also with bounded activations; in this descent an overflow comes before every NaN",
    page="reproduce/exploding",
    also=("why/descent", "beyond/mixed-precision"),
    mark="由于权重值为NaN而无法更新权重",
    held=(3, 3),
)
def _nan_weights() -> Iterator[Case]:
    path = descend(lambda v: 24 * v, 1.0, 0.125, 1100)
    first = int(np.isnan(path).argmax())
    yield Case(
        "parabola, step size times curvature 3",
        first > 0 and np.isnan(path[first:]).all(),
        f"NaN from step {first} to 1100",
    )
    spec, here = MLP((64, *[100] * 19, 10), "relu"), digits()
    nets = init.mlp(spec, np.random.default_rng(2), weight_variance=8.0, ensemble=3)
    lost = []
    for _ in range(6):
        with np.errstate(all="ignore"):
            nets = step(nets, numpy_net.gradients(spec, nets, here.x_train[:50], here.y_train[:50]), 0.1)
        lost.append(min(np.isnan(w).mean() for w in nets.weights))
    yield Case(
        "20 ReLU layers, twice He, step size 0.1",
        min(lost[3:]) == 1,
        f"share of NaN weights after 6 steps {lost[-1]:.0%}",
    )
    w = np.full(30, 100, np.float32)
    b = np.array([-200, *[-50] * 29], np.float32)
    counts = []
    for _ in range(4):
        with np.errstate(all="ignore"):
            a, outputs = np.float32(2), []
            for w_i, b_i in zip(w, b, strict=True):
                a = np.float32(1) / (np.float32(1) + np.exp(-(a * w_i + b_i)))
                outputs.append(a)
            upstream, dw, db = np.float32(1), np.empty_like(w), np.empty_like(b)
            for i in range(29, -1, -1):
                db[i] = upstream * outputs[i] * (1 - outputs[i])
                dw[i] = db[i] * (outputs[i - 1] if i else np.float32(2))
                upstream = db[i] * w[i]
            w, b = w - np.float32(0.1) * dw, b - np.float32(0.1) * db
        counts.append(int(np.isnan(w).sum()))
    yield Case(
        "30 sigmoid layers at z = 0, w = 100, float32", min(counts[1:]) > 0, f"NaN weights after steps 1 to 4: {counts}"
    )


@settles(
    "S0-large-weights-explode",
    statement="large initial weights make the gradient explode",
    said=sentences.S0_LARGE,
    verdict="conditional",
    why="sigmoid chains with |w| > 4 and z near 0, and for one step; wide ReLU layers above He's variance",
    page="reproduce/exploding",
    mark="设置初始权重",
    held=(2, 4),
)
def _large_weights_explode() -> Iterator[Case]:
    w = np.full(10, 8.0)
    for name, b in (("z held at 0", -w / 2), ("biases 0.5", np.full(10, 0.5))):
        growth = float(chain.log10_gradient(w, b, 0.5) - np.log10(0.5 / 4))
        yield Case(f"ten sigmoid layers, w = 8, {name}", growth > 2, f"powers of ten from output to input {growth:.2f}")
    for act, variance in (("relu", 8.0), ("sigmoid", 16.0)):
        factor = hidden_factor(act, variance)
        yield Case(f"layers of 100 {act} units, sigma_w^2 = {variance:.0f}", factor > 1.1, f"{factor:.2f} per layer")


@settles(
    "S0-explosion-shows-in-norm",
    statement="an explosion shows as a huge weight norm",
    said=sentences.S0_PENALTY,
    part="如果发生梯度爆炸,那么权值的范数就会变的非常大",
    page="reproduce/measuring",
    mark="如果发生梯度爆炸,那么权值的范数就会变的非常大",
    verdict="conditional",
    why="at an ordinary step size hundreds of times after one step; not where the step is clipped",
    held=(2, 3),
)
def _explosion_shows_in_norm() -> Iterator[Case]:
    for layers in (20, 30):
        spec = MLP((64,) * layers + (10,), "relu", bias=False)
        nets = init.mlp(spec, np.random.default_rng(0), weight_variance=8.0, ensemble=5)
        g = numpy_net.gradients(spec, nets, digits().x_train[:100], digits().y_train[:100])
        after = step(nets, g, 0.01)
        ratio = np.array(
            [measure.frobenius(a) / measure.frobenius(b) for a, b in zip(after.weights, nets.weights, strict=True)]
        )
        yield Case(
            f"{layers} ReLU layers, twice He, one step of 0.01", ratio.min() > 10, f"weight norm times {spread(ratio)}"
        )
    norm = clip.global_norm([w[0] for w in g.weights])
    kept = Parameters(tuple(w[:1] for w in nets.weights), nets.biases)
    clipped = [a - 0.01 / norm * d[0] for a, d in zip(kept.weights, g.weights, strict=True)]
    ratio = np.array([measure.frobenius(a) / measure.frobenius(b) for a, b in zip(clipped, kept.weights, strict=True)])
    yield Case("the last one, its gradient limited to 1", ratio.min() > 10, f"weight norm times {spread(ratio)}")


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
    "S4-five-large-weights",
    statement="five very large weights multiplied make the gradient of w0 very large",
    said=sentences.S4_LARGE,
    part="当w_i很大时,5个很大的数相乘,会造成w0的梯度特别大",
    verdict="conditional",
    why="every z must stay near 0; elsewhere the six slopes outweigh the five weights",
    page="reproduce/exploding",
    also=("why/sigmoid-chain",),
    mark="5个很大的数相乘",
    held=(2, 4),
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
    said=sentences.S4_HUNDRED,
    verdict="false",
    why="its gradient is exactly 0 in float32, and below 1e-160 in real numbers: no weight moves",
    page="reproduce/exploding",
    mark="把各个w调大一点,比如100以上",
    held=(0, 6),
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
    "S4-demos-print-the-same",
    statement="the hand-written demo and the TensorFlow demo print the same",
    said=sentences.S4_SAME,
    verdict="false",
    why="the variables agree; the derivative is that of the point after the step in one and before it in the other",
    page="reproduce/vanishing",
    mark="两段代码的结果是一样的",
    held=(1, 2),
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
    said=sentences.S4_TABLE,
    verdict="true",
    why="12 of 12 rows",
    page="reproduce/vanishing",
    mark="the table of steps 998 and 999",
    held=(3, 3),
)
def _final_table() -> Iterator[Case]:
    import math

    import torch

    ours: list[str] = []
    for last in (998, 999):
        w, b = trained_chain(3, last + 1)
        g = chain.gradients(w, b, 2.0)
        ours += printed(last, w, b, g.dw, g.db, float(g.output))
    theirs: list[str] = []
    p = torch.full((2, 3), 0.5, requires_grad=True)
    for count in range(1001):
        a = torch.tensor(2.0)
        for i in range(3):
            a = torch.sigmoid(a * p[0, i] + p[1, i])
        (g,) = torch.autograd.grad(a, p)
        if count >= 999:
            theirs += printed(count - 1, *p.detach().numpy(), *g.numpy(), a.item())
        with torch.no_grad():
            p -= 0.1 * g
    w, b, plain = [0.5] * 3, [0.5] * 3, []
    for count in range(1001):
        a = [2.0]
        for w_i, b_i in zip(w, b, strict=True):
            a.append(1 / (1 + math.exp(-(a[-1] * w_i + b_i))))
        upstream, dw, db = 1.0, [0.0] * 3, [0.0] * 3
        for i in (2, 1, 0):
            db[i] = upstream * a[i + 1] * (1 - a[i + 1])
            dw[i], upstream = db[i] * a[i], db[i] * w[i]
        if count >= 999:
            plain += printed(count - 1, np.array(w), np.array(b), np.array(dw), np.array(db), a[-1])
        w = [w_i - 0.1 * d for w_i, d in zip(w, dw, strict=True)]
        b = [b_i - 0.1 * d for b_i, d in zip(b, db, strict=True)]
    for name, rows in (("plain Python", plain), ("NumPy, float64", ours), ("PyTorch, float32", theirs)):
        same = sum(a == b for a, b in zip(rows, PUBLISHED, strict=True))
        yield Case(name, same == 12, f"{same} of 12 rows equal")


@settles(
    "S4-dw0-small-by-depth",
    statement="dw0 is small because the network is deep",
    said=sentences.S4_SLOW,
    part="dw0已经非常接近0.也就是在训练过程中w0变化非常慢.这还是3层网络,假定是100层.那w0就基本等于0个.",
    verdict="conditional",
    why="at the start depth is the larger factor; at the end the saturated output is, 165 against 15",
    page="reproduce/vanishing",
    mark="dw0 is small because the network is deep",
    held=(1, 2),
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
    said=sentences.S4_SLOW,
    part="无论怎么训练w0都不会怎么变化.",
    page="reproduce/vanishing",
    mark="with 100 layers w0 hardly moves",
    verdict="false",
    why="under plain descent at any ordinary step size it is so; a step of its own for each layer moves it",
    held=(2, 3),
)
def _hundred_layers_freeze() -> Iterator[Case]:
    w, _ = trained_chain(100, 300)
    yield Case("plain descent, step size 0.1, 300 steps", abs(w[0] - 0.5) < 1e-3, f"w0 = {w[0]:.3f}, it was 0.5")
    w, _ = trained_chain(100, 300, lr=100.0)
    yield Case("the same at step size 100", abs(w[0] - 0.5) < 1e-3, f"w0 = {w[0]:.3f}")
    w, b = np.full(100, 0.5), np.full(100, 0.5)
    for _ in range(300):
        g = chain.gradients(w, b, 2.0)
        w, b = w - 0.001 * np.sign(g.dw), b - 0.001 * np.sign(g.db)
    yield Case("each parameter its own step, of length 0.001, 300 steps", abs(w[0] - 0.5) < 1e-3, f"w0 = {w[0]:.3f}")


@settles(
    "S4-frozen-loss",
    statement="a loss that no longer changes means that the gradient has vanished",
    said=sentences.S4_STILL,
    part="这时候很可能是大多数参数都不变了.也就是遇到了梯度消失的问题.",
    verdict="conditional",
    why="it can also stand at a minimum or bounce at a constant distance from it",
    page="reproduce/vanishing",
    also=("practice/clinic",),
    mark="损失函数都不变化 … 遇到了梯度消失",
    held=(1, 3),
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
    "belief-flat-profile-trains",
    statement="a flat gradient profile means that the network will train",
    verdict="false",
    why="it says that a signal arrives, not that it is enough: copies of one unit, sigmoid layers at variance 103",
    page="reproduce/measuring",
    also=("remedies/initialization", "remedies/layer-normalization"),
    mark="flat profile",
    held=(1, 3),
)
def _flat_profile_trains() -> Iterator[Case]:
    spec = MLP((64, 32, 32, 32, 10), "elu")
    he = init.mlp(spec, np.random.default_rng(4), ensemble=3)
    first, last = he.weights[0][:, :1], he.weights[-1][:, :, :1]
    copies = Parameters(
        (np.repeat(first, 32, 1), *(np.full((3, 32, 32), 1 / 32),) * 2, np.repeat(last, 32, 2)), he.biases
    )
    for name, params in (("He", he), ("every unit of a layer the same", copies)):
        found = profile(spec, params)
        reached = float(np.median(accuracy(spec, train(spec, params, 60, lr=0.1))))
        flat = set(found.verdicts.tolist()) == {"healthy"}
        said = f"{found.verdict}, {np.median(found.factor):.2f} per layer; accuracy {reached:.2f}"
        yield Case(f"ELU, four layers, {name}", flat <= (reached > 0.6), said)
    from gradclinic.course import remedies

    spec = MLP((64, *[32] * 9, 10), "sigmoid")
    params = init.mlp(
        spec, np.random.default_rng(1), weight_variance=theory.critical_weight_variance("sigmoid"), ensemble=5
    )
    treatment = remedies.Treatment(spec, params)
    found, run = remedies.profile(treatment), remedies.train(treatment, (0.01, 0.1))
    reached = float(np.median(run.accuracy, axis=1).max())
    said = f"{found.verdict}, {np.median(found.factor):.2f} per layer; accuracy {reached:.2f}"
    yield Case(
        "ten sigmoid layers at the critical variance 103", (found.verdict == "healthy") <= (reached > 0.65), said
    )


@settles(
    "belief-weight-gradient-shows",
    statement="the norm of the weight gradient per layer shows an explosion",
    verdict="false",
    why="in bias-free ReLU networks the inner product of weight and gradient is the same in every layer",
    page="reproduce/measuring",
    mark="the weight-gradient norm per layer shows an explosion",
    held=(0, 2),
)
def _weight_gradient_shows() -> Iterator[Case]:
    for act in ("relu", "leaky_relu"):
        spec = MLP((64,) * 20 + (10,), act, bias=False)
        nets = init.mlp(spec, np.random.default_rng(0), weight_variance=8.0, ensemble=10)
        found = profile(spec, nets)
        delta, weight = (float(np.median(v[:, 0] / v[:, -1])) for v in (found.delta, found.weight))
        said = f"layer 1 over layer 20: delta {delta:.0e}, weight gradient {weight:.2f}"
        yield Case(f"20 bias-free {act} layers, twice He, {found.verdict}", weight > 10, said)


@settles(
    "belief-vanishing-never-trains",
    statement="a vanishing profile means that the network cannot train",
    verdict="false",
    why="with equal update ratios, a step for each layer, it does in 120 steps, with one step size of 1 in 500",
    page="reproduce/measuring",
    mark="a vanishing profile means that the network cannot train",
    held=(1, 3),
)
def _vanishing_never_trains() -> Iterator[Case]:
    spec = MLP((64, 30, 30, 30, 30, 10), "sigmoid")
    start = init.mlp(spec, np.random.default_rng(3), weight_variance=1.0, ensemble=3)
    found = profile(spec, start)
    for name, rule, steps in (
        ("one step size, 1", {"lr": 1.0}, 120),
        ("one step size, 1", {"lr": 1.0}, 500),  # in 1200: 0.87
        ("a step for each layer, 0.03 of its weights", {"ratio": 0.03}, 120),
    ):
        reached = float(np.median(accuracy(spec, train(spec, start, steps, **rule))))
        said = f"accuracy {reached:.2f} after {steps} steps"
        yield Case(f"five sigmoid layers, {found.verdict}, {name}, {steps} steps", reached < 0.5, said)
