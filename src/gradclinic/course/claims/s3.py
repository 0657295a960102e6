"""Claims of S3, a laboratory report on unstable gradients and their remedies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic import activations, chain, init, measure, numpy_net
from gradclinic.course.claims.claim import Case, Claim, entry
from gradclinic.course.claims.experiments import descend, examined, on_the_cliff, penalty_cases, profile, spread
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles = partial(entry, CLAIMS)


def _perceptron(seed: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """Weights and biases of a sigmoid perceptron with 3, 4 and 2 units, an input and a target."""
    rng = np.random.default_rng(seed)
    shapes = ((4, 3), (2, 4))
    weights, biases = [rng.standard_normal(s) for s in shapes], [rng.standard_normal(s[0]) for s in shapes]
    return weights, biases, rng.uniform(0, 1, 3), rng.uniform(0, 1, 2)


def _outputs(weights: list[np.ndarray], biases: list[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    a = [x]
    for w, b in zip(weights, biases, strict=True):
        a.append(activations.get("sigmoid")(w @ a[-1] + b))
    return a


def _squared_error(seed: int, layer: int, weight: np.ndarray) -> float:
    """|y - a|^2 of perceptron ``seed`` with one of its weight matrices replaced."""
    weights, biases, x, y = _perceptron(seed)
    weights[layer] = weight
    return float(np.sum((y - _outputs(weights, biases, x)[-1]) ** 2))


def _equation_1(weights: list[np.ndarray], biases: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The source's equation (1), index by index: dE/dw of each layer for E = |y - a|^2 / 2."""
    a = _outputs(weights, biases, x)
    delta = [-(y[i] - a[2][i]) * a[2][i] * (1 - a[2][i]) for i in range(2)]
    hidden = [sum(delta[j] * weights[1][j, i] for j in range(2)) * a[1][i] * (1 - a[1][i]) for i in range(4)]
    return [np.outer(hidden, a[0]), np.outer(delta, a[1])]


@settles(
    "S3-four-equations",
    statement="equation (1): the four formulas of back-propagation",
    verdict="true",
    why="equal to central differences and to automatic differentiation",
    page="why/backpropagation",
    mark="equation (1), the four formulas",
)
def _four_equations() -> Iterator[Case]:
    import torch

    for seed in (0, 1):
        weights, biases, x, y = _perceptron(seed)
        ours = _equation_1(weights, biases, x, y)

        gap = (
            np.abs(
                measure.numerical_gradient(lambda w, s=seed: 0.5 * _squared_error(s, 0, w), weights[0]) - ours[0]
            ).max()
            / np.abs(ours[0]).max()
        )
        yield Case(f"perceptron {seed}, central differences", gap < 1e-7, f"relative difference {gap:.0e}")
        first, second = (torch.tensor(w, requires_grad=True) for w in weights)
        hidden = torch.sigmoid(first @ torch.tensor(x) + torch.tensor(biases[0]))
        output = torch.sigmoid(second @ hidden + torch.tensor(biases[1]))
        grads = torch.autograd.grad(0.5 * (torch.tensor(y) - output).square().sum(), (first, second))
        gap = max(np.abs(g.numpy() - o).max() / np.abs(o).max() for g, o in zip(grads, ours, strict=True))
        yield Case(f"perceptron {seed}, PyTorch", gap < 1e-12, f"relative difference {gap:.0e}")


@settles(
    "S3-loss-without-half",
    statement="the loss as printed, ||g - f||^2, has the gradient of equation (1)",
    verdict="false",
    why="a slip: equation (1) belongs to half of it and is half of its gradient",
    page="why/backpropagation",
    universal=True,
    mark="the loss as printed, ‖g−f‖²",
)
def _loss_without_half() -> Iterator[Case]:
    for seed in (0, 1):
        weights, biases, x, y = _perceptron(seed)

        ratio = (
            measure.numerical_gradient(lambda w, s=seed: _squared_error(s, 1, w), weights[1])
            / _equation_1(weights, biases, x, y)[1]
        )
        yield Case(
            f"perceptron {seed}", np.allclose(ratio, 1, rtol=1e-3), f"gradient over equation (1): {spread(ratio)}"
        )


