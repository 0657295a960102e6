"""What the instrument hands over: readings per layer in plain numbers, a verdict, and the likely causes.

Nothing here knows a framework. ``torch_probe`` and ``keras_probe`` collect the numbers; every definition, every
threshold and every word of a diagnosis stands in this module. In all readings ``None`` means "there is no such
thing here" (a dead share without a one-sided activation), ``nan`` and ``inf`` are what was measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.spatial.distance import cdist

from gradclinic import activations, theory
from gradclinic.measure import DECADES, GradientProfile, Verdict, verdict

if TYPE_CHECKING:
    import pandas as pd

# Activations that are constant on one side, so that a unit can be off for every sample of a batch.
ONE_SIDED = frozenset({"relu", "relu6", "threshold", "hardtanh", "hardsigmoid", "hardswish"})
BOUNDED = frozenset({"sigmoid", "tanh", "softsign", "hardsigmoid", "hardtanh", "relu6"})
# Largest slopes, for the share of saturated entries.
LARGEST_SLOPES = {name: activation.max_slope for name, activation in activations.ACTIVATIONS.items()} | {
    "hardsigmoid": 1 / 6,
    "hardswish": 1.5,
    "mish": 1.0885,
}
SLOPE_SHARE = 0.05  # a unit is saturated where its slope is below this share of the activation's largest, as in measure
RECURRENT = ("RNN", "LSTM", "GRU", "Recurrent", "Bidirectional")
SHOWN_ROWS = 40  # a longer table leaves out its middle
NEIGHBOURS = 512  # samples among which nearest neighbours are looked for


@dataclass(frozen=True)
class LayerReading:
    r"""One layer on one batch.

    ``activation``: rms of what the layer hands on, after its activation ``function`` where one follows; ``output``: rms
    of the layer's own output ``z``. ``delta``: :math:`\sqrt{\mathrm{mean}_i \lVert \partial C_i/\partial z
    \rVert_2^2}` as in ``measure``; the rms over calls for a layer used several times. ``steps``: delta of each call,
    or of each time step at a recurrent layer's input. ``weight_gradient``, ``weight``: Frobenius norms over the layer's
    weights, biases left out (:math:`\partial C/\partial W` of the batch mean). ``update``: norm of one step over
    ``weight``. ``weight_scale``: :math:`\sigma_w = \sqrt{n_{in}\,\mathrm{mean}(w^2)}`, 1.41 for He's scheme.
    ``dead``: share of units with slope 0 on the whole batch (one-sided activations only); ``saturated``: share of
    entries with a slope below 5 % of the largest. ``zero_gradient``: share of weight-gradient entries that are
    exactly 0. ``nonfinite`` and ``nonfinite_gradient``: number of nan and inf entries forward and backward (in a
    watched run the number of tensors that have any).
    """

    name: str
    kind: str
    activation: float | None = None
    output: float | None = None
    function: str | None = None
    delta: float | None = None
    weight_gradient: float | None = None
    weight: float | None = None
    update: float | None = None
    weight_scale: float | None = None
    dead: float | None = None
    saturated: float | None = None
    zero_gradient: float | None = None
    nonfinite: int = 0
    nonfinite_gradient: int = 0
    calls: int = 1
    steps: tuple[float, ...] = ()
    matrix: bool = True
    frozen: bool = False
    shared_with: tuple[str, ...] = ()
    dtype: str = ""

    @property
    def normalizes(self) -> bool:
        """Whether the layer is a normalisation, by the name of its kind."""
        return "Norm" in self.kind


@dataclass(frozen=True)
class TensorReading:
    """An input, target or output: its shape and scale.

    ``constant``: columns (entries of the flattened sample) that do not vary over the batch. ``column_spread``: largest
    rms of a column over the median one. For integer labels ``classes`` counts the different values and ``majority`` is
    the share of the most frequent one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    mean: float
    rms: float
    low: float
    high: float
    nonfinite: int = 0
    constant: int | None = None
    column_spread: float | None = None
    classes: int | None = None
    majority: float | None = None

    def __str__(self) -> str:
        """One line in words."""
        text = f"{self.name}: {self.shape} {self.dtype}"
        if self.nonfinite:
            text += f", {self.nonfinite} ENTRIES NOT FINITE"
        if self.classes is not None:
            text += f", {self.low:.6g} to {self.high:.6g}, {self.classes} values"
            return text + f", most frequent {self.majority:.0%}" if self.majority is not None else text
        text += f", mean {self.mean:.3g}, rms {self.rms:.3g}, {self.low:.3g} to {self.high:.3g}"
        if self.column_spread is not None and self.column_spread > 10:
            text += f", largest column {self.column_spread:.3g} times the median one"
        return text + (f", {self.constant} constant columns" if self.constant else "")


@dataclass(frozen=True)
class Addition:
    """A skip connection met on the way: rms of the stream, of the branch added to it, and of their sum."""

    name: str
    stream: float
    branch: float
    total: float


@dataclass(frozen=True)
class NonFinite:
    """Where numbers first left the finite ones, in order of computation.

    ``stage``: ``"input"``, ``"target"``, ``"parameter"``, ``"forward"``, ``"loss"`` or ``"backward"``; ``name``: the
    tensor or layer; ``operation``: the function that made it out of finite numbers, where that was seen.
    """

    stage: Literal["input", "target", "parameter", "forward", "loss", "backward"]
    name: str
    kind: Literal["inf", "nan"]
    operation: str | None = None

    def __str__(self) -> str:
        """Say it in words."""
        made = f", made by {self.operation}" if self.operation else ""
        place = {
            "input": f"in the input {self.name}",
            "target": f"in the target {self.name}",
            "parameter": f"in the parameter {self.name}",
            "forward": f"in the forward pass, at {self.name}",
            "loss": "in the loss",
            "backward": f"in the backward pass, at {self.name}",
        }
        return f"first {self.kind} {place[self.stage]}{made}"


@dataclass(frozen=True)
class Cause:
    """A likely cause: a stable ``key``, what it is, the evidence in words, and the chapter to read."""

    key: str
    title: str
    evidence: str
    page: str

    def __str__(self) -> str:
        """Return one paragraph."""
        return f"{self.title}: {self.evidence} (read {self.page})"


@dataclass(frozen=True)
class Report:
    """One batch through one model: ``layers`` in order of their first call, and what went in and came out.

    ``loss``: of the batch; ``loss_guess``: what a guess without looking costs (``log`` of the number of classes; half
    the targets' squared deviation from their mean); ``loss_after``: loss of the same batch after one step, where a step
    size is known. ``lr``: the step size in ``update``, ``None`` where an optimizer made the update. ``assumed``: no
    step size was given and 1 was taken. ``neighbours``: share of samples whose nearest neighbour has the same label,
    and the share expected by chance. ``unused``: parameters on which the loss does not depend.
    """

    framework: str
    layers: tuple[LayerReading, ...]
    batch: int
    loss: float = math.nan
    loss_guess: float | None = None
    loss_after: float | None = None
    lr: float | None = 1.0
    assumed: bool = True
    optimizer: str | None = None
    inputs: tuple[TensorReading, ...] = ()
    targets: tuple[TensorReading, ...] = ()
    outputs: tuple[TensorReading, ...] = ()
    additions: tuple[Addition, ...] = ()
    neighbours: tuple[float, float] | None = None
    first_nonfinite: NonFinite | None = None
    unused: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(layer.name for layer in self.layers)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the layers: class names."""
        return tuple(layer.kind for layer in self.layers)

    def __getitem__(self, name: str) -> LayerReading:
        """The layer of that name; ``KeyError`` names those there are."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"name: got {name!r}, wanted one of {', '.join(self.names)}")

    def column(self, quantity: str) -> np.ndarray:
        """One quantity of all layers as an array ``(L,)``, ``nan`` where a layer has no such thing."""
        values = [getattr(layer, quantity) for layer in self.layers]
        return np.array([math.nan if value is None else value for value in values], dtype=np.float64)

    @property
    def delta(self) -> np.ndarray:
        """Delta per layer ``(L,)``."""
        return self.column("delta")

    @property
    def weight_gradient(self) -> np.ndarray:
        """Norm of the weight gradient per layer ``(L,)``."""
        return self.column("weight_gradient")

    @property
    def activation(self) -> np.ndarray:
        """Rms of the activations per layer ``(L,)``."""
        return self.column("activation")

    @property
    def update(self) -> np.ndarray:
        """Update-to-weight ratio per layer ``(L,)``."""
        return self.column("update")

    @property
    def profile(self) -> GradientProfile:
        """Layers with weight matrices whose delta was measured, as ``measure`` knows them: for its ``factor`` and for
        ``plots.profiles``.

        ``weight`` is 0 for a frozen layer. ``ValueError`` where no layer has a delta.
        """
        rows = [layer for layer in self.layers if layer.matrix and layer.delta is not None]
        if not rows:
            raise ValueError("model: got no layer through which a gradient flows, wanted at least one")
        return GradientProfile(
            tuple(layer.name for layer in rows),
            np.array([layer.delta for layer in rows]),
            np.array([layer.weight_gradient or 0.0 for layer in rows]),
            self.loss,
        )

    @property
    def verdict(self) -> Verdict:
        """``"non-finite"`` if anything was, else the verdict of ``measure`` on the delta of the weight layers."""
        if self.first_nonfinite is not None:
            return "non-finite"
        rows = [layer.delta for layer in self.layers if layer.matrix and layer.delta is not None]
        return verdict(np.array(rows)) if rows else "vanishing"

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Likely causes, the likeliest first; empty where nothing stands out."""
        return diagnose(self)

    def __str__(self) -> str:
        """Table of the layers, what went in and came out, the verdict and the likely causes."""
        size = f"{len(self.layers)} layers, batch of {self.batch}"
        lines = [f"{self.framework}, {size}", *map(str, self.inputs), *map(str, self.targets), *map(str, self.outputs)]
        lines += [self._loss_line(), "", *_table(self.layers), ""]
        if self.assumed:
            lines.append("update: for plain gradient descent at lr = 1, since neither lr nor optimizer was given")
        if self.additions:
            first, last = self.additions[0], self.additions[-1]
            lines.append(
                f"{len(self.additions)} skip connections: rms of the stream {first.stream:.3g} before the first,"
                f" {last.total:.3g} after the last"
            )
        if self.neighbours:
            lines.append(
                "nearest neighbours share a label: {:.0%} of the samples, by chance {:.0%}".format(*self.neighbours)
            )
        if self.unused:
            lines.append(f"the loss does not depend on: {', '.join(self.unused)}")
        return "\n".join([*lines, *_judgement(self)])

    def _loss_line(self) -> str:
        text = f"loss {self.loss:.4g}"
        if self.loss_guess is not None:
            text += f" (guessing costs {self.loss_guess:.4g})"
        if self.loss_after is not None:
            by = f"lr {self.lr:.3g}" if self.optimizer is None else self.optimizer
            text += f"; {self.loss_after:.4g} on the same batch after one step ({by})"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data for ``json``; nan and inf, which JSON lacks, become the strings ``"nan"``,
        ``"inf"``, ``"-inf"``."""
        return _plain({"verdict": self.verdict, "causes": self.causes} | _fields(self))

    def to_frame(self) -> pd.DataFrame:
        """One row per layer, indexed by name; needs pandas, ``ImportError`` says so."""
        rows = [_fields(layer) for layer in self.layers]
        return _pandas().DataFrame(rows).set_index("name")


@dataclass(frozen=True)
class Watched:
    """Reports of the sampled steps of a training run.

    ``steps``: index of each sampled step, counted from 0; ``losses``: step -> loss, where the loop gave it;
    ``nonfinite_step``: the first step at which something was not finite, with ``first_nonfinite`` the place where it
    was seen. ``total``: number of steps that ran.
    """

    steps: tuple[int, ...]
    reports: tuple[Report, ...]
    total: int
    losses: Mapping[int, float] = dataclasses.field(default_factory=dict)
    nonfinite_step: int | None = None
    first_nonfinite: NonFinite | None = None

    def __post_init__(self) -> None:
        """Refuse a run in which nothing was seen."""
        if not self.reports:
            raise ValueError(
                "watch: got no training step, wanted at least one backward pass through the model inside `with`"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all layers that were seen, in order."""
        return tuple(dict.fromkeys(name for report in self.reports for name in report.names))

    def column(self, quantity: str) -> np.ndarray:
        """One quantity ``(sampled steps, L)``, ``nan`` where it was not measured."""
        table = [{layer.name: getattr(layer, quantity) for layer in report.layers} for report in self.reports]
        rows = [[row.get(name) for name in self.names] for row in table]
        return np.array([[math.nan if v is None else v for v in row] for row in rows], dtype=np.float64)

    @property
    def trend(self) -> dict[str, float]:
        """Powers of ten by which each layer's delta changed between the first and the last sampled step."""
        delta = self.column("delta")
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.log10(delta[-1]) - np.log10(delta[0])
        return dict(zip(self.names, change.tolist(), strict=True))

    @property
    def verdict(self) -> Verdict:
        """``"non-finite"`` if anything ever was, else the verdict of the last sampled step."""
        return "non-finite" if self.nonfinite_step is not None else self.reports[-1].verdict

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Likely causes: what the run shows (steps too large, units that died), then those of the first ill report."""
        return diagnose_run(self)

    def __str__(self) -> str:
        """What changed between the first and the last sampled step, layer by layer, and the verdict."""
        first, last = self.reports[0], self.reports[-1]
        lines = [
            f"{first.framework}, {self.total} steps, {len(self.steps)} sampled: {self.steps[0]} to {self.steps[-1]}"
        ]
        if self.losses:
            at = sorted(self.losses)
            lines.append(f"loss {self.losses[at[0]]:.4g} at step {at[0]}, {self.losses[at[-1]]:.4g} at step {at[-1]}")
        quantities = ("activation", "delta", "update", "dead", "saturated")
        width = max(5, *(len(name) for name in self.names))
        lines += ["", f"{'layer':{width}}" + "".join(f"  {quantity:>20}" for quantity in quantities)]
        before, after = ({layer.name: layer for layer in report.layers} for report in (first, last))
        for name in _shown(self.names):
            cells = [f"{'...' if name is None else name:{width}}"]
            for quantity in quantities if name is not None else ():
                ends = [_cell(getattr(part[name], quantity) if name in part else None) for part in (before, after)]
                cells.append(f"  {' -> '.join(ends):>20}" if ends[0] != "-" or ends[1] != "-" else f"  {'-':>20}")
            lines.append("".join(cells))
        changed = [f"{step}: {report.verdict}" for step, report in zip(self.steps, self.reports, strict=True)]
        turns = [
            changed[i]
            for i in range(len(changed))
            if i == 0 or changed[i].split(": ")[1] != changed[i - 1].split(": ")[1]
        ]
        lines += ["", "verdict by step  " + ", ".join(turns)]
        return "\n".join([*lines, *_judgement(self)])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data for ``json``, see :meth:`Report.to_dict`."""
        parts = {"verdict": self.verdict, "causes": self.causes, "trend": self.trend} | _fields(self)
        return _plain(parts | {"reports": [report.to_dict() for report in self.reports]})

    def to_frame(self) -> pd.DataFrame:
        """Long form, one row per sampled step and layer; needs pandas."""
        rows = [
            {"step": step} | _fields(layer)
            for step, report in zip(self.steps, self.reports, strict=True)
            for layer in report.layers
        ]
        return _pandas().DataFrame(rows)


def _fields(record: object) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _plain(value: object) -> Any:
    """Turn dataclasses, tuples and NumPy numbers into what ``json.dumps(..., allow_nan=False)`` takes."""
    if dataclasses.is_dataclass(value):
        return _plain(_fields(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "to_frame needs pandas, which is not installed; to_dict gives the same data without it"
        ) from None
    return pandas


def _shown(rows: Sequence[Any]) -> list[Any]:
    """All rows of a short table; the ends of a long one, with ``None`` for what is left out."""
    if len(rows) <= SHOWN_ROWS:
        return list(rows)
    half = SHOWN_ROWS // 2
    return [*rows[:half], None, *rows[-half:]]


def _cell(value: float | None, share: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if share else f"{value:.3g}" if not math.isfinite(value) else f"{value:.2e}"


def _table(layers: Sequence[LayerReading]) -> list[str]:
    """Header and one line per layer."""
    head = ("layer", "kind", "activation", "function", "delta", "dC/dW", "update", "weight std*", "dead", "saturated")
    rows = [head]
    for layer in _shown(layers):
        if layer is None:
            rows.append(("...",) + ("",) * (len(head) - 1))
            continue
        kind = layer.kind + (f" x{layer.calls}" if layer.calls > 1 else "") + (" frozen" if layer.frozen else "")
        numbers = [_cell(v) for v in (layer.delta, layer.weight_gradient, layer.update, layer.weight_scale)]
        shares = [_cell(v, share=True) for v in (layer.dead, layer.saturated)]
        rows.append((layer.name, kind, _cell(layer.activation), layer.function or "-", *numbers, *shares))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    left = {0, 1, 3}
    lines = [
        "  ".join(f"{c:<{w}}" if i in left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return [line.rstrip() for line in lines] + ["* times the root of fan-in: 1.41 is He's scheme, 1 LeCun's"]


def _judgement(report: Report | Watched) -> list[str]:
    """Verdict, first non-finite number and causes."""
    at = f" (step {report.nonfinite_step})" if isinstance(report, Watched) and report.nonfinite_step is not None else ""
    lines = [f"verdict: {report.verdict}"]
    if report.first_nonfinite is not None:
        lines.append(f"{report.first_nonfinite}{at}")
    causes = report.causes
    lines += [f"{i}. {cause}" for i, cause in enumerate(causes, start=1)]
    return lines if causes else [*lines, "no cause stands out"]


def read_tensor(name: str, array: np.ndarray) -> TensorReading:
    """Scale, range and columns of an input, target or output; ``array`` ``(batch, ...)`` of any number type."""
    array = np.asarray(array)
    shape, dtype = tuple(array.shape), str(array.dtype)
    labels = array.dtype.kind in "iub"
    values = array.astype(np.float64)
    good = values[np.isfinite(values)]
    peak = np.max(np.abs(good), initial=0.0)
    rms = float(peak * np.sqrt(np.mean((good / peak) ** 2))) if peak > 0 else 0.0
    low, high = (float(good.min()), float(good.max())) if good.size else (math.nan, math.nan)
    mean = float(np.mean(good)) if good.size else math.nan
    reading = TensorReading(name, shape, dtype, mean, rms, low, high, int(values.size - good.size))
    if labels and good.size:
        counts = np.unique(array, return_counts=True)[1]
        return dataclasses.replace(reading, classes=len(counts), majority=float(counts.max() / array.size))
    if array.ndim >= 2 and array.shape[0] > 1 and good.size == values.size and good.size:
        columns = values.reshape(len(values), -1)
        sizes = np.sqrt(np.mean((columns / (peak or 1.0)) ** 2, axis=0))
        middle = np.median(sizes[sizes > 0]) if (sizes > 0).any() else 1.0
        constant = int(np.sum(columns.max(axis=0) == columns.min(axis=0)))
        return dataclasses.replace(reading, constant=constant, column_spread=float(sizes.max() / middle))
    return reading


def neighbour_agreement(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Share of samples whose nearest neighbour in ``x`` has the same label, and the share expected by chance.

    ``x``: ``(batch, ...)``, ``y``: ``(batch,)`` integers; the first 512 samples are compared. ``None`` for fewer than
    32 samples, a single class or an ``x`` that is not finite.
    """
    x, y = np.asarray(x)[:NEIGHBOURS], np.asarray(y)[:NEIGHBOURS]
    if x.dtype.kind != "f" or x.ndim < 2 or y.shape != x.shape[:1] or len(y) < 32 or not np.isfinite(x).all():
        return None
    shares = np.unique(y, return_counts=True)[1] / len(y)
    if len(shares) < 2:
        return None
    distances = cdist(*(x.reshape(len(x), -1).astype(np.float64),) * 2)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(y[distances.argmin(axis=1)] == y)), float(np.sum(shares**2))


@lru_cache
def _critical(function: str) -> float | None:
    """sigma_w at which delta neither shrinks nor grows; ``None`` where none is known.

    A sigmoid has none of practical use: with slopes of at most 1/4 it would need weights at which it saturates.
    """
    known = {"linear", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu"}
    return math.sqrt(float(theory.critical_weight_variance(function))) if function in known else None


def _decades(values: np.ndarray) -> float:
    """Powers of ten from the last positive finite entry to the first; 0 where there are fewer than two."""
    good = values[np.isfinite(values) & (values > 0)]
    return float(np.log10(good[0]) - np.log10(good[-1])) if len(good) > 1 else 0.0


def _middle(values: Iterable[float | None]) -> float | None:
    """Median of what was measured."""
    good = [v for v in values if v is not None and math.isfinite(v)]
    return float(np.median(good)) if good else None


class _Signs:
    """The few numbers of a report from which causes are argued."""

    def __init__(self, report: Report) -> None:
        self.report, self.verdict = report, report.verdict
        self.weights = [layer for layer in report.layers if layer.matrix and "Embedding" not in layer.kind]
        self.hidden = self.weights[:-1]
        functions = Counter(layer.function for layer in report.layers if layer.function)
        self.function = functions.most_common(1)[0][0] if functions else "linear"
        self.normalized = 2 * sum(layer.normalizes for layer in report.layers) >= max(1, len(self.hidden))
        self.gap = _decades(np.array([layer.delta or 0.0 for layer in self.weights]))  # > 0: delta grows to the input
        sizes = [layer.activation for layer in self.hidden if layer.activation is not None and not layer.nonfinite]
        self.forward = -_decades(np.array(sizes))  # > 0: activations grow towards the output
        self.scale = _middle(layer.weight_scale for layer in self.hidden)
        self.critical = _critical(self.function)
        self.ratio = self.scale / self.critical if self.scale is not None and self.critical else None
        self.saturated = _middle(layer.saturated for layer in report.layers if layer.function in BOUNDED) or 0.0
        self.dead = max((layer.dead for layer in report.layers if layer.dead is not None), default=0.0)
        self.update = _middle(layer.update for layer in self.weights if not layer.frozen)
        self.chained = [a for a in report.additions if a.stream > 0]
        self.ill = self.verdict != "healthy" or abs(self.forward) > DECADES

    @property
    def stream_growth(self) -> float:
        """Growth of the residual stream from before the first skip connection to after the last."""
        good = [a for a in self.chained if math.isfinite(a.total)]
        return good[-1].total / good[0].stream if good else 1.0


def diagnose(report: Report) -> tuple[Cause, ...]:
    """Argue from a report to likely causes, the likeliest first; see :attr:`Report.causes`.

    Each rule below needs its own evidence and none fires on a network that is healthy in that respect. The order: what
    is certain (numbers that are not finite in data or weights), then the rule whose evidence explains the gap between
    the ends of the profile, then what merely goes with it.
    """
    signs = _Signs(report)
    found: list[tuple[float, Cause]] = []
    for rule in _RULES:
        found += rule(signs)
    found.sort(key=lambda pair: -pair[0])
    return tuple(
        {cause.key: cause for _, cause in reversed(found)}[key] for key in dict.fromkeys(c.key for _, c in found)
    )


def _data(s: _Signs) -> Iterable[tuple[float, Cause]]:
    for reading in (*s.report.inputs, *s.report.targets):
        if reading.nonfinite:
            size = math.prod(reading.shape)
            words = f"{reading.nonfinite} of {size} entries of {reading.name} are nan or inf"
            yield 100, Cause("data", "data that are not finite", words, "reproduce/measuring")


def _targets(s: _Signs) -> Iterable[tuple[float, Cause]]:
    page = "reproduce/measuring"
    for target in s.report.targets:
        if target.nonfinite:
            continue
        if target.classes is not None:
            if target.majority is not None and target.majority > 0.95 and math.prod(target.shape) >= 16:
                words = f"{target.majority:.0%} of {target.name} have the same label"
                yield 60, Cause("targets", "targets that say nothing", words, page)
        elif s.report.outputs:
            given = max((o.rms for o in s.report.outputs), default=0.0)
            if target.rms > 10 and target.rms > 30 * given:
                words = f"{target.name} has rms {target.rms:.3g}, the model's output {given:.3g}"
                yield 78, Cause("targets", "targets on another scale than the output", words, page)
    if s.report.neighbours is not None and s.report.batch >= 64:
        agree, chance = s.report.neighbours
        noise = math.sqrt(chance * (1 - chance) / min(s.report.batch, NEIGHBOURS))
        if agree < chance + 3 * noise:
            words = (
                f"the nearest neighbour of a sample has its label in {agree:.0%} of the batch, by chance {chance:.0%};"
                " check that inputs and targets belong together (there are tasks that distances cannot see)"
            )
            yield 52, Cause("targets", "targets that do not follow from the inputs", words, page)


def _operation(s: _Signs) -> Iterable[tuple[float, Cause]]:
    """A nan or inf that an operation made out of ordinary numbers, or a parameter that is not finite."""
    origin = s.report.first_nonfinite
    if origin is None or origin.stage in ("input", "target"):
        return
    page = "reproduce/measuring"
    if origin.stage == "parameter":
        yield 95, Cause("parameters", "weights that are not finite", f"{origin}; an earlier step broke them", page)
        return
    sizes = [layer.activation for layer in s.report.layers if layer.activation is not None and not layer.nonfinite]
    largest = max((a for a in sizes if math.isfinite(a)), default=0.0)
    if largest < 1e4 or origin.stage in ("loss", "backward"):
        words = f"{origin}; activations before it reach {largest:.3g}"
        yield (70 if largest < 1e4 else 40), Cause("operation", "an operation outside its domain", words, page)


def _initialization(s: _Signs) -> Iterable[tuple[float, Cause]]:
    if s.scale is None or s.normalized:
        return
    page, depth = "remedies/initialization", len(s.weights) - 1
    if s.function in BOUNDED and s.critical is None:  # the sigmoid and its kin
        if s.scale < 0.4 and s.ill:
            words = f"weights have {s.scale:.3g} times the standard deviation 1/sqrt(fan-in) (median of hidden layers)"
            yield 85, Cause("init-small", "initial weights too small", words, page)
        elif s.scale < 3 and s.verdict == "vanishing":
            words = f"with {s.function} weights of {s.scale:.3g}/sqrt(fan-in) lose more than a factor of 2 per layer"
            yield 45, Cause("init-small", "initial weights small for this activation", words, page)
        elif s.scale > 6 and s.saturated > 0.3:
            words = (
                f"weights have {s.scale:.3g} times the standard deviation 1/sqrt(fan-in), {s.saturated:.0%} saturated"
            )
            yield 85, Cause("init-large", "initial weights too large", words, page)
        return
    if s.ratio is None:
        return
    explained, seen = depth * math.log10(s.ratio) if s.ratio > 0 else -math.inf, s.gap
    said = f"median weights are {s.scale:.3g}/sqrt(fan-in), {s.function} keeps level at {s.critical:.3g}"
    said += f"; over {depth} layers that is 10^{explained:.1f}"
    if s.ratio < 0.95 and (s.verdict == "vanishing" or s.forward < -DECADES or (s.ratio < 0.3 and s.gap < -1)):
        strong = explained < 0.4 * min(seen, s.forward, -1.0)
        words = f"{said}, and delta changes by 10^{seen:.1f} towards the input"
        yield (91 if strong else 40), Cause("init-small", "initial weights too small", words, page)
    elif s.ratio > 1.05 and s.ill:
        saturated = s.function in BOUNDED and s.ratio > 1.5 and s.saturated > 0.2
        strong = saturated or explained > 0.4 * max(seen, s.forward, 1.0)
        words = f"{said}, and " + (
            f"{s.saturated:.0%} of the entries are saturated"
            if saturated
            else f"delta grows by 10^{seen:.1f} towards the input, activations by 10^{s.forward:.1f} forward"
        )
        yield (84 if strong else 40), Cause("init-large", "initial weights too large", words, page)


def _activation(s: _Signs) -> Iterable[tuple[float, Cause]]:
    page = "remedies/activations"
    if s.saturated > 0.3:
        inputs = max((i.rms for i in s.report.inputs), default=0.0)
        large = (s.ratio is not None and s.ratio > 1.5) or (s.critical is None and (s.scale or 0) > 6) or inputs > 10
        words = f"in the median layer {s.saturated:.0%} of the {s.function} units have a slope below 5 % of the largest"
        yield (60 if large else 82), Cause("saturation", "a saturating activation", words, page)
    elif s.verdict == "vanishing" and s.function in BOUNDED and s.critical is None and not s.normalized:
        steps = max(1, len(s.weights) - 1)
        words = (
            f"{s.function} has slopes of at most 1/4; measured a factor of {10 ** (s.gap / steps):.2g} per layer,"
            f" {steps} times, with {s.saturated:.0%} of the entries saturated"
        )
        yield 75, Cause("saturation", "a saturating activation", words, page)


def _dead(s: _Signs) -> Iterable[tuple[float, Cause]]:
    rows = [layer for layer in s.report.layers if layer.dead is not None]
    if s.dead > 0.7 or (rows and np.median([layer.dead for layer in rows]) > 0.5 and s.verdict == "vanishing"):
        worst = max(rows, key=lambda layer: layer.dead)
        many = sum(layer.dead > 0.5 for layer in rows)
        words = (
            f"{worst.dead:.0%} of the units of {worst.name} are off for every sample"
            f" ({many} of {len(rows)} layers have more than half of theirs dead)"
        )
        yield 50 + 40 * worst.dead, Cause("dead-units", "dead units", words, "remedies/activations")


def _normalization(s: _Signs) -> Iterable[tuple[float, Cause]]:
    page = "remedies/batch-normalization"
    for reading in s.report.inputs:
        if reading.classes is not None or reading.nonfinite or len(reading.shape) < 2 or reading.rms == 0:
            continue
        spread = (reading.column_spread or 1.0) > 30
        if reading.rms > 5 or spread or abs(reading.mean) > 0.98 * reading.rms > 0.98 * 3:
            words = f"{reading.name} has mean {reading.mean:.3g}, rms {reading.rms:.3g}"
            words += f", its largest column {reading.column_spread:.3g} times the median one" if spread else ""
            score = 83 if reading.rms > 10 or spread else 62
            yield score, Cause("normalization", "inputs that are not normalised", words, page)
    if s.normalized or len(s.weights) < 5 or max(abs(s.gap), abs(s.forward)) < DECADES:
        return
    words = (
        f"no layer normalises: over {len(s.weights)} weight layers activations change by 10^{s.forward:.1f} towards"
        f" the output, delta by 10^{s.gap:.1f} towards the input"
    )
    yield 48, Cause("normalization", "missing normalisation", words, page)


def _residual(s: _Signs) -> Iterable[tuple[float, Cause]]:
    count, growth = len(s.chained), s.stream_growth
    if count >= 3 and growth > 10 and growth ** (1 / count) > 1.1:
        words = (
            f"{count} skip connections add branches as large as the stream: its rms grows {growth:.3g} times,"
            f" {growth ** (1 / count):.3g} per block"
        )
        yield 90, Cause("residual", "residual branches that are not scaled", words, "remedies/residual")


def _step(s: _Signs) -> Iterable[tuple[float, Cause]]:
    if s.report.assumed or s.update is None:
        return
    page, before, after = "why/descent", s.report.loss, s.report.loss_after
    words = f"one step changes the weights by {s.update:.2g} of their size (median; 1e-3 is ordinary)"
    if after is not None and math.isfinite(before) and not after <= before * (1 + 1e-3):
        score = 60 + (15 if not math.isfinite(after) or after > 2 * before else 0)
        words = f"after one step the loss of the same batch is {after:.4g} instead of {before:.4g}; {words}"
        yield (score if s.update > 3e-3 else 40), Cause("step", "step too large", words, page)
    elif s.update > 0.3:
        yield 50, Cause("step", "step too large", words, page)


def _recurrence(s: _Signs) -> Iterable[tuple[float, Cause]]:
    for layer in s.report.layers:
        gap = _decades(np.array(layer.steps)) if len(layer.steps) >= 8 and "Bidirectional" not in layer.kind else 0.0
        if abs(gap) > DECADES:
            words = f"in {layer.name} delta changes by 10^{gap:.1f} over {len(layer.steps)} steps, last to first"
            yield 65, Cause("recurrence", "a long way back through time", words, "remedies/lstm")


def _precision(s: _Signs) -> Iterable[tuple[float, Cause]]:
    rows = [layer for layer in s.weights if layer.dtype.startswith(("float16", "bfloat16"))]
    worst = max(rows, key=lambda layer: layer.zero_gradient or 0.0, default=None)
    if worst is not None and (worst.zero_gradient or 0.0) > 0.2 and s.dead < 0.5:
        words = f"{worst.zero_gradient:.0%} of the weight gradient of {worst.name} is exactly 0 in {worst.dtype}"
        yield 70, Cause("precision", "gradients below the precision", words, "beyond/mixed-precision")


def _depth(s: _Signs) -> Iterable[tuple[float, Cause]]:
    if s.verdict in ("vanishing", "exploding") and len(s.weights) > 1:
        factor = 10 ** (s.gap / (len(s.weights) - 1))
        words = f"a factor of {factor:.3g} per layer, {len(s.weights) - 1} times"
        yield 20, Cause("depth", "a product of many factors", words, "why/jacobians")


_RULES = (
    _data, _targets, _operation, _initialization, _activation, _dead, _normalization, _residual, _step, _recurrence,
    _precision, _depth,
)  # fmt: skip


def diagnose_run(run: Watched) -> tuple[Cause, ...]:
    """Causes that only a run shows, then those of the first ill report (of the last one if none was ill)."""
    found: list[Cause] = []
    update = np.array(
        [_middle(layer.update for layer in report.layers if layer.matrix) or 0.0 for report in run.reports]
    )
    losses = [run.losses[step] for step in sorted(run.losses)]
    rose = len(losses) > 1 and not losses[-1] <= 2 * losses[0]
    broke = run.nonfinite_step is not None and run.nonfinite_step > run.steps[0]
    started_ill = run.reports[0].verdict in ("exploding", "non-finite")
    if update.max() > 0.1 and (rose or broke) and not started_ill:
        at = run.steps[int(update.argmax())]
        end = (
            f"something was not finite at step {run.nonfinite_step}"
            if broke
            else f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g}"
        )
        words = f"at step {at} the weights changed by {update.max():.2g} of their size, and {end}"
        found.append(Cause("step", "step too large", words, "why/descent"))
    dead = run.column("dead")
    for i, name in enumerate(run.names):
        if dead[0, i] < 0.3 and dead[-1, i] > 0.7:
            words = f"{name}: {dead[0, i]:.0%} dead at step {run.steps[0]}, {dead[-1, i]:.0%} at step {run.steps[-1]}"
            found.append(Cause("dead-units", "units that died in training", words, "remedies/activations"))
            break
    ill = next((report for report in run.reports if report.verdict != "healthy"), run.reports[-1])
    known = {cause.key for cause in found}
    return (*found, *(cause for cause in ill.causes if cause.key not in known))
