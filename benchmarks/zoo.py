"""How often the instrument is wrong: healthy models of a zoo that it calls ill, and planted faults that it misses.

    python benchmarks/zoo.py [--only NAME] [--faults] [--store]

``--store`` keeps each reading as it is made in ``book/_static/instrument.json``, which the page *How this book is
checked* shows; what stands there already is not read again (delete the file after a change of the rules).

A healthy model is read at the start and after 50 steps of training in which its loss fell; every verdict but
``"healthy"`` is false then, and so is every cause. A fault is found if a verdict or cause that the healthy model does
not have points at it, and located if one of the first two causes is of the right kind or names the right layer.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from architectures import ZOO, Made, installed
from torch.nn import functional

import gradclinic

STEPS, RATE = 50, 1e-3
FILE = Path(__file__).parents[1] / "book/_static/instrument.json"
Planted = tuple[Made | None, str | None]
Plant = Callable[[Made], Planted]


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


class Kept:
    """Readings by name, on disk from the moment they are made; nothing is kept without ``store``."""

    def __init__(self, store: bool) -> None:
        """What an earlier run has left is there."""
        self.store = store
        self.data: dict[str, dict[str, Any]] = {"zoo": {}, "faults": {}}
        if store and FILE.is_file():
            self.data |= json.loads(FILE.read_text(encoding="utf-8"))

    def keep(self, part: str, name: str, value: Any) -> None:
        """Add one reading."""
        self.data[part][name] = value
        if self.store:
            FILE.write_text(json.dumps(self.data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def healthy(zoo: dict[str, Any], steps: int, known: Any = ()) -> Iterator[Reading]:
    """Each model at the start and after training; what is ``known`` is not read again."""
    for name, make in zoo.items():
        if f"{name}, start" in known and (not steps or f"{name}, trained" in known):
            continue
        torch.manual_seed(0)
        made = make()
        optimizer = adam(made[0])
        yield read(name, "start", made, optimizer)
        if steps:
            losses = train(made, optimizer, steps)
            when = f"after {steps}" + (", NOT LEARNING" if losses[-1] >= losses[0] else "")
            yield read(name, when, made, optimizer)


# Faults --------------------------------------------------------------------------------------------------------------

PATIENTS = (
    *("mlp, he, 11 layers", "mlp, batch norm, 11 layers", "vgg with batch norm", "resnet, large stem"),
    *("gpt-2, softmax written out", "vit", "nn.TransformerEncoder", "lstm classifier, mean of both directions"),
)
Matrices = list[tuple[str, torch.nn.Module]]


def matrices(model: torch.nn.Module) -> Matrices:
    """Layers with a matrix that are called, in order, without tables and the last one."""
    known = {torch.nn.Linear, torch.nn.Conv2d, torch.nn.LSTM}
    return [(name, m) for name, m in model.named_modules() if type(m) in known][:-1]


def weights(m: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Its matrices."""
    return [p for p in m.parameters(recurse=False) if p.ndim >= 2]


def scale_all(factor: float) -> Plant:
    """All matrices on another scale."""

    def plant(made: Made) -> Planted:
        with torch.no_grad():
            for p in (p for _, m in matrices(made[0]) for p in weights(m)):
                p.mul_(factor)
        return made, None

    return plant


