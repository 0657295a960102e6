"""Sentences of published papers that a chapter of this book puts to the test."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import measure
from gradclinic.course.claims.claim import Case, Claim, entry

CLAIMS: list[Claim] = []
settles = partial(entry, CLAIMS)


@cache
def transformer_profile(norm: str, depth: int) -> measure.GradientProfile:
    """Profile at initialisation of eight transformers of width 64, a loss at each of 16 tokens."""
    from gradclinic import transformer

    spec = transformer.Transformer(depth, width=64, hidden=128, norm=norm)
    networks = transformer.draw(spec, np.random.default_rng(1), 8)
    tokens, targets = np.random.default_rng(2).integers(0, spec.vocabulary, (2, 4, spec.length))
    return transformer.profile(spec, networks, tokens, targets)


@settles(
    "paper-xiong-last-block",
    statement="the last block's gradient does not depend on depth in post-LN and goes as 1/sqrt(L) in pre-LN",
    verdict="true",
    why="the stream of pre-LN has grown to variance of order L when it meets the last normalisation",
    page="beyond/transformers",
    mark="the last block's gradient does not depend on depth",
)
def _xiong_last_block() -> Iterator[Case]:
    for norm, wanted in (("post", 1.0), ("pre", 0.5)):
        last = [float(np.median(transformer_profile(norm, depth).weight[:, -1])) for depth in (10, 40)]
        ratio = last[1] / last[0]
        said = (
            f"weight gradient {last[0]:.3f} with 10 blocks, {last[1]:.3f} with 40: times {ratio:.2f}, wanted {wanted}"
        )
        yield Case(f"{norm}-LN", abs(ratio / wanted - 1) < 0.35, said)


@settles(
    "paper-xiong-post-decays",
    statement="post-LN's gradient decays as the layer index decreases",
    verdict="conditional",
    why="in the last blocks, with a loss per token; then it stops at the mean of the tokens' errors",
    page="beyond/transformers",
    mark="post-LN's gradient decays as the layer index decreases",
)
def _xiong_post_decays() -> Iterator[Case]:
    delta = np.median(transformer_profile("post", 12).delta, axis=0)
    for name, first, last in (("the last five", 7, 11), ("the first five", 0, 4)):
        said = f"delta {delta[last]:.2f}, four blocks nearer to the input {delta[first]:.2f}"
        yield Case(f"post-LN, 12 blocks, {name}", delta[first] < 0.9 * delta[last], said)


@settles(
    "paper-xiong-pre-level",
    statement="pre-LN's gradient stays the same for any layer",
    verdict="false",
    why="it grows towards the input, nearly as one over the root of the stream's variance",
    page="beyond/transformers",
    universal=True,
    mark="pre-LN's gradient stays the same for any layer",
)
def _xiong_pre_level() -> Iterator[Case]:
    for depth in (6, 24):
        delta = np.median(transformer_profile("pre", depth).delta, axis=0)
        ratio = float(delta[0] / delta[-1])
        yield Case(f"pre-LN, {depth} blocks", abs(ratio - 1) < 0.2, f"first block over last {ratio:.2f}")


def shares_that_learn(norm: str, peak: float) -> np.ndarray:
    """Share of five small transformers that learn to reverse eight tokens in 150 steps of Adam at rate ``peak``,
    without warm-up and with 75 steps of it."""
    from gradclinic import transformer

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        x = np.random.default_rng((3, step)).integers(0, 8, (16, 8))
        return x, x[:, ::-1].copy()

    spec = transformer.Transformer(4, width=16, heads=2, hidden=32, vocabulary=8, length=8, norm=norm)
    drawn = transformer.draw(spec, np.random.default_rng(3), 5)
    twice = {name: np.concatenate([w, w]) for name, w in drawn.items()}
    warm = np.repeat([1, 75], 5)
    _, history = transformer.train(spec, twice, batch, steps=150, rate=lambda step: peak * np.minimum(1, step / warm))
    return np.mean(history.loss[-10:].mean(axis=0).reshape(2, 5) < np.log(8) / 2, axis=1)


@settles(
    "belief-transformers-need-warm-up",
    statement="transformers need warm-up",
    verdict="conditional",
    why="post-LN at a high rate; not at a lower one, and not pre-LN",
    page="beyond/transformers",
    mark="transformers need warm-up",
)
def _transformers_need_warm_up() -> Iterator[Case]:
    for norm, peak in (("post", 0.02), ("pre", 0.02)):
        without, with_ = shares_that_learn(norm, peak)
        said = f"{without:.0%} learn without, {with_:.0%} with"
        yield Case(f"{norm}-LN, four blocks, Adam at rate {peak}", without < 0.5 < with_, said)
