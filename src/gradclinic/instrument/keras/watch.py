"""A training run of a Keras model under observation."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gradclinic.instrument import core
from gradclinic.instrument.keras.measure import dense, keras, named, norm, numpy, quick_norm, tf
from gradclinic.instrument.keras.recorder import Recorder, settled, tensors_of
from gradclinic.instrument.keras.restore import batch_of, check
from gradclinic.instrument.readings import NonFinite, Report, Watched
from gradclinic.instrument.tensors import read_tensor


@dataclass
class Sampled:
    """A step that was read: its layers as notes, complete but for what happened to the weights, which may come later.
    ``moving``: for each layer the ids of its weights; ``before``: id -> variable and its value before the step."""

    step: int
    layers: list[core.Layer]
    moving: list[list[int]]
    batch: int
    loss: float
    inputs: Any = ()
    before: dict[int, tuple[keras.Variable, tf.Tensor]] = field(default_factory=dict)
    changes: dict[int, float] = field(default_factory=dict)

    def resolve(self) -> bool:
        """Note what has happened to the weights since; false if nothing did."""
        changes = {key: float(norm(v.value - kept)) for key, (v, kept) in self.before.items()}
        if any(changes.values()):
            self.changes, self.before = changes, {}
        return not self.before

    def read(self, lr: float | None, optimizer: Any) -> Report:
        """The report with what is known of the update by now."""
        for layer, moving in zip(self.layers, self.moving, strict=True):
            layer.changes = [self.changes[key] for key in moving if key in self.changes] or None
        layers = tuple(core.reading(layer, self.batch) for layer in self.layers)
        return Report(
            framework="Keras",
            layers=layers,
            batch=self.batch,
            loss=self.loss,
            lr=lr,
            assumed=False,
            optimizer=type(optimizer).__name__ if optimizer is not None else None,
            inputs=self.inputs,
            first_nonfinite=core.first_nonfinite(layers) or _of_loss(self.loss),
        )


def _of_loss(loss: float) -> NonFinite | None:
    return None if math.isfinite(loss) or math.isnan(loss) else NonFinite("loss", "loss", "inf")


class Watching:
    """A training run under observation; made by :func:`gradclinic.instrument.watch`, used as a context.

    Loops with a ``GradientTape`` that run eagerly are read through the tape's own ``gradient``, which is asked for the
    gradients of the layers' outputs as well. ``fit`` and ``train_on_batch`` run compiled: on a sampled step a second
    compiled function takes the batch, which is ``train_step`` traced with the readings in it.
    """

    model: keras.Model
    optimizer: Any
    lr: float | None
    machine: core.Steps
    _notes: list[core.Layer]  # of the step that fit runs, while it is traced
    _changed: list[int]
    recorder: Recorder

    def __init__(
        self,
        model: keras.Model,
        every: int,
        optimizer: keras.optimizers.Optimizer | None,
        lr: float | None,
        make: Callable[..., Watched] = Watched,
        tell: Callable[[int, Report], None] | None = None,
    ) -> None:
        """Refuse what cannot be watched. ``tell(step, report)`` is called for each sampled step once it is over."""
        check(model, None, lr, optimizer)
        if model.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError("model: got one spread over several replicas, wanted a single device while watched")
        self.model, self.optimizer, self.lr, self._make, self._tell = model, optimizer, lr, make, tell
        self.machine = core.Steps(every)
        self.recorder = Recorder(model, thorough=False)
        self._sampled: list[Sampled] = []
        self._told = 0
        self._losses: dict[int, float] = {}
        self._bad_step: int | None = None
        self._inputs: Any = None
        self._never: set[int] | None = None  # weights that no step that was read has moved
        self._tape: tf.GradientTape | None = None  # the outermost tape of an eager step that is being sampled
        self._fitting = False  # inside fit's own step: the tape is not the reader's
        self._traced: dict[str, Any] | None = None  # what the tapes of a measured train_step gave
        self._undo: list[Callable[[], None]] = []

    @property
    def steps(self) -> int:
        """Steps that are over."""
        return self.machine.count

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
        self._resolve()
        self._report_new(last=True)
        while self._undo:
            self._undo.pop()()
        self.recorder.__exit__()

    def _shadow(self, owner: Any, name: str, value: Callable) -> None:
        vars(owner)[name] = value
        self._undo.append(lambda: vars(owner).pop(name, None))

    def loss(self, value: Any) -> None:
        """Note the loss of the step that was just taken; optional, sampled steps note their own."""
        self._losses[max(0, self.machine.count - 1)] = float(value)

    @property
    def report(self) -> Watched:
        """What was seen so far. ``ValueError`` before the first training step."""
        self._resolve()
        reports = tuple(part.read(self.lr, self.optimizer) for part in self._sampled)
        steps = tuple(part.step for part in self._sampled)
        origin = next((r.first_nonfinite for r in reports if r.first_nonfinite is not None), None)
        seen = [step for step, r in zip(steps, reports, strict=True) if r.first_nonfinite is not None]
        first = min([*seen, *([self._bad_step] if self._bad_step is not None else [])], default=None)
        return self._make(steps, reports, self.machine.count, dict(self._losses), first, origin)

    # What every step does

    def _look(self, loss: Any) -> None:
        """Raise the alarm at the first loss that is not finite: the next step is sampled, whatever its number."""
        if self._bad_step is None and not math.isfinite(float(loss)):
            self._bad_step, self.machine.alarm = self.machine.count, True

    def _resolve(self) -> None:
        """Complete the last step that was read with what has happened to the weights since."""
        if self._sampled and self._sampled[-1].before:
            self._sampled[-1].resolve()

    def _report_new(self, last: bool = False) -> None:
        """Tell of steps whose update is known."""
        while self._tell is not None and self._told < len(self._sampled):
            part = self._sampled[self._told]
            if part.before and part is self._sampled[-1] and not last:
                return
            self._told += 1
            self._tell(part.step, part.read(self.lr, self.optimizer))

    def _keep(self, made: Sampled, variables: list[keras.Variable]) -> None:
        """A step was read."""
        if self._never is None:
            self._never = {id(v) for v in self.model.trainable_variables}
        self._never -= {id(v) for v in variables}
        if math.isfinite(made.loss) or made.step not in self._losses:
            self._losses[made.step] = made.loss
        made.inputs = (self._inputs or ()) if not self._sampled else ()
        self._sampled.append(made)
        self.machine.alarm = False
        self._report_new()

    def _moving(self, layers: list[core.Layer]) -> list[list[int]]:
        """For each layer the ids of the weights, biases left out, that are trained."""
        own = {name: own for name, _, own in self.recorder.owners()}
        found = []
        for layer in layers:
            weights = [v for v in own[layer.name] if "bias" not in v.name and v.name not in ("beta", "shift")]
            found.append([id(v) for v in (weights or own[layer.name]) if v.trainable])
        return found

    # Loops with a tape of the reader's own

    def _variables(self, sources: Any) -> dict[int, keras.Variable]:
        """Position among ``sources`` -> the model's variable that stands there."""
        mine = {key: v for v in self.model.trainable_variables for key in (id(v), id(v.value))}
        return {i: mine[id(source)] for i, source in enumerate(sources) if id(source) in mine}

    def _entering(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def enter(tape: tf.GradientTape) -> tf.GradientTape:
            if tf.executing_eagerly() and not self._fitting and self._tape is None and self.model.built:
                self._resolve()
                self._report_new()
                if self.machine.due and threading.get_ident() == self.recorder.thread:
                    self._tape = tape
                    self.recorder.start()
            return original(tape)

        return enter

    def _differentiating(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def gradient(tape: tf.GradientTape, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
            flat = tf.nest.flatten(sources)
            mine = self._variables(flat)
            traced = self._traced if self._fitting else None
            tracing = traced is not None
            if not mine or not (tracing or (tf.executing_eagerly() and not self._fitting)):
                return original(tape, target, sources, *args, **kwargs)
            if not tracing and tape is not self._tape:
                found = original(tape, target, sources, *args, **kwargs)
                if self._tape is None:  # an eager step that is not sampled
                    if any(id(v) in (self._never or ()) for v in mine.values()):
                        self.machine.widen()
                    self._count(target)
                return found
            self.recorder.stop()
            targets = self.recorder.targets()
            found = original(tape, target, [*flat, *targets], *args, **kwargs)
            gradients = {id(v): found[i] for i, v in mine.items() if found[i] is not None}
            back = {id(t): g for t, g in zip(targets, found[len(flat) :], strict=True) if g is not None}
            if traced is not None:  # a train_step may have several tapes; layers are read once all have been asked
                for name, part in (("gradients", gradients), ("back", back)):
                    traced[name] = part | traced[name]
                traced.setdefault("loss", target)
                self.recorder.recording = True
            else:
                self._tape = None
                self._read_eagerly(self.recorder.summary(back, gradients, None), gradients, target, list(mine.values()))
                self._count(target)
            return tf.nest.pack_sequence_as(sources, found[: len(flat)])

        return gradient

    def _count(self, loss: Any) -> None:
        if isinstance(loss, tf.Tensor) and loss.shape.num_elements() == 1:
            self._look(loss)
        self.machine.close()

    def _read_eagerly(self, layers: list[core.Layer], gradients: Mapping[int, Any], loss: Any, variables: list) -> None:
        """Read an eager step, all but its update, which is still to come."""
        scalar = isinstance(loss, tf.Tensor) and loss.shape.num_elements() == 1
        first = (at[0][0] for at in self.recorder.at.values() if at and at[0] and at[0][0].shape.rank)
        made = Sampled(
            step=self.machine.count,
            layers=settled(layers),
            moving=self._moving(layers),
            batch=next((int(t.shape[0]) for t in first), 1),  # pyright: ignore[reportArgumentType]  # eager: known
            loss=float(loss) if scalar else math.nan,
        )
        if self.lr is None:
            made.before = {id(v): (v, tf.identity(v.value)) for v in variables}
        else:
            made.changes = {key: self.lr * float(norm(dense(g))) for key, g in gradients.items()}
        self._keep(made, variables)

    def _applying(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def apply(*args: Any, **kwargs: Any) -> Any:
            done = original(*args, **kwargs)
            if tf.executing_eagerly() and not self._fitting:
                self._resolve()
            return done

        return apply

    # fit

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
                self._resolve()
                self._report_new()
                self._fitting = True
                try:
                    logs = measured(next(iterator)) if self.machine.due and self.model.built else plain(iterator)
                finally:
                    self._fitting = False
                if isinstance(logs, Mapping) and "loss" in logs:
                    self._look(logs["loss"])
                self.machine.close()
                return logs

            train_function._watched = True
            self.model.train_function = train_function

        return make_train_function

    def _measured_function(self) -> Callable[[Any], Any]:
        """One ``train_step`` with readings, compiled unless the model runs eagerly."""

        def step(data: Any) -> tuple[Any, Any, Any]:
            variables = self.model.trainable_variables
            before = [tf.identity(v.value) for v in variables]
            self._traced = {"gradients": {}, "back": {}}
            self.recorder.start()
            try:
                logs = self.model.train_step(data)
            finally:
                self.recorder.stop()
                traced, self._traced = self._traced, None
            if "loss" not in traced:
                raise ValueError("model: got a train_step without a GradientTape, wanted one to read")
            changes = {id(v): quick_norm(v.value - b) for v, b in zip(variables, before, strict=True)}
            self.recorder.held = {id(v): quick_norm(b) for v, b in zip(variables, before, strict=True)}
            self._notes = self.recorder.summary(traced["back"], traced["gradients"], None)
            self.recorder.held = {}
            self._changed = list(changes)
            # One tensor instead of some hundred scalars, each of which would be handed over by itself.
            scalars = [tf.cast(t, tf.float64) for t in [*changes.values(), *tensors_of(self._notes)]]
            lone = [tf.reshape(t, (-1,)) for t in scalars]
            return logs, (tf.concat(lone, 0), tf.stack([tf.size(t) for t in lone])), traced["loss"]

        compiled = step if self.model.run_eagerly else tf.function(step, reduce_retracing=True, autograph=False)

        def measured(data: Any) -> Any:
            data = keras.tree.map_structure(
                lambda part: None if isinstance(part, tf.experimental.Optional) else part, data
            )
            collecting = getattr(self.model.optimizer, "gradient_accumulation_steps", None)
            variables = self.model.trainable_variables
            before = {id(v): (v, tf.identity(v.value)) for v in variables} if collecting else {}
            logs, (packed, sizes), loss = compiled(data)
            x = data[0] if isinstance(data, tuple) else data
            if self._inputs is None:
                self._inputs = tuple(read_tensor(name, numpy(t)) for name, t in named(x, "x"))
            numbers, values = packed.numpy().tolist(), []
            for size in sizes.numpy().tolist():
                part, numbers = numbers[:size], numbers[size:]
                values.append(part[0] if size == 1 else part)
            count = len(self._changed)
            made = Sampled(
                step=self.machine.count,
                layers=settled(self._notes, values[count:]),
                moving=self._moving(self._notes),
                batch=batch_of(x, None),
                loss=float(tf.reduce_sum(loss)),
                changes=dict(zip(self._changed, values[:count], strict=True)),
            )
            if collecting and not any(made.changes.values()):
                made.changes, made.before = {}, before
            self._keep(made, variables)
            return logs

        return measured
