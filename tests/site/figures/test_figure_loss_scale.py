"""What the figure loss-scale says, against its source."""

import numpy as np
from scipy.special import erf, erfinv

from gradclinic import activations, theory
from gradclinic.course import data
from gradclinic.precision import BFLOAT16, FLOAT16


def test_loss_scale_is_the_page_s(panel):
    shown = panel("loss-scale")
    sigmoid = activations.get("sigmoid")
    q = np.mean(data.digits(n_train=1000, rng=np.random.default_rng(0)).x_train[:100] ** 2)
    factors = []
    for _ in range(70):
        factors.append(np.sqrt(activations.gaussian_mean(lambda u, q=q: sigmoid.slope(u) ** 2, q)))
        q = theory.variance_map("sigmoid", q, 1.0)
    for at, fmt, scale, depth in ((0, FLOAT16, 0, 12), (0, FLOAT16, 16, 20), (1, BFLOAT16, 0, 61), (0, FLOAT16, 8, 2)):
        shown.turn(format=at, scale=scale, depth=depth)
        deviation = [np.sqrt(0.9) / 800 * np.prod(factors[layer - 1 : depth - 1]) for layer in range(1, depth + 1)]
        np.testing.assert_allclose(shown.column(1), scale + np.log2(deviation), atol=1e-5)
        share = erf(fmt.smallest / (2 * np.sqrt(2) * 2.0**scale * np.array(deviation)))
        np.testing.assert_allclose(shown.column(2), share, rtol=1e-4, atol=1e-12)
    # The answer: the least whole scale that saves nine tenths, for 12 and 20 layers.
    for depth, scale in ((12, 11), (20, 28)):
        first = np.sqrt(0.9) / 800 * np.prod(factors[: depth - 1])
        assert np.ceil(np.log2(FLOAT16.smallest / (2 * np.sqrt(2) * erfinv(0.1) * first))) == scale
    assert np.sqrt(0.9) / 800 * 2.0**28 > FLOAT16.largest
