"""Eight broken networks from a seeded generator: read the report, name the cause, repair with one change.

A :class:`Case` is a network in a training set-up with one thing wrong. What is wrong, how badly, and how deep and wide
the network is come from ``(number, seed)``; which number has which fault is shuffled by the seed. The reader gets the
instrument's numbers (:attr:`Case.chart`, without the instrument's opinion), names one of :data:`CAUSES`
(:func:`diagnose`) and changes exactly one field of :class:`Settings` (:func:`repair`). Whether that cures is not looked
up: fresh networks are drawn with the change made, their profiles are measured and they are trained, all seeds at once.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import torch

from gradclinic import activations, init, theory, torch_net
from gradclinic.course import data
from gradclinic.instrument import Report, probe
from gradclinic.instrument.catalogue import BOUNDED, ONE_SIDED
from gradclinic.instrument.text import FOOTNOTE, cell, facts, loss_line
from gradclinic.measure import GradientProfile
from gradclinic.spec import MLP, Parameters

CAUSES = {
    "init-small": "initial weights too small",
    "init-large": "initial weights too large",
    "saturation": "a saturating activation",
    "dead-units": "dead ReLU units",
    "normalization": "missing normalisation",
    "residual": "residual branches that are not scaled",
    "step": "step too large",
    "data": "bad data: targets that do not belong to the inputs, or entries that are not finite",
}
SEEDS, STEPS, BATCH = 5, 250, 50  # fresh networks per repair, training steps, images per step
SAMPLES = 512  # images in a report: enough for the test of nearest neighbours
ACCURACY = 0.8  # what the median fresh network must reach on unseen images
DEAD, SATURATED = 0.7, 0.5  # larger shares in one layer are a disease of their own
LOSS_RATIO = 20.0  # largest first loss, in losses of a guess (ln 10)
BANDAGE = 0.1  # a clip at work in more than this share of steps hides something


@dataclass(frozen=True)
class Settings:
    r"""All that may be changed, one field at a time.

    ``weight_scale``: :math:`\sigma_w`; weights are normal of variance :math:`\sigma_w^2 / n_{in}`. ``bias``: initial
    bias of every hidden unit. ``activation``: a name of ``activations.ACTIVATIONS``. ``normalization``: ``None``,
    ``"batch"`` or ``"layer"``, before every activation. ``residual``: identity skips around hidden layers, whose
    branches are multiplied by ``branch_scale``. ``standardize``: inputs to mean 0 and standard deviation 1 per column.
    ``cleaning``: ``None``, ``"drop"`` (rows that are not finite go), ``"zero"`` (such entries become 0 after
    standardising) or ``"realign"`` (targets are joined to the inputs anew, by their identifiers). ``optimizer``:
    ``"sgd"`` or ``"adam"``; ``lr``: step size; ``clip_norm``: largest global norm of a gradient, ``None`` for no clip;
    ``l2``: strength of the penalty ``(l2/2) sum w^2``; ``loss_scale``: what the loss is multiplied by in training.
    """

    weight_scale: float = math.sqrt(2.0)
    bias: float = 0.0
    activation: str = "relu"
    normalization: Literal["batch", "layer"] | None = None
    residual: bool = False
    branch_scale: float = 1.0
    standardize: bool = True
    cleaning: str | None = None
    optimizer: str = "sgd"
    lr: float = 0.05
    clip_norm: float | None = None
    l2: float = 0.0
    loss_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that are none."""
        wanted = {
            "activation": tuple(activations.ACTIVATIONS),
            "normalization": (None, "batch", "layer"),
            "cleaning": (None, "drop", "zero", "realign"),
            "optimizer": ("sgd", "adam"),
            "residual": (False, True),
            "standardize": (False, True),
        }
        for name, values in wanted.items():
            if not any(getattr(self, name) is v or getattr(self, name) == v for v in values):
                raise ValueError(f"{name}: got {getattr(self, name)!r}, wanted one of {', '.join(map(repr, values))}")
        for name in ("weight_scale", "bias", "branch_scale", "lr", "l2", "loss_scale", "clip_norm"):
            value = getattr(self, name)
            if value is None and name == "clip_norm":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise TypeError(f"{name}: got {value!r} of type {type(value).__name__}, wanted a number")
            positive = name in ("weight_scale", "lr", "loss_scale", "clip_norm")
            if not math.isfinite(value) or (value <= 0 if positive else value < 0 and name != "bias"):
                raise ValueError(f"{name}: got {value!r}, wanted a finite number {'> 0' if positive else '>= 0'}")


