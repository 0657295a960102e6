"""The instrument for any PyTorch module: one batch (:func:`probe`) or a training run (:func:`watch`).

Three of PyTorch's own means are used and nothing in the model is replaced: forward hooks see what each module hands on,
tensor hooks see the gradient that comes back to it, and a ``TorchFunctionMode`` sees the functions in between, so that
``torch.relu(x)`` inside a reader's ``forward`` counts like ``nn.ReLU``. Tensor hooks are set before an in-place
activation can overwrite the tensor; PyTorch then gives them the gradient of the value before it was overwritten.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gradclinic.instrument import report as reports
from gradclinic.instrument.report import Addition, LayerReading, NonFinite, Report, Watched, read_tensor

ELEMENTWISE = frozenset(
    {
        "celu", "elu", "expit", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish",
        "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh", "threshold",
    }
)  # fmt: skip
KEEPS_STREAM = ELEMENTWISE | {"dropout", "layer_norm", "batch_norm", "group_norm", "rms_norm", "contiguous", "clone"}
MAKES_MASKS = frozenset(
    (
        "empty",
        "empty_like",
        "fill",
        "full",
        "full_like",
        "masked_fill",
        "new_empty",
        "new_full",
        "tril",
        "triu",
        "where",
    )
)
CHANNELS_FIRST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CHANNELS_FIRST += (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm)
CHANNELS_FIRST += (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def _tensors_in(value: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested tuples, lists, dicts and dataclasses, with the expression that reaches it."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, nn.utils.rnn.PackedSequence):
        yield name, value.data
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors_in(part, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        for i, part in enumerate(value):
            yield from _tensors_in(part, f"{name}[{i}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from _tensors_in(getattr(value, part.name), f"{name}.{part.name}")


def _floats(value: object) -> list[torch.Tensor]:
    return [t for _, t in _tensors_in(value) if t.is_floating_point()]


def _norm(t: torch.Tensor) -> torch.Tensor:
    """L2 norm of all entries as a float64 scalar on the same device, safe against under- and overflow."""
    t = t.detach()
    t = t.cpu() if t.device.type == "mps" else t  # which has no float64
    if t.numel() == 0:
        return t.new_zeros((), dtype=torch.float64)
    if t.dtype != torch.float64:  # squares of all narrower formats fit into float64
        return torch.linalg.vector_norm(t, dtype=torch.float64)
    peak = t.abs().amax()
    safe = torch.where((peak > 0) & torch.isfinite(peak), peak, 1.0)
    return safe * torch.linalg.vector_norm(t / safe)


def _quick_norm(t: torch.Tensor) -> torch.Tensor | float:
    """:func:`_norm` at the speed of the tensor's own precision, where that is safe; for use between training steps."""
    if t.dtype is torch.float32 and t.device.type == "cpu":
        size = float(torch.linalg.vector_norm(t.detach()))
        if 1e-15 < size < 1e15:  # far from where squares under- or overflow
            return size
    return _norm(t)


def _bad(t: torch.Tensor) -> torch.Tensor:
    """Number of entries that are not finite, as a scalar on the same device."""
    t = t.detach()
    return t.numel() - torch.isfinite(t).sum()


def _kind(t: torch.Tensor) -> str:
    return "nan" if bool(torch.isnan(t.detach()).any()) else "inf"


def _numpy(t: torch.Tensor) -> np.ndarray:
    t = t.detach().cpu()
    return (t.double() if t.dtype is torch.bfloat16 else t).numpy()


def _all_finite(value: object) -> bool:
    return all(bool(torch.isfinite(t.detach()).all()) for t in _floats(value))


def _slope(function: Callable, z: torch.Tensor, arguments: tuple, options: dict[str, Any]) -> torch.Tensor:
    """Slope of an elementwise function at each entry of ``z``, by autograd on a copy."""
    # A checkpoint counts what is saved for the backward pass; what is saved here is not for it.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        at = z.detach().to(torch.promote_types(z.dtype, torch.float32)).clone().requires_grad_()
        return torch.autograd.grad(function(at.clone(), *arguments, **options).sum(), at)[0]


@dataclass
class _Bend:
    """One use of an activation function: its name, and what it did to the batch."""

    function: str
    dead: torch.Tensor | None
    saturated: torch.Tensor
    size: torch.Tensor
    entries: int


@dataclass
class _Call:
    """One call of a module: norms of what it returned and of the gradients that came back."""

    sizes: list[torch.Tensor]
    entries: int
    bad: list[torch.Tensor]
    dtype: str
    deltas: list[torch.Tensor] = field(default_factory=list)
    bad_deltas: list[torch.Tensor] = field(default_factory=list)
    bends: list[_Bend] = field(default_factory=list)


@dataclass
class _Operation:
    """One function call: where, of what, and whether the gradient of its result was finite."""

    name: str
    place: str
    parents: tuple[int, ...]
    gradient_finite: bool | None = None


