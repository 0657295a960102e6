"""Where the readings of a run go while it runs: each of these is a ``tell`` for :func:`gradclinic.watch`::

    with gradclinic.watch(model, tell=writers.JSONLines("run.jsonl")):
        ...

All of them write the same scalars (:func:`scalars`); none needs a package that is not asked for.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradclinic.instrument.readings import Report, median

QUANTITIES = ("activation", "delta", "weight_gradient", "update", "dead", "saturated", "adam_rms")


def scalars(report: Report, quantities: Sequence[str] = QUANTITIES) -> dict[str, float]:
    """``{"delta/encoder.0": ..., ...}`` for each layer and quantity that was read, and ``loss``, ``causes`` (their
    number), ``ill`` (0 or 1) and the median of each quantity as ``"median/delta"``.

    >>> import torch
    >>> import gradclinic
    >>> from gradclinic.instrument import writers
    >>> model = torch.nn.Linear(8, 2)
    >>> x, y = torch.ones(4, 8), torch.tensor([0, 1, 0, 1])
    >>> report = gradclinic.probe(model, x, y)
    >>> found = writers.scalars(report)
    >>> sorted(name for name in found if "/" not in name)
    ['causes', 'ill', 'loss']
    """
    found = {
        f"{quantity}/{layer.name}": float(value)
        for quantity in quantities
        for layer in report.layers
        if (value := getattr(layer, quantity)) is not None
    }
    for quantity in quantities:
        middle = median(getattr(layer, quantity) for layer in report.layers)
        if middle is not None:
            found[f"median/{quantity}"] = middle
    found |= {"ill": float(report.verdict != "healthy"), "causes": float(len(report.causes))}
    return found if math.isnan(report.loss) else found | {"loss": report.loss}


class Logged:
    """Hands the scalars to any ``log(dict, step=step)``: ``wandb.log``, ``mlflow.log_metrics``, a reader's own.

    ``prefix`` stands before each name; numbers that are not finite are left out, which some services refuse.
    """

    log: Callable[..., Any]
    prefix: str

    def __init__(self, log: Callable[..., Any], prefix: str = "gradclinic/") -> None:
        """``log``: a function of a dict and ``step``."""
        if not callable(log):
            raise TypeError(f"log: got {type(log).__name__}, wanted a function log(dict, step=step)")
        self.log, self.prefix = log, prefix

    def __call__(self, step: int, report: Report) -> None:
        """Log one step."""
        found = {self.prefix + name: value for name, value in scalars(report).items() if math.isfinite(value)}
        self.log(found, step=step)


class JSONLines:
    """One line of JSON for each sampled step: ``step``, ``verdict``, ``causes`` and the scalars. nan and inf become
    strings, as in :meth:`Report.to_dict`."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        """``path`` is written anew."""
        self.path = Path(path)
        self.path.write_text("", encoding="utf-8")

    def __call__(self, step: int, report: Report) -> None:
        """Add one line."""
        found: Mapping[str, Any] = {
            name: value if math.isfinite(value) else str(value) for name, value in scalars(report).items()
        }
        line = {"step": step, "verdict": report.verdict, "causes": [cause.key for cause in report.causes], **found}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


class CSV:
    """One row for each reading: ``step, quantity, layer, value``; ``layer`` is empty for what belongs to the model."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        """``path`` is written anew, with a line that names the columns."""
        self.path = Path(path)
        self._write([("step", "quantity", "layer", "value")], "w")

    def _write(self, rows: Sequence[Sequence[Any]], mode: str = "a") -> None:
        with self.path.open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    def __call__(self, step: int, report: Report) -> None:
        """Add the rows of one step."""
        parts = [(name.partition("/"), value) for name, value in scalars(report).items()]
        self._write([(step, quantity, layer, value) for (quantity, _, layer), value in parts])


class TensorBoard:
    """Scalars for a ``torch.utils.tensorboard.SummaryWriter``, or any writer with ``add_scalar`` and ``add_text``."""

    writer: Any
    prefix: str

    def __init__(self, writer: Any, prefix: str = "gradclinic/") -> None:
        """``writer`` stays the reader's own: it is not closed here."""
        if not hasattr(writer, "add_scalar"):
            raise TypeError(f"writer: got {type(writer).__name__}, wanted one with add_scalar(tag, value, step)")
        self.writer, self.prefix = writer, prefix

    def __call__(self, step: int, report: Report) -> None:
        """Write one step."""
        for name, value in scalars(report).items():
            self.writer.add_scalar(self.prefix + name, value, step)
        if report.causes and hasattr(self.writer, "add_text"):
            self.writer.add_text(self.prefix + "causes", "\n\n".join(map(str, report.causes)), step)
