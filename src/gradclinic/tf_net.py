"""The networks of :mod:`gradclinic.spec` in TensorFlow (Keras 3), and the instrument for Keras models.

``build``, ``load``, ``profile`` and ``train`` have twins of the same name and meaning in :mod:`gradclinic.torch_net`.
Keras stores a dense kernel as ``(n_in, n_out)``: :func:`load` transposes, and so does every weight gradient.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, overload

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up lines about CPU features or missing GPUs
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN may reorder sums; the book compares digits

import keras
import tensorflow as tf

from gradclinic.measure import GradientProfile, History, profile_from
from gradclinic.numpy_net import EPSILON, RNNParameters
from gradclinic.spec import MLP, RNN, Parameters, check_parameters

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "adagrad": keras.optimizers.Adagrad,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
}


def _leaky_relu(z: tf.Tensor) -> tf.Tensor:
    """Slope 0.01 on the left. (Keras's default is 0.3, and ``tf.nn.leaky_relu`` rounds its slope to float32.)"""
    return tf.maximum(z, 0.01 * z)


def _gelu(z: tf.Tensor) -> tf.Tensor:
    """``z Phi(z)`` with the exact error function. (Keras's own rounds its constants to float32.)"""
    return 0.5 * z * (1.0 + tf.math.erf(z / math.sqrt(2.0)))


def _activation(name: str, dtype: str) -> keras.layers.Layer:
    return keras.layers.Activation({"leaky_relu": _leaky_relu, "gelu": _gelu}.get(name, name), dtype=dtype)


class EnsembleDense(keras.layers.Layer):
    """``E`` dense layers at once: ``z = a K + b`` with ``K`` ``(E, n_in, n_out)`` and ``b`` ``(E, n_out)``."""

    activation: Callable[..., tf.Tensor]
    kernel: keras.Variable
    bias: keras.Variable | None

    def __init__(self, members: int, n_in: int, n_out: int, bias: bool, dtype: str) -> None:
        """Allocate zeros; :func:`load` brings the numbers."""
        super().__init__(dtype=dtype)
        self.activation = keras.activations.linear  # where profile() reads z, as in keras.layers.Dense
        self.kernel = self.add_weight(shape=(members, n_in, n_out), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(members, n_out), initializer="zeros", name="bias") if bias else None
        self.built = True

    def call(self, a: tf.Tensor) -> tf.Tensor:
        """``a``: ``(batch, n_in)`` or ``(E, batch, n_in)`` -> ``(E, batch, n_out)``."""
        z = tf.matmul(a, self.kernel)
        return self.activation(z if self.bias is None else z + self.bias[:, None, :])


class Normalization(keras.layers.Layer):
    """Batch or layer normalisation with gain and shift, for one network ``(batch, n)`` or an ensemble ``(E, batch,
    n)``."""

    columns: tuple[int, ...]
    inner: Any  # keras.layers.BatchNormalization of a batch, None of a layer: Keras types what it builds as optional
    gain: keras.Variable
    shift: keras.Variable

    def __init__(self, kind: str, width: int, members: int | None, dtype: str) -> None:
        """Start with gain 1, shift 0 and running statistics of a standard normal."""
        super().__init__(dtype=dtype)
        self.columns = (width,) if members is None else (members, width)
        if kind == "batch":  # Keras keeps 99 % of the old running statistics, PyTorch 90 %: here both keep 90 %
            self.inner = keras.layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, dtype=dtype)
            self.inner.build((None, int(np.prod(self.columns))))
            self.gain, self.shift = self.inner.gamma, self.inner.beta
        else:
            self.inner = None
            self.gain = self.add_weight(shape=self.columns, initializer="ones", name="gain")
            self.shift = self.add_weight(shape=self.columns, initializer="zeros", name="shift")
        self.built = True

    def call(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalise over the batch axis (running statistics unless ``training``) or over the units."""
        if self.inner is None:
            mean, variance = tf.nn.moments(z, axes=[-1], keepdims=True)
            gain, shift = self.gain[..., None, :], self.shift[..., None, :]
            return (z - mean) / tf.sqrt(variance + EPSILON) * gain + shift
        if z.shape.ndims == 2:
            return self.inner(z, training=training)
        members, width = self.columns
        columns = tf.reshape(tf.transpose(z, [1, 0, 2]), [-1, members * width])
        out = self.inner(columns, training=training)
        return tf.transpose(tf.reshape(out, [-1, members, width]), [1, 0, 2])


class MLPNet(keras.Model):
    """The model :func:`build` makes of an :class:`~gradclinic.spec.MLP`: ``linears``, ``norms``, ``acts``, in order."""

    spec: MLP
    members: int | None
    linears: list[Any]  # of keras.layers.Dense or EnsembleDense
    norms: list[Normalization]
    acts: list[keras.layers.Layer]

    def __init__(self, spec: MLP, members: int | None, dtype: str) -> None:
        """Build the layers with Keras's own default initialisation."""
        super().__init__(dtype=dtype)  # a model without it casts its inputs to float32
        self.spec, self.members = spec, members
        self.linears = []
        for n_in, n_out in zip(spec.widths[:-1], spec.widths[1:], strict=True):
            if members is None:
                dense = keras.layers.Dense(n_out, use_bias=spec.bias, dtype=dtype)
                dense.build((None, n_in))
            else:
                dense = EnsembleDense(members, n_in, n_out, spec.bias, dtype)
            self.linears.append(dense)
        self.norms = [
            Normalization(spec.normalization, n, members, dtype) for n in spec.widths[1:-1] if spec.normalization
        ]
        self.acts = [_activation(spec.activation, dtype) for _ in spec.widths[1:-1]]
        self.built = True

    def call(self, a: tf.Tensor, training: bool = False) -> tf.Tensor:
        """``(batch, n_0)`` -> ``(batch, n_L)``, or ``(E, batch, n_L)`` for an ensemble."""
        for layer, (linear, act) in enumerate(zip(self.linears[:-1], self.acts, strict=True), start=1):
            z = linear(a)
            if self.norms:
                z = self.norms[layer - 1](z, training=training)
            branch = act(z)
            a = a + self.spec.branch_scale * branch if self.spec.skips(layer) else branch
        return self.linears[-1](a)


class RNNNet(keras.Model):
    """The model :func:`build` makes of an :class:`~gradclinic.spec.RNN`; eager calls keep ``z_t`` in ``states``."""

    def __init__(self, spec: RNN, dtype: str) -> None:
        """Build ``recurrent`` (no bias), ``input`` and ``readout``."""
        super().__init__(dtype=dtype)
        self.spec = spec
        self.recurrent = keras.layers.Dense(spec.hidden, use_bias=False, dtype=dtype)
        self.input_layer = keras.layers.Dense(spec.hidden, dtype=dtype)
        self.readout = keras.layers.Dense(spec.outputs, dtype=dtype)
        self.recurrent.build((None, spec.hidden))
        self.input_layer.build((None, spec.inputs))
        self.readout.build((None, spec.hidden))
        self.act = _activation(spec.activation, dtype)
        self.states: list[tf.Tensor] = []
        self.built = True

    def call(self, x: Any) -> tf.Tensor:
        """``(batch, T, inputs)`` -> ``(batch, outputs)``."""
        h = tf.zeros([x.shape[0], self.spec.hidden], x.dtype)
        states = []
        for t in range(x.shape[1]):
            states.append(self.recurrent(h) + self.input_layer(x[:, t]))
            h = self.act(states[-1])
        if tf.executing_eagerly():
            self.states = states
        return self.readout(h)


@overload
def build(spec: MLP, params: Parameters | None = None, *, dtype: str = "float64") -> MLPNet: ...
@overload
def build(spec: RNN, params: RNNParameters | None = None, *, dtype: str = "float64") -> RNNNet: ...
def build(spec: MLP | RNN, params: Any = None, *, dtype: str = "float64") -> MLPNet | RNNNet:
    """Make a model of ``spec``; with ``params`` its weights are loaded and fix the size of the ensemble.

    Without ``params`` the weights are Keras's own default (``Dense``: Glorot uniform, biases 0).

    >>> import numpy as np
    >>> from gradclinic import init, tf_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, 16, 16, 2), "relu")
    >>> model = tf_net.build(spec, init.mlp(spec, np.random.default_rng(0)))
    >>> [tuple(linear.kernel.shape) for linear in model.linears]
    [(8, 16), (16, 16), (16, 2)]
    """
    if isinstance(spec, RNN):
        model: MLPNet | RNNNet = RNNNet(spec, dtype)
    elif isinstance(spec, MLP):
        model = MLPNet(spec, None if params is None else params.members, dtype)
    else:
        raise TypeError(f"spec: got {type(spec).__name__}, wanted gradclinic.spec.MLP or RNN")
    return model if params is None else load(model, params)


@overload
def load(model: MLPNet, params: Parameters) -> MLPNet: ...
@overload
def load(model: RNNNet, params: RNNParameters) -> RNNNet: ...
def load(model: MLPNet | RNNNet, params: Any) -> MLPNet | RNNNet:
    """Copy weights drawn in NumPy into ``model`` and return it. ``ValueError`` where a shape does not fit.

    >>> import numpy as np
    >>> from gradclinic import init, tf_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, 16, 2))
    >>> params = init.mlp(spec, np.random.default_rng(0))
    >>> model = tf_net.load(tf_net.build(spec), params)
    >>> bool((model.linears[0].kernel.numpy().T == params.weights[0]).all())
    True
    """
    kernels: list[tuple[Any, np.ndarray]]
    vectors: list[tuple[Any, np.ndarray]]
    if isinstance(model, RNNNet):
        kernels = [
            (model.recurrent.kernel, params.recurrent),
            (model.input_layer.kernel, params.input),
            (model.readout.kernel, params.readout),
        ]
        vectors = [(model.input_layer.bias, params.bias), (model.readout.bias, params.readout_bias)]
    else:
        check_parameters(model.spec, params, () if model.members is None else (model.members,))
        kernels = [(m.kernel, w) for m, w in zip(model.linears, params.weights, strict=True)]
        vectors = []
        if model.spec.bias:
            vectors += [(m.bias, b) for m, b in zip(model.linears, params.biases, strict=True)]
        if model.spec.normalization:
            vectors += [(m.gain, np.reshape(g, m.gain.shape)) for m, g in zip(model.norms, params.gains, strict=True)]
            vectors += [
                (m.shift, np.reshape(s, m.shift.shape)) for m, s in zip(model.norms, params.shifts, strict=True)
            ]
    for target, source in [(k, np.swapaxes(w, -1, -2)) for k, w in kernels] + vectors:
        if tuple(target.shape) != np.shape(source):
            raise ValueError(f"params: got an array of shape {np.shape(source)}, wanted {tuple(target.shape)}")
        target.assign(source)
    return model


def loss_function(output: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Batch-mean loss per member: softmax cross-entropy for integer ``y``, ``(1/2)||output - y||^2`` for float ``y``.

    ``output``: ``(..., batch, n)`` -> ``(...)``.

    >>> import tensorflow as tf
    >>> from gradclinic import tf_net
    >>> round(float(tf_net.loss_function(tf.zeros((5, 10)), tf.range(5))), 4)
    2.3026
    """
    if y.dtype.is_floating:
        if y.shape[-2:] != output.shape[-2:]:
            raise ValueError(f"y: got shape {tuple(y.shape)}, wanted (..., {output.shape[-2]}, {output.shape[-1]})")
        return 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(output - y), -1), -1)
    if y.shape != output.shape[-2:-1]:
        raise ValueError(f"y: got shape {tuple(y.shape)}, wanted one label per sample, ({output.shape[-2]},)")
    picked = tf.one_hot(y, output.shape[-1], dtype=output.dtype)
    return -tf.reduce_mean(tf.reduce_sum(picked * tf.nn.log_softmax(output), -1), -1)


def _tensors(model: keras.Model, x: Any, y: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Inputs and targets; floats in the model's precision, labels as int64."""
    dtype = model.trainable_variables[0].dtype if model.trainable_variables else keras.config.floatx()
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    x = tf.cast(x, dtype) if x.dtype.is_floating else x
    return x, tf.cast(y, dtype if y.dtype.is_floating else tf.int64)


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    if isinstance(model, MLPNet):
        return list(model.linears)
    kinds = (keras.layers.Dense, EnsembleDense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    found = [layer for layer in model._flatten_layers(include_self=False) if isinstance(layer, kinds)]
    if not found:
        raise ValueError("model: got a model without Dense or Conv layers, wanted at least one")
    return found


@contextlib.contextmanager
def _recorded(layers: list[keras.layers.Layer], seen: dict) -> Iterator[None]:
    """Let each layer's activation note the pre-activation it receives; put the activations back afterwards."""

    def watch(layer: keras.layers.Layer, act: Callable) -> Callable:
        def noted(z: tf.Tensor) -> tf.Tensor:
            if layer in seen:
                raise ValueError(f"model: layer {layer.name} ran twice in one forward pass, wanted each layer once")
            seen[layer] = z
            return act(z)

        return noted

    kept = [(layer, layer.activation) for layer in layers]
    try:
        for layer, act in kept:
            layer.activation = watch(layer, act)
        yield
    finally:
        for layer, act in kept:
            layer.activation = act


def profile(
    model: keras.Model,
    x: np.ndarray | tf.Tensor,
    y: np.ndarray | tf.Tensor,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> GradientProfile:
    """One batch through ``model``: the gradient in each dense or convolutional layer, in the order of their first call.

    ``delta`` is taken at the pre-activation, also where the layer carries its activation itself (``Dense(8,
    "tanh")``). The model runs with ``training=True``, so batch normalisation uses the batch; a layer that runs twice
    raises ``ValueError``. An :class:`RNNNet` gives one entry per time step. ``loss(output, y)`` returns the batch mean
    (one value per member of an ensemble); ``None`` means :func:`loss_function`. Weights and running statistics are
    left as they were.

    >>> import numpy as np
    >>> from gradclinic import init, tf_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, *[8] * 12, 2), "sigmoid")
    >>> x = np.random.default_rng(1).normal(size=(20, 8))
    >>> y = np.zeros(20, dtype=int)
    >>> params = init.mlp(spec, np.random.default_rng(0), "glorot_normal")
    >>> profile = tf_net.profile(tf_net.build(spec, params), x, y)
    >>> profile.delta.shape, profile.verdict
    ((13,), 'vanishing')
    """
    loss = loss or loss_function
    inputs, targets = _tensors(model, x, y)
    if isinstance(model, RNNNet):
        return _profile_through_time(model, inputs, targets, loss)
    seen: dict[keras.layers.Layer, tf.Tensor] = {}
    kept = [variable.numpy() for variable in model.non_trainable_variables]
    with _recorded(_layers(model), seen), tf.GradientTape() as tape:
        value = loss(model(inputs, training=True), targets)
        total = tf.reduce_sum(value)
    for variable, before in zip(model.non_trainable_variables, kept, strict=True):
        variable.assign(before)
    z, kernels = list(seen.values()), [layer.kernel for layer in seen]
    found: Any = tape.gradient(total, [*z, *(k.value for k in kernels)])
    ensemble = isinstance(model, MLPNet) and model.members is not None
    shape: Any = inputs.shape
    batch = int(shape[-2] if ensemble else shape[0])
    delta = [g.numpy() * batch for g in found[: len(z)]]
    grads = [g.numpy() for g in found[len(z) :]]
    if not ensemble:
        delta = [d.reshape(len(d), -1) for d in delta]
        grads = [g.reshape(-1, g.shape[-1]) for g in grads]
    names = model.spec.names if isinstance(model, MLPNet) else [layer.name for layer in seen]
    return profile_from(names, delta, [np.swapaxes(g, -1, -2) for g in grads], value.numpy()[()])


def _profile_through_time(model: RNNNet, x: tf.Tensor, y: tf.Tensor, loss: Callable[..., tf.Tensor]) -> GradientProfile:
    with tf.GradientTape() as tape:
        value = loss(model(x), y)
    found: Any = tape.gradient(value, model.states)
    delta = [g * len(x) for g in found]
    before = [tf.zeros_like(delta[0]), *(model.act(z) for z in model.states[:-1])]  # h_{t-1}
    grads = [(tf.transpose(d) @ h / len(x)).numpy() for d, h in zip(delta, before, strict=True)]
    names = [f"t = {t}" for t in range(1, len(delta) + 1)]
    return profile_from(names, [d.numpy() for d in delta], grads, value.numpy()[()])


def train(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    steps: int,
    lr: float,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    optimizer: str | Callable[..., keras.optimizers.Optimizer] = "sgd",
    batch_size: int | None = None,
    rng: np.random.Generator | None = None,
    each_step: Callable[[int, keras.Model], None] | None = None,
) -> History:
    """Train in place for ``steps`` steps of size ``lr`` and return the loss before each step.

    Full batch unless ``batch_size`` is given; then ``rng`` draws each batch, the same in both frameworks. Members of an
    ensemble share the batches and nothing else: the summed loss gives each its own gradient. ``optimizer`` is a name
    of :data:`OPTIMIZERS` or a callable ``(learning_rate=...)``. ``each_step(step, model)`` runs after each step.

    >>> import numpy as np
    >>> from gradclinic import init, tf_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, 16, 2), "relu")
    >>> x = np.random.default_rng(1).normal(size=(50, 8))
    >>> model = tf_net.build(spec, init.mlp(spec, np.random.default_rng(0)))
    >>> history = tf_net.train(
    ...     model, x, (x[:, 0] > 0).astype(int), steps=50, lr=0.5
    ... )
    >>> history.loss.shape, bool(history.loss[-1] < 0.2 * history.loss[0])
    ((50,), True)
    """
    loss = loss or loss_function
    inputs, targets = _tensors(model, x, y)
    make = OPTIMIZERS.get(optimizer) if isinstance(optimizer, str) else optimizer
    if make is None:
        raise ValueError(f"optimizer: got {optimizer!r}, wanted one of {', '.join(OPTIMIZERS)} or a callable")
    if batch_size is not None and rng is None:
        raise ValueError("rng: got None, wanted a numpy Generator to draw the batches")
    rule = make(learning_rate=lr)
    rule.build(model.trainable_variables)

    @tf.function(reduce_retracing=True)
    def one_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = loss(model(x, training=True), y)
            total = tf.reduce_sum(value)
        rule.apply_gradients(
            zip(tape.gradient(total, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return value

    losses = []
    for step in range(steps):
        if batch_size is None or rng is None:
            value = one_step(inputs, targets)
        else:
            rows = rng.choice(len(targets), batch_size, replace=False)
            value = one_step(tf.gather(inputs, rows), tf.gather(targets, rows))
        losses.append(value.numpy()[()])
        if each_step is not None:
            each_step(step, model)
    return History(np.array(losses))


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float | np.ndarray:
    """Share of correct labels in evaluation mode, ``(...)`` for an ensemble.

    >>> import numpy as np
    >>> from gradclinic import init, tf_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((2, 2))
    >>> model = tf_net.build(spec, init.mlp(spec, np.random.default_rng(0)))
    >>> x = np.random.default_rng(1).normal(size=(100, 2))
    >>> labels = (x @ model.linears[0].kernel.numpy()).argmax(axis=1)
    >>> tf_net.accuracy(model, x, labels)
    1.0
    """
    inputs, targets = _tensors(model, x, y)
    right = np.mean(np.argmax(model(inputs, training=False).numpy(), -1) == targets.numpy(), -1)
    return float(right) if np.ndim(right) == 0 else right
