"""What the figure gradient-norm says, against batches of drawn gradients and gradclinic's clipping."""

import numpy as np
import pytest

from gradclinic import clip


def drawn(batch, scale, length, batches=4000, dimension=50):
    """Root mean square norm of batches of gradients ``G + e``, with ``E |e|^2 = scale * length^2``."""
    rng = np.random.default_rng(0)
    mean = np.zeros(dimension)
    mean[0] = length
    scatter = rng.standard_normal((batches, dimension)) * length * np.sqrt(scale / dimension / batch)
    return np.sqrt(np.mean(np.sum((mean + scatter) ** 2, axis=1)))


def test_gradient_norm_is_that_of_drawn_batches(panel):
    shown = panel("gradient-norm")
    for batch, scale, length in ((16, 150, 0.59), (1, 10000, 0.01), (1024, 1, 3.0), (128, 300, 0.1), (2, 3, 1.0)):
        shown.turn(batch=batch, scale=scale, length=length)
        row = next(row for row in shown.table if row[0] == batch)
        assert row[1] == pytest.approx(drawn(batch, scale, length), rel=0.03)
        assert row[2] == pytest.approx(length**2 / row[1] ** 2, rel=1e-9)
        (clipped,) = clip.by_global_norm([np.array([row[1]])], 1.0)
        assert row[3] == pytest.approx(clipped[0] / row[1], rel=1e-9)
        assert row[4] == pytest.approx(1)
        here = shown.points()["printed norm"]["here"]
        assert here["x"][0] == pytest.approx(np.log2(batch))
        assert here["y"][0] == pytest.approx(row[1])


def test_the_answer_s_numbers():
    def norm(batch):
        return 0.59 * np.sqrt(1 + 150 / batch)

    assert norm(128) == pytest.approx(0.87, abs=0.005)
    assert norm(64) == pytest.approx(1.08, abs=0.005)
    assert (0.59 / norm(128)) ** 2 == pytest.approx(0.46, abs=0.005)
    assert (0.59 / norm(256)) ** 2 == pytest.approx(0.63, abs=0.005)
