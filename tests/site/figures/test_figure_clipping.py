"""What the figure clipping says, against its source."""

import numpy as np
import pytest
from scipy.special import expit


def one_unit(w, b):
    """Loss of the one-unit network and its gradient (dw, db)."""
    h, dw, db = 0.5, 0.0, 0.0
    for _ in range(50):
        s = expit(h)
        h, dw, db = w * s + b, s + w * s * (1 - s) * dw, 1 + w * s * (1 - s) * db
    return (h - 0.7) ** 2, 2 * (h - 0.7) * np.array([dw, db])


def test_clipping_takes_the_page_s_steps(panel):
    """Step by step: on the wall the last digit decides, so whole paths agree only before it."""
    shown = panel("clipping")
    thrown = {}
    for limit, offset in ((10.0, -0.18), (0.1, -0.18), (1e300, -0.18), (316.0, 0.3), (1000.0, -0.5)):
        rows = shown.turn(limit=limit, offset=offset).table
        assert rows[0][1:3] == pytest.approx([4.8, 0.5 - 4.8 * expit(0.5) + offset])
        for (k, w, b, loss, size), following in zip(rows, [*rows[1:], None], strict=True):
            expected, g = one_unit(w, b)
            np.testing.assert_allclose([loss, size], [expected, np.hypot(*g)], rtol=1e-6, atol=1e-12)
            if following and following[0] == k + 1:
                step = 0.01 * (1 - k / 300) * g * min(1, limit / np.hypot(*g))
                np.testing.assert_allclose(following[1:3], [w - step[0], b - step[1]], rtol=1e-6)
        thrown[limit, offset] = "is thrown" in shown.sentence
    assert thrown[1e300, -0.18]
    assert not thrown[10.0, -0.18]
    # The answer: which limits throw, and which is too small.
    for limit, expected in ((316.0, False), (562.0, True), (0.1, False)):
        assert ("is thrown" in shown.turn(limit=limit, offset=-0.18).sentence) == expected
    assert "stays within 0.15 of its start" in shown.sentence
    assert shown.sentence.endswith("not in the valley.")
    assert "w = 29, b = 36" in shown.turn(limit=1e300, offset=-0.18).sentence  # as in the page's alt text
