"""What the instrument hands over: readings in plain numbers, of one batch and of a run.

Nothing here knows a framework. In all readings ``None`` means "there is no such thing here" (a dead share without a
one-sided activation), ``nan`` and ``inf`` are what was measured. What the numbers are taken to mean stands in
``verdicts`` and ``causes``, how they are printed in ``text`` and ``html``.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gradclinic.measure import GradientProfile, Verdict

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

State = Literal["read", "zero", "cut", "frozen", "not read"]


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
    entries with a slope below 5 % of the largest (of a recurrent layer in PyTorch: of its gates, biases left out).
    ``zero_gradient``: share of weight-gradient entries that are exactly 0. ``nonfinite`` and ``nonfinite_gradient``:
    number of nan and inf entries forward and backward (in a watched run the number of tensors that have any).
    ``normalized_at``: rms of what the normalisation takes in that
    reads this layer's output, directly or through a residual stream; ``None`` where none does. ``gain``: rms of
    weights that are no matrix (of a normalisation, a layer scale). ``unread``: why a part could not be read.
    ``adam_rms``: in a watched run under Adam, root of the mean of :math:`g^2/\hat v`, the gradient against the size
    that Adam expects: about 1 in quiet training; above 2.3 a spike of the loss may follow (Wortsman et al. 2023,
    *Stable and low-precision training for large-scale vision-language models*, where it is the RMS of AdamW).
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
    normalized_at: float | None = None
    gain: float | None = None
    unread: str = ""
    adam_rms: float | None = None

    @property
    def normalizes(self) -> bool:
        """Whether the layer is a normalisation, by the name of its kind."""
        return "Norm" in self.kind

    @property
    def state(self) -> State:
        """What is known of the gradient: ``"read"``; ``"zero"``, exactly 0 in every entry; ``"cut"``, none came back;
        ``"frozen"``; ``"not read"``, for the reason in ``unread``."""
        if self.frozen:
            return "frozen"
        if self.unread and self.delta is None:
            return "not read"
        if self.weight_gradient is None and self.delta is None:
            return "cut"
        nothing = self.weight_gradient == 0 if self.weight_gradient is not None else self.delta == 0
        return "zero" if nothing else "read"

    @property
    def judged(self) -> float | None:
        r"""The delta by which layers are compared. A normalisation takes the scale :math:`s` of what it reads away, so
        that only :math:`s\,\delta`, the gradient for a relative change, has a meaning there; elsewhere delta."""
        return self.delta if self.delta is None or self.normalized_at is None else self.delta * self.normalized_at


@dataclass(frozen=True)
class TensorReading:
    """An input, target or output: its shape and scale.

    ``constant``: columns (entries of the flattened sample) that do not vary over the batch. ``column_spread``: largest
    rms of a column over the median one. For integer labels ``classes`` counts the different values and ``majority`` is
    the share of the most frequent one. ``probabilities``: each row is positive and sums to 1.
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
    probabilities: bool = False

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
class Attention:
    """A softmax over scores: ``largest`` score (the largest absolute value that is finite), and ``entropy`` of the
    rows over that of equal weights, 1 for a blind attention and 0 for one that looks at a single place."""

    name: str
    largest: float
    entropy: float


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
    """A likely cause: a stable ``key``, what it is, the evidence in words, and the chapter to read. ``layers``: the
    layers that the evidence points at, where it points at some."""

    key: str
    title: str
    evidence: str
    page: str
    layers: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one paragraph."""
        return f"{self.title}: {self.evidence} (read {self.page})"


class _Readable:
    """What a report of a batch and one of a run have in common."""

    silenced: tuple[str, ...]

    def silence(self, *keys: str) -> Any:
        """The same report without the causes of these keys, for a reader who knows better. ``ValueError`` for a key
        that no cause has."""
        from gradclinic.instrument.catalogue import KINDS

        unknown = [key for key in keys if key not in KINDS]
        if unknown:
            raise ValueError(f"keys: got {unknown[0]!r}, wanted one of {', '.join(KINDS)}")
        own: Any = self  # a dataclass, as all that have this
        return dataclasses.replace(own, silenced=tuple(dict.fromkeys((*self.silenced, *keys))))

    def to_dict(self) -> dict[str, Any]:
        raise NotImplementedError

    def __repr__(self) -> str:
        """The report in words: what a console shows where its name is typed."""
        return str(self)

    def save(self, path: str | Path) -> Path:
        """Write :meth:`to_dict` as JSON; returns the path."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), allow_nan=False, indent=1), encoding="utf-8")
        return path


