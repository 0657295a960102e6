r"""Mean-field theory of wide random networks: what a gradient does, before anything is run.

A layer :math:`z_l = W_l\,\phi(z_{l-1}) + b_l` with independent weights of variance
:math:`\sigma_w^2 / n_{in}` and biases of variance :math:`\sigma_b^2` has, for large width, Gaussian
pre-activations of variance

.. math:: q_l = V(q_{l-1}), \quad V(q) = \sigma_w^2\, E[\phi(\sqrt q\, z)^2] + \sigma_b^2, \quad z \sim N(0, 1),

and the squared norm of the back-propagated gradient grows, per layer towards the input, by

.. math:: \chi = \sigma_w^2\, E[\phi'(\sqrt{q}\, z)^2]

(Poole et al. 2016; Schoenholz et al. 2017). In this module ``weight_variance`` is always
:math:`\sigma_w^2 = n_{in} \mathrm{Var}(w)` and ``bias_variance`` is :math:`\sigma_b^2`. Scalars in give
floats; arrays broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from gradclinic import activations
from gradclinic.activations import Activation, gaussian_mean

__all__ = [
    "DepthScale",
    "LogMoments",
    "batchnorm_factor",
    "batchnorm_spread",
    "correlation_fixed_point",
    "correlation_map",
    "critical_weight_variance",
    "depth_scale",
    "finite_width_log_moments",
    "finite_width_log_variance",
    "fixed_point",
    "gaussian_mean",
    "layer_factor",
    "layernorm_factor",
    "residual_growth",
    "variance_map",
]

# Stand-ins for "the signal dies" and "the signal diverges": far enough out that every activation has reached
# its limiting form on either side of its kink, near enough that gaussian_mean resolves them.
_Q_MIN, _Q_MAX = 1e-30, 1e30
# Quadrature is good to a few 1e-15, so a relative drift V(q)/q - 1 below this is none.
_DRIFT = 1e-13


@overload
def _mean_square(phi: Activation, q: float) -> float: ...
@overload
def _mean_square(phi: Activation, q: ArrayLike) -> float | np.ndarray: ...
def _mean_square(phi: Activation, q: ArrayLike) -> float | np.ndarray:
    return gaussian_mean(lambda u: phi(u) ** 2, q)


@overload
def _mean_square_slope(phi: Activation, q: float) -> float: ...
@overload
def _mean_square_slope(phi: Activation, q: ArrayLike) -> float | np.ndarray: ...
def _mean_square_slope(phi: Activation, q: ArrayLike) -> float | np.ndarray:
    return gaussian_mean(lambda u: phi.slope(u) ** 2, q)


def _check_variances(weight_variance: ArrayLike, bias_variance: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    checked = []
    for name, value in (("weight_variance", weight_variance), ("bias_variance", bias_variance)):
        array = np.asarray(value, dtype=np.float64)
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise ValueError(f"{name}: got {value!r}, wanted finite numbers >= 0")
        checked.append(array)
    return tuple(checked)


def _elementwise(function: Callable[..., float], *arrays: np.ndarray) -> float | np.ndarray:
    """Apply a function of floats to every tuple of entries of the broadcast arrays."""
    broadcast = np.broadcast(*arrays)
    values = np.array([function(*map(float, entries)) for entries in broadcast]).reshape(broadcast.shape)
    return float(values) if values.ndim == 0 else values


def variance_map(
    activation: str | Activation, q: ArrayLike, weight_variance: ArrayLike, bias_variance: ArrayLike = 0.0
) -> float | np.ndarray:
    r"""One layer of the variance: :math:`V(q) = \sigma_w^2 E[\phi(\sqrt q z)^2] + \sigma_b^2` (Poole et al. 2016).

    ``q``, ``weight_variance``, ``bias_variance`` broadcast.

    >>> from gradclinic import theory
    >>> round(theory.variance_map("relu", 1.0, weight_variance=2.0), 12)
    1.0
    >>> theory.variance_map("linear", [1.0, 4.0], 0.5, 0.1).round(12)
    array([0.6, 2.1])
    """
    weight_variance, bias_variance = _check_variances(weight_variance, bias_variance)
    value = weight_variance * _mean_square(activations.get(activation), q) + bias_variance
    return float(value) if np.ndim(value) == 0 else value


# Where to look for a change of sign of V(q) - q: four points per factor of ten, q = 1 first.
_SCAN_DOWN = 10.0 ** np.arange(0, -30.25, -0.25)
_SCAN_UP = 10.0 ** np.arange(0, 30.25, 0.25)


@lru_cache(maxsize=64)
def _scan_tables(phi: Activation) -> tuple[np.ndarray, np.ndarray]:
    """``E[phi^2] / q`` on both scans: V is affine in the two variances, so one table serves them all."""
    return _mean_square(phi, _SCAN_DOWN) / _SCAN_DOWN, _mean_square(phi, _SCAN_UP) / _SCAN_UP


def _fixed_point(phi: Activation, weight_variance: float, bias_variance: float) -> float:
    from scipy.optimize import brentq

    if phi.homogeneous:
        # V is a straight line of this slope; within rounding of 1 it is the identity (He: 2 * 1/2).
        slope = weight_variance * _mean_square(phi, 1.0)
        if abs(slope - 1) < _DRIFT:
            return 1.0 if bias_variance == 0 else math.inf
        return bias_variance / (1 - slope) if slope < 1 else math.inf

    def drift(log_q: float) -> float:
        q = math.exp(log_q)
        return (weight_variance * _mean_square(phi, q) + bias_variance) / q - 1

    # V increases, so the iteration from q = 1 moves monotonically to the first fixed point in the direction
    # of V(1) - 1.
    down, up = _scan_tables(phi)
    if drift(0.0) < 0:
        scan, ratio, end = _SCAN_DOWN, down, 0.0
        outside = weight_variance * ratio + bias_variance / scan - 1 > _DRIFT
    else:
        scan, ratio, end = _SCAN_UP, up, math.inf
        outside = weight_variance * ratio + bias_variance / scan - 1 < -_DRIFT
    if not outside.any():
        return end
    first = int(np.argmax(outside))
    left, right = math.log(scan[first - 1]), math.log(scan[first])
    # SciPy declares nothing here: a checker takes its default of rtol, a float64, for its type.
    root: Any = brentq(drift, left, right, xtol=1e-14, rtol=1e-14)  # pyright: ignore[reportArgumentType]
    return math.exp(root)


def fixed_point(
    activation: str | Activation, weight_variance: ArrayLike, bias_variance: ArrayLike = 0.0
) -> float | np.ndarray:
    r"""The variance :math:`q^*` at which the iteration :math:`q \leftarrow V(q)`, started at ``q = 1``, comes
    to rest.

    ``0.0`` where the signal dies, ``inf`` where it diverges. Where every ``q`` is a fixed point (ReLU with
    :math:`\sigma_w^2 = 2`, no bias) it is the start, 1. Homogeneous activations are solved in closed form;
    the others by a scan for the first fixed point in the direction of :math:`V(1) - 1`, then Brent's method
    in ``ln q``.

    >>> from gradclinic import theory
    >>> theory.fixed_point("tanh", 0.9), theory.fixed_point("relu", 2.1)
    (0.0, inf)
    >>> round(theory.fixed_point("tanh", 1.5, 0.05), 4)
    0.418
    """
    phi = activations.get(activation)
    return _elementwise(lambda w, b: _fixed_point(phi, w, b), *_check_variances(weight_variance, bias_variance))


def _layer_factor(phi: Activation, weight_variance: float, bias_variance: float) -> float:
    # A homogeneous activation has the same mean square slope at every q.
    q = 1.0 if phi.homogeneous else _fixed_point(phi, weight_variance, bias_variance)
    return math.sqrt(weight_variance * _mean_square_slope(phi, min(max(q, _Q_MIN), _Q_MAX)))


def layer_factor(
    activation: str | Activation, weight_variance: ArrayLike, bias_variance: ArrayLike = 0.0
) -> float | np.ndarray:
    r"""Growth per layer, towards the input, of the rms norm of the back-propagated gradient:
    :math:`\sqrt{\chi}`.

    :math:`\sqrt{\sigma_w^2\, E[\phi'(\sqrt{q^*} z)^2]}` at the forward fixed point ``q*``, or in the limit
    where ``q*`` is 0 or infinite (Schoenholz et al. 2017, sections 3 and 4). Below 1 gradients vanish, above 1
    they explode, with depth as the exponent. Examples: He-initialised ReLU 1; tanh with
    :math:`\sigma_w^2 = s < 1`, no bias: :math:`\sqrt s`.

    >>> from gradclinic import theory
    >>> theory.layer_factor("tanh", [0.25, 0.81]).round(12)
    array([0.5, 0.9])
    >>> round(theory.layer_factor("sigmoid", 1.0), 3)
    0.236
    """
    phi = activations.get(activation)
    return _elementwise(lambda w, b: _layer_factor(phi, w, b), *_check_variances(weight_variance, bias_variance))


def critical_weight_variance(activation: str | Activation, bias_variance: ArrayLike = 0.0) -> float | np.ndarray:
    r"""The smallest :math:`\sigma_w^2` at which :func:`layer_factor` reaches 1: the edge of the vanishing
    phase.

    tanh: 1 without bias, 1.761 at :math:`\sigma_b^2 = 0.05` (Schoenholz et al. 2017, figure 1). ReLU: 2. For
    GELU and SiLU without bias the factor *jumps* over 1, from a dying to a diverging signal, and the place of
    the jump is returned.

    >>> from gradclinic import theory
    >>> round(theory.critical_weight_variance("relu"), 12)
    2.0
    >>> round(theory.critical_weight_variance("tanh", bias_variance=0.05), 3)
    1.761
    """
    from scipy.optimize import brentq

    phi = activations.get(activation)

    def solve(bias: float) -> float:
        if phi.homogeneous:
            return 1 / _mean_square_slope(phi, 1.0)

        def excess(log_w: float) -> float:
            return math.log(_layer_factor(phi, math.exp(log_w), bias))

        # chi <= sigma_w^2 max_slope^2, so nothing below this can be critical.
        low = -2 * math.log(phi.max_slope)
        if excess(low) > -_DRIFT:
            return math.exp(low)
        high = low
        while excess(high) < 0:
            low, high = high, high + 0.1
        root: Any = brentq(excess, low, high, xtol=1e-13)
        return math.exp(root)

    return _elementwise(solve, _check_variances(1.0, bias_variance)[1])


# Tanh-sinh nodes on [0, 1] and their weights: they crowd towards both ends, where integrands have their
# layers.
_T = np.arange(-3.5, 3.51, 0.1)
_DE_NODES = 1 / (1 + np.exp(-np.pi * np.sinh(_T)))
_DE_WEIGHTS = 0.1 * np.pi * np.cosh(_T) * _DE_NODES * (1 - _DE_NODES)
# Radii r = e^t of the polar form of the bivariate normal density; the mass below e^-20 is e^-40.
_RADII = np.exp(np.arange(-20.0, 3.75, 1 / 8))
_RADIAL_WEIGHTS = _RADII**2 * np.exp(-0.5 * _RADII**2) / 8


def _pair_mean(f: Callable[[np.ndarray], np.ndarray], q: float, correlation: float) -> float:
    """``E[f(u) f(v)]`` for normal ``u, v`` of variance ``q`` and the given correlation ``cos psi``.

    With ``u = sqrt(q) r cos(theta)``, ``v = sqrt(q) r cos(theta - psi)`` the kinks at ``u = 0`` and ``v = 0``
    are rays; the four sectors between them are integrated separately, half of them by the symmetry between
    ``u`` and ``v``.
    """
    psi = math.acos(correlation)
    # u and v swap under theta -> psi - theta, so (psi/2, psi/2 + pi) is half of everything.
    rays = (psi / 2, math.pi / 2, psi + math.pi / 2, psi / 2 + math.pi)
    total = 0.0
    for start, stop in pairwise(rays):
        theta = start + (stop - start) * _DE_NODES
        u, v = (math.sqrt(q) * np.multiply.outer(np.cos(angle), _RADII) for angle in (theta, theta - psi))
        total += (stop - start) * _DE_WEIGHTS @ (f(u) * f(v)) @ _RADIAL_WEIGHTS
    return total / math.pi  # pyright: ignore[reportReturnType]  # both axes are summed over


def _correlation_setting(phi: Activation, weight_variance: float, bias_variance: float) -> tuple[float, float]:
    """Variance ``q`` at which correlations are followed, and ``V(q)``: equal at a fixed point, in ratio at a limit."""
    if weight_variance == 0 and bias_variance == 0:
        raise ValueError("weight_variance: got 0 with bias_variance 0, wanted a layer whose output is not constant 0")
    q = min(max(_fixed_point(phi, weight_variance, bias_variance), _Q_MIN), _Q_MAX)
    return q, weight_variance * _mean_square(phi, q) + bias_variance


def correlation_map(
    activation: str | Activation,
    correlation: ArrayLike,
    weight_variance: ArrayLike,
    bias_variance: ArrayLike = 0.0,
) -> float | np.ndarray:
    r"""Correlation of two inputs' pre-activations one layer on, at the variance fixed point.

    .. math:: C(c) = \frac{\sigma_w^2\, E[\phi(u)\,\phi(v)] + \sigma_b^2}{q^*}, \qquad
              u, v \sim N(0, q^*) \text{ with correlation } c

    (Poole et al. 2016, section 2.2). Where ``q*`` is 0 or infinite, the limit of the ratio. ``correlation`` in [-1,
    1]; all arguments broadcast. ``C(1) = 1`` always; the slope there is :math:`\chi`, the square of
    :func:`layer_factor`.

    >>> from gradclinic import theory
    >>> theory.correlation_map("relu", [0.0, 0.5, 1.0], 2.0).round(4)
    array([0.3183, 0.609 , 1.    ])
    """
    phi = activations.get(activation)
    correlation = np.asarray(correlation, dtype=np.float64)
    if not (np.abs(correlation) <= 1).all():
        raise ValueError(f"correlation: got {correlation}, wanted numbers in [-1, 1]")

    def step(c: float, w: float, b: float) -> float:
        q, image = _correlation_setting(phi, w, b)
        return (w * _pair_mean(phi, q, c) + b) / image

    return _elementwise(step, correlation, *_check_variances(weight_variance, bias_variance))


def _correlation_fixed_point(phi: Activation, weight_variance: float, bias_variance: float) -> tuple[float, float]:
    """The attracting correlation and the slope of the correlation map there."""
    from scipy.optimize import brentq

    q, image = _correlation_setting(phi, weight_variance, bias_variance)

    def drift(c: float) -> float:
        return (weight_variance * _pair_mean(phi, q, c) + bias_variance) / image - c

    gain = weight_variance * q / image
    chi = gain * _mean_square_slope(phi, q)
    # C is a power series with coefficients >= 0, hence convex: below 1 it crosses the diagonal once if chi >
    # 1, else never. At 1 - 1e-8 a drift is still above rounding; a crossing beyond is the fixed point 1 for
    # every purpose.
    if chi <= 1 + _DRIFT or drift(1 - 1e-8) >= 0:
        return 1.0, chi
    c: Any = 0.0 if drift(0.0) < _DRIFT else brentq(drift, 0.0, 1 - 1e-8, xtol=1e-14)
    return c, gain * _pair_mean(phi.slope, q, c)


def correlation_fixed_point(
    activation: str | Activation, weight_variance: ArrayLike, bias_variance: ArrayLike = 0.0
) -> float | np.ndarray:
    """The correlation ``c*`` that any two inputs approach with depth (Poole et al. 2016).

    1 in the ordered phase (``layer_factor <= 1``, gradients vanish: all inputs look alike), below 1 in the
    chaotic phase (gradients explode: similar inputs drift apart).

    >>> from gradclinic import theory
    >>> theory.correlation_fixed_point("tanh", 1.0, 0.05)
    1.0
    >>> round(theory.correlation_fixed_point("tanh", 4.0, 0.05), 3)
    0.165
    """
    phi = activations.get(activation)
    return _elementwise(
        lambda w, b: _correlation_fixed_point(phi, w, b)[0], *_check_variances(weight_variance, bias_variance)
    )


class DepthScale(NamedTuple):
    """Two lengths, in layers; ``inf`` on the critical line.

    ``correlation``: over how many layers the correlation of two inputs approaches ``c*`` by a factor e.
    ``gradient``: over how many layers the *squared* gradient norm changes by a factor e.
    """

    correlation: float | np.ndarray
    gradient: float | np.ndarray


def _length(factor: float) -> float:
    if factor == 0:
        return 0.0
    return math.inf if abs(math.log(factor)) < _DRIFT else 1 / abs(math.log(factor))


def depth_scale(activation: str | Activation, weight_variance: ArrayLike, bias_variance: ArrayLike = 0.0) -> DepthScale:
    r"""How deep a signal and a gradient reach, in layers.

    :math:`\xi_c = 1/|\ln C'(c^*)|` for correlations and :math:`\xi_\nabla = 1/|\ln \chi|` for gradients:
    Schoenholz et al. (2017), sections 3 and 4; they find that networks train up to a depth of about
    :math:`6 \xi_c`. In the ordered phase both lengths agree, since ``c* = 1``. The gradient norm itself goes as
    :math:`e^{\pm l / (2 \xi_\nabla)}`.

    >>> from gradclinic import theory
    >>> scale = theory.depth_scale("tanh", 1.5, 0.05)
    >>> round(scale.correlation, 2), round(scale.gradient, 2)
    (15.79, 15.79)
    """
    phi = activations.get(activation)
    variances = _check_variances(weight_variance, bias_variance)
    return DepthScale(
        _elementwise(lambda w, b: _length(_correlation_fixed_point(phi, w, b)[1]), *variances),
        _elementwise(lambda w, b: _length(_layer_factor(phi, w, b) ** 2), *variances),
    )


def _normal_moments(phi: Activation) -> tuple[float, float]:
    mean = gaussian_mean(phi, 1.0)
    return mean, gaussian_mean(lambda u: (phi(u) - mean) ** 2, 1.0)


def batchnorm_factor(activation: str | Activation) -> float:
    r"""Growth per layer, towards the input, of the rms gradient in a plain network with batch normalisation.

    .. math:: \sqrt{E[\phi'(z)^2] / \mathrm{Var}[\phi(z)]}, \qquad z \sim N(0, 1)

    for layers :math:`\phi(\mathrm{BN}(W a))` of large width and large batch (Yang et al. 2019): forward, the
    normaliser divides by :math:`\sigma_w \sqrt{\mathrm{Var}\,\phi}` whatever the weights' scale, and backward
    the gradient meets the same division. It is at least 1 (Poincare's inequality), with equality only for the
    linear activation; ReLU :math:`\sqrt{\pi/(\pi-1)} = 1.2112`.

    The formula takes every sample to be ``N(0, 1)`` by itself, while the normaliser only sees to it that the
    batch as a whole is. Where :func:`batchnorm_spread` exceeds 1 (GELU 1.06, SiLU 1.10) some samples outgrow
    the others with depth, and gradients grow faster than this: SiLU 1.15 instead of 1.10 within 20 layers.

    >>> from gradclinic import theory
    >>> round(theory.batchnorm_factor("relu"), 4)
    1.2112
    >>> round(theory.batchnorm_factor("linear"), 12)
    1.0
    """
    phi = activations.get(activation)
    return math.sqrt(_mean_square_slope(phi, 1.0) / _normal_moments(phi)[1])


def batchnorm_spread(activation: str | Activation) -> float:
    r"""Growth per layer, forward, of the relative differences between the samples' squared norms under batch norm.

    A sample of pre-activation variance :math:`r` in a batch whose mean is 1 leaves the activation, centred by
    the batch's mean :math:`m`, with :math:`E[(\phi(\sqrt r z) - m)^2]`. Its logarithmic derivative at ``r = 1``,

    .. math:: \frac{E[z\,(\phi(z) - m)\,\phi'(z)]}{\mathrm{Var}[\phi(z)]}, \qquad m = E[\phi(z)],

    is below 1 where samples become alike (tanh 0.46), 1 for homogeneous activations, and above 1 where the
    symmetric state behind :func:`batchnorm_factor` is unstable.

    >>> from gradclinic import theory
    >>> round(theory.batchnorm_spread("tanh"), 2)
    0.46
    >>> round(theory.batchnorm_spread("silu"), 2)
    1.1
    """
    phi = activations.get(activation)
    mean, variance = _normal_moments(phi)
    return gaussian_mean(lambda u: u * (phi(u) - mean) * phi.slope(u), 1.0) / variance


def layernorm_factor(activation: str | Activation) -> float:
    r"""Growth per layer, towards the input, of the rms gradient in a plain network with layer normalisation.

    .. math:: \sqrt{E[\phi'(z)^2] / E[\phi(z)^2]}, \qquad z \sim N(0, 1)

    for layers :math:`\phi(\mathrm{LN}(W a))` of large width, no biases. Given ``a``, the units of ``W a`` are
    independent with mean 0 and variance :math:`\sigma_w^2\, |a|^2 / n = \sigma_w^2 E[\phi^2]`; the mean over
    units is therefore of order :math:`n^{-1/2}` and the normaliser divides by :math:`\sigma_w \sqrt{E[\phi^2]}`.
    Backward the gradient meets :math:`\phi'`, the weights (:math:`\sigma_w`) and the same division; the two
    directions of ``n`` that the normaliser projects out cost a relative :math:`O(1/n)`. So :math:`\sigma_w` cancels.

    The square is also the slope at 1 of the correlation map :math:`c \mapsto E[\phi(u) \phi(v)] / E[\phi^2]`
    (Poole et al. 2016, with ``q`` held at 1): below 1 all inputs grow alike with depth. Never above
    :func:`batchnorm_factor`, which has the variance in place of the second moment: batch normalisation also removes
    the mean that all samples share. ReLU 1, sigmoid 0.3909.

    >>> from gradclinic import theory
    >>> round(theory.layernorm_factor("relu"), 12)
    1.0
    >>> round(theory.layernorm_factor("sigmoid"), 4)
    0.3909
    """
    phi = activations.get(activation)
    return math.sqrt(_mean_square_slope(phi, 1.0) / _mean_square(phi, 1.0))


def _check_positive(name: str, value: ArrayLike) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{name}: got {value!r}, wanted finite numbers > 0")
    return array


def residual_growth(
    depth: ArrayLike, branch_scale: ArrayLike = 1.0, branch_gain: ArrayLike = 1.0, *, normalized: bool = False
) -> float | np.ndarray:
    r"""Growth of the variance through ``depth`` residual blocks with random branches.

    For :math:`a_l = a_{l-1} + s\,F_l(a_{l-1})`, with branches that multiply the variance by ``branch_gain``
    :math:`g` (1 under He initialisation),

    .. math:: \prod_{l=1}^{L} (1 + s^2 g) = (1 + s^2 g)^L:

    :math:`2^L` for ``s = 1``, and :math:`(1 + 1/L)^L \to e` for :math:`s = 1/\sqrt L` (Zhang et al. 2019,
    Fixup; De & Smith 2020). ``normalized``: every branch normalises its input, so it adds the same amount
    each time: :math:`1 + s^2 g L`.

    Without normalisation the squared norm of the *gradient* grows by the same product, towards the input. With
    batch normalisation it grows faster than :math:`1 + s^2 g L`: for branches :math:`W\,\mathrm{relu}(\mathrm{BN}(a))`
    as :math:`\prod_{l<L} (1 + 1/(1 + (1 - 1/\pi) l)) \sim L^{\pi/(\pi-1)}`, since the mean that a ReLU adds is
    removed from the next branch's input. All laws need a branch whose output is uncorrelated with the skip: one
    that ends in a weight layer, or an odd activation.
    ``a + relu(W a)`` adds a positive mean each time: forward it grows by 2.90 per block instead of 2. Backward
    it starts with 2, and the one direction that carries 2.90 takes over where :math:`1.45^L` reaches the width.

    ``depth``, ``branch_scale``, ``branch_gain`` broadcast. ``inf`` where the product leaves float64.

    >>> from gradclinic import theory
    >>> theory.residual_growth(10), theory.residual_growth(10, normalized=True)
    (1024.0, 11.0)
    >>> round(theory.residual_growth(100, branch_scale=0.1), 4)
    2.7048
    """
    depth = _check_positive("depth", depth)
    added = np.asarray(branch_scale, dtype=np.float64) ** 2 * np.asarray(branch_gain, dtype=np.float64)
    with np.errstate(over="ignore"):
        growth = 1 + added * depth if normalized else (1 + added) ** depth
    return float(growth) if np.ndim(growth) == 0 else growth


def finite_width_log_variance(
    depth: ArrayLike, width: ArrayLike, activation: str | Activation = "relu"
) -> float | np.ndarray:
    r"""Variance over random draws of the log squared norm of signal or gradient after ``depth`` layers.

    For a homogeneous activation and Gaussian weights the squared norm is multiplied, in each layer of ``n``
    units, by an independent factor of mean :math:`\chi` and relative variance

    .. math:: \frac1n \left( \frac{E[\phi(z)^4]}{E[\phi(z)^2]^2} - 1 \right)
              = \frac{2}{n} \text{ (linear)}, \quad \frac{5}{n} \text{ (ReLU)}

    The logarithm is a sum of ``depth`` such terms, so it is nearly normal with variance ``5 L / n`` for ReLU
    (Hanin & Nica 2020, theorem 1), to leading order in ``1 / n``. Its mean lies below the logarithm of the
    mean by half of that: the *typical* He-initialised network vanishes, as :math:`e^{-5L/(2n)}` in the
    squared norm, though the mean is kept.

    Backward this holds for a start without preferred sign, such as any loss behind a random output layer. An
    all-ones gradient on ReLU units leans towards their activations, the one direction in which a bias-free
    network maps forward by itself, and its squared norm gains :math:`1 + 2L/\pi` more: linear, not exponential.

    ``depth``, ``width`` broadcast. Raises ``ValueError`` for an activation that is not homogeneous: there the
    factors of successive layers are coupled through ``q``.

    >>> from gradclinic import theory
    >>> theory.finite_width_log_variance(depth=50, width=[50, 500]).round(12)
    array([5. , 0.5])
    """
    phi = activations.get(activation)
    if not phi.homogeneous:
        raise ValueError(f"activation: got {phi.name!r}, wanted a homogeneous one: linear, relu or leaky_relu")
    kurtosis = gaussian_mean(lambda u: phi(u) ** 4, 1.0) / _mean_square(phi, 1.0) ** 2
    variance = (kurtosis - 1) * _check_positive("depth", depth) / _check_positive("width", width)
    return float(variance) if np.ndim(variance) == 0 else variance


class LogMoments(NamedTuple):
    """Mean and variance of the natural logarithm of a squared norm over random draws of the weights."""

    mean: float
    variance: float


def finite_width_log_moments(
    depth: float, width: int, activation: str | Activation = "relu", *, orthogonal: bool = False
) -> LogMoments:
    r"""Mean and variance of :math:`\ln \lVert J_L \cdots J_1 v \rVert^2` for ReLU or linear layers, exact at any width.

    Square layers of ``n = width`` units, no biases, at the scale that keeps the mean at 1: Gaussian weights of
    variance ``2/n`` (ReLU) or ``1/n`` (linear), or with ``orthogonal`` Haar-distributed matrices times
    :math:`\sqrt 2` or 1. With :math:`k \sim B(n, \tfrac12)` units on, independent in every layer, the squared norm is
    multiplied by

    .. math:: \tfrac2n \chi^2_k \text{ (Gaussian)}, \qquad
              2\, \mathrm{Beta}(\tfrac k2, \tfrac{n-k}2) \text{ (orthogonal)}, \qquad k = n \text{ for linear},

    whose logarithms have moments in digamma and trigamma functions. A Gaussian layer is an orthogonal one times an
    independent length, :math:`\chi^2_k = \chi^2_n \cdot \mathrm{Beta}`, so its moments are the sums of theirs.
    To leading order in ``1/n`` the variance is ``5L/n`` (ReLU), ``2L/n`` (linear), ``3L/n`` (orthogonal ReLU), 0, and
    the mean minus half of that: :func:`finite_width_log_variance`.

    Networks in which no layer is off altogether, a share :math:`(1 - 2^{-n})^L`. ``ValueError`` for other activations.

    >>> from gradclinic import theory
    >>> mean, variance = theory.finite_width_log_moments(50, 100)
    >>> round(mean, 2), round(variance, 2)
    (-1.27, 2.6)
    >>> round(theory.finite_width_log_variance(50, 100), 2)
    2.5
    """
    from scipy.special import betaln, digamma, polygamma

    phi = activations.get(activation)
    if phi.name not in ("linear", "relu"):
        raise ValueError(f"activation: got {phi.name!r}, wanted 'linear' or 'relu'")
    depth, n = float(_check_positive("depth", depth)), int(_check_positive("width", width))
    if phi.name == "linear":
        k, share = np.array([n]), np.ones(1)
    else:
        k = np.arange(1, n + 1)
        share = np.exp(-betaln(k + 1, n - k + 1) - math.log(n + 1) - n * math.log(2))  # binomial(n, k) / 2^n
        share /= share.sum()
    log_scale = 0.0 if phi.name == "linear" else math.log(2)
    mean, variance = digamma(k / 2) + log_scale, polygamma(1, k / 2)
    if orthogonal:
        mean, variance = mean - digamma(n / 2), variance - polygamma(1, n / 2)
    else:
        mean = mean - math.log(n / 2)
    centre = share @ mean
    return LogMoments(float(depth * centre), float(depth * share @ (variance + (mean - centre) ** 2)))