@settles(
    "S3-product-of-gradients",
    statement="back-propagation is a product of dE/dw: above 1 the gradient grows, below 1 it shrinks",
    quote="多个公式 ∂E/∂w 的连乘",
    verdict="false",
    why="the factors are slopes times weights; all four combinations of size and growth occur",
    page="why/backpropagation",
    universal=True,
)
def _product_of_gradients() -> Iterator[Case]:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((32, 8))
    for activation, variance in (("tanh", 16.0), ("sigmoid", 1.0)):
        spec = MLP((8, *[16] * 6, 8), activation)
        nets = init.mlp(spec, rng, weight_variance=variance, ensemble=10)
        output = numpy_net.forward(spec, nets, x).output
        signs = rng.choice([-1.0, 1.0], output.shape)
        for residual in (1e-6, 1e12):
            g = numpy_net.gradients(spec, nets, x, output - residual * signs)
            sizes = np.abs(np.concatenate([w.ravel() for w in g.weights]))
            factor = float(np.median(measure.profile_from(spec.names, g.delta, g.weights).factor))
            yield Case(
                f"{activation} layers, residual {residual:.0e}",
                (sizes.min() > 1 and factor > 1) or (sizes.max() < 1 and factor < 1),
                f"|dE/dw| {'above' if sizes.min() > 1 else 'below'} 1 throughout, delta times {factor:.2f} per layer",
            )


@settles(
    "S3-overshoot-picture",
    statement="a descent that jumps from A to F and back to A shows an exploding gradient",
    quote="在梯度爆炸的情况下 … 第二次更新回到了点 A",
    verdict="false",
    why="at A the gradient is the same as in a descent that converges; only the step differs",
    page="why/descent",
)
def _overshoot_picture() -> Iterator[Case]:
    for curvature in (0.01, 1.0, 100.0):
        bounce = descend(lambda v, h=curvature: h * v, 1.0, 2 / curvature, 2)
        good = descend(lambda v, h=curvature: h * v, 1.0, 0.5 / curvature, 40)
        g = np.abs(curvature * bounce)
        grows = g.max() > 1.01 * abs(curvature * good[0])
        back = bool(np.isclose(bounce[2], bounce[0]))
        yield Case(
            f"parabola of curvature {curvature:g}, step size times curvature 2",
            back and grows,
            f"back at A: {back}; gradient {spread(g)}, in the descent that ends at {good[-1]:.0e}: {curvature:g} at A",
        )


@settles(
    "S3-undershoot-picture",
    statement="a descent that after many epochs has only reached B shows a vanishing gradient",
    quote="经过很多个 Epoch … 只找到了点 B",
    verdict="conditional",
    why="true on a plateau, as of 20 layers with w = 0.6; on the curve of the picture it is a small step size",
    page="why/descent",
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
    quote="一直越过了最优点,因此也找不到最优点",
    verdict="conditional",
    why="from step size times curvature 2 on; between 1 and 2 every step crosses and the descent converges",
    page="why/descent",
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
    statement="w <- w + dw with dw = -alpha dE/dw lowers the error",
    verdict="true",
    why="for every small enough alpha; it is what every framework's SGD does",
    page="why/descent",
    mark="w ← w + Δw",
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
    p = torch.tensor(w, requires_grad=True)
    (0.5 * p.square().sum()).backward()
    torch.optim.SGD([p], lr=0.1).step()
    gap = np.abs(p.detach().numpy() - (w - 0.1 * w)).max()
    yield Case("PyTorch's SGD", gap < 1e-15, f"largest difference from the rule {gap:.0e}")


@settles(
    "S3-gradient-below-quarter",
    statement="with the sigmoid the gradient cannot exceed 0.25",
    quote="梯度值是不可能超过 0.25 的",
    verdict="false",
    why="the slope cannot; the gradient multiplies by weights too, and has no bound",
    page="why/sigmoid-chain",
    universal=True,
)
def _gradient_below_quarter() -> Iterator[Case]:
    steepest = activations.get("sigmoid").slope(np.linspace(-9, 9, 1801)).max()
    yield Case("the slope of one sigmoid, with respect to z", steepest <= 0.25, f"at most {steepest:.4f}")
    for layers in (1, 10):
        w = np.full(layers, 8.0)
        g = chain.gradients(w, -w / 2, 0.5)
        by_input = float(g.db[0] * w[0])
        yield Case(
            f"the gradient of {layers} centred layers, w = 8, with respect to the input",
            by_input <= 0.25,
            f"{by_input:.0f}",
        )


@settles(
    "S3-exponential",
    statement="in deep networks gradients shrink or grow exponentially",
    quote="梯度呈指数级减少 … 增长",
    verdict="conditional",
    why="plain networks do; in a normalised residual network it is a power of the depth",
    page="remedies/residual",
)
def _exponential() -> Iterator[Case]:
    kinds = {
        "plain sigmoid, variance 1": {"activation": "sigmoid", "variance": 1.0},
        "plain ReLU, twice He": {"activation": "relu", "variance": 8.0},
        "ReLU, batch norm and skips": {
            "activation": "relu",
            "variance": 2.0,
            "normalization": "batch",
            "residual": True,
        },
    }
    for name, kind in kinds.items():
        act, variance, options = kind.pop("activation"), kind.pop("variance"), kind
        spec = MLP((64, *[64] * 33, 10), act, **options)
        delta = profile(spec, init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=3)).delta
        # from layer 2 on: how much the gradient changes over the first and over the second half of the depth
        logs = np.abs(np.median(np.log(delta[:, [1, 16, 31]] / delta[:, [31]]), axis=0))
        share = logs[1] / logs[0]
        yield Case(
            name,
            abs(share - 0.5) < 0.1,
            f"the deeper half of the layers makes {share:.0%} of the change (in logarithms)",
        )


