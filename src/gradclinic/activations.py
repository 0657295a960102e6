"""Activations: value, slope and logarithm of the slope, correct at both ends of float64.

Every activation is finite and free of warnings for every ``|z| <= 1e308``. Slopes at a kink follow
PyTorch and TensorFlow: the slope of ReLU at 0 is 0.

``gaussian_mean`` lives here, on the lowest floor, because initialisation and mean-field theory both need the
moments of an activation under ``z ~ N(0, q)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

LEAKY_SLOPE = 0.01
# Klambauer et al. (2017): the pair that makes mean 0 and variance 1 a fixed point.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

_LN_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Activation:
    """A scalar function ``phi`` applied entrywise.

    ``act(z)`` is ``phi(z)``, ``act.slope(z)`` is ``phi'(z)``, ``act.log_slope(z)`` is ``ln |phi'(z)|``, all
    of the shape of ``z``. Floating input keeps its dtype, anything else becomes float64; a scalar comes back
    as a scalar.

    ``max_slope``: ``sup |phi'|``. ``bounded``: whether ``sup |phi|`` is finite. ``homogeneous``: whether
    ``phi(c z) = c phi(z)`` for every ``c > 0``.
    """

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    derivative: Callable[[np.ndarray], np.ndarray]
    log_derivative: Callable[[np.ndarray], np.ndarray]
    max_slope: float
    bounded: bool = False
    homogeneous: bool = False

    def __call__(self, z: ArrayLike) -> np.ndarray:
        """``phi(z)``."""
        return _entrywise(self.value, z)

    def slope(self, z: ArrayLike) -> np.ndarray:
        """``phi'(z)``; at a kink the convention of PyTorch and TensorFlow."""
        return _entrywise(self.derivative, z)

    def log_slope(self, z: ArrayLike) -> np.ndarray:
        """``ln |phi'(z)|`` in closed form: right where ``phi'(z)`` underflows, ``-inf`` where it is exactly 0."""
        with np.errstate(divide="ignore"):
            return _entrywise(self.log_derivative, z)


def _entrywise(function: Callable[[np.ndarray], np.ndarray], z: ArrayLike) -> np.ndarray:
    z = np.asarray(z)
    if not np.issubdtype(z.dtype, np.floating):
        z = z.astype(np.float64)
    return np.asarray(function(z), dtype=z.dtype)[()]


# SciPy is imported where it is used: in a browser it is the larger half of what a page loads, and most pages need
# nothing of it but the logistic function, which is written out for that.
def _logistic(z: np.ndarray) -> np.ndarray:
    t = np.exp(-np.abs(z))  # of a positive number it could overflow
    return np.where(z < 0, t, 1) / (1 + t)


def _normal_cdf(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(z)


def _log_logistic_slope(z: np.ndarray) -> np.ndarray:
    return -np.abs(z) - 2 * np.log1p(np.exp(-np.abs(z)))


def _tanh_slope(z: np.ndarray) -> np.ndarray:
    # 4 e^{-2|z|} / (1 + e^{-2|z|})^2: 1 - tanh^2 would be exactly 0 from |z| = 19 on, and 2|z| can overflow.
    t = np.exp(-np.abs(z)) ** 2
    return 4 * t / (1 + t) ** 2


def _log_tanh_slope(z: np.ndarray) -> np.ndarray:
    half = -np.abs(z) - np.log1p(np.exp(-np.abs(z)) ** 2)
    # 2 * half overflows only beyond |z| = 9e307, where the nearest float is the answer.
    return math.log(4) + 2 * np.maximum(half, np.finfo(half.dtype).min / 2)


def _selu_slope(z: np.ndarray) -> np.ndarray:
    return SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(np.minimum(z, 0)))


def _gelu_slope(z: np.ndarray) -> np.ndarray:
    # Beyond |z| = 40 the density is exactly 0 in float64; the clip keeps z**2 from overflowing.
    density = np.exp(-0.5 * np.minimum(np.abs(z), 40) ** 2 - _LN_SQRT_2PI)
    return _normal_cdf(z) + z * density


def _log_gelu_slope(z: np.ndarray) -> np.ndarray:
    from scipy.special import erfcx

    # For z < 0: phi' = density * (Mills ratio + z), and the Mills ratio is sqrt(pi/2) erfcx(-z/sqrt 2).
    # The lower bound keeps the square finite.
    far = np.clip(z, -math.sqrt(np.finfo(z.dtype).max) / 2, -1.0)
    mills = math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2))
    left = -0.5 * far**2 - _LN_SQRT_2PI + np.log(np.abs(mills + far))
    return np.where(z < -1, left, np.log(np.abs(_gelu_slope(np.maximum(z, -1)))))


def _silu_slope(z: np.ndarray) -> np.ndarray:
    return _logistic(z) + z * (_logistic(z) * _logistic(-z))


