"""``watch`` where the model is not one plain module in one process, and what it costs where nothing is read."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import gradclinic
from gradclinic.instrument.torch import measure


def net(width=8, hidden=1):
    torch.manual_seed(0)
    parts = [part for _ in range(hidden) for part in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*parts, nn.Linear(width, 3))


def batch(step=0, width=8, size=16):
    made = torch.Generator().manual_seed(step)
    return torch.randn(size, width, generator=made), torch.arange(size) % 3


def trained(model, call, steps=5, every=2, note=lambda step: None):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=every) as run:
        for step in range(steps):
            x, y = batch(step)
            optimizer.zero_grad()
            functional.cross_entropy(call(x), y).backward()
            note(step)
            optimizer.step()
    return run.report


# Compiled as a whole -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["torch.compile", "in place"])
def test_a_model_that_is_compiled_as_a_whole_shows_its_weights(way):
    wanted_model = net()
    wanted = trained(wanted_model, wanted_model)
    model = net()
    if way == "in place":
        model.compile(backend="eager")
    else:
        model = torch.compile(model, backend="eager")
    report = trained(model, model)
    assert (report.steps, report.total) == (wanted.steps, wanted.total)
    assert report.names == wanted.names
    for quantity in ("weight_gradient", "update"):
        np.testing.assert_allclose(report.column(quantity), wanted.column(quantity), rtol=1e-5, err_msg=quantity)
    assert np.isnan(report.column("delta")).all()
    assert {layer.state for layer in report.reports[0].layers} == {"not read"}
    assert "not read: activations and delta (the model is compiled as a whole" in str(report)
    for a, b in zip(model.parameters(), wanted_model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_nan_in_a_compiled_model_is_seen_in_its_step():
    model = torch.compile(net(), backend="eager")
    weight = model._orig_mod[0].weight

    def spoil(step):
        if step == 2:
            weight.data[0, 0] = torch.nan

    report = trained(model, model, every=10, note=spoil)
    assert report.nonfinite_step == 3
    assert report.first_nonfinite.name == "0.weight"


def test_a_probe_sees_through_a_compiled_module():
    plain, model = net(), net()
    model.compile(backend="eager")
    kept = model._compiled_call_impl
    report, wanted = (gradclinic.probe(m, *batch()) for m in (model, plain))
    assert report.delta.tolist() == wanted.delta.tolist()
    assert model._compiled_call_impl is kept


# Several processes ---------------------------------------------------------------------------------------------------


def port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def seen_by_optimizer(model):
    return [float(m.weight.grad.norm()) for m in model.modules() if isinstance(m, nn.Linear)]


def averaged(rank, address, made):
    """One of two processes under DDP: every third batch is read; some accumulate, gradients are clipped."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(net())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    with gradclinic.watch(model, every=3) as run:
        for step in range(7):
            x, y = batch(10 * step + rank)
            optimizer.zero_grad(set_to_none=step < 4)
            functional.cross_entropy(model(x), y).backward()
            seen.append(seen_by_optimizer(model))
            nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()
    made.put((rank, run.report.steps, run.report.column("weight_gradient").tolist(), seen[::3]))
    torch.distributed.destroy_process_group()


def sharded(rank, address, made):
    """One of two processes under FSDP2."""
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (2,))
        model = net()
        for part in model:
            if isinstance(part, nn.Linear):
                fully_shard(part, mesh=mesh)
        fully_shard(model, mesh=mesh)
        losses = []
        for watching in (False, True):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
            with gradclinic.watch(model, every=2) if watching else contextlib.nullcontext() as run:
                for step in range(4):
                    x, y = batch(10 * step + rank)
                    optimizer.zero_grad()
                    loss = functional.cross_entropy(model(x), y)
                    loss.backward()
                    optimizer.step()
                    losses.append(float(loss.detach()))
        first = run.report.reports[0]
        made.put((rank, losses, run.report.verdict, first.notes, [x.weight_gradient for x in first.layers], str(first)))
    except (NotImplementedError, RuntimeError) as trouble:
        made.put((rank, None, f"{type(trouble).__name__}: {trouble}"))
    torch.distributed.destroy_process_group()


