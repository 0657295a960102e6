r"""The scalar chain: one neuron per layer, every derivative in closed form.

.. math::

    z_0 = x w_0 + b_0, \qquad z_i = \phi(z_{i-1})\, w_i + b_i, \qquad \text{output} = \phi(z_{L-1})

.. math::

    \frac{\partial\,\text{output}}{\partial w_0} = x\,\phi'(z_0) \prod_{i=1}^{L-1} w_i\,\phi'(z_i)

With ``phi`` the sigmoid, a factor ``|w sigma'(w a + b)|`` is at most ``|w| / 4``, and it reaches 1 only for
inputs ``a`` in a narrow window (Nielsen 2015, chapter 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gradclinic import activations
from gradclinic.activations import Activation


@dataclass(frozen=True)
class ChainGradients:
    """Derivatives of the output of a chain, all float64.

    ``output``: ``(...)``. ``z``: pre-activations, ``(..., L)``. ``dw``, ``db``: derivatives of the output
    with respect to every weight and bias, ``(..., L)``.
    """

    output: np.ndarray
    z: np.ndarray
    dw: np.ndarray
    db: np.ndarray


def _checked(
    weights: ArrayLike, biases: ArrayLike, x: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
    """Float64 arrays with the layer axis first, and the shape that their leading axes broadcast to."""
    w, b, x = (np.asarray(array, dtype=np.float64) for array in (weights, biases, x))
    if w.ndim == 0 or w.shape[-1] == 0:
        raise ValueError(f"weights: got shape {w.shape}, wanted (..., L) with L >= 1")
    if b.ndim == 0 or b.shape[-1] != w.shape[-1]:
        raise ValueError(f"biases: got shape {b.shape}, wanted (..., {w.shape[-1]}) like weights")
    try:
        lead = np.broadcast_shapes(w.shape[:-1], b.shape[:-1], x.shape)
    except ValueError:
        raise ValueError(
            f"x: got shape {x.shape}, wanted one that broadcasts against the leading axes of weights "
            f"{w.shape[:-1]} and biases {b.shape[:-1]}"
        ) from None
    return np.moveaxis(w, -1, 0), np.moveaxis(b, -1, 0), x, lead


def gradients(
    weights: ArrayLike, biases: ArrayLike, x: ArrayLike, activation: str | Activation = "sigmoid"
) -> ChainGradients:
    r"""Output of the chain and its derivatives with respect to every weight and bias.

    ``weights``, ``biases``: ``(..., L)``; ``x``: ``(...)``; leading axes broadcast. Backwards from
    :math:`\delta_{L-1} = \phi'(z_{L-1})` by :math:`\delta_{i-1} = \delta_i w_i \phi'(z_{i-1})`:
    :math:`\partial/\partial b_i = \delta_i` and :math:`\partial/\partial w_i = \delta_i a_{i-1}`, with
    :math:`a_{-1} = x`. Products under- and overflow silently, as IEEE 754 says; :func:`log10_gradient` does
    not.

    Raises ``ValueError`` for shapes that do not fit.

    >>> import numpy as np
    >>> from gradclinic import chain
    >>> found = chain.gradients(weights=np.ones(5), biases=np.zeros(5), x=1.0)
    >>> found.dw.shape, round(float(found.dw[0]), 6)
    ((5,), 0.000486)
    >>> many = chain.gradients(np.ones((100, 5)), np.zeros(5), x=0.5)
    >>> many.output.shape, many.db.shape
    ((100,), (100, 5))
    """
    phi = activations.get(activation)
    w, b, x, lead = _checked(weights, biases, x)
    z, a, dw, db = (np.empty((len(w), *lead)) for _ in range(4))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        below = x
        for i in range(len(w)):
            z[i] = below * w[i] + b[i]
            a[i] = below = phi(z[i])
        slope = phi.slope(z)
        upstream = np.ones(lead)
        for i in reversed(range(len(w))):
            db[i] = upstream * slope[i]
            dw[i] = db[i] * (a[i - 1] if i else x)
            upstream = db[i] * w[i]
    return ChainGradients(a[-1][()], *(np.moveaxis(array, 0, -1) for array in (z, dw, db)))


def _single_sigmoid_chain(w: list[float], b: list[float], x: float) -> np.ndarray:
    """Pre-activations ``(L,)`` of one sigmoid chain in plain floats: thirty times faster than NumPy scalars."""
    z, a = [], x
    for w_i, b_i in zip(w, b, strict=True):
        z_i = a * w_i + b_i
        z.append(z_i)
        if z_i >= 0:
            a = 1 / (1 + math.exp(-z_i))
        else:
            e = math.exp(z_i)
            a = e / (1 + e)
    return np.array(z)


def _homogeneous_chain(
    w: np.ndarray, b: np.ndarray, x: np.ndarray, lead: tuple[int, ...], phi: Activation
) -> np.ndarray:
    """Pre-activations scaled by powers of two: right in sign where the forward pass itself under- or
    overflows.

    Such a ``phi`` commutes with positive factors and its slope depends on the sign of ``z`` alone, so ``z``
    is carried as ``mantissa * 2**exponent`` with its own exponent. Returns the mantissas, ``(L, ...)``.
    """
    z = np.empty((len(w), *lead))
    mantissa, exponent = np.frexp(x)
    exponent = exponent.astype(np.int64)
    for i in range(len(w)):
        mantissa, shift = np.frexp(mantissa * w[i])
        exponent = exponent + shift
        m_b, e_b = np.frexp(b[i])
        # A zero has no exponent of its own: it takes the other summand's.
        exponent = np.where(mantissa == 0, e_b, exponent)
        e_b = np.where(b[i] == 0, exponent, e_b)
        top = np.maximum(exponent, e_b)
        z[i] = np.ldexp(mantissa, np.maximum(exponent - top, -2000))
        z[i] += np.ldexp(m_b, np.maximum(e_b - top, -2000))
        mantissa, exponent = phi(z[i]), top
    return z


def log10_gradient(
    weights: ArrayLike, biases: ArrayLike, x: ArrayLike, activation: str | Activation = "sigmoid"
) -> float | np.ndarray:
    r""":math:`\log_{10} |\partial\,\text{output} / \partial w_0|` of the chain, for any depth and any size of
    weight.

    ``weights``, ``biases``: ``(..., L)``, finite; ``x``: ``(...)``, finite; leading axes broadcast; the
    result has shape ``(...)``, a float for a single chain. The logarithms of the factors are summed,
    :math:`\log|x| + \sum_i \log|\phi'(z_i)| + \sum_{i \ge 1} \log|w_i|`, with :math:`\log|\phi'|` in closed
    form (sigmoid: :math:`-|z| - 2\log(1 + e^{-|z|})`), so nothing under- or overflows: ``w = 200`` is right
    although a factor is ``1e-87``. ``-inf`` where a factor is exactly 0 (``x = 0``, ``w_i = 0`` with
    ``i >= 1``, a ReLU that is off).

    Raises ``ValueError`` for shapes that do not fit and for entries that are not finite.

    >>> import numpy as np
    >>> from gradclinic import chain
    >>> round(chain.log10_gradient(np.ones(5), np.zeros(5), 1.0), 3)
    -3.313
    >>> round(chain.log10_gradient(np.ones(10_000), np.zeros(10_000), 1.0), 1)
    -6484.0
    """
    phi = activations.get(activation)
    w, b, x, lead = _checked(weights, biases, x)
    for name, array in (("weights", w), ("biases", b), ("x", x)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: got nan or inf among its entries, wanted finite numbers")
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        if phi.homogeneous:
            z = _homogeneous_chain(w, b, x, lead, phi)
        elif phi is activations.ACTIVATIONS["sigmoid"] and lead == ():
            z = _single_sigmoid_chain(w.tolist(), b.tolist(), float(x))
        else:
            z, a, largest = np.empty((len(w), *lead)), x, np.finfo(np.float64).max
            for i in range(len(w)):
                # Kept finite, so that an overflow times a zero weight stays 0 instead of becoming nan.
                z[i] = np.clip(a * w[i] + b[i], -largest, largest)
                a = np.clip(phi(z[i]), -largest, largest)
        total = np.log(np.abs(x)) + phi.log_slope(z).sum(axis=0) + np.log(np.abs(w[1:])).sum(axis=0)
    log10 = np.broadcast_to(total / math.log(10), lead)
    return float(log10) if lead == () else log10.copy()


def _half_window(size: np.ndarray) -> np.ndarray:
    r"""The ``z >= 0`` at which ``size * sigma'(z) = 1``, for ``size >= 4``.

    With :math:`r = \sqrt{1 - 4/s}` this is :math:`\log\frac{1+r}{1-r} = 2\log(1 + r) + \log(s/4)`: two
    summands of the same sign, so nothing cancels, neither near 4 nor at 1e300.
    """
    return 2 * np.log1p(np.sqrt((size - 4) / size)) + np.log1p((size - 4) / 4)


def explosive_width(w: ArrayLike) -> float | np.ndarray:
    r"""Width of the set of inputs ``a`` for which a sigmoid layer does not shrink the gradient.

    The set :math:`\{a : |w\,\sigma'(w a + b)| \ge 1\}` is an interval of width

    .. math:: \frac{2}{|w|} \ln\!\left(\frac{|w|\,(1 + \sqrt{1 - 4/|w|})}{2} - 1\right)

    (Nielsen 2015, chapter 5, problem), whatever ``b`` is; 0 for ``|w| <= 4``. It is widest, 0.4477, at
    ``|w| = 6.894``. ``w``: scalar or array; the result has its shape.

    >>> from gradclinic import chain
    >>> chain.explosive_width([3.0, 4.0]), round(chain.explosive_width(6.894), 4)
    (array([0., 0.]), 0.4477)
    """
    size = np.abs(np.asarray(w, dtype=np.float64))
    clipped = np.maximum(size, 4.0)
    width = 2 * _half_window(clipped) / clipped
    return float(width) if width.ndim == 0 else width


def explosive_window(w: ArrayLike, b: ArrayLike) -> tuple[float | np.ndarray, float | np.ndarray]:
    r"""End points ``(low, high)`` of :math:`\{a : |w\,\sigma'(w a + b)| \ge 1\}`, ``nan`` where the set is
    empty.

    The interval is centred at ``-b/w``, where the sigmoid is steepest, and has width :func:`explosive_width`;
    at ``|w| = 4`` it is a single point. ``w`` and ``b`` broadcast.

    >>> from gradclinic import chain
    >>> low, high = chain.explosive_window(8.0, -4.0)
    >>> round(low, 4), round(high, 4)
    (0.2797, 0.7203)
    >>> round(high - low, 12) == round(chain.explosive_width(8.0), 12)
    True
    """
    w, b = np.broadcast_arrays(np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64))
    exists = np.abs(w) >= 4
    centre = np.where(exists, -b / np.where(exists, w, 1.0), np.nan)
    half = explosive_width(w) / 2
    low, high = centre - half, centre + half
    return (float(low), float(high)) if low.ndim == 0 else (low, high)
