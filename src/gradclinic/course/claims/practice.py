"""Claims about a reader's own model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradclinic import init
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    accuracy,
    train,
)
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "belief-default-init-safe",
    statement="a framework's default initialisation is a safe start",
    page="practice/your-own-model",
    mark="a framework's default initialisation is a safe start",
    verdict="false",
    why="with normalisation it is; ten plain layers of PyTorch's defaults lose powers of ten",
    held=(1, 2),
)
def _default_init_safe() -> Iterator[Case]:
    import torch

    from gradclinic import torch_net

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 3, 8, 8)).astype(np.float32), rng.integers(0, 10, 30)
    for name, normalised in (("plain", False), ("with batch norm", True)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            parts: list[torch.nn.Module] = []
            for n_in in (3, *[16] * 9):
                parts += [torch.nn.Conv2d(n_in, 16, 3, padding=1), *[torch.nn.BatchNorm2d(16)] * normalised]
                parts.append(torch.nn.ReLU())
            net = torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.Linear(16 * 64, 10))
        found = torch_net.profile(net, x, y)
        said = f"{found.verdict}, first over last {found.delta[0] / found.delta[-1]:.1e}"
        yield Case(f"ten ReLU convolutions of PyTorch, {name}", found.verdict == "healthy", said)


@settles(
    "belief-healthy-layers-arrive",
    statement="a healthy profile over the layers means that the gradient arrives",
    verdict="false",
    why="in recurrent layers it can be level from layer to layer and lost in time",
    page="practice/your-own-model",
    mark="a healthy profile over the layers means that the gradient arrives",
    held=(0, 2),
)
def _healthy_layers_arrive() -> Iterator[Case]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, cell in (("LSTM", torch.nn.LSTM), ("GRU", torch.nn.GRU)):
            layers = [cell(n, 32, batch_first=True, dtype=torch.float64) for n in (8, 32)]
            x = torch.randn(20, 50, 8, dtype=torch.float64, requires_grad=True)
            streams = [x]
            for layer in layers:
                streams.append(layer(streams[-1])[0])
            loss = streams[-1][:, -1].square().sum(-1).mean()
            by_stream = [g.norm(dim=-1).square().mean(0).sqrt() for g in torch.autograd.grad(loss, streams)]
            across = torch.log10(by_stream[1].norm() / by_stream[2].norm()).item()
            in_time = torch.log10(by_stream[0][0] / by_stream[0][-1]).item()
            said = (
                f"log10 from layer 2 to layer 1: {across:.1f}; from the last step's input to the first's: {in_time:.1f}"
            )
            yield Case(f"two layers of {name}, 50 steps", abs(across) > 2 or in_time > -2, said)


@settles(
    "belief-lower-the-step",
    statement="if the loss explodes, lower the step",
    verdict="conditional",
    why="cures a step too large for a healthy network, not weights that are too large",
    page="practice/clinic",
    mark="if the loss explodes, lower the step",
    held=(1, 2),
)
def _lower_the_step() -> Iterator[Case]:
    for name, variance in (("He", 2.0), ("twice He, nineteen hidden layers", 8.0)):
        spec = MLP((64, *[32] * (2 if variance == 2 else 19), 10), "relu")
        start = init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=3)
        reached = {lr: accuracy(spec, train(spec, start, 50, lr=lr)) for lr in (10.0, 0.3, 1e-5)}
        best = max(float(np.median(a)) for lr, a in reached.items() if lr < 10)
        said = f"accuracy {np.median(reached[10.0]):.2f} at step 10, at best {best:.2f} at steps 0.3 and 1e-5"
        yield Case(f"ReLU network, {name}", best > 0.6, said)
