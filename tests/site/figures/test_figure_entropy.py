"""What the figure entropy says, against its source."""

import numpy as np

from gradclinic.course import attention


def test_entropy_is_that_of_random_scores(panel):
    shown = panel("entropy")
    for length in (16, 64, 256, 1024, 4096):
        shown.turn(length=length, sigma=2.0)
        sigma = shown.column(0)
        np.testing.assert_allclose(shown.column(2), [attention.law(length, s) for s in sigma], rtol=1e-9)
        found = [attention.random_entropy(length, s, np.random.default_rng(length)) for s in sigma[4:32:9]]
        np.testing.assert_allclose(shown.column(1)[4:32:9], found, atol=1e-4)
        np.testing.assert_allclose(shown.column(4), shown.column(1) - shown.column(1)[8], atol=1e-12)


def test_entropy_answer(panel):
    shown = panel("entropy").turn(length=1024, sigma=1.0)
    sigma, measured, law, largest = (shown.column(i) for i in range(4))
    assert sigma[np.argmax(largest > 0.5)] == 5.0
    assert np.all(np.abs(measured - law)[sigma <= 2.5] < 0.5)
    assert law[np.argmax(largest > 0.5)] == 0
