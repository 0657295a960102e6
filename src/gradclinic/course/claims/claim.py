"""What a claim is, and how an experiment decides it.

An experiment does not return a verdict. It yields the situations in which the sentence was tried, each with what was
measured and whether the sentence held there; :func:`judge` makes the verdict from them, and :meth:`Claim.check`
compares it with the one that the ledger states. A wrong verdict in the ledger, or a change in the library that changes
what is measured, therefore fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, get_args

Verdict = Literal["true", "conditional", "false"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SOURCES = ("S0", "S1", "S2", "S3", "S4", "paper", "belief")


class Case(NamedTuple):
    """One situation in which a sentence was tried: whether it held there, and the numbers that say so."""

    situation: str
    holds: bool
    measured: str


Experiment = Callable[[], Iterable[Case]]


@cache
def _run(experiment: Experiment) -> tuple[Case, ...]:
    return tuple(Case(situation, bool(holds), measured) for situation, holds, measured in experiment())


def judge(cases: Iterable[Case], *, universal: bool = False) -> Verdict:
    """Return the verdict that the situations give.

    - ``"true"``: the sentence holds in every situation in which it was tried.
    - ``"false"``: it holds in none; or it is ``universal`` and fails in at least one.
    - ``"conditional"``: it is not universal, holds in some of the situations and fails in others that it covers.

    A sentence is ``universal`` if it claims no exception (always, never, are, an equation): one counterexample ends
    it. A sentence that recommends or explains ("clipping prevents explosion") covers many situations and may hold in
    part of them.
    ``ValueError`` for no situation at all.
    """
    held = [case.holds for case in cases]
    if not held:
        raise ValueError("cases: got none, wanted at least one situation in which the sentence was tried")
    if all(held):
        return "true"
    return "false" if universal or not any(held) else "conditional"


@dataclass(frozen=True)
class Claim:
    """One sentence about gradients, with a verdict and the experiment that settles it.

    ``id``: a stable slug, the anchor of its row on the page of myths. ``source``: one of :data:`SOURCES`; ``paper`` is
    a published one, named in the slug, ``belief`` a popular belief that none of the five texts states.
    ``statement``: the sentence in English; ``quote``: as it stands in the source, ``…`` for words left out, empty
    where the source has a formula or a listing. ``verdict``: see :func:`judge`. ``why``: one line; it names the
    condition of a conditional claim. ``page``: the chapter that settles it; ``also``: further chapters that do.
    ``mark``: text that occurs in the claim's row in the table of each of these chapters; the quote unless given.
    ``experiment``: yields :class:`Case` after case, seeded, in a few seconds.
    """

    id: str
    source: str
    statement: str
    verdict: Verdict
    why: str
    page: str
    experiment: Experiment
    quote: str = ""
    universal: bool = False
    also: tuple[str, ...] = ()
    mark: str = ""

    def __post_init__(self) -> None:
        """Refuse a source or a verdict that does not exist."""
        if self.source not in SOURCES:
            raise ValueError(f"source: got {self.source!r}, wanted one of {', '.join(SOURCES)}")
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: got {self.verdict!r}, wanted one of {', '.join(VERDICTS)}")

    @property
    def pages(self) -> tuple[str, ...]:
        """Every chapter in whose table the claim stands."""
        return (self.page, *self.also)

    def evidence(self) -> tuple[Case, ...]:
        """Run the experiment and return its situations; a second call, also on a copy of the claim, reuses them."""
        return _run(self.experiment)

    def check(self) -> tuple[Case, ...]:
        """Run the experiment; return its situations, or raise ``AssertionError`` with them if they give another
        verdict than the ledger states."""
        cases = self.evidence()
        found = judge(cases, universal=self.universal)
        if found != self.verdict:
            rows = "".join(f"\n  {'holds' if c.holds else 'fails'}: {c.situation}: {c.measured}" for c in cases)
            raise AssertionError(f"{self.id}: the ledger says {self.verdict}, the experiment says {found}{rows}")
        return cases


def entry(claims: list[Claim], id: str, **fields: object) -> Callable[[Experiment], Experiment]:
    """Append a claim to ``claims``, with the decorated function as its experiment; the source is the slug's first
    word."""

    def add(experiment: Experiment) -> Experiment:
        claims.append(Claim(id=id, source=id.partition("-")[0], experiment=experiment, **fields))
        return experiment

    return add
