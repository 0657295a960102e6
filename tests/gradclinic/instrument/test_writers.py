"""What a run tells while it runs."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradclinic
from gradclinic.instrument import writers


def run(tell):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(16, 6), torch.arange(16) % 3
    with gradclinic.watch(model, every=2, tell=tell) as watched:
        for _ in range(5):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watched.loss(loss)
    return watched.report


def test_each_sampled_step_is_told_once_it_is_over():
    told = []
    report = run(lambda step, made: told.append((step, made)))
    assert [step for step, _ in told] == [0, 2, 4]
    for (_, made), kept in zip(told, report.reports, strict=True):
        assert made.update.tolist() == kept.update.tolist()
        assert made.update.min() > 0
        assert made.loss == pytest.approx(kept.loss)


def test_json_lines_and_any_log(tmp_path):
    lines, logged = writers.JSONLines(tmp_path / "run.jsonl"), []
    report = run(lines)
    run(writers.Logged(lambda found, step: logged.append((step, found))))
    written = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [line["step"] for line in written] == [0, 2, 4]
    assert written[1]["delta/0"] == pytest.approx(report.reports[1].layers[0].delta)
    assert written[0]["loss"] == pytest.approx(report.losses[0])
    assert written[0]["verdict"] == "healthy"
    step, found = logged[-1]
    assert step == 4
    assert found["gradclinic/update/2"] == pytest.approx(report.reports[2].layers[1].update)
    assert found["gradclinic/ill"] == 0.0


def test_tensorboard_gets_every_scalar():
    class Writer:
        def __init__(self):
            self.scalars = []

        def add_scalar(self, tag, value, step):
            self.scalars.append((tag, value, step))

    writer = Writer()
    report = run(writers.TensorBoard(writer))
    assert ("gradclinic/delta/0", report.reports[0].layers[0].delta, 0) in writer.scalars
    with pytest.raises(TypeError, match="writer: got int"):
        writers.TensorBoard(3)
    with pytest.raises(TypeError, match="log: got int"):
        writers.Logged(3)
    with pytest.raises(TypeError, match="tell: got int"):
        gradclinic.watch(nn.Linear(2, 2), tell=3)