class Recorder(TorchFunctionMode):
    """What one forward and backward pass shows. Use as a context around the forward pass.

    ``thorough`` also follows every single function, to find skip connections and the operation that made the first
    nan or inf; it waits for the device after each of them. Otherwise only scalars on the device are kept, read by
    :meth:`layers`.
    """

    def __init__(self, model: nn.Module, *, thorough: bool) -> None:
        """Prepare for ``model``; nothing is attached before the context is entered."""
        super().__init__()
        self.model, self.thorough = model, thorough
        self.norm = _norm if thorough else _quick_norm
        self.names = {module: name for name, module in model.named_modules()}
        self.calls: dict[nn.Module, list[_Call]] = {}
        self.times: dict[nn.Module, torch.Tensor] = {}
        self.sequences: list[torch.Tensor] = []  # inputs that only here require a gradient
        self.path: list[nn.Module] = []
        self.stage = "forward"
        self.last: tuple[nn.Module, _Call] | None = None
        self.additions: list[Addition] = []
        self.operations: list[_Operation] = []
        self.fresh: list[tuple[int, str, str, str, str]] = []  # (clock, stage, module, operation, kind)
        self.broken: tuple[int, str, str] | None = None  # first module with a bad output: (clock, module, kind)
        self.broken_gradient: tuple[int, str] | None = None  # (operation, kind)
        self._makers: dict[int, int] = {}  # id of a tensor -> index of the operation that made it
        self._stream: set[int] = set()
        self._kept: list[torch.Tensor] = []  # ids stay unique while the tensors live
        self._clock = 0
        self._handles: list[Any] = []
        self._open = False

    def name(self, module: nn.Module) -> str:
        """Dotted name of a module; the model itself goes by its class."""
        return self.names.get(module) or type(self.model).__name__

    def place(self, module: nn.Module) -> str:
        """Name of a module with its class, ``"encoder.2 (Log)"``."""
        name, kind = self.names.get(module), type(module).__name__
        return f"{name} ({kind})" if name else kind

    def __enter__(self) -> Recorder:
        """Attach hooks: to every module if thorough, else to those with parameters."""
        for module in self.names:
            if self.thorough or module._parameters:
                if self.thorough or isinstance(module, nn.RNNBase):
                    self._handles.append(module.register_forward_pre_hook(self._before))
                self._handles.append(module.register_forward_hook(self._after))
        self._open = True
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        """Detach them; tensor hooks go with the graph."""
        self.pause()
        self.detach()

    def pause(self) -> None:
        """End the forward pass, with the hooks still in place: PyTorch may be walking through them."""
        self._open = False
        super().__exit__(None, None, None)
        for part in (self._kept, self._makers, self._stream):
            part.clear()  # or the graph, through its hooks, would keep itself alive

    def detach(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _before(self, module: nn.Module, arguments: tuple) -> tuple | None:
        if not self._open:  # a checkpoint that computes again during the backward pass
            return None
        self.path.append(module)
        if not isinstance(module, nn.RNNBase) or not arguments or not isinstance(arguments[0], torch.Tensor):
            return None
        x = arguments[0]
        if not (torch.is_grad_enabled() and x.is_floating_point()):
            return None
        if not x.requires_grad:  # only so is there a gradient to follow through time
            x = x.detach().requires_grad_()
            self.sequences.append(x)
        time = 1 if x.ndim == 3 and module.batch_first else 0
        x.register_hook(partial(self._through_time, module, time))
        return (x, *arguments[1:])

    def _through_time(self, module: nn.Module, axis: int, gradient: torch.Tensor) -> None:
        steps = gradient.detach().movedim(axis, 0).flatten(1)
        self.times[module] = torch.linalg.vector_norm(steps, dim=1, dtype=torch.float64)

    def _after(self, module: nn.Module, _: tuple, output: object) -> None:
        if self._open:
            with torch._C.DisableTorchFunction():  # what is computed here is no part of the model
                self._note(module, output)

    def _note(self, module: nn.Module, output: object) -> None:
        if self.thorough and self.path and self.path[-1] is module:
            self.path.pop()
        owns = any(p is not None for p in module._parameters.values())
        if not (owns or self.thorough):
            return
        found = _floats(output)
        sizes = [self.norm(t) for t in found]
        call = _Call(sizes, sum(t.numel() for t in found), self._counts(found, sizes), "")
        call.dtype = str(found[0].dtype).removeprefix("torch.") if found else ""
        self.calls.setdefault(module, []).append(call)
        for t in found:
            if t.requires_grad:
                t.register_hook(partial(self._back, call))
        if owns and "parametrizations" not in self.names[module].split("."):
            self.last = (module, call)
        if self.thorough:
            self._clock += 1
            if self.broken is None and any(int(n) for n in call.bad):
                self.broken = (self._clock, self.place(module), next(_kind(t) for t in found if int(_bad(t))))

    def _counts(self, tensors: list[torch.Tensor], sizes: list[torch.Tensor]) -> list[torch.Tensor]:
        """Entries that are not finite; unless thorough, only whether there are any, which the norm tells for free."""
        if self.thorough:
            return [_bad(t) for t in tensors]
        return [not math.isfinite(s) if isinstance(s, float) else ~torch.isfinite(s) for s in sizes]

    def _back(self, call: _Call, gradient: torch.Tensor) -> None:
        call.deltas.append(self.norm(gradient))
        call.bad_deltas += self._counts([gradient], call.deltas[-1:])

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """See one function; PyTorch switches the mode off while this runs."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "__get__" or not self._open:
            return func(*args, **kwargs)
        plain = name.strip("_")
        plain = (
            plain[1:]
            if name.startswith("__i") and plain == "iadd"
            else plain.removeprefix("r")
            if plain == "radd"
            else plain
        )
        z = args[0] if args else kwargs.get("input")
        bend = None
        if plain in ELEMENTWISE and isinstance(z, torch.Tensor) and z.is_floating_point() and self.stage == "forward":
            bend = self._bend(func, plain, z, args[1:], kwargs)
        out = self._followed(func, name, plain, args, kwargs) if self.thorough else func(*args, **kwargs)
        if bend is not None and isinstance(out, torch.Tensor) and self.last is not None:
            bend.size = self.norm(out)
            self.last[1].bends.append(bend)
        return out

    def _bend(self, func: Callable, name: str, z: torch.Tensor, rest: tuple, options: dict) -> _Bend | None:
        """Measure an activation function at ``z``, before it can overwrite ``z``."""
        arguments = tuple(a for a in rest if not isinstance(a, bool))  # a bool is `inplace` or `training`
        options = {k: v for k, v in options.items() if k not in ("input", "inplace", "training")}
        name = "sigmoid" if name == "expit" else name
        if name == "relu":  # the common case, without autograd
            off = flat = z.detach() <= 0
        else:
            slope = _slope(func, z, arguments, options)
            off, flat = slope == 0, slope.abs() < reports.SLOPE_SHARE * reports.LARGEST_SLOPES.get(name, 1.0)
        dead = None
        if name in reports.ONE_SIDED and z.ndim >= 2:
            channels = self.last is not None and isinstance(self.last[0], CHANNELS_FIRST) and z.ndim >= 3
            axis = 1 if channels else z.ndim - 1
            units = off.all(tuple(i for i in range(z.ndim) if i != axis))
            dead = units.count_nonzero() / units.numel()
        return _Bend(name, dead, flat.count_nonzero() / max(1, flat.numel()), None, z.numel())

    def _followed(self, func: Callable, name: str, plain: str, args: tuple, kwargs: dict) -> Any:
        """Call a function and note what it made of its inputs."""
        given = _floats((args, kwargs))
        sound = _all_finite(given) if name.endswith("_") else None  # what works in place must be looked at before
        terms = [t for t in args[:2] if isinstance(t, torch.Tensor)] if plain == "add" else []
        chained = next((t for t in terms if id(t) in self._stream), None)
        summed = len(terms) == 2 and terms[0].shape == terms[1].shape and terms[0].ndim >= 2
        sizes = (
            [float(_norm(t)) / math.sqrt(max(1, t.numel())) for t in terms] if summed and chained is not None else []
        )
        parents = tuple(self._makers[id(t)] for t in given if id(t) in self._makers)
        keeps = plain in KEEPS_STREAM and bool(args) and id(args[0]) in self._stream
        out = func(*args, **kwargs)
        place = self.place(self.path[-1] if self.path else self.model)
        self._clock += 1
        for t in _floats(out):
            self._kept.append(t)
            if t.requires_grad and not t.is_leaf:
                self._makers[id(t)] = len(self.operations)
                self.operations.append(_Operation(plain, place, parents))
                t.register_hook(partial(self._gradient_of, len(self.operations) - 1))
            if plain not in MAKES_MASKS and not _all_finite(t):
                sound = _all_finite(given) if sound is None else sound
                if sound:
                    self.fresh.append((self._clock, self.stage, place, plain, _kind(t)))
        if isinstance(out, torch.Tensor):
            if summed and self.stage == "forward" and out.is_floating_point():
                if sizes:
                    stream, branch = sizes if chained is terms[0] else sizes[::-1]
                    total = float(_norm(out)) / math.sqrt(max(1, out.numel()))
                    self.additions.append(Addition(place, stream, branch, total))
                self._stream.add(id(out))
            elif keeps:
                self._stream.add(id(out))
        return out

    def _gradient_of(self, index: int, gradient: torch.Tensor) -> None:
        finite = bool(torch.isfinite(gradient.detach()).all())
        self.operations[index].gradient_finite = finite
        if not finite and self.broken_gradient is None:
            self.broken_gradient = (index, _kind(gradient))

    def first_forward(self, loss: torch.Tensor | None) -> NonFinite | None:
        """Where the forward pass or the loss left the finite numbers; an additive mask of -inf is none."""
        if self.broken is not None:
            clock, place, kind = self.broken
            made = [entry for entry in self.fresh if entry[0] <= clock]
            if made:
                _, _, place, operation, kind = made[-1]
                return NonFinite("forward", place, kind, operation)
            return NonFinite("forward", place, kind)
        if loss is not None and not _all_finite(loss):
            made = [entry for entry in self.fresh if entry[1] == "loss"]
            return NonFinite("loss", "loss", _kind(loss), made[-1][3] if made else None)
        return None

    def first_backward(self) -> NonFinite | None:
        """The operation whose backward step made the first nan or inf out of finite gradients."""
        if self.broken_gradient is None:
            return None
        index, kind = self.broken_gradient
        users = [op for op in self.operations if index in op.parents and op.gradient_finite]
        if users:
            return NonFinite("backward", users[-1].place, kind, f"the derivative of {users[-1].name}")
        return NonFinite("backward", self.operations[index].place, kind)

    def layers(
        self,
        batch: int,
        gradients: Mapping[int, torch.Tensor | None],
        updates: Mapping[int, torch.Tensor],
        sizes: Mapping[int, torch.Tensor],
    ) -> tuple[tuple[LayerReading, ...], tuple[str, ...]]:
        """Read everything out: layers in order of completing their first call, and the names of unused parameters.

        ``gradients``: id of a parameter -> dC/dp, ``None`` where the loss does not depend on it; ``updates`` and
        ``sizes``: id -> norm of one step, norm of the parameter before it.
        """
        owned: dict[nn.Module, list[tuple[str, nn.Parameter]]] = {}
        users: dict[int, list[str]] = {}
        unused: dict[int, str] = {}
        modules = {name: module for module, name in self.names.items()}
        for module, name in self.names.items():
            parts = name.split(".") if name else []
            for key, p in module._parameters.items():
                if p is None:
                    continue
                full = ".".join([*parts, key])
                if p.requires_grad and gradients.get(id(p)) is None:
                    unused[id(p)] = full
                    if module not in self.calls:
                        continue
                for depth in range(len(parts), -1, -1):  # a module that is not called lends its weights to its parent
                    owner = modules.get(".".join(parts[:depth]))
                    if owner in self.calls and "parametrizations" not in parts[:depth]:
                        owned.setdefault(owner, []).append((full, p))
                        users.setdefault(id(p), []).append(self.name(owner))
                        break
        rows = []
        for module in self.calls:
            if module in owned:
                rows.append(self._row(module, owned[module], users, batch, gradients, updates, sizes))
        return tuple(rows), tuple(unused.values())

    def _row(
        self,
        module: nn.Module,
        owned: list[tuple[str, nn.Parameter]],
        users: Mapping[int, list[str]],
        batch: int,
        gradients: Mapping[int, torch.Tensor | None],
        updates: Mapping[int, torch.Tensor],
        sizes: Mapping[int, torch.Tensor],
    ) -> LayerReading:
        name, calls = self.name(module), self.calls[module]
        weights = [p for key, p in owned if "bias" not in key.rpartition(".")[2]] or [p for _, p in owned]
        matrices = [p for p in weights if p.ndim >= 2]
        moving = [p for p in weights if p.requires_grad]
        grads = [gradients[id(p)] for p in moving if gradients.get(id(p)) is not None]
        grown = [self.norm(g) for g in grads]
        counted = [g for g in grads if self.thorough or g.element_size() < 4]  # underflow: looked for where it is near
        entries = sum(g.numel() for g in counted)
        weight = _root(sizes[id(p)] for p in weights)
        change = _root(updates[id(p)] for p in moving if id(p) in updates)
        scale = None
        if matrices and not isinstance(module, nn.Embedding | nn.EmbeddingBag):
            turned = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
            units = sum(p.shape[1] * module.groups if turned else p.shape[0] for p in matrices)
            scale = _root(sizes[id(p)] for p in matrices) / math.sqrt(units)
        size = _rms([s for call in calls for s in call.sizes], sum(call.entries for call in calls))
        back = [_root(call.deltas) for call in calls if call.deltas]
        bends = [bend for call in calls for bend in call.bends]
        bends = [bend for bend in bends if bend.function == bends[0].function]
        sound = size is not None and math.isfinite(size)  # slopes at nan say nothing
        dead = [float(bend.dead) for bend in bends if bend.dead is not None]
        steps = tuple(back) if len(back) > 1 else ()
        if module in self.times:
            steps = tuple((math.sqrt(batch) * self.times[module]).tolist())
        elif steps:
            steps = tuple(math.sqrt(batch) * d for d in back)
        return LayerReading(
            name=name,
            kind=type(module).__name__,
            activation=_rms([b.size for b in bends], sum(b.entries for b in bends)) if bends else size,
            output=size,
            function=bends[0].function if bends else None,
            delta=math.sqrt(batch) * math.sqrt(sum(d * d for d in back) / len(back)) if back else None,
            weight_gradient=_root(grown) if grads else None,
            weight=weight,
            update=None if not updates or not moving else change / weight if weight else math.inf if change else 0.0,
            weight_scale=scale,
            dead=float(np.mean(dead)) if dead and sound else None,
            saturated=float(np.mean([float(b.saturated) for b in bends])) if bends and sound else None,
            zero_gradient=1 - sum(int(g.count_nonzero()) for g in counted) / entries if entries else None,
            nonfinite=sum(int(n) for call in calls for n in call.bad),
            nonfinite_gradient=sum(
                map(int, [*(n for call in calls for n in call.bad_deltas), *self._counts(grads, grown)])
            ),
            calls=len(calls),
            steps=steps,
            matrix=bool(matrices),
            frozen=not any(p.requires_grad for _, p in owned),
            shared_with=tuple(dict.fromkeys(u for p in weights for u in users[id(p)] if u != name)),
            dtype=calls[0].dtype,
        )


def _root(norms: Any) -> float:
    """Norm of a whole from the norms of its parts, without squaring what is tiny or huge."""
    return math.hypot(*(float(n) for n in norms))


def _rms(norms: list[torch.Tensor], entries: int) -> float | None:
    return _root(norms) / math.sqrt(entries) if entries else None


@contextlib.contextmanager
def _restored(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Put everything back that a forward pass may change; yields a function that rewinds the random numbers.

    Buffers (values and objects), attributes that ``forward`` sets, modes, and the states of Python's, NumPy's and
    PyTorch's random generators on every device in use.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    attributes = [(module, dict(vars(module)), dict(module._buffers)) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    # A model may draw from the legacy global generator, whatever this code thinks of it.
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    on_devices = [torch.cuda.get_rng_state(device) for device in devices]

    def rewind() -> None:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        for device, state in zip(devices, on_devices, strict=True):
            torch.cuda.set_rng_state(state, device)

    try:
        yield rewind
    finally:
        rewind()
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, before, kept in attributes:
            for name in set(vars(module)) - set(before):
                del vars(module)[name]
            vars(module).update(before)
            module._buffers.clear()
            module._buffers.update(kept)


def _check(model: object, loss: object, lr: object, optimizer: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, wanted a torch.nn.Module or a keras.Model")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise ValueError("model: got lazy parameters without a shape, wanted a model through which one batch has run")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("model: got no parameter that requires a gradient, wanted at least one")
    if loss is not None and not callable(loss):
        raise TypeError(
            f"loss: got {type(loss).__name__}, wanted a function loss(output, y) that returns the batch mean"
        )
    if lr is not None and (isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < math.inf):
        raise ValueError(f"lr: got {lr!r}, wanted a positive number")
    if optimizer is None:
        return
    if lr is not None:
        raise ValueError("lr: got a step size and an optimizer, wanted one of the two: the optimizer knows its own")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer: got {type(optimizer).__name__}, wanted a torch.optim.Optimizer")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("optimizer: got LBFGS, wanted one that steps from a single gradient")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in held for p in model.parameters()):
        raise ValueError("optimizer: got one that holds none of the model's parameters, wanted the model's own")


def _prepared(value: Any, like: torch.Tensor) -> Any:
    """Copies of all arrays and tensors on the model's device; NumPy floats in the model's precision, tensors as they
    are."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(like.device, copy=True).requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray | np.generic):
        t = torch.tensor(np.asarray(value))
        return t.to(like) if t.is_floating_point() else t.to(like.device)
    if isinstance(value, Mapping):
        return {key: _prepared(part, like) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_prepared(part, like) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(_prepared(part, like) for part in value)
    return value


def _arguments(model: nn.Module, x: Any) -> tuple[tuple, dict[str, Any]]:
    """How ``x`` is handed over: a tuple or list as positional arguments, a dict whose keys are parameters of
    ``forward`` as keywords, all else as one argument."""
    if isinstance(x, tuple | list) and not isinstance(x, nn.utils.rnn.PackedSequence):
        return tuple(x), {}
    if isinstance(x, Mapping) and all(isinstance(key, str) for key in x):
        known = inspect.signature(model.forward).parameters
        if any(p.kind is p.VAR_KEYWORD for p in known.values()) or set(x) <= set(known):
            return (), dict(x)
    return (x,), {}


def _batch(x: Any, y: Any) -> int:
    """Length of the first axis of the first target, else of the first input."""
    for value in (y, x):
        for _, t in _tensors_in(value):
            if t.ndim:
                return t.shape[0]
    raise ValueError(f"x: got {type(x).__name__} without an array that has a batch axis, wanted at least one")


def _checked(fallback: Callable[[Any, Any], torch.Tensor], output: Any, y: Any) -> torch.Tensor:
    """Call the loss that stands for ``None``, with words for what it cannot take."""
    if not isinstance(output, torch.Tensor):
        raise ValueError(f"loss: got None for a model that returns {type(output).__name__}, wanted loss(output, y)")
    if not isinstance(y, torch.Tensor):
        raise ValueError(f"y: got {type(y).__name__}, wanted one array of targets where loss is None")
    if output.ndim < 2:
        raise ValueError(f"loss: got None for an output of shape {tuple(output.shape)}, wanted (batch, n) or a loss")
    if y.dtype is torch.bool:
        raise ValueError("y: got bool, wanted integer labels or float targets where loss is None")
    if not y.is_floating_point() and y.numel() and (int(y.min()) < 0 or int(y.max()) >= output.shape[-1]):
        wanted = f"wanted 0 to {output.shape[-1] - 1}: the model has {output.shape[-1]} outputs"
        raise ValueError(f"y: got labels from {int(y.min())} to {int(y.max())}, {wanted}")
    return fallback(output, y if y.is_floating_point() else y.long())


def _guess(loss: Any, output: Any, y: Any) -> float | None:
    """What a guess that ignores the input costs; ``None`` for a loss that is not known here."""
    if not isinstance(y, torch.Tensor) or not isinstance(output, torch.Tensor):
        return None
    if not y.is_floating_point() and (
        loss is None or loss is functional.cross_entropy or isinstance(loss, nn.CrossEntropyLoss)
    ):
        classes = output.shape[-1] if loss is None else output.shape[1] if output.ndim > 1 else 1
        return math.log(classes)
    if y.is_floating_point() and y.ndim >= 1 and loss is None:
        y = y.detach().double()
        return float(0.5 * (y - y.mean(0)).square().flatten(1).sum(1).mean()) if y.ndim > 1 else None
    return None


def _trial_step(
    model: nn.Module, gradients: Mapping[int, torch.Tensor | None], lr: float, optimizer: torch.optim.Optimizer | None
) -> dict[str, torch.Tensor]:
    """Return all parameters as they would be after one step, by name; nothing is stepped."""
    named = dict(model.named_parameters())
    with torch.no_grad():
        if optimizer is None:
            return {
                name: p - lr * gradients[id(p)] if gradients.get(id(p)) is not None else p.detach()
                for name, p in named.items()
            }
        after = {name: p.detach().clone().requires_grad_(p.requires_grad) for name, p in named.items()}
    # The copy's parameters are `after`, its state a copy of the optimizer's; hooks and schedulers are not copied.
    twin = copy.deepcopy(optimizer, {id(p): after[name] for name, p in named.items()})
    for group in twin.param_groups:
        for p in group["params"]:
            p.grad = None
    for name, p in named.items():
        if gradients.get(id(p)) is not None:
            after[name].grad = gradients[id(p)].detach().clone()
    type(twin).step(twin)
    return {name: p.detach() for name, p in after.items()}


def probe(
    model: nn.Module,
    x: Any,
    y: Any = None,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    *,
    fallback: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    lr: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> Report:
    """One batch through ``model`` in the mode it is in; see :func:`gradclinic.instrument.probe`.

    ``x``: array or tensor; a tuple or list is handed over as ``model(*x)``, a dict as ``model(**x)`` where its keys
    are arguments of ``forward``. NumPy floats are cast to the model's precision, tensors are used as they are.
    ``loss(output, y)`` returns the batch mean; ``None`` means ``fallback``.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile: the module itself, whose parts can be watched
    _check(model, loss, lr, optimizer)
    like = next((p for p in model.parameters() if p.is_floating_point()), next(model.parameters()))
    x, y = _prepared(x, like), _prepared(y, like)
    batch = _batch(x, y)
    inputs = [read_tensor(name, _numpy(t)) for name, t in _tensors_in(x, "x")]
    targets = [read_tensor(name, _numpy(t)) for name, t in _tensors_in(y, "y")]
    positional, keywords = _arguments(model, x)
    parameters = dict(model.named_parameters())
    recorder = Recorder(model, thorough=True)
    evaluate = loss or partial(_checked, fallback)
    # cuDNN has no backward pass for recurrent layers in evaluation mode.
    plain = like.is_cuda and not model.training and any(isinstance(m, nn.RNNBase) for m in model.modules())
    backend = torch.backends.cudnn.flags(enabled=False) if plain else contextlib.nullcontext()
    with _restored(model) as rewind, torch.enable_grad(), backend:
        with recorder:
            output = model(*positional, **keywords)
            recorder.stage = "loss"
            value = evaluate(output, y)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            got = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"loss: got {got} from loss(output, y), wanted a scalar tensor, the mean over the batch")
        if not value.requires_grad:
            raise ValueError("loss: got a value that depends on no trainable parameter, wanted one to differentiate")
        moving = [p for p in parameters.values() if p.requires_grad]
        found = torch.autograd.grad(value.sum(), [*moving, *recorder.sequences], allow_unused=True)[: len(moving)]
        gradients = {id(p): g for p, g in zip(moving, found, strict=True)}
        after = _trial_step(model, gradients, lr or 1.0, optimizer)
        updates = {id(p): _norm(after[name] - p.detach()) for name, p in parameters.items()}
        loss_after = None
        if lr is not None or optimizer is not None:
            rewind()
            with torch.no_grad():
                loss_after = float(evaluate(torch.func.functional_call(model, after, positional, keywords), y))
    sizes = {id(p): _norm(p) for p in parameters.values()}
    layers, unused = recorder.layers(batch, gradients, updates, sizes)
    single = inputs[0] if len(inputs) == 1 else None
    labels = isinstance(y, torch.Tensor) and y.ndim == 1 and not y.is_floating_point()
    return Report(
        framework="PyTorch",
        layers=layers,
        batch=batch,
        loss=float(value.detach()),
        loss_guess=_guess(loss, output, y),
        loss_after=loss_after,
        lr=lr if optimizer is None and lr is not None else None if optimizer is not None else 1.0,
        assumed=lr is None and optimizer is None,
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        inputs=tuple(inputs),
        targets=tuple(targets),
        outputs=tuple(read_tensor(name, _numpy(t)) for name, t in _tensors_in(output, "output")),
        additions=tuple(recorder.additions),
        neighbours=reports.neighbour_agreement(_numpy(next(_tensors_in(x))[1]), _numpy(y))
        if single and labels
        else None,
        first_nonfinite=_first_nonfinite(inputs, targets, parameters, recorder, value, layers, gradients),
        unused=unused,
    )


def _first_nonfinite(
    inputs: list[reports.TensorReading],
    targets: list[reports.TensorReading],
    parameters: Mapping[str, nn.Parameter],
    recorder: Recorder,
    loss: torch.Tensor,
    layers: tuple[LayerReading, ...],
    gradients: Mapping[int, torch.Tensor | None],
) -> NonFinite | None:
    """In the order of computation: data, parameters, forward pass, loss, backward pass."""
    for name, p in parameters.items():
        if p.is_floating_point() and not _all_finite(p):
            return NonFinite("parameter", name, _kind(p))
    forward = recorder.first_forward(loss)
    if forward is not None:
        given = [("input", reading) for reading in inputs]
        given += [("target", reading) for reading in targets] if forward.stage == "loss" else []
        return next((NonFinite(stage, r.name, "nan") for stage, r in given if r.nonfinite), forward)
    harmed = [g for g in gradients.values() if g is not None and not _all_finite(g)]
    if harmed or any(layer.nonfinite_gradient for layer in layers):  # else a later mask took the bad entries out
        backward = recorder.first_backward()
        if backward is not None:
            return backward
    for name, p in parameters.items():
        gradient = gradients.get(id(p))
        if gradient is not None and not _all_finite(gradient):
            return NonFinite("backward", name, _kind(gradient))
    return None


class Watching:
    """A training run under observation; made by :func:`watch`, used as a context.

    On a sampled step hooks are attached when the forward pass begins and taken off when it ends; between sampled steps
    only the model's own output is looked at, for numbers that are not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        every: int,
        optimizer: torch.optim.Optimizer | None,
        lr: float | None,
        make: Callable[..., Watched] = Watched,
    ) -> None:
        """Refuse what cannot be watched."""
        compiled = hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None
        if isinstance(model, nn.Module) and compiled:
            raise ValueError("model: got a compiled module, whose hooks do not run; wanted it uncompiled while watched")
        _check(model, None, lr, optimizer)
        self.model, self.every, self.optimizer, self.lr, self._make = model, every, optimizer, lr, make
        self.steps = 0  # complete steps: forward passes that a backward pass followed
        self._sampled: list[tuple[int, Report]] = []
        self._losses: dict[int, float | torch.Tensor] = {}
        self._flags: list[tuple[int, torch.Tensor]] = []  # (step, sum of what must be finite), not yet looked at
        self._bad_step: int | None = None
        self._alarm = False
        self._handles: list[Any] = []
        self._fresh()

    def _fresh(self) -> None:
        """Nothing recorded of the step to come."""
        self._returned = False  # whether a backward pass has come through
        self._recorder: Recorder | None = None
        self._inside = False
        self._gradients: dict[int, torch.Tensor] = {}
        self._before: dict[int, torch.Tensor] = {}
        self._updates: dict[int, torch.Tensor] = {}
        self._hooks: list[Any] = []

    def __enter__(self) -> Watching:
        """Begin to watch."""
        self._handles = [
            self.model.register_forward_pre_hook(self._begin, with_kwargs=True),
            self.model.register_forward_hook(self._end, always_call=True),
        ]
        if self.optimizer is not None:
            self._handles.append(self.optimizer.register_step_pre_hook(self._before_step))
            self._handles.append(self.optimizer.register_step_post_hook(self._after_step))
        return self

    def __exit__(self, *error: object) -> None:
        """Read the last step and take every hook off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._finish()
        self._drop()

    def loss(self, value: float | torch.Tensor) -> None:
        """Note the loss of the current step; optional, the report then shows how it went."""
        self._losses[self.steps] = value.detach() if isinstance(value, torch.Tensor) else float(value)

    @property
    def report(self) -> Watched:
        """What was seen so far. ``ValueError`` before the first backward pass through the model."""
        self._look()
        steps, reports_ = zip(*self._sampled, strict=True) if self._sampled else ((), ())
        origin = next((r.first_nonfinite for s, r in self._sampled if r.first_nonfinite is not None), None)
        seen = [s for s, r in self._sampled if r.first_nonfinite is not None]
        first = min([*seen, *([self._bad_step] if self._bad_step is not None else [])], default=None)
        losses = {step: float(value) for step, value in self._losses.items()}
        return self._make(tuple(steps), tuple(reports_), self.steps, losses, first, origin)

    def _begin(self, _: nn.Module, arguments: tuple, keywords: dict) -> None:
        if not torch.is_grad_enabled():
            return
        if self._returned:
            self._finish()
        if self._recorder is None:
            if self.steps % self.every and not self._alarm:
                return
            self._look()
            self._alarm = False
            self._recorder = Recorder(self.model, thorough=False)
            given = [t for _, t in _tensors_in((arguments, keywords)) if t.ndim]
            self._batch = given[0].shape[0] if given else 1
            self._inputs = (
                ()
                if self._sampled
                else tuple(
                    read_tensor(name, _numpy(t)) for name, t in _tensors_in([*arguments, *keywords.values()], "x")
                )
            )
            parameters = [p for p in self.model.parameters() if p is not None]
            self._sizes = {id(p): _quick_norm(p) for p in parameters}
            for p in parameters:
                if p.requires_grad:
                    self._hooks.append(p.register_hook(partial(self._collect, id(p))))
            if self.optimizer is None and self.lr is None:
                self._before = {id(p): p.detach().clone() for p in parameters}
        self._recorder.detach()
        self._recorder.__enter__()
        self._inside = True

    def _collect(self, key: int, gradient: torch.Tensor) -> None:
        gradient = gradient.detach()
        held = self._gradients.get(key)
        self._gradients[key] = gradient.clone() if held is None else held + gradient

    def _end(self, _: nn.Module, __: tuple, output: object) -> None:
        if self._inside:
            self._inside = False
            self._recorder.pause()
        followed = [t for t in _floats(output) if t.requires_grad]
        if followed and torch.is_grad_enabled():
            self._flag(followed[0])
            followed[0].register_hook(self._back)

    def _back(self, gradient: torch.Tensor) -> None:
        self._returned = True
        self._flag(gradient)

    def _flag(self, t: torch.Tensor) -> None:
        """Note whether ``t`` is finite; on the CPU look at once, elsewhere without waiting for the device."""
        if self._bad_step is not None:
            return
        # One sum shows a nan or inf among the terms, at a tenth of the time of looking at each.
        t = t.detach()
        self._flags.append((self.steps, t.sum(dtype=torch.promote_types(t.dtype, torch.float32))))
        if t.device.type == "cpu":
            self._look()

    def _look(self) -> None:
        for step, total in self._flags:
            if self._bad_step is None and not math.isfinite(float(total)):
                self._bad_step, self._alarm = step, True  # the next step is sampled, whatever its number
        self._flags.clear()

    def _before_step(self, *_: object) -> None:
        if self._recorder is not None and not self._updates:
            self._before = {id(p): p.detach().clone() for p in self.model.parameters()}

    def _after_step(self, *_: object) -> None:
        if self._before:
            self._updates = self._changes()

    def _changes(self) -> dict[int, torch.Tensor]:
        """Norm of what happened to each parameter since it was kept; empty if nothing did."""
        held = {id(p): p.detach() for p in self.model.parameters()}
        changes = {key: _quick_norm(held[key] - before) for key, before in self._before.items() if key in held}
        self._before = {}
        return changes if any(float(c) != 0.0 for c in changes.values()) else {}

    def _finish(self) -> None:
        """The step is over: read it, and start the next one."""
        if not self._returned:
            return
        if self._recorder is not None:
            updates = self._updates
            if self.lr is not None:
                updates = {key: self.lr * float(_quick_norm(g)) for key, g in self._gradients.items()}
            elif self._before:
                updates = self._changes()
            self._sampled.append((self.steps, self._read(updates)))
        self._drop()
        self.steps += 1

    def _drop(self) -> None:
        if self._inside:  # an interrupt in the middle of a forward pass
            self._recorder.pause()
        if self._recorder is not None:
            self._recorder.detach()
        for handle in self._hooks:
            handle.remove()
        self._fresh()

    def _read(self, updates: Mapping[int, torch.Tensor]) -> Report:
        layers, unused = self._recorder.layers(self._batch, self._gradients, updates, self._sizes)
        origin = next(
            (n for n, p in self.model.named_parameters() if not math.isfinite(float(self._sizes[id(p)]))), None
        )
        first = NonFinite("parameter", origin, "nan") if origin is not None else None
        forward = next((layer for layer in layers if layer.nonfinite), None)
        backward = next((layer for layer in reversed(layers) if layer.nonfinite_gradient), None)
        if first is None and (forward or backward) is not None:
            place, size = (forward, "output") if forward is not None else (backward, "delta")
            kind = "nan" if math.isnan(getattr(place, size) or math.nan) else "inf"
            first = NonFinite("forward" if forward is not None else "backward", place.name, kind)
        loss = self._losses.get(self.steps, math.nan)
        return Report(
            framework="PyTorch",
            layers=layers,
            batch=self._batch,
            loss=float(loss),
            lr=self.lr,
            assumed=False,
            optimizer=type(self.optimizer).__name__ if self.optimizer is not None else None,
            inputs=self._inputs,
            first_nonfinite=first,
            unused=unused,
        )
