"""From a report to likely causes, one function a rule; what there is and where it begins stands in ``catalogue``.

Each rule needs its own evidence and none fires on a network that is healthy in that respect. The order of what they
find: what is certain (numbers that are not finite in data or weights), then the rule whose evidence explains the gap
between the ends of the profile, then what merely goes with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache

import numpy as np

from gradclinic import theory
from gradclinic.instrument.catalogue import BOUNDED, KINDS, LEVELLED, RECURRENT, limit
from gradclinic.instrument.readings import Cause, LayerReading, Report, Watched, decades, median
from gradclinic.instrument.tensors import NEIGHBOURS
from gradclinic.instrument.verdicts import compared, wanted_gap, zero_by_design
from gradclinic.measure import DECADES


@lru_cache
def _critical(function: str) -> float | None:
    """sigma_w at which delta neither shrinks nor grows; ``None`` where none is known.

    A sigmoid has none of practical use: with slopes of at most 1/4 it would need weights at which it saturates.
    """
    return math.sqrt(float(theory.critical_weight_variance(function))) if function in LEVELLED else None


def longest_run(layers: Iterable[LayerReading]) -> int:
    """Largest number of weight layers in a row, in order of their calls, with no normalisation in between."""
    longest = run = 0
    for layer in layers:
        if layer.normalizes:
            run = 0
        elif layer.matrix and "Embedding" not in layer.kind:
            run += 1
            longest = max(longest, run)
            run = 0 if layer.normalized_at is not None else run
    return longest


class _Signs:
    """The few numbers of a report from which causes are argued."""

    def __init__(self, report: Report) -> None:
        self.report, self.verdict = report, report.verdict
        self.weights = [layer for layer in report.layers if layer.matrix and "Embedding" not in layer.kind]
        self.hidden = self.weights[:-1]
        functions = Counter(layer.function for layer in report.layers if layer.function)
        self.function = functions.most_common(1)[0][0] if functions else "linear"
        self.run = longest_run(report.layers)
        self.chained = [a for a in report.additions if a.stream > 0]
        self.ill = self.verdict != "healthy" or abs(self.forward) > DECADES

    @cached_property
    def normalized(self) -> bool:
        """Whether a normalisation stands between all but a few weight layers."""
        norms = sum(layer.normalizes or layer.normalized_at is not None for layer in self.report.layers)
        return norms > 0 and self.run <= limit("layers without normalisation")

    @cached_property
    def batch_norm(self) -> bool:
        """Whether the normalisations are over the batch."""
        norms = [layer.kind for layer in self.report.layers if layer.normalizes]
        return 2 * sum("Batch" in kind for kind in norms) > len(norms)

    @cached_property
    def plain(self) -> bool:
        """Whether the layers are one chain, so that a factor per layer has a meaning."""
        return not self.normalized and len(self.chained) < 2

    @cached_property
    def gap(self) -> float:
        """Powers of ten by which delta grows towards the input."""
        rows = [layer for layer in compared(self.report.layers) if "Embedding" not in layer.kind]
        return decades([layer.judged or 0.0 for layer in rows])

    @cached_property
    def forward(self) -> float:
        """Powers of ten by which activations grow towards the output."""
        if self.normalized:
            return 0.0
        return -decades([x.activation for x in self.hidden if x.activation is not None and not x.nonfinite])

    @cached_property
    def scale(self) -> float | None:
        """Median of the hidden layers' ``weight_scale``; a layer that starts at 0 is no part of it."""
        return median(layer.weight_scale for layer in self.hidden if layer.weight_scale)

    @cached_property
    def critical(self) -> float | None:
        """The ``weight_scale`` that keeps level."""
        return _critical(self.function)

    @cached_property
    def ratio(self) -> float | None:
        """``scale`` over ``critical``."""
        return self.scale / self.critical if self.scale is not None and self.critical else None

    @cached_property
    def saturated(self) -> float:
        """Saturated share of the median layer with a bounded activation, where such are the rule."""
        rows = [layer for layer in self.report.layers if layer.function]
        bounded = [layer for layer in rows if layer.function in BOUNDED]
        return median(layer.saturated for layer in bounded) or 0.0 if 2 * len(bounded) > len(rows) else 0.0

    @cached_property
    def dead(self) -> float:
        """Largest dead share."""
        return max((layer.dead for layer in self.report.layers if layer.dead is not None), default=0.0)

    @cached_property
    def update(self) -> float | None:
        """Update-to-weight ratio of the median layer."""
        return median(layer.update for layer in self.weights if not layer.frozen)

    @property
    def stream_growth(self) -> float:
        """Growth of the residual stream from before the first skip connection to after the last."""
        good = [a for a in self.chained if math.isfinite(a.total)]
        return good[-1].total / good[0].stream if good else 1.0


