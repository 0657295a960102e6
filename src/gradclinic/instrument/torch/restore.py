"""Handing a batch to a model, and leaving everything as it was."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from gradclinic.instrument.torch.measure import tensors_in


@contextlib.contextmanager
def restored(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Put everything back that a forward pass may change; yields a function that rewinds the random numbers and the
    buffers.

    Buffers (values and objects), attributes that ``forward`` sets, modes, and the states of Python's, NumPy's and
    PyTorch's random generators on every device in use.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    plain = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    attributes = [(module, dict(vars(module)), dict(module._buffers)) for module in plain]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers() if not buffer.is_meta]
    # A model may draw from the legacy global generator, whatever this code thinks of it.
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    on_devices = [torch.cuda.get_rng_state(device) for device in devices]

    def rewind() -> None:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        for device, state in zip(devices, on_devices, strict=True):
            torch.cuda.set_rng_state(state, device)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, before, kept in attributes:
            for name in set(vars(module)) - set(before):
                del vars(module)[name]
            vars(module).update(before)
            module._buffers.clear()
            module._buffers.update(kept)

    try:
        yield rewind
    finally:
        rewind()


@contextlib.contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Let modules that were compiled in place (``module.compile()``) run as they were written, so that their parts can
    be seen."""
    held = [(m, m._compiled_call_impl) for m in model.modules() if getattr(m, "_compiled_call_impl", None) is not None]
    for module, _ in held:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, compiled in held:
            module._compiled_call_impl = compiled


def check(model: object, loss: object, lr: object, optimizer: object) -> None:
    """Refuse what cannot be probed or watched, naming the argument."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, wanted a torch.nn.Module or a keras.Model")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise ValueError("model: got lazy parameters without a shape, wanted a model through which one batch has run")
    if any(p.is_meta for p in model.parameters()):
        raise ValueError("model: got parameters on the meta device, which have no values, wanted materialised ones")
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


def prepared(value: Any, like: torch.Tensor) -> Any:
    """Copies of all arrays and tensors on the model's device; NumPy floats in the model's precision, tensors as they
    are."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(like.device, copy=True).requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray | np.generic):
        t = torch.tensor(np.asarray(value))
        return t.to(like) if t.is_floating_point() else t.to(like.device)
    if isinstance(value, Mapping):
        return {key: prepared(part, like) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(prepared(part, like) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(prepared(part, like) for part in value)
    return value


def arguments(model: nn.Module, x: Any) -> tuple[tuple, dict[str, Any]]:
    """How ``x`` is handed over: a tuple or list as positional arguments, a dict whose keys are parameters of
    ``forward`` as keywords, all else as one argument."""
    if isinstance(x, tuple | list) and not isinstance(x, nn.utils.rnn.PackedSequence):
        return tuple(x), {}
    if isinstance(x, Mapping) and all(isinstance(key, str) for key in x):
        known = inspect.signature(model.forward).parameters
        if any(p.kind is p.VAR_KEYWORD for p in known.values()) or set(x) <= set(known):
            return (), dict(x)
    return (x,), {}


def batch_of(x: Any, y: Any) -> int:
    """Length of the first axis of the first target, else of the first input."""
    for value in (y, x):
        for _, t in tensors_in(value):
            if t.ndim:
                return t.shape[0]
    raise ValueError(f"x: got {type(x).__name__} without an array that has a batch axis, wanted at least one")


def trial_step(
    model: nn.Module, gradients: Mapping[int, torch.Tensor], lr: float, optimizer: torch.optim.Optimizer | None
) -> dict[str, torch.Tensor]:
    """Return all parameters as they would be after one step, by name; nothing is stepped."""
    named = dict(model.named_parameters())
    with torch.no_grad():
        if optimizer is None:
            return {name: p - lr * gradients[id(p)] if id(p) in gradients else p.detach() for name, p in named.items()}
        after = {name: p.detach().clone().requires_grad_(p.requires_grad) for name, p in named.items()}
    # The copy's parameters are `after`, its state a copy of the optimizer's; hooks and schedulers are not copied.
    twin = copy.deepcopy(optimizer, {id(p): after[name] for name, p in named.items()})
    for group in twin.param_groups:
        for p in group["params"]:
            p.grad = None
    for name, p in named.items():
        if id(p) in gradients:
            after[name].grad = gradients[id(p)].detach().clone()
    type(twin).step(twin)
    return {name: p.detach() for name, p in after.items()}
