"""One batch through a PyTorch module, forward and backward."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gradclinic.instrument.readings import LayerReading, NonFinite, Report, TensorReading
from gradclinic.instrument.tensors import neighbour_agreement
from gradclinic.instrument.torch import graph, restore, rows
from gradclinic.instrument.torch.measure import all_finite, floats, kind, norm, numpy, read, tensors_in
from gradclinic.instrument.torch.recorder import Recorder, plain_name

MAKES_MASKS = frozenset(
    {
        "empty", "empty_like", "fill", "full", "full_like", "masked_fill", "new_empty", "new_full", "tril", "triu",
        "where",
    }
)  # fmt: skip
Loss = Callable[[Any, Any], torch.Tensor]


def default_loss(fallback: Loss, output: Any, y: Any) -> torch.Tensor:
    """The loss that stands for ``None``, with words for what it cannot take. Classes stand on the last axis, or on the
    second one where only so the other axes are those of ``y``."""
    if not isinstance(output, torch.Tensor):
        raise ValueError(f"loss: got None for a model that returns {type(output).__name__}, wanted loss(output, y)")
    if not isinstance(y, torch.Tensor):
        raise ValueError(f"y: got {type(y).__name__}, wanted one array of targets where loss is None")
    if output.ndim < 2:
        raise ValueError(f"loss: got None for an output of shape {tuple(output.shape)}, wanted (batch, n) or a loss")
    if y.dtype is torch.bool:
        raise ValueError("y: got bool, wanted integer labels or float targets where loss is None")
    if y.is_floating_point():
        return fallback(output, y)
    if y.ndim >= 2 and output.ndim == y.ndim + 1 and output.shape[:-1] != y.shape:
        if (output.shape[0], *output.shape[2:]) != tuple(y.shape):
            raise ValueError(f"y: got shape {tuple(y.shape)} for an output of {tuple(output.shape)}")
        output = output.movedim(1, -1)
    classes = output.shape[-1]
    if y.numel() and (int(y.min()) < 0 or int(y.max()) >= classes):
        wanted = f"wanted 0 to {classes - 1}: the model has {classes} outputs"
        raise ValueError(f"y: got labels from {int(y.min())} to {int(y.max())}, {wanted}")
    if y.ndim >= 2 and output.shape[:-1] == y.shape:
        return functional.cross_entropy(output.reshape(-1, classes), y.reshape(-1).long())
    return fallback(output, y.long())


def guess(loss: Any, output: Any, y: Any) -> float | None:
    """What a guess that ignores the input costs; ``None`` for a loss that is not known here."""
    if not isinstance(y, torch.Tensor) or not isinstance(output, torch.Tensor):
        return None
    known = loss is None or loss is functional.cross_entropy or isinstance(loss, nn.CrossEntropyLoss)
    if not y.is_floating_point() and known:
        last = loss is None and output.shape[:-1] == y.shape
        return math.log(output.shape[-1] if last else output.shape[1] if output.ndim > 1 else 1)
    if y.is_floating_point() and y.ndim >= 1 and loss is None:
        y = y.detach().double()
        return float(0.5 * (y - y.mean(0)).square().flatten(1).sum(1).mean()) if y.ndim > 1 else None
    return None


@dataclasses.dataclass
class Passed:
    """What one forward and backward pass left behind."""

    recorder: Recorder
    output: Any
    loss: torch.Tensor
    gradients: dict[int, torch.Tensor]
    facts: graph.Facts
    blame: NonFinite | None = None


class Batch:
    """A model, what goes in and what is asked of it: can be sent through as often as needed."""

    model: nn.Module
    like: nn.Parameter
    x: Any
    y: Any
    size: int
    positional: tuple[Any, ...]
    keywords: dict[str, Any]
    evaluate: Loss

    def __init__(self, model: nn.Module, x: Any, y: Any, loss: Loss | None, fallback: Loss) -> None:
        """Copies the data to where the model is."""
        self.model = model
        self.like = next((p for p in model.parameters() if p.is_floating_point()), next(model.parameters()))
        self.x, self.y = restore.prepared(x, self.like), restore.prepared(y, self.like)
        self.size = restore.batch_of(self.x, self.y)
        self.positional, self.keywords = restore.arguments(model, self.x)
        self.evaluate = loss or partial(default_loss, fallback)

    def run(self, *, search: bool = False) -> Passed:
        """One pass; ``search`` follows every operation to the first nan or inf, and waits for the device each time."""
        recorder = Recorder(self.model, exact=True)
        forward = FirstBad(recorder) if search else contextlib.nullcontext()
        recorder.attach()
        recorder.see()
        try:
            with forward:
                output = self.model(*self.positional, **self.keywords)
                if isinstance(self.model, torch.jit.ScriptModule):
                    recorder.note(self.model, output)
                recorder.stage = "loss"
                value = self.evaluate(output, self.y)
            while recorder._modes:
                recorder.unsee()
            _scalar(value)
            return self._backward(recorder, output, value, forward if search else None)
        finally:
            recorder.detach()

    def _backward(self, recorder: Recorder, output: Any, value: torch.Tensor, search: Any) -> Passed:
        moving = [p for p in self.model.parameters() if p.requires_grad]
        known = graph.facts(value, self.model.parameters())
        blame = graph.Blame(value, recorder.place_of) if search is not None else None
        recorder.stage = "backward"
        try:
            if known.reentrant:
                found = _whole_backward(value, moving)
            else:
                wanted = [*moving, *recorder.sequences]
                found = torch.autograd.grad(value.sum(), wanted, allow_unused=True)[: len(moving)]
        finally:
            if blame is not None:
                blame.detach()
        gradients = {id(p): g for p, g in zip(moving, found, strict=True) if g is not None}
        origin = None
        if search is not None and blame is not None:
            origin = blame.found if all_finite(value) else search.verdict(value)
        return Passed(recorder, output, value.detach(), gradients, known, origin)

    def after(self, parameters: Mapping[str, torch.Tensor]) -> float:
        """Loss of the same batch with other parameters."""
        for graph_too in (False, True):  # a model that differentiates in its forward pass needs the graph
            with torch.set_grad_enabled(graph_too), contextlib.suppress(*(() if graph_too else (RuntimeError,))):
                made = torch.func.functional_call(self.model, dict(parameters), self.positional, self.keywords)
                return float(self.evaluate(made, self.y).detach())
        raise AssertionError("unreachable")


def _scalar(value: Any) -> None:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        got = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"loss: got {got} from loss(output, y), wanted a scalar tensor, the mean over the batch")
    if not value.requires_grad:
        raise ValueError("loss: got a value that depends on no trainable parameter, wanted one to differentiate")


def _whole_backward(value: torch.Tensor, moving: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
    """Gradients by ``backward()``, all that a reentrant checkpoint takes; the ``.grad`` of all leaves is put back."""
    if any(p._post_accumulate_grad_hooks for p in moving):
        raise ValueError(
            "model: got a reentrant checkpoint and hooks that act when a gradient has been accumulated, wanted"
            " torch.utils.checkpoint(use_reentrant=False)"
        )
    leaves = [n.variable for n in graph.nodes([value]) if hasattr(n, "variable")]
    kept = [(leaf, leaf.grad) for leaf in {id(t): t for t in (*moving, *leaves)}.values()]
    for leaf, _ in kept:
        leaf.grad = None
    try:
        value.sum().backward()
        return [p.grad for p in moving]
    finally:
        for leaf, before in kept:
            leaf.grad = before


class FirstBad(TorchFunctionMode):
    """Looks at what every function makes, and remembers which made a nan or inf out of finite numbers."""

    def __init__(self, recorder: Recorder) -> None:
        """``recorder`` knows which module runs."""
        super().__init__()
        self.recorder = recorder
        self.fresh: list[NonFinite] = []

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """See one function."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__") or self.recorder.back:
            return func(*args, **kwargs)
        given = floats((args, kwargs))
        before = all_finite(given) if name.endswith("_") else None  # what works in place must be looked at before
        out = func(*args, **kwargs)
        plain = plain_name(name)
        if plain in MAKES_MASKS:
            return out
        bad = next((t for t in floats(out) if not all_finite(t)), None)
        if bad is not None and (all_finite(given) if before is None else before):
            stage = "loss" if self.recorder.stage == "loss" else "forward"
            place = "loss" if stage == "loss" else self.recorder.here()
            self.fresh.append(NonFinite(stage, place, kind(bad), plain))
        elif bad is not None and plain == "softmax" and kind(bad) == "nan" and all(kind(t) == "inf" for t in given):
            self.fresh.append(NonFinite("forward", self.recorder.here(), "nan", plain))  # of a row masked as a whole
        return out

    def verdict(self, loss: torch.Tensor) -> NonFinite | None:
        """Where the forward pass left the finite numbers, as the loss did."""
        nans = [made for made in self.fresh if made.kind == "nan"]  # an inf may have been meant, as log(0) of a mask
        return next(iter((nans if kind(loss) == "nan" and nans else self.fresh) or []), None)


