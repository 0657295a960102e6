"""The networks of :mod:`gradclinic.spec` in PyTorch, and the instrument for PyTorch modules.

``build``, ``load``, ``profile`` and ``train`` have twins of the same name and meaning in :mod:`gradclinic.tf_net`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, overload

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gradclinic.measure import GradientProfile, History, profile_from
from gradclinic.numpy_net import EPSILON, RNNParameters
from gradclinic.spec import MLP, RNN, Parameters, check_parameters

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01 on the left
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
}


class EnsembleLinear(nn.Module):
    """``E`` linear layers at once: ``z = a W^T + b`` with ``W`` ``(E, n_out, n_in)`` and ``b`` ``(E, n_out)``."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, members: int, n_in: int, n_out: int, bias: bool, dtype: torch.dtype) -> None:
        """Allocate zeros; :func:`load` brings the numbers."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, n_out, n_in, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(members, n_out, dtype=dtype)) if bias else None

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        """``a``: ``(batch, n_in)`` or ``(E, batch, n_in)`` -> ``(E, batch, n_out)``."""
        if self.bias is None:
            return a @ self.weight.mT
        return torch.baddbmm(self.bias[:, None, :], a.expand(len(self.weight), -1, -1), self.weight.mT)


class Normalization(nn.Module):
    """Batch or layer normalisation with gain and shift, for one network ``(batch, n)`` or an ensemble ``(E, batch,
    n)``."""

    kind: str
    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, kind: str, width: int, members: int | None, dtype: torch.dtype) -> None:
        """Start with gain 1, shift 0 and running statistics of a standard normal."""
        super().__init__()
        self.kind = kind
        shape = (width,) if members is None else (members, width)
        self.weight = nn.Parameter(torch.ones(shape, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(shape, dtype=dtype))
        if kind == "batch":
            self.register_buffer("running_mean", torch.zeros(self.weight.numel(), dtype=dtype))
            self.register_buffer("running_var", torch.ones(self.weight.numel(), dtype=dtype))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Normalise over the batch axis (running statistics in evaluation mode) or over the units."""
        if self.kind == "layer":
            z_hat = functional.layer_norm(z, z.shape[-1:], eps=EPSILON)
            return torch.addcmul(self.bias.unsqueeze(-2), z_hat, self.weight.unsqueeze(-2))
        columns = z if z.ndim == 2 else z.transpose(0, 1).flatten(1)  # (batch, E * n)
        out = functional.batch_norm(
            columns,
            self.running_mean,
            self.running_var,
            self.weight.flatten(),
            self.bias.flatten(),
            training=self.training,
            eps=EPSILON,
        )
        return out if z.ndim == 2 else out.unflatten(1, self.weight.shape).transpose(0, 1)


class MLPNet(nn.Module):
    """The module :func:`build` makes of an :class:`~gradclinic.spec.MLP`: ``linears``, ``norms``, ``activations``, in
    order."""

    spec: MLP
    members: int | None
    linears: Any  # nn.ModuleList, whose entries PyTorch declares as modules without weights
    norms: Any
    activations: nn.ModuleList

    def __init__(self, spec: MLP, members: int | None, dtype: torch.dtype) -> None:
        """Build the layers with PyTorch's own default initialisation."""
        super().__init__()
        self.spec, self.members = spec, members
        pairs = list(zip(spec.widths[:-1], spec.widths[1:], strict=True))
        self.linears = nn.ModuleList(
            nn.Linear(n_in, n_out, bias=spec.bias, dtype=dtype)
            if members is None
            else EnsembleLinear(members, n_in, n_out, spec.bias, dtype)
            for n_in, n_out in pairs
        )
        self.norms = nn.ModuleList(
            Normalization(spec.normalization, n, members, dtype) if spec.normalization else nn.Identity()
            for n in spec.widths[1:-1]
        )
        self.activations = nn.ModuleList(ACTIVATIONS[spec.activation]() for _ in spec.widths[1:-1])

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        """``(batch, n_0)`` -> ``(batch, n_L)``, or ``(E, batch, n_L)`` for an ensemble."""
        layers = zip(self.linears[:-1], self.norms, self.activations, strict=True)
        for layer, (linear, norm, activation) in enumerate(layers, start=1):
            branch = activation(norm(linear(a)))
            a = torch.add(a, branch, alpha=self.spec.branch_scale) if self.spec.skips(layer) else branch
        return self.linears[-1](a)


