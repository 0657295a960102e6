"""What both frameworks do alike: notes of calls become readings, and events of a loop become steps.

``torch`` and ``keras`` only hook themselves in and write :class:`Layer`, :class:`Call` and :class:`Bend`; a scalar in
them may be a float or a tensor of the framework until :func:`reading` takes it by ``float``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

from gradclinic.instrument.readings import LayerReading, NonFinite

Scalar = SupportsFloat


@dataclass
class Bend:
    """One use of an activation function: its name, the share of units that are off for every sample (``None`` where
    there is no such thing), the share of entries without a slope, and the norm of what came out."""

    function: str
    dead: Scalar | None
    saturated: Scalar
    size: Scalar
    entries: int


@dataclass
class Call:
    """One call of a layer: norms of what it returned and of the gradients that came back, entries that are not finite
    in both, and the activation functions that followed. ``normalized_at``: rms of what the normalisation takes in that
    reads the output; ``width``: length of the input's last axis; ``gates``: saturated share of a recurrent layer's."""

    sizes: list[Any]
    entries: int
    bad: list[Any]
    dtype: str = ""
    deltas: list[Any] = field(default_factory=list)
    bad_deltas: list[Any] = field(default_factory=list)
    bends: list[Bend] = field(default_factory=list)
    normalized_at: Any = None
    width: int | None = None
    followed: bool = False
    gates: Scalar | None = None


@dataclass
class Layer:
    """One layer and all its calls. ``weights``: norms of its weights, biases left out; ``matrices``: norm and number of
    units of each weight matrix, so that ``norm / sqrt(units)`` is ``sqrt(fan_in mean(w^2))``; ``gradients``: norms of
    dC/dW, ``None`` where no gradient came; ``changes``: norms of one step, ``None`` where none was seen; ``zeros``:
    entries of the gradients that are exactly 0, and how many were looked at; ``steps``: norms over time; ``entries``:
    of all weights together; ``surprises``: for each weight that Adam moved the sum of ``g^2 / v`` and the number of
    entries."""

    name: str
    kind: str
    calls: list[Call]
    weights: Sequence[Scalar] = ()
    matrices: Sequence[tuple[Scalar, int]] = ()
    matrix: bool = True
    gradients: Sequence[Scalar] | None = None
    bad_gradients: Sequence[Scalar] = ()
    changes: Sequence[Scalar] | None = None
    zeros: tuple[Scalar, int] = (0, 0)
    steps: Sequence[float] = ()
    entries: int = 0
    surprises: Sequence[tuple[Scalar, int]] = ()
    frozen: bool = False
    shared_with: tuple[str, ...] = ()
    unread: str = ""


def root(norms: Iterable[Scalar]) -> float:
    """Norm of a whole from the norms of its parts, without squaring what is tiny or huge."""
    return math.hypot(*(float(norm) for norm in norms))


def _mean(values: Sequence[Scalar]) -> float | None:
    return sum(float(value) for value in values) / len(values) if values else None


def _shares(bends: Sequence[Bend]) -> tuple[float | None, float | None]:
    """Dead and saturated share over all uses of one function."""
    dead = [bend.dead for bend in bends if bend.dead is not None]
    return _mean(dead), _mean([bend.saturated for bend in bends])


def _deltas(layer: Layer, batch: int, scale: float) -> list[float]:
    """Delta of each call that a gradient came back to."""
    return [math.sqrt(batch) * root(call.deltas) / scale for call in layer.calls if call.deltas]


def _update(layer: Layer, weight: float | None) -> float | None:
    if layer.changes is None or layer.frozen or weight is None:
        return None
    change = root(layer.changes)
    return change / weight if weight else math.inf if change else 0.0


def reading(layer: Layer, batch: int, scale: float = 1.0) -> LayerReading:
    """One row of a report. ``batch``: samples over which the loss is a mean; ``scale``: what the loss was multiplied
    by, divided out of everything that is a gradient."""
    calls = layer.calls
    entries = sum(call.entries for call in calls)
    size = root(s for call in calls for s in call.sizes) / math.sqrt(entries) if entries else None
    bends = [bend for call in calls for bend in call.bends]
    bends = [bend for bend in bends if bend.function == bends[0].function]
    handed, bent = root(bend.size for bend in bends), sum(bend.entries for bend in bends)
    sound = size is not None and math.isfinite(size)  # slopes at nan say nothing
    dead, saturated = _shares(bends) if sound else (None, None)
    if sound and not bends:
        saturated = _mean([call.gates for call in calls if call.gates is not None])
    back = _deltas(layer, batch, scale)
    steps = tuple(math.sqrt(batch) * float(s) / scale for s in layer.steps) or (tuple(back) if len(back) > 1 else ())
    weight = root(layer.weights) if layer.weights else None
    units = sum(units for _, units in layer.matrices)
    zeros, looked_at = layer.zeros
    moved = sum(entries for _, entries in layer.surprises)
    at = [float(call.normalized_at) for call in calls if call.normalized_at is not None]
    return LayerReading(
        name=layer.name,
        kind=layer.kind,
        activation=handed / math.sqrt(bent) if bent else size,
        output=size,
        function=bends[0].function if bends else None,
        delta=math.sqrt(sum(d * d for d in back) / len(back)) if back else None,
        weight_gradient=root(layer.gradients) / scale if layer.gradients else None,
        weight=weight,
        update=_update(layer, weight),
        weight_scale=root(norm for norm, _ in layer.matrices) / math.sqrt(units) if units else None,
        dead=dead,
        saturated=saturated,
        zero_gradient=float(zeros) / looked_at if looked_at else None,
        nonfinite=int(sum(float(n) for call in calls for n in call.bad)),
        nonfinite_gradient=int(
            sum(float(n) for n in (*layer.bad_gradients, *(b for c in calls for b in c.bad_deltas)))
        ),
        calls=len(calls),
        steps=steps,
        matrix=layer.matrix,
        frozen=layer.frozen,
        shared_with=layer.shared_with,
        dtype=calls[0].dtype if calls else "",
        normalized_at=root(at) / math.sqrt(len(at)) if at else None,
        gain=weight / math.sqrt(layer.entries) if weight is not None and layer.entries and not layer.matrix else None,
        unread=layer.unread,
        adam_rms=math.sqrt(sum(float(total) for total, _ in layer.surprises) / moved) if moved else None,
    )


def broken(layers: Sequence[Layer]) -> bool:
    """Whether a number that was noted of a step is not finite, so that :func:`first_nonfinite` may find a place."""
    for layer in layers:
        if any(layer.bad_gradients) or not all(math.isfinite(size) for size in layer.weights):
            return True
        for call in layer.calls:
            if any(call.bad) or any(call.bad_deltas):
                return True
    return False


def first_nonfinite(layers: Sequence[LayerReading]) -> NonFinite | None:
    """Where numbers first left the finite ones, as far as layers show it: weights, forward, then backward.

    A forward pass that is not finite counts only where the backward pass shows it: what a mask of -inf does is no
    fault while gradients are finite.
    """
    broken = next((layer for layer in layers if not math.isfinite(layer.weight or 0.0)), None)
    forward = next((layer for layer in layers if layer.nonfinite), None)
    backward = next((layer for layer in reversed(layers) if layer.nonfinite_gradient), None)
    if broken is not None:
        return NonFinite("parameter", broken.name, "nan" if math.isnan(broken.weight or math.nan) else "inf")
    if backward is None:
        return None
    place, size = (forward, forward.output) if forward is not None else (backward, backward.delta)
    kind = "nan" if math.isnan(math.nan if size is None else size) else "inf"
    return NonFinite("forward" if forward is not None else "backward", place.name, kind)


@dataclass
class Steps:
    """The steps of a loop as one state machine.

    A step is what lies between two beginnings: :meth:`begins` is told at every forward pass from outside and says
    whether it starts a new step, which it does once a backward pass has come through; :meth:`returned` is told of
    backward passes. ``due``: whether the step at hand is to be read, which are ``width`` in every ``every``: more than
    one where a loop moves different weights in turn, as that of a GAN does.
    """

    every: int
    count: int = 0
    open: bool = False
    back: bool = False
    alarm: bool = False
    width: int = 1

    @property
    def due(self) -> bool:
        """Whether the step at hand is one of those that are read, or follows a bad one."""
        return self.count % self.every < self.width or self.alarm

    def widen(self) -> None:
        """A step that is not read moves weights that no step that is read has moved."""
        at = self.count % self.every
        if at < 4:
            self.width = max(self.width, at + 1)

    def begins(self) -> bool:
        """A forward pass begins; true if it belongs to a step that has not been opened."""
        if self.open:
            return False
        self.open = True
        return True

    def returned(self) -> None:
        """A backward pass has reached the weights."""
        self.back = True

    def close(self) -> None:
        """The step is over."""
        self.count += 1
        self.open = self.back = False