def probe(
    model: nn.Module,
    x: Any,
    y: Any = None,
    loss: Loss | None = None,
    *,
    fallback: Loss,
    lr: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> Report:
    """One batch through ``model`` in the mode it is in; see :func:`gradclinic.instrument.probe`.

    ``x``: array or tensor; a tuple or list is handed over as ``model(*x)``, a dict as ``model(**x)`` where its keys
    are arguments of ``forward``. NumPy floats are cast to the model's precision, tensors are used as they are.
    ``loss(output, y)`` returns the batch mean; ``None`` means ``fallback``.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile: the module itself, whose parts can be watched
    restore.check(model, loss, lr, optimizer)
    batch = Batch(model, x, y, loss, fallback)
    # cuDNN has no backward pass for recurrent layers in evaluation mode.
    plain = batch.like.is_cuda and not model.training and any(isinstance(m, nn.RNNBase) for m in model.modules())
    backend = torch.backends.cudnn.flags(enabled=False) if plain else contextlib.nullcontext()
    with restore.uncompiled(model), restore.restored(model) as rewind, torch.enable_grad(), backend:
        passed = batch.run()
        whole = rows.merged(passed.recorder.passes, None)
        changes, after = _changes(model, passed, lr, optimizer)
        sizes = {id(p): norm(p) for p in model.parameters()}
        layers = rows.layers(
            rows.notes(passed.recorder, whole, rows.Values(sizes, _listed(passed.gradients), changes)), batch.size
        )
        loss_after = None
        if after is not None:
            rewind()
            loss_after = batch.after(after)
        del after
        origin = _origin(batch, passed, layers, rewind)
    return _report(batch, passed, whole, layers, loss, lr, optimizer, loss_after, origin)


def _listed(gradients: Mapping[int, torch.Tensor]) -> dict[int, list[torch.Tensor]]:
    return {key: [g] for key, g in gradients.items()}


def _changes(
    model: nn.Module, passed: Passed, lr: float | None, optimizer: torch.optim.Optimizer | None
) -> tuple[dict[int, Any], dict[str, torch.Tensor] | None]:
    """Norm of one step for each parameter, and the parameters after it where a step size is known."""
    if lr is None and optimizer is None:
        changes = {
            id(p): norm(passed.gradients[id(p)]) if id(p) in passed.gradients else 0.0 for p in model.parameters()
        }
        return changes, None
    gradients = {key: g.to_dense() if g.layout is not torch.strided else g for key, g in passed.gradients.items()}
    after = restore.trial_step(model, gradients if optimizer is None else passed.gradients, lr or 1.0, optimizer)
    return {id(p): norm(after[name] - p.detach()) for name, p in model.named_parameters()}, after


def _origin(
    batch: Batch, passed: Passed, layers: tuple[LayerReading, ...], rewind: Callable[[], None]
) -> NonFinite | None:
    """In the order of computation: data, parameters, forward pass, loss, backward pass; ``None`` where loss and
    gradients are finite, whatever a mask of -inf did in between."""
    sound = all_finite(passed.loss) and all(all_finite(g) for g in passed.gradients.values())
    if sound and not any(layer.nonfinite_gradient for layer in layers):
        return None
    for name, p in batch.model.named_parameters():
        if not all_finite(p):
            return NonFinite("parameter", name, kind(p))
    harmed = next((name for name, t in tensors_in(batch.x, "x") if not all_finite(t)), None)
    if harmed is not None and not all_finite(passed.loss):
        return NonFinite("input", harmed, "nan")
    rewind()
    searched = batch.run(search=True)
    found = searched.blame
    if found is None and sound:
        return None  # a later mask took the bad entries out
    if found is None:
        found = _unsought(batch, searched, layers)
    if found.stage == "loss":
        harmed = next((name for name, t in tensors_in(batch.y, "y") if not all_finite(t)), None)
        return found if harmed is None else NonFinite("target", harmed, "nan")
    return found


def _unsought(batch: Batch, searched: Passed, layers: tuple[LayerReading, ...]) -> NonFinite:
    """Where only a layer is known, not an operation."""
    if not all_finite(searched.loss):
        harmed = next((name for name, t in tensors_in(batch.y, "y") if not all_finite(t)), None)
        if harmed is not None:
            return NonFinite("target", harmed, "nan")
        layer = next((layer for layer in layers if layer.nonfinite), None)
        if layer is None:
            return NonFinite("loss", "loss", kind(searched.loss))
        return NonFinite("forward", layer.name, "nan")
    for name, p in batch.model.named_parameters():
        gradient = searched.gradients.get(id(p))
        if gradient is not None and not all_finite(gradient):
            return NonFinite("backward", name, kind(gradient))
    return NonFinite("backward", next(layer.name for layer in reversed(layers) if layer.nonfinite_gradient), "nan")


def _report(
    batch: Batch,
    passed: Passed,
    whole: Any,
    layers: tuple[LayerReading, ...],
    loss: Any,
    lr: float | None,
    optimizer: torch.optim.Optimizer | None,
    loss_after: float | None,
    origin: NonFinite | None,
) -> Report:
    """Everything that was seen, in one record."""
    recorder, x, y = passed.recorder, batch.x, batch.y
    inputs = tuple(read(name, t) for name, t in tensors_in(x, "x"))
    labels = isinstance(y, torch.Tensor) and y.ndim == 1 and not y.is_floating_point()
    additions, attentions = rows.extras(whole)
    flat = [f"{recorder.place_of(number)}: {name}" for number, name in passed.facts.flat]
    return Report(
        framework="PyTorch",
        layers=layers,
        batch=batch.size,
        loss=float(passed.loss),
        loss_guess=guess(loss, passed.output, y),
        loss_after=loss_after,
        lr=lr if optimizer is None and lr is not None else None if optimizer is not None else 1.0,
        assumed=lr is None and optimizer is None,
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        inputs=inputs,
        targets=_read_all(y, "y"),
        outputs=_read_all(passed.output, "output"),
        additions=additions,
        attentions=attentions,
        neighbours=_neighbours(x, y) if len(inputs) == 1 and labels else None,
        first_nonfinite=origin,
        unused=rows.unused(recorder, passed.gradients),
        foreign=passed.facts.foreign,
        cuts=tuple(dict.fromkeys((*flat, *whole.cuts))),
        notes=tuple(f"{where} ({words})" for where, words in recorder.trouble.items()),
    )


def _neighbours(x: Any, y: torch.Tensor) -> tuple[float, float] | None:
    first = next(iter(tensors_in(x)))[1]
    return neighbour_agreement(numpy(first[:512]), numpy(y[:512])) if first.is_floating_point() else None


def _read_all(value: Any, name: str) -> tuple[TensorReading, ...]:
    return tuple(read(at, t) for at, t in tensors_in(value, name))
