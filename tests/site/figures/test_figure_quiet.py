"""What the figure quiet says, against its source."""

import numpy as np

from gradclinic.course import spikes


def test_quiet_steps_are_adam_s(panel):
    shown = panel("quiet")
    cases = ((0.999, 0.0, 40), (0.95, 0.0, 40), (0.99, 0.1, 5), (0.999, 0.001, 1), (0.9, 1.0, 12))
    for beta2, quiet, loud in cases:
        shown.turn(beta2=beta2, quiet=quiet, loud=loud)
        expected = spikes.after_quiet(beta2, 40, loud=loud, quiet=quiet)
        np.testing.assert_allclose(shown.column(2), expected, rtol=1e-9)
        np.testing.assert_allclose(shown.column(3), np.cumsum(expected), rtol=1e-9)


def test_quiet_answer(panel):
    shown = panel("quiet")
    assert "6.57 rates, at batch 12" in shown.turn(beta2=0.999, quiet=0.0, loud=40).sentence
    assert "by 31.3 rates" in shown.turn(loud=1).sentence
    assert "3.16 rates, at batch 1;" in shown.sentence
    assert "by 5.6 rates" in shown.turn(beta2=0.95).sentence
