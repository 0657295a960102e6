"""Claims about activation functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from gradclinic import activations, init, measure, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    accuracy,
    digits,
    hidden_factor,
    profile,
    spread,
    train,
)
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-relu-slope-one",
    statement="ReLU makes the derivative 1",
    said=sentences.S0_RELU,
    verdict="conditional",
    why="on the positive side; it is 0 on the other, and half of the units are there",
    page="remedies/activations",
    mark="让激活函数的导数为1",
    held=(1, 2),
)
def _relu_slope_one() -> Iterator[Case]:
    spec = MLP((64, *[128] * 9, 10), "relu")
    z = np.stack(
        numpy_net.forward(spec, init.mlp(spec, np.random.default_rng(1), ensemble=3), digits().x_train[:50]).z[:-1]
    )
    for name, part in (("positive", z[z > 0]), ("negative", z[z < 0])):
        slope = activations.get("relu").slope(part)
        said = f"slope {spread(slope)}; {part.size / z.size:.0%} of the pre-activations of a He network"
        yield Case(f"{name} pre-activations", np.all(slope == 1), said)


@settles(
    "S0-leaky-relu-zero-side",
    statement="LeakyReLU solves the problem of ReLU's zero region",
    said=sentences.S0_LEAKY,
    part="同时解决了ReLu中0区间带来的影响",
    verdict="conditional",
    why="where some units of each layer are on the right; with all on the left it leaves a hundredth per layer",
    page="remedies/activations",
    mark="解决了ReLu中0区间带来的影响",
    held=(1, 3),
)
def _leaky_relu_zero_side() -> Iterator[Case]:
    for name, shift in (
        ("half of the units on the left", 0.0),
        ("nearly all of them (biases -3)", -3.0),
        ("all of them (biases -20)", -20.0),
    ):
        factor = {}
        for act in ("relu", "leaky_relu"):
            spec = MLP((64, *[64] * 8, 10), act)
            p = init.mlp(spec, np.random.default_rng(4), ensemble=5)
            found = profile(spec, Parameters(p.weights, (*(b + shift for b in p.biases[:-1]), p.biases[-1])))
            factor[act] = float(np.median(found.ratios[:, 1:-1])) if found.delta[:, 0].any() else 0.0
        said = f"factor per layer {factor['leaky_relu']:.3f}, with ReLU {factor['relu']:.3f}"
        yield Case(name, factor["leaky_relu"] > 0.5, said)


@settles(
    "S0-elu-costs-more",
    statement="ELU takes more time",
    said=sentences.S0_ELU,
    part="相对于来,elu计算更耗时一些",
    verdict="true",
    why="one exponential for each unit, next to n multiplications: dearer, and hardly noticed in a wide layer",
    page="remedies/activations",
    mark="elu计算更耗时一些",
    held=(3, 3),
)
def _elu_costs_more() -> Iterator[Case]:
    class Counted(np.ndarray):
        """An array that counts the exponentials computed from it."""

        count = 0

        def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> np.ndarray:
            Counted.count += ufunc.__name__ in ("exp", "expm1")
            plain = [np.asarray(i) if isinstance(i, Counted) else i for i in inputs]
            return np.asarray(getattr(ufunc, method)(*plain, **options)).view(Counted)

    def exponentials(function: Callable[[np.ndarray], object]) -> int:
        Counted.count = 0
        function(np.array([0.7]).view(Counted))
        return Counted.count

    elu, leaky = activations.get("elu"), activations.get("leaky_relu")
    for name, ours, other in (("value", elu.value, leaky.value), ("slope", elu.derivative, leaky.derivative)):
        count = exponentials(ours), exponentials(other)
        yield Case(
            f"exponentials per unit for the {name}", count[0] > count[1], f"ELU {count[0]}, LeakyReLU {count[1]}"
        )

    def thrifty(z: np.ndarray) -> np.ndarray:
        """Slope of ELU from its value, which is stored anyway: phi + 1 below zero."""
        return np.where(z > 0, 1, elu.value(z) + 1)

    z = np.linspace(-3, 3, 101)
    np.testing.assert_allclose(thrifty(z), elu.derivative(z), rtol=1e-12)
    count = exponentials(thrifty), exponentials(leaky.value) + exponentials(leaky.derivative)
    yield Case(
        "exponentials per unit for both, ELU's slope taken from its value",
        count[0] > count[1],
        f"ELU {count[0]}, LeakyReLU {count[1]}",
    )


@settles(
    "S1-relu-simple-derivative",
    statement="ReLU is used mainly because its derivative is simple to compute",
    said=sentences.S1_RELU,
    part="主要原因是求导数简单。",
    verdict="false",
    page="remedies/activations",
    mark="主要原因是求导数简单",
    why="its derivative saves a share of order 1/n of the work; tanh, whose derivative is dearer, reads no fewer "
    "digits",
    held=(0, 3),
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
            np.median(remedies.train(remedies.Treatment(spec, params), (0.1,), steps=2000).accuracy, axis=1).max()
        )
    yield Case(
        "ten layers on the digits, 2000 steps",
        reached["relu"] > reached["tanh"] + 0.02,
        f"accuracy {reached['relu']:.2f} with ReLU, {reached['tanh']:.2f} with tanh",
    )


@settles(
    "S1-relu-left-side",
    statement="on its left side ReLU still has the problem: whoever falls there loses the gradient",
    said=sentences.S1_SIDES,
    part="但左端问题依然存在,一样掉进去梯度也会消失。",
    verdict="true",
    why="the gradient is exactly 0 there, and no step size moves the unit's own weights",
    page="remedies/activations",
    mark="左端问题依然存在",
    held=(3, 3),
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
    spec = MLP((64, 50, 50, 10), "relu")
    nets = init.mlp(spec, np.random.default_rng(0), ensemble=5)
    nets = Parameters(nets.weights, (nets.biases[0], nets.biases[1] - 1000.0, nets.biases[2]))
    g = numpy_net.gradients(spec, nets, digits().x_train, digits().y_train)
    largest = max(float(np.abs(w).max()) for w in g.weights[:2])
    yield Case("a layer of 50 units, all off, on 500 digits", largest == 0, f"gradient below it {largest:.0f}")
    moved = abs(unit.bias.item() + 100)
    yield Case(
        "PyTorch, a unit off on every sample, 20 steps of size 1e6", moved == 0, f"its bias moved by {moved:.0f}"
    )


@settles(
    "S3-relu-neither",
    statement="with ReLU a gradient neither vanishes nor explodes",
    said=sentences.S3_RELU,
    part="因此在深度神经网络权重更新的过程中使用 Relu 激活函数就不会导致梯度消失和梯度爆炸的问题",
    verdict="false",
    why=r"it changes by $\sqrt{\sigma_w^2/2}$ per layer; only He's variance, 2, gives 1",
    page="remedies/activations",
    mark="不会导致梯度消失和梯度爆炸",
    held=(1, 3),
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
    said=sentences.S3_RELU,
    part="但是由于负数部分导数恒为 0,也会导致部分神经元无法激活。",
    verdict="true",
    why="after a large step about six in ten of a layer; in a deep network some from birth",
    page="remedies/activations",
    mark="部分神经元无法激活",
    held=(3, 3),
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
    spec = MLP((64, 64, 64, 10), "relu")
    gentle = train(spec, init.mlp(spec, np.random.default_rng(5), ensemble=10), 300, lr=0.3)
    share = dead(spec, gentle).mean(axis=0)
    yield Case(
        "three layers, 300 steps at rate 0.3", share.max() > 0, f"dead in layers 1 and 2: {spread(100 * share, 2)} %"
    )
    yield Case("one step at rate 30", after[2:].min() > 0.05, f"dead in layers 3 to 5: {spread(100 * after[2:], 2)} %")


@settles(
    "S0-leaky-keeps-advantages",
    statement="LeakyReLU has nearly all advantages of ReLU",
    said=sentences.S0_LEAKY,
    part="包含了ReLu的几乎所有有点",
    verdict="conditional",
    why="its level gradient and what it learns, yes; not the exact zeros, for which the rectifier was first praised",
    page="remedies/activations",
    held=(2, 3),
)
def _leaky_keeps_advantages() -> Iterator[Case]:
    spec = {name: MLP((64, *[64] * 4, 10), name) for name in ("relu", "leaky_relu")}
    nets = {name: init.mlp(s, np.random.default_rng(4), ensemble=3) for name, s in spec.items()}
    factor = {name: float(np.median(profile(s, nets[name]).factor)) for name, s in spec.items()}
    said = f"{factor['leaky_relu']:.2f} per layer, ReLU {factor['relu']:.2f}"
    yield Case("a level gradient at He's scale", abs(np.log(factor["leaky_relu"])) < 0.1, said)
    reached = {name: float(np.median(accuracy(s, train(s, nets[name], 150, lr=0.1)))) for name, s in spec.items()}
    said = f"accuracy {reached['leaky_relu']:.2f}, ReLU {reached['relu']:.2f}"
    yield Case("digits read after 150 steps", reached["leaky_relu"] > reached["relu"] - 0.02, said)
    zeros = {
        name: float(np.mean(activations.get(name)(numpy_net.forward(s, nets[name], digits().x_train[:100]).z[1]) == 0))
        for name, s in spec.items()
    }
    said = f"outputs that are exactly 0: {zeros['leaky_relu']:.0%}, ReLU {zeros['relu']:.0%}"
    yield Case("outputs that are exactly 0", zeros["leaky_relu"] > 0.4, said)


@settles(
    "S1-variants-avoid-vanishing",
    statement="variants of ReLU such as ELU and leaky ReLU can avoid vanishing gradients to some degree",
    said=sentences.S1_VARIANTS,
    verdict="conditional",
    why="at a fitting scale; at PyTorch's default one leaky ReLU keeps 0.40 per layer, ELU 0.58, the sigmoid 0.14",
    page="remedies/activations",
    held=(2, 3),
)
def _variants_avoid_vanishing() -> Iterator[Case]:
    for name, act, variance in (
        ("leaky ReLU at He's scale", "leaky_relu", 2.0),
        ("ELU at LeCun's scale", "elu", 1.0),
        ("leaky ReLU at PyTorch's default scale", "leaky_relu", 1 / 3),
    ):
        factor, sigmoid = hidden_factor(act, variance, depth=30), hidden_factor("sigmoid", variance, depth=30)
        said = f"{factor:.2f} per layer, sigmoid at the same scale {sigmoid:.2f}"
        yield Case(f"30 layers, {name}", factor > 0.9, said)


@settles(
    "S1-relu-prevents-vanishing",
    statement="ReLU can prevent vanishing gradients to some degree",
    said=sentences.S1_RELU,
    part="ReLU在一定程度上能够防止梯度消失",
    verdict="conditional",
    why=r"the scale decides: $\sqrt{\sigma_w^2/2}$ per layer, always above the sigmoid's",
    page="remedies/activations",
    held=(1, 3),
)
def _relu_prevents_vanishing() -> Iterator[Case]:
    for name, variance in (("He's scale", 2.0), ("LeCun's scale", 1.0), ("PyTorch's default scale", 1 / 3)):
        factor = {act: hidden_factor(act, variance, depth=30) for act in ("relu", "sigmoid")}
        said = f"{factor['relu']:.2f} per layer, sigmoid {factor['sigmoid']:.2f}"
        yield Case(f"30 ReLU layers, {name}", factor["relu"] > 0.9, said)


@settles(
    "S1-relu-right-side",
    statement="on its right side ReLU does not approach saturation, its derivative is not zero",
    said=sentences.S1_SIDES,
    part="右端的不会趋近于饱和,求导数时,导数不为零,从而梯度不消失",
    verdict="true",
    why="the slope is 1 up to the largest number of the format",
    page="remedies/activations",
    held=(3, 3),
)
def _relu_right_side() -> Iterator[Case]:
    import torch

    slope = activations.get("relu").slope(np.logspace(-300, 300, 601))
    yield Case("slope at 601 positive inputs up to 1e300", bool(np.all(slope == 1)), f"slopes {spread(slope)}")
    x = torch.tensor([1e-7, 1.0, 6e4], dtype=torch.float16, requires_grad=True)
    (found,) = torch.autograd.grad(torch.relu(x).sum(), x)
    yield Case("PyTorch, float16, up to 60,000", bool((found == 1).all()), f"slopes {spread(found.numpy())}")
    spec = MLP((64, *[64] * 30, 10), "relu")
    forward = numpy_net.forward(spec, init.mlp(spec, np.random.default_rng(0), weight_variance=50.0), digits().x_train)
    z = forward.z[-2]
    slope = activations.get("relu").slope(z[z > 0])
    said = f"pre-activations up to {z.max():.0e}, slopes {spread(slope)}"
    yield Case("layer 30 of a network of five times He's weights", bool(np.all(slope == 1)), said)


@settles(
    "S1-activations-add-nonlinearity",
    statement="activations add to the network's power of nonlinearity",
    said=sentences.S1_NONLINEAR,
    verdict="conditional",
    why="where units work on both sides of their bend; a ReLU network with every unit on is a linear map",
    page="remedies/activations",
    held=(3, 4),
)
def _activations_add_nonlinearity() -> Iterator[Case]:
    x = np.random.default_rng(3).standard_normal((2000, 8))
    design = np.concatenate([x, np.ones((2000, 1))], axis=1)
    for name, act, shift in (
        ("ReLU", "relu", 0.0),
        ("tanh", "tanh", 0.0),
        ("sigmoid", "sigmoid", 0.0),
        ("ReLU, biases 100: every unit on", "relu", 100.0),
    ):
        spec = MLP((8, 32, 32, 1), act)
        p = init.mlp(spec, np.random.default_rng(4), weight_variance=2.0)
        p = Parameters(p.weights, (*(b + shift for b in p.biases[:-1]), p.biases[-1]))
        output = numpy_net.forward(spec, p, x).output[..., 0].reshape(2000)
        rest = output - design @ np.linalg.lstsq(design, output, rcond=None)[0]
        share = float(rest.var() / output.var())
        yield Case(f"three layers, {name}", share > 1e-3, f"no linear map gives {share:.2%} of the output's variance")
