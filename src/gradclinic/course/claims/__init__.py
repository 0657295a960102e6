"""The ledger of claims: every sentence of the sources and every popular belief that this book settles.

Each claim carries its verdict and an experiment that can refute the verdict::

    >>> from gradclinic.course.claims import LEDGER
    >>> claim = next(c for c in LEDGER if c.id == "S0-max-slope")
    >>> claim.verdict, claim.check()[0].holds
    ('true', True)

:mod:`gradclinic.course.claims.claim` defines what the three verdicts mean, :mod:`~gradclinic.course.claims.words`
whether a sentence claims no exception; the sources' own sentences stand in
:mod:`~gradclinic.course.claims.sentences`, the claims in modules by topic. The page of myths and the parts *What the
sources say* of the chapters are generated from :data:`LEDGER`.
"""

from gradclinic.course.claims import (
    activations,
    attention,
    backpropagation,
    chain,
    clipping,
    critics,
    descent,
    edge,
    initialization,
    jacobians,
    memory,
    muon,
    normalization,
    norms,
    optimizers,
    practice,
    precision,
    pretraining,
    recurrence,
    reproduction,
    residual,
    spikes,
    transformers,
    width,
)
from gradclinic.course.claims.claim import SOURCES, VERDICTS, Case, Claim, Sentence, judge

_TOPICS = (
    activations,
    attention,
    backpropagation,
    chain,
    clipping,
    critics,
    descent,
    edge,
    initialization,
    jacobians,
    memory,
    muon,
    normalization,
    norms,
    optimizers,
    practice,
    precision,
    pretraining,
    recurrence,
    reproduction,
    residual,
    spikes,
    transformers,
    width,
)

LEDGER: tuple[Claim, ...] = tuple(
    sorted(
        (claim for module in _TOPICS for claim in module.CLAIMS),
        key=lambda claim: (SOURCES.index(claim.source), claim.id),
    )
)
"""All claims, by source."""

__all__ = ["LEDGER", "SOURCES", "VERDICTS", "Case", "Claim", "Sentence", "judge"]
