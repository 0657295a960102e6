"""What the figure depth says, against its source."""

import numpy as np


def walk(depth, w, rate, steps=100):
    """Descent on (w^L - 1)^2 / 2; with the slope at every step."""
    path, slopes = [w], []
    for _ in range(steps + 1):
        slopes.append(depth * path[-1] ** (depth - 1) * (path[-1] ** depth - 1))
        path.append(path[-1] - rate * slopes[-1])
    return np.array(path[:-1]), np.array(slopes)


def test_depth_is_descent_on_the_deep_chain(panel):
    shown = panel("depth")
    steps = [*range(11), *range(20, 101, 10)]
    for depth, start, rate in ((1, 0.6, 0.1), (2, 0.5, 0.1), (20, 0.6, 0.1), (30, 1.0, 1.0), (10, 1.2, 3.2e-5)):
        shown.turn(depth=depth, start=start, rate=rate)
        path, slopes = walk(depth, start, rate)
        np.testing.assert_allclose(shown.column(1), path[steps], rtol=1e-9)
        np.testing.assert_allclose(shown.column(2), slopes[steps], rtol=1e-7, atol=1e-12)


def test_the_folded_answer_says_what_the_figure_shows(panel):
    shown = panel("depth")
    assert "it is at 0.615;" in shown.turn(depth=20, start=0.6, rate=0.1).sentence
    assert "In step 1 it is thrown out" in shown.turn(start=1.3).sentence
    good = []
    for rate in shown.figure.knobs[2].values:
        ends = [shown.turn(start=start, rate=rate).sentence for start in (0.6, 1.3)]
        good.append(all("at the minimum" in end for end in ends))
    assert not any(good)
