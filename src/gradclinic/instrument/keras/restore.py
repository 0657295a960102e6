"""Handing a batch to a Keras model, and leaving everything as it was."""

# Keras declares few types; what a checker infers of its attributes is every backend at once, or None until built.
# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportOptionalOperand=false, reportAssignmentType=false

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from tensorflow.python.eager import context as tf_context

from gradclinic.instrument.keras.measure import dense, keras, named, numpy, tf


@contextlib.contextmanager
def restored(model: keras.Model) -> Iterator[Callable[[], None]]:
    """Put back what a batch may change: running statistics, metrics, seeds and the random states of Python, NumPy, TF;
    yields a function that does it in between."""
    moving = {id(v) for v in model.trainable_variables}
    held = {id(v): v for v in [*model.variables, *(v for m in model.metrics for v in m.variables)]}
    held |= {id(v): v for layer in model._flatten_layers() for v in _states(layer)}
    kept = [(v, v.numpy()) for key, v in held.items() if key not in moving]
    general = keras.src.backend.common.global_state.get_global_attribute("global_seed_generator")
    if general is not None:
        kept.append((general.state, general.state.numpy()))
    # A model may draw from the legacy global generator, whatever this code thinks of it.
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    eager = getattr(tf_context.context(), "_rng", None)  # draws operation seeds once tf.random.set_seed was called
    drawn = eager.getstate() if eager is not None else None
    stateful = tf.random.get_global_generator().state.numpy()

    def rewind() -> None:
        for v, before in kept:
            v.assign(before)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        if eager is not None:
            eager.setstate(drawn)
        tf.random.get_global_generator().state.assign(stateful)

    try:
        yield rewind
    finally:
        rewind()


def _states(layer: keras.layers.Layer) -> list[keras.Variable]:
    """What a stateful recurrent layer remembers, which is none of the model's variables."""
    found = getattr(layer, "states", None) or ()
    return [v for v in tf.nest.flatten(found) if isinstance(v, keras.Variable)]


