"""The probe against gradients taken by hand, on the kinds of modules that readers bring."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import gradclinic
from gradclinic.instrument.torch import measure

RTOL = 1e-6


def images(n=12):
    rng = np.random.default_rng(0)
    return torch.tensor(rng.normal(size=(n, 1, 8, 8))), torch.tensor(rng.integers(0, 3, n))


def rows(n=12, width=6):
    rng = np.random.default_rng(1)
    return torch.tensor(rng.normal(size=(n, width))), torch.tensor(rng.integers(0, 3, n))


def tokens(n=6, length=9):
    rng = np.random.default_rng(2)
    return torch.tensor(rng.integers(0, 11, (n, length))), torch.tensor(rng.integers(0, 3, n))


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.block = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x):
        h = self.stem(x)
        h = functional.relu(h + self.block(h), inplace=True)
        return self.head(h.flatten(1))


class Recurrent(nn.Module):
    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.cell = kind(6, 5, num_layers=2, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.cell(x)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.position = nn.Parameter(0.1 * torch.ones(9, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(8, 3)

    def forward(self, ids):
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1], dtype=self.position.dtype)
        return self.out(self.body(self.embed(ids) + self.position, mask=mask).mean(1))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        h, _ = self.attend(x[:, None] + x[:, :1, None], x[:, None], x[:, None], need_weights=False)
        return self.out(h[:, 0])


class Tied(nn.Module):
    """One weight in two layers, one layer used twice, one frozen, one that nothing uses."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.twice = nn.Linear(8, 8)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.idle = nn.Linear(4, 4)
        self.unembed = nn.Linear(8, 11, bias=False)
        self.unembed.weight = self.embed.weight

    def forward(self, ids):
        h = torch.tanh(self.twice(self.embed(ids).mean(1)))
        return self.unembed(self.frozen(torch.tanh(self.twice(h))))


@dataclass
class Two:
    mean: torch.Tensor
    spread: torch.Tensor


class SeveralEnds(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 4), nn.Linear(6, 4)
        self.mean, self.spread = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, left, right, scale=1.0):
        h = functional.gelu(self.left(left) + scale * self.right(right))
        return Two(self.mean(h), functional.softplus(self.spread(h)))


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.second(checkpoint(lambda a: torch.tanh(self.first(a)), x, use_reentrant=False))


def normalized():
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 6)), nn.SiLU(), nn.Linear(6, 3))


def gaussian(output, y):
    error = output.mean[:, 0] - y
    return (error.square() / output.spread[:, 0] + output.spread[:, 0].log()).mean()


x, y = rows()
sequences = torch.tensor(np.random.default_rng(3).normal(size=(6, 20, 6)))
ZOO = {
    "convolutional": (Convolutional, *images(), None),
    "lstm": (Recurrent, sequences, tokens()[1], None),
    "gru": (lambda: Recurrent(nn.GRU), sequences, tokens()[1], None),
    "rnn": (lambda: Recurrent(nn.RNN), sequences, tokens()[1], nn.CrossEntropyLoss()),
    "transformer": (Transformer, *tokens(), None),
    "transformer in evaluation": (lambda: Transformer().eval(), *tokens(), None),
    "attention": (Attention, *rows(), None),
    "tied": (Tied, *tokens(), None),
    "two inputs, two outputs": (SeveralEnds, (x, x.flip(0)), x[:, 0], gaussian),
    "inputs by name": (SeveralEnds, {"left": x, "right": x.flip(0), "scale": 0.5}, x[:, 0], gaussian),
    "checkpoint": (Checkpointed, *rows(), None),
    "weight norm": (normalized, *rows(), None),
    "regression": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 2)), x, x[:, :2], None),
}


def make(name):
    torch.manual_seed(0)
    build, x, y, loss = ZOO[name]
    return build().double(), x, y, loss


