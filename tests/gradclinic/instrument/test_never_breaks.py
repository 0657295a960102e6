"""``watch`` never changes nor ends the training that it looks at, and reads the loss's own backward pass."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

import gradclinic

RTOL = 1e-6


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *given):
        return self.function(*given)


class Box:
    """An output class of the reader's own, with a loop in it."""

    def __init__(self, value):
        self.value, self.self = value, self


# What a module returns, and how the tensor is taken out of it again; several of them leave an output without gradient.
OUTPUTS = {
    "plain": (lambda h: h, lambda o: o),
    "chunk": (lambda h: h.chunk(2, -1), lambda o: torch.cat([o[0], o[0]], -1)),
    "split in a dict": (lambda h: {"parts": list(h.split(4, -1))}, lambda o: torch.cat(o["parts"][:2], -1)),
    "first unused": (lambda h: (2 * h, h), lambda o: o[1]),
    "namespace": (lambda h: SimpleNamespace(a=h, b=None), lambda o: o.a),
    "box": (Box, lambda o: o.value),
    "std_mean": (lambda h: torch.std_mean(h, 0), lambda o: o[1].expand(6, -1)),
    "svd": (
        lambda h: torch.linalg.svd(h + torch.eye(6, 8), full_matrices=False),
        lambda o: (o[1] * torch.ones(6, 6)) @ torch.ones(6, 8),
    ),
    "complex": (lambda h: torch.fft.fft(h), lambda o: o.real),
    "view": (lambda h: h.T, lambda o: o.T),
}  # fmt: skip
# What happens on the way.
WAYS = {
    "plain": lambda h: h,
    "in place": lambda h: functional.relu_((h * 1.0).add_(1.0)),
    "view in place": lambda h: h.clone().view(-1)[:].mul_(2).view(6, 8),
    "vmap": lambda h: torch.vmap(torch.tanh)(h),
    "jacrev": lambda h: h + torch.func.jacrev(lambda a: a.sum(0))(h.detach()).sum(),
    "inner gradient": lambda h: h + torch.autograd.grad(h.square().sum(), h, create_graph=True)[0],
    "checkpoint": lambda h: checkpoint(torch.tanh, h, use_reentrant=False),
    "reentrant": lambda h: checkpoint(torch.tanh, h, use_reentrant=True),
    "no grad": lambda h: h + torch.no_grad()(lambda a: a * 2)(h),
    "empty": lambda h: torch.cat([h, h[:0]]),
}


class Odd(nn.Module):
    def __init__(self, output, way, shared):
        super().__init__()
        self.first, self.second = nn.Linear(5, 8), nn.Linear(8, 8)
        self.head = self.second if shared else nn.Linear(8, 8)
        self.put, self.take = OUTPUTS[output]
        self.give = Apply(self.put)
        self.way = Apply(WAYS[way])

    def forward(self, x):
        h = self.way(self.first(x))
        return self.head(torch.tanh(self.take(self.give(self.second(h)))))


def trained(build, watched, loop, **options):
    torch.manual_seed(3)
    model = build()
    if watched:
        with gradclinic.watch(model, every=2, **options) as run:
            loop(model)
        return model, run
    loop(model)
    return model, None


def loop(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(3):
        x = torch.randn(6, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize(("output", "way"), list(itertools.product(OUTPUTS, WAYS)))
def test_training_is_the_same_bit_for_bit(output, way):
    shared = (len(output) + len(way)) % 2 == 0
    plain, _ = trained(lambda: Odd(output, way, shared), False, loop)
    seen, run = trained(lambda: Odd(output, way, shared), True, loop)
    for a, b in zip(plain.parameters(), seen.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a.grad, b.grad)
    report = run.report
    assert report.total == 3
    assert report.steps == (0, 2)
    assert "head" in report.names or shared
    assert not torch.overrides._get_current_function_mode_stack()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in seen.modules())
    assert not any(p._backward_hooks for p in seen.parameters())


def test_a_hook_that_fails_says_so_once_and_the_loop_goes_on(monkeypatch):
    from gradclinic.instrument.torch import recorder

    def fails(*_):
        raise RuntimeError("cannot be read")

    monkeypatch.setattr(recorder, "bend", fails)
    _, run = trained(lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU()), True, loop)
    assert run.report.total == 3
    notes = run.report.reports[0].notes
    assert len(notes) == 1
    assert "cannot be read" in notes[0]


