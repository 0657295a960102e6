"""Norms, counts and slopes of tensors, and which tensors can be read at all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from gradclinic.instrument.catalogue import LARGEST_SLOPES, ONE_SIDED, SLOPE_SHARE
from gradclinic.instrument.core import Bend
from gradclinic.instrument.tensors import ENTRIES, read_tensor

SAMPLED = 2**16  # entries of a tensor at which slopes are taken, and of a parameter whose change is measured
SAFE = (1e-15, 1e15)  # norms in float32 whose squares are far from under- and overflow
SUMMED = (torch.float32, torch.float64, torch.float16, torch.bfloat16)  # the narrower ones have no sum
PLAIN = (torch.Tensor, nn.Parameter)  # no shards
RUN = 32  # neighbouring entries that are taken together
GOLDEN = (5**0.5 - 1) / 2  # of all numbers the worst to write as a fraction
DEPTH = 4  # how deep custom classes are searched for tensors


def tensors_in(value: object, name: str = "", depth: int = DEPTH) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested tuples, lists, dicts, dataclasses and objects with attributes, with the expression that
    reaches it."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, nn.utils.rnn.PackedSequence):
        yield name, value.data
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from tensors_in(part, f"{name}[{key!r}]", depth)
    elif isinstance(value, tuple | list):
        for i, part in enumerate(value):
            yield from tensors_in(part, f"{name}[{i}]", depth)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from tensors_in(getattr(value, part.name, None), f"{name}.{part.name}", depth)
    elif depth and hasattr(value, "__dict__") and not isinstance(value, type | nn.Module) and not callable(value):
        for key, part in vars(value).items():
            yield from tensors_in(part, f"{name}.{key}", depth - 1)


def readable(t: torch.Tensor) -> bool:
    """Whether a tensor has numbers of its own: none on ``meta``, none inside ``vmap`` or ``grad``, none quantised, no
    shards, no nested sizes."""
    return not (
        t.is_meta
        or t.is_quantized
        or t.is_nested
        or t.is_mkldnn
        or torch._C._functorch.is_functorch_wrapped_tensor(t)  # pyright: ignore[reportAttributeAccessIssue]  # private
        or (type(t) not in PLAIN and hasattr(t, "placements"))
    )


def floats(value: object) -> list[torch.Tensor]:
    """Every tensor of real or complex numbers that can be read."""
    if type(value) is torch.Tensor and value.is_floating_point():  # the common case
        return [value] if readable(value) else []
    return [t for _, t in tensors_in(value) if (t.is_floating_point() or t.is_complex()) and readable(t)]


def dense(t: torch.Tensor) -> torch.Tensor:
    """The entries of a tensor as real numbers in one strided tensor: those that are stored of a sparse one, real and
    imaginary parts of complex ones."""
    if t.requires_grad:
        t = t.detach()
    if t.layout is torch.sparse_coo:
        t = t.coalesce().values()
    elif t.layout is not torch.strided:
        t = t.values()
    return torch.view_as_real(t.resolve_conj()) if t.is_complex() else t


def norm(t: torch.Tensor) -> torch.Tensor:
    """L2 norm of all entries as a float64 scalar on the same device, safe against under- and overflow."""
    t = dense(t)
    t = t.cpu() if t.device.type == "mps" else t  # which has no float64
    if t.numel() == 0:
        return t.new_zeros((), dtype=torch.float64)
    if t.dtype != torch.float64:  # squares of all narrower formats fit into float64
        return torch.linalg.vector_norm(t, dtype=torch.float64)
    peak = t.abs().amax()
    safe = torch.where((peak > 0) & torch.isfinite(peak), peak, 1.0)
    return safe * torch.linalg.vector_norm(t / safe)


def quick_norm(t: torch.Tensor) -> torch.Tensor | float:
    """:func:`norm` at the speed of the tensor's own precision on the CPU, where that is safe."""
    dtype = t.dtype
    if (dtype is torch.float32 or dtype is torch.float64) and t.is_cpu and t.layout is torch.strided:
        size = torch.linalg.vector_norm(t.detach() if t.requires_grad else t).item()
        low, high = SAFE if dtype is torch.float32 else (1e-140, 1e140)
        if low < size < high:
            return size
    return norm(t)


