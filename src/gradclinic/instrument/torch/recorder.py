"""Hooks on all modules, and a mode that sees the functions in between: notes of one forward and backward pass."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode

from gradclinic.instrument.core import Bend, Call
from gradclinic.instrument.readings import Addition, Attention
from gradclinic.instrument.stream import Stream
from gradclinic.instrument.torch import attention, gates
from gradclinic.instrument.torch.measure import (
    any_bad,
    bend,
    floats,
    norm,
    not_finite,
    quick_norm,
    quick_norms,
    readable,
    tensors_in,
)

_sequence_number = torch._C._autograd._get_sequence_nr  # pyright: ignore[reportAttributeAccessIssue]  # private
ELEMENTWISE = frozenset(
    {
        "celu", "elu", "expit", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish",
        "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh", "threshold",
    }
)  # fmt: skip
NORMS = frozenset({"layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "normalize"})
# What leaves a sum a sum and its scale a matter of proportion.
MOVES = frozenset(
    {
        "T", "adaptive_avg_pool2d", "avg_pool2d", "bfloat16", "clone", "contiguous", "dropout", "dropout1d",
        "dropout2d", "flatten", "float", "half", "interpolate", "leaky_relu", "mT", "max_pool2d", "mean", "movedim",
        "pad", "permute", "relu", "reshape", "roll", "rot90", "squeeze", "to", "transpose", "unflatten", "unsqueeze",
        "view",
    }
)  # fmt: skip
# All functions of which something is noted; of any other only where it cuts the graph.
NOTED = ELEMENTWISE | NORMS | MOVES | {"add", "detach", "mul", "scaled_dot_product_attention", "softmax", "sub"}
CHANNELS_FIRST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CHANNELS_FIRST += (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm)
CHANNELS_FIRST += (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def guarded(hook: Callable) -> Callable:
    """A hook that never raises into the reader's forward or backward pass: what it cannot read it notes, once."""

    @functools.wraps(hook)
    def quiet(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return hook(self, *args, **kwargs)
        except Exception as trouble:  # whatever it is, the reader's own computation goes on
            words = str(trouble).strip().partition("\n")[0][:120]
            self.trouble.setdefault(f"{hook.__name__}: {type(trouble).__name__}", words)
            return None

    return quiet


def opaque(module: nn.Module) -> bool:
    """Whether a module runs as compiled code, in which hooks of its parts do not run or would compile it anew."""
    return (
        isinstance(module, torch.jit.ScriptModule)
        or hasattr(module, "_orig_mod")
        or getattr(module, "_compiled_call_impl", None) is not None
    )


def plain_name(name: str) -> str:
    """``add`` for ``__iadd__`` and ``__radd__``, ``relu`` for ``relu_``."""
    plain = name.strip("_")
    return {"iadd": "add", "radd": "add"}.get(plain, plain)


class Keys:
    """A number for each tensor that is alive; none is given twice."""

    def __init__(self) -> None:
        """No tensor has a number yet."""
        self._known: dict[int, tuple[weakref.ref, int]] = {}
        self._next = 0

    def __call__(self, t: torch.Tensor) -> int:
        """The number of ``t``."""
        held = self._known.get(id(t))
        if held is not None and held[0]() is t:
            return held[1]
        self._next += 1
        self._known[id(t)] = (weakref.ref(t), self._next)
        return self._next


@dataclass
class Pass:
    """One forward pass from outside: calls of each module, in order of completing the first one."""

    calls: dict[nn.Module, list[Call]] = field(default_factory=dict)
    batch: int = 1
    additions: list[Addition] = field(default_factory=list)
    attentions: list[Attention] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)


