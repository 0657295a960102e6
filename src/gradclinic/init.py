r"""Initial weights: fans, gains and the schemes by name.

``shape`` is always ``(..., n_out, n_in)``, PyTorch's layout (Keras stores the transpose); leading axes are an
ensemble of independent matrices. Random numbers come from the generator that is passed in.

===============  ==============================  =============================
scheme           variance of a weight            source
===============  ==============================  =============================
Glorot           ``2 / (n_in + n_out)``          Glorot & Bengio 2010, eq. 12, 16
He               ``2 / n_in``                    He et al. 2015, eq. 10
LeCun            ``1 / n_in``                    LeCun et al. 1998, eq. 16
orthogonal       ``1 / max(n_in, n_out)``        Saxe et al. 2014
normal           1                               none: what one types first
===============  ==============================  =============================

A uniform distribution of variance ``v`` reaches to :math:`\pm\sqrt{3 v}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from gradclinic import activations
from gradclinic.activations import Activation
from gradclinic.spec import MLP, Parameters, check_parameters


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """``(n_in, n_out)`` of a weight of shape ``(..., n_out, n_in)``.

    >>> from gradclinic import init
    >>> init.fans((10, 64)), init.fans((5, 10, 64))
    ((64, 10), (64, 10))
    """
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"shape: got {tuple(shape)}, wanted (..., n_out, n_in) with positive entries")
    return shape[-1], shape[-2]


def gain(activation: str | Activation) -> float:
    r"""The gain ``g`` for which weights of variance :math:`g^2 / n_{in}` keep the mean squared gradient norm.

    :math:`g = 1 / \sqrt{E[\phi'(z)^2]}` at :math:`z \sim N(0, 1)`. linear 1, ReLU :math:`\sqrt 2`, leaky ReLU
    :math:`\sqrt{2 / (1 + \alpha^2)}`: there the gain keeps the forward variance too, whatever its value, and
    equals ``torch.nn.init.calculate_gain``. For the others it holds at unit pre-activation variance only,
    which the same weights need not keep (``theory.layer_factor`` follows the variance to its fixed point),
    and PyTorch's numbers mean something else: tanh 5/3 and SELU 3/4 are empirical, sigmoid 1 is none at all
    (here 4.72).

    >>> from gradclinic import init
    >>> round(init.gain("relu") ** 2, 12), round(init.gain("sigmoid"), 2)
    (2.0, 4.72)
    """
    slope = activations.get(activation).slope
    return 1 / math.sqrt(activations.gaussian_mean(lambda u: slope(u) ** 2, 1.0))


def normal(shape: Sequence[int], rng: np.random.Generator, std: float = 1.0) -> np.ndarray:
    """Independent ``N(0, std^2)`` entries.

    >>> import numpy as np
    >>> from gradclinic import init
    >>> w = init.normal((1000, 100), np.random.default_rng(0), std=0.01)
    >>> round(float(w.std()), 3)
    0.01
    """
    fans(shape)
    return std * rng.standard_normal(shape)


def _uniform(shape: Sequence[int], rng: np.random.Generator, variance: float) -> np.ndarray:
    bound = math.sqrt(3 * variance)
    return rng.uniform(-bound, bound, shape)


def glorot_normal(shape: Sequence[int], rng: np.random.Generator, gain: float = 1.0) -> np.ndarray:
    """Normal, ``Var(w) = gain^2 * 2 / (n_in + n_out)`` (Glorot & Bengio 2010, eq. 12).

    >>> import numpy as np
    >>> from gradclinic import init
    >>> w = init.glorot_normal((300, 100), np.random.default_rng(0))
    >>> round(float(w.var() * (300 + 100)), 1)
    2.0
    """
    return normal(shape, rng, gain * math.sqrt(2 / sum(fans(shape))))


def glorot_uniform(shape: Sequence[int], rng: np.random.Generator, gain: float = 1.0) -> np.ndarray:
    """Uniform on ``+-gain * sqrt(6 / (n_in + n_out))``: the same variance (Glorot & Bengio 2010, eq. 16).

    >>> import numpy as np
    >>> from gradclinic import init
    >>> w = init.glorot_uniform((300, 100), np.random.default_rng(0))
    >>> round(float(w.var() * (300 + 100)), 1)
    2.0
    >>> round(float(abs(w).max() / np.sqrt(6 / 400)), 3)
    1.0
    """
    return _uniform(shape, rng, gain**2 * 2 / sum(fans(shape)))


def he_normal(shape: Sequence[int], rng: np.random.Generator, gain: float = math.sqrt(2)) -> np.ndarray:
    """Normal, ``Var(w) = gain^2 / n_in``, 2 / n_in for the default, ReLU's gain (He et al. 2015, eq. 10).

    >>> import numpy as np
    >>> from gradclinic import init
    >>> w = init.he_normal((300, 100), np.random.default_rng(0))
    >>> round(float(w.var() * 100), 1)
    2.0
    """
    return normal(shape, rng, gain / math.sqrt(fans(shape)[0]))


def he_uniform(shape: Sequence[int], rng: np.random.Generator, gain: float = math.sqrt(2)) -> np.ndarray:
    """Uniform on ``+-gain * sqrt(3 / n_in)``, ``Var(w) = gain^2 / n_in`` (He et al. 2015).

    >>> import numpy as np
    >>> from gradclinic import init
    >>> w = init.he_uniform((300, 100), np.random.default_rng(0))
    >>> round(float(w.var() * 100), 1)
    2.0
    """
    return _uniform(shape, rng, gain**2 / fans(shape)[0])


def lecun_normal(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Normal, ``Var(w) = 1 / n_in`` (LeCun et al. 1998, eq. 16; SELU's own scheme).

    >>> import numpy as np
    >>> from gradclinic import init
    >>> w = init.lecun_normal((300, 100), np.random.default_rng(0))
    >>> round(float(w.var() * 100), 1)
    1.0
    """
    return normal(shape, rng, 1 / math.sqrt(fans(shape)[0]))