def quick_norms(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor | float]:
    """:func:`quick_norm` of each, in one call for all where they are alike."""
    given = [t.detach() for t in tensors]
    if len(given) < 2 or not all(t.is_cpu and t.dtype is torch.float32 and t.layout is torch.strided for t in given):
        return [quick_norm(t) for t in tensors]
    sizes = torch.stack(torch._foreach_norm(given)).tolist()  # pyright: ignore[reportPrivateImportUsage]  # no other name
    low, high = SAFE
    return [size if low < size < high else norm(t) for size, t in zip(sizes, given, strict=True)]


def scalar(t: torch.Tensor) -> torch.Tensor | float:
    """One number: as a float on the CPU, where that is cheaper; as it is on a device, for which nothing then waits."""
    return t.item() if t.is_cpu else t


def not_finite(t: torch.Tensor, size: torch.Tensor | float) -> torch.Tensor | float:
    """Number of entries that are not finite, as a scalar on the same device; none where the norm ``size`` is finite,
    which asks nothing of the entries."""
    if math.isfinite(size) if isinstance(size, float) else size.is_cpu and math.isfinite(size.item()):
        return 0.0
    t = dense(t)
    return t.numel() - torch.isfinite(t).sum()


def any_bad(size: torch.Tensor | float) -> torch.Tensor | bool:
    """Whether a norm tells of an entry that is not finite."""
    return ~torch.isfinite(size) if isinstance(size, torch.Tensor) else not math.isfinite(size)


def all_finite(value: object) -> bool:
    """Whether every entry of every tensor is finite: surely where their sum is, and that is several times faster."""
    return all(
        (t.dtype in SUMMED and bool(torch.isfinite(t.sum()))) or bool(torch.isfinite(t).all())
        for t in map(dense, floats(value))
    )


def kind(t: torch.Tensor) -> Any:
    """``"nan"`` if there is one, else ``"inf"``."""
    return "nan" if bool(torch.isnan(dense(t)).any()) else "inf"


def numpy(t: torch.Tensor) -> np.ndarray:
    """An array with the numbers of a tensor; bfloat16, which NumPy lacks, as float64."""
    t = t.detach().cpu()
    return (t.double() if t.dtype is torch.bfloat16 else t).resolve_conj().numpy()


def sample(t: torch.Tensor, count: int = SAMPLED) -> torch.Tensor:
    """About ``count`` entries of a tensor, evenly spread over it, as a flat tensor; all of a smaller one."""
    t = dense(t)
    step = t.numel() // count
    if step < 2:
        return t.flatten()
    return t.flatten()[::step] if t.is_contiguous() else t.flatten()[::step].clone()


