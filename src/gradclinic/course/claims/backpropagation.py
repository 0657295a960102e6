"""Claims about the four equations and what is multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic import activations, init, measure, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    spread,
)
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum()


@settles(
    "S1-residual-of-prediction",
    statement="back-propagation starts from the residual of prediction and label",
    said=sentences.S1_BACKPROPAGATION,
    part="巧妙地利用预测值与标签值的残差",
    verdict="conditional",
    why="for a loss that matches its output, such as cross-entropy on a softmax: there delta_L = a - y",
    page="why/backpropagation",
    mark="预测值与标签值的残差",
    held=(3, 5),
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
    said=sentences.S1_BACKPROPAGATION,
    part="要想直接求解损失函数对这些参数的梯度,难度极大",
    verdict="true",
    why="as a matter of cost: two forward passes per weight, against less than three in all",
    page="why/backpropagation",
    mark="难度极大",
    held=(3, 3),
)
def _direct_solution_hard() -> Iterator[Case]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    for width in (8, 32, 128):
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
            ratio > 50,
            f"central differences take {ratio:,.0f} times the operations of back-propagation",
        )


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
    said=sentences.S3_EQUATIONS,
    verdict="true",
    why="equal to central differences and to automatic differentiation",
    page="why/backpropagation",
    mark="equation (1), the four formulas",
    held=(4, 4),
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
    said=sentences.S3_LOSS,
    page="why/backpropagation",
    mark="the loss as printed, ‖g−f‖²",
    statement="the derivative printed for E, with its half times two, is that of half the squared error",
    verdict="true",
    why="E itself is nowhere defined; the loss ‖g − f‖² printed earlier has no half, and twice this gradient",
    held=(3, 3),
)
def _loss_without_half() -> Iterator[Case]:
    for seed in (0, 1, 2):
        weights, biases, x, y = _perceptron(seed)
        by_differences = measure.numerical_gradient(lambda w, s=seed: 0.5 * _squared_error(s, 1, w), weights[1])
        ratio = by_differences / _equation_1(weights, biases, x, y)[1]
        said = f"derivative of half the squared error over the one printed {spread(ratio)}"
        yield Case(f"perceptron {seed}", np.allclose(ratio, 1, rtol=1e-3), said)


@settles(
    "S3-product-of-gradients",
    statement="back-propagation is a product of dE/dw: above 1 the gradient grows, below 1 it shrinks",
    said=sentences.S3_PRODUCT,
    verdict="false",
    page="why/backpropagation",
    mark="多个公式 ∂E/∂w 的连乘",
    override=True,
    reason="it names the factors of a product, and a factor is right or wrong",
    why="the factors are slopes times weights; dE/dw above or below 1 is a matter of the loss's units, growth is not",
    held=(2, 4),
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
