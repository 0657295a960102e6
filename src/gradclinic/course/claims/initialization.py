"""Claims about the draw of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic import activations, init, theory
from gradclinic.activations import gaussian_mean
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    hidden_factor,
    treated,
)
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S1-initialization-formula",
    statement="weights of variance 1 / (n G) with G the mean of the activation keep the gradient's size",
    said=sentences.S1_FORMULA,
    verdict="false",
    why="garbled: backward G is the mean squared slope, forward the mean square of the activation over its input's",
    page="remedies/initialization",
    mark="激活函数的平均值",
    held=(0, 3),
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
    "belief-linear-default-is-he",
    statement="the default of nn.Linear is He initialisation",
    verdict="false",
    why="its variance is 1/(3 n), a sixth of He's; Keras's Dense is Glorot uniform",
    page="remedies/initialization",
    mark="`nn.Linear`'s default is He",
    held=(0, 2),
)
def _linear_default_is_he() -> Iterator[Case]:
    import torch

    for n in (100, 400):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            variance = n * torch.nn.Linear(n, 1000).weight.var().item()
        yield Case(
            f"torch.nn.Linear({n}, 1000)",
            abs(variance / 2 - 1) < 0.1,
            f"n times the variance {variance:.3f}, He's is 2",
        )


@settles(
    "belief-right-scale-cures-sigmoid",
    statement="the right scale of the weights cures a vanishing sigmoid network",
    page="remedies/initialization",
    mark="the right scale cures a vanishing sigmoid network",
    verdict="false",
    why="patient A is cured, slowly: it reads after 2000 steps; thirty layers of the critical scale do not in 1000, "
    "at the one rate tried",
    held=(2, 3),
)
def _right_scale_cures_sigmoid() -> Iterator[Case]:
    from gradclinic.course import remedies

    before, treatment = treated("A", "none")[1], remedies.treat("A", "initialization", seeds=3)
    found = remedies.profile(treatment)
    said = [f"{p.verdict}, {np.median(p.factor):.2f} per layer" for p in (before, found)]
    yield Case("patient A: the profile", found.verdict == "healthy", f"{said[0]} before; {said[1]} after")
    spec, critical = MLP((64, *[32] * 29, 10), "sigmoid"), theory.critical_weight_variance("sigmoid")
    deep = init.mlp(spec, np.random.default_rng(1), weight_variance=critical, ensemble=2)
    for name, patient, steps in (
        ("patient A", treatment, 2000),
        ("thirty layers", remedies.Treatment(spec, deep), 1000),
    ):
        reached = float(np.median(remedies.train(patient, (1.0,), steps=steps).accuracy))
        yield Case(f"{name}: reading digits, {steps} steps", reached > 0.85, f"accuracy {reached:.2f}, chance 0.1")


@settles(
    "belief-orthogonal-any-depth",
    statement="orthogonal initialisation makes any depth safe",
    page="beyond/ten-thousand-layers",
    mark="orthogonal initialisation makes any depth safe",
    verdict="false",
    why="linear layers are, and tanh at small signals; with ReLU most of the loss remains",
    held=(2, 3),
)
def _orthogonal_any_depth() -> Iterator[Case]:
    depth, n = 1000, 32
    for name, gain, scale in (("linear", 1.0, 1.0), ("tanh", 1.0, 1e-3), ("relu", np.sqrt(2.0), 1.0)):
        phi, rng = activations.get(name), np.random.default_rng(0)
        a, v, log = scale * rng.standard_normal((5, n, 1)), rng.standard_normal((5, n, 1)), np.zeros(5)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        for _ in range(depth):
            w = init.orthogonal((5, n, n), rng, gain)
            z, v = w @ a, w @ v
            a, v = phi(z), phi.slope(z) * v
            length = np.linalg.norm(v, axis=1, keepdims=True)
            log, v = log + np.log10(length[:, 0, 0]), v / length
            if name == "relu":  # its slopes do not depend on the size of the signal
                a /= np.linalg.norm(a, axis=1, keepdims=True)
        decades = float(np.median(log))
        yield Case(f"{depth} {name} layers of {n} units", abs(decades) < 2, f"gradient 10^{decades:.1f} times as large")