@settles(
    "S3-relu-neither",
    statement="with ReLU a gradient neither vanishes nor explodes",
    quote="不会导致梯度消失和梯度爆炸",
    verdict="false",
    why="it changes by sqrt(sigma_w^2 / 2) per layer; only He's variance, 2, gives 1",
    page="remedies/activations",
    universal=True,
)
def _relu_neither() -> Iterator[Case]:
    for variance in (1.0, 2.0, 4.0):
        spec = MLP((64, *[128] * 29, 10), "relu")
        found = profile(spec, init.mlp(spec, np.random.default_rng(1), weight_variance=variance, ensemble=5))
        yield Case(
            f"30 layers, sigma_w^2 = {variance:.0f}",
            found.verdict == "healthy",
            f"{found.verdict}, {np.median(found.factor):.2f} per layer",
        )


@settles(
    "S3-relu-dead-units",
    statement="with ReLU some neurons can no longer be activated",
    quote="部分神经元无法激活",
    verdict="true",
    why="after a large step up to half of a layer; in a deep network some from birth",
    page="remedies/activations",
)
def _relu_dead_units() -> Iterator[Case]:
    from gradclinic import torch_net
    from gradclinic.course import remedies

    here = remedies.ward()

    def dead(spec: MLP, params: Parameters) -> np.ndarray:
        return np.stack(
            [measure.dead_fraction(z) for z in numpy_net.forward(spec, params, here.x[:500]).z[:-1]], axis=-1
        )

    spec = MLP((64, *[64] * 20, 10), "relu")
    birth = dead(spec, init.mlp(spec, np.random.default_rng(2), ensemble=10)).mean(axis=0)
    yield Case("He, 20 layers, before training", birth[-1] > 0.05, f"dead on 500 digits in layer 20: {birth[-1]:.0%}")
    spec = MLP((64, *[64] * 5, 10), "relu")
    net = torch_net.build(spec, init.mlp(spec, np.random.default_rng(3), ensemble=10))
    torch_net.train(net, here.x, here.y, steps=1, lr=30.0)
    arrays = (tuple(getattr(m, kind).detach().numpy() for m in net.linears) for kind in ("weight", "bias"))
    after = dead(spec, Parameters(*arrays)).mean(axis=0)
    yield Case("one step at rate 30", after[2:].min() > 0.05, f"dead in layers 3 to 5: {spread(100 * after[2:], 2)} %")


@settles(
    "S3-clipping-mitigates",
    statement="clipping mitigates exploding gradients",
    quote="缓解梯度爆炸",
    verdict="conditional",
    why="where level ground is within reach, as on a cliff; a network whose every layer explodes stays sick",
    page="remedies/clipping",
)
def _clipping_mitigates() -> Iterator[Case]:
    (thrown, _), (held, loss) = on_the_cliff(np.inf), on_the_cliff(10.0)
    yield Case(
        "500 descents beside a cliff, norm limited to 10",
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
    "S3-penalty-relieves",
    statement="a penalty on the weights relieves exploding gradients to some degree",
    quote="通过正则化项可以在一定程度上缓解梯度爆炸的发生",
    verdict="conditional",
    why="not at the start, where the data's force is larger; slowly, where the penalty outweighs the data",
    page="remedies/regularization",
)
def _penalty_relieves() -> Iterator[Case]:
    yield from penalty_cases()