def qr(a: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The QR decomposition with a diagonal of R that is never negative: the one that is unique.

    ``a``: ``(..., m, n)`` of full rank, ``m >= n``; returns ``(..., m, n)`` and ``(..., n, n)``. LAPACK leaves the sign
    of each column of Q to the code that the processor runs; a random walk that goes on from Q then differs from machine
    to machine in more than its last digits. Raises ``ValueError`` for other shapes.

    >>> import numpy as np
    >>> from gradclinic import init
    >>> q, r = init.qr([[0.0, 2.0], [-3.0, 1.0]])
    >>> np.diag(r), bool(np.allclose(q @ r, [[0.0, 2.0], [-3.0, 1.0]]))
    (array([3., 2.]), True)
    """
    a = np.asarray(a, dtype=np.float64)
    if a.ndim < 2 or a.shape[-2] < a.shape[-1]:
        raise ValueError(f"a: got shape {a.shape}, wanted (..., m, n) with m >= n")
    q, r = np.linalg.qr(a)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return q * signs[..., None, :], r * signs[..., :, None]


def orthogonal(shape: Sequence[int], rng: np.random.Generator, gain: float = 1.0) -> np.ndarray:
    r"""``gain`` times a random matrix with orthonormal columns (``n_out >= n_in``) or rows, uniform over all
    of them.

    The Q of a Gaussian matrix's :func:`qr`, whose R has a positive diagonal: without that convention Q is not uniform
    (Mezzadri 2007), nor the same on every processor. All singular values are ``gain`` (Saxe et al. 2014).

    >>> import numpy as np
    >>> from gradclinic import init
    >>> w = init.orthogonal((6, 4), np.random.default_rng(0), gain=2.0)
    >>> np.linalg.svd(w, compute_uv=False).round(12)
    array([2., 2., 2., 2.])
    """
    n_in, n_out = fans(shape)
    q, _ = qr(rng.standard_normal((*shape[:-2], max(n_in, n_out), min(n_in, n_out))))
    return gain * (q if n_out >= n_in else np.swapaxes(q, -1, -2))


SCHEMES: dict[str, Callable[..., np.ndarray]] = {
    scheme.__name__: scheme
    for scheme in (
        glorot_uniform,
        glorot_normal,
        he_normal,
        he_uniform,
        lecun_normal,
        orthogonal,
        normal,
    )
}


def mlp(
    spec: MLP,
    rng: np.random.Generator,
    scheme: str = "he_normal",
    *,
    ensemble: int | None = None,
    weight_variance: ArrayLike | None = None,
    bias_std: float = 0.0,
) -> Parameters:
    r"""Draw the parameters of ``spec``, or of ``ensemble`` independent copies of it.

    ``scheme``: a name in ``SCHEMES``. ``weight_variance`` overrides it: normal weights with
    :math:`\mathrm{Var}(w) = \text{weight\_variance} / n_{in}` in every layer, a number or one number per
    member, ``(ensemble,)``. ``bias_std``: standard deviation of normal biases, drawn after all weights, so
    that the weights of a seed do not depend on it. Gains of a normalisation start at 1, shifts at 0.

    Returns arrays of shape ``(n_out, n_in)`` and ``(n_out,)``, with a leading axis where ``ensemble`` is
    given.

    >>> import numpy as np
    >>> from gradclinic import init
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((64, 32, 32, 10), "relu")
    >>> [w.shape for w in init.mlp(spec, np.random.default_rng(0)).weights]
    [(32, 64), (32, 32), (10, 32)]
    >>> params = init.mlp(spec, np.random.default_rng(0), "orthogonal", ensemble=5)
    >>> params.ensemble, params.weights[0].shape
    ((5,), (5, 32, 64))
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme: got {scheme!r}, wanted one of {', '.join(SCHEMES)}")
    if ensemble is not None and ensemble < 1:
        raise ValueError(f"ensemble: got {ensemble}, wanted None or a positive integer")
    if not (math.isfinite(bias_std) and bias_std >= 0):
        raise ValueError(f"bias_std: got {bias_std}, wanted a finite number >= 0")
    if bias_std > 0 and not spec.bias:
        raise ValueError(f"bias_std: got {bias_std}, wanted 0, for this spec has no biases")
    lead = () if ensemble is None else (ensemble,)
    shapes = [(*lead, n_out, n_in) for n_in, n_out in zip(spec.widths, spec.widths[1:], strict=False)]
    if weight_variance is None:
        weights = tuple(SCHEMES[scheme](shape, rng) for shape in shapes)
    else:
        variance = np.asarray(weight_variance, dtype=np.float64)
        if variance.shape not in ((), lead) or not (np.isfinite(variance).all() and (variance >= 0).all()):
            raise ValueError(
                f"weight_variance: got {weight_variance!r}, wanted a finite number >= 0, or {lead} of them"
            )
        weights = tuple(np.sqrt(variance / shape[-1])[..., None, None] * rng.standard_normal(shape) for shape in shapes)
    biases = tuple(
        bias_std * rng.standard_normal(shape[:-1]) if bias_std > 0 else np.zeros(shape[:-1]) for shape in shapes
    )
    hidden = [shape[:-1] for shape in shapes[:-1]] if spec.normalization else []
    return Parameters(
        weights, biases, tuple(np.ones(shape) for shape in hidden), tuple(np.zeros(shape) for shape in hidden)
    )


def isometric(spec: MLP, rng: np.random.Generator, *, ensemble: int | None = None) -> Parameters:
    r"""Draw parameters with which the network starts as nearly a rotation: Jacobian with singular values near 1.

    Orthogonal weights do it for the linear network (Saxe et al. 2014) and, as long as its signal is small, for tanh
    (Pennington et al. 2017). Two more activations are led back to these:

    - sigmoid, :math:`\sigma(z) = \tfrac12 + \tfrac12 \tanh(z/2)`: with weights :math:`4 Q_l` (:math:`2 Q_l` in the
      first and last layer) and biases :math:`b = -\tfrac12 \sum_j w_{ij}` after the first layer, the network *is* the
      tanh network of weights :math:`Q_l`.
    - ReLU and leaky ReLU, :math:`\phi(v) - \phi(-v) = \kappa v`: units come in pairs :math:`(v, -v)` and weights are
      :math:`\frac1\kappa \begin{pmatrix} Q & -Q \\ -Q & Q \end{pmatrix}`, so the network starts as the linear one of
      weights :math:`Q_l` (Balduzzi et al. 2017, "looks linear"). One unit of each pair is on, for every input.

    ``ensemble``: number of independent copies, a leading axis. Raises ``ValueError`` for other activations, for
    residual or normalised networks, for sigmoid without biases and for ReLU with an odd hidden width.

    >>> import numpy as np
    >>> from gradclinic import init, numpy_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((16, *[32] * 30, 16), "relu")
    >>> params = init.isometric(spec, np.random.default_rng(0))
    >>> x = np.random.default_rng(1).normal(size=(1, 16))
    >>> output = numpy_net.forward(spec, params, x).z[-1]
    >>> round(float(np.linalg.norm(output) / np.linalg.norm(x)), 10)
    1.0
    """
    phi = activations.get(spec.activation)
    if phi.name not in ("linear", "tanh", "sigmoid", "relu", "leaky_relu"):
        raise ValueError(f"activation: got {phi.name!r}, wanted linear, tanh, sigmoid, relu or leaky_relu")
    if spec.normalization is not None or spec.residual:
        raise ValueError(f"spec: got {spec}, wanted a plain network, without normalisation and without skips")
    if phi.name == "sigmoid" and not spec.bias:
        raise ValueError("spec: got a sigmoid network without biases, wanted biases to take its mean away")
    lead = () if ensemble is None else (ensemble,)
    mirrored = phi.name in ("relu", "leaky_relu")
    half = [n // 2 if mirrored and 0 < i < spec.depth else n for i, n in enumerate(spec.widths)]
    if mirrored and any(n % 2 for n in spec.widths[1:-1]):
        raise ValueError(f"widths: got {spec.widths}, wanted even hidden widths, for {phi.name} units in pairs")
    weights, biases = [], []
    for layer in range(1, spec.depth + 1):
        w = orthogonal((*lead, half[layer], half[layer - 1]), rng)
        if mirrored:
            if layer > 1:
                w = np.concatenate([w, -w], axis=-1) / float(phi(1.0) - phi(-1.0))
            if layer < spec.depth:
                w = np.concatenate([w, -w], axis=-2)
        b = np.zeros(w.shape[:-1])
        if phi.name == "sigmoid":
            w = w * (2 if layer > 1 else 1) * (2 if layer < spec.depth else 1)
            b = -0.5 * w.sum(axis=-1) if layer > 1 else b
        weights.append(w)
        biases.append(b)
    return Parameters(tuple(weights), tuple(biases))


def lsuv(spec: MLP, params: Parameters, x: np.ndarray) -> Parameters:
    """Layer-sequential unit variance: scale every layer to pre-activations of standard deviation 1 on ``x``.

    From the input to the output, ``W_l`` is divided by the standard deviation of ``z_l`` over batch and units
    (Mishkin & Matas 2016, algorithm 1, which starts from ``mlp(spec, rng, "orthogonal")``). Without biases
    ``z_l`` is linear in ``W_l``, so one division is exact and the paper's loop ends after it. Members of an
    ensemble are scaled each for itself.

    ``x``: ``(batch, n_0)`` or ``(..., batch, n_0)``. Raises ``ValueError`` for a residual or normalised
    network, for biases other than 0, and where a layer is constant on ``x`` and no scale helps.

    >>> import numpy as np
    >>> from gradclinic import init, numpy_net
    >>> from gradclinic.spec import MLP
    >>> rng = np.random.default_rng(0)
    >>> spec, x = MLP((8, 32, 32, 4), "tanh"), rng.normal(size=(100, 8))
    >>> params = init.lsuv(spec, init.mlp(spec, rng, "orthogonal"), x)
    >>> [round(float(z.std()), 12) for z in numpy_net.forward(spec, params, x).z]
    [1.0, 1.0, 1.0]
    """
    check_parameters(spec, params)
    if spec.normalization is not None or spec.residual:
        raise ValueError(f"spec: got {spec}, wanted a plain network, without normalisation and without skips")
    if any(np.any(bias) for bias in params.biases):
        raise ValueError("params: got biases other than 0, wanted zero biases")
    phi = activations.get(spec.activation)
    a = np.asarray(x, dtype=np.float64)
    if a.ndim < 2 or a.shape[-1] != spec.widths[0]:
        raise ValueError(f"x: got shape {a.shape}, wanted (batch, {spec.widths[0]})")
    weights = []
    for layer, weight in enumerate(params.weights, start=1):
        z = a @ np.swapaxes(weight, -1, -2)
        std = z.std(axis=(-2, -1), keepdims=True)
        if not (np.isfinite(std).all() and (std > 0).all()):
            raise ValueError(
                f"x: the standard deviation of layer {layer} on it is 0 or not finite, wanted a positive one"
            )
        weights.append(weight / std)
        a = phi(z / std)
    return Parameters(tuple(weights), params.biases)
