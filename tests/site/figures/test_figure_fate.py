"""What the figure fate says, against its source."""

import numpy as np


def test_fate_is_a_power_of_the_factor(panel):
    shown = panel("fate")
    for factor, depth in ((0.9, 50), (0.5, 100), (1.5, 75), (1.0, 20), (1.07, 5)):
        shown.turn(factor=factor, depth=depth)
        np.testing.assert_allclose(shown.column(1), factor ** np.arange(depth - 1.0, -1, -1), rtol=1e-9)


def test_the_folded_answer_says_what_the_figure_shows(panel):
    shown = panel("fate")
    assert "0.0057 of the gradient" in shown.turn(factor=0.9, depth=50).sentence
    np.testing.assert_allclose(0.9**49, 0.0057, rtol=0.01)
    assert 0.5**49 < 1e-12
    assert 4e8 < 1.5**49 < 5e8
    for factor, word in ((0.9, "vanishes"), (0.96, "arrives"), (1.05, "arrives"), (1.2, "explodes")):
        assert word in shown.turn(factor=factor).sentence
