r"""Recurrent networks with and without gates, many at once in PyTorch: gradient against lag, and training.

With :math:`a_t = W x_t + b` and a read-out :math:`V h_T + v` of the last step, the three kinds are

.. math::

    \text{tanh:}\quad & h_t = \tanh(a_t + U h_{t-1}) \\
    \text{lstm:}\quad & (i, f, g, o) = (\sigma, \sigma, \tanh, \sigma)(a_t + U h_{t-1}), \quad
    c_t = f \odot c_{t-1} + i \odot g, \quad h_t = o \odot \tanh c_t \\
    \text{gru:}\quad & (r, z) = \sigma(a_t + U h_{t-1})_{r, z}, \quad
    g = \tanh\bigl(a_t + r \odot (U h_{t-1} + b')\bigr)_g, \quad h_t = (1 - z) \odot g + z \odot h_{t-1}

(Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014 in the form of ``nn.GRU`` and
of Keras's ``reset_after=True``). Blocks stand in PyTorch's order: ``i f g o`` and ``r z g``. The *memory* is
:math:`c_t` in an LSTM and :math:`h_t` in the others; the *carry* gate is what multiplies it, ``f`` or ``z``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch

from gradclinic import init
from gradclinic.measure import sample_norm

BLOCKS = {"tanh": 1, "lstm": 4, "gru": 3}
SCHEMES = ("keras", "torch")
Array = Any  # np.ndarray where weights are drawn, torch.Tensor where they are trained
Task = Callable[[int, int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class GatedParameters:
    """Weights of one kind, ``k`` blocks of ``n`` units; any leading axes are an ensemble.

    ``input`` ``(..., k n, n_x)``, ``recurrent`` ``(..., k n, n)``, ``bias`` ``(..., k n)`` (a GRU has a fourth block,
    the bias ``b'`` inside the reset gate), ``readout`` ``(..., n_y, n)``, ``readout_bias`` ``(..., n_y)``.
    """

    input: Array
    recurrent: Array
    bias: Array
    readout: Array
    readout_bias: Array

    def map(self, function: Callable[[Array], Array]) -> GatedParameters:
        """The same parameters with ``function`` applied to each array."""
        return GatedParameters(*(function(getattr(self, field.name)) for field in fields(self)))


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}: got {value!r}, wanted one of {', '.join(known)}")


def draw(
    kind: str,
    rng: np.random.Generator,
    lead: tuple[int, ...],
    widths: tuple[int, int, int],
    *,
    carry_bias: float | None = None,
    scheme: str = "keras",
) -> GatedParameters:
    """Draw an ensemble of shape ``lead`` as a framework would; ``widths``: inputs, hidden, outputs.

    ``"keras"``: ``input`` Glorot uniform and ``recurrent`` orthogonal, either as one matrix over all blocks (so that a
    block has ``n`` times the variance of an entry equal to ``1/k``), biases 0 but for the forget gate's 1.
    ``"torch"``: everything uniform within ``1/sqrt(n)``, and each bias the sum of two such numbers, as PyTorch keeps
    two vectors (a GRU's last two blocks one each). ``carry_bias`` replaces the bias of the carry gate, if there is one.
    The read-out is Glorot uniform, bias 0, in both.

    >>> import numpy as np
    >>> from gradclinic import gated
    >>> params = gated.draw(
    ...     "lstm", np.random.default_rng(0), lead=(5,), widths=(2, 8, 1)
    ... )
    >>> params.input.shape, params.recurrent.shape, params.readout.shape
    ((5, 32, 2), (5, 32, 8), (5, 1, 8))
    """
    _check("kind", kind, tuple(BLOCKS))
    _check("scheme", scheme, SCHEMES)
    n_x, n, n_y = widths
    rows, bound = BLOCKS[kind] * n, n**-0.5
    extra = n if kind == "gru" else 0
    if scheme == "keras":
        first, recurrent = init.glorot_uniform((*lead, rows, n_x), rng), init.orthogonal((*lead, rows, n), rng)
        bias = np.zeros((*lead, rows + extra))
        if kind == "lstm":
            bias[..., n : 2 * n] = 1.0
    else:
        first, recurrent = (rng.uniform(-bound, bound, (*lead, rows, k)) for k in (n_x, n))
        both = rng.uniform(-bound, bound, (2, *lead, rows))
        summed = rows - extra
        parts = [both[..., :summed].sum(axis=0)] + [b[..., summed:] for b in both if extra]
        bias = np.concatenate(parts, axis=-1)
    if carry_bias is not None and kind != "tanh":
        bias[..., n : 2 * n] = carry_bias
    return GatedParameters(first, recurrent, bias, init.glorot_uniform((*lead, n_y, n), rng), np.zeros((*lead, n_y)))


def forward(kind: str, params: GatedParameters, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run ``E`` networks from a memory of 0 over ``x`` ``(batch, T, n_x)``; ``params`` hold tensors ``(E, ...)``.

    Returns the read-out ``(E, batch, n_y)`` and the memory after each step, ``T`` tensors ``(E, n, batch)``: units
    stand before samples so that a block of gates is one piece of storage.

    >>> import numpy as np
    >>> import torch
    >>> from gradclinic import gated
    >>> params = gated.draw("gru", np.random.default_rng(0), (5,), (2, 8, 1))
    >>> x = torch.zeros(3, 10, 2, dtype=torch.float64)
    >>> output, memory = gated.forward("gru", params.map(torch.as_tensor), x)
    >>> tuple(output.shape), len(memory), tuple(memory[-1].shape)
    ((5, 3, 1), 10, (5, 8, 3))
    """
    _check("kind", kind, tuple(BLOCKS))
    members, _, n = params.recurrent.shape
    batch, steps, _ = x.shape
    rows = BLOCKS[kind] * n
    flat = x.permute(2, 1, 0).flatten(1).expand(members, -1, -1)  # (E, n_x, T * batch)
    driven = torch.baddbmm(params.bias[:, :rows, None], params.input, flat).unflatten(-1, (steps, batch)).unbind(2)
    inner = params.bias[:, rows:, None]  # empty but for a GRU
    h = c = x.new_zeros(members, n, batch)
    memory = []
    for a in driven:
        if kind == "tanh":
            h = torch.tanh(torch.baddbmm(a, params.recurrent, h))
        elif kind == "lstm":
            i, f, g, o = torch.baddbmm(a, params.recurrent, h).split(n, 1)
            c = torch.addcmul(torch.sigmoid(f) * c, torch.sigmoid(i), torch.tanh(g))
            h = torch.sigmoid(o) * torch.tanh(c)
        else:
            u = torch.bmm(params.recurrent, h)
            r, z = torch.sigmoid(a[:, : 2 * n] + u[:, : 2 * n]).split(n, 1)
            g = torch.tanh(torch.addcmul(a[:, 2 * n :], r, u[:, 2 * n :] + inner))
            h = torch.lerp(g, h, z)
        memory.append(c if kind == "lstm" else h)
    return (params.readout @ h).mT + params.readout_bias[:, None, :], memory


def _flat(params: GatedParameters) -> tuple[tuple[int, ...], GatedParameters]:
    """Leading axes, and the parameters with those axes made one."""
    lead = params.recurrent.shape[:-2]
    return lead, params.map(lambda a: a.reshape(-1, *a.shape[len(lead) :]))


def memory_gradients(kind: str, params: GatedParameters, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Size of ``dC/dm_t`` for ``C_i = weights_i . h_T`` and ``m`` the memory: ``(..., T)``, rms over samples.

    ``x`` ``(batch, T, n_x)``; ``weights`` ``(batch, n)``. All paths count: along the memory and through the gates.

    >>> import numpy as np
    >>> from gradclinic import gated
    >>> rng = np.random.default_rng(0)
    >>> x, weights = rng.normal(size=(16, 100, 2)), rng.normal(size=(16, 8))
    >>> for kind in ("tanh", "lstm"):
    ...     params = gated.draw(kind, np.random.default_rng(0), (), (2, 8, 1))
    ...     size = gated.memory_gradients(kind, params, x, weights)
    ...     print(f"{kind}: {np.log10(size[0] / size[-1]):.0f} powers of ten")
    tanh: -16 powers of ten
    lstm: -8 powers of ten
    """
    lead, flat = _flat(params)
    n = flat.recurrent.shape[-1]
    if np.shape(weights) != (len(x), n):
        raise ValueError(f"weights: got shape {np.shape(weights)}, wanted {(len(x), n)}")
    tensors = flat.map(lambda a: torch.as_tensor(a).requires_grad_(True))
    identity = torch.eye(n, dtype=torch.float64).expand(len(flat.recurrent), -1, -1)
    plain = GatedParameters(tensors.input, tensors.recurrent, tensors.bias, identity, torch.zeros(1, n).double())
    h, memory = forward(kind, plain, torch.as_tensor(x))
    found = torch.autograd.grad((h * torch.as_tensor(weights)).sum(), memory)
    sizes = [sample_norm(g.mT.numpy()) for g in found]
    return np.stack(sizes, axis=-1).reshape(*lead, -1)


@dataclass(frozen=True)
class Learned:
    """What :func:`learn` found: errors ``(rates, ...)`` relative to knowing nothing, and the weights at the end.

    An error is 0 for a perfect answer and 1 for a constant one: the error rate over that of guessing, or the squared
    error over the variance of the target. ``params`` have the axes ``(rates, ...)``, NumPy. ``course`` ``(2, T, rates,
    ...)``: validation and test errors after each of the steps that were asked for.
    """

    rates: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    params: GatedParameters
    course: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def best(self) -> np.ndarray:
        """Index of the rate with the least median validation error over the last axis, ``(rates, ..., seeds)`` ->
        ``(...)``."""
        return np.argmin(np.median(self.validation, axis=-1), axis=0)

    @property
    def error(self) -> np.ndarray:
        """Test error at the chosen rate, ``(..., seeds)``."""
        return np.take_along_axis(self.test, self.best[None, ..., None], axis=0)[0]


def _relative_error(output: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    if y.is_floating_point():
        error = (output - y).square().mean((-1, -2)) / y.var(0, correction=0).mean()
    else:
        share = torch.bincount(y).max() / len(y)
        error = (output.argmax(-1) != y).double().mean(-1) / (1 - share)
    return error.double().numpy()


def _loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if y.is_floating_point():
        return (output - y).square().mean((-1, -2))
    return -torch.log_softmax(output, -1)[:, torch.arange(len(y)), y].mean(-1)


def learn(
    kind: str,
    params: GatedParameters,
    task: Task,
    length: int,
    *,
    rates: Sequence[float],
    steps: int,
    rng: np.random.Generator,
    batch: int = 16,
    held_out: int = 400,
    clip: float = 1.0,
    dtype: str = "float32",
    seen_at: Sequence[int] = (),
) -> Learned:
    """Train every network of ``params`` ``(..., seeds)`` at every rate, all at once, on the same fresh batches.

    ``task(n, length, rng)`` returns ``x`` ``(n, length, n_x)`` and labels ``(n,)`` or values ``(n, n_y)``. Adam
    (Kingma & Ba 2015, its usual constants) on the batch mean of the cross-entropy or of the squared error, each
    network's gradient clipped to the norm ``clip``. ``held_out`` sequences choose the rate, as many others test; errors
    are also kept after each of the steps ``seen_at`` (0: before the first).

    >>> import numpy as np
    >>> from gradclinic import gated
    >>> from gradclinic.course.data import latch
    >>> rng = np.random.default_rng(0)
    >>> params = gated.draw("lstm", rng, (3,), (1, 8, 2), carry_bias=1.0)
    >>> learned = gated.learn(
    ...     "lstm", params, latch, 10, rates=(0.01, 0.1), steps=5, rng=rng
    ... )
    >>> learned.test.shape, learned.best.shape
    ((2, 3), ())
    """
    lead, flat = _flat(params)
    kind_of = getattr(torch, dtype)

    def tensors(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = (torch.as_tensor(array) for array in task(n, length, rng))
        return x.to(kind_of), y.to(kind_of) if y.is_floating_point() else y

    validation, test = tensors(held_out), tensors(held_out)
    net = flat.map(
        lambda a: torch.as_tensor(np.concatenate([a] * len(rates)), dtype=kind_of).clone().requires_grad_(True)
    )
    weights = [getattr(net, field.name) for field in fields(net)]
    rate = torch.tensor(np.repeat(rates, len(flat.recurrent)), dtype=kind_of)
    mean, square = ([torch.zeros_like(w) for w in weights] for _ in range(2))

    def errors() -> np.ndarray:
        with torch.no_grad():
            return np.stack(
                [_relative_error(forward(kind, net, x)[0], y).reshape(-1, *lead) for x, y in (validation, test)]
            )

    course = [errors()] if 0 in seen_at else []
    for step in range(1, steps + 1):
        x, y = tensors(batch)
        grads = torch.autograd.grad(_loss(forward(kind, net, x)[0], y).sum(), weights)
        with torch.no_grad():
            norm = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
            scale = (clip / norm).clamp(max=1.0)
            for w, g, m, s in zip(weights, grads, mean, square, strict=True):
                each = (-1, *[1] * (w.ndim - 1))
                g = g * scale.view(each)
                m.lerp_(g, 0.1)
                s.lerp_(g * g, 0.001)
                w -= rate.view(each) * (m / (1 - 0.9**step)) / ((s / (1 - 0.999**step)).sqrt() + 1e-8)
        if step in seen_at:
            course.append(errors())
    trained = net.map(lambda w: w.detach().double().numpy().reshape(-1, *lead, *w.shape[1:]))
    kept = np.stack(course, axis=1) if course else np.empty((2, 0, len(rates), *lead))
    validation_error, test_error = errors()
    return Learned(np.asarray(rates), validation_error, test_error, trained, kept)


@dataclass(frozen=True)
class Trial:
    """One row of a comparison, an entry per carry bias: the gradient over the whole sequence, and what was learned.

    ``before``, ``after`` ``(biases,)``: log10 of ``|dC/dm_1| / |dC/dm_T|``, median over seeds, before training and
    after it at the last of the rates. ``error`` ``(biases, seeds)``: test error at the chosen rate, see
    :class:`Learned`.
    """

    before: np.ndarray
    after: np.ndarray
    error: np.ndarray


def trial(
    kind: str,
    carry_biases: Sequence[float],
    task: Task,
    length: int,
    widths: tuple[int, int, int],
    *,
    rng: np.random.Generator,
    seeds: int = 5,
    input_bias: float | None = None,
    **options: object,
) -> Trial:
    """Train the same ``seeds`` networks of :func:`draw` from each carry bias, on the same sequences.

    ``input_bias``: bias of an LSTM's input gate. ``options`` go to :func:`learn`. A tanh network has no gate: its
    rows are equal.

    >>> import numpy as np
    >>> from gradclinic import gated
    >>> from gradclinic.course.data import latch
    >>> options = {"rates": (0.1,), "steps": 5, "rng": np.random.default_rng(0)}
    >>> row = gated.trial("lstm", (0.0, 2.0), latch, 10, (1, 8, 2), **options)
    >>> row.before.shape, row.error.shape
    ((2,), (2, 5))
    """
    if input_bias is not None and kind != "lstm":
        raise ValueError(f"input_bias: got {input_bias} for {kind!r}, wanted an LSTM, which alone has an input gate")
    n = widths[1]
    params = draw(kind, rng, (1, seeds), widths).map(lambda a: np.repeat(a, len(carry_biases), axis=0))
    if kind != "tanh":
        params.bias[..., n : 2 * n] = np.asarray(carry_biases)[:, None, None]
    if input_bias is not None:
        params.bias[..., :n] = input_bias
    x, _ = task(20, length, rng)
    weights = rng.standard_normal((20, n))

    def over_the_sequence(p: GatedParameters) -> np.ndarray:
        sizes = memory_gradients(kind, p, x, weights)
        return np.log10(np.median(sizes[..., 0] / sizes[..., -1], axis=-1))

    before = over_the_sequence(params)
    found = learn(kind, params, task, length, rng=rng, **{"batch": 16, "held_out": 200, **options})
    return Trial(before, over_the_sequence(found.params.map(lambda a: a[-1])), found.error)
