"""Gates and sequences at the budget of the page on the LSTM and at ten times that budget.

Two tasks, :func:`data.latch` (one bit, then noise) and the adding problem (two marked numbers; numbers and sum are
centred). Five networks of 16 units each, Adam, gradients clipped to norm 1, fresh batches of 16 sequences. A run is
stored with the test error after some steps, at the rate with the least median validation error at the end of each
budget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradclinic import gated
from gradclinic.course import data
from gradclinic.course.long_runs.storing import rounded

ABOUT = (
    "Recurrent networks of 16 units, five seeds (seed 0), Adam, gradients clipped to norm 1, batches of 16 sequences. "
    "error: on 200 test sequences, 1 for a constant answer, 0 for a perfect one; for both budgets at the rate with the "
    "least median error on 200 others. before: log10 of the gradient over the whole sequence before training."
)


def adding(n: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem with numbers and sum centred."""
    x, y = data.adding_problem(n, length, rng)
    return x - np.array([0.5, 0.0]), y - 1


TASKS = {
    "latch": {"task": data.latch, "widths": (1, 16, 2), "rates": (0.003, 0.01, 0.03), "budgets": (40, 400)},
    "adding": {"task": adding, "widths": (2, 16, 1), "rates": (0.003, 0.01, 0.03), "budgets": (100, 1000)},
}
RUNS = [
    *(("latch", "tanh", None, None, length) for length in (10, 25, 100)),
    *(("latch", "lstm", bias, None, length) for bias in (0, 1, 5) for length in (25, 100)),
    *(("latch", "gru", bias, None, length) for bias in (0, 5) for length in (25, 100)),
    ("latch", "lstm", 5, -5, 100),
    ("adding", "tanh", None, None, 10),
    ("adding", "tanh", None, None, 80),
    *(("adding", "lstm", bias, None, length) for bias in (1, 5) for length in (20, 80)),
    *(("adding", "gru", bias, None, length) for bias in (0, 5) for length in (20, 80)),
    ("adding", "lstm", 5, -5, 80),
]
"""``(task, kind, bias of the carry gate, bias of the input gate, length)`` of each run."""


def name(task: str, kind: str, bias: float | None, pen: float | None, length: int) -> str:
    """Key under which a run is stored, such as ``"latch lstm bias 5 T 100"``."""
    parts = [task, kind]
    if bias is not None:
        parts.append(f"bias {bias}")
    if pen is not None:
        parts.append(f"input {pen}")
    return " ".join([*parts, f"T {length}"])


def tasks() -> dict[str, Callable[[], dict[str, Any]]]:
    """One task for each of :data:`RUNS`."""
    return {name(*run): lambda run=run: examine(*run) for run in RUNS}


def examine(task: str, kind: str, bias: float | None, pen: float | None, length: int) -> dict[str, Any]:
    """One run, as it is stored."""
    options = TASKS[task]
    short, long = options["budgets"]
    steps = sorted({0, short, *np.geomspace(5, long, 15).round().astype(int).tolist()})
    rng, n = np.random.default_rng(0), options["widths"][1]
    params = gated.draw(kind, rng, (5,), options["widths"], carry_bias=bias)
    if pen is not None:
        params.bias[..., :n] = pen
    x, _ = options["task"](20, length, rng)
    sizes = gated.memory_gradients(kind, params, x, rng.standard_normal((20, n)))
    found = gated.learn(
        kind, params, options["task"], length, rates=options["rates"], steps=long, rng=rng, held_out=200, seen_at=steps
    )
    validation, test = found.course
    best = {}
    for budget in (short, long):
        end = steps.index(budget) + 1
        chosen = int(np.argmin(np.median(validation[end - 1], axis=-1)))
        rate = options["rates"][chosen]
        best[str(budget)] = {"rate": rate, "steps": steps[:end], "error": rounded(test[:end, chosen])}
    return {"before": rounded(np.log10(np.median(sizes[..., 0] / sizes[..., -1]))), "best": best}