Found = Iterable[tuple[float, Cause]]


def _cause(key: str, evidence: str, *layers: str, title: str | None = None) -> Cause:
    kind = KINDS[key]
    return Cause(key, title or kind.title, evidence, kind.page, layers)


def _data(s: _Signs) -> Found:
    for reading in (*s.report.inputs, *s.report.targets):
        if reading.nonfinite:
            size = math.prod(reading.shape)
            yield 100, _cause("data", f"{reading.nonfinite} of {size} entries of {reading.name} are nan or inf")


def _labels(s: _Signs) -> Found:
    """Targets that are alike, or on another scale than the output."""
    for target in s.report.targets:
        if target.nonfinite:
            continue
        if target.classes is not None:
            if (target.majority or 0.0) > limit("majority") and math.prod(target.shape) >= 16:
                yield 60, _cause("targets", f"{target.majority:.0%} of {target.name} have the same label")
        elif s.report.outputs:
            given = max((o.rms for o in s.report.outputs), default=0.0)
            if target.rms > 10 and target.rms > limit("target against output") * given:
                words = f"{target.name} has rms {target.rms:.3g}, the model's output {given:.3g}"
                yield 78, _cause("targets", words, title="targets on another scale than the output")


def _neighbours(s: _Signs) -> Found:
    """Labels that the inputs do not seem to know."""
    if s.report.neighbours is None or s.report.batch < 64:
        return
    agree, chance = s.report.neighbours
    noise = math.sqrt(chance * (1 - chance) / min(s.report.batch, NEIGHBOURS))
    if agree < chance + 3 * noise:
        words = (
            f"the nearest neighbour of a sample has its label in {agree:.0%} of the batch, by chance {chance:.0%};"
            " check that inputs and targets belong together (there are tasks that distances cannot see)"
        )
        yield 52, _cause("targets", words, title="targets that do not follow from the inputs")


def _operation(s: _Signs) -> Found:
    """A nan or inf that an operation made out of ordinary numbers, or a parameter that is not finite."""
    origin = s.report.first_nonfinite
    if origin is None or origin.stage in ("input", "target"):
        return
    place = origin.name.partition(" (")[0]
    if origin.stage == "parameter":
        yield 95, _cause("parameters", f"{origin}; an earlier step broke them", place)
        return
    sizes = [layer.activation for layer in s.report.layers if layer.activation is not None and not layer.nonfinite]
    largest = max((a for a in sizes if math.isfinite(a)), default=0.0)
    if largest < 1e4 or origin.stage in ("loss", "backward"):
        words = f"{origin}; activations before it reach {largest:.3g}"
        yield (92 if largest < 1e4 else 40), _cause("operation", words, place)


def _foreign(s: _Signs) -> Found:
    if s.report.foreign:
        words = (
            f"the loss depends on {s.report.foreign} parameters that are not among model.parameters(): no optimizer"
            " will move them; layers in a list belong into nn.ModuleList"
        )
        yield 89, _cause("foreign", words)


