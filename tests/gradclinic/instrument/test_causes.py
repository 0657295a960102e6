"""Four kinds of nothing are four things, and every threshold stands where its table says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import gradclinic
from gradclinic.instrument import causes, verdicts
from gradclinic.instrument.catalogue import KINDS, LIMITS, limit
from gradclinic.instrument.causes import RULES, diagnose
from gradclinic.instrument.readings import Addition, Attention, LayerReading, Report, TensorReading, Watched


def rows(count=8, factor=1.0, **more):
    """Layers whose delta grows by ``factor`` per layer towards the input."""
    fixed = {"activation": 1.0, "output": 1.0, "weight_gradient": 0.1, "weight": 2.0, "weight_scale": 1.4} | more
    return tuple(LayerReading(f"l{i}", "Linear", delta=factor ** (count - i), **fixed) for i in range(count))


def report(layers=None, **more):
    return Report("PyTorch", rows() if layers is None else layers, 64, **more)


def one(index, **changes):
    """Eight ordinary layers, one of them changed."""
    layers = list(rows())
    layers[index] = dataclasses.replace(layers[index], **changes)
    return tuple(layers)


NORM = LayerReading("norm", "LayerNorm", activation=1.0, delta=1.0, weight_gradient=0.1, weight=2.0, matrix=False)


def between_norms(kind="LayerNorm", **more):
    norm = dataclasses.replace(NORM, kind=kind)
    return tuple(part for layer in rows(4, **more) for part in (layer, norm))


def tensor(**more):
    fixed = {"name": "x", "shape": (64, 10), "dtype": "float32", "mean": 0.0, "rms": 1.0, "low": -3.0, "high": 3.0}
    return TensorReading(**(fixed | more))


def stream(growth, blocks=40):
    each = growth ** (1 / blocks)
    return tuple(Addition("", each**i, 1.0, each ** (i + 1)) for i in range(blocks))


def stepped(after, optimizer):
    return report(rows(update=0.01), assumed=False, loss=1.0, loss_after=after, optimizer=optimizer)


def watched(update):
    one_ = report(rows(update=update), assumed=False)
    return Watched((0, 10, 20), (one_,) * 3, 21)


# Threshold -> a report at a value, the key of the cause, and whether it fires above the threshold.
TABLE = {
    "saturated share": (lambda v: report(rows(function="tanh", saturated=v, weight_scale=1.0)), "saturation", True),
    "dead share": (lambda v: report(one(3, function="relu", dead=v)), "dead-units", True),
    "scale against critical, small": (
        lambda v: report(rows(40, 0.85, function="relu", weight_scale=v * 2**0.5)), "init-small", False,
    ),
    "scale against critical, large": (
        lambda v: report(rows(40, 1.2, function="relu", weight_scale=v * 2**0.5)), "init-large", True,
    ),
    "scale for a sigmoid, small": (
        lambda v: report(rows(8, 4.0, function="sigmoid", weight_scale=v)), "init-small", False,
    ),
    "scale for a sigmoid, large": (
        lambda v: report(rows(function="sigmoid", weight_scale=v, saturated=0.5)), "init-large", True,
    ),
    "one layer against the others": (lambda v: report(one(3, weight_scale=1.4 * v)), "init-large", True),
    "scale under normalisation": (lambda v: report(between_norms(weight_scale=v)), "init-large", True),
    "scale under normalisation, small": (lambda v: report(between_norms(weight_scale=v)), "init-small", False),
    "scale under batch normalisation, small": (
        lambda v: report(between_norms("BatchNorm1d", weight_scale=v)), "init-small", False,
    ),
    "scale of a recurrent layer, small": (lambda v: report(one(3, kind="LSTM", weight_scale=v)), "init-small", False),
    "scale of a recurrent layer, large": (
        lambda v: report(one(3, kind="GRU", weight_scale=v, saturated=0.5)), "init-large", True,
    ),
    "input rms": (lambda v: report(inputs=(tensor(rms=v),)), "normalization", True),
    "column spread": (lambda v: report(inputs=(tensor(column_spread=v),)), "normalization", True),
    "stream growth": (lambda v: report(additions=stream(v, 4)), "residual", True),
    "growth per block": (lambda v: report(additions=stream(v**40)), "residual", True),
    "rise of the loss, plain": (lambda v: stepped(1 + v, None), "step", True),
    "rise of the loss, optimizer": (lambda v: stepped(1 + v, "Adam"), "step", True),
    "update, one step": (lambda v: report(rows(update=v), assumed=False), "step", True),
    "update, in a run": (watched, "step", True),
    "zero share of a gradient": (lambda v: report(one(3, dtype="float16", zero_gradient=v)), "precision", True),
    "target against output": (
        lambda v: report(targets=(tensor(name="y", rms=v),), outputs=(tensor(name="output"),)), "targets", True,
    ),
    "majority": (
        lambda v: report(targets=(tensor(name="y", shape=(64,), dtype="int64", classes=3, majority=v),)),
        "targets", True,
    ),
    "attention score": (lambda v: report(attentions=(Attention("a", v, 0.3),)), "attention", True),
    "attention entropy": (lambda v: report(attentions=(Attention("a", 5.0, v),)), "attention", False),
}  # fmt: skip
COUNTED = {
    "layers without normalisation": (
        lambda n: report(rows(int(n), 10.0 ** (4 / n), weight_scale=None)), "normalization", 5, 4,
    ),
    "batch for statistics": (
        lambda n: dataclasses.replace(report((*rows(), dataclasses.replace(NORM, kind="BatchNorm1d"))), batch=int(n)),
        "batch", 4, 5,
    ),
    "time steps": (
        lambda n: report(one(3, kind="LSTM", steps=tuple(np.logspace(0, 3, int(n))))), "recurrence", 8, 7,
    ),
}  # fmt: skip
RUN_ONLY = {"update, all of a weight"}  # a single large step, below


@pytest.mark.parametrize("name", TABLE)
def test_a_threshold_stands_where_the_table_says(name):
    make, key, above = TABLE[name]
    value = limit(name)
    over, under = (key in [c.key for c in make(value * side).causes] for side in (1.002, 0.998))
    assert (over, under) == (above, not above)


@pytest.mark.parametrize("name", COUNTED)
def test_a_threshold_that_counts_stands_where_the_table_says(name):
    make, key, fires, silent = COUNTED[name]
    assert key in [c.key for c in make(fires).causes]
    assert key not in [c.key for c in make(silent).causes]


def test_a_scale_is_counted_once_for_each_layer_that_a_gradient_has_passed():
    """From the last of nine layers to the first there are eight; ReLU's level is the square root of 2."""
    layers = rows(9, 0.4, function="relu", weight_scale=0.5 * 2**0.5)
    (cause,) = [cause for cause in report(layers).causes if cause.key == "init-small"]
    assert f"over 8 layers that is 10^{8 * np.log10(0.5):.1f}, and" in cause.evidence


