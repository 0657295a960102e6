"""Long training runs, made once by one command and stored here as data: what the chapters plot and print.

Reading needs NumPy alone. ``python -m gradclinic.course.long_runs`` makes the data anew (see
:mod:`gradclinic.course.long_runs.__main__`); every file says by which command, with which versions and seeds.

>>> from gradclinic.course import long_runs
>>> run = long_runs.curve("batch-normalization", "A")
>>> run.steps[-1], run.accuracy.shape[1]
(2000, 5)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np

from gradclinic.course import registry

SHORT, LONG = 200, 2000
"""The two budgets, in steps, at which the rows of the matrix are compared."""


def stored(topic: str) -> MappingProxyType[str, Any]:
    """Everything that the command stored on a topic: ``about``, ``command``, ``versions`` and ``runs``.

    ``topic``: the name of a file in ``long_runs/data``, such as ``"matrix"``. ``ValueError`` where there is none.
    """
    return MappingProxyType(_read(topic))


@lru_cache
def _read(topic: str) -> dict[str, Any]:
    folder = files("gradclinic.course.long_runs") / "data"
    file = folder / f"{topic}.json"
    if not file.is_file():
        names = sorted(other.name.removesuffix(".json") for other in folder.iterdir() if other.name.endswith(".json"))
        raise ValueError(f"topic: got {topic!r}, wanted one of {', '.join(names)}")
    return json.loads(file.read_text("utf-8"))


def _array(values: list) -> np.ndarray:
    """Numbers as stored, ``null`` being what left the finite numbers."""
    return np.array(values, dtype=np.float64)


@dataclass(frozen=True)
class Curve:
    """A network in training, five seeds, at the learning rate that was best at the end of its budget.

    ``steps`` ``(T,)``, spaced evenly on a log scale, from 0, before the first step. ``loss`` ``(T, seeds)``: on the
    1000 training digits. ``accuracy`` ``(T, seeds)``: on the 500 test digits; chance is 0.1. ``rate``: the learning
    rate. A loss that left the finite numbers is ``nan``.
    """

    rate: float
    steps: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray

    @property
    def final(self) -> float:
        """Median accuracy over the seeds after the last step."""
        return float(np.median(self.accuracy[-1]))

    @property
    def word(self) -> str:
        """The book's word for that accuracy: ``"reads digits"``, ``"partly"`` or ``"near chance"``."""
        return registry.word(self.final)


@dataclass(frozen=True)
class Entry:
    """A network examined: two readings before training, and training at two budgets.

    ``verdict``, ``powers`` (powers of ten by which the gradient grows from the output layer to the first, negative
    where it vanishes) and ``directions`` (participation ratio of 100 digits at the last hidden layer), medians over
    seeds, are taken before the first step. ``short`` and ``long`` are the training curves of :data:`SHORT` and
    :data:`LONG` steps, each at its own best learning rate. ``rates`` and ``by_rate`` (``{steps: (rates, seeds)}``,
    test accuracy) hold what the search saw.
    """

    verdict: str
    powers: float
    directions: float
    short: Curve
    long: Curve
    rates: np.ndarray
    by_rate: dict[int, np.ndarray]


def entry(remedy: str, patient: str) -> Entry:
    """Look up one row of the matrix. ``ValueError`` for a name that is not in the registry."""
    registry.remedy(remedy)
    registry.patient(patient)
    return _entry(stored("matrix")["runs"][f"{patient} {remedy}"])


def variant(key: str) -> Entry:
    """Look up a network beside the matrix, such as ``"A variance 103"``. ``ValueError`` for an unknown name."""
    runs = stored("variants")["runs"]
    if key not in runs:
        raise ValueError(f"key: got {key!r}, wanted one of {'; '.join(runs)}")
    return _entry(runs[key])


def _entry(run: dict[str, Any]) -> Entry:
    short, long = (_curve(run["best"][str(budget)]) for budget in (SHORT, LONG))
    return Entry(
        run["verdict"],
        float(np.median(_array(run["powers"]))),
        float(np.median(_array(run["directions"]))),
        short,
        long,
        _array(run["rates"]),
        {int(steps): _array(values) for steps, values in run["accuracy_by_rate"].items()},
    )


def _curve(best: dict[str, Any]) -> Curve:
    return Curve(best["rate"], np.array(best["steps"]), _array(best["loss"]), _array(best["accuracy"]))


def curve(remedy: str, patient: str, budget: int = LONG) -> Curve:
    """Loss and accuracy against the step for one row of the matrix and one patient.

    ``budget``: :data:`SHORT` or :data:`LONG` steps. The learning rate is the best of nine after the short one, and of
    those that went on after the long one, chosen by 297 digits that are used for nothing else. ``ValueError`` for an
    unknown name or budget.
    """
    if budget not in (SHORT, LONG):
        raise ValueError(f"budget: got {budget!r}, wanted {SHORT} or {LONG}")
    found = entry(remedy, patient)
    return found.short if budget == SHORT else found.long


def table() -> dict[tuple[str, str], Entry]:
    """All rows of the matrix in its order, ``{(remedy, patient): entry}``."""
    return {(remedy, patient): entry(remedy, patient) for remedy in registry.REMEDIES for patient in registry.PATIENTS}


@dataclass(frozen=True)
class SequenceRun:
    """A recurrent network in training: test error of five seeds at the best learning rate of its budget.

    ``before``: powers of ten of the gradient over the whole sequence before training. ``steps`` ``(T,)``; ``error``
    ``(T, seeds)``, 1 for a constant answer and 0 for a perfect one.
    """

    before: float
    rate: float
    steps: np.ndarray
    error: np.ndarray

    @property
    def final(self) -> float:
        """Median error over the seeds after the last step."""
        return float(np.median(self.error[-1]))


def sequence(key: str, *, longest: bool = True) -> SequenceRun:
    """Look up a recurrent run, such as ``"latch lstm bias 5 T 100"``, at its long budget or at its short one.

    The budgets are 40 and 400 steps for the latch, 100 and 1000 for the adding problem. ``ValueError`` for an unknown
    name.
    """
    runs = stored("recurrent")["runs"]
    if key not in runs:
        raise ValueError(f"key: got {key!r}, wanted one of {'; '.join(runs)}")
    budgets = sorted(runs[key]["best"], key=int)
    best = runs[key]["best"][budgets[-1] if longest else budgets[0]]
    return SequenceRun(runs[key]["before"], best["rate"], np.array(best["steps"]), _array(best["error"]))