class Recorder(TorchFunctionMode):
    """What forward and backward passes of one step show.

    Hooks are on between :meth:`attach` and :meth:`detach`. ``exact``: entries are counted one by one, for a report of
    one batch; else only what norms tell for free. ``accepts``: whether a gradient counts that comes back now; gradients
    that the reader's own code asks for inside the forward pass or the loss do not.
    """

    model: nn.Module
    exact: bool
    names: dict[nn.Module, str]
    stage: str
    thread: int
    key: Keys
    stream: Stream

    def __init__(self, model: nn.Module, *, exact: bool) -> None:
        """Prepare for ``model``; nothing is attached yet."""
        super().__init__()
        self.model, self.exact = model, exact
        self.names = {module: name for name, module in model.named_modules()}
        self.passes: list[Pass] = []
        self._gates: dict[nn.Module, Any] = {}  # saturated share of a recurrent layer that has been entered
        self.times: dict[nn.Module, torch.Tensor] = {}
        self.effective: dict[tuple[str, str], Any] = {}  # (layer, weight) -> norm of a parametrised weight as used
        self.sequences: list[torch.Tensor] = []  # inputs that only here require a gradient
        self.ranges: list[tuple[int, int, nn.Module]] = []  # sequence numbers of graph nodes made in a module
        self.trouble: dict[str, str] = {}
        self.stage = "forward"
        self.accepts: Callable[[], Any] = lambda: self.stage == "backward"
        self.on_top: Callable[[nn.Module, tuple, dict], Recorder | None] | None = None
        self.path: list[tuple[nn.Module, int]] = []
        self.last: tuple[nn.Module, Call] | None = None
        self.thread = threading.get_ident()
        self.key, self.stream = Keys(), Stream()
        self._handles: list[Any] = []
        self._modes = self._hidden = 0
        self._watching = False
        self._opaque: set[nn.Module] = set()  # of the modules that are hooked
        self._sizes: dict[int, Any] = {}  # norms that are known, by the key of the tensor

    @property
    def back(self) -> bool:
        """Whether a backward pass is under way, in which a checkpoint may compute again."""
        return self.stage == "backward" or torch._C._current_graph_task_id() != -1

    # Where things are

    def name(self, module: nn.Module) -> str:
        """Dotted name of a module; the model itself goes by its class."""
        return self.names.get(module, "").removeprefix("_orig_mod.") or type(self.model).__name__

    def place(self, module: nn.Module) -> str:
        """Name of a module with its class, ``"encoder.2 (Log)"``."""
        name, made = self.names.get(module), type(module).__name__
        return f"{name} ({made})" if name else made

    def here(self) -> str:
        """Place of the module that runs now."""
        return self.place(self.path[-1][0] if self.path else self.model)

    def place_of(self, number: int) -> str:
        """Place of the innermost module that made the graph's node of this sequence number."""
        inside = [(end - start, module) for start, end, module in self.ranges if start <= number < end]
        return self.place(min(inside, key=lambda made: made[0])[1] if inside else self.model)

    # On and off

    def attach(self) -> None:
        """Hook all modules, except those that run as compiled code and what is inside them."""
        self._opaque = {module for module in self.names if opaque(module)}
        hidden = {part for module in self._opaque for part in list(module.modules())[1:]}
        for module in self.names:
            if module in hidden or isinstance(module, torch.jit.ScriptModule):
                continue
            if getattr(module, "_compiled_call_impl", None) is not None:
                continue
            self._handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._after, always_call=True))

    def detach(self) -> None:
        """Take the hooks off and leave the mode."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.path.clear()
        while self._modes:
            self.unsee()

    def see(self) -> None:
        """See functions from now on."""
        self._modes += 1
        if self._modes == 1:
            _push_mode(self)

    def unsee(self) -> None:
        """See no functions any more, wherever on the stack of modes this one now stands."""
        self._modes -= 1
        if self._modes:
            return
        above = []
        while self in _get_current_function_mode_stack():
            top = _pop_mode()
            if top is self:
                break
            above.append(top)
        for mode in reversed(above):
            _push_mode(mode)

    def blind(self) -> Any:
        """Context in which what is computed is no part of the model."""
        return torch._C.DisableTorchFunction()

    # Modules

    @guarded
    def _before(self, module: nn.Module, arguments: tuple, keywords: dict) -> Any:
        if threading.get_ident() != self.thread:
            return None
        if not self.path and not self.back:
            if self.on_top is not None and not torch.is_grad_enabled():
                return None
            goes_on = self if self.on_top is None else self.on_top(module, arguments, keywords)
            if goes_on is not self:  # a new step has begun
                return None if goes_on is None else goes_on._before(module, arguments, keywords)
            self.begin(arguments, keywords)
        self.path.append((module, _sequence_number()))
        if self.back:
            return None
        if module in self._opaque:
            self._hide()
        with self.blind():
            return self._read_input(module, arguments, keywords)

    def begin(self, arguments: tuple, keywords: dict) -> None:
        """A forward pass from outside begins."""
        if self.on_top is not None or not self.passes:
            given = [t for _, t in tensors_in((arguments, keywords)) if t.ndim]
            self.passes.append(Pass(batch=given[0].shape[0] if given else 1))
        if self.on_top is not None:
            self.see()
            self._watching = True

    def _hide(self) -> None:
        if self._modes:
            self._hidden = self._modes
            self._modes = 1
            self.unsee()

    def _read_input(self, module: nn.Module, arguments: tuple, keywords: dict) -> Any:
        first = arguments[0] if arguments else next(iter(keywords.values()), None)
        foreign = "Norm" in type(module).__name__ and not type(module).__module__.startswith("torch.")
        looks = foreign or isinstance(module, nn.MultiheadAttention)
        if looks and isinstance(first, torch.Tensor) and readable(first) and first.is_floating_point():
            if foreign:
                self._normalized(first)  # those of PyTorch call a function that is seen
            else:
                self._multihead(module, arguments, keywords)
        if isinstance(module, nn.RNNBase) and arguments:
            return self._follow_time(module, arguments, keywords)
        return None

    def _normalized(self, t: torch.Tensor) -> None:
        self.stream.normalized(self.key(t), self._rms(t))

    def _rms(self, t: torch.Tensor) -> Any:
        key = self.key(t)
        size = self._sizes.get(key)
        if size is None:
            size = self._sizes[key] = self._norm(t)
        return size / max(1, t.numel()) ** 0.5

    def _follow_time(self, module: nn.RNNBase, arguments: tuple, keywords: dict) -> Any:
        """Follow the gradient of a recurrent layer's input through time."""
        given = arguments[0]
        packed = isinstance(given, nn.utils.rnn.PackedSequence)
        x = given.data if packed else given
        if not packed:
            self._read_gates(module, x)
        if not (isinstance(x, torch.Tensor) and torch.is_grad_enabled() and x.is_floating_point() and readable(x)):
            return None
        sizes = given.batch_sizes.tolist() if packed else None
        time = 0 if packed else (1 if x.ndim == 3 and module.batch_first else 0)
        if x.requires_grad:
            x.register_hook(partial(self._through_time, module, time, sizes))
            return None
        x = x.detach().requires_grad_()  # only so is there a gradient to follow through time
        self.sequences.append(x)
        x.register_hook(partial(self._through_time, module, time, sizes))
        given = type(given)(x, *given[1:]) if packed else x
        return (given, *arguments[1:]), keywords

    @guarded
    def _read_gates(self, module: nn.RNNBase, x: torch.Tensor) -> None:
        if isinstance(x, torch.Tensor) and x.is_floating_point() and readable(x) and x.numel():
            self._gates[module] = gates.saturated(module, x)

    @guarded
    def _through_time(self, module: nn.Module, axis: int, sizes: list[int] | None, gradient: torch.Tensor) -> None:
        if gradient is None or self.accepts() is False:
            return
        rows = torch.linalg.vector_norm(gradient.detach().movedim(axis, 0).flatten(1), dim=1, dtype=torch.float64)
        if sizes is not None:
            rows = torch.stack([torch.linalg.vector_norm(part) for part in rows.split(sizes)])
        self.times[module] = rows

    @guarded
    def _after(self, module: nn.Module, _: tuple, output: object) -> None:
        if threading.get_ident() != self.thread or not self.path:
            return
        while self.path:  # a module that raised has left its parts on the path
            entered, start = self.path.pop()
            if entered is module:
                break
        if self.back:
            with self.blind():
                self._again(module, output)
            return
        try:
            self.ranges.append((start, _sequence_number(), module))
            with self.blind():
                self.note(module, output)
        finally:
            if self._hidden and module in self._opaque:
                kept, self._hidden = self._hidden, 0
                self.see()
                self._modes = kept
            if not self.path and self._watching:
                self._watching = False
                self.unsee()

    def note(self, module: nn.Module, output: object) -> None:
        """Write down one call."""
        if not self.passes:
            self.passes.append(Pass())
        name = self.names.get(module, "")
        if "parametrizations" in name and "parametrizations" in (parts := name.split(".")):
            found, at = floats(output), parts.index("parametrizations")
            if len(parts) == at + 2 and found:
                self.effective[".".join(parts[:at]), parts[at + 1]] = (quick_norm(found[0]), found[0].shape)
            return
        owns = module in self._opaque or any(p is not None for p in module._parameters.values())
        if owns:
            here, found = self.passes[-1], floats(output)
            sizes = [self._norm(t) for t in found]
            bad = [self.bad(t, size) for t, size in zip(found, sizes, strict=True)]
            dtype = str(found[0].dtype).removeprefix("torch.") if found else ""
            call = Call(sizes, sum(t.numel() for t in found), bad, dtype, gates=self._gates.pop(module, None))
            here.calls.setdefault(module, []).append(call)
            self._follow(here, call, found)
            self.last = (module, call)
            for t, size in zip(found, sizes, strict=True):
                self._sizes[self.key(t)] = size
                self.stream.made(self.key(t), call)

    def _norm(self, t: torch.Tensor) -> Any:
        return norm(t) if self.exact and t.dtype is torch.float64 else quick_norm(t)

    def bad(self, t: torch.Tensor, size: Any) -> Any:
        """How many entries of a tensor with this norm are not finite; whether there are some, where that will do."""
        return not_finite(t, size) if self.exact else any_bad(size)

    def norms(self, tensors: list[torch.Tensor]) -> list[Any]:
        """The norm of each."""
        return [self._norm(t) for t in tensors] if self.exact else quick_norms(tensors)

    def _follow(self, here: Pass, call: Call, tensors: Iterable[torch.Tensor]) -> None:
        for t in tensors:
            if t.requires_grad:
                call.followed = True
                t.register_hook(partial(self._back, here, call))

    def _again(self, module: nn.Module, output: object) -> None:
        """A reentrant checkpoint computed a call again: the gradient of this one belongs to the first."""
        for here in reversed(self.passes):
            for call in reversed(here.calls.get(module, ())):
                if not call.followed:
                    self._follow(here, call, floats(output))
                    return

    @guarded
    def _back(self, here: Pass, call: Call, gradient: torch.Tensor | None) -> None:
        if gradient is None or not readable(gradient):  # one of several outputs that the loss does not use
            return
        accepted = self.accepts()
        if accepted is False:
            return
        size = self._norm(gradient)
        call.deltas.append((accepted, size))
        call.bad_deltas.append((accepted, self.bad(gradient, size)))

    # Functions

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """See one function; PyTorch switches the mode off while this runs."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "__get__":
            out = func(*args, **kwargs)
            attribute = getattr(getattr(func, "__self__", None), "__name__", "")
            if attribute in ("T", "mT", "data"):
                self._moved(attribute, args, out)
            return out
        plain = plain_name(name)
        if self.back or (not args and not kwargs):
            return func(*args, **kwargs)
        before = self._before_function(func, plain, args, kwargs) if plain in NOTED else None
        out = func(*args, **kwargs)
        if plain in NOTED or not (isinstance(out, torch.Tensor) and out.requires_grad):
            self._after_function(plain, args, kwargs, out, before)
        return out

    @guarded
    def _moved(self, attribute: str, args: tuple, out: object) -> None:
        if attribute == "data":
            self._cut("data", args, out)
        elif isinstance(out, torch.Tensor):
            self.stream.kept(self.key(args[0]), self.key(out))

    @guarded
    def _before_function(self, func: Callable, plain: str, args: tuple, kwargs: dict) -> Any:
        z = args[0] if args else kwargs.get("input")
        if not isinstance(z, torch.Tensor) or not readable(z) or self.stage != "forward":
            return None
        if plain in ELEMENTWISE and z.is_floating_point() and self.last is not None:
            channels = isinstance(self.last[0], CHANNELS_FIRST) and z.ndim >= 3
            return bend(func, plain, z, args[1:], kwargs, 1 if channels else z.ndim - 1)
        if plain in NORMS:
            self._normalized(z)
        elif plain == "softmax":
            return attention.of_scores(z, args, kwargs, self.here())
        elif plain == "scaled_dot_product_attention":
            return attention.of_products(args, kwargs, self.here())
        elif plain == "add" and len(args) > 1 and isinstance(args[1], torch.Tensor):
            return self._terms(z, args[1])
        return None

    @guarded
    def _after_function(self, plain: str, args: tuple, kwargs: dict, out: object, before: Any) -> None:
        if not isinstance(out, torch.Tensor):
            return
        z = args[0] if args else kwargs.get("input")
        if isinstance(before, Bend):
            before.size = self._sizes[self.key(out)] = self._norm(out)
            if self.last is not None:
                self.last[1].bends.append(before)
        elif isinstance(before, Attention):
            self.passes[-1].attentions.append(before)
        if self.stage != "forward" or not isinstance(z, torch.Tensor):
            return
        if plain == "add" and isinstance(before, tuple):
            keys, rms = before
            self.stream.added(keys, self.key(out))
            if rms is not None and self.passes:
                self._sizes[self.key(out)] = self._norm(out)
                self.passes[-1].additions.append(Addition(self.here(), rms[0], rms[1], self._rms(out)))
        elif plain in ("add", "sub"):  # of a number, a bias or a table of places
            self._same_shape(args, out)
        elif plain in MOVES:
            self.stream.kept(self.key(z), self.key(out))
        elif plain in ELEMENTWISE or plain in NORMS:
            self.stream.kept(self.key(z), self.key(out), bent=True)
        elif plain == "mul":
            self._same_shape(args, out)
        elif plain == "detach" or (z.requires_grad and not out.requires_grad and out.is_floating_point()):
            self._cut(plain, args, out)

    def _same_shape(self, args: tuple, out: torch.Tensor) -> None:
        """The result is the term of its own shape in another form."""
        for part in args[:2]:
            if isinstance(part, torch.Tensor) and part.shape == out.shape:
                self.stream.kept(self.key(part), self.key(out))
                return

    @guarded
    def _cut(self, plain: str, args: tuple, out: object) -> None:
        z = args[0] if args else None
        if self.passes and isinstance(z, torch.Tensor) and z.requires_grad and self.path:
            words = plain if torch.is_grad_enabled() else f"{plain} under no_grad"
            self.passes[-1].cuts.append(f"{self.here()}: {words}")

    def _terms(self, a: torch.Tensor, b: torch.Tensor) -> Any:
        """A sum of two tensors of one shape; rms of stream and branch where one of them is a stream."""
        if a.shape != b.shape or a.ndim < 2 or not a.is_floating_point() or not readable(b):
            return None
        keys = (self.key(a), self.key(b))
        chained = next((i for i, key in enumerate(keys) if self.stream.streams(key)), None)
        if chained is None:
            return keys, None
        return keys, [self._rms(t) for t in ((a, b) if chained == 0 else (b, a))]

    @guarded
    def _multihead(self, module: nn.MultiheadAttention, arguments: tuple, keywords: dict) -> None:
        query, key = (*arguments, *keywords.values())[:2]
        found = attention.of_module(module, query, key, self.place(module))
        if found is not None:
            self.passes[-1].attentions.append(found)