def _cut(s: _Signs) -> Found:
    """Layers at the beginning that no gradient reaches although an operation took their output."""
    silent = zero_by_design(s.report.layers)
    order = [layer for layer in s.report.layers if layer.matrix and layer.state in ("read", "zero", "cut")]
    lost = [layer for layer in order if layer.state != "read" and layer.name not in silent]
    if lost and lost[-1] is order[-1] and lost[-1].delta:
        del lost[-1]  # reached, but its inputs are all 0: so are those behind a rounding
    known = [place for place in s.report.cuts if place]
    if not lost or not known or not any(layer.state == "read" or layer.delta for layer in order):
        return
    words = f"no gradient reaches {len(lost)} of {len(order)} layers, the last of them {lost[-1].name}"
    yield 91, _cause("cut", f"{words}; it ends at {', '.join(known[:2])}", lost[-1].name, *known[:1])


def _stuck(s: _Signs) -> Found:
    """A weight of exactly 0 whose gradient is exactly 0 with nothing after it that will change this."""
    silent = zero_by_design(s.report.layers)
    rows = [x for x in s.report.layers if x.weight == 0 and x.matrix and x.state == "zero" and x.name not in silent]
    if rows:
        words = f"the weights of {rows[0].name} are all 0 and so is their gradient"
        yield 87, _cause("zero", words, *(layer.name for layer in rows))


def _softmax(s: _Signs) -> Found:
    for output in s.report.outputs:
        if output.probabilities and s.report.loss_guess is not None and s.report.targets:
            words = f"{output.name} is positive and sums to 1 in every row, but the loss takes logits"
            yield 79, _cause("softmax", words)


def _bounded_scale(s: _Signs) -> Found:
    """Scale of the weights under a sigmoid and its kin, which have no level."""
    if s.scale is None or not s.plain or s.function not in BOUNDED or s.critical is not None:
        return
    if s.scale < limit("scale for a sigmoid, small") and s.ill:
        words = f"weights have {s.scale:.3g} times the standard deviation 1/sqrt(fan-in) (median of hidden layers)"
        yield 85, _cause("init-small", words)
    elif s.scale < 3 and s.verdict == "vanishing":
        words = f"with {s.function} weights of {s.scale:.3g}/sqrt(fan-in) lose more than a factor of 2 per layer"
        yield 45, _cause("init-small", words, title="initial weights small for this activation")
    elif s.scale > limit("scale for a sigmoid, large") and s.saturated > limit("saturated share"):
        words = f"weights have {s.scale:.3g} times the standard deviation 1/sqrt(fan-in), {s.saturated:.0%} saturated"
        yield 85, _cause("init-large", words)


def _scale(s: _Signs) -> Found:
    """Scale of the weights against the level of their activation, in a plain chain."""
    if s.scale is None or s.ratio is None or not s.plain or len(s.weights) < 3:
        return
    depth = len(s.weights) - 1
    explained, seen = depth * math.log10(s.ratio) if s.ratio > 0 else -math.inf, s.gap
    said = f"median weights are {s.scale:.3g}/sqrt(fan-in), {s.function} keeps level at {s.critical:.3g}"
    said += f"; over {depth} layers that is 10^{explained:.1f}"
    if s.ratio < limit("scale against critical, small"):
        ill = s.verdict == "vanishing" or s.forward < -DECADES or (s.ratio < 0.3 and s.gap < -1)
        if ill and min(seen, s.forward) < -1:
            strong = explained < 0.4 * min(seen, s.forward, -1.0)
            words = f"{said}, and delta changes by 10^{seen:.1f} towards the input"
            yield (91 if strong else 40), _cause("init-small", words)
    elif s.ratio > limit("scale against critical, large") and s.ill:
        saturated = s.function in BOUNDED and s.ratio > 1.5 and s.saturated > 0.2
        strong = saturated or explained > 0.4 * max(seen, s.forward, 1.0)
        if not saturated and max(seen, s.forward) < 1:
            return
        words = f"{said}, and " + (
            f"{s.saturated:.0%} of the entries are saturated"
            if saturated
            else f"delta grows by 10^{seen:.1f} towards the input, activations by 10^{s.forward:.1f} forward"
        )
        yield (84 if strong else 40), _cause("init-large", words)


