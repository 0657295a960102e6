"""Norms and counts of TensorFlow's tensors, and the layers of a Keras model with their paths."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as in tf_net: sums in one order

import keras
import tensorflow as tf

WRAPPERS = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)


def walk(layer: keras.layers.Layer, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """All layers below ``layer`` with their paths; recurrent layers and their wrappers are not opened."""
    for child in getattr(layer, "_layers", ()):
        if not isinstance(child, keras.layers.InputLayer):
            name = f"{prefix}{child.name}"
            yield name, child
            if not isinstance(child, WRAPPERS):
                yield from walk(child, f"{name}/")


def named(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every array or tensor in nested tuples, lists and dicts, with the expression that reaches it."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from named(part, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        for i, part in enumerate(value):
            yield from named(part, f"{name}[{i}]")
    elif value is not None:
        yield name, value


def floats(value: Any) -> list[tf.Tensor]:
    """Every TensorFlow tensor of floats in a nested value."""
    return [t for _, t in named(value) if isinstance(t, tf.Tensor) and t.dtype.is_floating]


def norm(t: tf.Tensor) -> tf.Tensor:
    """L2 norm of all entries in float64, scaled so that squares neither under- nor overflow."""
    t = tf.cast(t, tf.float64)
    peak = tf.reduce_max(tf.abs(t)) if t.shape.num_elements() != 0 else tf.zeros((), tf.float64)
    safe = tf.where(tf.logical_and(peak > 0, tf.math.is_finite(peak)), peak, tf.ones_like(peak))
    return safe * tf.sqrt(tf.reduce_sum(tf.square(t / safe)))


def quick_norm(t: tf.Tensor) -> tf.Tensor:
    """:func:`norm` at the speed of the tensor's own precision, where that is safe; for use between training steps."""
    if t.dtype != tf.float32:
        return norm(t)
    size = tf.sqrt(2 * tf.nn.l2_loss(t))
    safe = tf.logical_and(size > 1e-15, size < 1e15)  # far from where squares under- or overflow
    return tf.cond(safe, lambda: tf.cast(size, tf.float64), lambda: norm(t))


def any_bad(size: tf.Tensor) -> tf.Tensor:
    """1 where a norm tells of an entry that is not finite, else 0."""
    return tf.cast(tf.logical_not(tf.math.is_finite(size)), tf.int64)


def share(mask: tf.Tensor) -> tf.Tensor:
    """Share of entries that are true, as a float64 scalar."""
    return tf.cast(tf.reduce_sum(tf.cast(mask, tf.float32)), tf.float64) / tf.cast(tf.size(mask), tf.float64)


def not_finite(t: tf.Tensor) -> tf.Tensor:
    """Number of entries that are not finite."""
    return tf.reduce_sum(tf.cast(tf.logical_not(tf.math.is_finite(t)), tf.int64))


def kind(t: Any) -> Any:
    """``"nan"`` if there is one, else ``"inf"``."""
    return "nan" if np.isnan(numpy(t)).any() else "inf"


def numpy(t: Any) -> np.ndarray:
    """An array with the numbers of a tensor; bfloat16, which NumPy lacks, as float32."""
    array = t.numpy() if hasattr(t, "numpy") else np.asarray(t)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def dense(gradient: Any) -> tf.Tensor:
    """The gradient of a table that is looked up comes as indexed slices; here as one tensor."""
    return tf.convert_to_tensor(gradient)  # the gradient of an embedding comes as indexed slices


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Trainable (or frozen) weights that a layer holds itself; a recurrent layer or wrapper counts as one."""
    if isinstance(layer, WRAPPERS):
        parts = [layer, *(part for part in layer._flatten_layers(include_self=False))]
    else:
        parts = [layer]
    held = {id(v): v for part in parts for v in getattr(part, "_trainable_variables", ())}
    return list(held.values())


def units_of(layer: keras.layers.Layer, v: keras.Variable) -> int:
    """Number of units that a weight feeds, so that ``norm / sqrt(units)`` is ``sqrt(fan_in mean(w^2))``; 0 for none."""
    if len(v.shape) < 2 or isinstance(layer, keras.layers.Embedding):
        return 0
    if isinstance(layer, keras.layers.EinsumDense):
        left, out = layer.equation.replace(" ", "").split("->")
        letters = left.split(",")[1]
        return math.prod(n for n, letter in zip(v.shape, letters, strict=True) if letter in out)
    if isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D):
        return v.shape[-1] * v.shape[-2]
    turned = isinstance(
        layer, keras.layers.Conv1DTranspose | keras.layers.Conv2DTranspose | keras.layers.Conv3DTranspose
    )
    return v.shape[-2] if turned else v.shape[-1]