FIELDS = tuple(f.name for f in dataclasses.fields(Settings))


@dataclass(frozen=True)
class Fault:
    """What is wrong with a case; ``shift``: by how many rows the targets are off; ``gaps``: share of images with a nan
    pixel; ``units``: offset and scale in which the inputs are delivered."""

    cause: str
    shift: int = 0
    gaps: float = 0.0
    units: tuple[float, float] = (0.0, 1.0)


def _draw(cause: str, rng: np.random.Generator) -> tuple[tuple[int, ...], Settings, Fault]:
    """Widths, settings and fault of a case with this cause."""
    depth, width = int(rng.integers(10, 13)), int(rng.choice([32, 40, 48]))
    fault, settings = Fault(cause), Settings()
    if cause == "init-small":
        name = str(rng.choice(["relu", "tanh"]))
        level = math.sqrt(theory.critical_weight_variance(name))
        settings = Settings(activation=name, weight_scale=round(level * float(rng.uniform(0.3, 0.45)), 2))
    elif cause == "init-large":
        name = str(rng.choice(["relu", "leaky_relu"]))
        settings = Settings(activation=name, weight_scale=round(math.sqrt(2) * float(rng.uniform(2.0, 3.0)), 2))
    elif cause == "saturation":
        depth = int(rng.integers(6, 9))
        settings = Settings(activation="sigmoid", weight_scale=1.0, lr=0.1)
    elif cause == "dead-units":
        settings = Settings(bias=-round(float(rng.uniform(2.5, 4.0)), 1))
    elif cause == "normalization":
        depth = int(rng.integers(4, 7))
        offset, scale = (float(10 ** rng.uniform(1.5, 1.85)) for _ in range(2))
        settings = Settings(standardize=False)
        fault = Fault(cause, units=(round(offset), round(scale)))
    elif cause == "residual":
        depth = int(rng.integers(17, 21))
        settings = Settings(residual=True)
    elif cause == "step":
        depth = int(rng.integers(4, 7))
        settings = Settings(lr=round(float(10 ** rng.uniform(0.6, 1.3)), 1))
    elif rng.random() < 0.5:
        depth, fault = int(rng.integers(4, 7)), Fault(cause, gaps=0.05)
    else:
        depth, fault = int(rng.integers(4, 7)), Fault(cause, shift=int(rng.integers(1, 4)))
    return (64, *[width] * (depth - 1), 10), settings, fault


@dataclass(frozen=True)
class Images:
    """Training and unseen images as the settings prepare them: ``x`` ``(n, 64)`` and labels ``(n,)``."""

    x: np.ndarray
    y: np.ndarray
    x_unseen: np.ndarray
    y_unseen: np.ndarray


@lru_cache(maxsize=8)
def _split(seed: int, number: int) -> data.Split:
    return data.digits(n_train=1000, n_test=500, rng=np.random.default_rng((seed, number, 0)))


@dataclass(frozen=True)
class Case:
    """One broken network. ``chart`` and ``report`` are for reading; what was done to it is not in its ``repr``."""

    number: int
    seed: int
    widths: tuple[int, ...] = field(repr=False)
    settings: Settings = field(repr=False)
    fault: Fault = field(repr=False)

    @cached_property
    def report(self) -> Report:
        """One batch of 512 training images through the network, with the step it would take; causes included."""
        return _report(self, self.settings)

    @property
    def chart(self) -> str:
        """The report's numbers and verdict in lines of at most 78 characters, without the instrument's causes."""
        return _chart(self)


@dataclass(frozen=True)
class Outcome:
    """What a change did to fresh networks.

    ``cured``; ``why``: in words; ``change``: field, old and new value, ``None`` where nothing was changed; ``profile``:
    an ensemble, one member per fresh network, before training; ``accuracy`` ``(seeds,)``: on unseen images, after
    training; ``clipped``: share of steps in which the clip was at work; ``report``: of one more fresh network.
    """

    cured: bool
    why: str
    change: tuple[str, Any, Any] | None
    profile: GradientProfile = field(repr=False)
    accuracy: np.ndarray = field(repr=False)
    clipped: float = field(repr=False)
    report: Report = field(repr=False)

    def __str__(self) -> str:
        """Say in one line what was changed, whether it cures, and why."""
        name = "nothing changed" if self.change is None else "{}: {!r} -> {!r}".format(*self.change)
        return f"{name}: {'cured' if self.cured else 'not cured'}. {self.why}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data: lists, numbers and words."""
        return {
            "cured": self.cured,
            "why": self.why,
            "change": None if self.change is None else list(self.change),
            "verdicts": self.profile.verdicts.tolist(),
            "accuracy": self.accuracy.tolist(),
            "clipped": self.clipped,
        }