@settles(
    "S3-ridge-loss",
    statement="Loss = (y - W^T x)^2 + alpha ||W||^2 adds to the gradient a force that shrinks the weights",
    verdict="true",
    why="the force is 2 alpha W, Keras's convention and twice PyTorch's weight_decay",
    page="remedies/regularization",
    mark="Loss = (y - W^T x)^2",
)
def _ridge_loss() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for alpha in (0.3, 3.0):
        x, y, w = rng.normal(size=6), rng.normal(), rng.normal(size=6)

        def loss(w: np.ndarray, x: np.ndarray = x, y: float = y, alpha: float = alpha) -> float:
            return float((y - w @ x) ** 2 + alpha * w @ w)

        force = measure.numerical_gradient(loss, w) + 2 * (y - w @ x) * x
        ratio = force / w
        yield Case(f"alpha = {alpha}", np.allclose(ratio, 2 * alpha, rtol=1e-6), f"force over weight {spread(ratio)}")


@settles(
    "S3-batch-norm-normal",
    statement="batch norm makes the distribution of a layer's inputs normal",
    quote="归一化到正态分布",
    verdict="false",
    why="it sets mean and variance; skewness and kurtosis do not change at all",
    page="remedies/batch-normalization",
)
def _batch_norm_normal() -> Iterator[Case]:
    import torch
    from scipy.stats import kurtosis, skew

    rng = np.random.default_rng(0)
    draws = {
        "exponential": rng.exponential(size=(10_000, 1)),
        "ReLU of normal": np.maximum(rng.standard_normal((10_000, 1)), 0),
        "two clusters": rng.choice([-1.0, 1.0], (10_000, 1)) + 0.1 * rng.standard_normal((10_000, 1)),
    }
    for name, raw in draws.items():
        out = torch.nn.BatchNorm1d(1).double()(torch.tensor(raw)).detach().numpy()
        before, after = ((float(skew(v)[0]), float(kurtosis(v)[0])) for v in (raw, out))
        yield Case(
            name,
            abs(after[0]) < 0.1 and abs(after[1]) < 0.2,
            f"skewness {before[0]:.2f} before, {after[0]:.2f} after; excess kurtosis {before[1]:.2f}, {after[1]:.2f}",
        )


@settles(
    "S3-skip-gradient-one",
    statement="the gradient of the skip branch is always 1",
    quote="跨层连接的分支 X 的梯度始终为 1",
    verdict="conditional",
    why="an identity skip with no ReLU after the sum; in S0's block most paths are shut after a few blocks",
    page="remedies/residual",
)
def _skip_gradient_one() -> Iterator[Case]:
    import torch

    from gradclinic import resnet

    rng = np.random.default_rng(0)
    spec = MLP((16, *[16] * 8, 16), "tanh", bias=False, residual=True)
    silent = Parameters((*[np.zeros((16, 16))] * 8, np.eye(16)), tuple(np.zeros(16) for _ in range(9)))
    x = rng.standard_normal((20, 16))
    g = numpy_net.gradients(spec, silent, x, numpy_net.forward(spec, silent, x).output - 1.0)
    yield Case(
        "eight identity skips, branches silent", np.allclose(g.input, 1.0), f"gradient at the input {spread(g.input)}"
    )
    net = resnet.draw(resnet.ResNet((8,), 10, planes=(8,), in_planes=1, large=False).double(), rng)
    with torch.no_grad():
        h = net.relu(net.bn1(net.conv1(torch.tensor(rng.standard_normal((50, 1, 8, 8))))))
        path = torch.ones_like(h, dtype=torch.bool)
        for block in net.layer1:
            h = block(h)
            path &= h > 0
    share = path.double().mean().item()
    yield Case(
        "eight blocks of S0's listing, ReLU after the sum",
        share > 0.99,
        f"skip path open for {share:.0%} of the entries",
    )


@settles(
    "S3-skip-no-weights",
    statement="the skip has no weights",
    quote="他没有权重参数",
    verdict="conditional",
    why="where the block keeps its shape; three of the eight skips of ResNet-18 are convolutions",
    page="remedies/residual",
)
def _skip_no_weights() -> Iterator[Case]:
    from gradclinic import resnet

    blocks = [m for m in resnet.ResNet((2, 2, 2, 2), 1000).modules() if isinstance(m, resnet.BasicBlock)]
    for name, same_shape in (("equal shapes", True), ("shape changes", False)):
        chosen = [b for b in blocks if (b.conv1.in_channels == b.conv1.out_channels) == same_shape]
        counts = [sum(p.numel() for p in b.downsample.parameters()) if b.downsample is not None else 0 for b in chosen]
        yield Case(
            f"ResNet-18, {len(chosen)} blocks, {name}", sum(counts) == 0, f"parameters in their skips: {sum(counts):,}"
        )
