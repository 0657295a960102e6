"""Shadowed ``call`` methods and activation functions: notes of one forward pass, and what to ask the tape for."""

# Keras declares few types; what a checker infers of its attributes is every backend at once, or None until built.
# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportOptionalOperand=false

from __future__ import annotations

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras.src.backend.tensorflow import nn as keras_nn
from keras.src.backend.tensorflow import numpy as keras_numpy
from tensorflow.python.framework import op_callbacks  # what tf.debugging is built on: sees every eager operation

from gradclinic.instrument import core
from gradclinic.instrument.catalogue import LARGEST_SLOPES, ONE_SIDED, SLOPE_SHARE
from gradclinic.instrument.core import Bend, Call
from gradclinic.instrument.keras.measure import (
    WRAPPERS,
    any_bad,
    dense,
    floats,
    keras,
    kind,
    norm,
    not_finite,
    numpy,
    own_variables,
    quick_norm,
    share,
    tf,
    units_of,
    walk,
)
from gradclinic.instrument.readings import Addition
from gradclinic.instrument.stream import Stream

# Where a model finds its activation functions: each is replaced by one that also measures, while a batch runs.
FUNCTIONS = {
    "celu": "celu", "elu": "elu", "gelu": "gelu", "hard_sigmoid": "hardsigmoid", "hard_silu": "hardswish",
    "hard_tanh": "hardtanh", "leaky_relu": "leaky_relu", "log_sigmoid": "logsigmoid", "relu": "relu", "relu6": "relu6",
    "selu": "selu", "sigmoid": "sigmoid", "silu": "silu", "softplus": "softplus", "softsign": "softsign",
    "swish": "silu", "tanh": "tanh", "threshold": "threshold",
}  # fmt: skip
NAMESPACES = (keras_nn, keras_numpy, tf.nn, tf.math, tf)
NOT_ELEMENTWISE = {"linear", "softmax", "log_softmax", "sparsemax", "sparse_softmax", "glu"}
MOVES = {"Identity", "Cast", "Reshape", "Transpose", "Relu", "LeakyRelu", "MaxPool", "AvgPool", "Squeeze", "ExpandDims"}
# Layers through which a stream goes on: their parts are many operations, of which none is looked at.
THROUGH = (
    keras.layers.Activation, keras.layers.AlphaDropout, keras.layers.Dropout, keras.layers.ELU,
    keras.layers.GaussianNoise, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ReLU,
    keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D,
)  # fmt: skip
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


