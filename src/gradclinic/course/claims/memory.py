"""Claims about gated memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-lstm-remedy",
    statement="the LSTM is a remedy",
    said=sentences.S0_LSTM,
    verdict="conditional",
    why="with a forget bias that fits the lag and an input gate that fits the task (the source says no word of why)",
    page="remedies/lstm",
    mark="参见本人的第6篇学习笔记",
    held=(2, 4),
)
def _lstm_remedy() -> Iterator[Case]:
    from gradclinic import gated

    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((5, 101, 8)), rng.standard_normal((5, 32))
    for bias in (0.0, 1.0, 3.0, 5.0):
        p = gated.draw("lstm", np.random.default_rng(1), (10,), (8, 32, 1), carry_bias=bias)
        m = gated.memory_gradients("lstm", p, x, v)
        size = float(np.log10(np.median(m[:, 0] / m[:, -1])))
        yield Case(f"forget bias {bias:.0f}", size > -2, f"gradient over 100 steps 10^{size:.1f}")


@settles(
    "belief-lstm-solves-it",
    statement="the LSTM solves it",
    verdict="false",
    why="as PyTorch starts it, the gradient over 100 steps is of order 1e-20; the forget bias decides",
    page="remedies/lstm",
    mark="the LSTM solves it",
    held=(1, 3),
)
def _lstm_solves_it() -> Iterator[Case]:
    from gradclinic import gated

    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((5, 101, 8)), rng.standard_normal((5, 32))
    drawn: tuple[tuple[str, dict[str, Any]], ...] = (
        ("PyTorch's default", {"scheme": "torch"}),
        ("Keras's default", {"scheme": "keras"}),
        ("Keras's weights, forget bias 5", {"scheme": "keras", "carry_bias": 5.0}),
    )
    for name, options in drawn:
        p = gated.draw("lstm", np.random.default_rng(1), (10,), (8, 32, 1), **options)
        m = gated.memory_gradients("lstm", p, x, v)
        size = float(np.log10(np.median(m[:, 0] / m[:, -1])))
        yield Case(name, size > -2, f"gradient over 100 steps 10^{size:.1f}")


@settles(
    "belief-gates-cannot-explode",
    statement="gated networks cannot explode",
    verdict="false",
    why="recurrent weights sixteen times as large: over $10^6$ in 100 steps; true of the cut gradient of 1997",
    page="remedies/lstm",
    mark="gated networks cannot explode",
    held=(2, 4),
)
def _gates_cannot_explode() -> Iterator[Case]:
    from gradclinic import gated

    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((5, 101, 8)), rng.standard_normal((5, 32))
    for kind in ("lstm", "gru"):
        for gain in (1.0, 16.0):
            p = gated.draw(kind, np.random.default_rng(3), (10,), (8, 32, 1), carry_bias=1.0)
            p.recurrent[:] *= gain
            m = gated.memory_gradients(kind, p, x, v)
            size = float(np.log10(np.median(m[:, 0] / m[:, -1])))
            # at sixteen times the states are so unstable that the digits of the power depend on the processor
            found = f"10^{size:.1f}" if size < 6 else "above 10^6"
            name = f"{kind.upper()}, recurrent weights times {gain:.0f}"
            yield Case(name, size < 2, f"gradient over 100 steps {found}")
