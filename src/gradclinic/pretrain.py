r"""Greedy layer-wise pre-training: each hidden layer learns to describe its own input before any label is seen.

Two rules for one layer with weights ``W`` ``(..., n_out, n_in)``, hidden bias ``b`` and visible bias ``c``:

- :func:`cd1`, a restricted Boltzmann machine under one step of contrastive divergence (Hinton 2002; Hinton &
  Salakhutdinov 2006);
- :func:`autoencoder_gradients`, an autoencoder with tied weights (Bengio et al. 2007).

:func:`greedy` stacks either: layer ``l`` is trained on the activations of the finished layer ``l - 1``.
Leading axes are an ensemble of networks trained at once; nothing here sees a label or another member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradclinic import activations
from gradclinic.activations import Activation
from gradclinic.spec import MLP, Parameters, check_parameters

Visible = Literal["binary", "gaussian"]
VISIBLE, RULES = ("binary", "gaussian"), ("rbm", "autoencoder")


def _check_visible(visible: str) -> None:
    if visible not in VISIBLE:
        raise ValueError(f"visible: got {visible!r}, wanted one of {', '.join(VISIBLE)}")


def _check_layer(v: np.ndarray, weight: np.ndarray, bias: np.ndarray, visible_bias: np.ndarray) -> None:
    n_out, n_in = weight.shape[-2:]
    for name, array, width in (("v", v, n_in), ("bias", bias, n_out), ("visible_bias", visible_bias, n_in)):
        if array.shape[-1] != width:
            raise ValueError(f"{name}: got shape {array.shape}, wanted (..., {width}) for weights {weight.shape}")


def _transpose(array: np.ndarray) -> np.ndarray:
    return np.swapaxes(array, -1, -2)


def free_energy(
    v: np.ndarray, weight: np.ndarray, bias: np.ndarray, visible_bias: np.ndarray, visible: Visible = "binary"
) -> np.ndarray:
    r"""``F(v) = -log sum_h exp(-E(v, h))``, so that ``p(v)`` is proportional to ``exp(-F(v))``.

    With :math:`E(v, h) = -c^T v - b^T h - h^T W v` for binary visible units, and
    :math:`\tfrac12 \lVert v - c \rVert^2` in place of :math:`-c^T v` for Gaussian ones of variance 1:
    :math:`F(v) = -c^T v - \sum_j \log(1 + e^{b_j + (W v)_j})` (the same replacement). ``v``: ``(..., batch, n_in)``
    -> ``(..., batch)``.

    >>> import numpy as np
    >>> from gradclinic import pretrain
    >>> v = np.array([[0.0, 1.0], [1.0, 1.0]])
    >>> pretrain.free_energy(v, np.zeros((3, 2)), np.zeros(3), np.ones(2)).round(6)
    array([-3.079442, -4.079442])
    """
    _check_visible(visible)
    _check_layer(v, weight, bias, visible_bias)
    c = visible_bias[..., None, :]
    own = -np.sum(c * v, axis=-1) if visible == "binary" else 0.5 * np.sum((v - c) ** 2, axis=-1)
    return own - np.sum(np.logaddexp(0.0, v @ _transpose(weight) + bias[..., None, :]), axis=-1)


def cd1(
    v: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    visible_bias: np.ndarray,
    rng: np.random.Generator,
    visible: Visible = "binary",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Step uphill of one contrastive-divergence update, for ``W``, ``b`` and ``c``.

    .. math::

        \Delta W = \langle p(h | v_0)\, v_0^T \rangle - \langle p(h | v_1)\, v_1^T \rangle, \qquad
        p(h_j = 1 | v) = \sigma(b_j + (W v)_j)

    where ``h`` is drawn from ``p(h | v_0)`` and :math:`v_1 = \sigma(c + W^T h)` for binary visible units,
    :math:`c + W^T h` for Gaussian ones: the hidden units are sampled, the reconstruction is its mean (Hinton 2010,
    section 3). ``v``: ``(batch, n_in)`` or ``(..., batch, n_in)``, in [0, 1] for binary units. Returns arrays of the
    shapes of ``weight``, ``bias`` and ``visible_bias``.

    >>> import numpy as np
    >>> from gradclinic import pretrain
    >>> rng = np.random.default_rng(0)
    >>> v = (rng.random((50, 6)) < 0.8).astype(float)
    >>> weight, bias, visible_bias = pretrain.cd1(
    ...     v, np.zeros((3, 6)), np.zeros(3), np.zeros(6), rng
    ... )
    >>> weight.shape, bias, bool((visible_bias > 0).all())
    ((3, 6), array([0., 0., 0.]), True)
    """
    _check_visible(visible)
    _check_layer(v, weight, bias, visible_bias)
    sigmoid = activations.get("sigmoid")
    up, b, c = _transpose(weight), bias[..., None, :], visible_bias[..., None, :]
    h0 = sigmoid(v @ up + b)
    field = (rng.random(h0.shape) < h0) @ weight + c
    v1 = sigmoid(field) if visible == "binary" else field
    h1 = sigmoid(v1 @ up + b)
    return (
        (_transpose(h0) @ v - _transpose(h1) @ v1) / v.shape[-2],
        np.mean(h0 - h1, axis=-2),
        np.mean(v - v1, axis=-2),
    )