def test_sparse_quantised_and_meta_tensors():
    model = nn.Sequential(nn.EmbeddingBag(50, 8, sparse=True), nn.Linear(8, 3))
    ids, y = torch.randint(0, 50, (16, 3)), torch.arange(16) % 3
    wanted = torch.autograd.grad(functional.cross_entropy(model(ids), y), model[0].weight)[0].to_dense().norm()
    assert gradclinic.probe(model, ids, y, lr=0.1).weight_gradient[0] == pytest.approx(float(wanted), rel=1e-5)
    with pytest.raises(ValueError, match="model: got parameters on the meta device"):
        gradclinic.probe(nn.Linear(3, 2, device="meta"), torch.ones(4, 3), torch.arange(4) % 2)
    with pytest.warns(DeprecationWarning, match="script"):
        scripted = torch.jit.script(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)))
    report = gradclinic.probe(scripted, torch.randn(6, 5), torch.arange(6) % 3)
    assert len(report.layers) == 1
    assert report.layers[0].weight_gradient > 0
    with pytest.raises(ValueError, match="model: got a scripted module"):
        gradclinic.watch(scripted)


def close(found, model, x, loss, names):
    """Delta of named layers against gradients of their outputs taken by hand."""
    outputs = {name: [] for name in names}
    handles = [model.get_submodule(n).register_forward_hook(lambda m, a, o, n=n: outputs[n].append(o)) for n in names]
    value = loss(model(x))
    for handle in handles:
        handle.remove()
    for name in names:
        given = torch.autograd.grad(value, outputs[name], retain_graph=True, allow_unused=True)
        squares = [float(g.square().sum()) for g in given if g is not None]
        assert found[name].delta == pytest.approx(np.sqrt(len(x) * np.mean(squares)), rel=RTOL)