def test_a_stream_may_grow_by_many_blocks_as_long_as_each_adds_little():
    """Both are asked: growth in all, and growth per block."""
    for growth, blocks, told in ((1e3, 10, True), (1e3, 2000, False), (3.0, 3, False), (1e3, 2, False)):
        found = [cause.key for cause in report(additions=stream(growth, blocks)).causes]
        assert ("residual" in found) == told, (growth, blocks)


def test_steps_of_a_layer_that_reads_in_both_directions_are_no_way_back_in_time():
    """Its first step is the last one of the other direction, so that the two ends say nothing about memory."""
    steps = tuple(np.logspace(0, 6, 30))
    for kind, told in (("LSTM", True), ("Bidirectional", False)):
        found = [cause.key for cause in report(one(3, kind=kind, steps=steps)).causes]
        assert ("recurrence" in found) == told


def test_every_threshold_has_a_reason_and_a_test():
    assert set(TABLE) | set(COUNTED) | RUN_ONLY == set(LIMITS)
    assert all(len(entry.reason) > 10 for entry in LIMITS.values())
    assert len(RULES) == len(set(RULES))


def test_one_step_that_replaces_a_weight():
    for size, fires in ((1.01, True), (0.99, False)):
        steps = [report(rows(update=u), assumed=False) for u in (size, 0.01, 0.01)]
        assert ("step" in [c.key for c in Watched((0, 1, 2), tuple(steps), 3).causes]) is fires