def _odd_layer(s: _Signs) -> Found:
    """One layer whose weights are on another scale than those of all others."""
    rows = [layer for layer in s.hidden if layer.weight_scale and math.isfinite(layer.weight_scale)]
    if len(rows) < 3 or s.scale is None:
        return
    for key, odd in (
        ("init-small", min(rows, key=lambda layer: layer.weight_scale or 0)),
        ("init-large", max(rows, key=lambda layer: layer.weight_scale or 0)),
    ):
        ratio = (odd.weight_scale or 0) / s.scale
        usual = median(layer.output for layer in rows) or 0.0
        held = ratio < 1 and (odd.output or 0.0) > 0.2 * usual  # by its bias, as that of a gate which starts open
        if max(ratio, 1 / ratio) > limit("one layer against the others") and not held:
            words = f"{odd.name} has {odd.weight_scale:.3g}/sqrt(fan-in), {ratio:.2g} times the median layer"
            yield 92, _cause(key, words, odd.name)


def _recurrent_scale(s: _Signs) -> Found:
    """A recurrent layer whose weights are far from every published law; large ones only where they saturate gates."""
    for layer in s.report.layers:
        scale = layer.weight_scale
        if not scale or not any(kind in layer.kind for kind in RECURRENT):
            continue
        words = f"the weights of {layer.name} have {scale:.3g}/sqrt(fan-in); published laws give 0.58 to 1.9"
        if scale < limit("scale of a recurrent layer, small"):
            yield 84, _cause("init-small", words, layer.name)
        elif scale > limit("scale of a recurrent layer, large") and (layer.saturated or 0) > limit("saturated share"):
            yield 84, _cause("init-large", f"{words}, and saturate {layer.saturated:.0%} of its gates", layer.name)


def _hidden_scale(s: _Signs) -> Found:
    """Weights whose scale a normalisation hides."""
    if not s.normalized or s.scale is None:
        return
    said = f"median weights are {s.scale:.3g}/sqrt(fan-in) between normalisations"
    if s.scale > limit("scale under normalisation"):
        yield 46, _cause("init-large", f"{said}: relative steps become small")
    elif s.scale < limit(f"scale under {'batch ' if s.batch_norm else ''}normalisation, small"):
        yield 46, _cause("init-small", f"{said}: relative steps become large")


def _activation(s: _Signs) -> Found:
    if s.saturated > limit("saturated share"):
        inputs = max((i.rms for i in s.report.inputs), default=0.0)
        large = (s.ratio is not None and s.ratio > 1.5) or (s.critical is None and (s.scale or 0) > 6) or inputs > 10
        words = f"in the median layer {s.saturated:.0%} of the {s.function} units have a slope below 5 % of the largest"
        yield (60 if large else 82), _cause("saturation", words)
    elif s.verdict == "vanishing" and s.function in BOUNDED and s.critical is None and s.plain and len(s.weights) > 2:
        steps = len(s.weights) - 1
        words = (
            f"{s.function} has slopes of at most 1/4; measured a factor of {10 ** (s.gap / steps):.2g} per layer,"
            f" {steps} times, with {s.saturated:.0%} of the entries saturated"
        )
        yield 75, _cause("saturation", words)


def _dead(s: _Signs) -> Found:
    rows = [layer for layer in s.report.layers if layer.dead is not None]
    typical = median(layer.dead for layer in rows) or 0.0
    if s.dead > limit("dead share") or (typical > 0.5 and s.verdict == "vanishing"):
        worst = max(rows, key=lambda layer: layer.dead or 0.0)
        many = sum((layer.dead or 0.0) > 0.5 for layer in rows)
        words = (
            f"{worst.dead:.0%} of the units of {worst.name} are off for every sample"
            f" ({many} of {len(rows)} layers have more than half of theirs dead)"
        )
        yield 50 + 44 * s.dead, _cause("dead-units", words, worst.name)