class RNNNet(nn.Module):
    """The module :func:`build` makes of an :class:`~gradclinic.spec.RNN`; ``states`` keeps ``z_t`` of the last call."""

    spec: RNN
    recurrent: nn.Linear
    input: nn.Linear
    readout: nn.Linear
    activation: nn.Module

    def __init__(self, spec: RNN, dtype: torch.dtype) -> None:
        """Build ``recurrent`` (no bias), ``input`` and ``readout``."""
        super().__init__()
        self.spec = spec
        self.recurrent = nn.Linear(spec.hidden, spec.hidden, bias=False, dtype=dtype)
        self.input = nn.Linear(spec.inputs, spec.hidden, dtype=dtype)
        self.readout = nn.Linear(spec.hidden, spec.outputs, dtype=dtype)
        self.activation = ACTIVATIONS[spec.activation]()
        self.states: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, T, inputs)`` -> ``(batch, outputs)``."""
        h = x.new_zeros(x.shape[0], self.spec.hidden)
        self.states = []
        for t in range(x.shape[1]):
            z = self.recurrent(h) + self.input(x[:, t])
            self.states.append(z)
            h = self.activation(z)
        return self.readout(h)


@overload
def build(spec: MLP, params: Parameters | None = None, *, dtype: str = "float64") -> MLPNet: ...
@overload
def build(spec: RNN, params: RNNParameters | None = None, *, dtype: str = "float64") -> RNNNet: ...
def build(spec: MLP | RNN, params: Any = None, *, dtype: str = "float64") -> MLPNet | RNNNet:
    """Make a module of ``spec``; with ``params`` its weights are loaded and fix the size of the ensemble.

    Without ``params`` the weights are PyTorch's own default (``nn.Linear``: uniform within ``1/sqrt(fan_in)``).

    >>> import numpy as np
    >>> from gradclinic import init, torch_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, 16, 16, 2), "relu")
    >>> model = torch_net.build(spec, init.mlp(spec, np.random.default_rng(0)))
    >>> [tuple(linear.weight.shape) for linear in model.linears]
    [(16, 8), (16, 16), (2, 16)]
    """
    kind = getattr(torch, dtype)
    if isinstance(spec, RNN):
        model: MLPNet | RNNNet = RNNNet(spec, kind)
    elif isinstance(spec, MLP):
        model = MLPNet(spec, None if params is None else params.members, kind)
    else:
        raise TypeError(f"spec: got {type(spec).__name__}, wanted gradclinic.spec.MLP or RNN")
    return model if params is None else load(model, params)


@overload
def load(model: MLPNet, params: Parameters) -> MLPNet: ...
@overload
def load(model: RNNNet, params: RNNParameters) -> RNNNet: ...
def load(model: MLPNet | RNNNet, params: Any) -> MLPNet | RNNNet:
    """Copy weights drawn in NumPy into ``model`` and return it. ``ValueError`` where a shape does not fit.

    >>> import numpy as np
    >>> from gradclinic import init, torch_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, 16, 2))
    >>> params = init.mlp(spec, np.random.default_rng(0))
    >>> model = torch_net.load(torch_net.build(spec), params)
    >>> bool((model.linears[0].weight.detach().numpy() == params.weights[0]).all())
    True
    """
    pairs: list[tuple[Any, np.ndarray]]
    if isinstance(model, RNNNet):
        pairs = [
            (model.recurrent.weight, params.recurrent),
            (model.input.weight, params.input),
            (model.input.bias, params.bias),
            (model.readout.weight, params.readout),
            (model.readout.bias, params.readout_bias),
        ]
    else:
        check_parameters(model.spec, params, () if model.members is None else (model.members,))
        pairs = [(m.weight, w) for m, w in zip(model.linears, params.weights, strict=True)]
        if model.spec.bias:
            pairs += [(m.bias, b) for m, b in zip(model.linears, params.biases, strict=True)]
        if model.spec.normalization:
            pairs += [(m.weight, g) for m, g in zip(model.norms, params.gains, strict=True)]
            pairs += [(m.bias, s) for m, s in zip(model.norms, params.shifts, strict=True)]
    with torch.no_grad():
        for target, source in pairs:
            if tuple(target.shape) != np.shape(source):
                raise ValueError(f"params: got an array of shape {np.shape(source)}, wanted {tuple(target.shape)}")
            target.copy_(torch.as_tensor(np.asarray(source)))
    return model


def loss_function(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Batch-mean loss per member: softmax cross-entropy for integer ``y``, ``(1/2)||output - y||^2`` for float ``y``.

    ``output``: ``(..., batch, n)`` -> ``(...)``.

    >>> import torch
    >>> from gradclinic import torch_net
    >>> loss = torch_net.loss_function(torch.zeros(5, 10), torch.arange(5))
    >>> round(loss.item(), 4)
    2.3026
    """
    if y.is_floating_point():
        if y.shape[-2:] != output.shape[-2:]:
            raise ValueError(f"y: got shape {tuple(y.shape)}, wanted (..., {output.shape[-2]}, {output.shape[-1]})")
        return 0.5 * (output - y).square().sum(-1).mean(-1)
    if y.shape != output.shape[-2:-1]:
        raise ValueError(f"y: got shape {tuple(y.shape)}, wanted one label per sample, ({output.shape[-2]},)")
    every = functional.cross_entropy(output.flatten(0, -2), y.expand(output.shape[:-1]).flatten(), reduction="none")
    return every.view(output.shape[:-1]).mean(-1)