CHART = ("layer", "activation", "delta", "dC/dW", "update", "weight std*", "dead", "saturated")
CHART_WIDTH = 78  # characters: what the site shows without scrolling


def _chart(case: Case) -> str:
    """A case's readings: what goes in and comes out, the loss, a row for each layer, the verdict last."""
    report = case.report
    layers = [layer for layer in report.layers if layer.matrix]
    functions = sorted({layer.function for layer in layers if layer.function})
    notes = [
        f"case {case.number}: {len(layers)} layers, batch of {report.batch}",
        *map(str, (*report.inputs, *report.targets, *report.outputs)),
        loss_line(report),
        f"activation function: {', '.join(functions)}; none after the last layer",
    ]
    table: list[tuple[str, ...]] = [CHART]
    for number, layer in enumerate(layers, start=1):
        readings = (layer.activation, layer.delta, layer.weight_gradient, layer.update, layer.weight_scale)
        shares = (layer.dead, layer.saturated)
        table.append((str(number), *map(cell, readings), *(cell(share, share=True) for share in shares)))
    widths = [max(len(row[column]) for row in table) for column in range(len(CHART))]
    rows = ["  ".join(f"{word:>{width}}" for word, width in zip(row, widths, strict=True)) for row in table]
    after = [FOOTNOTE, "", *facts(report), f"verdict: {report.verdict}"]

    def wrapped(lines: list[str]) -> list[str]:
        return [part for line in lines for part in (textwrap.wrap(line, CHART_WIDTH, subsequent_indent="   ") or [""])]

    return "\n".join([*wrapped(notes), "", *rows, *wrapped(after)])


