"""From a recorder's notes to the layers of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from gradclinic.instrument import core
from gradclinic.instrument.readings import Addition, Attention, LayerReading
from gradclinic.instrument.torch.measure import dense, quick_norm, readable
from gradclinic.instrument.torch.recorder import Pass, Recorder, opaque

TURNED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KNOWN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.RNNBase, nn.MultiheadAttention, nn.Bilinear)
PLAIN = frozenset({float, int, bool, str, tuple, type(None)})  # nothing in them is settled
LOOKED_UP = (nn.Embedding, nn.EmbeddingBag)


@dataclasses.dataclass
class Values:
    """What is known of parameters, by ``id``: norm of each, gradients of the loss (several where it came in parts),
    norm of one step."""

    sizes: Mapping[int, Any]
    gradients: Mapping[int, Sequence[torch.Tensor]]
    changes: Mapping[int, Any] | None


def settle(notes: Sequence[Any]) -> None:
    """Turn all scalar tensors in notes into floats, with one transfer for each device."""
    places: dict[torch.device, list[tuple[Any, Any, torch.Tensor]]] = {}

    def visit(holder: Any, key: Any, value: Any) -> None:
        if isinstance(value, list):
            for i, part in enumerate(value):
                if type(part) not in PLAIN:
                    visit(value, i, part)
        elif isinstance(value, torch.Tensor):
            places.setdefault(value.device, []).append((holder, key, value))
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            for name, part in vars(value).items():
                if type(part) not in PLAIN and not (type(part) is list and not part):
                    visit(value, name, part)

    for note in notes:  # most parts are plain, once settled: looked at here, they cost no call
        visit(None, None, note)
    for found in places.values():
        values = torch.stack([t.double().reshape(()) for _, _, t in found]).tolist()
        for (holder, key, _), value in zip(found, values, strict=True):
            if isinstance(holder, list):
                holder[key] = value
            else:
                object.__setattr__(holder, key, value)


def units_of(module: nn.Module, p: object, shape: Sequence[int], width: int | None) -> int:
    """Number of units that a weight of this shape feeds, so that ``norm / sqrt(units)`` is ``sqrt(fan_in mean(w^2))``.

    Known layers say it; in others the fan-in is the axis as long as the input's last one (a stored transpose, stacked
    experts), else all axes but the first.
    """
    if isinstance(module, TURNED):
        return shape[1] * module.groups
    if isinstance(module, KNOWN):
        return shape[0]
    if width is not None and width in shape[-2:]:
        whole = 1
        for n in shape:
            whole *= n
        return whole // width
    return shape[0]


def _is_matrix(shape: Sequence[int]) -> bool:
    """Whether a weight maps several numbers to several; a gain for each channel has further axes of length 1."""
    return len(shape) >= 2 and (sum(n > 1 for n in shape) > 1 or len(shape) == 2)


Owners = tuple[dict[nn.Module, list[tuple[str, nn.Parameter]]], dict[int, list[str]]]


def owners(recorder: Recorder, called: Collection[nn.Module]) -> Owners:
    """Parameters of each called module with their full names, and the names of the layers that use a parameter. A
    module that is not called lends its weights to its parent."""
    owned: dict[nn.Module, list[tuple[str, nn.Parameter]]] = {}
    users: dict[int, list[str]] = {}
    modules = {name: module for module, name in recorder.names.items()}
    for module, name in recorder.names.items():
        parts = name.split(".") if name else []
        for key, p in module._parameters.items():
            if p is None:
                continue
            for depth in range(len(parts), -1, -1):
                owner = modules.get(".".join(parts[:depth]))
                if owner is not None and owner in called and "parametrizations" not in parts[:depth]:
                    owned.setdefault(owner, []).append((".".join([*parts, key]), p))
                    users.setdefault(id(p), []).append(recorder.name(owner))
                    break
    return owned, users


def unused(recorder: Recorder, gradients: Mapping[int, Any]) -> tuple[str, ...]:
    """Parameters on which the loss does not depend."""
    found: dict[int, str] = {}
    for module, name in recorder.names.items():
        for key, p in module._parameters.items():
            if p is not None and p.requires_grad and id(p) not in gradients:
                found.setdefault(id(p), f"{name}.{key}" if name else key)
    return tuple(found.values())


def merged(passes: Sequence[Pass], tasks: Collection[Any] | None) -> Pass:
    """All forward passes of a step as one, without those that no gradient came back to; ``tasks``: the backward passes
    that count, ``None`` for all."""
    for call in (call for part in passes for calls in part.calls.values() for call in calls):
        call.deltas = [size for task, size in call.deltas if tasks is None or task in tasks]
        call.bad_deltas = [bad for task, bad in call.bad_deltas if tasks is None or task in tasks]
    touched = [p for p in passes if any(call.deltas for calls in p.calls.values() for call in calls)]
    touched = touched or list(passes[:1])
    whole = Pass(batch=touched[0].batch if touched else 1)
    for part in touched:
        for module, calls in part.calls.items():
            whole.calls.setdefault(module, []).extend(calls)
        whole.additions += part.additions
        whole.attentions += part.attentions
        whole.cuts += part.cuts
    return whole


def _weights(owned: Sequence[tuple[str, nn.Parameter]]) -> list[tuple[str, nn.Parameter]]:
    """Biases left out, unless there is nothing else."""
    return [(key, p) for key, p in owned if "bias" not in key.rpartition(".")[2]] or list(owned)


def _used(
    recorder: Recorder, module: nn.Module, weights: Sequence[tuple[str, nn.Parameter]], values: Values, call: core.Call
) -> tuple[list[Any], list[tuple[Any, int]]]:
    """Norms of the weights as they were used, and norm and number of units of each matrix."""
    name = recorder.names[module]
    sizes, matrices = [], []
    for full, p in weights:
        if "parametrizations" not in full.split(".") and readable(p):
            sizes.append(values.sizes[id(p)] if id(p) in values.sizes else quick_norm(p))
            if _is_matrix(p.shape) and not isinstance(module, LOOKED_UP):
                matrices.append((sizes[-1], units_of(module, p, p.shape, call.width)))
    for (layer, _), (size, shape) in recorder.effective.items():
        if layer == name:
            sizes.append(size)
            if _is_matrix(shape):
                matrices.append((size, units_of(module, module, shape, call.width)))
    return sizes, matrices


def notes(recorder: Recorder, whole: Pass, values: Values, known: Owners | None = None) -> list[core.Layer]:
    """The layers of a step, in order of completing their first call; ``known``: :func:`owners` of these calls."""
    calls = visible(recorder, whole)
    owned, users = known or owners(recorder, calls)
    moving = [id(p) for module in calls for _, p in _weights(owned.get(module, ())) if p.requires_grad]
    found = {key: _total(values.gradients[key]) for key in moving if key in values.gradients}
    grown = dict(zip(found, recorder.norms(list(found.values())), strict=True))
    return [
        _layer(recorder, module, made, owned[module], users, values, found, grown)
        for module, made in calls.items()
        if module in owned
    ]


def visible(recorder: Recorder, whole: Pass) -> Mapping[nn.Module, list[core.Call]]:
    """The calls of each layer. Of a model that is compiled as a whole none was seen: its parts have their weights."""
    if not opaque(recorder.model) or isinstance(recorder.model, torch.jit.ScriptModule):
        return whole.calls
    return {module: [] for module in recorder.names if any(p is not None for p in module._parameters.values())}


def _unread(module: nn.Module, calls: Sequence[core.Call], owned: Sequence[tuple[str, nn.Parameter]]) -> str:
    """Why nothing came back to a layer, where that is known; "" where something did."""
    if any(call.deltas for call in calls):
        return ""
    if opaque(module) or not calls:
        return "compiled"
    if not all(readable(p) for _, p in owned):
        return "shards"
    return ""


def _layer(
    recorder: Recorder,
    module: nn.Module,
    calls: list[core.Call],
    owned: Sequence[tuple[str, nn.Parameter]],
    users: Mapping[int, list[str]],
    values: Values,
    totals: Mapping[int, torch.Tensor],
    norms: Mapping[int, Any],
) -> core.Layer:
    """``totals``, ``norms``: gradient of each weight and its norm, by ``id``."""
    name, weights = recorder.name(module), _weights(owned)
    moving = [p for _, p in weights if p.requires_grad]
    found = [totals[id(p)] for p in moving if id(p) in totals]
    sizes, matrices = _used(recorder, module, weights, values, calls[0] if calls else core.Call([], 0, []))
    grown = [norms[id(p)] for p in moving if id(p) in totals]
    counted = [g for g in found if recorder.exact or g.element_size() < 4]  # underflow: looked for where it is near
    zeros = sum(g.numel() - g.count_nonzero() for g in counted)
    changes = None
    if values.changes is not None and any(id(p) in values.changes for p in moving):
        changes = [values.changes[id(p)] for p in moving if id(p) in values.changes]
    steps: Sequence[float] = ()
    if module in recorder.times:
        steps = recorder.times[module].tolist()
    return core.Layer(
        name=name,
        kind=type(module).__name__,
        calls=calls,
        weights=sizes,
        matrices=[[size, units] for size, units in matrices],  # type: ignore[misc]  # lists, so that they can be settled
        matrix=bool(matrices) or any(_is_matrix(p.shape) for _, p in weights),
        entries=sum(p.numel() for key, p in weights if "bias" not in key.rpartition(".")[2]),
        gradients=grown or None,
        bad_gradients=[recorder.bad(g, size) for g, size in zip(found, grown, strict=True)],
        changes=changes,
        zeros=[zeros, sum(g.numel() for g in counted)],  # type: ignore[arg-type]
        steps=steps,
        frozen=not any(p.requires_grad for _, p in owned),
        shared_with=tuple(dict.fromkeys(u for _, p in weights for u in users[id(p)] if u != name)),
        unread=_unread(module, calls, owned),
    )


def _total(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return dense(total)


def layers(made: Sequence[core.Layer], batch: int, scale: float = 1.0) -> tuple[LayerReading, ...]:
    """Settle all scalars and read the layers."""
    settle(made)
    return tuple(core.reading(layer, batch, scale) for layer in made)


def extras(whole: Pass) -> tuple[tuple[Addition, ...], tuple[Attention, ...]]:
    """Skip connections and attentions, settled."""
    settle([whole.additions, whole.attentions])
    return tuple(whole.additions), tuple(whole.attentions)
