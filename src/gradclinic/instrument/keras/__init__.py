"""The instrument for any Keras model on TensorFlow: one batch (:func:`probe`) or a training run (:func:`watch`).

Keras has no hooks. While a batch is being measured, each layer of the model gets an instance attribute ``call`` that
shadows its method and notes what the layer returns; activations that a layer carries itself (``Dense(8, "tanh")``)
are wrapped in the same way, so that delta is taken before them. The gradient of every note is then asked of the same
``GradientTape`` as the gradient of the weights. All of it works on symbolic tensors too, which is how a compiled
training step can be measured without running it twice.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as in tf_net: sums in one order

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import nn as keras_nn
from keras.src.backend.tensorflow import numpy as keras_numpy
from tensorflow.python.eager import context as tf_context
from tensorflow.python.framework import op_callbacks  # what tf.debugging is built on: sees every eager operation

from gradclinic.instrument import causes as reports
from gradclinic.instrument.readings import Addition, LayerReading, NonFinite, Report, TensorReading, Watched
from gradclinic.instrument.tensors import neighbour_agreement, read_tensor

# Where a model finds its activation functions: each is replaced by one that also measures, while a batch runs.
FUNCTIONS = {
    "celu": "celu", "elu": "elu", "gelu": "gelu", "hard_sigmoid": "hardsigmoid", "hard_silu": "hardswish",
    "hard_tanh": "hardtanh", "leaky_relu": "leaky_relu", "log_sigmoid": "logsigmoid", "relu": "relu", "relu6": "relu6",
    "selu": "selu", "sigmoid": "sigmoid", "silu": "silu", "softplus": "softplus", "softsign": "softsign",
    "swish": "silu", "tanh": "tanh", "threshold": "threshold",
}  # fmt: skip
NAMESPACES = (keras_nn, keras_numpy, tf.nn, tf.math, tf)
NOT_ELEMENTWISE = {"linear", "softmax", "log_softmax", "sparsemax", "sparse_softmax", "glu"}
KEEPS_STREAM = {"Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Sigmoid", "Identity", "Cast"}
MAKES_MASKS = {
    "Fill",
    "SelectV2",
    "Where",
    "Const",
    "Cast",
    "MatrixBandPart",
    "ZerosLike",
    "ReadVariableOp",
    "Identity",
}
WRAPPERS = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)


def _walk(layer: keras.layers.Layer, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """All layers below ``layer`` with their paths; recurrent layers and their wrappers are not opened."""
    for child in getattr(layer, "_layers", ()):
        if not isinstance(child, keras.layers.InputLayer):
            name = f"{prefix}{child.name}"
            yield name, child
            if not isinstance(child, WRAPPERS):
                yield from _walk(child, f"{name}/")


def _named(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every array or tensor in nested tuples, lists and dicts, with the expression that reaches it."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _named(part, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        for i, part in enumerate(value):
            yield from _named(part, f"{name}[{i}]")
    elif value is not None:
        yield name, value


def _floats(value: Any) -> list[tf.Tensor]:
    return [t for _, t in _named(value) if isinstance(t, tf.Tensor) and t.dtype.is_floating]


def _norm(t: tf.Tensor) -> tf.Tensor:
    """L2 norm of all entries in float64, scaled so that squares neither under- nor overflow."""
    t = tf.cast(t, tf.float64)
    peak = tf.reduce_max(tf.abs(t)) if t.shape.num_elements() != 0 else tf.zeros((), tf.float64)
    safe = tf.where(tf.logical_and(peak > 0, tf.math.is_finite(peak)), peak, tf.ones_like(peak))
    return safe * tf.sqrt(tf.reduce_sum(tf.square(t / safe)))


def _quick_norm(t: tf.Tensor) -> tf.Tensor:
    """:func:`_norm` at the speed of the tensor's own precision, where that is safe; for use between training steps."""
    if t.dtype != tf.float32:
        return _norm(t)
    size = tf.sqrt(2 * tf.nn.l2_loss(t))
    safe = tf.logical_and(size > 1e-15, size < 1e15)  # far from where squares under- or overflow
    return tf.cond(safe, lambda: tf.cast(size, tf.float64), lambda: _norm(t))


def _any_bad(size: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.logical_not(tf.math.is_finite(size)), tf.int64)


def _bad(t: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(tf.logical_not(tf.math.is_finite(t)), tf.int64))


def _kind(t: Any) -> str:
    return "nan" if np.isnan(_numpy(t)).any() else "inf"


def _numpy(t: Any) -> np.ndarray:
    array = t.numpy() if hasattr(t, "numpy") else np.asarray(t)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _dense(gradient: Any) -> tf.Tensor:
    return tf.convert_to_tensor(gradient)  # the gradient of an embedding comes as indexed slices


@dataclass
class _Call:
    """One call of a layer: the tensors at which its output and its gradient are read, and the activations after it."""

    at: list[tf.Tensor]
    sizes: list[tf.Tensor]
    entries: list[tf.Tensor]
    bad: list[tf.Tensor]
    dtype: str
    bends: list[dict[str, Any]] = field(default_factory=list)


