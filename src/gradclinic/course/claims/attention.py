"""Claims about attention whose scores grow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic.course import attention
from gradclinic.course.claims.claim import Case, Claim, Settles, entry

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


def learned(run: attention.Reversal) -> int:
    """How many of the three networks reverse their symbols at the end; guessing costs ln 8 = 2.08."""
    return int(np.sum(run.loss[-10:].mean(axis=0) < 0.5))


@settles(
    "belief-entropy-law",
    statement="the entropy of attention is ln T - σ²/2",
    verdict="false",
    why="for many tokens and a spread well below √(2 ln T); near it and beyond, and for few tokens, it is larger",
    page="today/attention-logits",
    held=(2, 4),
)
def _entropy_law() -> Iterator[Case]:
    for length, sigma in ((1024, 1.0), (1024, 2.0), (1024, 3.0), (16, 2.0)):
        found = attention.random_entropy(length, sigma, np.random.default_rng(0))
        law = float(np.log(length) - sigma**2 / 2)
        said = f"{found:.2f} nats, law {law:.2f}"
        yield Case(f"{length} tokens, spread {sigma:.0f}", abs(found - law) < 0.3, said)


@settles(
    "belief-low-entropy-is-illness",
    statement="attention of low entropy is collapsed and does not learn",
    verdict="false",
    why="a task that needs one place is learned with less than a tenth of a nat; "
    "ill is what froze before it knew where",
    page="today/attention-logits",
    held=(1, 3),
)
def _low_entropy_is_illness() -> Iterator[Case]:
    for rate in (0.01, 0.03, 0.1):
        run = attention.reverse(rate)
        said = f"least entropy {np.median(run.entropy[-1]):.1f} of 2.1 nats; {learned(run)} of 3 networks learn"
        yield Case(f"reversing eight symbols, 200 steps at rate {rate}", learned(run) == 0, said)


@settles(
    "belief-cap-replaces-norm",
    statement="a soft-cap on the scores does what QK-norm does",
    verdict="conditional",
    why="both hold the scores, and at a moderate rate both learn; at a high one the cap's flat ends pass no gradient",
    page="today/attention-logits",
    held=(1, 3),
)
def _cap_replaces_norm() -> Iterator[Case]:
    for rate, cap in ((0.01, 10.0), (0.1, 10.0), (0.1, 50.0)):
        norm, capped = attention.reverse(rate, query_key_norm=True), attention.reverse(rate, cap=cap)
        said = f"{learned(norm)} of 3 networks learn with QK-norm, {learned(capped)} with the cap"
        yield Case(f"rate {rate}, cap {cap:.0f}", learned(capped) == learned(norm), said)
