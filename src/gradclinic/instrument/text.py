"""Reports in words: tables of at most forty rows, the verdict, and the causes, worst first."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from gradclinic.instrument.readings import LayerReading, Report, Watched, median

SHOWN_ROWS = 40  # a longer table groups repeated blocks, and leaves out the middle of what is still too long
WIDTH = 110  # of a line in words
HEAD = ("layer", "kind", "activation", "function", "delta", "dC/dW", "update", "weight std*", "dead", "saturated")
LEFT = (0, 1, 3)  # columns of words
FOOTNOTE = "* times the root of fan-in: 1.41 is He's scheme, 1 LeCun's"
INDEX = re.compile(r"(?<![A-Za-z\d])\d+")  # a number that counts blocks, not one that is part of a name


@dataclass(frozen=True)
class Row:
    """One line of a table: a layer, or repeated blocks by the median of each reading; ``None`` cells are empty."""

    name: str
    kind: str
    layers: tuple[LayerReading, ...]

    def value(self, quantity: str) -> float | None:
        """The reading, the median over the group; the largest for shares of units, which one bad layer must show."""
        values = [getattr(layer, quantity) for layer in self.layers]
        if len(values) == 1:
            return values[0]
        known = [value for value in values if value is not None]
        if any(not math.isfinite(value) for value in known):
            return next(value for value in known if not math.isfinite(value))
        return max(known, default=None) if quantity in ("dead", "saturated") else median(known)


def _single(layer: LayerReading) -> Row:
    kind = layer.kind + (f" x{layer.calls}" if layer.calls > 1 else "") + (" frozen" if layer.frozen else "")
    return Row(layer.name, kind + (" not read" if layer.state == "not read" else ""), (layer,))


def _group_name(names: Sequence[str]) -> str:
    """``encoder.0.attend`` to ``encoder.11.attend`` as ``encoder.0–11.attend``."""
    numbers = list(zip(*(INDEX.findall(name) for name in names), strict=True))
    spans = iter([a[0] if len(set(a)) == 1 else f"{min(map(int, a))}–{max(map(int, a))}" for a in numbers])
    return INDEX.sub(lambda _: next(spans), names[0])


def rows(layers: Sequence[LayerReading], named: Sequence[str] = ()) -> list[Row | None]:
    """All layers of a short table. In a long one repeated blocks share a row, and ``None`` stands for what is left out
    of the middle; layers that a cause names always have a row of their own."""
    if len(layers) <= SHOWN_ROWS:
        return [_single(layer) for layer in layers]
    groups: dict[tuple[str, str, str | None], list[LayerReading]] = {}
    for layer in layers:
        alone = layer.name if layer.name in named else INDEX.sub("*", layer.name)
        groups.setdefault((alone, layer.kind, layer.function), []).append(layer)
    made: list[Row | None] = [
        _single(group[0]) if len(group) == 1
        else Row(_group_name([layer.name for layer in group]), f"{group[0].kind} ({len(group)})", tuple(group))
        for group in groups.values()
    ]  # fmt: skip
    if len(made) <= SHOWN_ROWS:
        return made
    kept = [row for row in made if row is not None and row.name in named][: SHOWN_ROWS // 2]
    half = (SHOWN_ROWS - len(kept)) // 2
    middle = [row for row in made[half:-half] if row in kept]
    return [*made[:half], None, *([*middle, None] if middle else []), *made[-half:]]


def cell(value: float | None, share: bool = False) -> str:
    """One number of a table."""
    if value is None:
        return "-"
    return f"{value:.2f}" if share else f"{value:.3g}" if not math.isfinite(value) else f"{value:.2e}"


def cells(row: Row | None) -> tuple[str, ...]:
    """One line of the table of a report, as :data:`HEAD` names it."""
    if row is None:
        return ("...",) + ("",) * (len(HEAD) - 1)
    numbers = [cell(row.value(quantity)) for quantity in ("delta", "weight_gradient", "update", "weight_scale")]
    shares = [cell(row.value(quantity), share=True) for quantity in ("dead", "saturated")]
    function = row.layers[0].function or "-"
    return (row.name, row.kind, cell(row.value("activation")), function, *numbers, *shares)


def named(report: Report | Watched) -> list[str]:
    """Layers that a cause points at."""
    return [name for cause in report.causes for name in cause.layers]


def _aligned(lines: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            f"{c:<{w}}" if i in left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def facts(report: Report) -> list[str]:
    """What a report says beside its table, line by line."""
    lines = []
    if report.assumed:
        lines.append("update: for plain gradient descent at lr = 1, since neither lr nor optimizer was given")
    if report.scale is not None:
        lines.append(f"the loss was scaled by {report.scale:.6g}; gradients here are those of the loss itself")
    if report.skipped:
        lines.append("the loss scaler skipped this step, as it does while it looks for its scale")
    if report.additions:
        first, last = report.additions[0], report.additions[-1]
        lines.append(
            f"{len(report.additions)} skip connections: rms of the stream {first.stream:.3g} before the first,"
            f" {last.total:.3g} after the last"
        )
    if report.attentions:
        worst, narrow = max(a.largest for a in report.attentions), min(a.entropy for a in report.attentions)
        lines.append(f"{len(report.attentions)} attentions: largest score {worst:.3g}, least entropy {narrow:.0%}")
    if report.neighbours:
        lines.append(
            "nearest neighbours share a label: {:.0%} of the samples, by chance {:.0%}".format(*report.neighbours)
        )
    if report.unused:
        lines.append(f"the loss does not depend on: {_listed(report.unused)}")
    return [*lines, *(f"not read: {note}" for note in report.notes)]


def _listed(names: Sequence[str], shown: int = 6) -> str:
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest


def loss_line(report: Report) -> str:
    """The loss, against a guess and after one step."""
    text = f"loss {report.loss:.4g}"
    if report.loss_guess is not None:
        text += f" (guessing costs {report.loss_guess:.4g})"
    if report.loss_after is not None:
        by = f"lr {report.lr:.3g}" if report.optimizer is None else report.optimizer
        text += f"; {report.loss_after:.4g} on the same batch after one step ({by})"
    return text


def judgement(report: Report | Watched) -> list[str]:
    """Verdict, first non-finite number and causes."""
    at = f" (step {report.nonfinite_step})" if isinstance(report, Watched) and report.nonfinite_step is not None else ""
    lines = [f"verdict: {report.verdict}"]
    if report.first_nonfinite is not None:
        lines.append(f"{report.first_nonfinite}{at}")
    causes = report.causes
    for i, cause in enumerate(causes, start=1):
        lines += textwrap.wrap(f"{i}. {cause}", WIDTH, subsequent_indent="   ")
    return lines if causes else [*lines, "no cause stands out"]


def report(made: Report) -> str:
    """A report of one batch: what went in and came out, the table of the layers, the verdict and the causes."""
    size = f"{len(made.layers)} layers, batch of {made.batch}"
    lines = [f"{made.framework}, {size}", *map(str, made.inputs), *map(str, made.targets), *map(str, made.outputs)]
    table = _aligned([HEAD, *(cells(row) for row in rows(made.layers, named(made)))], LEFT)
    return "\n".join([*lines, loss_line(made), "", *table, FOOTNOTE, "", *facts(made), *judgement(made)])


RUN = ("activation", "delta", "update", "dead", "saturated")


def run_head(made: Watched) -> list[str]:
    """How long a run was and where its loss went."""
    first = made.reports[0].framework
    lines = [f"{first}, {made.total} steps, {len(made.steps)} sampled: {made.steps[0]} to {made.steps[-1]}"]
    if made.losses:
        at = sorted(made.losses)
        lines.append(f"loss {made.losses[at[0]]:.4g} at step {at[0]}, {made.losses[at[-1]]:.4g} at step {at[-1]}")
    if made.clipped:
        lines.append(f"clipped by norm: {made.clipped[0]} of {made.clipped[1]} steps")
    expected = [
        (layer.adam_rms, layer.name, step)
        for step, at in zip(made.steps, made.reports, strict=True)
        for layer in at.layers
        if layer.adam_rms is not None
    ]
    if expected:
        middle, (most, name, step) = median(rms for rms, _, _ in expected), max(expected)
        lines.append(
            f"gradient over what Adam expects (usually 1): median {middle:.2g},"
            f" largest {most:.2g} ({name}, step {step})"
        )
    skipped = [step for step, r in zip(made.steps, made.reports, strict=True) if r.skipped]
    if skipped:
        lines.append(f"skipped by the loss scaler: step {', '.join(map(str, skipped))}")
    return lines


def turns(made: Watched) -> str:
    """The verdict at the first sampled step and wherever it changed."""
    changed, last = [], None
    for step, at in zip(made.steps, made.reports, strict=True):
        if at.verdict != last:
            changed.append(f"{step}: {at.verdict}")
            last = at.verdict
    return "verdict by step  " + ", ".join(changed)


def run_cells(made: Watched) -> list[tuple[str, ...]]:
    """First and last sampled step side by side, one line a layer or group of layers."""
    last = {layer.name: layer for layer in made.reports[-1].layers}
    lines: list[tuple[str, ...]] = [("layer", *RUN)]
    seen = {layer.name: layer for report_ in reversed(made.reports) for layer in report_.layers}
    first = {layer.name: layer for layer in made.reports[0].layers}
    for row in rows([seen[name] for name in made.names], named(made)):
        if row is None:
            lines.append(("...",) + ("",) * len(RUN))
            continue
        names = [layer.name for layer in row.layers]
        parts = []
        for quantity in RUN:
            pair = [
                cell(Row("", "", tuple(step[n] for n in names if n in step) or (LayerReading("", ""),)).value(quantity))
                for step in (first, last)
            ]
            parts.append(" -> ".join(pair) if pair != ["-", "-"] else "-")
        lines.append((row.name, *parts))
    return lines


def run(made: Watched) -> str:
    """A report of a run."""
    table = _aligned(run_cells(made), (0,))
    notes = list(dict.fromkeys(f"not read: {note}" for at in made.reports for note in at.notes))
    return "\n".join([*run_head(made), "", *table, "", turns(made), *notes, *judgement(made)])


def comparison(before: Report, after: Report) -> str:
    """Layer by layer, by what each reading was multiplied; layers that only one of the two has are named below."""
    old = {layer.name: layer for layer in before.layers}
    both = [layer for layer in after.layers if layer.name in old]
    quantities = ("activation", "delta", "weight_gradient", "weight")
    lines: list[tuple[str, ...]] = [("layer", *(f"{quantity} x" for quantity in quantities))]
    for row in rows(both):
        if row is None:
            lines.append(("...",) + ("",) * len(quantities))
            continue
        was = Row("", "", tuple(old[layer.name] for layer in row.layers))
        parts = []
        for quantity in quantities:
            a, b = was.value(quantity), row.value(quantity)
            parts.append("-" if a is None or b is None or not a else f"{b / a:.3g}")
        lines.append((row.name, *parts))
    only = [name for name in (*before.names, *after.names) if (name in old) != (name in after.names)]
    loss = f"loss {before.loss:.4g} -> {after.loss:.4g}"
    gone = [cause.title for cause in before.causes if cause.key not in {c.key for c in after.causes}]
    new = [cause.title for cause in after.causes if cause.key not in {c.key for c in before.causes}]
    said = [loss, f"verdict {before.verdict} -> {after.verdict}"]
    said += [f"no longer: {', '.join(gone)}"] if gone else []
    said += [f"new: {', '.join(new)}"] if new else []
    said += [f"in one of the two only: {_listed(only)}"] if only else []
    return "\n".join([*_aligned(lines, (0,)), "", *said])