def by_hand(model, x, y, loss):
    """Loss, gradient of every parameter, and gradient of every output tensor of every module."""
    seen, handles = {}, []

    def note(name):
        def hook(module, arguments, output):
            tensors = [t for _, t in measure.tensors_in(output) if t.is_floating_point() and t.requires_grad]
            seen.setdefault(name, []).append(tensors)
            return output.clone() if isinstance(output, torch.Tensor) else None  # nothing overwrites what is kept

        return hook

    for name, module in model.named_modules():
        if name and "parametrizations" not in name:
            handles.append(module.register_forward_hook(note(name)))
    given = x if isinstance(x, tuple) else () if isinstance(x, dict) else (x,)
    output = model(*given, **(x if isinstance(x, dict) else {}))
    value = (loss or default)(output, y)
    for handle in handles:
        handle.remove()
    parameters = {name: p for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True, retain_graph=True)
    deltas = {}
    for name, calls in seen.items():
        sums = []
        for tensors in calls:
            back = torch.autograd.grad(value, tensors, allow_unused=True, retain_graph=True) if tensors else ()
            sums += [sum(float(g.square().sum()) for g in back if g is not None)] if tensors else []
        if sums:
            deltas[name] = np.sqrt(np.mean(sums))
    return float(value.detach()), dict(zip(parameters, found, strict=True)), deltas


def default(output, y):
    if y.is_floating_point():
        return 0.5 * (output - y).square().sum(1).mean()
    return functional.cross_entropy(output, y)


@pytest.mark.parametrize("name", ZOO)
def test_values_are_those_of_autograd(name):
    model, x, y, loss = make(name)
    torch.manual_seed(5)
    report = gradclinic.probe(model, x, y, loss)
    torch.manual_seed(5)  # dropout draws the same mask
    value, gradients, deltas = by_hand(model, x, y, loss)
    assert report.loss == pytest.approx(value, rel=RTOL)
    assert report.layers
    assert report.verdict == "healthy"
    for layer in report.layers:
        own = {
            k: g for k, g in gradients.items() if k.startswith(f"{layer.name}.") or layer.name == type(model).__name__
        }
        own = {k: g for k, g in own.items() if g is not None and "bias" not in k.rpartition(".")[2]}
        if layer.name == type(model).__name__:
            own = {k: g for k, g in own.items() if "." not in k}
        if own:
            wanted = np.sqrt(sum(float(g.square().sum()) for g in own.values()))
            assert layer.weight_gradient == pytest.approx(wanted, rel=RTOL), layer.name
        else:
            assert layer.frozen
            assert layer.weight_gradient is None
        if layer.name in deltas and layer.delta is not None:
            batch = len(y)
            assert layer.delta == pytest.approx(np.sqrt(batch) * deltas[layer.name], rel=RTOL), layer.name


def state(model):
    return {
        "parameters": {k: v.clone() for k, v in model.state_dict().items()},
        "gradients": {k: None if p.grad is None else p.grad.clone() for k, p in model.named_parameters()},
        "flags": {k: p.requires_grad for k, p in model.named_parameters()},
        "modes": {k: m.training for k, m in model.named_modules()},
        "hooks": {k: (len(m._forward_hooks), len(m._forward_pre_hooks)) for k, m in model.named_modules()},
        "leaf hooks": {k: len(p._backward_hooks or ()) for k, p in model.named_parameters()},
        "attributes": {k: sorted(vars(m)) for k, m in model.named_modules()},
        "random": (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()),  # noqa: NPY002
    }


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same(i, j) for i, j in zip(a, b, strict=True))
    if isinstance(a, torch.Tensor | np.ndarray):
        return bool((a == b).all())
    return a == b


