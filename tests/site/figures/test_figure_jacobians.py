"""What the figure jacobians says, against singular values."""

import numpy as np

from workshop.sphinx.interactive.figures.jacobians import products


def test_jacobians_are_numpy_s_singular_values(panel):
    shown = panel("jacobians")
    for kind, depth, gain in ((1, 5, 1.0), (1, 20, 2.6), (0, 20, 1.0), (0, 7, 0.5), (1, 0, 3.0)):
        shown.turn(kind=kind, depth=depth, gain=gain)
        made = products("gaussian" if kind else "orthogonal")[: depth + 1]
        expected = np.linalg.svd(made, compute_uv=False) * gain ** np.arange(depth + 1)[:, None]
        np.testing.assert_allclose(np.stack([shown.column(1), shown.column(2)], 1), expected, rtol=1e-5)
    ratios = []
    for gain in (0.5, 1.0, 3.0):
        shown.turn(kind=1, depth=12, gain=gain)
        ratios.append(shown.column(2)[-1] / shown.column(1)[-1])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    for depth, gain in ((5, 1.0), (20, 1.0), (12, 3.0)):
        picture = shown.turn(kind=1, depth=depth, gain=gain).points()["the circle's image"]
        length = {name: np.hypot(points["x"], points["y"]).max() for name, points in picture.items()}
        np.testing.assert_allclose(length["ellipse"], shown.column(1)[-1], rtol=2e-3)  # 145 points of an ellipse
        np.testing.assert_allclose([length["circle"], length["scaled"]], 1, rtol=2e-3)
    assert "still a circle" in shown.turn(kind=0, depth=20, gain=1.0).sentence
