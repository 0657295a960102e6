"""The probe against a GradientTape by hand, on the kinds of Keras models that readers bring."""

from __future__ import annotations

import random

import numpy as np
import pytest

import gradclinic
from gradclinic import tf_net  # sets Keras up before it is imported
from gradclinic.tf_net import keras, tf

layers = keras.layers
RTOL = 1e-6


def images(n=12):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 8, 8, 1)).astype("float32"), rng.integers(0, 3, n)


def rows(n=12, width=6):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, width)).astype("float32"), rng.integers(0, 3, n)


def tokens(n=6, length=9):
    rng = np.random.default_rng(2)
    return rng.integers(0, 11, (n, length)), rng.integers(0, 3, n)


def sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(3, name="out"),
        ]
    )


def functional():
    """Embedding, recurrent layers and attention; a layer used twice and a nested model."""
    ids = keras.Input((9,), dtype="int64")
    h = layers.Embedding(11, 8, name="embed")(ids)
    h = layers.LSTM(6, return_sequences=True, name="lstm")(h)
    h = layers.MultiHeadAttention(2, 3, name="attend")(h, h)
    h = layers.Bidirectional(layers.GRU(4), name="both")(h)
    twice = layers.Dense(8, "tanh", name="twice")
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(5, "gelu", name="deep")], name="inner")
    return keras.Model(ids, layers.Dense(3, name="out")(inner(twice(twice(h)))))


class Subclassed(keras.Model):
    """Two inputs, two outputs, a frozen layer, an idle one, functions called in ``call``."""

    def __init__(self):
        super().__init__()
        self.left, self.right = layers.Dense(4, name="left"), layers.Dense(4, name="right")
        self.frozen = layers.Dense(4, name="frozen", trainable=False)
        self.idle = layers.Dense(2, name="idle")
        self.mean, self.spread = layers.Dense(1, name="mean"), layers.Dense(1, name="spread", activation="softplus")

    def build(self, shape):
        for layer, width in ((self.left, 6), (self.right, 6), (self.frozen, 4), (self.idle, 4)):
            layer.build((None, width))
        self.mean.build((None, 4))
        self.spread.build((None, 4))
        self.built = True

    def call(self, inputs):
        h = tf.nn.relu(self.left(inputs["left"]) + self.right(inputs["right"]))
        h = self.frozen(keras.ops.tanh(h))
        return {"mean": self.mean(h), "spread": self.spread(h)}


def gaussian(output, y):
    spread = output["spread"][:, 0] + 0.1
    return tf.reduce_mean(tf.square(output["mean"][:, 0] - y) / spread + tf.math.log(spread))


x, _ = rows()
ZOO = {
    "sequential": (sequential, *images(), None),
    "functional": (functional, *tokens(), None),
    "subclassed": (Subclassed, {"left": x, "right": x[::-1].copy()}, x[:, 0], gaussian),
}


def make(name):
    keras.utils.set_random_seed(0)
    build, x, y, loss = ZOO[name]
    model = build()
    if not model.built:
        model.build(None)
    return model, x, y, loss


def cross_entropy(output, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, output))


@pytest.mark.parametrize("name", ZOO)
def test_values_are_those_of_the_tape(name):
    model, x, y, loss = make(name)
    kept = [v.numpy() for v in model.variables]
    report = gradclinic.probe(model, x, y, loss)
    assert all((a == v.numpy()).all() for a, v in zip(kept, model.variables, strict=True))
    with tf.GradientTape() as tape:
        options = {"training": True} if name != "subclassed" else {}
        value = (loss or cross_entropy)(model(tf.nest.map_structure(tf.convert_to_tensor, x), **options), y)
    found = tape.gradient(value, model.trainable_variables)
    assert report.loss == pytest.approx(float(value), rel=RTOL)
    assert report.verdict == "healthy"
    norms = {}
    for v, g in zip(model.trainable_variables, found, strict=True):
        if g is not None and "bias" not in v.name and v.name != "beta":
            owner = next(
                (
                    row
                    for row in report.names
                    if f"/{row}/" in f"/{v.path}/" or row.rpartition("/")[2] in v.path.split("/")
                ),
                None,
            )
            norms.setdefault(owner, []).append(np.linalg.norm(tf.convert_to_tensor(g).numpy()))
    assert set(norms) == {layer.name for layer in report.layers if not layer.frozen}
    for owner, parts in norms.items():
        assert report[owner].weight_gradient == pytest.approx(np.linalg.norm(parts), rel=1e-5), owner


