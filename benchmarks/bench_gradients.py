"""What batching, closed forms and depth cost, and the source's thousand steps in every framework."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradclinic
from gradclinic import chain, init, torch_net
from gradclinic.course import data
from gradclinic.spec import MLP, Parameters
from gradclinic.tf_net import tf

torch.set_num_threads(1)
DIGITS = data.digits(n_train=100)
X, Y = DIGITS.x_train, DIGITS.y_train


def network(depth: int, width: int = 64, ensemble: int | None = None) -> tuple[MLP, Parameters]:
    """A ReLU network with He's weights on the digits."""
    spec = MLP((64, *[width] * (depth - 1), 10), "relu", bias=False)
    return spec, init.mlp(spec, np.random.default_rng(0), ensemble=ensemble)


def one_by_one(models: list, samples: int) -> None:
    """A profile of each."""
    for model in models:
        torch_net.profile(model, X[:samples], Y[:samples])


@pytest.mark.parametrize(("width", "samples"), [(16, 10), (64, 100)])
@pytest.mark.parametrize("way", ["one batched pass", "a loop over the networks"])
def test_profiles(benchmark, way, width, samples):
    """Profiles of a hundred seeds: an ensemble axis against a Python loop."""
    benchmark.group = f"profiles of 100 networks of ten layers, width {width}, {samples} samples"
    benchmark.extra_info |= {"row": way, "reference": way == "one batched pass"}
    spec, params = network(10, width, ensemble=100)
    if way == "one batched pass":
        models = [torch_net.build(spec, params)]
    else:
        members = (Parameters([w[k] for w in params.weights], [b[k] for b in params.biases]) for k in range(100))
        models = [torch_net.build(spec, member) for member in members]
    benchmark.pedantic(one_by_one, (models, samples), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("depth", [10, 1000])
@pytest.mark.parametrize("way", ["closed form", "PyTorch's autograd", "TensorFlow's tape"])
def test_chain(benchmark, way, depth):
    """Both gradients of the scalar sigmoid chain: ``gradclinic.chain`` against automatic differentiation."""
    benchmark.group = f"gradients of a sigmoid chain of {depth} layers"
    benchmark.extra_info |= {"row": way, "reference": way == "closed form"}
    w, b = np.full(depth, 4.0), np.full(depth, -2.0)

    def by_torch():
        weights, biases = (torch.tensor(v, requires_grad=True) for v in (w, b))
        z = weights[0] * 0.5 + biases[0]
        for i in range(1, depth):
            z = torch.sigmoid(z) * weights[i] + biases[i]
        return torch.autograd.grad(torch.sigmoid(z), (weights, biases))

    def by_tape():
        weights, biases = tf.constant(w), tf.constant(b)
        with tf.GradientTape() as tape:
            tape.watch((weights, biases))
            ws, bs = tf.unstack(weights), tf.unstack(biases)
            z = ws[0] * 0.5 + bs[0]
            for i in range(1, depth):
                z = tf.sigmoid(z) * ws[i] + bs[i]
            z = tf.sigmoid(z)
        return tape.gradient(z, (weights, biases))

    def closed_form():
        found = chain.gradients(w, b, 0.5)
        return found.dw, found.db

    ways = {"closed form": closed_form, "PyTorch's autograd": by_torch, "TensorFlow's tape": by_tape}
    np.testing.assert_allclose(np.asarray(ways[way]()[0]), closed_form()[0], rtol=1e-8)
    benchmark.pedantic(ways[way], rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("depth", [10, 20, 40, 80, 160, 320])
def test_depth(benchmark, depth):
    """One profile against depth: proportional, if nothing is wasted."""
    benchmark.group = "one profile, width 64, against depth"
    benchmark.extra_info |= {"row": f"{depth} layers", "reference": depth == 10}
    model = torch_net.build(*network(depth))
    benchmark.pedantic(torch_net.profile, (model, X, Y), rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("reading", ["one training step", "torch_net.profile", "gradclinic.probe"])
def test_probe(benchmark, reading):
    """What one reading costs beside the training step that a loop takes anyway."""
    benchmark.group = "one reading of a ReLU network, ten layers of width 256, batch 100"
    benchmark.extra_info |= {"row": reading, "reference": reading == "one training step"}
    model = torch_net.build(*network(10, 256), dtype="float32")
    x, y = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(Y)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        torch_net.loss_function(model(x), y).backward()
        optimizer.step()

    readings = {
        "one training step": step,
        "torch_net.profile": lambda: torch_net.profile(model, x, y),
        "gradclinic.probe": lambda: gradclinic.probe(model, x, y),
    }
    benchmark.pedantic(readings[reading], rounds=20, warmup_rounds=3)


@pytest.mark.parametrize(
    "framework", ["NumPy, closed form", "PyTorch", "TensorFlow, compiled step", "TensorFlow, eager"]
)
def test_thousand_steps(benchmark, framework):
    """The thousand steps of source S4 on three sigmoid neurons: the price of a framework without work to do."""
    benchmark.group = "a thousand steps on three neurons"
    benchmark.extra_info |= {"row": framework, "reference": framework == "NumPy, closed form"}

    def by_numpy():
        p = np.full((2, 3), 0.5)
        for _ in range(1000):
            found = chain.gradients(p[0], p[1], 2.0)
            p = p - 0.1 * np.array([found.dw, found.db])
        return p[0]

    def by_torch():
        p = torch.full((6,), 0.5, requires_grad=True)
        for _ in range(1000):
            w0, b0, w1, b1, w2, b2 = p
            z = torch.sigmoid(torch.sigmoid(torch.sigmoid(2 * w0 + b0) * w1 + b1) * w2 + b2)
            (slope,) = torch.autograd.grad(z, p)
            with torch.no_grad():
                p -= 0.1 * slope
        return p.detach().numpy()[::2]

    def by_tape(compiled):
        p = [tf.Variable(0.5) for _ in range(6)]

        def step():
            w0, b0, w1, b1, w2, b2 = p
            with tf.GradientTape() as tape:
                z = tf.sigmoid(tf.sigmoid(tf.sigmoid(2 * w0 + b0) * w1 + b1) * w2 + b2)
            for variable, slope in zip(p, tape.gradient(z, p), strict=True):
                variable.assign_sub(0.1 * slope)

        step = tf.function(step) if compiled else step
        for _ in range(1000):
            step()
        return np.array([v.numpy() for v in p])[::2]

    ways = {
        "NumPy, closed form": by_numpy,
        "PyTorch": by_torch,
        "TensorFlow, compiled step": lambda: by_tape(True),
        "TensorFlow, eager": lambda: by_tape(False),
    }
    np.testing.assert_allclose(ways[framework](), by_numpy(), rtol=1e-3)
    benchmark.pedantic(ways[framework], rounds=3)