def case(number: int, seed: int = 0) -> Case:
    """Case ``number`` (1 to 8) of the ward with this ``seed``; every seed has all eight causes, in an order of its own.

    ``ValueError`` for a number that is none.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 1 <= number <= len(CAUSES):
        raise ValueError(f"number: got {number!r}, wanted an integer from 1 to {len(CAUSES)}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: got {seed!r}, wanted an integer >= 0")
    order = np.random.default_rng((int(seed), 0)).permutation(list(CAUSES))
    widths, settings, fault = _draw(str(order[number - 1]), np.random.default_rng((int(seed), int(number))))
    return Case(int(number), int(seed), widths, settings, fault)


def _images(case: Case, settings: Settings) -> Images:
    """The images as they are delivered, then as the settings prepare them."""
    split, fault = _split(case.seed, case.number), case.fault
    offset, scale = fault.units
    x, x_unseen = offset + scale * split.x_train, offset + scale * split.x_test
    y = np.roll(split.y_train, fault.shift if settings.cleaning != "realign" else 0)
    if fault.gaps:
        rng = np.random.default_rng((case.seed, case.number, 1))
        rows = rng.choice(len(x), round(fault.gaps * len(x)), replace=False)
        x[rows, rng.integers(0, 64, len(rows))] = np.nan
    if settings.cleaning == "drop":
        fine = np.isfinite(x).all(axis=1)
        x, y = x[fine], y[fine]
    if settings.standardize:
        mean, std = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
        std = np.where(std > 0, std, 1.0)
        x, x_unseen = (x - mean) / std, (x_unseen - mean) / std
    if settings.cleaning == "zero":
        x = np.nan_to_num(x, nan=0.0)
    return Images(x, y, x_unseen, split.y_test)


def _network(case: Case, settings: Settings, members: int | None, stream: int) -> tuple[MLP, Parameters]:
    spec = MLP(
        case.widths,
        settings.activation,
        normalization=settings.normalization,
        residual=settings.residual,
        branch_scale=settings.branch_scale,
    )
    rng = np.random.default_rng((case.seed, case.number, stream))
    params = init.mlp(spec, rng, weight_variance=settings.weight_scale**2, ensemble=members)
    biases = (*(b + settings.bias for b in params.biases[:-1]), params.biases[-1])
    return spec, dataclasses.replace(params, biases=biases)


def _report(case: Case, settings: Settings, stream: int = 2) -> Report:
    spec, params = _network(case, settings, None, stream)
    here, net = _images(case, settings), torch_net.build(spec, params)
    if settings.optimizer == "adam":
        rule = torch.optim.Adam(net.parameters(), lr=settings.lr)
        return probe(net, here.x[:SAMPLES], here.y[:SAMPLES], optimizer=rule)
    return probe(net, here.x[:SAMPLES], here.y[:SAMPLES], lr=settings.lr)


def _train(net: torch_net.MLPNet, here: Images, settings: Settings, rng: np.random.Generator) -> float:
    """Train all members in place, each with its own clip, on the same batches; return the share of clipped steps."""
    x, y = torch.as_tensor(here.x, dtype=torch.float32), torch.as_tensor(here.y)
    params, clipped = list(net.parameters()), 0.0
    rule = torch_net.OPTIMIZERS[settings.optimizer](params, lr=settings.lr)
    for _ in range(STEPS):
        rows = torch.as_tensor(rng.choice(len(y), BATCH, replace=False))
        loss = settings.loss_scale * torch_net.loss_function(net(x[rows]), y[rows]).sum()
        grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            if settings.l2:
                grads = [g + settings.l2 * p if p.ndim == 3 else g for p, g in zip(params, grads, strict=True)]
            if settings.clip_norm is not None:
                norm = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
                scale = (settings.clip_norm / norm).clamp(max=1.0)
                clipped += float((scale < 1).double().mean()) / STEPS
                grads = [g * scale.view(-1, *[1] * (g.ndim - 1)) for g in grads]
            for p, g in zip(params, grads, strict=True):
                p.grad = g
        rule.step()
    return clipped


def _worst(report: Report, reading: str, functions: frozenset[str]) -> tuple[float, str]:
    """Largest share and its layer, among layers followed by one of the activation functions."""
    rows = [(getattr(x, reading) or 0.0, x.name) for x in report.layers if x.function in functions]
    return max(rows, default=(0.0, ""))


def _judge(report: Report, profile: GradientProfile, accuracy: np.ndarray, clipped: float) -> tuple[bool, str]:
    """Whether fresh networks are well, or the first reason why not; profile first, then training.

    The words carry no number that training made: those differ between machines.
    """
    sick = [str(v) for v in profile.verdicts if v != "healthy"]
    if len(sick) > 0.2 * SEEDS:
        first, last = (np.median(profile.delta[:, at]) for at in (0, -1))
        where = ""
        if sick[0] != "non-finite":
            where = ", delta of the first layer " + (
                f"10^{np.log10(first / last):.1f} times that of the last" if first > 0 < last else "exactly 0"
            )
        return False, f"The profile is still ill: {len(sick)} of {SEEDS} fresh networks {sick[0]}{where}."
    dead, layer = _worst(report, "dead", ONE_SIDED)
    if dead > DEAD:
        return False, f"The ends of the profile agree, but {dead:.0%} of the units of {layer} are dead."
    saturated, layer = _worst(report, "saturated", BOUNDED)
    if saturated > SATURATED:
        return False, f"The ends of the profile agree, but {saturated:.0%} of {layer} is saturated."
    assert report.loss_guess is not None
    if not report.loss < LOSS_RATIO * report.loss_guess:
        words = f"the loss starts at {report.loss:.3g}, a guess costs {report.loss_guess:.3g}"
        return False, f"The forward pass is off: {words}."
    if clipped > BANDAGE:
        return (
            False,
            f"The profile is healthy, but in more than {BANDAGE:.0%} of the steps the clip is at work: a bandage.",
        )
    said = f"{ACCURACY:.0%} of unseen images are right after {STEPS} steps"
    if not np.median(accuracy) >= ACCURACY:
        return False, f"The profile is healthy, but fewer than {said}."
    return True, f"The profile is healthy, and more than {said}."


@lru_cache(maxsize=64)
def _examine(case: Case, settings: Settings, change: tuple[str, Any, Any] | None) -> Outcome:
    here = _images(case, settings)
    spec, params = _network(case, settings, SEEDS, 3)
    profile = torch_net.profile(torch_net.build(spec, params), here.x[:SAMPLES], here.y[:SAMPLES])
    net = torch_net.build(spec, params, dtype="float32")
    clipped = _train(net, here, settings, np.random.default_rng((case.seed, case.number, 4)))
    accuracy = np.asarray(torch_net.accuracy(net, here.x_unseen, here.y_unseen))
    report = _report(case, settings, stream=5)
    return Outcome(*_judge(report, profile, accuracy, clipped), change, profile, accuracy, clipped, report)


def untreated(case: Case) -> Outcome:
    """Five fresh networks with the case's own settings: what happens if nothing is done."""
    return _examine(case, case.settings, None)