class Physics(nn.Module):
    """A network that is differentiated in its own forward pass."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x):
        x = x.detach().requires_grad_()
        u = self.net(x)
        return torch.cat([u, torch.autograd.grad(u.sum(), x, create_graph=True)[0]], 1)


def test_gradients_inside_the_forward_pass_do_not_count():
    torch.manual_seed(0)
    model, x = Physics().double(), torch.rand(16, 2).double()
    close(
        gradclinic.probe(model, x, x, lambda o, y: o.square().mean()),
        model,
        x,
        lambda o: o.square().mean(),
        ["net.0", "net.2"],
    )
    with gradclinic.watch(model, every=1) as run:
        model(x).square().mean().backward()
    close(run.report.reports[0], model, x, lambda o: o.square().mean(), ["net.0", "net.2"])


def test_a_penalty_on_gradients_is_a_part_of_one_step():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1)).double()
    x, mix = torch.randn(16, 6).double(), torch.rand(16, 1).double()
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)

    def loss():
        point = (mix * x).requires_grad_()
        slope = torch.autograd.grad(critic(point).sum(), point, create_graph=True)[0]
        return -critic(x).mean() + 10 * ((slope.norm(dim=1) - 1) ** 2).mean()

    wanted = torch.autograd.grad(loss(), critic[0].weight)[0].norm()
    with gradclinic.watch(critic, every=1) as run:
        for _ in range(2):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
    assert run.report.total == 2
    assert run.report.reports[0].weight_gradient[0] == pytest.approx(float(wanted), rel=RTOL)
    assert run.report.reports[0].layers[0].calls == 2


def test_passes_without_a_backward_pass_do_not_count():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), torch.randn(16, 6)
    with gradclinic.watch(model, every=1) as run:
        for _ in range(2):
            model(100 * x[:7])
            functional.cross_entropy(model(x), torch.arange(16) % 3).backward()
    report = run.report.reports[1]
    assert report.batch == 16
    assert report.layers[0].calls == 1
    assert report.activation[0] == pytest.approx(torch.tanh(model[0](x)).square().mean().sqrt().item(), rel=1e-5)


def test_a_loss_scaler_is_divided_out_and_its_search_is_no_fault():
    torch.manual_seed(0)
    x = torch.randn(64, 16)
    y = x[:, :3].argmax(1)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
    wanted = gradclinic.probe(model, x, y)
    original = torch.amp.GradScaler.scale
    with gradclinic.watch(model, every=1) as run:
        for step in range(20):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16):
                loss = functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            run.loss(loss)
            if step == 0:
                assert all(torch.isfinite(p).all() for p in model.parameters())
    report = run.report
    assert torch.amp.GradScaler.scale is original
    assert report.verdict == "healthy"
    assert report.reports[0].skipped
    assert report.reports[0].layers[0].update in (None, 0.0)
    taken = next(r for r in report.reports if not r.skipped)
    assert taken.scale >= 1
    assert taken.weight_gradient[0] == pytest.approx(wanted.weight_gradient[0], rel=0.05)
    assert "skipped by the loss scaler: step 0" in str(report)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulated_gradients_have_an_update(parts):
    x, y = torch.randn(64, 16), torch.arange(64) % 3
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model) as run:
        for step in range(1, 61):
            functional.cross_entropy(model(x), y).backward()
            if step % parts == 0:
                before = model[0].weight.detach().clone()
                optimizer.step()
                optimizer.zero_grad()
                if step == parts:
                    wanted = ((model[0].weight - before).norm() / before.norm()).item()
    update = run.report.column("update")[:, 0]
    assert update[0] == pytest.approx(wanted, rel=1e-4)
    assert np.isfinite(update[:-1]).all()


class Two(nn.Module):
    """A generator and a discriminator whose container is never called itself."""

    def __init__(self):
        super().__init__()
        self.make = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 6))
        self.judge = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))


def test_a_loop_that_moves_weights_in_turn():
    torch.manual_seed(0)
    model = Two()
    first = torch.optim.Adam(model.judge.parameters(), lr=1e-3)
    second = torch.optim.Adam(model.make.parameters(), lr=1e-3)
    with gradclinic.watch(model, every=4) as run:
        for _ in range(10):
            first.zero_grad()
            (model.judge(model.make(torch.randn(8, 4)).detach()) - model.judge(torch.randn(8, 6))).mean().backward()
            first.step()
            second.zero_grad()
            (-model.judge(model.make(torch.randn(8, 4)))).mean().backward()
            second.step()
    report = run.report
    assert report.total == 20
    update = report.column("update")
    named = dict(zip(report.names, update.T, strict=True))
    assert np.isfinite(named["judge.0"]).sum() >= 2
    assert np.isfinite(named["make.0"]).sum() >= 2  # the step after the first one is read as well once this was seen
    assert not report.reports[0].layers[0].nonfinite


def test_a_step_of_parts_that_are_called_one_by_one():
    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(16, 3), nn.Linear(3, 16)

    model = Coder()
    optimizer = torch.optim.Adam(model.parameters())
    with gradclinic.watch(model, every=2) as run:
        for _ in range(6):
            x = torch.randn(8, 16)
            optimizer.zero_grad()
            functional.mse_loss(model.decode(model.encode(x)), x).backward()
            optimizer.step()
    assert run.report.total == 6
    assert run.report.steps == (0, 2, 4)
    assert set(run.report.names) == {"encode", "decode"}
    assert np.isfinite(run.report.column("delta")).all()


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("fault", ["weight", "forward", "backward"])
def test_the_first_bad_step_names_the_origin(every, fault):
    torch.manual_seed(0)
    bad = Apply(lambda h: h)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), bad, nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(16, 8), torch.arange(16) % 3
    with gradclinic.watch(model, every=every) as run:
        for step in range(20):
            if step == 13 and fault == "weight":
                model[4].weight.data[0, 0] = torch.nan
            if step == 13 and fault != "weight":
                bad.function = (lambda h: torch.log(h - 10)) if fault == "forward" else (lambda h: h + (0 * h).sqrt())
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    report = run.report
    assert report.nonfinite_step == 13
    first = report.first_nonfinite
    wanted = {"weight": ("parameter", "4.weight"), "forward": ("forward", "3 (Apply)"), "backward": ("backward", "2")}
    assert first.stage == wanted[fault][0]
    if fault != "forward" or every == 10:  # where every step is read anyway the first layer behind it is named
        assert first.name.startswith(wanted[fault][1])
        assert first.operation == ("log" if fault == "forward" else None)


def test_packed_sequences_are_followed_through_time():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x):
            lengths = torch.full((len(x),), x.shape[1])
            return self.out(self.rnn(pack_padded_sequence(x, lengths, batch_first=True))[1][-1])

    torch.manual_seed(0)
    model, x, y = Net().double(), torch.randn(6, 30, 4).double(), torch.arange(6) % 3
    x.requires_grad_()
    wanted = torch.autograd.grad(functional.cross_entropy(model(x), y), x)[0].norm(dim=(0, 2)) * np.sqrt(6)
    found = gradclinic.probe(model, x.detach(), y)["rnn"].steps
    np.testing.assert_allclose(found, wanted.numpy(), rtol=RTOL)


def test_masks_of_minus_infinity_are_no_fault():
    class Policy(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(6, 3)

        def forward(self, x, legal):
            return self.net(x).masked_fill(~legal, -torch.inf)

    model, x, y = Policy(), torch.randn(16, 6), torch.arange(16) % 3
    legal = torch.rand(16, 3) > 0.4
    legal[torch.arange(16), y] = True
    assert gradclinic.probe(model, {"x": x, "legal": legal}, y).first_nonfinite is None
    with gradclinic.watch(model, every=2) as run:
        for _ in range(4):
            functional.cross_entropy(model(x, legal), y).backward()
    assert run.report.first_nonfinite is None
    assert run.report.nonfinite_step is None


def test_logits_with_places_and_a_softmax_at_the_end():
    torch.manual_seed(0)
    words = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
    ids = torch.randint(0, 11, (6, 9))
    wanted = functional.cross_entropy(words(ids).flatten(0, 1), ids.flatten())
    report = gradclinic.probe(words, ids, ids)
    assert report.loss == pytest.approx(wanted.item(), rel=1e-5)
    assert report.loss_guess == pytest.approx(np.log(11))
    pixels, labels = nn.Conv2d(3, 5, 3, padding=1), torch.randint(0, 5, (4, 6, 7))
    x = torch.randn(4, 3, 6, 7)
    report = gradclinic.probe(pixels, x, labels)
    assert report.loss == pytest.approx(functional.cross_entropy(pixels(x), labels).item(), rel=1e-5)
    twice = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1))
    assert "softmax" in [c.key for c in gradclinic.probe(twice, torch.randn(16, 6), torch.arange(16) % 3).causes]


def test_nothing_is_left_behind_by_a_probe_of_a_reentrant_checkpoint():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.out(checkpoint(lambda h: torch.tanh(self.b(h)), self.a(x), use_reentrant=True))

    torch.manual_seed(0)
    model, x, y = Net(), torch.randn(16, 6), torch.arange(16) % 3
    model.a.weight.grad = torch.ones_like(model.a.weight)
    report = gradclinic.probe(model, x, y)
    assert all(layer.delta for layer in report.layers)
    assert torch.equal(model.a.weight.grad, torch.ones_like(model.a.weight))
    assert model.b.weight.grad is None
    model.a.weight.register_post_accumulate_grad_hook(lambda p: None)
    with pytest.raises(ValueError, match="model: got a reentrant checkpoint"):
        gradclinic.probe(model, x, y)