def _log_silu_slope(z: np.ndarray) -> np.ndarray:
    log_sigmoid = np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))
    return log_sigmoid + np.log(np.abs(1 + z * _logistic(-z)))


ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation("linear", lambda z: z, np.ones_like, np.zeros_like, 1.0, homogeneous=True),
        Activation(
            "sigmoid", _logistic, lambda z: _logistic(z) * _logistic(-z), _log_logistic_slope, 0.25, bounded=True
        ),
        Activation("tanh", np.tanh, _tanh_slope, _log_tanh_slope, 1.0, bounded=True),
        Activation(
            "relu",
            lambda z: np.maximum(z, 0),
            lambda z: z > 0,
            lambda z: np.where(z > 0, 0, -np.inf),
            1.0,
            homogeneous=True,
        ),
        Activation(
            "leaky_relu",
            lambda z: np.where(z > 0, z, LEAKY_SLOPE * z),
            lambda z: np.where(z > 0, 1, LEAKY_SLOPE),
            lambda z: np.where(z > 0, 0, math.log(LEAKY_SLOPE)),
            1.0,
            homogeneous=True,
        ),
        Activation(
            "elu",
            lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
            lambda z: np.exp(np.minimum(z, 0)),
            lambda z: np.minimum(z, 0),
            1.0,
        ),
        Activation(
            "selu",
            lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
            _selu_slope,
            lambda z: math.log(SELU_SCALE) + np.where(z > 0, 0, math.log(SELU_ALPHA) + np.minimum(z, 0)),
            SELU_SCALE * SELU_ALPHA,
        ),
        # phi'' = (2 - z^2) density vanishes at sqrt(2).
        Activation(
            "gelu",
            lambda z: z * _normal_cdf(z),
            _gelu_slope,
            _log_gelu_slope,
            (1 + math.erf(1)) / 2 + math.exp(-1) / math.sqrt(math.pi),
        ),
        # phi'' = sigma'(z) (2 - z tanh(z/2)) vanishes at 2.3993572805.
        Activation("silu", lambda z: z * _logistic(z), _silu_slope, _log_silu_slope, float(_silu_slope(2.3993572805))),
    )
}


def get(activation: str | Activation) -> Activation:
    """The :class:`Activation` of that name; an :class:`Activation` is passed through.

    >>> from gradclinic import activations
    >>> relu = activations.get("relu")
    >>> relu([-1.0, 2.0]), relu.slope([-1.0, 2.0])
    (array([0., 2.]), array([0., 1.]))
    >>> activations.get("sigmoid").max_slope
    0.25
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(f"activation: got {type(activation).__name__}, wanted a name or an Activation")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: got {activation!r}, wanted one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation]


# Substitution |z| = e^t on each half-line, then the trapezoid rule. The integrand is analytic in t in a strip
# of half-width pi/4, so the error of step h is exp(-pi^2 / (2 h)): 1e-17 at h = 1/8. No node sits on the kink
# at 0, and the nodes reach down to e^-50, so that a function that saturates at |z| = 1/sqrt(q) is resolved
# for every q < 1e30.
_STEP = 1 / 8
_NODES = np.exp(np.arange(-50.0, 3.75, _STEP))
_WEIGHTS = _STEP * _NODES * np.exp(-0.5 * _NODES**2) / math.sqrt(2 * math.pi)


@overload
def gaussian_mean(f: Callable[[np.ndarray], np.ndarray], q: float) -> float: ...
@overload
def gaussian_mean(f: Callable[[np.ndarray], np.ndarray], q: ArrayLike) -> float | np.ndarray: ...
def gaussian_mean(f: Callable[[np.ndarray], np.ndarray], q: ArrayLike) -> float | np.ndarray:
    r"""Mean :math:`E[f(\sqrt q\,z)]`, ``z ~ N(0, 1)``.

    ``f``: entrywise on arrays, smooth on either side of 0 (a kink or a jump *at* 0 costs nothing) and of
    polynomial growth. ``q >= 0``: scalar or array; the result has its shape. Relative error below 1e-12 for
    the values, slopes and squares of every activation here, at any ``q`` from 1e-30 to 1e30.

    >>> import numpy as np
    >>> from gradclinic.activations import gaussian_mean
    >>> gaussian_mean(np.square, [0.25, 4.0])
    array([0.25, 4.  ])
    >>> round(gaussian_mean(lambda z: np.maximum(z, 0) ** 2, 1.0), 12)
    0.5
    """
    q = np.asarray(q, dtype=np.float64)
    if not np.all(q >= 0):
        raise ValueError(f"q: got {q}, wanted a variance >= 0")
    u = np.sqrt(q)[..., None] * _NODES
    mean = f(u) @ _WEIGHTS + f(-u) @ _WEIGHTS
    return float(mean) if mean.ndim == 0 else mean
