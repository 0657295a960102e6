"""Claims about a chain of sigmoid neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from gradclinic import activations, chain, init, measure
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    gain_profile,
    profile,
    spread,
    treated,
)
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-most-factors",
    statement="most factors below 1: the gradient vanishes; most above 1: it explodes",
    said=sentences.S0_FACTORS,
    page="why/sigmoid-chain",
    also=("why/jacobians",),
    mark="大部分小于1",
    verdict="conditional",
    why="often so; but the mean logarithm decides, not the count, and for matrices the singular values",
    held=(2, 6),
)
def _most_factors() -> Iterator[Case]:
    rows = {
        "twenty factors 0.5": np.full(20, 0.5),
        "nineteen factors 1.5 and one of 0.5": np.array([1.5] * 19 + [0.5]),
        "nine factors 0.9 and one of 3": np.array([0.9] * 9 + [3.0]),
        "nineteen factors 1.1 and one of 0.001": np.array([1.1] * 19 + [0.001]),
    }
    for name, factors in rows.items():
        product = float(np.prod(factors))
        below = np.mean(factors < 1)
        yield Case(name, (product < 1) == (below > 0.5), f"{below:.0%} below 1, product {product:.2g}")
    matrices = {"every entry 0.3": np.full((10, 10), 0.3), "entries 1.5 and -1.5": np.array([[1.5, -1.5], [1.5, -1.5]])}
    for name, matrix in matrices.items():
        norm = float(np.linalg.norm(np.linalg.matrix_power(matrix, 20), 2))
        yield Case(f"matrix, {name}, 20 times", (norm < 1) == bool(np.all(np.abs(matrix) < 1)), f"norm {norm:.2g}")


@settles(
    "S0-later-layers-stop",
    statement="with vanishing gradients the later layers stop",
    said=sentences.S0_FACTORS,
    part="也就是梯度消失,后面的网络层的参数不发生变化.",
    verdict="false",
    why="the front layers do; S0 itself says so a few lines further on",
    page="why/sigmoid-chain",
    mark="后面的网络层的参数不发生变化",
    held=(0, 2),
)
def _later_layers_stop() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    db = np.abs(chain.gradients(rng.uniform(-1, 1, (200, 8)), rng.standard_normal((200, 8)), 0.5).db)
    slower = np.mean(db[:, -1] < db[:, 0])
    yield Case(
        "200 sigmoid chains of 8 layers, |w| < 1", slower > 0.5, f"last layer slower than the first in {slower:.0%}"
    )
    _, found = treated("A", "none")
    ratio = float(np.median(found.weight[:, -1] / found.weight[:, 0]))
    yield Case(
        "patient A, ten sigmoid layers", ratio < 1, f"weight gradient of the last layer over the first {ratio:.0e}"
    )


@settles(
    "S0-chain-formula",
    statement="the formula for dC/db1 of four sigmoid neurons in a row",
    said=sentences.S0_FORMULA,
    verdict="true",
    why="equal to central differences and to automatic differentiation",
    page="why/sigmoid-chain",
    mark="the formula for ∂C/∂b₁",
    held=(4, 4),
)
def _chain_formula() -> Iterator[Case]:
    import torch

    sigma = activations.get("sigmoid")
    for seed in (0, 1):
        w, b = np.random.default_rng(seed).standard_normal((2, 4))

        def loss(b: Any, squash: Callable[[Any], Any] = sigma, w: np.ndarray = w) -> Any:
            y = 0.6
            for w_i, b_i in zip(w, b, strict=True):
                y = squash(w_i * y + b_i)
            return 0.5 * (y - 1) ** 2

        g = chain.gradients(w, b, 0.6)
        s = sigma.slope(g.z)
        formula = (g.output - 1) * (s[3] * w[3]) * (s[2] * w[2]) * (s[1] * w[1]) * s[0]
        bt = torch.tensor(b, requires_grad=True)
        others = {
            "central differences": measure.numerical_gradient(loss, b)[0],
            "PyTorch": torch.autograd.grad(loss(bt, torch.sigmoid), bt)[0][0].item(),
        }
        for name, value in others.items():
            gap = abs(value / formula - 1)
            yield Case(f"random chain {seed}, {name}", gap < 1e-6, f"{formula:.6g}, relative difference {gap:.0e}")


@settles(
    "S0-max-slope",
    statement="the slope of the sigmoid is at most 1/4",
    said=sentences.S0_QUARTER,
    part="由上可见,sigmoid函数的导数σ′(x)的最大值为1/4 ",
    verdict="true",
    why=r"$s(1 - s) = \tfrac14 - (s - \tfrac12)^2$ with $s = \sigma(z)$, and equality at z = 0 only",
    page="why/sigmoid-chain",
    mark="最大值为1/4",
    held=(3, 3),
)
def _max_slope() -> Iterator[Case]:
    sigma = activations.get("sigmoid")
    z = np.linspace(-30, 30, 60_001)
    slope = sigma.slope(z)
    at = z[slope.argmax()]
    yield Case(
        "60,001 inputs", np.isclose(slope.max(), 0.25, rtol=1e-12), f"largest {slope.max():.6f} at z = {abs(at):.4f}"
    )
    import torch

    x = torch.as_tensor(100 * np.random.default_rng(0).standard_normal(100_000)).requires_grad_(True)
    (by_torch,) = torch.autograd.grad(torch.sigmoid(x).sum(), x)
    largest = by_torch.max().item()
    yield Case("PyTorch, 100,000 normal inputs of standard deviation 100", largest <= 0.25, f"largest {largest:.6f}")
    gap = np.abs(0.25 - (sigma(z) - 0.5) ** 2 - slope).max()
    yield Case("the completed square", gap < 1e-15, f"largest difference {gap:.0e}")


@settles(
    "S0-small-weights-vanish",
    statement="with |w| < 1 every factor is below 1/4, and the gradient shrinks as layers are added",
    said=sentences.S0_QUARTER,
    part="通常我们会将权重初始值 |w| 初始化为为小于1的随机值,因此我们可以得到|σ′(z4)w4|<1/4,"
    "随着层数的增多,那么求导结果δC/δb1越小",
    verdict="true",
    why="for the source's one neuron per layer; layers of 600 units with weights in (-1, 1) grow by about 1.2",
    page="why/sigmoid-chain",
    mark="随着层数的增多 … 越小",
    held=(3, 3),
)
def _small_weights_vanish() -> Iterator[Case]:
    rng = np.random.default_rng(2)
    w, b = rng.uniform(-1, 1, (20_000, 10)), rng.standard_normal((20_000, 10))
    factors = gain_profile(w, b, 0.5)
    yield Case("20,000 chains of ten neurons", factors.max() < 0.25, f"largest of 180,000 factors {factors.max():.4f}")
    steepest = np.full(10, 0.999)
    factors = gain_profile(steepest, -steepest / 2, 0.5)
    said = f"largest of nine factors {factors.max():.4f}"
    yield Case("ten neurons, w = 0.999, every z held at 0", factors.max() < 0.25, said)
    sizes = [np.abs(chain.gradients(w[:, -n:], b[:, -n:], 0.5).db[:, 0]).max() for n in (2, 4, 6, 8, 10)]
    bound = [4.0**-n for n in (2, 4, 6, 8, 10)]
    said = f"largest |dy/db1| {sizes[0]:.0e}, ..., {sizes[-1]:.0e} with 2, ..., 10 neurons"
    yield Case("the same, as layers are added", np.all(np.diff(sizes) < 0) and np.all(np.array(sizes) <= bound), said)


@settles(
    "S0-large-weight-factor",
    statement=r"a larger $|w|$ gives factors $|\sigma'(z)\,w|$ above 1",
    said=sentences.S0_LARGE,
    part="那么如果我们设置初始权重 |w|较大,那么会有|σ′(z4)w4|>1 ",
    verdict="conditional",
    why=r"$|w| > 4$ and $|z| \le 2\,\mathrm{artanh}\sqrt{1 - 4/|w|}$: at most 0.4477 of the inputs",
    page="why/sigmoid-chain",
    mark="那么会有",
    held=(2, 5),
)
def _large_weight_factor() -> Iterator[Case]:
    sigma = activations.get("sigmoid")
    for w, b, a in ((3.0, -1.5, 0.5), (8.0, -4.0, 0.5), (8.0, 0.0, 0.9), (100.0, -50.0, 0.5), (100.0, 0.0, 0.5)):
        factor = float(w * sigma.slope(w * a + b))
        share = float(chain.explosive_width(w))
        yield Case(
            f"w = {w:g}, b = {b:g}, input {a}",
            factor > 1,
            f"factor {factor:.2g}; above 1 for inputs in a window {share:.3f} wide",
        )


@settles(
    "S0-depth-is-the-cause",
    statement="vanishing and exploding both come from the network being too deep",
    said=sentences.S0_DEPTH,
    part="无论是梯度消失还是梯度爆炸,都是源于网络结构太深",
    verdict="conditional",
    page="why/sigmoid-chain",
    also=("beyond/ten-thousand-layers",),
    mark="都是源于网络结构太深",
    why="in chains of moderate weights; saturation takes it in two layers. Depth is the exponent, not the base",
    held=(2, 3),
)
def _depth_is_the_cause() -> Iterator[Case]:
    def decades(weights: np.ndarray, biases: np.ndarray) -> float:
        """Powers of ten by which the gradient changes from the last layer to the first."""
        g = chain.gradients(weights, biases, 0.5)
        last = np.log10(activations.get("sigmoid").slope(g.z[-1])) if g.z[-1] < 700 else np.nan
        return float(chain.log10_gradient(weights, biases, 0.5) - np.log10(0.5) - last)

    for w in (2.0, 8.0):
        ends = [decades(np.full(n, w), np.full(n, -w / 2)) for n in (3, 30)]
        said = f"powers of ten with 3 layers {ends[0]:.1f}, with 30 layers {ends[1]:.1f}"
        yield Case(f"centred sigmoid chain, w = {w:.0f}", abs(ends[0]) < 2 < abs(ends[1]), said)
    shallow = decades(np.full(2, 200.0), np.full(2, -30.0))
    yield Case("two layers, w = 200, b = -30", abs(shallow) < 2, f"powers of ten with 2 layers {shallow:.1f}")


@settles(
    "S3-gradient-below-quarter",
    said=sentences.S3_SIGMOID,
    part="他的导数值,也就是梯度值是不可能超过 0.25 的",
    page="why/sigmoid-chain",
    mark="梯度值是不可能超过 0.25 的",
    verdict="true",
    statement="the derivative of the sigmoid, its gradient, cannot exceed 0.25",
    why="of the sigmoid itself, of which the sentence speaks; the gradient of ten layers with w = 8 reaches 1024",
    held=(4, 4),
)
def _gradient_below_quarter() -> Iterator[Case]:
    import torch

    sigma = activations.get("sigmoid")
    steepest = sigma.slope(np.linspace(-9, 9, 180_001)).max()
    yield Case("180,001 inputs from -9 to 9", steepest <= 0.25, f"at most {steepest:.6f}")
    steepest = measure.numerical_gradient(lambda z: float(sigma(z).sum()), np.linspace(-1, 1, 41)).max()
    yield Case("central differences around 0", steepest <= 0.25 + 1e-9, f"at most {steepest:.6f}")
    for kind in (torch.float32, torch.float16):
        z = torch.linspace(-4, 4, 8001).to(kind).requires_grad_(True)
        (found,) = torch.autograd.grad(torch.sigmoid(z).sum(), z)
        name = str(kind).rpartition(".")[2]
        yield Case(f"PyTorch, {name}, rounding included", found.max() <= 0.25, f"at most {found.max():.6f}")


@settles(
    "S4-slope-range",
    statement="the slope of the sigmoid lies in (0, 1)",
    said=sentences.S4_SLOPES,
    part="σ′(z_i) 的范围在(0,1)之间.",
    verdict="true",
    why="true but loose: it lies in (0, 1/4]",
    page="why/sigmoid-chain",
    mark="范围在(0,1)之间",
    held=(3, 3),
)
def _slope_range() -> Iterator[Case]:
    sigma = activations.get("sigmoid")
    slope = sigma.slope(np.linspace(-700, 700, 14_001))
    yield Case("14,001 inputs between -700 and 700", slope.min() > 0 and slope.max() < 1, f"slopes {spread(slope)}")
    rng = np.random.default_rng(0)
    slope = sigma.slope(rng.standard_cauchy(100_000).clip(-700, 700))
    yield Case("100,000 inputs with heavy tails", slope.min() > 0 and slope.max() < 1, f"slopes {spread(slope)}")
    logs = sigma.log_slope(np.array([-1e300, -1e3, 1e3, 1e300]))
    yield Case("inputs up to 1e300, in logarithms", np.all(np.isfinite(logs) & (logs < 0)), f"ln slope {spread(logs)}")


@settles(
    "S3-sigmoid-vanishes-easily",
    statement="in deep sigmoid networks vanishing gradients easily appear",
    said=sentences.S3_SIGMOID,
    part="就很容易出现梯度消失的问题。",
    verdict="conditional",
    why=r"at every usual scale; from $\sigma_w^2 = 103$ on the layers of a wide network grow instead",
    page="why/sigmoid-chain",
    held=(3, 4),
)
def _sigmoid_vanishes_easily() -> Iterator[Case]:
    spec = MLP((64, *[64] * 19, 10), "sigmoid")
    for name, variance in (("LeCun's", 1.0), ("a third of it, PyTorch's default", 1 / 3), ("40", 40.0), ("400", 400.0)):
        found = profile(spec, init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=5))
        said = f"{found.verdict}, {np.median(found.factor):.2f} per layer"
        yield Case(f"20 sigmoid layers, sigma_w^2 {name}", found.verdict == "vanishing", said)


@settles(
    "S4-chain-formula",
    statement="the formula for dz/dw0 of six sigmoid layers at input 2",
    said=sentences.S4_FORMULA,
    verdict="true",
    why="equal to automatic differentiation, for small and for large weights",
    page="why/sigmoid-chain",
    also=("reproduce/vanishing",),
    held=(3, 3),
)
def _six_layer_formula() -> Iterator[Case]:
    import torch

    for seed in (0, 1, 2):
        w, b = np.random.default_rng(seed).standard_normal((2, 6)) * (1 + 3 * seed)
        g = chain.gradients(w, b, 2.0)
        s = activations.get("sigmoid").slope(g.z)
        formula = 2 * np.prod(s) * np.prod(w[1:])
        wt, a = torch.tensor(w, requires_grad=True), torch.tensor(2.0, dtype=torch.float64)
        for i in range(6):
            a = torch.sigmoid(wt[i] * a + b[i])
        gap = abs(torch.autograd.grad(a, wt)[0][0].item() / formula - 1)
        said = f"{formula:.6g}, relative difference from PyTorch {gap:.0e}"
        yield Case(f"six layers, normal weights times {1 + 3 * seed}", gap < 1e-9, said)


@settles(
    "S4-six-numbers",
    statement="six numbers below 1 multiplied give a result very close to 0",
    said=sentences.S4_SLOPES,
    part="6个小于1的数相乘,会导致结果非常接近0.",
    verdict="conditional",
    why="of slopes, each at most 1/4, and the product at most 0.00024; not of any six numbers in (0, 1)",
    page="why/sigmoid-chain",
    also=("reproduce/vanishing",),
    held=(2, 3),
)
def _six_numbers() -> Iterator[Case]:
    sigma = activations.get("sigmoid")
    for name, numbers in (
        ("six slopes at z = 0, the largest there are", sigma.slope(np.zeros(6))),
        ("six slopes at z = -3 to 2", sigma.slope(np.arange(-3.0, 3.0))),
        ("six numbers 0.9, which (0, 1) would allow", np.full(6, 0.9)),
    ):
        product = float(np.prod(numbers))
        yield Case(name, product < 1e-3, f"product {product:.1e}")
