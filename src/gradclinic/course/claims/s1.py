"""Claims of S1, a page of collected answers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import activations, init, measure, numpy_net
from gradclinic.activations import gaussian_mean
from gradclinic.course.claims.claim import Case, Claim, entry
from gradclinic.course.claims.experiments import critic, hidden_factor, residual_cases, spread, treated
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles = partial(entry, CLAIMS)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum()


@settles(
    "S1-residual-of-prediction",
    statement="back-propagation starts from the residual of prediction and label",
    quote="预测值与标签值的残差",
    verdict="conditional",
    why="for a loss that matches its output, such as cross-entropy on a softmax: there delta_L = a - y",
    page="why/backpropagation",
)
def _residual_of_prediction() -> Iterator[Case]:
    sigmoid = activations.get("sigmoid")
    z, y = np.array([0.3, -6.0, 2.0]), np.array([0.0, 1.0, 0.0])
    pairs = {
        "squared error, linear output": (lambda z: z, lambda a: 0.5 * np.sum((a - y) ** 2)),
        "cross-entropy, sigmoid": (sigmoid, lambda a: -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a))),
        "cross-entropy, softmax": (_softmax, lambda a: -np.sum(y * np.log(a))),
        "squared error, sigmoid": (sigmoid, lambda a: 0.5 * np.sum((a - y) ** 2)),
        "absolute error, linear output": (lambda z: z, lambda a: np.sum(np.abs(a - y))),
    }
    for name, (output, loss) in pairs.items():
        delta = measure.numerical_gradient(lambda v, output=output, loss=loss: float(loss(output(v))), z)
        gap = np.abs(delta - (output(z) - y)).max()
        yield Case(name, gap < 1e-6, f"largest |delta_L - (a - y)| = {gap:.1g}")


@settles(
    "S1-direct-solution-hard",
    statement="to solve for the gradient directly is extremely hard",
    quote="难度极大",
    verdict="true",
    why="as a matter of cost: two forward passes per weight, against less than three in all",
    page="why/backpropagation",
)
def _direct_solution_hard() -> Iterator[Case]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    for width in (32, 128):
        layers = [m for n in (width, width, 10) for m in (torch.nn.LazyLinear(n), torch.nn.Sigmoid())][:-1]
        net, x = torch.nn.Sequential(*layers), torch.zeros(50, 64)
        net(x)
        weights = sum(p.numel() for p in net.parameters())
        with FlopCounterMode(display=False) as forward:
            output = net(x)
        with FlopCounterMode(display=False) as backward:
            output.sum().backward()
        ratio = 2 * weights * forward.get_total_flops() / (forward.get_total_flops() + backward.get_total_flops())
        yield Case(
            f"three layers of {width}, {weights:,} weights",
            ratio > 100,
            f"central differences take {ratio:,.0f} times the operations of back-propagation",
        )


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
        [(0.0, r) for r in (0.01, 0.03, 0.1)]
        + [(-0.5, r) for r in (0.1, 0.3, 1.0)]
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
    quote="对低频出现的特征采用低的更新率",
    verdict="false",
    why="reversed: the rate goes as one over the square root of the count",
    page="remedies/adaptive-optimizers",
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
    quote="对于稀疏的数据它表现的很好",
    verdict="true",
    why="at its best rate less than 0.7 of the excess risk of plain descent at its best",
    page="remedies/adaptive-optimizers",
)
def _adagrad_sparse() -> Iterator[Case]:
    for seed in (0, 1):
        _, _, risk = online_regression(seed)
        best = {power: min(v for (q, _), v in risk.items() if q == power) for power in (0.0, -0.5)}
        share = best[-0.5] / best[0.0]
        yield Case(f"online regression, seed {seed}", share < 0.8, f"excess risk over that of descent {share:.2f}")


@settles(
    "S1-adagrad-adapts",
    statement="Adagrad adapts the rate to each parameter",
    quote="针对不同的参数自适应",
    verdict="true",
    why="the rate is divided by the root of the parameter's own squared gradients, once these outweigh the constants",
    page="remedies/adaptive-optimizers",
)
def _adagrad_adapts() -> Iterator[Case]:
    import torch

    for scale in (1e-3, 1e-6):
        w = torch.zeros(2, dtype=torch.float64)
        rule = torch.optim.Adagrad([w], lr=1.0)
        for _ in range(10):
            w.grad = torch.tensor([1.0, scale], dtype=torch.float64)
            rule.step()
        moved = w.numpy()
        yield Case(
            f"PyTorch, gradients 1 and {scale:.0e}",
            np.isclose(moved[0], moved[1], rtol=1e-2),
            f"ten steps move the two by {-moved[0]:.2f} and {-moved[1]:.2f} rates",
        )


@settles(
    "S1-critic-clipping-range",
    statement="vanishing and exploding gradients are both caused by the choice of the clipping range",
    quote="梯度消失与梯度爆炸原因均在于剪切范围的选择",
    verdict="conditional",
    why="for the weight clipping of a Wasserstein critic; networks that clip nothing have both problems",
    page="remedies/gradient-penalty",
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
    quote="选择过小的话会导致梯度消失",
    verdict="true",
    why="always below 1/n for n units, and up to sqrt(2/n) as long as the signs stay random",
    page="remedies/gradient-penalty",
)
def _small_range_vanishes() -> Iterator[Case]:
    for clip, steps in ((0.001, 0), (0.01, 0), (0.01, 40)):
        found = critic(clip, steps=steps)
        said = f"{np.median(found.factor):.2g} per layer, {found.verdict}"
        yield Case(f"clipped at {clip}, {steps} steps of training", found.verdict == "vanishing", said)


@settles(
    "S1-large-range-explodes",
    statement="with a range a little too large the gradient grows with every layer, and many layers explode",
    quote="每经过一层网络,梯度变大一点点",
    verdict="true",
    why="and sooner than the variance says: training aligns signs",
    page="remedies/gradient-penalty",
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
    trained = critic(0.2, steps=60)
    grows = np.median(trained.ratios, axis=0)[1:-1]
    yield Case(
        "clipped at 0.2, 60 steps of training",
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
    quote="梯度惩罚(gradient penalty)的方式以满足此连续性条件",
    verdict="conditional",
    why="softly: slopes near 1 on average between the two sets, at single points above 1",
    page="remedies/gradient-penalty",
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
    statement="the gradient penalty is a remedy for vanishing and exploding gradients in general",
    verdict="false",
    why="it belongs to critics: neither patient's profile changes and neither trains",
    page="remedies/gradient-penalty",
    mark="read as a remedy for vanishing and exploding gradients in general",
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


@settles(
    "S1-initialization-formula",
    statement="weights of variance 1 / (n G) with G the mean of the activation keep the gradient's size",
    quote="激活函数的平均值",
    verdict="false",
    why="garbled: backward G is the mean squared slope, forward the mean square of the activation over its input's",
    page="remedies/initialization",
)
def _initialization_formula() -> Iterator[Case]:
    for act in ("sigmoid", "relu", "tanh"):
        mean = float(gaussian_mean(activations.get(act), 1.0))
        if abs(mean) < 1e-9:
            yield Case(act, abs(mean) > 1e-9, f"mean activation {abs(mean):.0f}: no variance follows")
            continue
        factor, right = hidden_factor(act, 1 / mean), init.gain(act) ** 2
        yield Case(
            act,
            abs(factor - 1) < 0.05,
            f"variance {1 / mean:.2f}/n: {factor:.2f} per layer (mean squared slope asks for {right:.1f}/n)",
        )


@settles(
    "S1-relu-simple-derivative",
    statement="ReLU is used mainly because its derivative is simple to compute",
    quote="主要原因是求导数简单",
    verdict="false",
    why="its derivative saves a share of order 1/n of the work; at matched gain tanh, with a dearer one, learns faster",
    page="remedies/activations",
)
def _relu_simple_derivative() -> Iterator[Case]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from gradclinic.course import remedies

    for width in (64, 512):
        a, w = torch.zeros(50, width, requires_grad=True), torch.zeros(width, width, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            (a @ w).sum().backward()
        share = 20 * 50 * width / counter.get_total_flops()  # 20 operations for a tanh, none for ReLU's 0 or 1
        yield Case(
            f"layer of {width} units, 20 operations for a dear slope", share > 0.1, f"{share:.1%} of the layer's work"
        )
    reached = {}
    for act in ("relu", "tanh"):
        spec = MLP((64, *[32] * 9, 10), act)
        params = init.mlp(spec, np.random.default_rng(1), weight_variance=init.gain(act) ** 2, ensemble=5)
        reached[act] = float(
            np.median(remedies.train(remedies.Treatment(spec, params), (0.03, 0.1)).accuracy, axis=1).max()
        )
    yield Case(
        "ten layers on the digits, 200 steps, two rates",
        reached["relu"] > reached["tanh"],
        f"accuracy {reached['relu']:.2f} with ReLU, {reached['tanh']:.2f} with tanh",
    )


@settles(
    "S1-relu-left-side",
    statement="on its left side ReLU still has the problem: whoever falls there loses the gradient",
    quote="左端问题依然存在",
    verdict="true",
    why="the gradient is exactly 0 there, and no step size brings the unit back",
    page="remedies/activations",
)
def _relu_left_side() -> Iterator[Case]:
    import torch

    slope = activations.get("relu").slope(-np.logspace(-300, 300, 601))
    yield Case("slope at 601 negative inputs", not slope.any(), f"largest {slope.max():.0f}")
    unit = torch.nn.Linear(3, 1)
    torch.nn.init.constant_(unit.bias, -100.0)
    x = torch.as_tensor(np.random.default_rng(0).standard_normal((50, 3)), dtype=torch.float32)
    rule = torch.optim.SGD(unit.parameters(), lr=1e6)
    for _ in range(20):
        rule.zero_grad()
        (torch.relu(unit(x)) - 1).square().mean().backward()
        rule.step()
    moved = abs(unit.bias.item() + 100)
    yield Case(
        "PyTorch, a unit off on every sample, 20 steps of size 1e6", moved == 0, f"its bias moved by {moved:.0f}"
    )


@settles(
    "S1-batch-norm-saturating",
    statement="batch norm permits saturating activations such as sigmoid and tanh",
    quote="BN允许网络使用饱和性激活函数",
    verdict="true",
    why="thirty layers keep a healthy gradient, and learn where the plain network stays at chance",
    page="remedies/batch-normalization",
)
def _batch_norm_saturating() -> Iterator[Case]:
    from gradclinic.course import remedies

    for act in ("sigmoid", "tanh"):
        spec = MLP((64, *[32] * 29, 10), act, normalization="batch")
        treatment = remedies.Treatment(spec, init.mlp(spec, np.random.default_rng(0), weight_variance=1.0, ensemble=3))
        found = remedies.profile(treatment)
        reached = float(np.median(remedies.train(treatment, (0.1,), steps=120).accuracy, axis=1).max())
        yield Case(
            f"{act}, 30 layers, batch norm",
            found.verdict == "healthy" and reached > 0.25,
            f"{np.median(found.factor):.2f} per layer; accuracy after 120 steps {reached:.2f}, chance 0.1",
        )


@settles(
    "S1-batch-norm-linear",
    statement="near 0, where batch norm puts its inputs, the sigmoid is nearly linear",
    quote="sigmoid近似线性函数",
    verdict="true",
    why="1.6 % of the output's variance is curved; a gain gamma of 3 makes it 9 %",
    page="remedies/batch-normalization",
)
def _batch_norm_linear() -> Iterator[Case]:
    sigmoid = activations.get("sigmoid")
    mean, square, slope = (float(gaussian_mean(f, 1.0)) for f in (sigmoid, lambda u: sigmoid(u) ** 2, sigmoid.slope))
    share = 1 - slope**2 / (square - mean**2)  # the best line's slope is E[z sigma(z)] = E[sigma'(z)]
    yield Case("standard normal input, by integration", share < 0.05, f"curved share of the variance {share:.1%}")
    treatment, _ = treated("A", "batch-normalization")
    from gradclinic.course import remedies

    z = numpy_net.forward(treatment.spec, treatment.params, remedies.ward().x[:200]).n[4]
    a = sigmoid(z)
    covariance = np.mean((z - z.mean(1, keepdims=True)) * (a - a.mean(1, keepdims=True)), axis=1)
    share = float(np.median(1 - covariance**2 / (z.var(axis=1) * a.var(axis=1))))
    yield Case("layer 5 of patient A with batch norm", share < 0.05, f"median curved share {share:.1%}")


@settles(
    "S1-regularization-solves",
    statement="another way to solve exploding gradients is to regularise the weights, L1 or L2",
    quote="另外一种解决梯度爆炸的手段是采用权重正则化",
    verdict="false",
    why="at usual strengths the data's force is thousands of times larger; no step of the explosion changes",
    page="remedies/regularization",
)
def _regularization_solves() -> Iterator[Case]:
    from dataclasses import replace

    from gradclinic.course import remedies

    treatment, _ = treated("B", "none")
    for name, change in {"L2, 0.01": {"l2": 0.01}, "L1, 0.01": {"l1": 0.01}}.items():
        with np.errstate(all="ignore"):
            run = remedies.train(replace(treatment, **change), (1e-4, 1e-2), steps=60)
        reached = float(np.median(run.accuracy, axis=1).max())
        yield Case(
            f"patient B, {name}, two rates, 60 steps",
            bool(run.finite.any()) or reached > 0.5,
            f"runs that stay finite: {run.finite.sum()} of {run.finite.size}; best median accuracy {reached:.2f}",
        )


@settles(
    "S1-residual-solves-both",
    statement="residual networks solve both vanishing and exploding gradients",
    quote="ResNets 是如何解决深度神经网络训练中的梯度消失和爆炸问题的?",
    verdict="conditional",
    why="vanishing: yes; exploding: only with a scaled or normalised branch (the page answers with an advertisement)",
    page="remedies/residual",
)
def _residual_solves_both() -> Iterator[Case]:
    yield from residual_cases()
