"""Claims about the width of a network and the learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic.course import width
from gradclinic.course.claims.claim import Case, Claim, Settles, entry

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@cache
def doubling(mup: bool, rate: float = 0.001) -> np.ndarray:
    """Exponents between widths 512 and 1024, three seeds, of the change of hidden values and logits after steps 1 and
    5: ``(2, 2)``."""
    sizes = [[width.train(n, rate, 5, seed, mup=mup, watched=True)[1:] for seed in range(3)] for n in (512, 1024)]
    means = np.mean(sizes, axis=1)[:, :, [0, 4]]
    return np.log2(means[1] / means[0])


def best(rule: str, n: int, read: int = 2) -> float:
    """The rate of least median loss among the stored ones, after 300 steps (``read``: 0 for 30, 1 for 100)."""
    losses = np.median(width.stored(rule)[width.WIDTHS.index(n), :, read], axis=0)
    return width.RATES[int(np.argmin(losses))]


@settles(
    "belief-scaled-start-scaled-steps",
    statement="weights that are scaled by the width at the start make steps of the same size at every width",
    verdict="false",
    why="a start cancels like √n and a step adds up like n; only rates divided by the width make steps alike",
    page="today/width",
    held=(0, 3),
)
def _scaled_start() -> Iterator[Case]:
    exponents = doubling(False)
    for i, what in enumerate(("hidden values", "logits")):
        yield Case(
            f"width doubled to 1024, {what}, first step of Adam",
            abs(exponents[i, 0]) < 0.25,
            f"exponent {exponents[i, 0]:.1f}, with muP {doubling(True)[i, 0] + 0.0:.1f}",
        )
    yield Case(
        "width doubled to 1024, hidden values after five steps",
        abs(exponents[0, 1]) < 0.25,
        f"exponent {exponents[0, 1]:.1f}",
    )


@settles(
    "belief-one-rate-every-width",
    statement="the best learning rate of a narrow network is the best one of a wide network",
    verdict="false",
    why="one rate for all matrices: an eighth at sixteen times the width; with muP it stays, within one doubling",
    page="today/width",
    held=(2, 4),
)
def _one_rate_every_width() -> Iterator[Case]:
    for rule, n, read in (("standard", 128, 2), ("standard", 512, 2), ("mup", 512, 2), ("mup", 512, 0)):
        narrow, wide = best(rule, 32, read), best(rule, n, read)
        name = "muP" if rule == "mup" else "one rate for all"
        said = f"best of eight rates {narrow} and {wide}"
        yield Case(f"{name}, widths 32 and {n}, {width.READ[read]} steps", narrow == wide, said)