class Recorder:
    """What one forward and backward pass shows; a context that attaches itself to the model and leaves no trace.

    Between :meth:`start` and :meth:`stop` calls of layers are noted. ``thorough`` (eager execution only) also follows
    every operation, to find skip connections and where numbers first stopped being finite.
    """

    model: keras.Model
    thorough: bool
    norm: Callable[..., tf.Tensor]
    layers: list[tuple[str, keras.layers.Layer]]
    thread: int
    recording: bool
    tape: tf.GradientTape | None
    stage: str
    stream: Stream
    own: dict[int, list[keras.Variable]]
    graph: Any
    channels_first: bool

    def __init__(self, model: keras.Model, *, thorough: bool) -> None:
        """Prepare for ``model``; nothing is attached before the context is entered."""
        self.model, self.thorough = model, thorough
        self.norm = norm if thorough else quick_norm
        self.held: dict[int, Any] = {}  # id of a variable -> its norm before the step, where it has moved by now
        self.layers = [*walk(model), ("", model)]
        self.thread = threading.get_ident()
        self._undo: list[Callable[[], None]] = []
        self._inside = 0  # depth in activation functions: only the outermost one counts
        self.recording = False
        self.start()
        self.recording = False

    def start(self, tape: tf.GradientTape | None = None) -> None:
        """Forget what was seen and begin to record. With ``tape``, inputs of recurrent layers are watched by it."""
        self.recording, self.tape, self.stage = True, tape, "forward"
        self.calls: dict[int, list[Call]] = {}
        self.at: dict[int, list[list[tf.Tensor]]] = {}  # per call, the tensors at which its gradient is read
        self.order: list[tuple[str, keras.layers.Layer]] = []
        self.sequences: dict[int, tf.Tensor] = {}
        self.path: list[tuple[str, keras.layers.Layer]] = []
        self.pending: list[list[tf.Tensor]] = []
        self.last: Call | None = None
        self.fusing: list[tf.Tensor] | None = None
        self.channels_first = False
        self.additions: list[Addition] = []
        self.fresh: list[tuple[int, str, str, str, Any]] = []  # (clock, stage, layer, operation, kind)
        self.broken: tuple[int, str, Any] | None = None
        self.place_of_gradient: list[tuple[str, tf.Tensor]] = []
        self.stream = Stream()
        self._alive: list[Any] = []  # symbolic tensors whose identity is a key
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
        held: dict[str, Any] = layer.__dict__
        kept, had = held.get(name), name in held
        held[name] = value  # past Keras's attribute tracker, which would count it as a change of the layer
        self._undo.append(lambda: held.update({name: kept}) if had else held.pop(name, None))

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
            if isinstance(layer, keras.layers.RNN) and self.tape is not None and args and floats(args[0]):
                self.tape.watch(args[0])
                self.sequences[id(layer)] = args[0]
            self._arrive(layer, args)
            self.path.append((name, layer))
            self.pending.append([])
            try:
                out = method(*args, **kwargs)
            finally:
                self.path.pop()
                pending = self.pending.pop()
            self._note(name, layer, pending or [t for t in floats(out) if self._usable(t)], out)
            self._leave(layer, args, out)
            return out

        return call

    def key(self, t: Any) -> int:
        """A number for a tensor that no other one has while recording goes on."""
        if hasattr(t, "_id"):
            return t._id
        self._alive.append(t)
        return id(t)

    def _arrive(self, layer: keras.layers.Layer, args: tuple) -> None:
        """A normalisation reads what it is given."""
        if "Norm" in type(layer).__name__ and args and floats(args[0]) and self._usable(floats(args[0])[0]):
            t = floats(args[0])[0]
            size = tf.cast(tf.size(t, tf.int64), tf.float64)
            self.stream.normalized(self.key(t), self.norm(t) / tf.sqrt(size))

    def _leave(self, layer: keras.layers.Layer, args: tuple, out: Any) -> None:
        """What a dropout, an activation or a normalisation makes of a stream is one."""
        normalizes = "Norm" in type(layer).__name__
        tensors = bool(args) and isinstance(args[0], tf.Tensor) and isinstance(out, tf.Tensor)
        if not tensors:
            return
        seen = self.stream.known(self.key(out))  # an activation whose function has been seen
        if normalizes or (isinstance(layer, THROUGH) and not seen):
            bent = not isinstance(layer, keras.layers.Dropout | keras.layers.ReLU)
            self.stream.kept(self.key(args[0]), self.key(out), bent=bent)

    def _note(self, name: str, layer: keras.layers.Layer, at: list[tf.Tensor], out: Any) -> None:
        if not at:
            return
        if id(layer) not in self.calls:
            self.calls[id(layer)], self.at[id(layer)] = [], []
            self.order.append((name, layer))
        fused = self.last.bends if self.last is not None and self.fusing is at else []
        sizes = [self.norm(t) for t in at] if self.own[id(layer)] or self.thorough else []
        bad = [not_finite(t) for t in at] if self.thorough else [any_bad(size) for size in sizes]
        entries = [tf.size(t, tf.int64) for t in at]
        call = Call(sizes, entries, bad, at[0].dtype.name, bends=fused)  # type: ignore[arg-type]
        self.calls[id(layer)].append(call)
        self.at[id(layer)].append(at)
        if self.own[id(layer)]:
            self.last = call
            self.channels_first = getattr(layer, "data_format", None) == "channels_first"
            for t in floats(out):
                self.stream.made(self.key(t), call)
        if self.thorough:
            self._clock += 1
            bad = [t for t in (*at, *floats(out)) if not np.isfinite(numpy(t)).all()]
            if bad and self.broken is None:
                self.broken = (self._clock, self._place(name, layer), kind(bad[0]))

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
                self.fusing = self.pending[-1]
                self.last = Call([], 0, [])  # until the layer returns
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
            if isinstance(out, tf.Tensor) and self._usable(out):
                self.stream.kept(self.key(z), self.key(out), bent=name not in ("relu", "leaky_relu"))
        finally:
            self._inside -= 1
        return out

    def _bend(self, function: Callable, name: str, z: tf.Tensor, args: tuple, kwargs: dict, out: tf.Tensor) -> Bend:
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
            limit = tf.cast(SLOPE_SHARE * LARGEST_SLOPES.get(name, 1.0), slope.dtype)
            off, flat = tf.equal(slope, 0), tf.abs(slope) < limit
        dead = None
        if name in ONE_SIDED and z.shape.rank >= 2:
            axis = 1 if self.channels_first and z.shape.rank >= 3 else z.shape.rank - 1
            others = [i for i in range(z.shape.rank) if i != axis]
            dead = share(tf.reduce_all(off, axis=others))
        return Bend(name, dead, share(flat), self.norm(out), tf.size(out, tf.int64))  # type: ignore[arg-type]

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
            sound = op in MAKES_MASKS or np.isfinite(numpy(t)).all()
            if not sound and all(np.isfinite(numpy(i)).all() for i in floats(list(inputs))):
                place = self._place(*self.path[-1]) if self.path else type(self.model).__name__
                self.fresh.append((self._clock, self.stage, place, op, kind(t)))
        if self.stage != "forward" or len(outputs) != 1 or not hasattr(outputs[0], "_id"):
            return
        out = outputs[0]
        if op in ("AddV2", "Add", "AddN") and len(terms) == 2 and terms[0].shape == terms[1].shape and out.ndim >= 2:
            keys = (terms[0]._id, terms[1]._id)
            chained = next((i for i, key in enumerate(keys) if self.stream.streams(key)), None)
            if chained is not None:
                place = self._place(*self.path[-1]) if self.path else type(self.model).__name__
                stream, branch, total = (_rms(t) for t in (terms[chained], terms[1 - chained], out))
                self.additions.append(Addition(place, stream, branch, total))
            self.stream.added(keys, out._id)
        elif op in MOVES and terms:
            self.stream.kept(terms[0]._id, out._id)

    def owners(self) -> list[tuple[str, keras.layers.Layer, list[keras.Variable]]]:
        """Called layers with weights of their own, in order; a weight that a layer and a part of it both name counts
        for the part."""
        return [(name or layer.name, layer, self.own[id(layer)]) for name, layer in self.order if self.own[id(layer)]]

    def _owned(self) -> dict[int, list[keras.Variable]]:
        own = {}
        for name, layer in self.layers:
            below = f"{name}/" if name else ""
            inside = [part for key, part in self.layers if part is not layer and key.startswith(below)]
            parts = {id(v) for part in inside for v in own_variables(part)}
            own[id(layer)] = [v for v in own_variables(layer) if id(v) not in parts]
        return own

    def targets(self) -> list[tf.Tensor]:
        """The tensors whose gradient is wanted beside that of the weights, in order."""
        notes = [t for _, layer, _ in self.owners() for at in self.at[id(layer)] for t in at]
        return [*notes, *self.sequences.values()]

    def summary(
        self, found: Mapping[int, Any], gradients: Mapping[int, Any], changes: Mapping[int, tf.Tensor] | None
    ) -> list[core.Layer]:
        """The layers of a step as notes, with scalar tensors that are still to be evaluated.

        ``found``: id of one of :meth:`targets` -> its gradient; ``gradients``, ``changes``: id of a variable -> its
        gradient, norm of one step.
        """
        owners = self.owners()
        users: dict[int, list[str]] = {}
        for name, _, own in owners:
            for v in own:
                users.setdefault(id(v), []).append(name)
        return [self._layer(name, layer, own, users, found, gradients, changes) for name, layer, own in owners]

    def _layer(
        self,
        name: str,
        layer: keras.layers.Layer,
        own: list[keras.Variable],
        users: Mapping[int, list[str]],
        found: Mapping[int, Any],
        gradients: Mapping[int, Any],
        changes: Mapping[int, tf.Tensor] | None,
    ) -> core.Layer:
        calls = self.calls[id(layer)]
        for call, at in zip(calls, self.at[id(layer)], strict=True):
            back = [dense(found[id(t)]) for t in at if found.get(id(t)) is not None]
            call.deltas = [self.norm(g) for g in back]
            call.bad_deltas = [not_finite(g) for g in back] if self.thorough else [any_bad(d) for d in call.deltas]
        weights = [v for v in own if "bias" not in v.name and v.name not in ("beta", "shift")] or own
        moving = [v for v in weights if v.trainable]
        grads = [dense(gradients[id(v)]) for v in moving if gradients.get(id(v)) is not None]
        grown = [self.norm(g) for g in grads]
        counted = [g for g in grads if self.thorough or g.dtype.size < 4]  # underflow: looked for where it is near
        sizes = {id(v): self.held[id(v)] if id(v) in self.held else self.norm(v.value) for v in weights}
        sequence, steps = self.sequences.get(id(layer)), None
        through = None if sequence is None else found.get(id(sequence))
        if through is not None:
            flat = tf.transpose(tf.cast(through, tf.float64), [1, 0, *range(2, through.shape.rank)])
            steps = tf.sqrt(tf.reduce_sum(tf.square(flat), axis=list(range(1, flat.shape.rank))))
        known = None if changes is None else [changes[id(v)] for v in moving if id(v) in changes]
        return core.Layer(
            name=name,
            kind=type(layer).__name__,
            calls=calls,
            weights=[sizes[id(v)] for v in weights],
            matrices=[(sizes[id(v)], units) for v in weights if (units := units_of(layer, v))],
            matrix=any(len(v.shape) >= 2 for v in weights),
            gradients=grown or None,
            bad_gradients=[not_finite(g) for g in grads] if self.thorough else [any_bad(size) for size in grown],
            changes=known or None,
            zeros=(
                sum(tf.math.count_nonzero(tf.equal(g, 0)) for g in counted) if counted else 0,
                sum(tf.size(g, tf.int64) for g in counted) if counted else 0,  # type: ignore[arg-type]
            ),
            steps=() if steps is None else [steps],  # type: ignore[list-item]
            frozen=not any(v.trainable for v in own),
            shared_with=tuple(dict.fromkeys(u for v in weights for u in users[id(v)] if u != name)),
            entries=sum(
                math.prod(v.shape) for v in weights if "bias" not in v.name and v.name not in ("beta", "shift")
            ),
        )


