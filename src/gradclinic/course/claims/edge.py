"""Claims about step size and curvature in the training of a network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import descend

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "belief-full-batch-smooth",
    statement="with all samples in every batch the loss never goes up",
    page="today/edge-of-stability",
    mark="The wiggle is the step size's",
    verdict="false",
    why="at the edge of stability it rises in a good part of the steps, and falls over tens of them",
    held=(1, 3),
)
def _full_batch_smooth() -> Iterator[Case]:
    from gradclinic.course import edge

    for rate, seed in ((0.2, 0), (0.4, 0), (0.4, 1)):
        loss = edge.descend(rate, 1000, seed).loss
        rises = int(np.sum(np.diff(loss) > 0))
        said = f"rises in {'none' if rises == 0 else 'more than 50' if rises > 50 else rises} of 1000 steps"
        yield Case(
            f"200 digits, two tanh layers, step size {rate}, seed {seed}",
            rises == 0,
            f"{said}, loss at the end {loss[-1]:.2f}",
        )


@settles(
    "belief-above-two-diverges",
    statement="a step size times curvature above 2 makes the descent diverge",
    page="today/edge-of-stability",
    mark="stay [below 2]",
    verdict="conditional",
    why="on a parabola; where the curvature changes from place to place, the bouncing finds flatter ground",
    held=(1, 3),
)
def _above_two_diverges() -> Iterator[Case]:
    from gradclinic.course import edge

    path = np.abs(descend(lambda w: w, 1.0, 2.1, 200))
    yield Case("parabola, product 2.1", path[-1] > 1e3, f"distance 1 becomes {path[-1]:.0e} in 200 steps")
    run = edge.descend(0.4, 1000)
    first = 0.4 * run.sharpness[0]
    said = f"product {first:.1f} at the start, loss {run.loss[0]:.1f} to {run.loss[-1]:.2f}"
    yield Case("200 digits, two tanh layers, step size 0.4", not run.loss[-1] < run.loss[0], said)
    u, v, rate = 3.0, 0.34, 0.25
    product = rate * (u * u + v * v)
    for _ in range(300):
        error = u * v - 1
        u, v = u - rate * error * v, v - rate * error * u
    said = f"product {product:.1f} becomes {rate * (u * u + v * v):.1f}, error {abs(u * v - 1):.0e}"
    yield Case("two weights, (uv - 1)^2 / 2, from u = 3, v = 0.34", not abs(u * v - 1) < 1, said)


@settles(
    "belief-curvature-of-the-data",
    statement="the curvature at the end of training is a property of network and data",
    page="today/edge-of-stability",
    mark="not a property of the data alone",
    verdict="false",
    why="at 0.3 and 0.4 plain descent ends at a sharpness of two over its step size, 6.7 and 5, "
    "in each of three starts",
    held=(0, 3),
)
def _curvature_of_the_data() -> Iterator[Case]:
    from gradclinic.course import edge

    for seed in (0, 1, 2):
        late = {}
        for rate in (0.3, 0.4):
            run = edge.descend(rate, 1000, seed)
            late[rate] = float(np.median(run.sharpness[run.steps >= 600]))
        said = f"sharpness {late[0.3]:.1f} at step size 0.3, {late[0.4]:.1f} at 0.4"
        same = abs(late[0.3] / late[0.4] - 1) < 0.1
        yield Case(f"200 digits, two tanh layers, seed {seed}: the same at two step sizes", same, said)
