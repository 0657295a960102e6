"""The rows of the matrix at 200 and at 2000 steps: every row, both patients, nine learning rates, five seeds.

The networks, the digits, the batches and the rates are those of :mod:`gradclinic.course.remedies`. All nine rates take
200 steps; then the :data:`FINALISTS` best go on, and the neighbours of the best of them (:func:`compared`), so that a
rate which starts slowly can still win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gradclinic import measure
from gradclinic.course import registry, remedies
from gradclinic.course.long_runs import LONG, SHORT
from gradclinic.course.long_runs.storing import rounded

ABOUT = (
    "Each row of the matrix of remedies, for both patients: five seeds (one generator, seed 1), batches of 50 "
    "digits (order: seed 0), nine learning rates, all of them for 200 steps and at least the three best by the 297 "
    "validation digits for 2000 (since then also the neighbours of the best after 2000; in rows made earlier some "
    "are missing); for both budgets the curve of the rate with the best median validation accuracy at its end. "
    "loss: on the 1000 training digits; accuracy: on 500 test digits; null: left the finite numbers, or not trained "
    "on."
)
FINALISTS = 3
STEPS = sorted({0, *np.geomspace(1, SHORT, 14).round().astype(int), *np.geomspace(SHORT, LONG, 9).round().astype(int)})
"""After how many steps the networks are examined."""


def tasks() -> dict[str, Callable[[], dict[str, Any]]]:
    """One task for each row and patient, by the key under which it is stored."""
    return {
        f"{patient} {remedy}": lambda patient=patient, remedy=remedy: examine(patient, remedy)
        for patient in registry.PATIENTS
        for remedy in registry.REMEDIES
    }


def follow(
    treatment: remedies.Treatment, rates: Sequence[float], steps: Sequence[int], finalists: int = FINALISTS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train at all ``rates`` at once; loss, test and validation accuracy after each of ``steps``, of which the first
    is 0, all ``(len(steps), len(rates), seeds)``.

    After :data:`SHORT` steps the ``finalists`` best rates go on, by median validation accuracy (smaller rates first on
    a tie); the others are ``nan`` from there on.
    """
    training = remedies.Training(treatment, np.asarray(rates), np.random.default_rng(0))
    seen = np.full((3, len(steps), len(rates), training.seeds), np.nan)
    going = np.arange(len(rates))
    now = None
    for number, (before, after) in enumerate(pairwise([0, *steps])):
        if now is None or now.finite.any():  # who has left the finite numbers stays where they are
            training.advance(after - before, remedies.BATCH)
            now = training.result(after, np.empty(0))
        seen[:, number, going] = training.loss(), now.accuracy, now.validation
        if after == SHORT and finalists < len(rates):
            going = np.sort(np.argsort(-np.median(now.validation, axis=1), kind="stable")[:finalists])
            training = training.only(going)
            now = training.result(after, np.empty(0))
    loss, accuracy, validation = seen
    return loss, accuracy, validation


def untried(validation: np.ndarray) -> list[int]:
    """Which rates next to the best, by median ``validation`` accuracy ``(rates, seeds)``, are ``nan`` still."""
    best = int(np.nanargmax(np.median(validation, axis=1)))
    beside = range(max(best - 1, 0), min(best + 2, len(validation)))
    return [rate for rate in beside if np.isnan(validation[rate]).all()]


def compared(treatment: remedies.Treatment, rates: Sequence[float]) -> dict[str, Any]:
    """Train a treatment at all rates to :data:`LONG` steps; for each budget keep the curve of its own best rate.

    A rate that went out after :data:`SHORT` steps gets a second chance if it lies next to the best of those that went
    on: Muon's rate for 2000 steps is a tenth of its rate for 200.
    """
    seen = np.array(follow(treatment, rates, STEPS))
    while again := untried(seen[2, -1]):
        seen[:, :, again] = follow(treatment, [rates[rate] for rate in again], STEPS, finalists=len(again))
    loss, accuracy, validation = seen
    named = [float(f"{rate:.4g}") for rate in rates]
    best = {}
    for budget in (SHORT, LONG):
        end = STEPS.index(budget) + 1
        chosen = int(np.nanargmax(np.median(validation[end - 1], axis=1)))
        best[str(budget)] = {
            "rate": named[chosen],
            "steps": [int(step) for step in STEPS[:end]],
            "loss": rounded(loss[:end, chosen]),
            "accuracy": rounded(accuracy[:end, chosen]),
        }
    by_rate = {str(budget): rounded(accuracy[STEPS.index(budget)]) for budget in (SHORT, LONG)}
    return {"rates": named, "accuracy_by_rate": by_rate, "best": best}


def readings(treatment: remedies.Treatment) -> dict[str, Any]:
    """What is read off a treatment before training."""
    profile = remedies.profile(treatment)
    return {
        "verdict": profile.verdict,
        "powers": rounded(np.log10(profile.delta[:, 0] / profile.delta[:, -1])),
        "directions": rounded(measure.participation_ratio(remedies.features(treatment))),
    }


def examine(patient: str, remedy: str) -> dict[str, Any]:
    """One row of the matrix, as it is stored."""
    treatment = remedies.treat(patient, remedy)
    return readings(treatment) | compared(treatment, remedies.LEARNING_RATES)
