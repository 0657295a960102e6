"""A training run of a PyTorch module under observation."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from gradclinic.instrument import core
from gradclinic.instrument.readings import NonFinite, Report, Watched
from gradclinic.instrument.torch import restore, rows
from gradclinic.instrument.torch.measure import (
    all_finite,
    dense,
    floats,
    kind,
    quick_norm,
    quick_norms,
    read,
    readable,
    sample,
    spread,
    tensors_in,
)
from gradclinic.instrument.torch.probe import FirstBad
from gradclinic.instrument.torch.recorder import Recorder, guarded, opaque

SMALL = 4096  # entries of a parameter whose gradient is looked at on every step
FOLLOWED = 2**14  # entries of a weight whose change is measured: the norm of so many is right to a few per cent
LOOKED_AT = 2**20  # entries of an output that are looked at for a nan


def _sum(t: torch.Tensor) -> torch.Tensor:
    """Sum of all entries, which shows a nan or inf among them at a tenth of the time of looking at each."""
    return (
        t.detach().sum(dtype=torch.promote_types(t.dtype, torch.float32))
        if not t.is_complex()
        else t.detach().abs().sum()
    )


def _sums(named: list[tuple[str, torch.Tensor]]) -> list[tuple[str, torch.Tensor]]:
    """Name and size of gradients among which one is not finite; on the CPU nothing where all of them are."""
    if all(g.is_cpu for _, g in named):
        whole = torch.cat([g if g.ndim == 1 else g.reshape(-1) for _, g in named])  # most are biases
        return [] if math.isfinite(whole.sum().item()) else [(name, _sum(g)) for name, g in named]
    # Few kernels for all of them.
    gradients = [g.detach() for _, g in named]
    sizes = torch._foreach_norm(gradients, math.inf)  # pyright: ignore[reportPrivateImportUsage]  # has no other name
    return [(name, size) for (name, _), size in zip(named, sizes, strict=True)]


@dataclass
class Sampled:
    """A step that was read: its layers as notes, complete but for ``changes``, which may come later."""

    step: int
    layers: list[core.Layer]
    owners: dict[int, core.Layer]  # id of a moving weight -> its layer
    report: Report
    scale: float = 1.0
    changes: dict[int, Any] = field(default_factory=dict)
    surprises: dict[int, tuple[Any, int]] = field(default_factory=dict)
    seen: int = -1

    def read(self) -> Report:
        """The report with what is known of the update by now."""
        if self.seen != len(self.changes) + len(self.surprises):
            self.seen = len(self.changes) + len(self.surprises)
            found = [list(self.changes.values()), [total for total, _ in self.surprises.values()]]
            rows.settle(found)
            self.changes = dict(zip(self.changes, found[0], strict=True))
            self.surprises = {
                key: (total, entries)
                for (key, (_, entries)), total in zip(self.surprises.items(), found[1], strict=True)
            }
            for layer in self.layers:
                mine = [key for key, owner in self.owners.items() if owner is layer and key in self.changes]
                layer.changes = [float(self.changes[key]) for key in mine] or None
                layer.surprises = [
                    (float(total), entries)
                    for key, (total, entries) in self.surprises.items()
                    if self.owners.get(key) is layer
                ]
            layers = tuple(core.reading(layer, self.report.batch, self.scale) for layer in self.layers)
            self.report = dataclasses.replace(self.report, layers=layers)
        return self.report


class Watching:
    """A training run under observation; made by :func:`gradclinic.instrument.watch`, used as a context.

    Everything is attached only while a sampled step runs, except for hooks on the modules that the loop calls from
    outside (mostly the model itself), which tell where a step begins, and one on a parameter, which tells that a
    backward pass has come through: of parameters that were reached by the same backward passes so far one stands for
    all. (Where no optimizer was seen to move them, each has its own.) The optimizers are found by themselves: PyTorch
    tells of every step of every one.

    Where several processes train together, weight gradients are what the optimizer is given: averaged over them. A
    model that is compiled as a whole shows its weights and their gradients only.
    """

    model: nn.Module
    optimizer: Any
    lr: float | None
    machine: core.Steps

    def __init__(
        self,
        model: nn.Module,
        every: int,
        optimizer: torch.optim.Optimizer | None,
        lr: float | None,
        make: Callable[..., Watched] = Watched,
        tell: Callable[[int, Report], None] | None = None,
    ) -> None:
        """Refuse what cannot be watched. ``tell(step, report)`` is called for each sampled step once it is over."""
        if isinstance(model, torch.jit.ScriptModule):
            raise ValueError("model: got a scripted module, which takes no hooks; wanted the module it was made from")
        restore.check(model, None, lr, optimizer)
        self.model, self.optimizer, self.lr, self._make, self._tell = model, optimizer, lr, make, tell
        self.machine = core.Steps(every)
        self.trouble: dict[str, str] = {}
        self.passing: list[Sampled] = []
        self._losses: dict[int, float | torch.Tensor] = {}
        self._bad_step: int | None = None
        self._origin: NonFinite | None = None
        self._by_hand = True  # no optimizer was seen to move the weights
        self._inside = False  # the backward pass runs inside the optimizer's step, as a closure
        self._clipped: Any = 0  # calls of clip_grad_norm_ that made the gradient shorter
        self._clippings = 0
        self._handles: list[Any] = []
        self._leaves: dict[int, Any] = {}
        self._tops: dict[nn.Module, list[Any]] = {}
        self._before: dict[int, tuple[torch.Tensor, torch.Tensor, float]] = {}
        self._patches = contextlib.ExitStack()
        self._waiting: set[int] = set()  # weights of the last step that was read, whose change is not known yet
        self._never: set[int] = set()  # weights that no step that was read has moved
        self._late: tuple[int, list[str], torch.Tensor] | None = None  # sums on a device, looked at a step later
        self._searching = False
        self._inputs: Any = None
        self._parameters: dict[int, torch.Tensor] = {}
        self._weights: list[torch.Tensor] = []
        self._led: set[int] = set()  # weights that an optimizer was seen to move
        self._kinds: dict[int, tuple[bool, ...]] = {}  # weight -> which steps it took part in, where all were hooked
        self._silent: list[tuple[str, torch.Tensor]] = []  # small weights without a hook, in order of arrival
        self._thin = False  # most weights have no hook now
        self._held: dict[int, tuple[tuple[int, ...], list[torch.Tensor]]] = {}  # optimizer -> its weights of the model
        self._unseen = getattr(model, "_compiled_call_impl", None) is not None  # no hook tells of a forward pass
        self._together = torch.distributed.is_available() and torch.distributed.is_initialized()
        if opaque(model):
            self.trouble["activations and delta"] = "the model is compiled as a whole, in which no hooks run"
        self._fresh()

    @property
    def steps(self) -> int:
        """Steps that are over."""
        return self.machine.count

    def _fresh(self) -> None:
        """Nothing recorded of the step to come."""
        self._recorder: Recorder | None = None
        self._sizes: dict[int, Any] = {}
        self._gradients: dict[int, list[tuple[int, torch.Tensor]]] = {}
        self._tasks: dict[int, bool] = {}  # backward passes that reached a weight -> whether they made a graph
        self._small: list[tuple[str, torch.Tensor]] = []  # sums of small gradients, in order of arrival
        self._scale: torch.Tensor | None = None
        self._stepped = False
        self._looked = False
        self._output: torch.Tensor | None = None  # gradient that came back to the model's output
        self._order: dict[int, None] = {}  # weights in order of arrival, where all are hooked
        self._former: dict[int, torch.Tensor | None] = {}  # what was accumulated before, where processes train together

    # On and off

    def __enter__(self) -> Watching:
        """Begin to watch."""
        self._names = {id(p): name.removeprefix("_orig_mod.") for name, p in self.model.named_parameters()}
        self._parameters = {id(p): p for p in self.model.parameters()}
        shards = next((n for n, p in self.model.named_parameters() if not readable(p)), None)
        if shards is not None:
            self.trouble["weights"] = f"{shards} and others are shards or have no values of their own here"
        self._never = {id(p) for p in self.model.parameters() if p.requires_grad}
        self._hook_leaves()
        if not self._unseen:
            self._hook_top(self.model)
        self._handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        self._patches.enter_context(self._scalers())
        self._patches.enter_context(self._clipping())
        self._attach()  # the first step is read in any case, whichever part of the model the loop calls
        return self

    def __exit__(self, *error: object) -> None:
        """Read the last step and take every hook off."""
        self._finish(last=True)
        self._patches.close()
        if self._recorder is not None:
            self._recorder.detach()
        hooks = [*self._handles, *self._leaves.values(), *(h for pair in self._tops.values() for h in pair)]
        for handle in hooks:
            handle.remove()
        self._handles.clear()
        self._leaves.clear()
        self._tops.clear()
        self._fresh()

    def _hook_leaves(self) -> None:
        self._silent, self._thin = [], False
        for key, p in self._parameters.items():
            if key not in self._leaves and p.requires_grad:
                self._leaves[key] = p.register_hook(partial(self._arrived, key, p.numel() <= SMALL))

    def _unhook_leaves(self) -> None:
        """After a step in which all leaves were hooked: of those that took part in the same steps so far the one that
        is reached last stands for all, if an optimizer moves them: its step is then told of, and gradients can be
        looked at there."""
        if self._thin or not self._order or self.machine.every == 1:  # all are hooked again for the next step
            return
        for key in self._leaves:
            self._kinds[key] = (*self._kinds.get(key, ()), key in self._order)
        if self._unseen or not self._led.issuperset(self._order):
            return
        reached = [key for key in self._order if key in self._parameters]
        last = {self._kinds[key]: key for key in self._order}  # the later one of a kind replaces the earlier
        for key in reached:
            if last[self._kinds[key]] != key and key not in self._never:
                self._leaves.pop(key).remove()
        self._silent = self._smallest(reached)
        self._thin = True

    def _smallest(self, keys: list[int]) -> list[tuple[str, torch.Tensor]]:
        """Name and value of the smallest parameter of each layer, at most ``SMALL``, in order of arrival."""
        found: dict[str, tuple[str, torch.Tensor]] = {}
        for key in keys:
            name, p = self._names.get(key, ""), self._parameters[key]
            layer = name.rpartition(".")[0]
            if not readable(p) or p.numel() > SMALL:
                continue
            if layer not in found or p.numel() < found[layer][1].numel():
                found[layer] = name, p
        return list(found.values())

    def _hook_top(self, module: nn.Module) -> None:
        if module not in self._tops:
            self._tops[module] = [
                module.register_forward_pre_hook(self._enter_top, with_kwargs=True),
                module.register_forward_hook(self._leave_top, with_kwargs=True),
            ]

    @contextlib.contextmanager
    def _scalers(self) -> Iterator[None]:
        """Know by what a ``GradScaler`` multiplies the loss while it is in use, and read before it divides."""
        scaling: Any = torch.amp.GradScaler
        original, divided = scaling.scale, scaling.unscale_

        def scale(scaler: Any, outputs: Any) -> Any:
            scaled = original(scaler, outputs)
            if getattr(scaler, "_scale", None) is not None:
                self._scale = scaler._scale.detach().clone()
            return scaled

        def unscale(scaler: Any, optimizer: torch.optim.Optimizer) -> None:
            self._before_change()
            divided(scaler, optimizer)

        scaling.scale, scaling.unscale_ = scale, unscale
        try:
            yield
        finally:
            scaling.scale, scaling.unscale_ = original, divided

    @contextlib.contextmanager
    def _clipping(self) -> Iterator[None]:
        """Know of each ``clip_grad_norm_`` of this model's gradients whether it made them shorter.

        The part of it that multiplies is replaced, so that it does not matter from where a loop imported the whole.
        """
        place: Any = torch.nn.utils.clip_grad
        original = getattr(place, "_clip_grads_with_norm_", None)
        if original is None:
            yield
            return

        def clip(parameters: Any, max_norm: float, total_norm: torch.Tensor, *rest: Any, **more: Any) -> None:
            parameters = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
            self._before_change()
            original(parameters, max_norm, total_norm, *rest, **more)
            self._note_clipping(parameters, max_norm, total_norm)

        place._clip_grads_with_norm_ = clip
        try:
            yield
        finally:
            place._clip_grads_with_norm_ = original

    @guarded
    def _before_change(self) -> None:
        """Gradients are about to be changed in place."""
        if self._silent:
            self._look()
        if self._together:
            self._close_notes()

    @guarded
    def _note_clipping(self, parameters: list[torch.Tensor], max_norm: float, total_norm: torch.Tensor) -> None:
        if any(id(p) in self._names for p in parameters):
            self._clippings += 1
            self._clipped = self._clipped + (total_norm.detach() > max_norm)  # stays on its device until asked for

    # What the reader asks

    def loss(self, value: float | torch.Tensor) -> None:
        """Note the loss of the current step; optional, the report then shows how it went."""
        self._losses[self.machine.count] = value.detach() if isinstance(value, torch.Tensor) else float(value)

    @property
    def report(self) -> Watched:
        """What was seen so far. ``ValueError`` before the first backward pass through the model."""
        reports = tuple(part.read() for part in self.passing)
        seen = [part.step for part, r in zip(self.passing, reports, strict=True) if r.first_nonfinite is not None]
        first = min([*seen, *([self._bad_step] if self._bad_step is not None else [])], default=None)
        origin = self._origin or next((r.first_nonfinite for r in reports if r.first_nonfinite is not None), None)
        losses = {step: float(value) for step, value in self._losses.items()}
        steps = tuple(part.step for part in self.passing)
        clipped = (int(self._clipped), self._clippings) if self._clippings else None
        return self._make(steps, reports, self.machine.count, losses, first, origin, clipped=clipped)

    # Steps

    @guarded
    def _enter_top(self, module: nn.Module, arguments: tuple, keywords: dict) -> Any:
        """A module that the loop calls from outside is called; where a recorder is on, it tells so itself."""
        if not torch.is_grad_enabled() or torch._C._current_graph_task_id() != -1 or self._searching:
            return None
        if self._recorder is not None:
            return None
        self._begin()
        if self._recorder is None:
            return None
        return self._recorder._before(module, arguments, keywords)  # hooks that were set just now do not run this time

    def _on_top(self, module: nn.Module, arguments: tuple, keywords: dict) -> Recorder | None:
        """The recorder tells of a forward pass from outside, maybe of a module that was not known to be called so;
        returns the recorder that goes on."""
        if module not in self._tops:
            self._hook_top(module)
        if self._over():
            self._begin()
        if self._recorder is not None and not self._sizes:
            self._open(arguments, keywords)
        return self._recorder

    def _begin(self) -> None:
        """A forward pass from outside begins."""
        if self._over():
            self._finish()
        if self._recorder is None and self.machine.begins() and self.machine.due:
            self._attach()

    def _attach(self) -> None:
        """Hook everything: the step to come is read."""
        self.machine.alarm = False
        self._hook_leaves()
        recorder = Recorder(self.model, exact=False)
        recorder.trouble = self.trouble
        recorder.accepts = torch._C._current_graph_task_id
        recorder.on_top = self._on_top
        recorder.attach()
        self._recorder = recorder

    def _open(self, arguments: tuple, keywords: dict) -> None:
        """The first forward pass of a step that is read begins: weights are as they are before the step."""
        self.machine.begins()
        if self._inputs is None:
            self._inputs = tuple(read(name, t) for name, t in tensors_in([*arguments, *keywords.values()], "x"))
        if not self._weights:  # asked once; a weight that comes later is read when the step is over
            biases = {name.rpartition(".")[0] for name, p in self._named() if p.ndim > 1}  # of layers with a matrix
            self._weights = [
                p for name, p in self._named() if not (name.endswith("bias") and name.rpartition(".")[0] in biases)
            ]
        weights = [p for p in self._weights if readable(p)]
        self._sizes = dict(zip(map(id, weights), quick_norms(weights), strict=True))
        if (self._by_hand or self._inside) and self.lr is None:
            self._keep([p for p in self.model.parameters() if p.requires_grad])

    def _over(self) -> bool:
        """Whether the step at hand has had its backward pass."""
        if self.machine.back or not self._tasks:
            return self.machine.back
        # Only passes that made a graph themselves: a penalty on gradients, or backward(create_graph=True).
        return self._stepped or any(p.grad is not None and p.grad.requires_grad for p in self.model.parameters())

    @guarded
    def _leave_top(self, module: nn.Module, arguments: tuple, keywords: dict, output: object) -> None:
        """Look at what came out for a nan, and ask for the gradient that will come back. An infinity may be a mask."""
        if not torch.is_grad_enabled() or torch._C._current_graph_task_id() != -1 or self._searching:
            return
        if self._bad_step is not None:
            return
        for t in floats(output)[:4]:
            if t.is_cpu:
                few = t.detach() if t.numel() <= LOOKED_AT else sample(t, LOOKED_AT)
                if math.isnan(few.sum().item()) and bool(torch.isnan(few).any()):
                    self._raise_alarm(self.machine.count)
                    self._origin = self._search(module, arguments, keywords)
                    return
            if t.requires_grad:
                t.register_hook(self._came_back)

    @guarded
    def _came_back(self, gradient: torch.Tensor | None) -> None:
        if gradient is not None and self._bad_step is None:
            if self._silent:
                self._output = gradient  # looked at only if one of a weight is not finite
            else:
                self._small.append(("", _sum(gradient)))

    @guarded
    def _arrived(self, key: int, small: bool, gradient: torch.Tensor | None) -> None:
        """A gradient has reached a parameter."""
        if gradient is None:
            return
        task, made = torch._C._current_graph_task_id(), torch.is_grad_enabled()
        if self._unseen and (task not in self._tasks or self._recorder is None):
            self._begin_unseen(task)
        self._tasks[task] = self._tasks.get(task, made) and made
        if not made:
            self.machine.returned()
        if not self._thin:
            self._order[key] = None
        if self._recorder is not None:
            if self._together and key not in self._former:
                before = self._parameters[key].grad if key in self._parameters else None
                self._former[key] = None if before is None else before.detach().clone()
            # The tensor itself: an alias would not keep PyTorch from making it the parameter's .grad, which the
            # reader's clipping and loss scaler then change in place.
            self._gradients.setdefault(key, []).append((task, gradient))
            return
        if key in self._never:
            self.machine.widen()
        if (
            small
            and not self._silent
            and self._bad_step is None
            and gradient.layout is torch.strided
            and readable(gradient)
        ):
            self._small.append((self._names.get(key, ""), _sum(gradient)))

    def _begin_unseen(self, task: int) -> None:
        """A backward pass begins whose forward pass nothing told of: in a model that is compiled in place."""
        if self.machine.back and task not in self._tasks:
            self._finish()
        if not self.machine.open:
            if self._recorder is None:
                self._begin()
            if self._recorder is not None and not self._sizes:
                self._open((), {})

    def _raise_alarm(self, step: int) -> None:
        self._bad_step, self.machine.alarm = step, True

    def _look(self) -> None:
        """Whether a gradient of this step was not finite; of an overflow that a loss scaler will see, nothing is made.

        On a device the sums are looked at one step later, when they are there without waiting.
        """
        late, self._late = self._late, None
        if late is not None and self._bad_step is None:
            self._judge(*late)
        if self._looked or self._bad_step is not None or self._scale is not None:
            return
        first = sum(not name for name, _ in self._small)  # outputs of the model; then weights, in order of arrival
        held = [(n, g) for n, p in self._silent if (g := p.grad) is not None and g.layout is torch.strided]
        if held and self._over():
            self._looked = True
            found = _sums(held)
            if found and self._output is not None:
                found.insert(0, ("", _sum(self._output)))
            self._small[first:first] = found
        if not self._small:
            return
        self._looked = True
        names = [name for name, _ in self._small]
        totals = torch.stack([total.float() for _, total in self._small])
        if totals.device.type == "cpu":
            self._judge(self.machine.count, names, totals)
        else:
            self._late = (self.machine.count, names, totals)

    def _judge(self, step: int, names: list[str], totals: torch.Tensor) -> None:
        values = totals.tolist()
        bad = next((i for i, value in enumerate(values) if not math.isfinite(value)), None)
        if bad is not None:
            self._raise_alarm(step)
            made: Any = "nan" if math.isnan(values[bad]) else "inf"
            name = names[bad]
            broken = None if self._stepped else next((n for n, p in self._named() if not all_finite(p)), None)
            if broken is not None:
                self._origin = NonFinite("parameter", broken, made)
            else:
                self._origin = NonFinite("backward", name, made) if name else NonFinite("loss", "loss", made)

    def _named(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, p in self.model.named_parameters():
            if readable(p):
                yield name.removeprefix("_orig_mod."), p

    def _search(self, module: nn.Module, arguments: tuple, keywords: dict) -> NonFinite | None:
        """Where the first nan of a run comes from, looked for at once, before an optimizer can spread it."""
        for name, p in self._named():
            if not all_finite(p):
                return NonFinite("parameter", name, kind(p))
        for name, t in tensors_in([*arguments, *keywords.values()], "x"):
            if not all_finite(t):
                return NonFinite("input", name, kind(t))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return None  # a second forward pass of one process alone could wait for the others for ever
        recorder = Recorder(self.model, exact=False)
        self._searching = True
        recorder.attach()
        try:
            with restore.restored(self.model), torch.no_grad(), FirstBad(recorder) as search:
                module(*arguments, **keywords)
            return next((made for made in search.fresh if made.kind == "nan"), next(iter(search.fresh), None))
        finally:
            recorder.detach()
            self._searching = False

    # Updates

    def _keep(self, parameters: Any) -> None:
        """Remember weights as they are, of large ones a sample."""
        for p in filter(readable, parameters):
            whole = dense(p)
            kept = spread(whole, FOLLOWED)
            scale = math.sqrt(whole.numel() / max(1, kept.numel()))
            self._before[id(p)] = (p, kept.clone(), scale)

    def _resolve(self, keys: Any, *, moved: bool = False) -> None:
        """Note what has happened to these weights since they were kept; nothing where nothing did, unless ``moved``."""
        held = {key: self._before[key] for key in keys if key in self._before}
        changes: dict[int, Any] = {
            key: scale * quick_norm(spread(p, FOLLOWED) - kept) for key, (p, kept, scale) in held.items()
        }
        if self.passing and (moved or any(changes.values())):
            self.passing[-1].changes.update(changes)
            for key in held:
                del self._before[key]
            if not moved:
                self._by_hand = True

    def _mine(self, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
        if self.optimizer is not None and optimizer is not self.optimizer:
            return []
        lengths = tuple(len(group["params"]) for group in optimizer.param_groups)
        known = self._held.get(id(optimizer))
        if known is None or known[0] != lengths:
            mine = [p for group in optimizer.param_groups for p in group["params"] if id(p) in self._names]
            known = self._held[id(optimizer)] = lengths, mine
        return known[1]

    @guarded
    def _before_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        mine = self._mine(optimizer)
        if not mine or self.lr is not None:
            return
        self._look()
        if self._recorder is not None:
            self._close_notes()
        if self._waiting:
            self._keep([p for p in mine if id(p) in self._waiting])

    @guarded
    def _after_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        mine = self._mine(optimizer)
        if not mine:
            return
        self._stepped, self._by_hand = True, False
        if not self._thin:
            self._led.update(id(p) for p in mine)
        if self.machine.open and not self._tasks:
            # No gradient was announced: the weight that stands for others takes no part any more, or all are shards.
            self._kinds.clear()
            self._hook_leaves()
            self.machine.returned()
        if self._recorder is None and not self._before:
            return
        if self._recorder is not None and self._over():  # the step was called with a closure
            self._inside = True
            self._close_notes()
        keys = [id(p) for p in mine if id(p) in self._before]
        self._expect(optimizer, set(keys))
        self._resolve(keys, moved=True)
        self._waiting -= set(keys)

    @guarded
    def _expect(self, optimizer: torch.optim.Optimizer, keys: set[int]) -> None:
        """After a step of Adam or one of its kin: each gradient against the second moment that knows it already."""
        if not self.passing:
            return
        for group in optimizer.param_groups:
            for p in group["params"]:
                state = optimizer.state.get(p, {}) if id(p) in keys and p.grad is not None else {}
                if p.grad is None or not {"exp_avg_sq", "step"} <= set(state) or "betas" not in group:
                    continue
                usual = state["exp_avg_sq"].detach() / (1 - group["betas"][1] ** float(state["step"]))
                surprise = p.grad.detach() ** 2 / usual.clamp_min(group.get("eps", 1e-8) ** 2)
                self.passing[-1].surprises[id(p)] = (surprise.sum(dtype=torch.float64), p.numel())

    # The end of a step

    def _close_notes(self) -> None:
        """The backward passes of a sampled step are over: its notes are made, its update may still come."""
        if self._recorder is None or not self._over():
            return
        recorder, self._recorder = self._recorder, None
        recorder.detach()
        tasks = {task for task, made in self._tasks.items() if not made} or set(self._tasks) or None
        whole = rows.merged(recorder.passes, tasks)
        gradients = {
            key: parts
            for key, given in self._gradients.items()
            if (parts := [gradient for task, gradient in given if tasks is None or task in tasks])
        }
        if self._together:
            gradients = {key: self._averaged(key, parts) for key, parts in gradients.items()}
        known = rows.owners(recorder, rows.visible(recorder, whole))
        with torch.no_grad():
            layers = rows.notes(recorder, whole, rows.Values(self._sizes, gradients, None), known)
            rows.settle([layers, whole.additions, whole.attentions])
        by_name = {layer.name: layer for layer in layers}
        owners = {
            id(p): by_name[recorder.name(module)]
            for module, held in known[0].items()
            for _, p in rows._weights(held)
            if p.requires_grad and recorder.name(module) in by_name
        }
        self._gradients = {}
        scale = float(self._scale) if self._scale is not None else 1.0
        made = Sampled(self.machine.count, layers, owners, self._report(recorder, whole, gradients), scale)
        if self.lr is not None:
            made.changes = {k: self.lr * float(quick_norm(rows._total(g))) / scale for k, g in gradients.items()}
        self._waiting = set(owners) if self.lr is None else set()
        self._never -= set(gradients)
        # Readings are made when they are asked for: here only where a number of the step is not finite.
        first, skipped = core.first_nonfinite(made.read().layers) if core.broken(layers) else None, False
        if first is not None and first.stage == "backward" and self._scale is not None:
            first, skipped = None, True
        if first is not None and self._bad_step is None:
            self._bad_step, self._origin = self.machine.count, first
        made.report = dataclasses.replace(
            made.report,
            first_nonfinite=first,
            skipped=skipped,
            additions=tuple(whole.additions),
            attentions=tuple(whole.attentions),
        )
        self.passing.append(made)

    def _averaged(self, key: int, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        """What several processes have made of a gradient together, as the optimizer is given it."""
        p, before = self._parameters.get(key), self._former.get(key)
        if p is None or p.grad is None:
            return parts
        return [p.grad.detach() if before is None else p.grad.detach() - before]

    def _report(self, recorder: Recorder, whole: Any, gradients: Any) -> Report:
        return Report(
            framework="PyTorch",
            layers=(),
            batch=whole.batch,
            loss=float(self._losses.get(self.machine.count, math.nan)),
            lr=self.lr,
            assumed=False,
            optimizer=type(self.optimizer).__name__ if self.optimizer is not None else None,
            inputs=self._inputs if self._inputs and not self.passing else (),
            unused=rows.unused(recorder, gradients) if gradients else (),
            cuts=tuple(dict.fromkeys(whole.cuts)),
            scale=float(self._scale) if self._scale is not None else None,
            notes=tuple(f"{where} ({words})" for where, words in self.trouble.items()),
        )

    def _finish(self, last: bool = False) -> None:
        """The step is over: read it, and start the next one."""
        if not self._over():
            if last and self._before:
                self._resolve(list(self._before))
            return
        self._look()
        self._close_notes()
        if self._before:
            self._resolve(list(self._before))
        told = self.passing[-1] if self.passing and self.passing[-1].step == self.machine.count else None
        loss = self._losses.get(self.machine.count)
        if told is not None and loss is not None:
            told.report = dataclasses.replace(told.report, loss=float(loss))
        if told is not None and self._tell is not None:
            self._tell(told.step, told.read())
        self._unhook_leaves()
        self.machine.close()
        self._fresh()