def check(model: Any, loss: Any, lr: Any, optimizer: Any) -> None:
    """Refuse what cannot be probed or watched, naming the argument."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model: got {type(model).__name__}, wanted a torch.nn.Module or a keras.Model")
    if loss is not None and not callable(loss):
        raise TypeError(
            f"loss: got {type(loss).__name__}, wanted a function loss(output, y) that returns the batch mean"
        )
    if lr is not None and (isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < math.inf):
        raise ValueError(f"lr: got {lr!r}, wanted a positive number")
    if optimizer is not None and lr is not None:
        raise ValueError("lr: got a step size and an optimizer, wanted one of the two: the optimizer knows its own")
    if optimizer is not None and not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(f"optimizer: got {type(optimizer).__name__}, wanted a keras.optimizers.Optimizer")


def prepared(value: Any, dtype: str) -> Any:
    """Tensors of all arrays; NumPy floats in the model's precision, tensors as they are."""
    if isinstance(value, Mapping):
        return {key: prepared(part, dtype) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(prepared(part, dtype) for part in value)
    if isinstance(value, np.ndarray | np.generic):
        t = tf.convert_to_tensor(value)
        return tf.cast(t, dtype) if t.dtype.is_floating else t
    return value


def batch_of(x: Any, y: Any) -> int:
    """Length of the first axis of the first target, else of the first input."""
    for value in (y, x):
        for _, t in named(value):
            if getattr(t, "shape", None) is not None and len(t.shape):
                return int(t.shape[0])
    raise ValueError(f"x: got {type(x).__name__} without an array that has a batch axis, wanted at least one")


def called(loss: Callable, output: Any, y: Any) -> tf.Tensor:
    """A reader's ``loss(output, y)``; one of Keras's own, which take the targets first, is handed them first."""
    own = isinstance(loss, keras.losses.Loss) or getattr(loss, "__module__", "").startswith("keras.src.losses")
    return tf.reduce_mean(loss(y, output)) if own else loss(output, y)


def default_loss(fallback: Callable[[Any, Any], tf.Tensor], output: Any, y: Any) -> tf.Tensor:
    """Call the loss that stands for ``None``, with words for what it cannot take."""
    if not isinstance(output, tf.Tensor):
        got = type(output).__name__
        raise ValueError(f"loss: got None for a model that returns {got}, wanted loss(output, y) or a compiled loss")
    if not isinstance(y, tf.Tensor):
        raise ValueError(f"y: got {type(y).__name__}, wanted one array of targets where loss is None")
    if output.shape.rank < 2:
        raise ValueError(f"loss: got None for an output of shape {tuple(output.shape)}, wanted (batch, n) or a loss")
    if y.dtype == tf.bool:
        raise ValueError("y: got bool, wanted integer labels or float targets where loss is None")
    if y.dtype.is_floating:
        return fallback(tf.cast(output, y.dtype), y)
    if y.shape.rank >= 2 and output.shape[:-1] == y.shape:  # a label for each place
        output, y = tf.reshape(output, (-1, output.shape[-1])), tf.reshape(y, (-1,))
    low, high = int(tf.reduce_min(y)), int(tf.reduce_max(y))
    if low < 0 or high >= output.shape[-1]:
        wanted = f"wanted 0 to {output.shape[-1] - 1}: the model has {output.shape[-1]} outputs"
        raise ValueError(f"y: got labels from {low} to {high}, {wanted}")
    return fallback(tf.cast(output, tf.float32) if output.dtype.size < 4 else output, tf.cast(y, tf.int64))


def guess(model: keras.Model, loss: Any, compiled: bool, output: Any, y: Any) -> float | None:
    """What a guess that ignores the input costs; ``None`` for a loss that is not known here."""
    if loss is not None or not isinstance(output, tf.Tensor) or not isinstance(y, tf.Tensor):
        return None
    if compiled:
        given = model.loss
        name = given if isinstance(given, str) else getattr(given, "name", getattr(given, "__name__", ""))
        return math.log(output.shape[-1]) if "categorical_crossentropy" in name else None
    if not y.dtype.is_floating:
        return math.log(output.shape[-1])
    values = numpy(y).astype(np.float64)
    if values.ndim < 2:
        return None
    return float(0.5 * np.mean(np.sum(((values - values.mean(0)) ** 2).reshape(len(values), -1), 1)))


def after_step(
    gradients: Mapping[int, Any],
    variables: list[keras.Variable],
    lr: float,
    optimizer: keras.optimizers.Optimizer | None,
) -> list[tf.Tensor]:
    """Values of all variables as they would be after one step; nothing is stepped."""
    if optimizer is None:
        return [
            v.value - lr * dense(gradients[id(v)]) if gradients.get(id(v)) is not None else v.value for v in variables
        ]
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # the gradients here are not those of a scaled loss
    held = list(optimizer._trainable_variables) if optimizer.built else variables
    if not {id(v) for v in held} & {id(v) for v in variables}:
        raise ValueError("optimizer: got one that holds none of the model's variables, wanted the model's own")
    # Where gradients are accumulated, the step that they are collected for, from this gradient alone.
    settings = optimizer.get_config() | {"gradient_accumulation_steps": None}
    twin = type(optimizer).from_config(settings)
    stepped = [keras.Variable(v.numpy(), dtype=v.dtype, name=v.name) for v in held]
    twin.build(stepped)
    if optimizer.built:
        collected = {id(v) for v in getattr(optimizer, "_accumulated_gradients", ())}
        state = [v for v in optimizer.variables if id(v) not in collected]
        for copied, v in zip(twin.variables, state, strict=True):
            copied.assign(v.value)
    twin.apply([dense(gradients[id(v)]) if gradients.get(id(v)) is not None else None for v in held], stepped)
    stepped = [v.value for v in stepped]
    after = {id(v): value for v, value in zip(held, stepped, strict=True)}
    return [after.get(id(v), v.value) for v in variables]