def test_delta_of_a_layer_with_its_own_activation_is_taken_before_it():
    model, x, y, _ = make("sequential")
    report = gradclinic.probe(model, x, y)
    conv, norm, _, flat, out = model.layers
    keras.utils.set_random_seed(0)
    generator = model.layers[2].seed_generator.state.numpy()
    with tf.GradientTape() as tape:
        z = tf.nn.conv2d(x, conv.kernel.value, 1, "VALID") + conv.bias.value
        a = norm(tf.nn.relu(z), training=True)
        logits = out(flat(model.layers[2](a, training=True)))
        value = cross_entropy(logits, y)
    model.layers[2].seed_generator.state.assign(generator)
    wanted = [np.sqrt(len(y)) * np.linalg.norm(g.numpy()) for g in tape.gradient(value, [z, a, logits])]
    assert report["conv"].function == "relu"
    np.testing.assert_allclose(report.delta, wanted, rtol=1e-5)
    assert report["conv"].dead == pytest.approx(np.mean((z.numpy() <= 0).all((0, 1, 2))))


def test_repeated_nested_frozen_and_unused_parts():
    model, x, y, _ = make("functional")
    report = gradclinic.probe(model, x, y)
    assert report["twice"].calls == len(report["twice"].steps) == 2
    assert report["inner/deep"].function == "gelu"
    assert {"lstm", "both", "attend/query", "attend/attention_output"} <= set(report.names)
    assert len(report["lstm"].steps) == 9
    model, x, y, loss = make("subclassed")
    report = gradclinic.probe(model, x, y, loss)
    assert report["frozen"].frozen
    assert report["frozen"].weight_gradient is None
    assert report["frozen"].delta > 0
    assert [layer.function for layer in report.layers] == [None, "relu", None, None, "softplus"]
    assert [path.rpartition("/")[2] for path in report.unused] == ["kernel", "bias"]


def test_the_compiled_loss_is_used():
    model, x, y, _ = make("sequential")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    report = gradclinic.probe(model, x, y)
    assert report.loss_guess == pytest.approx(np.log(3))
    keras.utils.set_random_seed(1)
    assert report.loss == pytest.approx(gradclinic.probe(model, x, y, cross_entropy).loss, rel=1e-5)
    model.compile("sgd", "mse")
    assert gradclinic.probe(model, x, np.eye(3)[y]).loss < 5