def repair(case: Case, **change: Any) -> Outcome:
    """Change exactly one field of the case's :class:`Settings` and look at fresh networks.

    Cured means: of five fresh networks at least four have a healthy profile; one more, read by the instrument, has no
    layer with more than 70 % of its units dead or, for sigmoid, tanh and their like, more than half of its entries
    saturated, and a first loss below twenty times that of a guess; a clip, if there is one, is at work in at most one
    step in ten; and after 250 steps the median network is right on 80 % of images that it has not seen. ``TypeError``
    for none or several changes or an unknown field, ``ValueError`` for a value that is none or is the old one. The same
    change of the same case is examined once.
    """
    if len(change) != 1:
        raise TypeError(f"change: got {len(change)} fields ({', '.join(change) or 'none'}), wanted exactly one")
    ((name, value),) = change.items()
    if name not in FIELDS:
        raise TypeError(f"change: got {name!r}, wanted one of {', '.join(FIELDS)}")
    old = getattr(case.settings, name)
    settings = dataclasses.replace(case.settings, **change)
    if value == old:
        raise ValueError(f"{name}: got {value!r}, which it already is, wanted a change")
    return _examine(case, settings, (name, old, value))


def _evidence(report: Report, cause: str) -> str:
    """Where on the chart a cause would show, and what stands there."""
    hidden = [layer for layer in report.layers if layer.matrix][:-1]
    function = hidden[0].function or "linear"
    if cause in ("init-small", "init-large"):
        scale = float(np.median(np.array([layer.weight_scale for layer in hidden], dtype=float)))
        level = f"{function} keeps level at {math.sqrt(theory.critical_weight_variance(function)):.2f}"
        return (
            f"weight std* is {scale:.2f}, and {'no scale of use levels a sigmoid' if function == 'sigmoid' else level}"
        )
    if cause == "saturation":
        share = _worst(report, "saturated", BOUNDED)[0]
        return f"largest slope of {function} {activations.get(function).max_slope:.2f}, at most {share:.0%} saturated"
    if cause == "dead-units":
        return f"at most {_worst(report, 'dead', ONE_SIDED)[0]:.0%} of the units of a layer are dead"
    if cause == "normalization":
        return f"inputs have mean {report.inputs[0].mean:.3g} and rms {report.inputs[0].rms:.3g}"
    if cause == "residual":
        if not report.additions:
            return "there are no skip connections"
        first, last = report.additions[0], report.additions[-1]
        return f"the stream has rms {first.stream:.3g} before the first skip and {last.total:.3g} after the last"
    if cause == "step":
        ratio = np.median(np.array([layer.update for layer in hidden], dtype=float))
        loss = f"the loss goes from {report.loss:.3g} to {report.loss_after:.3g}"
        return f"one step changes the weights by {ratio:.1g} of their size, and {loss}"
    bad = sum(tensor.nonfinite for tensor in (*report.inputs, *report.targets))
    if bad or report.neighbours is None:
        return f"{bad} entries of the data are not finite"
    agree, chance = report.neighbours
    return f"all entries are finite; nearest neighbours share a label in {agree:.0%}, by chance in {chance:.0%}"


def diagnose(case: Case, cause: str) -> bool:
    """Whether ``cause``, a key of :data:`CAUSES`, is what is wrong; prints where on the chart it would show.

    ``ValueError`` for a cause that is none.
    """
    if cause not in CAUSES:
        raise ValueError(f"cause: got {cause!r}, wanted one of {', '.join(CAUSES)}")
    right = cause == case.fault.cause
    said = f"case {case.number}, {CAUSES[cause]}: {'yes' if right else 'no'}; {_evidence(case.report, cause)}"
    print(textwrap.fill(said, CHART_WIDTH, subsequent_indent="   "))
    return right
