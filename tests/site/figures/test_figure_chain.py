"""What the figure chain says, against its source."""

import numpy as np

from gradclinic import activations, chain


def test_chain_is_gradclinic_s(panel):
    shown = panel("chain")
    for w, b, depth in ((6.0, 0.0, 10), (4.0, -2.0, 50), (12.0, -8.0, 50), (0.25, 4.0, 2), (7.5, -3.75, 23)):
        shown.turn(w=w, b=b, depth=depth)
        g = chain.gradients(np.full(depth, w), np.full(depth, b), 0.5)
        slope = activations.get("sigmoid").slope(g.z)
        expected = [g.z, slope, w * slope, np.abs(g.db), 0.25 * (w / 4.0) ** np.arange(depth - 1, -1, -1)]
        for column, values in enumerate(expected, start=1):
            np.testing.assert_allclose(shown.column(column), values, rtol=1e-9)
        line = shown.points()["gradient of each layer's bias"]["gradient"]
        np.testing.assert_allclose(line["y"], np.abs(g.db), rtol=1e-9)
    assert "the first bias has the gradient 9.6" in shown.turn(w=6.0, b=-3.0, depth=10).sentence