class Moody(nn.Module):
    """Draws from every generator, keeps a running count, remembers its last state, and can fail."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 3), nn.BatchNorm1d(3)
        self.register_buffer("count", torch.zeros(()))
        self.fail = False

    def forward(self, x):
        self.count = self.count + 1
        self.last = self.norm(self.linear(functional.dropout(x, 0.5)))
        noise = random.random() + np.random.random()  # noqa: NPY002
        if self.fail:
            raise KeyError("the reader's own mistake")
        return self.last + noise


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    x, y = rows()
    model = Moody().double()
    model.linear.weight.grad = torch.ones_like(model.linear.weight)
    model.norm.eval()
    model.linear.register_forward_hook(lambda *_: None)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    model.fail = fails
    kept, given = state(model), x.clone()
    remembered = {k: v.clone() for k, v in optimizer.state[model.linear.weight].items()}
    last = model.last
    if fails:
        with pytest.raises(KeyError, match="the reader's own mistake"):
            gradclinic.probe(model, x, y, optimizer=optimizer)
    else:
        gradclinic.probe(model, x, y, optimizer=optimizer)
    assert same(kept, state(model))
    assert model.last is last
    assert same(remembered, dict(optimizer.state[model.linear.weight]))
    assert bool((given == x).all())


def test_the_graph_is_let_go():
    class Node(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.witness = held[0]
            return a.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    class Witness:
        pass

    held = [Witness()]
    reference = weakref.ref(held[0])
    model = nn.Sequential(nn.Linear(6, 5), Through(Node.apply), nn.Linear(5, 3)).double()
    gradclinic.probe(model, *rows())
    held.clear()
    gc.collect()
    assert reference() is None  # the node of the graph that held it is gone


def test_an_exception_in_the_loss_passes_through():
    def loss(output, y):
        raise ZeroDivisionError("in the loss")

    model = nn.Linear(6, 3).double()
    with pytest.raises(ZeroDivisionError, match="in the loss"):
        gradclinic.probe(model, *rows(), loss)
    assert not model._forward_hooks
    assert not torch.overrides._get_current_function_mode_stack()


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop, torch.optim.AdamW])
def test_the_update_is_what_the_optimizer_then_does(kind):
    x, y = rows()
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    optimizer = kind(model.parameters(), lr=0.01, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)  # wraps optimizer.step: the copy must not reach it
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    scheduler.step()
    report = gradclinic.probe(model, x, y, optimizer=optimizer)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.zero_grad()
    functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    for layer in report.layers:
        old, new = before[f"{layer.name}.weight"], model.get_submodule(layer.name).weight.detach()
        assert layer.update == pytest.approx(float((new - old).norm() / old.norm()), rel=RTOL)
    assert report.loss_after == pytest.approx(functional.cross_entropy(model(x), y).item(), rel=RTOL)
    assert not report.assumed
    assert report.optimizer == kind.__name__


def test_update_for_a_step_size_and_for_none():
    x, y = rows()
    model = nn.Linear(6, 3).double()
    plain, small = gradclinic.probe(model, x, y), gradclinic.probe(model, x, y, lr=0.01)
    layer = plain.layers[0]
    assert layer.update == pytest.approx(layer.weight_gradient / layer.weight, rel=RTOL)
    assert small.update[0] == pytest.approx(0.01 * plain.update[0], rel=RTOL)
    assert "at lr = 1, since neither lr nor optimizer was given" in str(plain)
    assert plain.loss_after is None
    assert "at lr = 1" not in str(small)


def test_shared_frozen_unused_and_repeated_parts():
    model, ids, y, _ = make("tied")
    report = gradclinic.probe(model, ids, y)
    assert report.names == ("embed", "twice", "frozen", "unembed")
    assert report["embed"].shared_with == ("unembed",)
    assert report["embed"].weight_gradient == report["unembed"].weight_gradient
    assert report["twice"].calls == len(report["twice"].steps) == 2
    assert report["frozen"].frozen
    assert report["frozen"].delta > 0
    assert report["frozen"].update is None
    assert report.unused == ("idle.weight", "idle.bias")


def test_delta_over_time_at_a_recurrent_layer():
    model, x, y, _ = make("lstm")
    x = x.clone().requires_grad_()
    wanted = torch.autograd.grad(functional.cross_entropy(model(x), y), x)[0]
    report = gradclinic.probe(model, x.detach(), y)
    norms = np.sqrt(len(y)) * wanted.norm(dim=(0, 2)).numpy()
    np.testing.assert_allclose(report["cell"].steps, norms, rtol=RTOL)


@pytest.mark.parametrize("functional_form", [True, False])
@pytest.mark.parametrize("inplace", [True, False])
def test_dead_and_saturated_units(functional_form, inplace):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 3)
            self.relu = (lambda a: functional.relu(a, inplace=inplace)) if functional_form else nn.ReLU(inplace)

        def forward(self, x):
            return torch.tanh(self.second(self.relu(self.first(x))))

    torch.manual_seed(0)
    model, (x, y) = Net().double(), rows()
    with torch.no_grad():
        model.first.bias[:4] = -100.0
        model.second.bias[0] = 50.0
    report = gradclinic.probe(model, x, y)
    z = model.first(x).detach()
    assert report["first"].function == "relu"
    assert report["first"].dead == pytest.approx(float((z <= 0).all(0).double().mean()))
    assert report["first"].dead >= 0.4
    assert report["first"].saturated == pytest.approx(float((z <= 0).double().mean()))
    assert report["first"].output == pytest.approx(float(z.square().mean().sqrt()), rel=RTOL)
    assert report["first"].activation == pytest.approx(float(z.relu().square().mean().sqrt()), rel=RTOL)
    z = model.second(torch.relu(z)).detach()
    flat = (1 - torch.tanh(z) ** 2 < 0.05).double().mean()
    assert report["second"].saturated == pytest.approx(float(flat))
    assert report["second"].dead is None


def test_dead_channels_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).double()
    with torch.no_grad():
        model[0].bias[1] = -100.0
    assert gradclinic.probe(model, *images())["0"].dead == 0.25


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(dtype):
    x, y = rows()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    wanted = gradclinic.probe(model, x.numpy(), y)
    with torch.autocast("cpu", dtype=dtype):
        mixed = gradclinic.probe(model, x.float(), y)
    low = gradclinic.probe(model.to(dtype), x.numpy(), y)
    for report in (mixed, low):
        assert {layer.dtype for layer in report.layers} == {str(dtype).removeprefix("torch.")}
        np.testing.assert_allclose(report.delta, wanted.delta, rtol=0.05)
        np.testing.assert_allclose(report.weight_gradient, wanted.weight_gradient, rtol=0.05)


def test_gradients_that_underflow_are_seen():
    torch.manual_seed(0)
    model = nn.Sequential(*[part for _ in range(6) for part in (nn.Linear(32, 32), nn.Sigmoid())], nn.Linear(32, 3))
    x, y = rows(64, 32)
    report = gradclinic.probe(model.half(), x.numpy(), y)
    assert report.layers[0].zero_gradient > 0.3
    assert "precision" in [cause.key for cause in report.causes]


class Through(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, a):
        return self.function(a)


@pytest.mark.parametrize(
    ("function", "where", "operation"),
    [
        (torch.log, "forward", "log"),
        (lambda a: a / (a - a), "forward", "div"),
        (torch.sqrt, "backward", "the derivative of sqrt"),
        (lambda a: a + torch.full_like(a, -torch.inf).exp(), None, None),  # -inf as a mask is no accident
        (lambda a: torch.where(a > 0, torch.sqrt(a), 0.0), "backward", "the derivative of sqrt"),
    ],
)
def test_where_numbers_first_stop_being_finite(function, where, operation):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), Through(function), nn.Linear(8, 3)).double()
    # an additive layer in front of the bad operation, so that the bad gradient reaches weights
    model[1] = Through(lambda a: a * (a > 0))
    report = gradclinic.probe(model, *rows())
    if where is None:
        assert report.first_nonfinite is None
        return
    assert report.verdict == "non-finite"
    assert report.first_nonfinite.stage == where
    assert report.first_nonfinite.name == "2 (Through)"
    assert report.first_nonfinite.operation == operation


def test_non_finite_data_parameters_and_loss():
    x, y = rows()
    model = nn.Linear(6, 3).double()
    bad = x.clone()
    bad[2, 3] = torch.nan
    assert gradclinic.probe(model, bad, y).first_nonfinite.stage == "input"
    target = x[:, :3].clone()
    target[0, 0] = torch.inf
    assert gradclinic.probe(model, x, target).first_nonfinite.stage == "target"
    found = gradclinic.probe(model, x, y, lambda output, y: torch.log(output - output).mean()).first_nonfinite
    assert (found.stage, found.operation) == ("loss", "log")
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    found = gradclinic.probe(model, x, y).first_nonfinite
    assert (found.stage, found.name) == ("parameter", "weight")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (
            lambda m, x, y: (m, x, y + 7),
            ValueError,
            r"y: got labels from 7 to 9, wanted 0 to 2: the model has 3 outputs",
        ),
        (lambda m, x, y: (m, x, None), ValueError, "y: got NoneType, wanted one array of targets"),
        (lambda m, x, y: (m, x, x), ValueError, r"y: got shape \(12, 6\), wanted \(..., 12, 3\)"),
        (lambda m, x, y: (m, x, y, "mse"), TypeError, "loss: got str, wanted a function"),
        (lambda m, x, y: (m, x, y, lambda o, y: o), ValueError, r"loss: got shape \(12, 3\) from loss\(output, y\)"),
        (lambda m, x, y: (m, x, y, lambda o, y: 1.0), ValueError, "loss: got float"),
        (lambda m, x, y: (m, x, y, lambda o, y: x.sum()), ValueError, "loss: got a value that depends on no trainable"),
        (lambda m, x, y: (m.requires_grad_(False), x, y), ValueError, "model: got no parameter that requires"),
        (lambda m, x, y: (nn.LazyLinear(3), x, y), ValueError, "model: got lazy parameters"),
        (
            lambda m, x, y: (SeveralEnds().double(), (x, x), y),
            ValueError,
            "loss: got None for a model that returns Two",
        ),
        (lambda m, x, y: (object(), x, y), TypeError, "model: got object, wanted a torch.nn.Module or a keras.Model"),
        (lambda m, x, y: (m, 3, None, lambda o, y: o), ValueError, "x: got int without an array"),
    ],
)
def test_bad_input_is_named(arguments, kind, words):
    with pytest.raises(kind, match=words):
        gradclinic.probe(*arguments(nn.Linear(6, 3).double(), *rows()))


def test_bad_steps_are_named():
    model = nn.Linear(6, 3).double()
    other = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="lr: got 0, wanted a positive number"):
        gradclinic.probe(model, *rows(), lr=0)
    with pytest.raises(ValueError, match="lr: got a step size and an optimizer"):
        gradclinic.probe(model, *rows(), lr=1.0, optimizer=other)
    with pytest.raises(ValueError, match="holds none of the model's parameters"):
        gradclinic.probe(model, *rows(), optimizer=other)
    with pytest.raises(TypeError, match="optimizer: got str"):
        gradclinic.probe(model, *rows(), optimizer="adam")
    with pytest.raises(ValueError, match="optimizer: got LBFGS"):
        gradclinic.probe(model, *rows(), optimizer=torch.optim.LBFGS(model.parameters()))


def test_skip_connections_are_seen():
    model, x, y, _ = make("convolutional")
    assert gradclinic.probe(model, x, y).additions == ()  # a single one is no stream

    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(nn.Linear(6, 6) for _ in range(4))
            self.out = nn.Linear(6, 3)

        def forward(self, x):
            for part in self.parts:
                x = x + torch.tanh(part(x))
            return self.out(x)

    x, y = rows()
    model = Stream().double()
    found = gradclinic.probe(model, x, y).additions
    a = x + torch.tanh(model.parts[0](x))
    branch = torch.tanh(model.parts[1](a))
    assert len(found) == 3
    sizes = [float(t.detach().square().mean().sqrt()) for t in (a, branch, a + branch)]
    assert [found[0].stream, found[0].branch, found[0].total] == pytest.approx(sizes, rel=RTOL)


def train(model, x, y, steps, optimizer, run=None):
    for _ in range(steps):
        optimizer.zero_grad()
        value = functional.cross_entropy(model(x), y)
        value.backward()
        optimizer.step()
        if run is not None:
            run.loss(value)


@pytest.mark.parametrize("given", ["nothing", "optimizer", "lr"])
def test_watch_reads_what_probe_reads_and_changes_nothing(given):
    x, y = rows()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)).double()
    twin = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)).double()
    twin.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(3)
    probed = gradclinic.probe(model, x, y, lr=0.1)
    kept = {"nothing": {}, "optimizer": {"optimizer": optimizer}, "lr": {"lr": 0.1}}[given]
    with gradclinic.watch(model, every=4, **kept) as run:
        train(model, x, y, 10, optimizer, run)
        with torch.no_grad():
            model(x)  # an evaluation is no step
    torch.manual_seed(3)
    train(twin, x, y, 10, torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9))
    assert same(model.state_dict(), twin.state_dict())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert all(not p._backward_hooks for p in model.parameters())
    assert not optimizer._optimizer_step_pre_hooks
    report = run.report
    assert report.steps == (0, 4, 8)
    assert report.total == 10
    assert len(report.losses) == 10
    for quantity in ("activation", "delta", "weight_gradient", "update", "dead", "saturated", "weight_scale"):
        np.testing.assert_allclose(report.reports[0].column(quantity), probed.column(quantity), rtol=RTOL)
    assert report.verdict == "healthy"


def test_watch_sees_the_first_bad_step():
    x, y = rows()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=10) as run:
        train(model, x, y, 13, optimizer)
        with torch.no_grad():
            model[0].weight[0, 0] = torch.inf
        train(model, x, y, 3, optimizer)
    report = run.report
    assert report.nonfinite_step == 13
    assert report.verdict == "non-finite"
    assert report.steps == (0, 10, 14)  # sampled out of turn, after the alarm
    assert (report.first_nonfinite.stage, report.first_nonfinite.name) == ("parameter", "0.weight")


def test_watch_with_accumulated_gradients_and_an_exception():
    x, y = rows()
    model = nn.Linear(6, 3).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=2, optimizer=optimizer) as run:
        for part in range(4):
            functional.cross_entropy(model(x), y).backward()
            if part % 2:
                optimizer.step()
                optimizer.zero_grad()
    assert run.report.steps == (0, 2)
    broken = Moody().double()
    run = gradclinic.watch(broken, every=1)

    def loop():
        with run:
            functional.cross_entropy(broken(x), y).backward()
            broken.fail = True
            broken(x)

    with pytest.raises(KeyError, match="the reader's own mistake"):
        loop()
    assert run.report.steps == (0,)
    assert not broken._forward_hooks
    assert not torch.overrides._get_current_function_mode_stack()


def test_watch_without_a_step_and_with_bad_arguments():
    model = nn.Linear(6, 3).double()
    with gradclinic.watch(model) as run:
        pass
    with pytest.raises(ValueError, match="watch: got no training step"):
        _ = run.report
    with pytest.raises(ValueError, match="every: got 0"):
        gradclinic.watch(model, every=0)
    with pytest.raises(TypeError, match=r"every: got 1\.5"):
        gradclinic.watch(model, every=1.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    model, x, y, _ = make("lstm")
    wanted = gradclinic.probe(model, x, y)
    for mode in (True, False):
        found = gradclinic.probe(model.cuda().train(mode), x.numpy(), y.numpy())
        np.testing.assert_allclose(found.delta, wanted.delta, rtol=RTOL)