def both(work):
    """What two processes hand back, in order of rank."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch.distributed has no gloo here")
    context = torch.multiprocessing.get_context("spawn")
    made, address = context.SimpleQueue(), f"tcp://127.0.0.1:{port()}"
    running = [context.Process(target=work, args=(rank, address, made), daemon=True) for rank in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join(600)  # an upper bound, for what hangs
    assert [process.exitcode for process in running] == [0, 0]
    return sorted((made.get() for _ in running), key=lambda given: given[0])


def test_gradients_under_ddp_are_those_that_the_optimizer_sees():
    (_, steps, first, wanted), (_, _, second, other) = both(averaged)
    assert steps == (0, 3, 6)
    np.testing.assert_allclose(first, wanted, rtol=1e-5)
    np.testing.assert_allclose(second, other, rtol=1e-5)
    np.testing.assert_allclose(first, second, rtol=1e-5)  # one average, whatever each process computed itself


def test_shards_under_fsdp_are_not_read():
    found = both(sharded)
    if found[0][1] is None:
        pytest.skip(f"fully_shard does not run on gloo here: {found[0][2]}")
    for _, losses, verdict, notes, gradients, words in found:
        assert losses[:4] == pytest.approx(losses[4:], rel=1e-6)
        assert verdict == "healthy"
        assert any("shards" in note for note in notes)
        assert not any(gradients)
        assert "not read" in words


# What a step that is not read costs ----------------------------------------------------------------------------------


class Counted(TorchDispatchMode):
    """Counts operators."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def operators(hidden, watched, every=10**6, before=3):
    """Operators of one step, after ``before`` others."""
    model, (x, y) = net(hidden=hidden), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    with gradclinic.watch(model, every=every) if watched else contextlib.nullcontext():
        for _ in range(before):
            step()
        with Counted() as counted:
            step()
    return counted.calls


def test_a_step_that_is_not_read_costs_the_same_at_any_depth():
    extra = [operators(hidden, True) - operators(hidden, False) for hidden in (2, 20)]
    assert extra[0]["_local_scalar_dense"] == extra[1]["_local_scalar_dense"] == 2  # the output, and all gradients
    reshaped = {"detach", "view", "_unsafe_view", "alias", "reshape"}  # which touch no entry
    assert sum(n for name, n in extra[1].items() if name not in reshaped) <= 6
    assert {n: c for n, c in extra[0].items() if n not in reshaped} == {
        n: c for n, c in extra[1].items() if n not in reshaped
    }


def test_a_step_that_is_read_transfers_no_more_at_any_depth(monkeypatch):
    """As on a device, where a norm stays a tensor until all are handed over together."""
    from gradclinic.instrument.torch import measure, recorder, rows, watch

    for place in (recorder, rows, watch):
        monkeypatch.setattr(place, "quick_norm", measure.norm)
    elsewhere = torch.ones((), device="meta")
    assert measure.scalar(elsewhere) is elsewhere  # nothing waits for it
    monkeypatch.setattr(measure, "scalar", lambda t: t)
    few, many = (operators(hidden, True, every=3)["_local_scalar_dense"] for hidden in (2, 20))
    assert few == many <= 8


def test_one_hook_is_left_on_the_weights():
    model, (x, y) = net(hidden=5), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def hooks():
        return sum(bool(p._backward_hooks) for p in model.parameters())

    with gradclinic.watch(model, every=10) as run:
        counts = []
        for _ in range(12):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            counts.append(hooks())
            optimizer.step()
    assert counts[0] == counts[10] == 12
    assert set(counts[1:10]) == {1}
    assert hooks() == 0
    assert run.report.steps == (0, 10)


def test_the_weight_that_stands_for_others_may_be_frozen():
    model, (x, y) = net(hidden=5), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=4) as run:
        for step in range(12):
            if step == 2:
                model[0].requires_grad_(False)
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert run.report.total == 12
    assert run.report.steps == (0, 4, 8)


@pytest.mark.parametrize("shape", [(1024, 1024), (256, 256), (768, 3072), (512, 512, 3, 3), (1000, 2048), (40_000,)])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_some_entries_stand_for_all_of_a_weight(shape, axis):
    """Also where rows, or columns, differ a hundredfold: an even stride met the same columns again and again."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if axis is not None and axis < len(shape):
        larger = torch.logspace(-2, 0, shape[axis])
        weight = weight * larger.reshape(-1, *[1] * (len(shape) - axis - 1))
    some = measure.spread(weight, 2**14)
    assert 2**13 <= some.numel() <= 2**15
    rms, wanted = (float(values.square().mean().sqrt()) for values in (some, weight))
    assert rms == pytest.approx(wanted, rel=0.05)