@pytest.mark.parametrize("kind", [keras.optimizers.SGD, keras.optimizers.Adam, keras.optimizers.RMSprop])
def test_the_update_is_what_the_optimizer_then_does(kind):
    keras.utils.set_random_seed(0)
    x, y = rows()
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5, "tanh", name="a"), layers.Dense(3, name="b")])
    model.compile(kind(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for steps in (0, 3):
        for _ in range(steps):
            model.train_on_batch(x, y)
        state = [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
        report = gradclinic.probe(model, x, y, optimizer=model.optimizer)
        assert all(
            (a == v.numpy()).all() for a, v in zip(state, [*model.variables, *model.optimizer.variables], strict=True)
        )
        before = {layer.name: layer.kernel.numpy() for layer in model.layers}
        model.train_on_batch(x, y)
        for layer in model.layers:
            change = np.linalg.norm(layer.kernel.numpy() - before[layer.name]) / np.linalg.norm(before[layer.name])
            assert report[layer.name].update == pytest.approx(change, rel=1e-4)
        assert report.loss_after == pytest.approx(float(cross_entropy(model(x), y)), rel=1e-4)


class Moody(keras.Model):
    """Draws from several generators and can fail."""

    def __init__(self):
        super().__init__()
        self.dense, self.drop, self.norm = layers.Dense(3), layers.Dropout(0.5), layers.BatchNormalization()
        self.fail = False

    def call(self, x, training=False):
        if self.fail:
            raise KeyError("the reader's own mistake")
        return self.norm(self.dense(self.drop(x, training=training)), training=training) + random.random()


def snapshot(model):
    parts = [model, *model._flatten_layers(include_self=False)]
    return [sorted(k for k in vars(part) if k != "_losses") for part in parts], [
        v.numpy().tolist() for v in model.variables
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    x, y = rows()
    model = Moody()
    model(x)
    relu, call = tf.nn.relu, tf.GradientTape.gradient
    before, drawn, legacy = snapshot(model), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    model.fail = fails
    if fails:
        with pytest.raises(KeyError, match="the reader's own mistake"):
            gradclinic.probe(model, x, y)
    else:
        gradclinic.probe(model, x, y, lr=0.1)
    assert snapshot(model) == before
    assert random.getstate() == drawn
    assert np.random.get_state()[1].tolist() == legacy  # noqa: NPY002
    assert tf.nn.relu is relu
    assert tf.GradientTape.gradient is call
    assert model.dense.activation is keras.activations.linear


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precisions(policy):
    x, y = rows()
    keras.utils.set_random_seed(0)
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(16, "relu", name="a"), layers.Dense(3, name="b")])
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(16, "relu", name="a", dtype=policy), layers.Dense(3, name="b", dtype=policy)]
    )
    model.set_weights(plain.get_weights())
    wanted, found = gradclinic.probe(plain, x, y), gradclinic.probe(model, x, y)
    assert {layer.dtype for layer in found.layers} == {policy.removeprefix("mixed_")}
    np.testing.assert_allclose(found.delta, wanted.delta, rtol=0.05)
    np.testing.assert_allclose(found.weight_gradient, wanted.weight_gradient, rtol=0.05)


@pytest.mark.parametrize(
    ("function", "where", "operation"), [(tf.math.log, "forward", "Log"), (tf.sqrt, "backward", "SqrtGrad")]
)
def test_where_numbers_first_stop_being_finite(function, where, operation):
    keras.utils.set_random_seed(0)
    x, y = rows()
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, name="a"),
            layers.Lambda(lambda a: a * tf.cast(a > 0, a.dtype), name="half"),
            layers.Lambda(function, name="bad"),
            layers.Dense(3, name="b"),
        ]
    )
    found = gradclinic.probe(model, x, y).first_nonfinite
    assert found.stage == where
    assert found.name == ("bad (Lambda)" if where == "forward" else "a")
    assert found.operation.startswith(operation)
    x = x.copy()
    x[0, 0] = np.nan
    assert gradclinic.probe(model, x, y).first_nonfinite.stage == "input"


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (
            lambda m, x, y: (m, x, y + 7),
            ValueError,
            "y: got labels from 7 to 9, wanted 0 to 2: the model has 3 outputs",
        ),
        (lambda m, x, y: (m, x, None), ValueError, "y: got NoneType, wanted one array of targets"),
        (lambda m, x, y: (m, x, y, "mse"), TypeError, "loss: got str, wanted a function"),
        (lambda m, x, y: (m, x, y, lambda o, y: o), ValueError, r"loss: got shape \(12, 3\) from loss\(output, y\)"),
        (lambda m, x, y: (m, x, y, lambda o, y: 1.0), ValueError, "loss: got float"),
        (lambda m, x, y: (m, x, y, lambda o, y: tf.constant(1.0)), ValueError, "loss: got a value that depends on no"),
        (lambda m, x, y: (m, 3, None, lambda o, y: o), ValueError, "x: got int without an array"),
    ],
)
def test_bad_input_is_named(arguments, kind, words):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    with pytest.raises(kind, match=words):
        gradclinic.probe(*arguments(model, *rows()))
    with pytest.raises(ValueError, match="lr: got -1, wanted a positive number"):
        gradclinic.probe(model, *rows(), lr=-1)
    with pytest.raises(TypeError, match="optimizer: got str"):
        gradclinic.probe(model, *rows(), optimizer="adam")


