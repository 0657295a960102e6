"""One batch through a Keras model, forward and backward."""

# Keras declares few types; what a checker infers of its attributes is every backend at once, or None until built.
# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportOptionalOperand=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradclinic.instrument.core import reading
from gradclinic.instrument.keras.measure import keras, kind, named, norm, numpy, tf
from gradclinic.instrument.keras.recorder import Recorder, settled
from gradclinic.instrument.keras.restore import (
    after_step,
    batch_of,
    called,
    check,
    default_loss,
    guess,
    prepared,
    restored,
)
from gradclinic.instrument.readings import LayerReading, NonFinite, Report, TensorReading
from gradclinic.instrument.tensors import neighbour_agreement, read_tensor


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
    check(model, loss, lr, optimizer)
    dtype = model.variable_dtype
    x, y = prepared(x, dtype), prepared(y, dtype)
    batch = batch_of(x, y)
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
        return default_loss(fallback, output, y) if loss is None else called(loss, output, y)

    recorder = Recorder(model, thorough=True)
    with restored(model) as rewind:
        output, value, back, gradients = _passed(recorder, lambda: model(x, **options), evaluate)
        variables = model.trainable_variables
        stepped = after_step(gradients, variables, lr or 1.0, optimizer)
        changes = {id(v): norm(after - v.value) for v, after in zip(variables, stepped, strict=True)}
        layers = tuple(reading(layer, batch) for layer in settled(recorder.summary(back, gradients, changes)))
        loss_after = None
        if lr is not None or optimizer is not None:
            rewind()
            with keras.StatelessScope(state_mapping=list(zip(variables, stepped, strict=True))):
                loss_after = float(evaluate(model(x, **options)))
    inputs = tuple(read_tensor(name, numpy(t)) for name, t in named(x, "x"))
    goals = tuple(read_tensor(name, numpy(t)) for name, t in named(y, "y"))
    labels = isinstance(y, tf.Tensor) and y.shape.rank == 1 and y.dtype.is_integer and len(inputs) == 1
    return Report(
        framework="Keras",
        layers=layers,
        batch=batch,
        loss=float(value),
        loss_guess=guess(model, loss, compiled, output, y),
        loss_after=loss_after,
        lr=None if optimizer is not None else lr or 1.0,
        assumed=lr is None and optimizer is None,
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        inputs=inputs,
        targets=goals,
        outputs=tuple(read_tensor(name, numpy(t)) for name, t in named(output, "output")),
        additions=tuple(recorder.additions),
        neighbours=neighbour_agreement(numpy(next(named(x))[1]), numpy(y)) if labels else None,
        first_nonfinite=_first_nonfinite(model, inputs, goals, recorder, value, layers),
        unused=tuple(v.path for v in variables if gradients[id(v)] is None),
    )


def _passed(
    recorder: Recorder, forward: Callable[[], Any], evaluate: Callable[[Any], Any]
) -> tuple[Any, tf.Tensor, dict[int, Any], dict[int, Any]]:
    """One forward and backward pass: output, loss, gradients of the layers' outputs and of the weights, by ``id``."""
    with recorder, tf.GradientTape(persistent=True) as tape:
        recorder.start(tape)
        output = forward()
        recorder.stage = "loss"
        value = evaluate(output)
        if not isinstance(value, tf.Tensor) or value.shape.num_elements() != 1:
            got = f"shape {tuple(value.shape)}" if isinstance(value, tf.Tensor) else type(value).__name__
            raise ValueError(f"loss: got {got} from loss(output, y), wanted a scalar tensor, the mean over the batch")
        with tape.stop_recording():
            recorder.stage = "backward"
            variables, targets = recorder.model.trainable_variables, recorder.targets()
            found = tape.gradient(value, [*targets, *(v.value for v in variables)])
            recorder.stop()
    del tape
    back = {id(t): g for t, g in zip(targets, found, strict=False)}
    gradients = {id(v): g for v, g in zip(variables, found[len(targets) :], strict=True)}
    if all(g is None for g in gradients.values()):
        raise ValueError("loss: got a value that depends on no trainable variable, wanted one to differentiate")
    return output, value, back, gradients


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
        if not np.isfinite(numpy(v.value)).all():
            return NonFinite("parameter", v.path, kind(v.value))
    forward = None
    if np.isfinite(numpy(loss)).all() and not any(layer.nonfinite_gradient for layer in layers):
        return None  # what a mask of -inf did in between is no fault
    if recorder.broken is not None:
        clock, place, sort = recorder.broken
        made = [entry for entry in recorder.fresh if entry[0] <= clock and entry[1] == "forward"]
        forward = NonFinite("forward", place, sort)
        if made:
            _, _, place, operation, sort = made[-1]
            forward = NonFinite("forward", place, sort, operation)
    elif not np.isfinite(numpy(loss)).all():
        made = [entry for entry in recorder.fresh if entry[1] == "loss"]
        forward = NonFinite("loss", "loss", kind(loss), made[-1][3] if made else None)
    if forward is not None:
        given: list[tuple[Any, Any]] = [("input", reading) for reading in inputs]
        given += [("target", reading) for reading in targets] if forward.stage == "loss" else []
        return next((NonFinite(stage, r.name, "nan") for stage, r in given if r.nonfinite), forward)
    harmed = [layer for layer in reversed(layers) if layer.nonfinite_gradient]
    if harmed:
        made = [entry for entry in recorder.fresh if entry[1] == "backward"]
        operation = f"{made[0][3]} of the backward pass" if made else None
        return NonFinite("backward", harmed[0].name, made[0][4] if made else "nan", operation)
    return None