def _tensors(model: nn.Module, x: Any, y: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets on the model's device; floats in the model's precision, labels as int64."""
    like = next(model.parameters())
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    x = x.to(like) if x.is_floating_point() else x.to(like.device)
    return x, (y.to(like) if y.is_floating_point() else y.to(like.device, torch.int64))


@contextlib.contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Put running statistics and other buffers back as they were."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    kinds = (nn.Linear, EnsembleLinear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    found: list[tuple[str, nn.Module]]
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, kinds)]
    if not found:
        raise ValueError("model: got a module without Linear or Conv layers, wanted at least one")
    if isinstance(model, MLPNet):
        return list(zip(model.spec.names, model.linears, strict=True))
    return found


def profile(
    model: nn.Module,
    x: np.ndarray | torch.Tensor,
    y: np.ndarray | torch.Tensor,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
) -> GradientProfile:
    """One batch through ``model``: the gradient in each linear or convolutional layer, in the order of their first
    call.

    ``delta`` is taken at the layer's output ``z`` (for convolutions over channels and positions together); a layer
    that runs twice raises ``ValueError``. An :class:`RNNNet` gives one entry per time step, with ``weight`` the
    step's own contribution to ``dC/dW_h``. ``loss(output, y)`` returns the batch mean (one value per member of an
    ensemble); ``None`` means :func:`loss_function`. Parameters, their ``.grad``, buffers and mode are left as they
    were.

    >>> import numpy as np
    >>> from gradclinic import init, torch_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, *[8] * 12, 2), "sigmoid")
    >>> x = np.random.default_rng(1).normal(size=(20, 8))
    >>> y = np.zeros(20, dtype=int)
    >>> params = init.mlp(spec, np.random.default_rng(0), "glorot_normal")
    >>> profile = torch_net.profile(torch_net.build(spec, params), x, y)
    >>> profile.delta.shape, profile.verdict
    ((13,), 'vanishing')
    """
    loss = loss or loss_function
    inputs, targets = _tensors(model, x, y)
    if isinstance(model, RNNNet):
        return _profile_through_time(model, inputs, targets, loss)
    seen: dict[str, tuple[nn.Module, torch.Tensor]] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple, torch.Tensor], torch.Tensor]:
        def hook(module: nn.Module, _: tuple, z: torch.Tensor) -> torch.Tensor:
            if name in seen:
                raise ValueError(f"model: layer {name} ran twice in one forward pass, wanted each layer once")
            seen[name] = (module, z)
            return z.clone()  # a later in-place activation must not overwrite what is measured

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in _layers(model)]
    try:
        with _untouched(model), torch.enable_grad():
            value = loss(model(inputs), targets)
            z = [z for _, z in seen.values()]
            weights: list[Any] = [module.weight for module, _ in seen.values()]
            found = torch.autograd.grad(value.sum(), z + weights)
    finally:
        for handle in handles:
            handle.remove()
    ensemble = isinstance(model, MLPNet) and model.members is not None
    batch = inputs.shape[-2] if ensemble else inputs.shape[0]
    arrays = [_array(g if ensemble else g.flatten(1)) for g in found]  # (batch, units) and (n_out, n_in)
    return profile_from(list(seen), [batch * d for d in arrays[: len(z)]], arrays[len(z) :], _array(value)[()])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy()


def _profile_through_time(
    model: RNNNet, x: torch.Tensor, y: torch.Tensor, loss: Callable[..., torch.Tensor]
) -> GradientProfile:
    value = loss(model(x), y)
    delta = [g * len(x) for g in torch.autograd.grad(value, model.states)]
    before = [torch.zeros_like(delta[0]), *(model.activation(z) for z in model.states[:-1])]  # h_{t-1}
    grads = [d.mT @ h / len(x) for d, h in zip(delta, before, strict=True)]
    names = [f"t = {t}" for t in range(1, len(delta) + 1)]
    return profile_from(names, map(_array, delta), map(_array, grads), _array(value)[()])


def train(
    model: nn.Module,
    x: np.ndarray,
    y: np.ndarray,
    *,
    steps: int,
    lr: float,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    optimizer: str | Callable[..., torch.optim.Optimizer] = "sgd",
    batch_size: int | None = None,
    rng: np.random.Generator | None = None,
    each_step: Callable[[int, nn.Module], None] | None = None,
) -> History:
    """Train in place for ``steps`` steps of size ``lr`` and return the loss before each step.

    Full batch unless ``batch_size`` is given; then ``rng`` draws each batch, the same in both frameworks. Members of an
    ensemble share the batches and nothing else: the summed loss gives each its own gradient. ``optimizer`` is a name
    of :data:`OPTIMIZERS` or a callable ``(parameters, lr=...)``. ``each_step(step, model)`` runs after each step.

    >>> import numpy as np
    >>> from gradclinic import init, torch_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((8, 16, 2), "relu")
    >>> x = np.random.default_rng(1).normal(size=(50, 8))
    >>> model = torch_net.build(spec, init.mlp(spec, np.random.default_rng(0)))
    >>> history = torch_net.train(
    ...     model, x, (x[:, 0] > 0).astype(int), steps=50, lr=0.5
    ... )
    >>> history.loss.shape, bool(history.loss[-1] < 0.2 * history.loss[0])
    ((50,), True)
    """
    loss = loss or loss_function
    inputs, targets = _tensors(model, x, y)
    make = OPTIMIZERS.get(optimizer) if isinstance(optimizer, str) else optimizer
    if make is None:
        raise ValueError(f"optimizer: got {optimizer!r}, wanted one of {', '.join(OPTIMIZERS)} or a callable")
    if batch_size is not None and rng is None:
        raise ValueError("rng: got None, wanted a numpy Generator to draw the batches")
    rule = make(model.parameters(), lr=lr)
    losses = []
    for step in range(steps):
        rows = slice(None) if batch_size is None or rng is None else rng.choice(len(targets), batch_size, replace=False)
        rule.zero_grad(set_to_none=True)
        value = loss(model(inputs[rows]), targets[rows])
        value.sum().backward()
        rule.step()
        losses.append(_array(value)[()])
        if each_step is not None:
            each_step(step, model)
    return History(np.array(losses))


def accuracy(model: nn.Module, x: np.ndarray, y: np.ndarray) -> float | np.ndarray:
    """Share of correct labels in evaluation mode, ``(...)`` for an ensemble; the mode is put back.

    >>> import numpy as np
    >>> from gradclinic import init, torch_net
    >>> from gradclinic.spec import MLP
    >>> spec = MLP((2, 2))
    >>> model = torch_net.build(spec, init.mlp(spec, np.random.default_rng(0)))
    >>> x = np.random.default_rng(1).normal(size=(100, 2))
    >>> labels = (x @ model.linears[0].weight.detach().numpy().T).argmax(axis=1)
    >>> torch_net.accuracy(model, x, labels)
    1.0
    """
    inputs, targets = _tensors(model, x, y)
    mode = model.training
    model.eval()
    with torch.no_grad():
        right = (model(inputs).argmax(-1) == targets).double().mean(-1).numpy()
    model.train(mode)
    return float(right) if right.ndim == 0 else right