def trained(watched, **options):
    """A small model after two epochs of ``fit``, watched or not."""
    keras.utils.set_random_seed(0)
    x, y = rows(40)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", name="a"),
            layers.BatchNormalization(name="n"),
            layers.Dropout(0.2),
            layers.Dense(3, name="b"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    if not watched:
        return model, model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0), None
    with gradclinic.watch(model, every=4) as run:
        history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return model, history, run.report


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}])
def test_fit_is_watched_and_not_changed(options):
    plain, history, _ = trained(False, **options)
    model, seen, report = trained(True, **options)
    assert seen.history == history.history
    for a, b in zip(plain.variables, model.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    assert report.steps == (0, 4, 8)
    assert report.total == 10
    assert report.names == ("a", "n", "b")
    assert np.isfinite(report.column("update")).all()
    assert "make_train_function" not in vars(model)
    assert all("call" not in vars(layer) for layer in model.layers)


def test_watch_reads_what_probe_reads():
    x, y = rows()
    model = trained(False)[0]
    probed = gradclinic.probe(model, x, y, lr=0.1)
    generators = [(v, v.numpy()) for v in model.non_trainable_variables]
    optimizer = keras.optimizers.SGD(0.1)
    with gradclinic.watch(model, every=3) as run:
        for step in range(5):
            if step == 3:
                for v, value in generators:
                    v.assign(value)
            with tf.GradientTape() as tape:
                value = cross_entropy(model(x, training=True), y)
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            model(x)  # an evaluation is no step
    report = run.report
    assert report.steps == (0, 3)
    assert report.total == 5
    for quantity in ("activation", "delta", "weight_gradient", "update", "dead", "saturated"):
        np.testing.assert_allclose(
            report.reports[0].column(quantity), probed.column(quantity), rtol=1e-4, err_msg=quantity
        )
    assert report.losses[0] == pytest.approx(probed.loss, rel=1e-5)
    assert report.losses[3] < report.losses[0]


def test_watch_with_an_optimizer_or_a_step_size():
    x, y = rows()
    model = trained(False)[0]
    optimizer = keras.optimizers.SGD(0.1)
    for given in ({"lr": 0.1}, {"optimizer": optimizer}):
        with gradclinic.watch(model, every=1, **given) as run:
            with tf.GradientTape() as tape:
                value = cross_entropy(model(x), y)
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        first = run.report.reports[0]
        np.testing.assert_allclose(first.update, 0.1 * first.weight_gradient / first.column("weight"), rtol=1e-4)
    assert "apply" not in vars(optimizer)


def test_watch_sees_the_first_bad_step_of_fit():
    x, y = rows(40)
    x[37, 0] = np.nan
    model = trained(False)[0]
    with gradclinic.watch(model, every=10) as run:
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    report = run.report
    assert report.nonfinite_step == 4
    assert report.steps == (0, 5)  # sampled out of turn, after the alarm
    assert report.first_nonfinite.stage == "parameter"


def test_what_cannot_be_watched():
    x, y = rows(40)
    model = trained(False)[0]
    model.compile("sgd", "mse", steps_per_execution=2)
    with pytest.raises(ValueError, match="model: got steps_per_execution=2, wanted 1"), gradclinic.watch(model):
        model.fit(x, np.eye(3)[y], verbose=0)
    with gradclinic.watch(model) as run:
        pass
    with pytest.raises(ValueError, match="watch: got no training step"):
        _ = run.report


def test_the_default_loss_is_that_of_tf_net():
    x, y = rows()
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    assert gradclinic.probe(model, x, y).loss == pytest.approx(
        float(tf_net.loss_function(model(x), tf.constant(y))), rel=RTOL
    )