@dataclass(frozen=True, repr=False)
class Report(_Readable):
    """One batch through one model: ``layers`` in order of their first call, and what went in and came out.

    ``loss``: of the batch; ``loss_guess``: what a guess without looking costs (``log`` of the number of classes; half
    the targets' squared deviation from their mean); ``loss_after``: loss of the same batch after one step, where a step
    size is known. ``lr``: the step size in ``update``, ``None`` where an optimizer made the update. ``assumed``: no
    step size was given and 1 was taken. ``neighbours``: share of samples whose nearest neighbour has the same label,
    and the share expected by chance. ``unused``: parameters on which the loss does not depend. ``foreign``: number of
    tensors that the loss depends on, require a gradient, and are no parameters of the model. ``cuts``: places where a
    gradient ends, ``"3 (Quantize): round"``. ``scale``: what the loss was multiplied by (mixed precision); ``skipped``:
    the step was not taken because of it. ``notes``: what could not be read, and why. ``silenced``: keys of causes that
    the reader does not want to hear.
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
    attentions: tuple[Attention, ...] = ()
    neighbours: tuple[float, float] | None = None
    first_nonfinite: NonFinite | None = None
    unused: tuple[str, ...] = ()
    foreign: int = 0
    cuts: tuple[str, ...] = ()
    scale: float | None = None
    skipped: bool = False
    notes: tuple[str, ...] = ()
    silenced: tuple[str, ...] = ()

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
        """``"non-finite"`` if anything was, else what ``instrument.verdicts.judge`` says."""
        from gradclinic.instrument.verdicts import judge

        return "non-finite" if self.first_nonfinite is not None else judge(self.layers)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Likely causes, the likeliest first; empty where nothing stands out."""
        from gradclinic.instrument.causes import diagnose

        return diagnose(self)

    def __str__(self) -> str:
        """Table of the layers, what went in and came out, the verdict and the likely causes."""
        from gradclinic.instrument.text import report

        return report(self)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        from gradclinic.instrument.html import report

        return report(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Delta, weight gradient and activation of each layer; on a new figure if ``ax`` is ``None``. Returns the
        ``ax``."""
        return _plots().report(self.names, self.delta, self.weight_gradient, self.activation, ax)

    def compare(self, after: Report) -> str:
        """What changed from this report to ``after``, of the same model: a table of factors, layer by layer, and both
        verdicts."""
        from gradclinic.instrument.text import comparison

        return comparison(self, after)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data for ``json``; nan and inf, which JSON lacks, become the strings ``"nan"``,
        ``"inf"``, ``"-inf"``."""
        return _plain({"verdict": self.verdict, "causes": self.causes} | _fields(self))

    def to_frame(self) -> pd.DataFrame:
        """One row per layer, indexed by name; needs pandas, ``ImportError`` says so."""
        rows = [_fields(layer) for layer in self.layers]
        return _pandas().DataFrame(rows).set_index("name")


@dataclass(frozen=True, repr=False)
class Watched(_Readable):
    """Reports of the sampled steps of a training run.

    ``steps``: index of each sampled step, counted from 0; ``losses``: step -> loss, where the loop gave it;
    ``nonfinite_step``: the first step at which something was not finite, with ``first_nonfinite`` the place where it
    was seen. ``total``: number of steps that ran. ``clipped``: how often ``torch.nn.utils.clip_grad_norm_`` made this
    model's gradient shorter, and how often it was called; ``None`` where it never was (or by other means, as in Keras).
    """

    steps: tuple[int, ...]
    reports: tuple[Report, ...]
    total: int
    losses: Mapping[int, float] = dataclasses.field(default_factory=dict)
    nonfinite_step: int | None = None
    first_nonfinite: NonFinite | None = None
    silenced: tuple[str, ...] = ()
    clipped: tuple[int, int] | None = None

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
    def clipped_share(self) -> float | None:
        """Share of steps whose gradient was clipped by its norm; ``None`` where none was asked for. Near 1 the
        threshold, not the step size, sets the length of the steps."""
        return self.clipped[0] / self.clipped[1] if self.clipped else None

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
        from gradclinic.instrument.causes import diagnose_run

        return diagnose_run(self)

    def __str__(self) -> str:
        """What changed between the first and the last sampled step, layer by layer, and the verdict."""
        from gradclinic.instrument.text import run

        return run(self)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        from gradclinic.instrument.html import run

        return run(self)

    def plot(self, ax: Axes | None = None, quantity: str = "delta") -> Axes:
        """One quantity of each layer (``"delta"``, ``"update"``, ...) against the step; on a new figure if ``ax`` is
        ``None``. Returns the ``ax``."""
        return _plots().watched(self.steps, self.names, self.column(quantity), ax, label=quantity)

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


def _fields(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _plain(value: Any) -> Any:
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


def _plots() -> ModuleType:
    try:
        from gradclinic import plots
    except ImportError:
        raise ImportError("plot needs matplotlib, which is not installed; print(report) needs nothing more") from None
    return plots


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "to_frame needs pandas, which is not installed; to_dict gives the same data without it"
        ) from None
    return pandas


def median(values: Iterable[float | None]) -> float | None:
    """Median of what was measured and is finite; ``None`` where nothing was."""
    good = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.median(good)) if good else None


def decades(values: Sequence[float]) -> float:
    """Powers of ten from the last positive finite entry to the first; 0 where there are fewer than two."""
    good = [value for value in values if math.isfinite(value) and value > 0]
    return math.log10(good[0]) - math.log10(good[-1]) if len(good) > 1 else 0.0
