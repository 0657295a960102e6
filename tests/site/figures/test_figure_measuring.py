"""What the figure measuring says, against wide networks of gradclinic's."""

import numpy as np

from gradclinic import init, measure, numpy_net
from gradclinic.spec import MLP


def profiles(activation, scale, depth, n=400):
    """delta and weight gradient per layer, one sample, of a wide network; the last layer is linear, as everywhere."""
    spec, rng = MLP((n,) * (depth + 1), activation, bias=False), np.random.default_rng(0)
    nets = init.mlp(spec, rng, weight_variance=scale**2, ensemble=4)
    x = rng.standard_normal((1, n))
    g = numpy_net.gradients(spec, nets, x, rng.standard_normal((1, n)) + numpy_net.forward(spec, nets, x).output)
    profile = measure.profile_from(spec.names, g.delta, g.weights)
    return np.median(profile.delta, axis=0), np.median(profile.weight, axis=0)


def test_measuring_is_gradclinic_s(panel):
    shown = panel("measuring")
    for act, scale, depth in ((0, 2.8, 12), (0, 1.0, 6), (1, 1.0, 8), (1, 3.0, 5), (0, 1.4, 20)):
        delta, weight = profiles(("relu", "sigmoid")[act], scale, depth)
        shown.turn(act=act, scale=scale, depth=depth)
        tolerance = {"rtol": 0.35} if act == 0 else {"rtol": 0.15}
        inner = slice(1, depth - 1)  # the linear last layer and the first layers before the fixed point apart
        for column, found in ((1, delta), (3, weight)):
            ratio = found[inner] / found[depth - 2]
            np.testing.assert_allclose(
                ratio, shown.column(column)[inner] / shown.column(column)[depth - 2], **tolerance
            )
    for scale in (0.5, 1.4, 4.0):
        weight = shown.turn(act=0, scale=scale, depth=50).column(3)
        np.testing.assert_allclose(weight, weight[0], rtol=1e-9)
        level = shown.turn(act=1, scale=scale, depth=50)
        assert level.column(1)[0] < 0.01 > level.column(3)[0] / level.column(3)[-1]