def autoencoder_gradients(
    v: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    visible_bias: np.ndarray,
    activation: str | Activation = "sigmoid",
    visible: Visible = "binary",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Gradient of the reconstruction loss of a tied autoencoder, for ``W``, ``b`` and ``c``: a step goes downhill.

    ``h = phi(W v + b)``, decoded by :math:`W^T h + c`; the loss is half the squared error (``"gaussian"``) or, through
    a sigmoid, the cross-entropy summed over pixels (``"binary"``), the batch mean of either. Both have the output
    gradient :math:`\delta = \hat v - v`, and ``W`` is used twice:

    .. math::

        \frac{\partial C}{\partial W} = \langle \epsilon v^T + h \delta^T \rangle, \qquad
        \epsilon = W \delta \odot \phi'(W v + b)

    Shapes as in :func:`cd1`.

    >>> import numpy as np
    >>> from gradclinic import pretrain
    >>> v = np.random.default_rng(0).normal(size=(50, 6))
    >>> weight, bias, visible_bias = 0.1 * np.ones((3, 6)), np.zeros(3), np.zeros(6)
    >>> found = pretrain.autoencoder_gradients(
    ...     v, weight, bias, visible_bias, "tanh", "gaussian"
    ... )
    >>> [gradient.shape for gradient in found]
    [(3, 6), (3,), (6,)]
    """
    _check_visible(visible)
    _check_layer(v, weight, bias, visible_bias)
    phi = activations.get(activation)
    z = v @ _transpose(weight) + bias[..., None, :]
    h = phi(z)
    decoded = h @ weight + visible_bias[..., None, :]
    delta = (activations.get("sigmoid")(decoded) if visible == "binary" else decoded) - v
    epsilon = delta @ _transpose(weight) * phi.slope(z)
    return (
        (_transpose(epsilon) @ v + _transpose(h) @ delta) / v.shape[-2],
        np.mean(epsilon, axis=-2),
        np.mean(delta, axis=-2),
    )


def reconstruction_error(
    v: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    visible_bias: np.ndarray,
    activation: str | Activation = "sigmoid",
    visible: Visible = "binary",
) -> np.ndarray:
    """Squared error of the mean reconstruction over the variance of ``v``: 0 is perfect, 1 is no better than the mean.

    Shape ``(...)``, one number per member.

    >>> import numpy as np
    >>> from gradclinic import pretrain
    >>> v = np.random.default_rng(0).normal(size=(50, 6))
    >>> weight, bias = np.zeros((3, 6)), np.zeros(3)
    >>> error = pretrain.reconstruction_error(
    ...     v, weight, bias, v.mean(axis=0), "tanh", "gaussian"
    ... )
    >>> round(float(error), 12)
    1.0
    """
    _check_visible(visible)
    _check_layer(v, weight, bias, visible_bias)
    h = activations.get(activation)(v @ _transpose(weight) + bias[..., None, :])
    decoded = h @ weight + visible_bias[..., None, :]
    decoded = activations.get("sigmoid")(decoded) if visible == "binary" else decoded
    spread = v - v.mean(axis=-2, keepdims=True)
    return np.sum((decoded - v) ** 2, axis=(-1, -2)) / np.sum(spread**2, axis=(-1, -2))


@dataclass(frozen=True)
class Pretrained:
    """What :func:`greedy` returns: ``params``, and ``error`` ``(hidden layers, ...)``, each layer's
    :func:`reconstruction_error` on its own input after training."""

    params: Parameters
    error: np.ndarray


def greedy(
    spec: MLP,
    params: Parameters,
    x: np.ndarray,
    rng: np.random.Generator,
    *,
    rule: Literal["rbm", "autoencoder"] = "autoencoder",
    steps: int = 200,
    lr: float = 0.05,
    momentum: float = 0.9,
    batch: int = 50,
) -> Pretrained:
    r"""Train the hidden layers of ``spec`` one after another on inputs ``x`` ``(n, n_0)``, without labels.

    Each layer starts from ``params`` and takes ``steps`` steps of its rule with momentum on random batches of the
    activations below; then it is frozen and its activations are the next layer's data. The first layer's visible
    units are Gaussian; sigmoid layers above see numbers in (0, 1) and have binary ones; an autoencoder of another
    activation keeps Gaussian ones. Visible biases start at the mean of the data and are dropped at the end, like the
    decoder. The output layer stays as it came.

    Raises ``ValueError`` for residual or normalised networks, networks without biases and, for ``rule="rbm"``, an
    activation other than the sigmoid, which is what ``p(h = 1 | v)`` of binary units is.

    >>> import numpy as np
    >>> from gradclinic import init, pretrain
    >>> from gradclinic.spec import MLP
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 8))
    >>> spec = MLP((8, 4, 3, 2), "tanh")
    >>> found = pretrain.greedy(spec, init.mlp(spec, rng, "glorot_normal"), x, rng)
    >>> found.error.shape, bool(found.error[0] < 0.2)
    ((2,), True)
    """
    check_parameters(spec, params)
    if rule not in RULES:
        raise ValueError(f"rule: got {rule!r}, wanted one of {', '.join(RULES)}")
    if spec.normalization is not None or spec.residual or not spec.bias:
        raise ValueError(f"spec: got {spec}, wanted a plain network with biases")
    if rule == "rbm" and spec.activation != "sigmoid":
        raise ValueError(f"spec.activation: got {spec.activation!r}, wanted 'sigmoid' for binary hidden units")
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[-1] != spec.widths[0]:
        raise ValueError(f"x: got shape {x.shape}, wanted (n, {spec.widths[0]})")
    if not 1 <= batch <= len(x):
        raise ValueError(f"batch: got {batch}, wanted a number from 1 to the {len(x)} inputs")
    phi = activations.get(spec.activation)
    weights, biases, errors, a = list(params.weights), list(params.biases), [], x
    for layer in range(spec.depth - 1):
        visible = "binary" if layer > 0 and spec.activation == "sigmoid" else "gaussian"
        mean = np.broadcast_to(a.mean(axis=-2), (*params.ensemble, a.shape[-1]))
        w, b, c = weights[layer].copy(), biases[layer].copy(), mean.copy()  # changed in place
        state = [w, b, c]
        speed = [np.zeros_like(s) for s in state]
        for _ in range(steps):
            v = a[..., rng.choice(len(x), batch, replace=False), :]
            if rule == "rbm":
                uphill = cd1(v, w, b, c, rng, visible)
            else:
                uphill = [-g for g in autoencoder_gradients(v, w, b, c, phi, visible)]
            for s, u, g in zip(state, speed, uphill, strict=True):
                u *= momentum
                u += lr * g
                s += u
        weights[layer], biases[layer] = w, b
        errors.append(reconstruction_error(a, w, b, c, phi, visible))
        a = phi(a @ _transpose(weights[layer]) + biases[layer][..., None, :])
    return Pretrained(Parameters(tuple(weights), tuple(biases)), np.stack(errors))


def shuffled(params: Parameters, rng: np.random.Generator, *, biases: bool = True) -> Parameters:
    """Permute the entries of every weight matrix, each matrix for itself: same numbers, nothing learnt left in them.

    The histogram of each matrix is kept exactly, and with it mean and variance; structure is not. Biases stay in
    place, or are set to 0 with ``biases=False``.

    >>> import numpy as np
    >>> from gradclinic import init, pretrain
    >>> from gradclinic.spec import MLP
    >>> params = init.mlp(MLP((8, 4, 2)), np.random.default_rng(0))
    >>> other = pretrain.shuffled(params, np.random.default_rng(1))
    >>> before, after = params.weights[0].ravel(), other.weights[0].ravel()
    >>> np.array_equal(before, after)
    False
    >>> np.array_equal(np.sort(before), np.sort(after))
    True
    """
    weights = tuple(rng.permuted(w.reshape(*params.ensemble, -1), axis=-1).reshape(w.shape) for w in params.weights)
    return Parameters(weights, params.biases if biases else tuple(np.zeros_like(b) for b in params.biases))