class Recorder:
    """What one forward and backward pass shows; a context that attaches itself to the model and leaves no trace.

    Between :meth:`start` and :meth:`stop` calls of layers are noted. ``thorough`` (eager execution only) also follows
    every operation, to find skip connections and where numbers first stopped being finite.
    """

    def __init__(self, model: keras.Model, *, thorough: bool) -> None:
        """Prepare for ``model``; nothing is attached before the context is entered."""
        self.model, self.thorough = model, thorough
        self.norm = _norm if thorough else _quick_norm
        self.layers = [*_walk(model), ("", model)]
        self.thread = threading.get_ident()
        self._undo: list[Callable[[], None]] = []
        self._inside = 0  # depth in activation functions: only the outermost one counts
        self.recording = False
        self.start()
        self.recording = False

    def start(self, tape: tf.GradientTape | None = None) -> None:
        """Forget what was seen and begin to record. With ``tape``, inputs of recurrent layers are watched by it."""
        self.recording, self.tape, self.stage = True, tape, "forward"
        self.calls: dict[int, list[_Call]] = {}
        self.order: list[tuple[str, keras.layers.Layer]] = []
        self.sequences: dict[int, tf.Tensor] = {}
        self.path: list[tuple[str, keras.layers.Layer]] = []
        self.pending: list[list[tf.Tensor]] = []
        self.last: _Call | None = None
        self.channels_first = False
        self.additions: list[Addition] = []
        self.fresh: list[tuple[int, str, str, str, str]] = []  # (clock, stage, layer, operation, kind)
        self.broken: tuple[int, str, str] | None = None
        self.place_of_gradient: list[tuple[str, tf.Tensor]] = []
        self._stream: set[int] = set()
        self._clock = 0
        self.own = self._owned()
        self.graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()

    def stop(self) -> None:
        """Stop recording; what was seen stays."""
        self.recording = False

    def __enter__(self) -> Recorder:
        """Attach to every layer and to the activation functions."""
        try:
            for name, layer in self.layers:
                self._shadow(layer, "call", self._calling(name, layer))
                act = vars(layer).get("activation")
                if callable(act) and not isinstance(layer, WRAPPERS):
                    self._shadow(layer, "activation", self._activating(layer, act))
            for space in NAMESPACES:
                for key, name in FUNCTIONS.items():
                    function = getattr(space, key, None)
                    if callable(function):
                        setattr(space, key, self._measuring(function, name))
                        self._undo.append(functools.partial(setattr, space, key, function))
            if self.thorough:
                op_callbacks.add_op_callback(self._operation)
                self._undo.append(functools.partial(op_callbacks.remove_op_callback, self._operation))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Take everything off again, last first."""
        self.recording = False
        while self._undo:
            self._undo.pop()()

    def _shadow(self, layer: keras.layers.Layer, name: str, value: Callable) -> None:
        kept, had = vars(layer).get(name), name in vars(layer)
        vars(layer)[name] = value  # past Keras's attribute tracker, which would count it as a change of the layer
        self._undo.append(lambda: vars(layer).update({name: kept}) if had else vars(layer).pop(name, None))

    def _usable(self, t: Any) -> bool:
        """Whether a tensor belongs to the computation that is measured, not to a loop body inside it."""
        return (self.graph is None and hasattr(t, "numpy")) or (
            self.graph is not None and getattr(t, "graph", None) is self.graph
        )

    def _calling(self, name: str, layer: keras.layers.Layer) -> Callable:
        method = layer.call

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.recording or threading.get_ident() != self.thread:
                return method(*args, **kwargs)
            if isinstance(layer, keras.layers.RNN) and self.tape is not None and args and _floats(args[0]):
                self.tape.watch(args[0])
                self.sequences[id(layer)] = args[0]
            self.path.append((name, layer))
            self.pending.append([])
            try:
                out = method(*args, **kwargs)
            finally:
                self.path.pop()
                pending = self.pending.pop()
            self._note(name, layer, pending or [t for t in _floats(out) if self._usable(t)], out)
            return out

        return call

    def _note(self, name: str, layer: keras.layers.Layer, at: list[tf.Tensor], out: Any) -> None:
        if not at:
            return
        if id(layer) not in self.calls:
            self.calls[id(layer)] = []
            self.order.append((name, layer))
        fused = self.last.bends if self.last is not None and self.last.at is at else []
        sizes = [self.norm(t) for t in at] if self.own[id(layer)] or self.thorough else []
        bad = [_bad(t) for t in at] if self.thorough else [_any_bad(size) for size in sizes]
        call = _Call(at, sizes, [tf.size(t, tf.int64) for t in at], bad, at[0].dtype.name, fused)
        self.calls[id(layer)].append(call)
        if self.own[id(layer)]:
            self.last = call
            self.channels_first = getattr(layer, "data_format", None) == "channels_first"
        if self.thorough:
            self._clock += 1
            bad = [t for t in (*at, *_floats(out)) if not np.isfinite(_numpy(t)).all()]
            if bad and self.broken is None:
                self.broken = (self._clock, self._place(name, layer), _kind(bad[0]))

    def _place(self, name: str, layer: keras.layers.Layer) -> str:
        return f"{name} ({type(layer).__name__})" if name else type(layer).__name__

    def _activating(self, layer: keras.layers.Layer, act: Callable) -> Callable:
        """The activation that a layer carries: what goes into it is where delta is read."""
        name = getattr(act, "__name__", type(act).__name__).strip("_<>")
        known = FUNCTIONS.get(name, name)

        @functools.wraps(act, updated=())
        def activation(z: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.recording or self._inside or not self._usable(z) or not z.dtype.is_floating:
                return act(z, *args, **kwargs)
            fused = bool(self.own[id(layer)]) and bool(self.pending)
            if fused:
                self.pending[-1].append(z)
                self.last = _Call(self.pending[-1], [], [], [], "")  # until the layer returns
                self.channels_first = getattr(layer, "data_format", None) == "channels_first"
            if name in NOT_ELEMENTWISE:
                return act(z, *args, **kwargs)
            return self._measured(act, known, z, args, kwargs)

        return activation

    def _measuring(self, function: Callable, name: str) -> Callable:
        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            z = args[0] if args else None
            ready = self.recording and not self._inside and self.stage == "forward"
            if not (ready and isinstance(z, tf.Tensor) and z.dtype.is_floating and self._usable(z)):
                return function(*args, **kwargs)
            return self._measured(function, name, z, args[1:], kwargs)

        return measured

    def _measured(self, function: Callable, name: str, z: tf.Tensor, args: tuple, kwargs: dict) -> Any:
        self._inside += 1
        try:
            out = function(z, *args, **kwargs)
            gates = any(isinstance(layer, WRAPPERS) for _, layer in self.path)  # of a recurrent layer: its own affair
            if self.last is not None and not gates and isinstance(out, tf.Tensor) and out.shape.rank == z.shape.rank:
                self.last.bends.append(self._bend(function, name, z, args, kwargs, out))
        finally:
            self._inside -= 1
        return out

    def _bend(
        self, function: Callable, name: str, z: tf.Tensor, args: tuple, kwargs: dict, out: tf.Tensor
    ) -> dict[str, Any]:
        """What an activation did to the batch, as tensors."""
        if name == "relu" and not args and not kwargs:
            off = flat = z <= 0
        else:
            at = tf.stop_gradient(z)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(at)
                value = function(at, *args, **kwargs)
            slope = tape.gradient(value, at)
            slope = tf.zeros_like(at) if slope is None else slope
            limit = tf.cast(reports.SLOPE_SHARE * reports.LARGEST_SLOPES.get(name, 1.0), slope.dtype)
            off, flat = tf.equal(slope, 0), tf.abs(slope) < limit
        dead = None
        if name in reports.ONE_SIDED and z.shape.rank >= 2:
            axis = 1 if self.channels_first and z.shape.rank >= 3 else z.shape.rank - 1
            others = [i for i in range(z.shape.rank) if i != axis]
            dead = tf.reduce_mean(tf.cast(tf.reduce_all(off, axis=others), tf.float32))
        flat = tf.reduce_mean(tf.cast(flat, tf.float32))
        return {
            "function": name,
            "dead": dead,
            "saturated": flat,
            "size": self.norm(out),
            "entries": tf.size(out, tf.int64),
        }

    def _operation(
        self, op: Any, inputs: Any, attrs: Any, outputs: Any, op_name: Any = None, graph: Any = None
    ) -> None:
        """See one eager operation, forward or backward."""
        if not self.recording or graph is not None:
            return
        op = op.decode() if isinstance(op, bytes) else op
        self._clock += 1
        terms = [t for t in inputs if hasattr(t, "_id")]
        for t in outputs:
            if not (hasattr(t, "numpy") and t.dtype.is_floating):
                continue
            sound = op in MAKES_MASKS or np.isfinite(_numpy(t)).all()
            if not sound and all(np.isfinite(_numpy(i)).all() for i in _floats(list(inputs))):
                place = self._place(*self.path[-1]) if self.path else type(self.model).__name__
                self.fresh.append((self._clock, self.stage, place, op, _kind(t)))
        if self.stage != "forward" or len(outputs) != 1 or not hasattr(outputs[0], "_id"):
            return
        out = outputs[0]
        if op in ("AddV2", "Add", "AddN") and len(terms) == 2 and terms[0].shape == terms[1].shape and out.ndim >= 2:
            chained = next((i for i, t in enumerate(terms) if t._id in self._stream), None)
            if chained is not None:
                place = self._place(*self.path[-1]) if self.path else type(self.model).__name__
                sizes = [
                    np.linalg.norm(_numpy(t).astype(np.float64)) / math.sqrt(max(1, tf.size(t))) for t in (*terms, out)
                ]
                self.additions.append(Addition(place, *map(float, (sizes[chained], sizes[1 - chained], sizes[2]))))
            self._stream.add(out._id)
        elif op in KEEPS_STREAM and terms and terms[0]._id in self._stream:
            self._stream.add(out._id)

    def owners(self) -> list[tuple[str, keras.layers.Layer, list[keras.Variable]]]:
        """Called layers with weights of their own, in order; a weight that a layer and a part of it both name counts
        for the part."""
        return [(name or layer.name, layer, self.own[id(layer)]) for name, layer in self.order if self.own[id(layer)]]

    def _owned(self) -> dict[int, list[keras.Variable]]:
        own = {}
        for name, layer in self.layers:
            below = f"{name}/" if name else ""
            parts = {
                id(v) for key, part in self.layers if part is not layer and key.startswith(below) for v in _own(part)
            }
            own[id(layer)] = [v for v in _own(layer) if id(v) not in parts]
        return own

    def targets(self) -> list[tf.Tensor]:
        """The tensors whose gradient is wanted beside that of the weights, in order."""
        notes = [t for _, layer, _ in self.owners() for call in self.calls[id(layer)] for t in call.at]
        return [*notes, *self.sequences.values()]

    def summary(
        self, found: list[Any], gradients: Mapping[int, Any], changes: Mapping[int, tf.Tensor]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Per layer: what is known beforehand, and a dict of scalar tensors still to be evaluated.

        ``found``: gradients of :meth:`targets`; ``gradients``, ``changes``: id of a variable -> its gradient, norm of
        one step.
        """
        found, owners = list(found), self.owners()
        back = {id(layer): [found.pop(0) for call in self.calls[id(layer)] for _ in call.at] for _, layer, _ in owners}
        through = {key: found.pop(0) for key in self.sequences}
        users: dict[int, list[str]] = {}
        for name, _, own in owners:
            for v in own:
                users.setdefault(id(v), []).append(name)
        known, wanted = [], []
        for name, layer, own in owners:
            calls, returned = self.calls[id(layer)], list(back[id(layer)])
            weights = [v for v in own if "bias" not in v.name and v.name not in ("beta", "shift")] or own
            moving = [v for v in weights if v.trainable]
            grads = [_dense(gradients[id(v)]) for v in moving if gradients.get(id(v)) is not None]
            bends = [bend for call in calls for bend in call.bends]
            bends = [bend for bend in bends if bend["function"] == bends[0]["function"]]
            deltas = [[_dense(g) for g in (returned.pop(0) for _ in call.at) if g is not None] for call in calls]
            back_sizes = [[self.norm(g) for g in call] for call in deltas if call]
            grown = [self.norm(g) for g in grads]
            if self.thorough:
                bad = [_bad(g) for call in deltas for g in call] + [_bad(g) for g in grads]
            else:
                bad = [_any_bad(size) for call in [*back_sizes, grown] for size in call]
            counted = [g for g in grads if self.thorough or g.dtype.size < 4]  # underflow: looked for where it is near
            sizes = {id(v): self.norm(v.value) for v in weights}
            matrices = [(v, units) for v in weights if (units := _units(layer, v))]
            sequence = through.get(id(layer))
            steps = None
            if sequence is not None:
                flat = tf.transpose(tf.cast(sequence, tf.float64), [1, 0, *range(2, sequence.shape.rank)])
                steps = tf.sqrt(tf.reduce_sum(tf.square(flat), axis=list(range(1, sequence.shape.rank))))
            known.append(
                {
                    "name": name,
                    "kind": type(layer).__name__,
                    "function": bends[0]["function"] if bends else None,
                    "calls": len(calls),
                    "matrix": any(len(v.shape) >= 2 for v in weights),
                    "frozen": not any(v.trainable for v in own),
                    "moving": tuple(id(v) for v in moving),
                    "shared_with": tuple(dict.fromkeys(u for v in weights for u in users[id(v)] if u != name)),
                    "dtype": calls[0].dtype,
                    "units": sum(units for _, units in matrices),
                }
            )
            wanted.append(
                {
                    "sizes": [s for call in calls for s in call.sizes],
                    "entries": [n for call in calls for n in call.entries],
                    "bad": [n for call in calls for n in call.bad],
                    "deltas": back_sizes,
                    "bad_gradients": bad,
                    "gradients": grown,
                    "zeros": [tf.cast(tf.math.count_nonzero(tf.equal(g, 0)), tf.float64) for g in counted],
                    "grad_entries": [tf.size(g, tf.int64) for g in counted],
                    "weights": [sizes[id(v)] for v in weights],
                    "matrices": [sizes[id(v)] for v, _ in matrices],
                    "changes": [changes[id(v)] for v in moving if id(v) in changes],
                    "bends": [{k: b[k] for k in ("saturated", "size", "entries")} for b in bends],
                    "dead": [b["dead"] for b in bends if b["dead"] is not None],
                    "steps": [] if steps is None else [steps],
                }
            )
        return known, wanted


