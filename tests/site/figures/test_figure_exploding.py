"""What the figure exploding says, against gradclinic's chain."""

import numpy as np
import pytest

from gradclinic import chain


def parameters(w, c, depth):
    return np.full(depth, w), np.array([-4 * c * w, *[-c * w] * (depth - 1)])


def test_exploding_is_gradclinic_s(panel):
    shown = panel("exploding")
    for w, c, depth in (
        (100.0, 0.0, 3),
        (100.0, 0.5, 3),
        (4.0, 0.5, 12),
        (0.5, 1.0, 2),
        (20.0, 0.47, 6),
        (9.0, 0.03, 5),
    ):
        shown.turn(w=w, c=c, depth=depth)
        weights, biases = parameters(w, c, depth)
        exact = chain.log10_gradient(weights, biases, 2.0)
        assert np.log10(shown.table[-1][2]) == pytest.approx(exact, abs=1e-6)
        z = [row[1] for row in shown.table[:-1]]
        np.testing.assert_allclose(z, chain.gradients(weights, biases, 2.0).z, rtol=1e-9, atol=1e-9)
    shown.turn(w=100.0, c=0.0, depth=3)
    left, right = shown.points()["gradient of the first weight"], shown.points()["where the neurons sit"]
    assert left["here"]["x"] == right["neurons"]["x"] == []
    np.testing.assert_allclose([left["below"]["x"], np.log10(left["below"]["y"])], [[2], [-40]])
    np.testing.assert_allclose(right["outside"]["x"], [40, 40, 40])
    ends = shown.page.evaluate(
        "() => Bokeh.documents.map(d => d.roots()[0]).filter(p => p.title.text === 'gradient of the first weight')"
        ".map(p => [p.y_range.start, p.y_range.end, ...p.left[0].ticker.ticks])"
    )[0]
    assert 1e-50 < ends[0] < 1e-40 < ends[-1] < ends[1] < 1e20
    at = [float(chain.log10_gradient(*parameters(100.0, c, 3), 2.0)) for c in (0.5, 0.49)]
    np.testing.assert_allclose(at, [np.log10(312.5), -41], atol=0.05)
    at = [float(chain.log10_gradient(*parameters(4.0, c, 3), 2.0)) for c in (0.5, 0.45)]
    np.testing.assert_allclose(np.diff(at), np.log10(0.5), atol=0.05)
