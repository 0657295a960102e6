"""Claims about transformers, among them sentences of published papers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import measure
from gradclinic.course.claims.claim import Case, Claim, Settles, entry

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@cache
def transformer_profile(norm: str, depth: int) -> measure.GradientProfile:
    """Profile at initialisation of twelve transformers of width 64, a loss at each of 16 tokens."""
    from gradclinic import transformer

    spec = transformer.Transformer(depth, width=64, hidden=128, norm=norm)
    networks = transformer.draw(spec, np.random.default_rng(1), 12)
    tokens, targets = np.random.default_rng(2).integers(0, spec.vocabulary, (2, 4, spec.length))
    return transformer.profile(spec, networks, tokens, targets)


def rms(values: np.ndarray) -> np.ndarray:
    """Root mean square over the networks: what a law for mean squares predicts. Heavy tails: twelve are few."""
    return np.sqrt(np.mean(values**2, axis=0))


def listed(values: np.ndarray) -> str:
    """Three numbers in a row."""
    return ", ".join(f"{value:.2f}" for value in values)


@settles(
    "paper-xiong-last-block",
    statement="the last block's gradient does not depend on depth in post-LN and goes as $1/\\sqrt{L}$ in pre-LN",
    verdict="true",
    why="the stream of pre-LN has grown to variance of order L when it meets the last normalisation",
    page="beyond/transformers",
    mark="the last block's gradient does not depend on depth",
    held=(3, 3),
)
def _xiong_last_block() -> Iterator[Case]:
    for norm, depths, wanted in (("post", (12, 48), 1.0), ("pre", (12, 48), 0.5), ("pre", (6, 24), 0.5)):
        last = [float(rms(transformer_profile(norm, depth).weight)[-1]) for depth in depths]
        ratio = last[1] / last[0]
        said = f"second feed-forward weight {last[0]:.3f}, then {last[1]:.3f}: times {ratio:.2f}, wanted {wanted}"
        yield Case(f"{norm}-LN, {depths[0]} and {depths[1]} blocks", abs(ratio / wanted - 1) < 0.35, said)


@settles(
    "paper-xiong-post-decays",
    statement="post-LN's gradient will be likely to decay as the layer index decreases",
    verdict="conditional",
    page="beyond/transformers",
    mark="post-LN's gradient will be likely to decay as the layer index decreases",
    why="in the typical network of 12 and of 48 blocks; not in that of 6, and with 48 the mean over networks does not "
    "fall",
    held=(2, 3),
)
def _xiong_post_decays() -> Iterator[Case]:
    for depth in (6, 12, 48):
        found, places = transformer_profile("post", depth), [0, depth // 2, depth - 1]
        weight, delta = (np.median(values, axis=0)[places] for values in (found.weight, found.delta))
        said = (
            f"second feed-forward weight of blocks 1, {depth // 2 + 1}, {depth}: median {listed(weight)}, "
            f"rms {listed(rms(found.weight)[places])}; stream {listed(delta)}"
        )
        yield Case(f"post-LN, {depth} blocks", weight[0] < 0.8 * weight[-1], said)


@settles(
    "paper-xiong-pre-level",
    statement="pre-LN's gradient will be likely to stay the same for any layer",
    verdict="false",
    page="beyond/transformers",
    mark="pre-LN's gradient will be likely to stay the same for any layer",
    why="of the weights too it falls towards the output, to a fifth with 48 blocks, as the stream's variance grows",
    held=(0, 3),
)
def _xiong_pre_level() -> Iterator[Case]:
    for depth in (6, 24, 48):
        found = transformer_profile("pre", depth)
        weight, delta = (rms(values)[[0, depth // 2, -1]] for values in (found.weight, found.delta))
        said = (
            f"second feed-forward weight, blocks 1, {depth // 2 + 1}, {depth}: {listed(weight)}; stream {listed(delta)}"
        )
        yield Case(f"pre-LN, {depth} blocks", abs(weight[0] / weight[-1] - 1) < 0.2, said)


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
    why="in networks of four blocks: post-LN at a high rate; not at a lower one, and not pre-LN",
    page="beyond/transformers",
    mark="transformers need warm-up",
    held=(1, 2),
)
def _transformers_need_warm_up() -> Iterator[Case]:
    for norm, peak in (("post", 0.02), ("pre", 0.02)):
        without, with_ = shares_that_learn(norm, peak)
        said = f"{without:.0%} learn without, {with_:.0%} with"
        yield Case(f"{norm}-LN, four blocks, Adam at rate {peak}", without < 0.5 < with_, said)