def test_weights_that_do_not_move():
    still = Watched((0, 10, 20), (report(rows(update=0.0), assumed=False),) * 3, 21)
    assert [c.key for c in still.causes] == ["still"]


def test_causes_can_be_silenced():
    made = report(one(3, function="relu", dead=0.9))
    assert [c.key for c in made.causes] == ["dead-units"]
    assert made.silence("dead-units").causes == ()
    run = Watched((0,), (made,), 1)
    assert run.silence("dead-units").causes == ()
    with pytest.raises(ValueError, match="keys: got 'dead', wanted one of data, parameters"):
        made.silence("dead")


def test_every_page_of_the_table_is_a_page_of_the_book(real):
    written = {str(path.relative_to(real.root / "book").with_suffix("")) for path in (real.root / "book").rglob("*.md")}
    pages = {kind.page for kind in KINDS.values()}
    assert pages <= written


X, Y = torch.randn(32, 8, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3


def network(*parts):
    torch.manual_seed(0)
    model = nn.Sequential(*[p for _ in range(5) for p in (nn.Linear(8, 8), nn.Tanh())], *parts, nn.Linear(8, 3))
    for m in model:
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=8**-0.5)
    return model


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_zero_by_design_is_healthy():
    model = network()
    nn.init.zeros_(model[-1].weight)
    made = gradclinic.probe(model, X, Y)
    assert (made.delta[:-1] == 0).all()
    assert {layer.state for layer in made.layers[:-1]} == {"zero"}
    assert verdicts.zero_by_design(made.layers) == frozenset(made.names[:-1])
    assert made.verdict == "healthy"
    assert not made.causes


def test_zero_that_nothing_will_change_is_a_fault():
    model = network()
    for at in (4, 6):
        nn.init.zeros_(model[at].weight)
        nn.init.zeros_(model[at].bias)
    made = gradclinic.probe(model, X, Y)
    assert made.verdict == "vanishing"
    assert "zero" in [c.key for c in made.causes][:2]


@pytest.mark.parametrize(
    ("function", "word"), [(torch.round, "round"), (torch.sign, "sign"), (lambda a: a.detach(), "detach")]
)
def test_a_cut_is_named(function, word):
    made = gradclinic.probe(network(Apply(function)), X, Y)
    first = made.causes[0]
    assert first.key == "cut"
    assert word in first.evidence
    assert "10 (Apply)" in first.evidence


def test_what_was_not_read_says_nothing():
    model = network()
    made = gradclinic.probe(model, X, Y)
    blind = tuple(dataclasses.replace(x, delta=None, weight_gradient=None, unread="compiled") for x in made.layers[:3])
    assert {layer.state for layer in blind} == {"not read"}
    assert dataclasses.replace(made, layers=(*blind, *made.layers[3:])).verdict == "healthy"


def test_vanishing_is_what_is_left():
    torch.manual_seed(0)
    model = nn.Sequential(*[p for _ in range(8) for p in (nn.Linear(8, 8), nn.Sigmoid())], nn.Linear(8, 3))
    assert gradclinic.probe(model, X, Y).verdict == "vanishing"
    assert gradclinic.probe(network(), X, Y).verdict == "healthy"