def _inputs(s: _Signs) -> Found:
    """Inputs that are far from mean 0 and rms 1; whole numbers count where they are pixels, not tokens."""
    for reading in s.report.inputs:
        pixels = reading.dtype == "uint8" and len(reading.shape) >= 3
        if reading.nonfinite or len(reading.shape) < 2 or reading.rms == 0 or (reading.classes and not pixels):
            continue
        spread = (reading.column_spread or 1.0) > limit("column spread")
        large = reading.rms > limit("input rms")
        if large or spread or abs(reading.mean) > 0.98 * reading.rms > 0.98 * 3:
            words = f"{reading.name} has mean {reading.mean:.3g}, rms {reading.rms:.3g}"
            words += f", its largest column {reading.column_spread:.3g} times the median one" if spread else ""
            score = 83 if reading.rms > 10 or spread else 62
            yield score, _cause("normalization", words, title="inputs that are not normalised")


def _normalization(s: _Signs) -> Found:
    far = max(abs(s.gap), abs(s.forward)) >= wanted_gap(s.report.layers)
    if s.normalized or s.run < limit("layers without normalisation") or not far:
        return
    words = (
        f"{s.run} weight layers in a row without one: activations change by 10^{s.forward:.1f} towards the output,"
        f" delta by 10^{s.gap:.1f} towards the input"
    )
    yield 48, _cause("normalization", words)


def _batch(s: _Signs) -> Found:
    rows = [layer for layer in s.report.layers if "BatchNorm" in layer.kind]
    if rows and s.report.batch <= limit("batch for statistics"):
        words = f"{len(rows)} layers normalise over a batch of {s.report.batch}: what is read here says little"
        yield 30, _cause("batch", words)


def _residual(s: _Signs) -> Found:
    count, growth = len(s.chained), s.stream_growth
    steep = count >= 3 and growth ** (1 / count) > limit("growth per block")
    if steep and growth > limit("stream growth") and not s.normalized:
        words = (
            f"{count} skip connections add branches as large as the stream: its rms grows {growth:.3g} times,"
            f" {growth ** (1 / count):.3g} per block"
        )
        yield 90, _cause("residual", words)


def _attention(s: _Signs) -> Found:
    rows = s.report.attentions
    if not rows:
        return
    worst = max(rows, key=lambda a: a.largest)
    narrow = min(rows, key=lambda a: a.entropy)
    if worst.largest > limit("attention score") and narrow.entropy < 0.5:
        words = f"scores of {worst.name} reach {worst.largest:.3g}, the entropy is {worst.entropy:.0%} of the largest"
        yield 86, _cause("attention", words, worst.name)
    elif narrow.entropy < limit("attention entropy"):
        words = f"in {narrow.name} the entropy of the weights is {narrow.entropy:.0%} of the largest"
        yield 70, _cause("attention", words, narrow.name)


def _step(s: _Signs) -> Found:
    if s.report.assumed or s.update is None:
        return
    before, after = s.report.loss, s.report.loss_after
    words = f"one step changes the weights by {s.update:.2g} of their size (median; 1e-3 is ordinary)"
    # An optimizer with a memory may well step against one batch by a little.
    rise = 1 + limit("rise of the loss, plain" if s.report.optimizer is None else "rise of the loss, optimizer")
    if after is not None and math.isfinite(before) and not after <= before * rise:
        score = 60 + (15 if not math.isfinite(after) or after > 2 * before else 0)
        words = f"after one step the loss of the same batch is {after:.4g} instead of {before:.4g}; {words}"
        yield (score if s.update > 3e-3 else 40), _cause("step", words)
    elif s.update > limit("update, one step"):
        yield 50, _cause("step", words)


def _recurrence(s: _Signs) -> Found:
    for layer in s.report.layers:
        long = len(layer.steps) >= limit("time steps") and "Bidirectional" not in layer.kind
        gap = decades(layer.steps) if long else 0.0
        if abs(gap) > DECADES:
            words = f"in {layer.name} delta changes by 10^{gap:.1f} over {len(layer.steps)} steps, last to first"
            yield 65, _cause("recurrence", words, layer.name)


