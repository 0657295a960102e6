"""How often the instrument is wrong: healthy models of a zoo that it calls ill, and planted faults that it misses.

    python benchmarks/zoo.py [--only NAME] [--faults]

A healthy model is read at the start and after 50 steps of training in which its loss fell; every verdict but
``"healthy"`` is false then, and so is every cause. A fault is found if a verdict or cause that the healthy model does
not have points at it, and located if one of the first two causes is of the right kind or names the right layer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from architectures import ZOO, Made, installed
from torch.nn import functional

import gradclinic

STEPS, RATE = 50, 1e-3


@dataclass
class Reading:
    """One report of one model."""

    name: str
    when: str
    verdict: str
    causes: list[str] = field(default_factory=list)
    loss: float = 0.0

    @property
    def right(self) -> bool:
        """Whether a healthy model was left alone."""
        return self.verdict == "healthy" and not self.causes


def value(model: Any, x: Any, y: Any, loss: Any) -> torch.Tensor:
    """Loss of a batch."""
    output = model(*x) if isinstance(x, tuple) else model(x)
    if loss is not None:
        return loss(output, y)
    if y.ndim >= 2 and output.shape[:-1] != y.shape:
        return functional.cross_entropy(output, y)
    return functional.cross_entropy(output.flatten(0, -2), y.flatten())


def adam(model: Any, rate: float = RATE) -> torch.optim.Optimizer:
    """Adam on all that is trained."""
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)


def train(made: Made, optimizer: torch.optim.Optimizer, steps: int = STEPS) -> list[float]:
    """A few steps on one batch; the losses."""
    model, x, y, loss = made
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        now = value(model, x, y, loss)
        now.backward()
        optimizer.step()
        losses.append(float(now.detach()))
    return losses


def read(name: str, when: str, made: Made, optimizer: torch.optim.Optimizer) -> Reading:
    """One report."""
    model, x, y, loss = made
    report = gradclinic.probe(model, x, y, loss, optimizer=optimizer)
    return Reading(name, when, report.verdict, [str(cause) for cause in report.causes], report.loss)


def healthy(zoo: dict[str, Any], steps: int) -> Iterator[Reading]:
    """Each model at the start and after training."""
    for name, make in zoo.items():
        torch.manual_seed(0)
        made = make()
        optimizer = adam(made[0])
        yield read(name, "start", made, optimizer)
        if steps:
            losses = train(made, optimizer, steps)
            when = f"after {steps}" + (", NOT LEARNING" if losses[-1] >= losses[0] else "")
            yield read(name, when, made, optimizer)


def main() -> None:
    """Print a line for each reading that is wrong, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--installed", action="store_true", help="torchvision and timm, where they are installed")
    parser.add_argument("--steps", type=int, default=STEPS, help="0: only at the start")
    parser.add_argument("--store", type=Path, help="write all readings as JSON")
    options = parser.parse_args()
    zoo, missing = installed() if options.installed else (ZOO, [])
    torch.set_num_threads(1)
    readings, start = [], time.perf_counter()
    for reading in healthy({name: make for name, make in zoo.items() if options.only in name}, options.steps):
        readings.append(reading)
        print(f"{time.perf_counter() - start:6.0f} s {reading.name}, {reading.when}", file=sys.stderr, flush=True)
        if not reading.right or "NOT" in reading.when:
            print(f"{reading.name}, {reading.when}: {reading.verdict}", *reading.causes, sep="\n    ", flush=True)
    wrong = sum(reading.verdict != "healthy" for reading in readings)
    causes = sum(len(reading.causes) for reading in readings)
    print(
        f"{len(readings)} readings: {wrong} false verdicts, {causes} false causes; not installed: {missing or 'none'}"
    )
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    if options.store:
        options.store.write_text(json.dumps([vars(reading) for reading in readings], indent=1))


if __name__ == "__main__":
    main()