def scale_one(factor: float) -> Plant:
    """The matrices of one layer in the middle on another scale."""

    def plant(made: Made) -> Planted:
        layers = matrices(made[0])
        name, m = layers[len(layers) // 2]
        with torch.no_grad():
            for p in (*weights(m), *(p for p in m.parameters(recurse=False) if p.ndim == 1)):
                p.mul_(factor)
        return made, name

    return plant


def after(change: Callable[[torch.Tensor], torch.Tensor]) -> Plant:
    """Something done to the output of a layer in the middle."""

    def plant(made: Made) -> Planted:
        layers = matrices(made[0])
        name, m = layers[len(layers) // 2]

        def hook(_: Any, __: Any, output: Any) -> Any:
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        m.register_forward_hook(hook)
        return made, name

    return plant


def poison(value_: float) -> Plant:
    """One weight that is not finite."""

    def plant(made: Made) -> Planted:
        layers = matrices(made[0])
        name, m = layers[len(layers) // 2]
        with torch.no_grad():
            weights(m)[0].view(-1)[0] = value_
        return made, name

    return plant


def data(x: Callable | None = None, y: Callable | None = None) -> Plant:
    """Other inputs or targets."""

    def plant(made: Made) -> Planted:
        model, given, wanted, loss = made
        if x is not None and not given.is_floating_point():
            return None, None
        return (model, given if x is None else x(given), wanted if y is None else y(wanted), loss), None

    return plant


def wrapped(name: str) -> Plant:
    """A part put behind the model."""

    def plant(made: Made) -> Planted:
        model, x, y, loss = made
        if y.ndim > 1:
            return None, None
        return (torch.nn.Sequential(model, getattr(torch.nn, name)(-1)), x, y, loss), None

    return plant


def attention(scale: float) -> Plant:
    """Queries and keys of this standard deviation, for inputs of rms 1."""

    def plant(made: Made) -> Planted:
        found = None
        for name, m in made[0].named_modules():
            w = getattr(m, "in_proj_weight", None) if isinstance(m, torch.nn.MultiheadAttention) else None
            w = m.weight if name.endswith("qkv") else w
            if w is not None:
                found = found or name
                torch.nn.init.normal_(w.data[: 2 * len(w) // 3], std=scale / w.shape[1] ** 0.5)
        return (made, None) if found else (None, None)

    return plant


def bias_all(value_: float) -> Plant:
    """Biases that switch all ReLUs of a layer in the middle off."""

    def plant(made: Made) -> Planted:
        found = [m for m in made[0].modules() if isinstance(m, torch.nn.ReLU | torch.nn.GELU)]
        if not found or isinstance(found[0], torch.nn.GELU):
            return None, None
        found[len(found) // 2].register_forward_pre_hook(lambda _, given: (given[0] + value_,))
        return made, None

    return plant


def idle(made: Made) -> Planted:
    """Two matrices in a row at zero, of which neither can ever move; nothing is planted where one of them can, as the
    last of a residual branch, which is often drawn at zero."""
    model, x, y, loss = made
    layers = matrices(model)
    at = len(layers) // 2
    zeroed = [p for _, m in layers[at : at + 2] for p in m.parameters(recurse=False)]
    with torch.no_grad():
        for p in zeroed:
            p.zero_()
    found = torch.autograd.grad(value(model, x, y, loss), [p for p in zeroed if p.ndim >= 2])
    return (None, None) if any(bool(g.any()) for g in found) else (made, layers[at][0])


def lost(made: Made) -> Planted:
    """A layer that is no parameter of the model any more."""
    layers = matrices(made[0])
    name, m = layers[len(layers) // 2]
    for key, p in list(m._parameters.items()):
        if p is not None:
            del m._parameters[key]
            object.__setattr__(m, key, torch.nn.Parameter(p.detach().clone()))
    if isinstance(m, torch.nn.LSTM):
        return None, None
    return made, name


# Fault -> how it is planted, keys of causes that are right, and whether the step is too large.
FAULTS: dict[str, tuple[Plant, set[str]]] = {
    "all weights x 3": (scale_all(3.0), {"init-large", "residual", "attention", "step"}),
    "all weights x 10": (scale_all(10.0), {"init-large", "residual", "attention", "saturation", "step"}),
    "all weights / 10": (scale_all(0.1), {"init-small"}),
    "one layer x 1e-4": (scale_one(1e-4), {"init-small", "zero"}),
    "one layer x 1e4": (scale_one(1e4), {"init-large"}),
    "detach in the middle": (after(lambda t: t.detach()), {"cut"}),
    "round in the middle": (after(torch.round), {"cut"}),
    "sign in the middle": (after(torch.sign), {"cut"}),
    "nan in a weight": (poison(math.nan), {"parameters"}),
    "inf in a weight": (poison(math.inf), {"parameters"}),
    "log in the middle": (after(torch.log), {"operation"}),
    "root of zero in the middle": (after(lambda t: t + (0 * t).sqrt()), {"operation"}),
    "division by zero": (after(lambda t: t / (t - t)), {"operation"}),
    "nan in the inputs": (data(x=lambda x: x.masked_fill(torch.rand_like(x) < 0.01, math.nan)), {"data"}),
    "inputs x 255": (data(x=lambda x: 255 * x), {"normalization"}),
    "inputs + 20": (data(x=lambda x: x + 20), {"normalization"}),
    "labels all alike": (data(y=torch.zeros_like), {"targets"}),
    "softmax twice": (wrapped("Softmax"), {"softmax"}),
    "queries and keys of size 6": (attention(6.0), {"attention"}),
    "dead units": (bias_all(-1e3), {"dead-units"}),
    "two matrices at zero": (idle, {"zero", "init-small"}),
    "a layer that is not registered": (lost, {"foreign"}),
    "step of Adam 1": (lambda made: (made, None), {"step"}),
}


def planted(known: Any = (), only: str = "") -> Iterator[tuple[str, str, bool | None, str]]:
    """Fault, model, whether it was located (``None``: found, no more), and what was said."""
    for model in (patient for patient in PATIENTS if only in patient):
        for fault, (plant, keys) in FAULTS.items():
            if f"{fault} in {model}" in known:
                continue
            torch.manual_seed(0)
            made, name = plant(ZOO[model]())
            if made is None:
                continue
            module, x, y, loss = made
            optimizer = adam(module, 1.0 if "Adam 1" in fault else RATE)
            report = gradclinic.probe(module, x, y, loss, optimizer=optimizer)
            first = report.causes[:2]
            located = any(c.key in keys or (name and name in c.layers) for c in first)
            found = report.verdict != "healthy" or bool(report.causes)
            said = f"{report.verdict}: {', '.join(c.key for c in report.causes) or 'nothing'}"
            yield fault, model, (located if located else None if found else False), said


HOW = {True: "located", None: "found", False: "missed"}


def judge_faults(only: str, kept: Kept) -> None:
    """Print a line for each fault that was missed or misplaced, and the counts."""
    for fault, model, how, said in planted(kept.data["faults"], only):
        kept.keep("faults", f"{fault} in {model}", HOW[how])
        if how is not True:
            print(f"{HOW[how]}: {fault} in {model}: {said}", flush=True)
    all_ = list(kept.data["faults"].values())
    counts = {how: all_.count(how) for how in HOW.values()}
    print(
        f"{len(all_)} planted: {len(all_) - counts['missed']} found,"
        f" {counts['located']} with the cause or layer among the first two"
    )


def main() -> None:
    """Print a line for each reading that is wrong, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--installed", action="store_true", help="torchvision and timm, where they are installed")
    parser.add_argument("--steps", type=int, default=STEPS, help="0: only at the start")
    parser.add_argument("--store", action="store_true", help=f"keep the readings in {FILE.name}")
    parser.add_argument("--faults", action="store_true", help="plant faults instead")
    options = parser.parse_args()
    kept = Kept(options.store)
    torch.set_num_threads(1)
    if options.faults:
        judge_faults(options.only, kept)
        return
    zoo, missing = installed() if options.installed else (ZOO, [])
    readings, start = [], time.perf_counter()
    chosen = {name: make for name, make in zoo.items() if options.only in name}
    for reading in healthy(chosen, options.steps, kept.data["zoo"]):
        readings.append(reading)
        when = "start" if reading.when == "start" else "trained"
        said = {"verdict": reading.verdict, "causes": len(reading.causes), "learning": "NOT" not in reading.when}
        kept.keep("zoo", f"{reading.name}, {when}", said)
        print(f"{time.perf_counter() - start:6.0f} s {reading.name}, {reading.when}", file=sys.stderr, flush=True)
        if not reading.right or "NOT" in reading.when:
            print(f"{reading.name}, {reading.when}: {reading.verdict}", *reading.causes, sep="\n    ", flush=True)
    wrong = sum(reading.verdict != "healthy" for reading in readings)
    causes = sum(len(reading.causes) for reading in readings)
    print(
        f"{len(readings)} readings: {wrong} false verdicts, {causes} false causes; not installed: {missing or 'none'}"
    )
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
