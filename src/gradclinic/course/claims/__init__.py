"""The ledger of claims: every sentence of the sources and every popular belief that this book settles.

Each claim carries its verdict and an experiment that can refute the verdict::

    >>> from gradclinic.course.claims import LEDGER
    >>> claim = next(c for c in LEDGER if c.id == "S0-max-slope")
    >>> claim.verdict, claim.check()[0].holds
    ('true', True)

:mod:`gradclinic.course.claims.claim` defines what the three verdicts mean. The page of myths and the links
between it and the chapters are generated from :data:`LEDGER`.
"""

from gradclinic.course.claims import beliefs, papers, s0, s1, s2, s3, s4
from gradclinic.course.claims.claim import SOURCES, VERDICTS, Case, Claim, judge

LEDGER: tuple[Claim, ...] = tuple(
    sorted(
        (claim for module in (s0, s1, s2, s3, s4, papers, beliefs) for claim in module.CLAIMS),
        key=lambda claim: (SOURCES.index(claim.source), claim.id),
    )
)
"""All claims, by source."""

__all__ = ["LEDGER", "SOURCES", "VERDICTS", "Case", "Claim", "judge"]