def test_a_normalisation_takes_the_scale_away():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.a, self.b = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            return x + self.b(torch.relu(self.a(self.norm(x))))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), *(Block() for _ in range(6)), nn.LayerNorm(8), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].weight *= 1e-3
        model[0].bias.zero_()
    made = gradclinic.probe(model, X, Y)
    assert made["0"].delta > 100 * made["7"].delta  # of a stream that starts small
    x = model[0](X)
    assert made["0"].normalized_at == pytest.approx(x.square().mean().sqrt().item(), rel=1e-5)
    assert made["1.a"].normalized_at is None
    assert made["1.b"].normalized_at is not None
    assert made.verdict == "healthy"
    assert len(made.additions) == 5


def test_attention_that_looks_at_one_place():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.out(((self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1) @ x).mean(1))

    torch.manual_seed(0)
    model, x = Net(), torch.randn(16, 12, 8)
    assert 0.3 < gradclinic.probe(model, x, Y[:16]).attentions[0].entropy <= 1
    with torch.no_grad():
        model.q.weight *= 500
    made = gradclinic.probe(model, x, Y[:16])
    assert made.attentions[0].entropy < 0.1
    assert made.causes[0].key == "attention"


def test_parameters_that_the_model_does_not_know():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = [nn.Linear(8, 8) for _ in range(4)], nn.Linear(8, 3)

        def forward(self, x):
            for layer in self.hidden:
                x = torch.tanh(layer(x))
            return self.out(x)

    made = gradclinic.probe(Listed(), X, Y)
    assert made.foreign == 8
    assert made.causes[0].key == "foreign"


def test_a_comparison_names_what_changed():
    model = network()
    before = gradclinic.probe(model, X, Y)
    with torch.no_grad():
        model[2].weight *= 3
    text = before.compare(gradclinic.probe(model, X, Y))
    line = next(line for line in text.splitlines() if line.startswith("2 "))
    assert line.split()[-1] == "3"
    assert "verdict healthy -> healthy" in text


def test_html_escapes_and_json_is_saved(tmp_path):
    made = dataclasses.replace(report(one(3, function="relu", dead=0.9)), framework="<b>")
    assert "<b>, 8" not in made._repr_html_()
    assert "&lt;b&gt;" in made._repr_html_()
    assert "dead units" in made._repr_html_()
    assert "verdict" in Watched((0,), (made,), 1)._repr_html_()
    assert '"verdict"' in made.save(tmp_path / "report.json").read_text()


def test_a_reentrant_checkpoint_is_read():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts, self.out = nn.ModuleList(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 3)

        def forward(self, x):
            for part in self.parts:
                x = checkpoint(lambda v, part=part: torch.tanh(part(v)), x, use_reentrant=True)
            return self.out(x)

    torch.manual_seed(0)
    model, x = Net().double(), X.double().requires_grad_()
    made = gradclinic.probe(model, x, Y)

    h, outputs = x, []
    for part in model.parts:
        outputs.append(part(h))
        h = torch.tanh(outputs[-1])
    wanted = torch.autograd.grad(functional.cross_entropy(model.out(h), Y), outputs)
    found = [made[f"parts.{i}"].delta for i in range(3)]
    np.testing.assert_allclose(found, [32**0.5 * g.norm().item() for g in wanted], rtol=1e-6)
    assert causes.diagnose is diagnose


class Sequence(nn.Module):
    def __init__(self, kind, width, law):
        super().__init__()
        self.body, self.out = kind(width, width, batch_first=True), nn.Linear(width, 4)
        for p in self.body.parameters():
            law(p) if p.ndim > 1 else None

    def forward(self, x):
        return self.out(self.body(x)[0].mean(1))


