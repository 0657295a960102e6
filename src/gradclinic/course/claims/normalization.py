"""Claims about batch and layer normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from gradclinic import activations, init, measure, numpy_net, theory
from gradclinic.activations import gaussian_mean
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    accuracy,
    digits,
    hidden_factor,
    profile,
    spread,
    train,
    treated,
)
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-batch-norm-stabilises",
    statement="batch norm raises the stability of training",
    said=sentences.S0_BATCH_NORM,
    part="提升训练稳定性的效果",
    verdict="conditional",
    page="remedies/batch-normalization",
    mark="提升训练稳定性",
    why="sigmoid and tanh networks yes; plain deep ReLU networks explode, by 1.21 per layer",
    held=(2, 3),
)
def _batch_norm_stabilises() -> Iterator[Case]:
    for act, variance in (("sigmoid", 1.0), ("tanh", 4.0), ("relu", 2.0)):
        plain, treated_ = (hidden_factor(act, variance, depth=30, normalization=n) for n in (None, "batch"))
        said = f"{plain:.2f} per layer without, {treated_:.2f} with; theory {theory.batchnorm_factor(act):.2f}"
        yield Case(f"30 {act} layers", abs(np.log(treated_)) < abs(np.log(plain)), said)


@settles(
    "S0-batch-norm-derivative",
    statement=r"the derivative of $f(w^T x + b)$ with respect to $x$ is $f'$ times $x$",
    said=sentences.S0_BACKWARD,
    part="∂f2/∂x=(∂f2/∂f1)x",
    verdict="false",
    why="the factor is w, not x",
    page="remedies/batch-normalization",
    mark="\\partial f_2/\\partial x",
    held=(0, 2),
)
def _batch_norm_derivative() -> Iterator[Case]:
    for act in ("sigmoid", "tanh"):
        phi, (w, x) = activations.get(act), np.random.default_rng(0).standard_normal((2, 3))
        true = measure.numerical_gradient(lambda v, phi=phi, w=w: float(phi(w @ v + 0.3)), x)
        slope = phi.slope(w @ x + 0.3)
        right, said = np.abs(true - slope * w).max(), np.abs(true - slope * x).max()
        yield Case(f"{act}, three inputs", said < 1e-6, f"largest error of f' x: {said:.2f}; of f' w: {right:.0e}")


@settles(
    "S0-batch-norm-unsaturates",
    statement="batch norm pulls the output out of the saturated region",
    said=sentences.S0_BACKWARD,
    part="或者可以理解为BN将输出从饱和区拉倒了非饱和区。",
    verdict="conditional",
    why="true of networks saturated by large biases or weights; a vanishing one is not saturated, the gain cures it",
    page="remedies/batch-normalization",
    mark="BN将输出从饱和区拉倒了非饱和区",
    held=(2, 3),
)
def _batch_norm_unsaturates() -> Iterator[Case]:
    for name, variance, bias in (
        ("small weights (vanishing)", 1.0, 0.0),
        ("large weights", 1000.0, 0.0),
        ("large biases", 1.0, 10.0),
    ):
        share = {}
        for norm in (None, "batch"):
            spec = MLP((64, *[100] * 10, 10), "sigmoid", normalization=norm)
            nets = init.mlp(spec, np.random.default_rng(0), weight_variance=variance, bias_std=bias, ensemble=3)
            share[norm] = measure.saturated_fraction(
                np.array(numpy_net.forward(spec, nets, digits().x_train[:100]).n[4:]), "sigmoid"
            )
        said = f"saturated {share[None]:.0%} without, {share['batch']:.0%} with batch norm"
        yield Case(name, share[None] > 0.3 and share["batch"] < 0.05, said)


@settles(
    "S0-normalising-keeps-stable",
    statement="normalising the signal keeps the network stable",
    said=sentences.S0_NORMALISING,
    part="通过规范化操作将输出信号x规范化保证网络的稳定性。",
    page="remedies/layer-normalization",
    mark="通过规范化操作将输出信号x规范化保证网络的稳定性",
    verdict="false",
    why="no axis guarantees it: ReLU is kept level by the layer's, not by the batch's; the sigmoid the reverse",
    held=(2, 4),
)
def _normalising_keeps_stable() -> Iterator[Case]:
    for act in ("relu", "sigmoid"):
        for norm in ("batch", "layer"):
            factor = hidden_factor(act, 2.0, depth=24, width=150, normalization=norm)
            yield Case(
                f"24 {act} layers, normalised over the {norm}", abs(factor - 1) < 0.08, f"{factor:.2f} per layer"
            )


@settles(
    "S1-batch-norm-saturating",
    statement="batch norm permits saturating activations such as sigmoid and tanh",
    said=sentences.S1_SATURATING,
    verdict="true",
    why="thirty layers keep a healthy gradient, and learn where the plain network stays at chance",
    page="remedies/batch-normalization",
    mark="BN允许网络使用饱和性激活函数",
    held=(3, 3),
)
def _batch_norm_saturating() -> Iterator[Case]:
    from gradclinic.course import remedies

    for act, variance in (("sigmoid", 1.0), ("tanh", 1.0), ("sigmoid", 100.0)):
        spec = MLP((64, *[32] * 29, 10), act, normalization="batch")
        treatment = remedies.Treatment(
            spec, init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=3)
        )
        found = remedies.profile(treatment)
        reached = float(np.median(remedies.train(treatment, (0.1,), steps=120).accuracy, axis=1).max())
        yield Case(
            f"{act}, 30 layers, sigma_w^2 = {variance:.0f}, batch norm",
            found.verdict == "healthy" and reached > 0.25,
            f"{np.median(found.factor):.2f} per layer; accuracy after 120 steps {reached:.2f}, chance 0.1",
        )


@settles(
    "S1-batch-norm-linear",
    statement="near 0, where batch norm puts its inputs, the sigmoid is nearly linear",
    said=sentences.S1_LINEAR,
    part="分布在0附近的数据,sigmoid近似线性函数",
    verdict="true",
    why="1.6 % of the output's variance is curved; a gain gamma of 3 makes it 12 %",
    page="remedies/batch-normalization",
    mark="sigmoid近似线性函数",
    held=(3, 3),
)
def _batch_norm_linear() -> Iterator[Case]:
    sigmoid = activations.get("sigmoid")
    mean, square, slope = (float(gaussian_mean(f, 1.0)) for f in (sigmoid, lambda u: sigmoid(u) ** 2, sigmoid.slope))
    share = 1 - slope**2 / (square - mean**2)  # the best line's slope is E[z sigma(z)] = E[sigma'(z)]
    yield Case("standard normal input, by integration", share < 0.05, f"curved share of the variance {share:.1%}")
    slope = sigmoid.slope(np.linspace(-1, 1, 201))
    line = float(np.abs(sigmoid(np.linspace(-1, 1, 201)) - 0.5 - np.linspace(-0.25, 0.25, 201)).max())
    said = f"at most {line:.3f} from its tangent at 0; slopes {spread(slope)}"
    yield Case("from -1 to 1, where two thirds of the inputs are", line < 0.025, said)
    treatment, _ = treated("A", "batch-normalization")
    from gradclinic.course import remedies

    z = numpy_net.forward(treatment.spec, treatment.params, remedies.ward().x[:200]).n[4]
    a = sigmoid(z)
    covariance = np.mean((z - z.mean(1, keepdims=True)) * (a - a.mean(1, keepdims=True)), axis=1)
    share = float(np.median(1 - covariance**2 / (z.var(axis=1) * a.var(axis=1))))
    yield Case("layer 5 of patient A with batch norm", share < 0.05, f"median curved share {share:.1%}")


@settles(
    "S3-batch-norm-normal",
    statement="batch norm makes the distribution of a layer's inputs normal",
    said=sentences.S3_BATCH_NORM,
    part="通过将每层网络的神经元输入分布归一化到正态分布",
    verdict="false",
    why="it sets mean and variance; skewness and kurtosis do not change at all",
    page="remedies/batch-normalization",
    mark="归一化到正态分布",
    held=(0, 3),
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
    "belief-layer-norm-is-batch-norm",
    verdict="false",
    why="sigmoid 0.39 against 1.02 per layer, ReLU 1 against 1.21; equal only where the activation has mean 0",
    page="remedies/layer-normalization",
    mark="layer norm does what batch norm does",
    statement="layer norm does the same as batch norm",
    held=(1, 3),
)
def _layer_norm_is_batch_norm() -> Iterator[Case]:
    for act in ("tanh", "relu", "sigmoid"):
        factor = {norm: hidden_factor(act, 2.0, depth=20, width=150, normalization=norm) for norm in ("batch", "layer")}
        said = f"per layer: batch norm {factor['batch']:.2f}, layer norm {factor['layer']:.2f}"
        yield Case(f"20 {act} layers", abs(factor["batch"] / factor["layer"] - 1) < 0.05, said)


@settles(
    "S0-batch-norm-essence",
    statement="in essence batch norm solves the gradient problem of back-propagation",
    said=sentences.S0_BATCH_NORM,
    part="Batchnorm本质上是解决反向传播过程中的梯度问题。",
    verdict="conditional",
    why="it replaces the scale of the weights by one of its own: right for sigmoid and tanh, 1.21 per layer for ReLU",
    page="remedies/batch-normalization",
    held=(2, 3),
)
def _batch_norm_essence() -> Iterator[Case]:
    for patient in "AB":
        before, after = treated(patient, "none")[1], treated(patient, "batch-normalization")[1]
        factors = [float(np.median(p.factor)) for p in (before, after)]
        said = f"{factors[0]:.2f} per layer, {before.verdict}; then {factors[1]:.2f}, {after.verdict}"
        yield Case(f"patient {patient}", after.verdict == "healthy", said)
    spec = MLP((64, *[64] * 49, 10), "relu", normalization="batch")
    after = profile(spec, init.mlp(spec, np.random.default_rng(0), ensemble=3))
    said = f"{np.median(after.factor):.2f} per layer: {after.verdict}"
    yield Case("fifty ReLU layers at He's scale, healthy without it", after.verdict == "healthy", said)


@settles(
    "S0-gradient-times-weights",
    statement="in back-propagation the gradient that passes a layer is multiplied by that layer's weights",
    said=sentences.S0_BACKWARD,
    part="经过每一层的梯度会乘以该层的权重",
    verdict="true",
    why="and by the slopes of the units; the formula that follows it in the source has x in the weights' place",
    page="remedies/batch-normalization",
    also=("why/backpropagation",),
    held=(3, 3),
)
def _gradient_times_weights() -> Iterator[Case]:
    for act in ("linear", "relu", "tanh"):
        spec = MLP((64, 32, 32, 32, 10), act)
        nets = init.mlp(spec, np.random.default_rng(0), weight_variance=2.0, ensemble=3)
        x = digits().x_train[:20]
        g, z = numpy_net.gradients(spec, nets, x, digits().y_train[:20]), numpy_net.forward(spec, nets, x).z
        gap = 0.0
        for layer in range(3):
            passed = activations.get(act).slope(z[layer]) * (g.delta[layer + 1] @ nets.weights[layer + 1])
            gap = max(gap, float(np.abs(passed - g.delta[layer]).max()))
        said = f"largest difference from weights times slope {gap:.0e}"
        yield Case(f"{act} layers", gap < 1e-12, said)


@settles(
    "S3-sensitive-region",
    statement="batch norm moves a layer's inputs to the sensitive region, which makes the gradient larger",
    said=sentences.S3_BATCH_NORM,
    verdict="conditional",
    page="remedies/batch-normalization",
    part="使得激活函数的输入值落在对于输入变换较为敏感的区域,输入的略微变化也会导致损失函数也会有较大的变化,"
    "也就是梯度较大",
    why="where large biases had saturated the units; in a vanishing network the slope falls, it is the gain that helps",
    held=(1, 3),
)
def _sensitive_region() -> Iterator[Case]:
    for name, variance, bias in (
        ("small weights (vanishing)", 1.0, 0.0),
        ("large weights", 1000.0, 0.0),
        ("large biases", 1.0, 10.0),
    ):
        slope, first = {}, {}
        for norm in (None, "batch"):
            spec = MLP((64, *[100] * 10, 10), "sigmoid", normalization=norm)
            nets = init.mlp(spec, np.random.default_rng(0), weight_variance=variance, bias_std=bias, ensemble=3)
            inputs = np.array(numpy_net.forward(spec, nets, digits().x_train[:100]).n[4:])
            slope[norm] = float(activations.get("sigmoid").slope(inputs).mean())
            first[norm] = float(np.median(profile(spec, nets).delta[:, 0]))
        said = (
            f"mean slope {slope[None]:.3f} without, {slope['batch']:.3f} with; "
            f"gradient at layer 1 {first[None]:.0e} and {first['batch']:.0e}"
        )
        yield Case(f"ten sigmoid layers, {name}", slope["batch"] > slope[None] and first["batch"] > first[None], said)


@settles(
    "S1-training-drifts-into-saturation",
    statement="without batch norm training easily enters the region where the activation saturates",
    said=sentences.S1_DRIFT,
    part="导致模型的训练很容易进入到激活函数的梯度饱和区",
    page="remedies/batch-normalization",
    verdict="conditional",
    why="deep tanh networks at a high rate; in five tanh layers 5 % of the units after 2000 steps",
    held=(1, 3),
)
def _training_drifts_into_saturation() -> Iterator[Case]:
    for layers, act, rate in ((5, "tanh", 0.1), (15, "tanh", 0.5), (10, "sigmoid", 1.0)):
        spec = MLP((64, *[32] * (layers - 1), 10), act)
        start = init.mlp(spec, np.random.default_rng(0), weight_variance=1.0, ensemble=2)
        share = [
            float(
                measure.saturated_fraction(np.array(numpy_net.forward(spec, p, digits().x_test).n[: layers - 1]), act)
            )
            for p in (start, train(spec, start, 200, lr=rate))
        ]
        said = f"saturated {share[0]:.1%} before, {share[1]:.1%} after training"
        yield Case(f"{layers} {act} layers, 200 steps at rate {rate}", share[1] > share[0] + 0.05, said)


@settles(
    "S1-larger-gradients-converge-fast",
    statement="near the largest slope gradients are larger, and training naturally converges fast",
    said=sentences.S1_ZERO,
    page="remedies/batch-normalization",
    verdict="true",
    why="near the largest slope the same network learns more in as many steps, also at a rate too large for it",
    held=(3, 3),
)
def _larger_gradients_converge_fast() -> Iterator[Case]:
    spec = MLP((64, 32, 10), "sigmoid")
    start = init.mlp(spec, np.random.default_rng(0), weight_variance=1.0, ensemble=5)
    for name, shift, rate in (
        ("inputs near 0 against biases of 5, rate 1", 5.0, 1.0),
        ("inputs near 0 against biases of 3, rate 1", 3.0, 1.0),
        ("inputs near 0 against biases of 3, rate 100", 3.0, 100.0),
    ):
        away = Parameters(start.weights, (start.biases[0] + shift, start.biases[1]))
        near, far = (float(np.median(accuracy(spec, train(spec, p, 50, lr=rate)))) for p in (start, away))
        said = f"accuracy after 50 steps {near:.2f} near the largest slope, {far:.2f} away from it"
        yield Case(f"two sigmoid layers, {name}", near > far, said)


@settles(
    "S0-batch-norm-speeds",
    statement="batch norm speeds up convergence",
    said=sentences.S0_BATCH_NORM,
    part="具有加速网络收敛速度",
    verdict="conditional",
    page="remedies/batch-normalization",
    why="a network that vanishes without it; tanh or ReLU layers of a fitting scale learn about as fast",
    held=(1, 3),
)
@settles(
    "S3-batch-norm-faster",
    statement="batch norm can also speed up learning",
    said=sentences.S3_BATCH_NORM,
    part="同时也可以加快学习速度。",
    verdict="conditional",
    page="remedies/batch-normalization",
    why="a network that vanishes without it; tanh or ReLU layers of a fitting scale learn about as fast",
    held=(1, 3),
)
def _batch_norm_faster() -> Iterator[Case]:
    """The same network with and without batch norm, both at the better of two rates."""
    from gradclinic.course import remedies

    for name, spec, variance in (
        ("ten sigmoid layers", MLP((64, *[32] * 9, 10), "sigmoid"), 1.0),
        ("five ReLU layers at He's scale", MLP((64, *[32] * 4, 10), "relu"), 2.0),
        ("ten tanh layers", MLP((64, *[32] * 9, 10), "tanh"), 1.0),
    ):
        best = {}
        for norm in (None, "batch"):
            here = replace(spec, normalization=norm)
            params = init.mlp(here, np.random.default_rng(1), weight_variance=variance, ensemble=3)
            with np.errstate(all="ignore"):
                run = remedies.train(remedies.Treatment(here, params), (0.1, 0.3), steps=120)
            best[norm] = float(np.median(run.accuracy, axis=1).max())
        said = f"accuracy after 120 steps {best[None]:.2f} without, {best['batch']:.2f} with batch norm"
        yield Case(f"{name}, better of two rates", best["batch"] > best[None] + 0.05, said)
