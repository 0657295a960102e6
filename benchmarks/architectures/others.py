# ruff: noqa: D102, D107  # the docstring of a class says what its forward does
"""Recurrent networks, fully connected ones, and others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from architectures.convolutional import Skip
from architectures.tasks import (
    CLASSES,
    VOCABULARY,
    ZOO,
    Made,
    adversarial,
    draw_he,
    entry,
    graphs,
    reconstruction,
    series,
    texts,
    values,
    vectors,
    words,
)
from architectures.transformers import pre


class Recurrent(nn.Module):
    """Embedding or features, a recurrent layer, the last state or the mean."""

    def __init__(self, kind: Any, tokens: bool = True, mean: bool = False, each: bool = False, **options: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 32) if tokens else nn.Identity()
        self.body = kind(32 if tokens else 2, 48, batch_first=True, **options)
        width = 96 if options.get("bidirectional") else 48
        self.out, self.mean, self.each = nn.Linear(width, VOCABULARY if each else CLASSES), mean, each

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(self.embed(x))[0]
        return self.out(h if self.each else h.mean(1) if self.mean else h[:, -1])


entry("lstm classifier, mean of both directions", texts)(
    partial(Recurrent, nn.LSTM, mean=True, num_layers=2, bidirectional=True)
)
entry("gru classifier", series)(partial(Recurrent, nn.GRU, tokens=False, mean=True))
entry("lstm language model", words)(partial(Recurrent, nn.LSTM, each=True, num_layers=2, dropout=0.1))
entry("gru language model", words)(partial(Recurrent, nn.GRU, each=True))


class Wave(nn.Module):
    """WaveNet's gated, dilated convolutions with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Conv1d(2, 32, 1), nn.Linear(32, CLASSES)
        self.gates = nn.ModuleList(nn.Conv1d(32, 64, 3, padding=2**i, dilation=2**i) for i in range(5))
        self.mixes = nn.ModuleList(nn.Conv1d(32, 64, 1) for _ in range(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, total = self.first(x.transpose(1, 2)), 0
        for gate, mix in zip(self.gates, self.mixes, strict=True):
            a, b = gate(h).chunk(2, 1)
            stay, leave = mix(torch.tanh(a) * torch.sigmoid(b)).chunk(2, 1)
            h, total = h + stay, total + leave
        return self.out(F.relu(total).mean(-1))


entry("wavenet", series)(Wave)


@entry("tcn with weight norm", series)
def _() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            norm = parametrizations.weight_norm
            self.parts = nn.ModuleList(
                norm(nn.Conv1d(2 if i == 0 else 32, 32, 3, padding=2**i, dilation=2**i)) for i in range(4)
            )
            self.out = nn.Linear(32, CLASSES)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x.transpose(1, 2)
            for i, part in enumerate(self.parts):
                h = F.relu(part(h)) + (h if i else 0)
            return self.out(h.mean(-1))

    return Net()


def chain(widths: Sequence[int], act: Any = nn.ReLU, norm: Any = None) -> nn.Sequential:
    """Linear layers with a norm before the activation."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths[:-1]):
        parts += [nn.Linear(a, b), *([norm(b)] if norm else []), act()]
    return nn.Sequential(*parts, nn.Linear(widths[-2], widths[-1]))


def scaled(model: nn.Module, gain: float) -> nn.Module:
    """Weights normal with variance ``gain^2 / fan_in``."""
    for m in model.modules():
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=gain / m.in_features**0.5)
            nn.init.zeros_(m.bias)
    return model


DEEP = (20, *(128,) * 10, CLASSES)
entry("mlp, he, 11 layers", vectors)(lambda: draw_he(chain(DEEP)))
entry("mlp, defaults, 3 layers", vectors)(lambda: chain((20, 128, 128, CLASSES)))
entry("mlp, tanh", vectors)(lambda: scaled(chain((20, 128, 128, 128, CLASSES), nn.Tanh), 1.0))
entry("mlp, sigmoid, 2 layers", vectors)(lambda: chain((20, 64, CLASSES), nn.Sigmoid))
entry("mlp, batch norm, 11 layers", vectors)(lambda: chain(DEEP, norm=nn.BatchNorm1d))
entry("mlp, layer norm, 11 layers", vectors)(lambda: chain(DEEP, norm=nn.LayerNorm))
entry("selu network", vectors)(lambda: scaled(chain(DEEP, nn.SELU), 1.0))
entry("mlp, leaky relu, he", vectors)(lambda: draw_he(chain(DEEP, nn.LeakyReLU)))


@entry("policy, orthogonal, small head", vectors)
def _() -> nn.Module:
    model = chain((20, 64, 64, CLASSES), nn.Tanh)
    for m in model[:-1]:
        if isinstance(m, nn.Linear):
            nn.init.orthogonal_(m.weight, 2**0.5)
    nn.init.orthogonal_(model[-1].weight, 0.01)
    return model


@entry("mlp with weight norm", vectors)
def _() -> nn.Module:
    model = draw_he(chain((20, 128, 128, 128, CLASSES)))
    for m in model:
        if isinstance(m, nn.Linear):
            parametrizations.weight_norm(m)
    return model


@entry("critic with spectral norm", vectors)
def _() -> nn.Module:
    parts = [parametrizations.spectral_norm(nn.Linear(a, b)) for a, b in ((20, 64), (64, 64), (64, CLASSES))]
    return nn.Sequential(parts[0], nn.LeakyReLU(0.2), parts[1], nn.LeakyReLU(0.2), parts[2])


@entry("tabular resnet", vectors)
def _() -> nn.Module:
    def block() -> nn.Module:
        return Skip(
            nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 64))
        )

    return nn.Sequential(
        nn.Linear(20, 64), *(block() for _ in range(4)), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, CLASSES)
    )


class Features(nn.Module):
    """FT-Transformer: each number is a token."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(20, 32) / 6), nn.Parameter(torch.zeros(20, 32))
        self.body, self.norm, self.out = (
            nn.Sequential(*(pre(32) for _ in range(3))),
            nn.LayerNorm(32),
            nn.Linear(32, CLASSES),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.body(x[..., None] * self.weight + self.bias).mean(1)))


entry("ft-transformer", vectors)(Features)


class Highway(nn.Module):
    """A gate between the layer and its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        share = torch.sigmoid(self.gate(x))
        return share * F.relu(self.layer(x)) + (1 - share) * x


entry("highway network", vectors)(
    lambda: nn.Sequential(nn.Linear(20, 64), *(Highway(64) for _ in range(10)), nn.Linear(64, CLASSES))
)


class Sets(nn.Module):
    """DeepSets and PointNet: a function of each point, then a maximum or mean."""

    def __init__(self, maximum: bool) -> None:
        super().__init__()
        self.each, self.whole, self.maximum = chain((2, 64, 64, 64)), chain((64, 64, CLASSES)), maximum

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.each(x))
        return self.whole(h.amax(1) if self.maximum else h.mean(1))


entry("deep sets", series)(partial(Sets, maximum=False))
entry("pointnet", series)(partial(Sets, maximum=True))


class Convolved(nn.Module):
    """Graph convolution, or attention over the neighbours."""

    def __init__(self, attention: bool) -> None:
        super().__init__()
        self.a, self.b, self.attention = nn.Linear(16, 64), nn.Linear(64, CLASSES), attention
        self.source, self.target = nn.Linear(64, 1), nn.Linear(64, 1)

    def forward(self, x: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        if self.attention:
            scores = F.leaky_relu(self.source(h) + self.target(h).T, 0.2)
            near = scores.masked_fill(near == 0, -torch.inf).softmax(-1)
        return near @ self.b(F.elu(near @ h))


entry("graph convolution", graphs)(partial(Convolved, attention=False))
entry("graph attention", graphs)(partial(Convolved, attention=True))


class Sine(nn.Module):
    """SIREN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(30 * x)


@entry("siren", values, reconstruction)
def _() -> nn.Module:
    model = chain((2, 64, 64, 64, 2), Sine)
    for i, m in enumerate(m for m in model if isinstance(m, nn.Linear)):
        bound = 1 / 2 if i == 0 else (6 / m.in_features) ** 0.5 / 30
        nn.init.uniform_(m.weight, -bound, bound)
    return model


class Radiance(nn.Module):
    """NeRF: waves of the place, eight layers, the input again in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = draw_he(chain((24, 64, 64, 64, 64))), draw_he(chain((88, 64, 64, 64, 2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        waves = torch.cat([f(2.0**k * math.pi * x) for k in range(6) for f in (torch.sin, torch.cos)], 1)
        return self.second(torch.cat([waves, F.relu(self.first(waves))], 1))


entry("nerf", values, reconstruction)(Radiance)


class Physics(nn.Module):
    """A network that is differentiated in its own forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.net = scaled(chain((2, 32, 32, 32, 1), nn.Tanh), 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_()
        u = self.net(x)
        return torch.autograd.grad(u.sum(), x, create_graph=True)[0] + u


entry("pinn", values, reconstruction)(Physics)


class Variational(nn.Module):
    """A VAE of vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = chain((20, 64, 16)), chain((8, 64, 20))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, spread = self.encode(x).chunk(2, -1)
        z = mean + torch.randn_like(mean) * (spread / 2).exp()
        return self.decode(z), 0.5 * (mean.square() + spread.exp() - spread - 1).sum(1).mean()


entry("vae", lambda: (vectors()[0],) * 2, lambda o, y: F.mse_loss(o[0], y) + 0.1 * o[1])(Variational)


class Towers(nn.Module):
    """Two encoders and a temperature: contrastive learning."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.heat = chain((20, 64, 32)), chain((20, 64, 32)), nn.Parameter(torch.tensor(2.66))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = F.normalize(self.a(x), dim=-1), F.normalize(self.b(x + 0.1 * torch.randn_like(x)), dim=-1)
        return self.heat.exp() * a @ b.T


entry("two towers, contrastive", lambda: (vectors()[0], torch.arange(64)))(Towers)


class Recommend(nn.Module):
    """DLRM: tables, a network of numbers, products of all pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(VOCABULARY, 16) for _ in range(4))
        self.bottom, self.top = chain((20, 64, 16)), chain((10 + 16, 64, CLASSES))

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        first = self.bottom(x)
        parts = torch.stack([first, *(table(ids[:, i]) for i, table in enumerate(self.tables))], 1)
        rows, columns = torch.triu_indices(5, 5, 1)
        return self.top(torch.cat([first, (parts @ parts.transpose(1, 2))[:, rows, columns]], 1))


def _recommended() -> Made:
    x, y = vectors()
    return Recommend(), (x, torch.randint(0, VOCABULARY, (64, 4))), y, None


ZOO["dlrm"] = _recommended


class Stepped(nn.Module):
    """A neural ODE: one function, eight Euler steps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.flow, self.out = nn.Linear(20, 32), chain((32, 64, 32), nn.Tanh), nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        for _ in range(8):
            h = h + self.flow(h) / 8
        return self.out(h)


entry("neural ode", vectors)(Stepped)


@entry("dcgan generator and discriminator as one loss", lambda: (torch.randn(16, 32), torch.ones(16, 1)), adversarial)
def _() -> nn.Module:
    up = [nn.Unflatten(1, (32, 1, 1)), nn.ConvTranspose2d(32, 64, 4), nn.BatchNorm2d(64), nn.ReLU()]
    up += [
        nn.ConvTranspose2d(64, 32, 4, 2, 1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 3, 4, 2, 1),
        nn.Tanh(),
    ]
    down = [
        nn.Conv2d(3, 32, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, 2, 1),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2),
    ]
    return nn.Sequential(*up, *down, nn.Flatten(), nn.Linear(64 * 16, 1))
