"""The register of the zoo, and tasks that can be learnt from their inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

Made = tuple[nn.Module, Any, Any, Any]
ZOO: dict[str, Callable[[], Made]] = {}
CLASSES, VOCABULARY, LENGTH = 10, 96, 32


def entry(name: str, batch: Callable[[], tuple[Any, Any]], loss: Any = None) -> Callable:
    """Put a model into the zoo, with the batches that it is trained on."""

    def put(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        def make() -> Made:
            model = build()
            return (model, *batch(), loss)

        ZOO[name] = make
        return build

    return put


def images(n: int = 32, size: int = 32, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth prototype for each class, shifted and noisy."""
    g = torch.Generator().manual_seed(1)
    coarse = torch.randn(CLASSES, channels, 8, 8, generator=g)
    prototypes = F.interpolate(coarse, size=size, mode="bilinear")
    y = torch.randint(0, CLASSES, (n,))
    x = prototypes[y] + 0.3 * torch.randn(n, channels, size, size)
    return (x - x.mean()) / x.std(), y


def segments() -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels to be told apart by their colour."""
    x, _ = images(8)
    return x, x.argmax(1)


def copies() -> tuple[torch.Tensor, torch.Tensor]:
    """Images to be given back."""
    x, _ = images(16)
    return x, x


def vectors(n: int = 64, width: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes around points."""
    g = torch.Generator().manual_seed(2)
    centres = 1.5 * torch.randn(CLASSES, width, generator=g)
    y = torch.randint(0, CLASSES, (n,))
    x = centres[y] + torch.randn(n, width)
    return (x - x.mean(0)) / x.std(0), y


def values() -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth function."""
    x = torch.rand(256, 2) * 2 - 1
    return x, torch.stack([torch.sin(3 * x[:, 0]), x[:, 0] * x[:, 1]], 1)


def texts(n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Arithmetic sequences of tokens; the class is the step."""
    y = torch.randint(0, CLASSES, (n,))
    start = torch.randint(0, VOCABULARY, (n, 1))
    return (start + (y[:, None] + 1) * torch.arange(LENGTH)) % VOCABULARY, y


def words() -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of such a sequence."""
    x, _ = texts()
    return x[:, :-1], x[:, 1:]


def series(n: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy waves; the class is the frequency."""
    y = torch.randint(0, CLASSES, (n,))
    t = torch.linspace(0, 1, LENGTH)
    wave = torch.sin(2 * math.pi * (y[:, None] + 1) * t + torch.rand(n, 1) * 6)
    return torch.stack([wave, torch.roll(wave, 1, 1)], -1) + 0.1 * torch.randn(n, LENGTH, 2), y


def graphs(nodes: int = 24) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Features of nodes and a normalised adjacency; the class is of the neighbourhood."""
    x, y = vectors(nodes * 4, 16)
    near = (y[:, None] == y) & (torch.rand(len(y), len(y)) < 0.5) | torch.eye(len(y), dtype=torch.bool)
    near = (near | near.T).float()
    degree = near.sum(1).rsqrt()
    return (x, degree[:, None] * near * degree), y


def reconstruction(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean squared error."""
    return F.mse_loss(output, y)


def adversarial(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """What a generator minimises."""
    return F.binary_cross_entropy_with_logits(output, y)


def draw_normal(model: nn.Module, std: float = 0.02) -> nn.Module:
    """Weights as GPT-2 and BERT draw them."""
    for m in model.modules():
        if isinstance(m, nn.Linear | nn.Embedding | nn.Conv2d):
            nn.init.normal_(m.weight, std=std)
            if getattr(m, "bias", None) is not None:
                nn.init.zeros_(m.bias)
    return model


def draw_he(model: nn.Module) -> nn.Module:
    """He's scheme for all convolutions and matrices."""
    for m in model.modules():
        if isinstance(m, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
    return model
