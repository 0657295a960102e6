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
from typing import Any, Literal, NamedTuple, Protocol, get_args

from gradclinic.course.claims.words import Reading, read, whole_clauses

Verdict = Literal["true", "conditional", "false"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SOURCES = ("S0", "S1", "S2", "S3", "S4", "paper", "belief")


class Sentence(NamedTuple):
    """A sentence of a source: whole, as it stands there, and rendered into English as literally as English allows."""

    chinese: str
    english: str


class Truth(Protocol):
    """True or false as Python, NumPy or PyTorch say it: a ``bool``, or one entry of theirs."""

    def __bool__(self) -> bool:
        """Whether it is true."""
        ...


class Case(NamedTuple):
    """One situation in which a sentence was tried: whether it held there, and the numbers that say so."""

    situation: str
    holds: Truth
    measured: str


Experiment = Callable[[], Iterable[Case]]
Settles = Callable[..., Callable[[Experiment], Experiment]]


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
    part of them. Which one it is, its words say: :func:`gradclinic.course.claims.words.read`.
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
    ``statement``: what is put to the test, in English. ``said``: the source's own sentence, whole; none for a belief,
    and none for a paper's result that is told in our words.
    ``part``: the clauses of it that the claim is about, where they are not all.
    ``verdict``: see :func:`judge`. ``held``: in how many situations the sentence held, and in how many it was tried.
    ``why``: one line; it names the condition of a conditional claim. Formulas in ``statement`` and ``why`` stand in
    LaTeX between two ``$``. ``page``: the chapter that settles it; ``also``:
    further chapters that do. ``experiment``: yields :class:`Case` after case, seeded, in a few seconds.
    ``override``: whether the sentence claims no exception, where its words mislead; then ``reason`` says why, and is
    printed with the verdict. ``mark``: text that occurs in the claim's row in the table of a chapter that still has
    the table *Claims settled here*; none for a claim that came later.
    """

    id: str
    source: str
    statement: str
    verdict: Verdict
    why: str
    page: str
    experiment: Experiment
    held: tuple[int, int] | None = None
    said: Sentence | None = None
    part: str = ""
    override: bool | None = None
    reason: str = ""
    also: tuple[str, ...] = ()
    mark: str = ""

    def __post_init__(self) -> None:
        """Refuse a source or a verdict that does not exist, a part that cuts a clause, an override without reason, and
        a sentence of a source that only words of ours make universal."""
        if self.source not in SOURCES:
            raise ValueError(f"source: got {self.source!r}, wanted one of {', '.join(SOURCES)}")
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: got {self.verdict!r}, wanted one of {', '.join(VERDICTS)}")
        if self.part and not whole_clauses(self.part, self.quote):
            raise ValueError(f"part: got {self.part!r}, wanted a run of whole clauses of {self.quote!r}")
        if (self.override is None) == bool(self.reason):
            raise ValueError(f"{self.id}: an override and its reason stand together or not at all")
        if self.source != "belief" and not self.quote and self.override is None and self.universal:
            words = ", ".join(self.reading.words)
            raise ValueError(
                f"{self.id}: {words} is a word of ours; what a source claims without exception is read from its own "
                "sentence (said), or stated with a reason (override)"
            )

    @property
    def quote(self) -> str:
        """The source's sentence as it stands there, empty where there is none."""
        return self.said.chinese if self.said else ""

    @property
    def reading(self) -> Reading:
        """How the words are meant: those of the quotation, or of the statement where there is none."""
        return read(self.part or self.quote or self.statement)

    @property
    def universal(self) -> bool:
        """Whether the sentence claims no exception: by its words, or by the author's printed reason."""
        return self.reading.kind == "universal" if self.override is None else self.override

    @property
    def pages(self) -> tuple[str, ...]:
        """Every chapter in which the claim is settled."""
        return (self.page, *self.also)

    def evidence(self) -> tuple[Case, ...]:
        """Run the experiment and return its situations; a second call, also on a copy of the claim, reuses them."""
        return _run(self.experiment)

    def check(self) -> tuple[Case, ...]:
        """Run the experiment; return its situations, or raise ``AssertionError`` with them if they give another
        verdict, or another count, than the ledger states."""
        cases = self.evidence()
        found = judge(cases, universal=self.universal)
        rows = "".join(f"\n  {'holds' if c.holds else 'fails'}: {c.situation}: {c.measured}" for c in cases)
        if found != self.verdict:
            raise AssertionError(f"{self.id}: the ledger says {self.verdict}, the experiment says {found}{rows}")
        count = (sum(bool(case.holds) for case in cases), len(cases))
        if self.held is not None and count != self.held:
            said = f"held in {self.held[0]} of {self.held[1]}"
            raise AssertionError(f"{self.id}: the ledger says {said}, it held in {count[0]} of {count[1]}{rows}")
        return cases


def entry(claims: list[Claim], id: str, **fields: Any) -> Callable[[Experiment], Experiment]:
    """Append a claim to ``claims``, with the decorated function as its experiment; the source is the slug's first
    word."""

    def add(experiment: Experiment) -> Experiment:
        claims.append(Claim(id=id, source=id.partition("-")[0], experiment=experiment, **fields))
        return experiment

    return add