def spread(t: torch.Tensor, count: int) -> torch.Tensor:
    """About ``count`` entries of a tensor in short runs, which are quick to copy, evenly spread over it; all of a
    smaller one. How far it is from run to run, in rows, is far from every simple fraction, so that the runs fall on
    all columns alike; an even stride could meet the same ones again and again."""
    flat = dense(t).flatten()
    step = len(flat) // count
    if step < 2:
        return flat
    row, rows = t[0].numel(), RUN * step / t[0].numel()
    if rows >= 1:
        apart = round((round(rows - GOLDEN) + GOLDEN) * row)
    else:
        apart = round(row / (round(1 / rows - GOLDEN) + GOLDEN))
    return flat.as_strided(((len(flat) - RUN) // apart + 1, RUN), (apart, 1), flat.storage_offset())


def read(name: str, t: torch.Tensor) -> Any:
    """A :class:`TensorReading`; of a large tensor of every n-th entry, so that little is copied from the device."""
    shape = tuple(t.shape)
    if t.numel() > ENTRIES and t.ndim and t.layout is torch.strided:
        rows = t.detach().reshape(len(t), -1) if len(t) <= ENTRIES else t.detach().reshape(-1, 1)
        t = rows[:: max(1, len(rows) // ENTRIES), :: max(1, rows.numel() // ENTRIES)]
    found = read_tensor(name, numpy(t if t.layout is torch.strided else t.to_dense()), shape)
    return dataclasses.replace(found, dtype=str(t.dtype).removeprefix("torch."))  # NumPy has no bfloat16


SLOPES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": lambda z: torch.sigmoid(z) * torch.sigmoid(-z),
    "tanh": lambda z: torch.cosh(z.clamp(-40, 40)).square().reciprocal(),
    "relu6": lambda z: (~((z <= 0) | (z >= 6))).to(z.dtype),
}


def slope(function: Callable, name: str, z: torch.Tensor, arguments: tuple, options: dict[str, Any]) -> torch.Tensor:
    """Slope of an elementwise function at each entry of ``z``: known, or by autograd on a copy."""
    z = z.detach().to(torch.promote_types(z.dtype, torch.float32))
    if name in SLOPES:
        return SLOPES[name](z)
    # A checkpoint counts what is saved for the backward pass; what is saved here is not for it.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        at = z.clone().requires_grad_()
        return torch.autograd.grad(function(at.clone(), *arguments, **options).sum(), at)[0]


def bend(func: Callable, name: str, z: torch.Tensor, rest: tuple, options: dict[str, Any], axis: int) -> Bend:
    """Measure an activation function at ``z``, before it can overwrite ``z``; ``axis`` counts the units.

    A unit is dead where no entry of the batch has a slope; the saturated share is taken from a sample of a large
    ``z``.
    """
    arguments = tuple(a for a in rest if not isinstance(a, bool))  # a bool is `inplace` or `training`
    options = {k: v for k, v in options.items() if k not in ("input", "inplace", "training")}
    name = "sigmoid" if name == "expit" else name
    if name == "hardtanh" and _bounds(arguments, options) == (0.0, 6.0):
        name = "relu6"
    values, dead, units = z.detach(), None, None
    one_sided = name in ONE_SIDED and z.ndim >= 2 and z.numel() > 0
    others = tuple(i for i in range(z.ndim) if i != axis)
    if name == "relu":  # the common case, without a slope; signs are summed several times faster than compared
        few = values if values.numel() <= SAMPLED else sample(values)
        signs = few.sign().clamp_min_(0)
        if one_sided and few is values:
            on = signs.sum(others, dtype=torch.float32)  # how often each unit is on
            if on.is_cpu:  # a list is counted in fewer calls
                counts = on.tolist()
                return Bend(name, counts.count(0.0) / len(counts), 1 - sum(counts) / z.numel(), 0.0, z.numel())
            units = on == 0
        else:
            on = signs
            units = values.amax(others) <= 0 if one_sided else None
        flat = 1 - scalar(on.sum(dtype=torch.float32)) / max(1, few.numel())
    else:
        full = one_sided or z.numel() <= SAMPLED
        at = values if full else sample(values)
        slopes = slope(func, name, at, arguments, options)
        off, low = slopes == 0, slopes.abs() < SLOPE_SHARE * LARGEST_SLOPES.get(name, 1.0)
        flat = scalar(low.count_nonzero()) / max(1, low.numel())
        if one_sided:
            units = off.all(others) if isinstance(others, tuple) and others else off
    if units is not None:
        dead = scalar(units.count_nonzero()) / units.numel()
    return Bend(name, dead, flat, 0.0, z.numel())


def _bounds(arguments: tuple, options: Mapping[str, Any]) -> tuple[float, float]:
    low = arguments[0] if arguments else options.get("min_val", -1.0)
    high = arguments[1] if len(arguments) > 1 else options.get("max_val", 1.0)
    return float(low), float(high)
