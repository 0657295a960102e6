r"""The four equations of back-propagation by hand, for a whole ensemble of networks at once.

For ``C = mean_i C_i`` over the samples of a batch and ``delta_l = dC_i / dz_l``:

.. math::

    \delta_L &= \partial C_i / \partial z_L \\
    \delta_l &= (W_{l+1}^T \delta_{l+1}) \odot \phi'(z_l) \\
    \partial C / \partial W_l &= \mathrm{mean}_i\; \delta_l\, a_{l-1}^T \\
    \partial C / \partial b_l &= \mathrm{mean}_i\; \delta_l

(Nielsen 2015, chapter 2, BP1-BP4; seed S3, equation 1). Normalisation and identity skips add one factor each.
Arrays: weights ``(..., n_out, n_in)``, activations ``(..., batch, width)``; the leading axes are the ensemble.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradclinic import activations
from gradclinic.spec import MLP, RNN, Parameters, check_parameters

EPSILON = 1e-5  # added to the variance in a normalisation, in all three frameworks


@dataclass(frozen=True)
class Trace:
    """What a forward pass leaves behind for the backward pass.

    ``a[0]`` is the input and ``a[l]`` the output of layer ``l``; ``z[l-1]`` its pre-activation; ``n[l-1]`` the
    normalised pre-activation that enters the activation (``z[l-1]`` itself where nothing is normalised);
    ``z_hat`` and ``std`` belong to the normalisation. ``output`` is ``z[-1]``, shape ``(..., batch, n_L)``.
    """

    a: tuple[np.ndarray, ...]
    z: tuple[np.ndarray, ...]
    n: tuple[np.ndarray, ...]
    z_hat: tuple[Any, ...]  # arrays; None where nothing is normalised
    std: tuple[Any, ...]

    @property
    def output(self) -> np.ndarray:
        """The last pre-activation: logits or regression values."""
        return self.z[-1]


@dataclass(frozen=True)
class Gradients:
    """Gradients of one batch: of the batch mean for parameters, of each sample's loss for ``delta`` and ``input``.

    ``loss`` ``(...)``, ``weights[l]`` ``(..., n_out, n_in)``, ``biases[l]`` ``(..., n_out)``, ``gains`` and ``shifts``
    ``(..., n)`` per normalised layer, ``delta[l]`` ``(..., batch, n_l)``, ``input`` ``(..., batch, n_0)``.
    """

    loss: np.ndarray
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    gains: tuple[np.ndarray, ...]
    shifts: tuple[np.ndarray, ...]
    delta: tuple[np.ndarray, ...]
    input: np.ndarray


def _transpose(array: np.ndarray) -> np.ndarray:
    return np.swapaxes(array, -1, -2)


def loss_and_delta(output: np.ndarray, y: np.ndarray, loss: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    r"""Batch-mean loss and its derivative per sample with respect to the network's output.

    ``"cross-entropy"`` (the choice for integer ``y`` of shape ``(batch,)``):
    :math:`C_i = -\log \mathrm{softmax}(z)_{y_i}`, :math:`\delta_L = \mathrm{softmax}(z) - e_{y_i}`.
    ``"squared"`` (the choice for float ``y`` of the output's shape ``(..., batch, n_L)``):
    :math:`C_i = \tfrac12 \lVert z - y_i \rVert^2`, :math:`\delta_L = z - y`.

    Returns ``loss`` of shape ``(...)`` and ``delta`` of the output's shape. Raises ``ValueError`` for a loss or shape
    that does not fit, ``TypeError`` for class labels that are not integers.

    >>> import numpy as np
    >>> from gradclinic import numpy_net
    >>> loss, delta = numpy_net.loss_and_delta(np.zeros((1, 4)), np.array([2]))
    >>> round(float(loss), 6), delta
    (1.386294, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    output, y = np.asarray(output), np.asarray(y)
    if loss is None:
        loss = "cross-entropy" if np.issubdtype(y.dtype, np.integer) else "squared"
    if loss == "squared":
        if y.shape[-2:] != output.shape[-2:]:
            raise ValueError(
                f"y: got shape {y.shape}, wanted the output's (..., {output.shape[-2]}, {output.shape[-1]})"
            )
        error = output - y
        return 0.5 * np.mean(np.sum(error**2, axis=-1), axis=-1), error
    if loss != "cross-entropy":
        raise ValueError(f"loss: got {loss!r}, wanted None, 'squared' or 'cross-entropy'")
    if not np.issubdtype(y.dtype, np.integer):
        raise TypeError(f"y: got dtype {y.dtype}, wanted integer class labels for the cross-entropy")
    if y.shape != output.shape[-2:-1]:
        raise ValueError(f"y: got shape {y.shape}, wanted one label per sample, ({output.shape[-2]},)")
    shifted = output - output.max(axis=-1, keepdims=True)
    log_softmax = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    rows = np.arange(y.size)
    delta = np.exp(log_softmax)
    delta[..., rows, y] -= 1.0
    return -np.mean(log_softmax[..., rows, y], axis=-1), delta


def _normalise(z: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    axis = -2 if kind == "batch" else -1
    std = np.sqrt(z.var(axis=axis, keepdims=True) + EPSILON)
    return (z - z.mean(axis=axis, keepdims=True)) / std, std


def _normalise_backward(g: np.ndarray, z_hat: np.ndarray, std: np.ndarray, kind: str) -> np.ndarray:
    r"""Gradient through ``z_hat = (z - mean) / std``: remove the mean and the part along ``z_hat``, divide by ``std``.

    :math:`\partial C/\partial z = (g - \overline{g} - \hat z\, \overline{g \hat z}) / \mathrm{std}`
    (Ioffe & Szegedy 2015, section 3, the six chain-rule lines collected).
    """
    axis = -2 if kind == "batch" else -1
    along = np.mean(g * z_hat, axis=axis, keepdims=True)
    return (g - g.mean(axis=axis, keepdims=True) - z_hat * along) / std


def forward(spec: MLP, params: Parameters, x: np.ndarray) -> Trace:
    """Run the network: ``z_l = W_l a_{l-1} + b_l``, ``a_l = phi(N(z_l))`` (plus skip), last layer linear.

    ``x``: ``(batch, n_0)``, shared by the ensemble, or ``(..., batch, n_0)``. Raises ``ValueError`` where shapes do
    not fit.

    >>> import numpy as np
    >>> from gradclinic import init, numpy_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((3, 8, 2), "tanh")
    >>> params = init.mlp(spec, np.random.default_rng(0))
    >>> trace = numpy_net.forward(spec, params, np.ones((5, 3)))
    >>> [z.shape for z in trace.z], trace.output.shape
    ([(5, 8), (5, 2)], (5, 2))
    """
    check_parameters(spec, params)
    x = np.asarray(x, dtype=np.float64)
    if x.ndim < 2 or x.shape[-1] != spec.widths[0]:
        raise ValueError(f"x: got shape {x.shape}, wanted (batch, {spec.widths[0]})")
    phi = activations.get(spec.activation)
    a, z, n, z_hat, std = [x], [], [], [], []
    for layer in range(1, spec.depth + 1):
        z.append(a[-1] @ _transpose(params.weights[layer - 1]) + params.biases[layer - 1][..., None, :])
        if layer == spec.depth:
            break
        if spec.normalization:
            hat, scale = _normalise(z[-1], spec.normalization)
            n.append(hat * params.gains[layer - 1][..., None, :] + params.shifts[layer - 1][..., None, :])
        else:
            hat, scale = None, None
            n.append(z[-1])
        z_hat.append(hat)
        std.append(scale)
        branch = phi(n[-1])
        a.append(a[-1] + spec.branch_scale * branch if spec.skips(layer) else branch)
    return Trace(tuple(a), tuple(z), tuple(n), tuple(z_hat), tuple(std))


def backward(spec: MLP, params: Parameters, trace: Trace, y: np.ndarray, loss: str | None = None) -> Gradients:
    """Run the four equations from the output to the input; see the module's docstring.

    ``y`` and ``loss`` as in :func:`loss_and_delta`; shapes of the result as in :class:`Gradients`.

    >>> import numpy as np
    >>> from gradclinic import init, numpy_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((3, 8, 2), "tanh")
    >>> params = init.mlp(spec, np.random.default_rng(0))
    >>> trace = numpy_net.forward(spec, params, np.ones((5, 3)))
    >>> found = numpy_net.backward(spec, params, trace, np.zeros(5, dtype=int))
    >>> [w.shape for w in found.weights], [d.shape for d in found.delta]
    ([(8, 3), (2, 8)], [(5, 8), (5, 2)])
    """
    phi = activations.get(spec.activation)
    value, delta_out = loss_and_delta(trace.output, y, loss)
    batch = trace.output.shape[-2]
    delta, d_weights, d_biases, d_gains, d_shifts = [delta_out], [], [], [], []
    skipped = np.zeros(())
    for layer in range(spec.depth, 0, -1):
        d_weights.append(_transpose(delta[-1]) @ trace.a[layer - 1] / batch)  # (..., n_out, n_in)
        d_biases.append(delta[-1].mean(axis=-2))
        g = delta[-1] @ params.weights[layer - 1]  # dC_i/da_{layer-1} through the affine map
        if spec.skips(layer):
            g = g + skipped  # and through the identity around this layer
        skipped = g
        if layer == 1:
            break
        below = layer - 2
        scale = spec.branch_scale if spec.skips(layer - 1) else 1.0
        g_n = scale * g * phi.slope(trace.n[below])
        if spec.normalization:
            d_gains.append(np.mean(g_n * trace.z_hat[below], axis=-2))
            d_shifts.append(g_n.mean(axis=-2))
            g_n = _normalise_backward(
                g_n * params.gains[below][..., None, :],
                trace.z_hat[below],
                trace.std[below],
                spec.normalization,
            )
        delta.append(g_n)
    weights, biases, gains, shifts, deltas = (
        tuple(reversed(part)) for part in (d_weights, d_biases, d_gains, d_shifts, delta)
    )
    return Gradients(value, weights, biases, gains, shifts, deltas, g)


def gradients(spec: MLP, params: Parameters, x: np.ndarray, y: np.ndarray, loss: str | None = None) -> Gradients:
    """Forward and backward in one call.

    >>> import numpy as np
    >>> from gradclinic import init, measure, numpy_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, *[8] * 12, 2), "sigmoid")
    >>> x = np.random.default_rng(1).normal(size=(20, 8))
    >>> y = np.zeros(20, dtype=int)
    >>> params = init.mlp(spec, np.random.default_rng(0), "glorot_normal")
    >>> found = numpy_net.gradients(spec, params, x, y)
    >>> sizes = [measure.sample_norm(delta) for delta in found.delta]
    >>> measure.verdict(np.array(sizes))
    'vanishing'
    """
    return backward(spec, params, forward(spec, params, x), y, loss)


@dataclass(frozen=True)
class RNNParameters:
    """Weights of an :class:`~gradclinic.spec.RNN`: ``recurrent`` ``(..., n, n)``, ``input`` ``(..., n, n_x)``, ``bias``
    ``(..., n)``, ``readout`` ``(..., n_y, n)``, ``readout_bias`` ``(..., n_y)``.
    """

    recurrent: np.ndarray
    input: np.ndarray
    bias: np.ndarray
    readout: np.ndarray
    readout_bias: np.ndarray


@dataclass(frozen=True)
class RNNGradients:
    """Gradients of one batch of sequences through time.

    ``delta[t]`` ``(..., T, batch, n)``: ``dC_i/dz_t`` at each step; ``hidden``: ``dC_i/dh_t``, same shape;
    ``recurrent`` ``(..., n, n)`` and the others: of the batch mean; ``recurrent_per_step`` ``(..., T, n, n)``: what
    each step contributes to ``recurrent`` (their sum).
    """

    loss: np.ndarray
    delta: np.ndarray
    hidden: np.ndarray
    recurrent: np.ndarray
    recurrent_per_step: np.ndarray
    input: np.ndarray
    bias: np.ndarray
    readout: np.ndarray
    readout_bias: np.ndarray


def rnn_forward(spec: RNN, params: RNNParameters, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run ``h_t = phi(W_h h_{t-1} + W_x x_t + b)`` from ``h_0 = 0`` over ``x``: ``(batch, T, inputs)``.

    Returns ``z`` ``(..., T, batch, n)``, ``h`` ``(..., T + 1, batch, n)`` with ``h[..., 0] = 0``, and the read-out of
    the last step ``(..., batch, outputs)``.

    >>> import numpy as np
    >>> from gradclinic import numpy_net
    >>> from gradclinic.spec import RNN
    >>> params = numpy_net.RNNParameters(
    ...     np.eye(4), np.ones((4, 2)), np.zeros(4), np.ones((1, 4)), np.zeros(1)
    ... )
    >>> z, h, output = numpy_net.rnn_forward(
    ...     RNN(2, 4, 1), params, np.zeros((3, 10, 2))
    ... )
    >>> z.shape, h.shape, output.shape
    ((10, 3, 4), (11, 3, 4), (3, 1))
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 3 or x.shape[-1] != spec.inputs:
        raise ValueError(f"x: got shape {x.shape}, wanted (batch, time, {spec.inputs})")
    phi = activations.get(spec.activation)
    lead, (batch, steps, _) = params.recurrent.shape[:-2], x.shape
    z = np.empty((*lead, steps, batch, spec.hidden))
    h = np.zeros((*lead, steps + 1, batch, spec.hidden))
    for t in range(steps):
        z[..., t, :, :] = (
            h[..., t, :, :] @ _transpose(params.recurrent)
            + x[:, t] @ _transpose(params.input)
            + params.bias[..., None, :]
        )
        h[..., t + 1, :, :] = phi(z[..., t, :, :])
    return z, h, h[..., -1, :, :] @ _transpose(params.readout) + params.readout_bias[..., None, :]


def rnn_gradients(
    spec: RNN, params: RNNParameters, x: np.ndarray, y: np.ndarray, loss: str | None = None
) -> RNNGradients:
    r"""Back-propagation through time (Werbos 1990) for a loss on the last step's read-out.

    :math:`\partial C_i/\partial h_{t-1} = W_h^T\,\delta_t`, :math:`\delta_t = \phi'(z_t) \odot \partial C_i/\partial
    h_t`, and :math:`\partial C/\partial W_h = \mathrm{mean}_i \sum_t \delta_t h_{t-1}^T`.

    >>> import numpy as np
    >>> from gradclinic import numpy_net
    >>> from gradclinic.spec import RNN
    >>> read_in, read_out = np.ones((4, 2)), np.ones((1, 4))
    >>> params = numpy_net.RNNParameters(
    ...     0.5 * np.eye(4), read_in, np.zeros(4), read_out, np.zeros(1)
    ... )
    >>> found = numpy_net.rnn_gradients(
    ...     RNN(2, 4, 1, "linear"), params, np.ones((3, 10, 2)), np.zeros((3, 1))
    ... )
    >>> size = np.linalg.norm(found.delta[:, 0], axis=-1)
    >>> (size[:-1] / size[1:]).round(12)
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    """
    z, h, output = rnn_forward(spec, params, x)
    phi = activations.get(spec.activation)
    value, delta_out = loss_and_delta(output, y, loss)
    batch, steps = x.shape[0], x.shape[1]
    hidden, delta = np.empty_like(z), np.empty_like(z)
    g = delta_out @ params.readout
    for t in range(steps - 1, -1, -1):
        hidden[..., t, :, :] = g
        delta[..., t, :, :] = g * phi.slope(z[..., t, :, :])
        g = delta[..., t, :, :] @ params.recurrent
    per_step = _transpose(delta) @ h[..., :-1, :, :] / batch
    time_first = np.moveaxis(np.asarray(x, dtype=np.float64), 1, 0)  # (T, batch, inputs)
    return RNNGradients(
        loss=value,
        delta=delta,
        hidden=hidden,
        recurrent=per_step.sum(axis=-3),
        recurrent_per_step=per_step,
        input=(_transpose(delta) @ time_first).sum(axis=-3) / batch,
        bias=delta.mean(axis=-2).sum(axis=-2),
        readout=_transpose(delta_out) @ h[..., -1, :, :] / batch,
        readout_bias=delta_out.mean(axis=-2),
    )