LAWS = {
    "PyTorch": (48, lambda p: None),
    "Keras": (48, lambda p: nn.init.orthogonal_(p)),
    "Glorot": (48, lambda p: nn.init.xavier_uniform_(p)),
    "Sutskever 2014": (512, lambda p: nn.init.uniform_(p, -0.08, 0.08)),
    "Zaremba 2014, large": (512, lambda p: nn.init.uniform_(p, -0.04, 0.04)),
    "uniform to 0.1, wide": (1024, lambda p: nn.init.uniform_(p, -0.1, 0.1)),
    "normal, 0.02": (48, lambda p: nn.init.normal_(p, std=0.02)),
}


def recurrent_causes(kind, width, law, factor=1.0):
    torch.manual_seed(0)
    model = Sequence(kind, width, law)
    with torch.no_grad():
        for p in model.body.parameters():
            p.mul_(factor) if p.ndim > 1 else None
    report = gradclinic.probe(model, torch.randn(16, 12, width), torch.arange(16) % 4, lr=0.1)
    return {c.key for c in report.causes if c.layers == ("body",)}, report["body"]


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_no_published_law_of_a_recurrent_layer_is_called_wrong(kind, name):
    assert not recurrent_causes(kind, *LAWS[name])[0] & {"init-small", "init-large"}


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_layer_far_from_every_law(kind):
    assert "init-small" in recurrent_causes(kind, *LAWS["PyTorch"], factor=0.1)[0]
    assert "init-large" in recurrent_causes(kind, *LAWS["PyTorch"], factor=10.0)[0]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_saturated_share_of_gates_is_that_of_the_layer_itself(kind):
    """Against a loop over PyTorch's own cell, biases at 0, all samples and steps within what is read."""
    torch.manual_seed(0)
    cell = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}[kind](5, 7).double()
    layer = kind(5, 7, batch_first=True).double()
    with torch.no_grad():
        for p in cell.parameters():
            p.mul_(6.0) if p.ndim > 1 else p.zero_()
        for name, p in cell.named_parameters():
            getattr(layer, f"{name}_l0").copy_(p)
    x, state, flat = torch.randn(4, 9, 5).double(), None, []
    for t in range(9):
        h = state[0] if isinstance(state, tuple) else state if state is not None else torch.zeros(4, 7).double()
        a, b = x[:, t] @ cell.weight_ih.T, h @ cell.weight_hh.T
        if kind is nn.GRU:
            reset = torch.sigmoid(a + b)[:, :7]
            z, limits = torch.cat([(a + b)[:, :14], a[:, 14:] + reset * b[:, 14:]], 1), [14, 7]
        elif kind is nn.LSTM:
            z, limits = (a + b)[:, [*range(14), *range(21, 28), *range(14, 21)]], [21, 7]
        else:
            z, limits = a + b, [0, 7]
        gates, candidates = z.split(limits, 1)
        flat += [torch.sigmoid(gates) * torch.sigmoid(-gates) < 0.05 / 4, 1 - torch.tanh(candidates) ** 2 < 0.05]
        state = cell(x[:, t], state)
    wanted = torch.cat([part.flatten() for part in flat]).double().mean().item()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.out = layer, nn.Linear(7, 3).double()

        def forward(self, x):
            return self.out(self.body(x)[0][:, -1])

    report = gradclinic.probe(Net(), x, torch.arange(4) % 3)
    assert 0.1 < wanted < 0.9
    assert report["body"].saturated == pytest.approx(wanted, abs=1e-12)


def test_a_cut_is_seen_where_nothing_is_left_to_go_on():
    """Behind a rounding to 0 the last layer's own weight gradient is 0 as well."""

    class Rounded(Sequence):
        def forward(self, x):
            return self.out(torch.round(self.body(x)[0] / 10).mean(1))

    torch.manual_seed(0)
    report = gradclinic.probe(Rounded(nn.LSTM, 6, lambda p: None), torch.randn(8, 5, 6), torch.arange(8) % 4, lr=0.1)
    assert report["out"].weight_gradient == 0
    cause = next(c for c in report.causes if c.key == "cut")
    assert "last of them body" in cause.evidence
    assert "round" in cause.evidence
