"""Readings that people ask for: clipped steps, the gradient against what Adam expects, the noise scale."""

from __future__ import annotations

import csv
import math
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.utils._python_dispatch import TorchDispatchMode

import gradclinic
from gradclinic.instrument import __main__ as command
from gradclinic.instrument import writers
from gradclinic.instrument.noise import noise_scale, noise_scale_of

X, Y = torch.randn(32, 6, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def trained(model, optimizer, steps, each=lambda step: None, **settings):
    with gradclinic.watch(model, **settings) as run:
        for step in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(model(X), Y).backward()
            each(step)
            optimizer.step()
    return run.report


def test_clipped_steps_are_counted_on_every_step():
    model, norms = net(), []
    bounds = [1e-3, 1e3, 1e-3, 1e3, 1e3]  # the first and third are below the norm

    def clip(step):
        norms.append(float(clip_grad_norm_(model.parameters(), bounds[step])))

    report = trained(model, torch.optim.SGD(model.parameters(), lr=0.1), 5, clip, every=10)
    assert all(1e-3 < norm < 1e3 for norm in norms)
    assert report.clipped == (2, 5)
    assert report.clipped_share == 0.4
    assert "clipped by norm: 2 of 5 steps" in str(report)
    assert torch.nn.utils.clip_grad._clip_grads_with_norm_.__module__ == "torch.nn.utils.clip_grad"
    other = net()
    assert trained(other, torch.optim.SGD(other.parameters(), lr=0.1), 2).clipped_share is None


def test_clipping_of_another_model_is_not_ours():
    model, stranger = net(), nn.Linear(2, 2)
    stranger(torch.ones(1, 2)).sum().backward()
    report = trained(
        model, torch.optim.SGD(model.parameters(), lr=0.1), 2, lambda _: clip_grad_norm_(stranger.parameters(), 1e-3)
    )
    assert report.clipped is None


def test_gradient_against_what_adam_expects():
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    second, by_hand = torch.zeros(8, 6), []

    def keep(step):
        nonlocal second
        if step == 6:  # a gradient that Adam did not expect
            for p in model.parameters():
                p.grad.mul_(30)
        g = model[0].weight.grad
        second = 0.99 * second + 0.01 * g**2
        by_hand.append(float((g**2 / (second / (1 - 0.99 ** (step + 1))).clamp_min(1e-16)).mean().sqrt()))

    report = trained(model, optimizer, 8, keep, every=2)
    found = report.column("adam_rms")[:, 0]
    np.testing.assert_allclose(found, [by_hand[i] for i in (0, 2, 4, 6)], rtol=1e-5)
    assert found[0] == pytest.approx(1.0, rel=1e-3)  # the first step: v is g^2
    assert found[3] > 2.3 > found[2]
    assert "gradient over what Adam expects (usually 1)" in str(report)
    plain = net()
    assert trained(plain, torch.optim.SGD(plain.parameters(), lr=0.1), 2).reports[0].layers[0].adam_rms is None


def test_noise_scale_of_gradients_whose_noise_is_known():
    """Gradients (3, 4) plus unit noise in each of 50 directions: tr(Sigma) = 50, |G|^2 = 25, so B = 2."""
    rng = np.random.default_rng(0)
    true = np.zeros(50)
    true[:2] = 3, 4
    found = []
    for _ in range(200):
        samples = true + rng.normal(size=(64, 50))
        parts = samples.reshape(8, 8, 50).mean(1)
        found.append(noise_scale_of(np.linalg.norm(parts, axis=1), np.linalg.norm(samples.mean(0)), 64))
    assert np.median(found) == pytest.approx(2.0, rel=0.05)
    assert noise_scale_of([1.0, 1.0], 0.0, 8) == math.inf


def test_noise_scale_of_a_model():
    """Of a linear model the gradient of each sample is known."""
    model = nn.Linear(6, 1, bias=False)
    y = torch.randn(32, 1, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        each = (model(X) - y) * X
    parts = each.reshape(4, 8, 6).mean(1).norm(dim=1)
    wanted = noise_scale_of(parts.tolist(), float(each.mean(0).norm()), 32)
    assert noise_scale(model, X, y, parts=4) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(ValueError, match="parts: got 1, wanted at least 2"):
        noise_scale(model, X, y, parts=1)
    with pytest.raises(ValueError, match="y: got 3 samples"):
        noise_scale(model, X[:3], y[:3])


def test_csv_has_a_row_for_each_reading(tmp_path):
    model, table = net(), writers.CSV(tmp_path / "run.csv")
    report = trained(model, torch.optim.SGD(model.parameters(), lr=0.1), 3, every=2, tell=table)
    rows = list(csv.DictReader((tmp_path / "run.csv").read_text().splitlines()))
    assert {row["step"] for row in rows} == {"0", "2"}
    found = next(r for r in rows if (r["step"], r["quantity"], r["layer"]) == ("2", "update", "0"))
    assert float(found["value"]) == pytest.approx(report.reports[1].layers[0].update)
    assert any(r["quantity"] == "ill" and r["layer"] == "" for r in rows)


FACTORY = """
import torch
from torch import nn

def healthy():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    return model, torch.randn(16, 6), torch.arange(16) % 3

def ill():
    model, x, y = healthy()
    return {"model": nn.Sequential(*[m for _ in range(12) for m in (nn.Linear(6, 6), nn.Sigmoid())]), "x": x, "y": y}

def wrong():
    return 3
"""


def test_command_prints_the_report_and_ends_with_a_status(tmp_path, monkeypatch, capsys):
    (tmp_path / "made_here.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "made_here", raising=False)
    assert command.main(["made_here:healthy", "--lr", "0.1", "--save", "report.json"]) == 0
    assert "verdict: healthy" in capsys.readouterr().out
    assert '"verdict": "healthy"' in (tmp_path / "report.json").read_text()
    assert command.main(["made_here:ill"]) == 1
    assert "verdict: vanishing" in capsys.readouterr().out
    for place, words in {
        "made_here": "module:factory: got 'made_here', wanted",
        "not_there:f": "module: got 'not_there', which is not there",
        "made_here:none": "factory: got 'none', which made_here does not have",
        "made_here:wrong": "made_here:wrong: returned int, wanted (model, x, y)",
    }.items():
        assert command.main([place]) == 2
        assert words in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "made_here", raising=False)


class LookedAt(TorchDispatchMode):
    """Sizes of the tensors whose entries are asked, one by one, whether they are finite."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.isfinite or func.overloadpacket is torch.ops.aten.ne:
            self.sizes.append(args[0].numel())
        return func(*args, **(kwargs or {}))


def bad_of_first_layer(broken, dtype=torch.float32):
    """Sizes looked at, and the number of bad outputs of the first layer, for rows of x that are broken."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 3)).to(dtype)
    x = torch.randn(40, 20, dtype=dtype)
    x[:broken] = torch.inf
    with LookedAt() as looked:
        report = gradclinic.probe(model, x, torch.randint(0, 3, (40,)))
    return looked.sizes, report.layers[0].nonfinite


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entries_are_asked_whether_they_are_finite_only_where_a_norm_is_not(dtype):
    """The norm of finite entries is finite, so that in a sound model nothing is gone through once more."""
    sound, none = bad_of_first_layer(0, dtype)
    broken, some = bad_of_first_layer(10, dtype)
    assert set(sound) <= {1}
    assert none == 0
    assert 40 * 30 in broken
    assert some == 10 * 30
