"""One list of models and loops in both frameworks: the same readings, skips, steps, and words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import gradclinic
from gradclinic.tf_net import keras, tf

L = keras.layers
RNG = np.random.default_rng(0)
WIDTH, BLOCKS = 8, 4
MATRICES = [RNG.normal(size=(WIDTH, WIDTH)).astype("float32") / WIDTH**0.5 for _ in range(BLOCKS)]
HEAD = RNG.normal(size=(WIDTH, 3)).astype("float32") / WIDTH**0.5
X, Y = RNG.normal(size=(32, WIDTH)).astype("float32"), RNG.integers(0, 3, 32)


def linear(matrix):
    layer = nn.Linear(*matrix.shape)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(matrix.T))
        layer.bias.zero_()
    return layer


def dense(matrix, name):
    return L.Dense(matrix.shape[1], kernel_initializer=keras.initializers.Constant(matrix), name=name)


class Blocks(nn.Module):
    """``after(x + tanh(Wx))``, four times."""

    def __init__(self, after, branch, shared):
        super().__init__()
        self.layers = nn.ModuleList(map(linear, MATRICES[:1] * BLOCKS if shared else MATRICES))
        self.layers = nn.ModuleList([self.layers[0]] * BLOCKS) if shared else self.layers
        self.after, self.branch = nn.ModuleList(after() for _ in range(BLOCKS)), branch
        self.out = linear(HEAD)

    def forward(self, x):
        for layer, after in zip(self.layers, self.after, strict=True):
            h = self.branch(layer(x))
            x = after(x + h)
        return self.out(x)


def keras_blocks(after, branch, shared):
    given = keras.Input((WIDTH,))
    x, first = given, dense(MATRICES[0], "layers.0")
    for i, matrix in enumerate(MATRICES):
        layer = first if shared or i == 0 else dense(matrix, f"layers.{i}")
        x = after()(L.Add()([x, L.Activation(branch)(layer(x))]))
    return keras.Model(given, dense(HEAD, "out")(x))


KINDS = {
    "identity": (nn.Identity, L.Identity),
    "relu": (nn.ReLU, L.ReLU),
    "gelu": (nn.GELU, lambda: L.Activation("gelu")),
    "silu": (nn.SiLU, lambda: L.Activation("silu")),
    "mish": (nn.Mish, lambda: L.Activation("mish")),
    "softplus": (nn.Softplus, lambda: L.Activation("softplus")),
    "tanh": (nn.Tanh, lambda: L.Activation("tanh")),
    "elu": (nn.ELU, lambda: L.Activation("elu")),
    "leaky relu": (lambda: nn.LeakyReLU(0.3), lambda: L.LeakyReLU(0.3)),
    "dropout": (lambda: nn.Dropout(0.0), lambda: L.Dropout(0.0)),
    "batch norm": (lambda: nn.BatchNorm1d(WIDTH, 1e-3), lambda: L.BatchNormalization(epsilon=1e-3)),
    "layer norm": (lambda: nn.LayerNorm(WIDTH, 1e-3), lambda: L.LayerNormalization(epsilon=1e-3)),
}
BRANCHES = {"tanh": (torch.tanh, "tanh"), "relu": (torch.relu, "relu"), "sigmoid": (torch.sigmoid, "sigmoid")}
CASES = [(kind, "tanh", False) for kind in KINDS]
CASES += [("layer norm", "relu", False), ("identity", "sigmoid", False), ("identity", "tanh", True)]


@pytest.mark.parametrize(("kind", "branch", "shared"), CASES)
def test_a_model_is_read_alike(kind, branch, shared):
    first = gradclinic.probe(Blocks(KINDS[kind][0], BRANCHES[branch][0], shared), X, Y, lr=0.1)
    other = gradclinic.probe(keras_blocks(KINDS[kind][1], BRANCHES[branch][1], shared), X, Y, lr=0.1)
    assert len(first.additions) == len(other.additions) == BLOCKS - 1
    for a, b in zip(first.additions, other.additions, strict=True):
        np.testing.assert_allclose([a.stream, a.branch, a.total], [b.stream, b.branch, b.total], rtol=1e-4)
    rows = {layer.name: layer for layer in other.layers}
    assert [x.name for x in first.layers if x.matrix] == [x.name for x in other.layers if x.matrix]
    for layer in (x for x in first.layers if x.matrix):
        twin = rows[layer.name]
        for quantity in ("output", "activation", "delta", "weight_gradient", "update", "weight_scale", "normalized_at"):
            a, b = getattr(layer, quantity), getattr(twin, quantity)
            assert (a is None and b is None) or a == pytest.approx(b, rel=1e-3), (layer.name, quantity)
        assert (layer.function, layer.calls) == (twin.function, twin.calls)
    assert first.verdict == other.verdict
    assert [c.key for c in first.causes] == [c.key for c in other.causes]


def test_accumulated_gradients_have_the_same_update():
    model, twin = (
        nn.Sequential(linear(MATRICES[0]), nn.ReLU(), linear(HEAD)),
        keras.Sequential([keras.Input((WIDTH,)), dense(MATRICES[0], "0"), L.ReLU(), dense(HEAD, "2")]),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=4) as first:
        for step in range(1, 9):
            (functional.cross_entropy(model(torch.tensor(X)), torch.tensor(Y)) / 2).backward()
            if step % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()
    rule = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    twin.compile(rule, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with gradclinic.watch(twin, every=4) as other:
        twin.fit(np.tile(X, (8, 1)), np.tile(Y, 8), batch_size=32, epochs=1, shuffle=False, verbose=0)
    assert first.report.steps == other.report.steps == (0, 4)
    np.testing.assert_allclose(first.report.column("update"), other.report.column("update"), rtol=1e-3)


class Two(keras.Model):
    """A generator and a discriminator, two tapes in one step."""

    def __init__(self):
        super().__init__()
        self.make = keras.Sequential([keras.Input((4,)), L.Dense(16, "relu", name="a"), L.Dense(6, name="b")])
        self.judge = keras.Sequential([keras.Input((6,)), L.Dense(16, "relu", name="c"), L.Dense(1, name="d")])
        self.first, self.second = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)
        self.built = True

    def call(self, z):
        return self.make(z)

    def train_step(self, x):
        z = tf.random.normal((tf.shape(x)[0], 4))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self.judge(self.make(z))) - tf.reduce_mean(self.judge(x))
        held = self.judge.trainable_variables
        self.first.apply(tape.gradient(loss, held), held)
        with tf.GradientTape() as tape:
            other = -tf.reduce_mean(self.judge(self.make(z)))
        held = self.make.trainable_variables
        self.second.apply(tape.gradient(other, held), held)
        return {"loss": loss}


def test_two_tapes_of_one_step_are_both_read():
    model = Two()
    model.compile()
    with gradclinic.watch(model, every=2) as run:
        model.fit(RNG.normal(size=(64, 6)).astype("float32"), batch_size=16, epochs=1, verbose=0)
    report = run.report
    assert report.steps == (0, 2)
    assert len(report.names) == 4
    assert np.isfinite(report.column("delta")).all()
    assert (report.column("update") > 0).all()
    assert (report.column("weight_gradient") > 0).all()


class Pair(nn.Module):
    """A generator and a judge."""

    def __init__(self):
        super().__init__()
        self.make = nn.Sequential(linear(MATRICES[0]), nn.ReLU(), linear(MATRICES[1]))
        self.judge = nn.Sequential(linear(MATRICES[2]), nn.ReLU(), linear(HEAD))


class Twins(keras.Model):
    """The same, with the two losses and the two optimisers of a GAN."""

    def __init__(self):
        super().__init__()
        self.make = keras.Sequential(
            [keras.Input((WIDTH,)), dense(MATRICES[0], "a"), L.ReLU(), dense(MATRICES[1], "b")]
        )
        self.judge = keras.Sequential([keras.Input((WIDTH,)), dense(MATRICES[2], "c"), L.ReLU(), dense(HEAD, "d")])
        self.first, self.second = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.05)
        self.built = True

    def call(self, z):
        return self.make(z)

    def train_step(self, data):
        z, x = data
        held = self.judge.trainable_variables
        with tf.GradientTape() as tape:
            false, true = self.judge(self.make(z)), self.judge(x)
            loss = tf.reduce_mean(tf.nn.softplus(false)) + tf.reduce_mean(tf.nn.softplus(-true))
        self.first.apply(tape.gradient(loss, held), held)
        held = self.make.trainable_variables
        with tf.GradientTape() as tape:
            other = tf.reduce_mean(tf.nn.softplus(-self.judge(self.make(z))))
        self.second.apply(tape.gradient(other, held), held)
        return {"loss": loss}


def test_two_losses_with_two_optimisers():
    z, x = RNG.normal(size=(2, 96, WIDTH)).astype("float32")
    model, twin = Pair(), Twins()
    first = torch.optim.SGD(model.judge.parameters(), lr=0.1)
    second = torch.optim.SGD(model.make.parameters(), lr=0.05)
    with gradclinic.watch(model, every=1) as run:
        for noise, real in zip(torch.tensor(z).split(32), torch.tensor(x).split(32), strict=True):
            false, true = model.judge(model.make(noise).detach()), model.judge(real)
            first.zero_grad()
            (functional.softplus(false).mean() + functional.softplus(-true).mean()).backward()
            first.step()
            second.zero_grad()
            functional.softplus(-model.judge(model.make(noise))).mean().backward()
            second.step()
    twin.compile()
    with gradclinic.watch(twin, every=1) as other:
        twin.fit(z, x, batch_size=32, epochs=1, shuffle=False, verbose=0)
    # One step in PyTorch is one backward pass: the judge's, then the generator's. In Keras it is one `train_step`.
    assert (run.report.steps, other.report.steps) == (tuple(range(6)), tuple(range(3)))
    columns, twins = list(run.report.names), [name.rpartition("/")[2] for name in other.report.names]
    turns = {("judge.0", "c"): 0, ("judge.2", "d"): 0, ("make.0", "a"): 1, ("make.2", "b"): 1}
    assert sorted(columns) == sorted(name for name, _ in turns)
    for (name, twin_name), start in turns.items():
        for quantity in ("weight_gradient", "update"):
            mine = run.report.column(quantity)[start::2, columns.index(name)]
            np.testing.assert_allclose(
                mine, other.report.column(quantity)[:, twins.index(twin_name)], rtol=1e-3, err_msg=f"{name} {quantity}"
            )
            assert (mine > 0).all()
    # The judge's delta differs: Keras counts what came back from both losses, each step of PyTorch from its own.
    at, twin_at = columns.index("judge.0"), twins.index("c")
    own = run.report.column("delta")[::2, at]
    assert (np.abs(other.report.column("delta")[:, twin_at] / own - 1) > 0.01).all()


def test_a_layer_that_reads_from_both_ends():
    x, width, units = RNG.normal(size=(16, 7, 4)).astype("float32"), 4, 6
    ways = [[RNG.normal(size=(n, 4 * units)).astype("float32") / n**0.5 for n in (width, units)] for _ in range(2)]
    head = RNG.normal(size=(2 * units, 3)).astype("float32") / (2 * units) ** 0.5

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.read = nn.LSTM(width, units, batch_first=True, bidirectional=True, bias=False)
            for end, (into, back) in zip(("", "_reverse"), ways, strict=True):
                getattr(self.read, f"weight_ih_l0{end}").data = torch.tensor(into.T)
                getattr(self.read, f"weight_hh_l0{end}").data = torch.tensor(back.T)
            self.out = linear(head)

        def forward(self, x):
            return self.out(self.read(x)[0].mean(1))

    both = L.Bidirectional(L.LSTM(units, return_sequences=True, use_bias=False), name="read")
    twin = keras.Sequential([keras.Input((7, width)), both, L.GlobalAveragePooling1D(), dense(head, "out")])
    both.set_weights([matrix for way in ways for matrix in way])
    model, labels = Reader(), Y[:16]
    np.testing.assert_allclose(model(torch.tensor(x)).detach(), twin(x), rtol=1e-4, atol=1e-6)
    alike(*(gradclinic.probe(m, x, labels, lr=0.1) for m in (model, twin)), ("read", "out"))


class Denoiser(nn.Module):
    """A sample is disturbed before it is read."""

    def __init__(self):
        super().__init__()
        self.first, self.out = linear(MATRICES[0]), linear(HEAD)

    def forward(self, x, noise):
        return self.out(functional.silu(self.first(x + 0.3 * noise)))


def keras_denoiser():
    x, noise = keras.Input((WIDTH,)), keras.Input((WIDTH,))
    h = L.Activation("silu")(dense(MATRICES[0], "first")(x + 0.3 * noise))
    return keras.Model([x, noise], dense(HEAD, "out")(h))


def test_noise_in_the_samples():
    noise = RNG.normal(size=(3, *X.shape)).astype("float32")
    model, twin = Denoiser(), keras_denoiser()
    alike(*(gradclinic.probe(m, (X, noise[0]), Y, lr=0.1) for m in (model, twin)), ("first", "out"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=2) as first:
        for drawn in noise:
            optimizer.zero_grad()
            functional.cross_entropy(model(torch.tensor(X), torch.tensor(drawn)), torch.tensor(Y)).backward()
            optimizer.step()
    twin.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with gradclinic.watch(twin, every=2) as other:
        for drawn in noise:
            twin.train_on_batch([X, drawn], Y)
    assert first.report.steps == other.report.steps == (0, 2)
    for quantity in ("delta", "weight_gradient", "weight", "update"):
        np.testing.assert_allclose(first.report.column(quantity), other.report.column(quantity), rtol=1e-3)


def alike(first, other, names):
    """Rows of these names, verdict and causes of two reports."""
    rows, twins = ({layer.name: layer for layer in report.layers} for report in (first, other))
    for name in names:
        for quantity in ("delta", "weight_gradient", "weight", "update"):
            wanted = getattr(twins[name], quantity)
            assert wanted > 0
            assert getattr(rows[name], quantity) == pytest.approx(wanted, rel=1e-3), (name, quantity)
    assert first.verdict == other.verdict
    assert [cause.key for cause in first.causes] == [cause.key for cause in other.causes]


def test_a_stateful_layer_keeps_its_states():
    model = keras.Sequential([keras.Input(batch_shape=(16, 5, 4)), L.LSTM(6, stateful=True), L.Dense(3)])
    x = RNG.normal(size=(16, 5, 4)).astype("float32")
    model(x)
    before = [v.numpy() for v in model.layers[0].states]
    gradclinic.probe(model, x, Y[:16])
    for kept, now in zip(before, model.layers[0].states, strict=True):
        assert (kept == now.numpy()).all()


def test_losses_of_keras_take_their_arguments_in_their_own_order():
    model = keras.Sequential([keras.Input((WIDTH,)), dense(HEAD, "out")])
    wanted = gradclinic.probe(model, X, Y)
    own = gradclinic.probe(model, X, Y, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert own.loss == pytest.approx(wanted.loss, rel=1e-6)
    ending = keras.Sequential([keras.Input((WIDTH,)), dense(HEAD, "out"), L.Softmax()])
    assert "softmax" in [cause.key for cause in gradclinic.probe(ending, X, Y).causes]


def test_an_update_is_over_the_weight_before_the_step():
    model = nn.Sequential(linear(MATRICES[0]), nn.ReLU(), linear(HEAD))
    twin = keras.Sequential([keras.Input((WIDTH,)), dense(MATRICES[0], "0"), L.ReLU(), dense(HEAD, "2")])
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)  # so large that before and after differ
    with gradclinic.watch(model, every=1) as first:
        for _ in range(2):
            optimizer.zero_grad()
            functional.cross_entropy(model(torch.tensor(X)), torch.tensor(Y)).backward()
            optimizer.step()
    twin.compile(keras.optimizers.SGD(2.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with gradclinic.watch(twin, every=1) as other:
        twin.fit(np.tile(X, (2, 1)), np.tile(Y, 2), batch_size=32, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(first.report.column("update"), other.report.column("update"), rtol=1e-4)
    np.testing.assert_allclose(first.report.column("weight"), other.report.column("weight"), rtol=1e-5)
