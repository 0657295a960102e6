"""The instrument on a device: does it read what it reads on the CPU, what does it cost, and how often does it wait?

    python benchmarks/gpu.py

Prints a table in under five minutes; without a GPU it says so and does the same on the CPU, smaller. ``probe`` is
compared layer by layer with the CPU in float64, ``watch`` is timed against the bare step in turns (events of the
device, one process), and transfers to the host are counted by a dispatch mode.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections import Counter
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import gradclinic

TURNS, STEPS = 9, 20
Step = Callable[[], None]


class Transfers(TorchDispatchMode):
    """Counts what brings numbers to the host."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: D105
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        moved = name == "_to_copy" and isinstance(out, torch.Tensor) and out.device.type == "cpu"
        if name == "_local_scalar_dense" or (moved and args[0].device.type != "cpu"):
            self.calls[name] += 1
        return out


def models(small: bool) -> dict[str, tuple[nn.Module, torch.Tensor]]:
    """A plain network, a convolutional one and a transformer, each with its inputs; ten classes."""
    width, batch, blocks = (64, 32, 2) if small else (1024, 256, 8)
    torch.manual_seed(0)
    plain = [part for _ in range(9) for part in (nn.Linear(width, width), nn.ReLU())]
    for part in plain[::2]:
        nn.init.kaiming_normal_(part.weight)
    a = 16 if small else 64
    image = [nn.Conv2d(3, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU()]
    for _ in range(4 if small else 16):
        image += [nn.Conv2d(a, a, 3, padding=1, bias=False), nn.BatchNorm2d(a), nn.ReLU()]
    image += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(a, 10)]
    layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
    words = nn.Sequential(
        nn.TransformerEncoder(layer, blocks, enable_nested_tensor=False), Mean(), nn.Linear(width, 10)
    )
    return {
        "ten linear layers": (nn.Sequential(*plain, nn.Linear(width, 10)), torch.randn(batch, width)),
        "convolutions": (nn.Sequential(*image), torch.randn(batch // 2, 3, 32, 32)),
        "transformer": (words, torch.randn(8, 32 if small else 128, width)),
    }


class Mean(nn.Module):
    """Mean over the places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, places, width)`` to ``(batch, width)``."""
        return x.mean(1)


def trainer(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Step:
    """One step of SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def seconds(run: Step, device: str) -> float:
    """Wall time of some steps, the device's queue emptied before and after."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(STEPS):
        run()
    wait()
    return time.perf_counter() - start


def cost(model: nn.Module, x: torch.Tensor, y: torch.Tensor, every: int, device: str) -> float:
    """Watched over bare, the median over turns."""
    bare, watched = trainer(copy.deepcopy(model), x, y), trainer(model, x, y)
    ratios = []
    with gradclinic.watch(model, every=every):
        for turn in range(TURNS + 1):
            pair = seconds(bare, device), seconds(watched, device)
            ratios += [pair[1] / pair[0]] if turn else []
    return statistics.median(ratios)


def transfers(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[int, int]:
    """To the host, of a step that is read and of one that is not, beside those of the step itself."""
    step = trainer(model, x, y)
    found = []
    with gradclinic.watch(model, every=4):
        for _ in range(6):
            with Transfers() as counted:
                step()
            found.append(sum(counted.calls.values()))
    return found[4], found[2]


def furthest(model: nn.Module, x: torch.Tensor, y: torch.Tensor, device: str) -> float:
    """Largest relative difference of delta and weight gradient between the device and the CPU in float64."""
    here = gradclinic.probe(copy.deepcopy(model).to(device), x.to(device), y.to(device))
    there = gradclinic.probe(copy.deepcopy(model).double(), x.double(), y)
    pairs = [
        (getattr(a, name), getattr(b, name))
        for a, b in zip(here.layers, there.layers, strict=True)
        for name in ("delta", "weight_gradient")
    ]
    return max(abs(a / b - 1) for a, b in pairs if a and b)


def main() -> None:
    """Print the table."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if device == "cpu":
        torch.set_num_threads(1)
    print(torch.cuda.get_device_name() if device == "cuda" else "no GPU here: the same on the CPU, smaller")
    print(f"{'':20}{'off by':>10}{'every 1':>9}{'every 10':>9}{'read':>6}{'not':>5}   (transfers of a step)")
    for name, (model, x) in models(device == "cpu").items():
        y = torch.arange(len(x)) % 10
        off = furthest(model, x, y, device)
        model, x, y = model.to(device), x.to(device), y.to(device)
        ratios = [cost(copy.deepcopy(model), x, y, every, device) for every in (1, 10)]
        read, silent = transfers(copy.deepcopy(model), x, y)
        print(f"{name:20}{off:10.1e}{ratios[0]:9.2f}{ratios[1]:9.2f}{read:6}{silent:5}", flush=True)


if __name__ == "__main__":
    main()
