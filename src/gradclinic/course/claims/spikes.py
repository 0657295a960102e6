"""Claims about spikes of the loss, and what Adam remembers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic.course import spikes
from gradclinic.course.claims.claim import Case, Claim, Settles, entry

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@cache
def full_batch(beta2: float = 0.999, gradient_clip: float | None = None) -> spikes.Run:
    """Three networks, 1500 steps with the full gradient of fifty digits, at rate 0.03."""
    return spikes.train(range(3), rate=0.03, beta2=beta2, steps=1500, gradient_clip=gradient_clip)


@cache
def wrong_labels(batches: int, gradient_clip: float | None = None) -> float:
    """Highest loss, median of three networks, when ``batches`` steps after the 200th see wrong labels."""
    wrong = range(200, 200 + batches)
    run = spikes.train(range(3), rate=0.003, beta2=0.999, steps=280, gradient_clip=gradient_clip, wrong=wrong)
    return float(np.median(run.loss[200:].max(axis=0)))


@settles(
    "belief-beta2-default",
    statement="β₂ = 0.999 is fine for everything",
    verdict="false",
    why="for steady gradients; after a quiet time steps are up to 6.6 rates long, and full-batch training spikes",
    page="today/spikes",
    held=(1, 4),
)
def _beta2_default() -> Iterator[Case]:
    g, m, v, steps = np.random.default_rng(0).standard_normal(6000), 0.0, 1.0, []
    for each in g:
        m, v = 0.9 * m + 0.1 * each, 0.999 * v + 0.001 * each**2
        steps.append(abs(m) / np.sqrt(v))
    longest = max(steps)
    yield Case("normal gradients of one size, 6000 steps", longest < 2, f"longest step {longest:.1f} rates")
    longest = float(spikes.after_quiet(0.999, 100).max())
    shorter = float(spikes.after_quiet(0.95, 100).max())
    yield Case("a gradient after silence", longest < 2, f"longest step {longest:.2f} rates, {shorter:.2f} with 0.95")
    heights = [float(np.abs(spikes.parabola(0.1, b, 8000)[0][100:]).max()) / 0.1 for b in (0.999, 0.95)]
    yield Case(
        "a parabola, 8000 steps",
        heights[0] < 2 * heights[1],
        f"jumps to {heights[0]:.1f} rates, {heights[1]:.1f} with 0.95",
    )
    jumps = spikes.jump(full_batch().loss), spikes.jump(full_batch(0.95).loss)
    counts = [int(np.sum(jump > 100)) for jump in jumps]
    yield Case(
        "fifty digits, full gradient, 1500 steps",
        jumps[0].max() < 100,
        f"hundredfold rise of the loss in {counts[0]} of 3 networks, with 0.95 in {counts[1]}",
    )


@settles(
    "belief-spikes-are-bad-batches",
    statement="loss spikes are bad batches",
    verdict="false",
    why="Adam spikes without data, and with the same data in every step, once its memory of squares has faded",
    page="today/spikes",
    held=(1, 3),
)
def _spikes_are_bad_batches() -> Iterator[Case]:
    w = np.abs(spikes.parabola(0.1, 0.99, 1200)[0])
    quiet = float(w[800:880].max())
    yield Case(
        "a parabola, no data at all",
        w[880:].max() < 1e3 * quiet,
        f"|w| at most {quiet:.0e} in steps 800 to 880, then {w[880:].max():.2f}",
    )
    jumps = spikes.jump(full_batch().loss)
    yield Case(
        "every step sees all fifty digits",
        jumps.max() < 100,
        f"hundredfold rise of the loss in {np.sum(jumps > 100)} of 3 networks",
    )
    before, highest = wrong_labels(0), wrong_labels(1)
    yield Case(
        "one step with wrong labels", highest > 2 * before, f"highest loss {highest:.3f}, without it {before:.3f}"
    )


@settles(
    "belief-clipping-stops-spikes",
    statement="clipping the gradient at 1 stops loss spikes",
    verdict="conditional",
    why="it halves the trace of one wrong batch whose gradient is longer than 1; most spikes here have shorter ones",
    page="today/spikes",
    held=(1, 3),
)
def _clipping_stops_spikes() -> Iterator[Case]:
    clipped = full_batch(gradient_clip=1.0)
    jumps = spikes.jump(clipped.loss)
    yield Case(
        "every step sees all fifty digits",
        np.sum(jumps > 100) == 0,
        f"hundredfold rise in {np.sum(jumps > 100)} of 3 networks; longest gradient after step 100 "
        f"{clipped.norm[100:].max():.1f}",
    )
    for batches, words in ((1, "one step"), (12, "twelve steps")):
        bare, with_ = wrong_labels(batches), wrong_labels(batches, 1.0)
        yield Case(f"{words} with wrong labels", with_ < 0.75 * bare, f"highest loss {bare:.2g}, clipped {with_:.2g}")


@settles(
    "belief-weights-resume",
    statement="a file of the weights is enough to resume a run of Adam",
    verdict="false",
    why="the first step moves every weight by a full rate; a warm-up of a hundred steps lowers the jump",
    page="today/spikes",
    held=(0, 3),
)
def _weights_resume() -> Iterator[Case]:
    for warm in (0, 100, 1000):
        run = spikes.train(range(3), rate=0.01, beta2=0.999, steps=1400, restart=400, warm=warm)
        rise = float(np.median(run.loss[401:].max(axis=0) / run.loss[399]))
        how = f"{warm} steps of warm-up" if warm else "no warm-up"
        yield Case(f"new averages after 400 steps, {how}", rise < 2, f"the loss rises to {rise:.1g} times")
