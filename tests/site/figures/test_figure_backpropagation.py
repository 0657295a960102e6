"""What the figure backpropagation says, against gradclinic."""

import numpy as np

from gradclinic import numpy_net
from gradclinic.spec import MLP, Parameters


def errors(z, v1, v2):
    """delta of both outputs and of the first hidden unit; an identity behind the sigmoid makes the outputs squashed."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    bias, top, x = rng.standard_normal(4), rng.standard_normal(2), np.array([[0.5, -1.0, 2.0]])
    second[:, 0], bias[0] = (v1, v2), z - first[0] @ x[0]
    params = Parameters((first, second, np.eye(2)), (bias, top, np.zeros(2)))
    g = numpy_net.gradients(MLP((3, 4, 2, 2), "sigmoid"), params, x, np.array([[1.0, 0.0]]))
    return [*g.delta[1][0], g.delta[0][0, 0]]


def test_backpropagation_is_gradclinic_s(panel):
    shown = panel("backpropagation")
    for z, v1, v2 in ((1.3, -2.3, -0.5), (-6.0, 3.0, 3.0), (0.0, 0.0, 1.0), (6.0, -3.0, 2.2), (-1.7, 0.4, -0.9)):
        shown.turn(z=z, v1=v1, v2=v2)
        np.testing.assert_allclose(shown.table[3][1:], errors(z, v1, v2), rtol=1e-9)
    np.testing.assert_allclose(errors(1.3, -0.5, -0.5)[2], 0, atol=1e-3)
    shown.turn(z=6.0, v1=-2.3, v2=-0.5)
    assert 0.05 < abs(shown.table[2][3]) < 0.4
    assert abs(shown.table[1][3] - 0.0025) < 5e-5