def _own(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Trainable (or frozen) weights that a layer holds itself; a recurrent layer or wrapper counts as one."""
    if isinstance(layer, WRAPPERS):
        parts = [layer, *(part for part in layer._flatten_layers(include_self=False))]
    else:
        parts = [layer]
    held = {id(v): v for part in parts for v in getattr(part, "_trainable_variables", ())}
    return list(held.values())


def _units(layer: keras.layers.Layer, v: keras.Variable) -> int:
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


def _root(norms: Any) -> float:
    return math.hypot(*(float(n) for n in norms))


def readings(known: list[dict[str, Any]], measured: list[dict[str, Any]], batch: int) -> tuple[LayerReading, ...]:
    """Turn evaluated summaries into readings."""
    rows = []
    for fixed, m in zip(known, measured, strict=True):
        size = _root(m["sizes"]) / math.sqrt(max(1, sum(int(n) for n in m["entries"])))
        back = [_root(call) for call in m["deltas"]]
        weight, change = _root(m["weights"]), _root(m["changes"])
        entries = sum(int(n) for n in m["grad_entries"])
        bends = m["bends"]
        handed = _root(b["size"] for b in bends) / math.sqrt(max(1, sum(int(b["entries"]) for b in bends)))
        steps = tuple((math.sqrt(batch) * np.asarray(m["steps"][0])).tolist()) if len(m["steps"]) else ()
        if not steps and len(back) > 1:
            steps = tuple(math.sqrt(batch) * d for d in back)
        ratio = change / weight if weight else math.inf if change else 0.0
        zeros = sum(float(n) for n in m["zeros"])
        rows.append(
            LayerReading(
                name=fixed["name"],
                kind=fixed["kind"],
                activation=handed if bends else size,
                output=size,
                function=fixed["function"],
                delta=math.sqrt(batch) * math.sqrt(sum(d * d for d in back) / len(back)) if back else None,
                weight_gradient=_root(m["gradients"]) if m["gradients"] else None,
                weight=weight,
                update=ratio if fixed["moving"] and m["changes"] else None,
                weight_scale=_root(m["matrices"]) / math.sqrt(fixed["units"]) if fixed["units"] else None,
                dead=float(np.mean(m["dead"])) if len(m["dead"]) and math.isfinite(size) else None,
                saturated=float(np.mean([b["saturated"] for b in bends])) if bends and math.isfinite(size) else None,
                zero_gradient=zeros / entries if entries else None,
                nonfinite=sum(int(n) for n in m["bad"]),
                nonfinite_gradient=sum(int(n) for n in m["bad_gradients"]),
                calls=fixed["calls"],
                steps=steps,
                matrix=fixed["matrix"],
                frozen=fixed["frozen"],
                shared_with=fixed["shared_with"],
                dtype=fixed["dtype"],
            )
        )
    return tuple(rows)


@contextlib.contextmanager
def _restored(model: keras.Model) -> Iterator[Callable[[], None]]:
    """Put back what a batch may change: running statistics, metrics, seeds and the random states of Python, NumPy, TF;
    yields a function that does it in between."""
    moving = {id(v) for v in model.trainable_variables}
    held = {id(v): v for v in [*model.variables, *(v for m in model.metrics for v in m.variables)]}
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


def _check(model: Any, loss: Any, lr: Any, optimizer: Any) -> None:
    if keras.backend.backend() != "tensorflow":
        raise ValueError(f"model: got one on Keras's {keras.backend.backend()} backend, wanted tensorflow (or torch)")
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


def _prepared(value: Any, dtype: str) -> Any:
    """Tensors of all arrays; NumPy floats in the model's precision, tensors as they are."""
    if isinstance(value, Mapping):
        return {key: _prepared(part, dtype) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_prepared(part, dtype) for part in value)
    if isinstance(value, np.ndarray | np.generic):
        t = tf.convert_to_tensor(value)
        return tf.cast(t, dtype) if t.dtype.is_floating else t
    return value


def _batch(x: Any, y: Any) -> int:
    for value in (y, x):
        for _, t in _named(value):
            if getattr(t, "shape", None) is not None and len(t.shape):
                return int(t.shape[0])
    raise ValueError(f"x: got {type(x).__name__} without an array that has a batch axis, wanted at least one")


def _checked(fallback: Callable[[Any, Any], tf.Tensor], output: Any, y: Any) -> tf.Tensor:
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
    low, high = int(tf.reduce_min(y)), int(tf.reduce_max(y))
    if low < 0 or high >= output.shape[-1]:
        wanted = f"wanted 0 to {output.shape[-1] - 1}: the model has {output.shape[-1]} outputs"
        raise ValueError(f"y: got labels from {low} to {high}, {wanted}")
    return fallback(tf.cast(output, tf.float32) if output.dtype.size < 4 else output, tf.cast(y, tf.int64))


def _guess(model: keras.Model, loss: Any, compiled: bool, output: Any, y: Any) -> float | None:
    """What a guess that ignores the input costs; ``None`` for a loss that is not known here."""
    if loss is not None or not isinstance(output, tf.Tensor) or not isinstance(y, tf.Tensor):
        return None
    if compiled:
        given = model.loss
        name = given if isinstance(given, str) else getattr(given, "name", getattr(given, "__name__", ""))
        return math.log(output.shape[-1]) if "categorical_crossentropy" in name else None
    if not y.dtype.is_floating:
        return math.log(output.shape[-1])
    values = _numpy(y).astype(np.float64)
    if values.ndim < 2:
        return None
    return float(0.5 * np.mean(np.sum(((values - values.mean(0)) ** 2).reshape(len(values), -1), 1)))


def _after_step(
    gradients: Mapping[int, Any],
    variables: list[keras.Variable],
    lr: float,
    optimizer: keras.optimizers.Optimizer | None,
) -> list[tf.Tensor]:
    """Values of all variables as they would be after one step; nothing is stepped."""
    if optimizer is None:
        return [
            v.value - lr * _dense(gradients[id(v)]) if gradients.get(id(v)) is not None else v.value for v in variables
        ]
    held = list(optimizer._trainable_variables) if optimizer.built else variables
    if not {id(v) for v in held} & {id(v) for v in variables}:
        raise ValueError("optimizer: got one that holds none of the model's variables, wanted the model's own")
    twin, stepped = (
        type(optimizer).from_config(optimizer.get_config()),
        [keras.Variable(v.numpy(), dtype=v.dtype, name=v.name) for v in held],
    )
    twin.build(stepped)
    if optimizer.built:
        for copied, v in zip(twin.variables, optimizer.variables, strict=True):
            copied.assign(v.value)
    twin.apply([_dense(gradients[id(v)]) if gradients.get(id(v)) is not None else None for v in held], stepped)
    stepped = [v.value for v in stepped]
    after = {id(v): value for v, value in zip(held, stepped, strict=True)}
    return [after.get(id(v), v.value) for v in variables]


def probe(
    model: keras.Model,
    x: Any,
    y: Any = None,
    loss: Callable[[Any, Any], tf.Tensor] | None = None,
    *,
    fallback: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    lr: float | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
) -> Report:
    """One batch through ``model`` with ``training=True``, eagerly; see :func:`gradclinic.instrument.probe`.

    ``x`` is handed over as it is, ``model(x)``. ``loss(output, y)`` returns the batch mean; ``None`` means the compiled
    loss (with what regularisers add) or ``fallback``. A model that was never called is built by this call.
    """
    _check(model, loss, lr, optimizer)
    dtype = model.variable_dtype
    x, y = _prepared(x, dtype), _prepared(y, dtype)
    batch = _batch(x, y)
    options = {"training": True} if model._call_has_training_arg else {}
    if not model.built:
        with tf.init_scope():
            model(x, **options)
    if not model.trainable_variables:
        raise ValueError("model: got no trainable variable, wanted at least one")
    compiled = loss is None and getattr(model, "compiled", False) and getattr(model, "_compile_loss", None) is not None

    def evaluate(output: Any) -> tf.Tensor:
        if compiled:
            return model.compute_loss(x=x, y=y, y_pred=output, sample_weight=None, training=True)
        return _checked(fallback, output, y) if loss is None else loss(output, y)

    recorder = Recorder(model, thorough=True)
    with _restored(model) as rewind:
        with recorder, tf.GradientTape(persistent=True) as tape:
            recorder.start(tape)
            output = model(x, **options)
            recorder.stage = "loss"
            value = evaluate(output)
            if not isinstance(value, tf.Tensor) or value.shape.num_elements() != 1:
                got = f"shape {tuple(value.shape)}" if isinstance(value, tf.Tensor) else type(value).__name__
                raise ValueError(
                    f"loss: got {got} from loss(output, y), wanted a scalar tensor, the mean over the batch"
                )
            with tape.stop_recording():
                recorder.stage = "backward"
                variables = model.trainable_variables
                targets = recorder.targets()
                found = tape.gradient(value, [*targets, *(v.value for v in variables)])
                recorder.stop()
        del tape
        grads = found[len(targets) :]
        if all(g is None for g in grads):
            raise ValueError("loss: got a value that depends on no trainable variable, wanted one to differentiate")
        gradients = {id(v): g for v, g in zip(variables, grads, strict=True)}
        stepped = _after_step(gradients, variables, lr or 1.0, optimizer)
        changes = {id(v): _norm(after - v.value) for v, after in zip(variables, stepped, strict=True)}
        known, wanted = recorder.summary(found[: len(targets)], gradients, changes)
        layers = readings(known, wanted, batch)
        loss_after = None
        if lr is not None or optimizer is not None:
            rewind()
            with keras.StatelessScope(state_mapping=list(zip(variables, stepped, strict=True))):
                loss_after = float(evaluate(model(x, **options)))
    inputs = tuple(read_tensor(name, _numpy(t)) for name, t in _named(x, "x"))
    goals = tuple(read_tensor(name, _numpy(t)) for name, t in _named(y, "y"))
    labels = isinstance(y, tf.Tensor) and y.shape.rank == 1 and y.dtype.is_integer and len(inputs) == 1
    return Report(
        framework="Keras",
        layers=layers,
        batch=batch,
        loss=float(value),
        loss_guess=_guess(model, loss, compiled, output, y),
        loss_after=loss_after,
        lr=None if optimizer is not None else lr or 1.0,
        assumed=lr is None and optimizer is None,
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        inputs=inputs,
        targets=goals,
        outputs=tuple(read_tensor(name, _numpy(t)) for name, t in _named(output, "output")),
        additions=tuple(recorder.additions),
        neighbours=neighbour_agreement(_numpy(next(_named(x))[1]), _numpy(y)) if labels else None,
        first_nonfinite=_first_nonfinite(model, inputs, goals, recorder, value, layers),
        unused=tuple(v.path for v in variables if gradients[id(v)] is None),
    )


def _first_nonfinite(
    model: keras.Model,
    inputs: tuple[TensorReading, ...],
    targets: tuple[TensorReading, ...],
    recorder: Recorder,
    loss: tf.Tensor,
    layers: tuple[LayerReading, ...],
) -> NonFinite | None:
    """In the order of computation: data, parameters, forward pass, loss, backward pass."""
    for v in model.trainable_variables:
        if not np.isfinite(_numpy(v.value)).all():
            return NonFinite("parameter", v.path, _kind(v.value))
    forward = None
    if recorder.broken is not None:
        clock, place, kind = recorder.broken
        made = [entry for entry in recorder.fresh if entry[0] <= clock and entry[1] == "forward"]
        forward = NonFinite("forward", place, kind)
        if made:
            _, _, place, operation, kind = made[-1]
            forward = NonFinite("forward", place, kind, operation)
    elif not np.isfinite(_numpy(loss)).all():
        made = [entry for entry in recorder.fresh if entry[1] == "loss"]
        forward = NonFinite("loss", "loss", _kind(loss), made[-1][3] if made else None)
    if forward is not None:
        given = [("input", reading) for reading in inputs]
        given += [("target", reading) for reading in targets] if forward.stage == "loss" else []
        return next((NonFinite(stage, r.name, "nan") for stage, r in given if r.nonfinite), forward)
    harmed = [layer for layer in reversed(layers) if layer.nonfinite_gradient]
    if harmed:
        made = [entry for entry in recorder.fresh if entry[1] == "backward"]
        operation = f"{made[0][3]} of the backward pass" if made else None
        return NonFinite("backward", harmed[0].name, made[0][4] if made else "nan", operation)
    return None


class Watching:
    """A training run under observation; made by :func:`gradclinic.instrument.watch`, used as a context.

    Loops with a ``GradientTape`` that run eagerly are read through the tape's own ``gradient``, which is asked for the
    gradients of the layers' outputs as well. ``fit`` and ``train_on_batch`` run compiled: on a sampled step a second
    compiled function takes the batch, which is ``train_step`` traced with the readings in it.
    """

    def __init__(
        self,
        model: keras.Model,
        every: int,
        optimizer: keras.optimizers.Optimizer | None,
        lr: float | None,
        make: Callable[..., Watched] = Watched,
    ) -> None:
        """Refuse what cannot be watched."""
        _check(model, None, lr, optimizer)
        if model.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError("model: got one spread over several replicas, wanted a single device while watched")
        self.model, self.every, self.optimizer, self.lr, self._make = model, every, optimizer, lr, make
        self.steps = 0
        self.recorder = Recorder(model, thorough=False)
        self._sampled: list[tuple[int, Report]] = []
        self._losses: dict[int, float] = {}
        self._bad_step: int | None = None
        self._alarm = False
        self._inputs: tuple[TensorReading, ...] | None = None
        self._pending: dict[str, Any] | None = None  # an eager step whose update has not happened yet
        self._tape: tf.GradientTape | None = None  # the outermost tape of an eager step that is being sampled
        self._fitting = False  # inside fit's own step: the tape is not the reader's
        self._traced: dict[str, Any] | None = None  # what the tape of a measured train_step gave
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Watching:
        """Begin to watch."""
        self.recorder.__enter__()
        for name, method in (("__enter__", self._entering), ("gradient", self._differentiating)):
            original = getattr(tf.GradientTape, name)
            setattr(tf.GradientTape, name, method(original))
            self._undo.append(functools.partial(setattr, tf.GradientTape, name, original))
        self._shadow(self.model, "make_train_function", self._making(self.model.make_train_function))
        trained = self.model.train_function
        self._undo.append(functools.partial(setattr, self.model, "train_function", trained))
        if self.optimizer is not None:
            self._shadow(self.optimizer, "apply", self._applying(self.optimizer.apply))
        return self

    def __exit__(self, *error: object) -> None:
        """Read the last step and leave no trace."""
        self._finish()
        while self._undo:
            self._undo.pop()()
        self.recorder.__exit__()

    def _shadow(self, owner: Any, name: str, value: Callable) -> None:
        vars(owner)[name] = value
        self._undo.append(lambda: vars(owner).pop(name, None))

    def loss(self, value: Any) -> None:
        """Note the loss of the step that was just taken; optional, sampled steps note their own."""
        self._losses[max(0, self.steps - 1)] = float(value)

    @property
    def report(self) -> Watched:
        """What was seen so far. ``ValueError`` before the first training step."""
        self._finish()
        steps, reports_ = zip(*self._sampled, strict=True) if self._sampled else ((), ())
        origin = next((r.first_nonfinite for _, r in self._sampled if r.first_nonfinite is not None), None)
        seen = [step for step, r in self._sampled if r.first_nonfinite is not None]
        first = min([*seen, *([self._bad_step] if self._bad_step is not None else [])], default=None)
        return self._make(tuple(steps), tuple(reports_), self.steps, dict(self._losses), first, origin)

    @property
    def _due(self) -> bool:
        return self.steps % self.every == 0 or self._alarm

    def _look(self, loss: Any) -> None:
        """Raise the alarm at the first loss that is not finite: the next step is sampled, whatever its number."""
        if self._bad_step is None and not math.isfinite(float(loss)):
            self._bad_step, self._alarm = self.steps, True

    def _variables(self, sources: Any) -> dict[int, int]:
        """Position among ``sources`` -> id of the model's variable that stands there."""
        mine = {key: id(v) for v in self.model.trainable_variables for key in (id(v), id(v.value))}
        return {i: mine[id(source)] for i, source in enumerate(sources) if id(source) in mine}

    def _entering(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def enter(tape: tf.GradientTape) -> tf.GradientTape:
            if tf.executing_eagerly() and not self._fitting and self._tape is None and self.model.built:
                self._finish()
                if self._due and threading.get_ident() == self.recorder.thread:
                    self._tape = tape
                    self.recorder.start()
            return original(tape)

        return enter

    def _differentiating(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def gradient(tape: tf.GradientTape, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
            flat = tf.nest.flatten(sources)
            mine = self._variables(flat)
            tracing = self._fitting and self._traced is not None
            if not mine or not (tracing or (tf.executing_eagerly() and not self._fitting)):
                return original(tape, target, sources, *args, **kwargs)
            if not tracing and tape is not self._tape:
                found = original(tape, target, sources, *args, **kwargs)
                if self._tape is None:  # an eager step that is not sampled
                    self._count(target)
                return found
            self.recorder.stop()
            targets = self.recorder.targets()
            found = original(tape, target, [*flat, *targets], *args, **kwargs)
            gradients = {key: found[i] for i, key in mine.items() if found[i] is not None}
            summary = self.recorder.summary(found[len(flat) :], gradients, {})
            if tracing:
                self._traced |= {"summary": summary, "loss": target}
            else:
                self._tape = None
                self._pend(summary, gradients, target)
                self._count(target)
            return tf.nest.pack_sequence_as(sources, found[: len(flat)])

        return gradient

    def _count(self, loss: Any) -> None:
        if isinstance(loss, tf.Tensor) and loss.shape.num_elements() == 1:
            self._look(loss)
        self.steps += 1

    def _pend(self, summary: tuple, gradients: Mapping[int, Any], loss: Any) -> None:
        """Read an eager step, all but its update, which is still to come."""
        known, wanted = summary
        scalar = isinstance(loss, tf.Tensor) and loss.shape.num_elements() == 1
        changes = {} if self.lr is None else {k: self.lr * _norm(_dense(g)) for k, g in gradients.items()}
        self._alarm = False
        self._pending = {
            "step": self.steps,
            "known": known,
            "measured": tf.nest.map_structure(_numpy, wanted),
            "batch": next((int(t.shape[0]) for c in self.recorder.calls.values() for t in c[0].at if t.shape.rank), 1),
            "before": {id(v): tf.identity(v.value) for v in self.model.trainable_variables} if self.lr is None else {},
            "changes": changes,
            "loss": float(loss) if scalar else math.nan,
        }

    def _applying(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def apply(*args: Any, **kwargs: Any) -> Any:
            done = original(*args, **kwargs)
            if tf.executing_eagerly() and not self._fitting:
                self._finish()
            return done

        return apply

    def _finish(self) -> None:
        """Complete the pending eager step with what has happened to the weights since."""
        if self._pending is None:
            return
        step, self._pending = self._pending, None
        changes = step["changes"]
        if step["before"]:
            changes = {id(v): _norm(v.value - step["before"][id(v)]) for v in self.model.trainable_variables}
            changes = changes if any(float(c) for c in changes.values()) else {}
        for fixed, row in zip(step["known"], step["measured"], strict=True):
            row["changes"] = [float(changes[key]) for key in fixed["moving"] if key in changes]
        self._keep(step["step"], step["known"], step["measured"], step["batch"], step["loss"])

    def _making(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def make_train_function(force: bool = False) -> None:
            if getattr(self.model.train_function, "_watched", False) and not force:
                return
            if self.model.steps_per_execution != 1:
                raise ValueError(
                    f"model: got steps_per_execution={self.model.steps_per_execution}, wanted 1 while watched"
                )
            original(force=force)
            plain, measured = self.model.train_function, self._measured_function()

            def train_function(iterator: Any) -> Any:
                self._finish()
                self._fitting = True
                try:
                    due = self._due and self.model.built
                    logs = measured(next(iterator)) if due else plain(iterator)
                finally:
                    self._fitting = False
                if isinstance(logs, Mapping) and "loss" in logs:
                    self._look(logs["loss"])
                self.steps += 1
                return logs

            train_function._watched = True
            self.model.train_function = train_function

        return make_train_function

    def _measured_function(self) -> Callable[[Any], Any]:
        """One ``train_step`` with readings, compiled unless the model runs eagerly."""

        def step(data: Any) -> tuple[Any, Any, Any]:
            variables = self.model.trainable_variables
            before = [tf.identity(v.value) for v in variables]
            self._traced = {}
            self.recorder.start()
            try:
                logs = self.model.train_step(data)
            finally:
                self.recorder.stop()
                traced, self._traced = self._traced, None
            if "summary" not in traced:
                raise ValueError("model: got a train_step without a GradientTape, wanted one to read")
            known, wanted = traced["summary"]
            changes = {id(v): _quick_norm(v.value - b) for v, b in zip(variables, before, strict=True)}
            for fixed, row in zip(known, wanted, strict=True):
                row["changes"] = [changes[key] for key in fixed["moving"]]
            self._known, self._shape = known, wanted
            # One tensor instead of some hundred scalars, each of which would be handed over by itself.
            return logs, tf.stack([tf.cast(t, tf.float64) for t in tf.nest.flatten(wanted)]), traced["loss"]

        compiled = step if self.model.run_eagerly else tf.function(step, reduce_retracing=True, autograph=False)

        def measured(data: Any) -> Any:
            data = keras.tree.map_structure(
                lambda part: None if isinstance(part, tf.experimental.Optional) else part, data
            )
            logs, packed, loss = compiled(data)
            self._alarm = False
            x = data[0] if isinstance(data, tuple) else data
            if self._inputs is None:
                self._inputs = tuple(read_tensor(name, _numpy(t)) for name, t in _named(x, "x"))
            evaluated = tf.nest.pack_sequence_as(self._shape, packed.numpy().tolist())
            self._keep(self.steps, self._known, evaluated, _batch(x, None), float(tf.reduce_sum(loss)))
            return logs

        return measured

    def _keep(self, step: int, known: list, measured: list, batch: int, loss: float) -> None:
        """Make a report of one sampled step."""
        layers = readings(known, measured, batch)
        origin = None
        broken = next((layer for layer in layers if not math.isfinite(layer.weight or 0.0)), None)
        forward = next((layer for layer in layers if layer.nonfinite), None)
        backward = next((layer for layer in reversed(layers) if layer.nonfinite_gradient), None)
        place = broken or forward or backward
        if place is not None:
            stage = "parameter" if broken else "forward" if forward else "backward"
            size = place.weight if broken else place.output if forward else place.delta
            origin = NonFinite(stage, place.name, "nan" if math.isnan(size or math.nan) else "inf")
        if math.isfinite(loss) or step not in self._losses:
            self._losses[step] = loss
        report = Report(
            framework="Keras",
            layers=layers,
            batch=batch,
            loss=loss,
            lr=self.lr,
            assumed=False,
            optimizer=type(self.optimizer).__name__ if self.optimizer is not None else None,
            inputs=(self._inputs or ()) if not self._sampled else (),
            first_nonfinite=origin,
        )
        self._sampled.append((step, report))