def _rms(t: tf.Tensor) -> float:
    return float(np.linalg.norm(numpy(t).astype(np.float64)) / max(1, int(tf.size(t))) ** 0.5)


def tensors_of(layers: list[core.Layer]) -> list[tf.Tensor]:
    """Every scalar tensor in notes, and the norms over time, in order."""
    found: list[tf.Tensor] = []
    evaluated(layers, lambda t: (found.append(t), 0.0)[1] if isinstance(t, tf.Tensor) else t)
    return found


def evaluated(layers: list[core.Layer], value: Callable[[Any], Any]) -> list[core.Layer]:
    """A copy of notes in which each scalar is replaced by its ``value``."""

    def copied(part: Any) -> Any:
        if isinstance(part, list):
            return [copied(p) for p in part]
        if isinstance(part, tuple):
            return tuple(copied(p) for p in part)
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            fields = {f.name: copied(getattr(part, f.name)) for f in dataclasses.fields(part)}
            return type(part)(**fields)
        return value(part) if isinstance(part, tf.Tensor) else part

    return [copied(layer) for layer in layers]


def settled(layers: list[core.Layer], values: list[Any] | None = None) -> list[core.Layer]:
    """Notes with all scalars evaluated: each asked, or from ``values`` in the order of :func:`tensors_of`."""
    given = iter(values) if values is not None else None

    def value(t: tf.Tensor) -> Any:
        number = numpy(t) if given is None else next(given)
        return np.asarray(number).tolist()

    made = evaluated(layers, value)
    for layer in made:
        layer.steps = layer.steps[0] if layer.steps else ()  # type: ignore[assignment]
        for call in layer.calls:
            call.entries = int(sum(call.entries))  # type: ignore[arg-type]
    return made