def _precision(s: _Signs) -> Found:
    rows = [layer for layer in s.weights if layer.dtype.startswith(("float16", "bfloat16"))]
    worst = max(rows, key=lambda layer: layer.zero_gradient or 0.0, default=None)
    share = worst.zero_gradient or 0.0 if worst is not None else 0.0
    if worst is not None and share > limit("zero share of a gradient") and s.dead < 0.5 and not s.report.cuts:
        words = f"{share:.0%} of the weight gradient of {worst.name} is exactly 0 in {worst.dtype}"
        yield 70, _cause("precision", words, worst.name)


def _depth(s: _Signs) -> Found:
    if s.verdict in ("vanishing", "exploding") and s.plain and len(s.weights) >= 4 and abs(s.gap) > 1:
        factor = 10 ** (s.gap / (len(s.weights) - 1))
        yield 20, _cause("depth", f"a factor of {factor:.3g} per layer, {len(s.weights) - 1} times")


RULES: tuple[Callable[[_Signs], Found], ...] = (
    _data, _labels, _neighbours, _operation, _foreign, _cut, _stuck, _softmax, _bounded_scale, _scale, _odd_layer,
    _recurrent_scale, _hidden_scale, _activation, _dead, _inputs, _normalization, _batch, _residual, _attention, _step,
    _recurrence, _precision, _depth,
)  # fmt: skip


def diagnose(report: Report) -> tuple[Cause, ...]:
    """Argue from a report to likely causes, the likeliest first, one for each key; see :attr:`Report.causes`."""
    signs = _Signs(report)
    found = sorted((pair for rule in RULES for pair in rule(signs)), key=lambda pair: -pair[0])
    first: dict[str, Cause] = {}
    for _, cause in found:
        if cause.key not in report.silenced:
            first.setdefault(cause.key, cause)
    return tuple(first.values())


def _run_steps(run: Watched) -> Iterable[Cause]:
    """Steps that were too large, or none at all."""
    taken = [r for r in run.reports if not r.skipped and any(layer.update is not None for layer in r.layers)]
    if not taken:
        return
    update = np.array([median(x.update for x in r.layers if x.matrix and not x.frozen) or 0.0 for r in taken])
    at = [step for step, r in zip(run.steps, run.reports, strict=True) if r in taken]
    losses = [run.losses[step] for step in sorted(run.losses)]
    rose = len(losses) > 1 and not losses[-1] <= 2 * losses[0]
    broke = run.nonfinite_step is not None and run.nonfinite_step > run.steps[0]
    started_ill = run.reports[0].verdict in ("exploding", "non-finite")
    held = len(update) > 1 and float(np.median(update)) > limit("update, in a run")
    worst = int(update.argmax())
    words = f"at step {at[worst]} the weights changed by {update.max():.2g} of their size"
    if update.max() > limit("update, in a run") and (rose or broke) and not started_ill:
        end = (
            f"something was not finite at step {run.nonfinite_step}"
            if broke
            else f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g}"
        )
        yield _cause("step", f"{words}, and {end}")
    elif (held or update.max() > limit("update, all of a weight")) and not started_ill:
        yield _cause("step", f"{words}, in the median of {len(update)} steps by {np.median(update):.2g}")
    elif len(update) > 2 and update.max() == 0.0:
        yield _cause("still", f"in {len(update)} sampled steps no weight changed: does the optimizer hold them?")


def _run_dead(run: Watched) -> Iterable[Cause]:
    """Units that died in training."""
    dead = run.column("dead")
    for i, name in enumerate(run.names):
        if dead[0, i] < 0.3 and dead[-1, i] > limit("dead share"):
            words = f"{name}: {dead[0, i]:.0%} dead at step {run.steps[0]}, {dead[-1, i]:.0%} at step {run.steps[-1]}"
            yield _cause("dead-units", words, name, title="units that died in training")
            return


def diagnose_run(run: Watched) -> tuple[Cause, ...]:
    """Causes that only a run shows, then those of the first ill report (of the last one if none was ill)."""
    found = [cause for rule in (_run_steps, _run_dead) for cause in rule(run) if cause.key not in run.silenced]
    ill = next((report for report in run.reports if report.verdict != "healthy"), run.reports[-1])
    known = {cause.key for cause in found} | set(run.silenced)
    return (*found, *(cause for cause in ill.causes if cause.key not in known))
