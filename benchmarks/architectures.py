# ruff: noqa: D102, D107  # the docstring of a class says what its forward does
"""Some seventy architectures as people train them, written small: each as published, at its default initialisation.

``ZOO`` maps a name to a function that draws ``(model, x, y, loss)``; ``loss`` is ``None`` for softmax cross-entropy.
Every task can be learnt from its inputs. What is not written here comes from torchvision, timm and transformers where
they are installed (:func:`installed`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

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


# Tasks ---------------------------------------------------------------------------------------------------------------


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


# Convolutional networks -------------------------------------------------------------------------------------------


def conv(
    a: int, b: int, k: int = 3, s: int = 1, groups: int = 1, act: Any = nn.ReLU, norm: Any = nn.BatchNorm2d
) -> Any:
    """Convolution, normalisation, activation."""
    parts = [nn.Conv2d(a, b, k, s, k // 2, groups=groups, bias=norm is None)]
    parts += [norm(b)] if norm is not None else []
    return nn.Sequential(*parts, *([act()] if act is not None else []))


def head(width: int) -> nn.Sequential:
    """Mean over the image, one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


class Squeeze(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int, gate: Any = nn.Sigmoid) -> None:
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1), gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Skip(nn.Module):
    """``after(short(x) + scale * branch(x))``."""

    def __init__(self, branch: nn.Module, short: nn.Module | None = None, after: Any = None, scale: Any = None) -> None:
        super().__init__()
        self.branch, self.short = branch, short or nn.Identity()
        self.after = after or nn.Identity()
        self.scale = nn.Parameter(scale) if isinstance(scale, torch.Tensor) else scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.branch(x)
        return self.after(self.short(x) + (out if self.scale is None else self.scale * out))


def shortcut(a: int, b: int, s: int, norm: Any = nn.BatchNorm2d) -> nn.Module | None:
    """A projection where shapes differ."""
    return conv(a, b, 1, s, act=None, norm=norm) if a != b or s != 1 else None


def basic(a: int, b: int, s: int = 1, norm: Any = nn.BatchNorm2d, squeeze: bool = False) -> nn.Module:
    """ResNet's basic block."""
    parts = [conv(a, b, 3, s, norm=norm), conv(b, b, act=None, norm=norm), *([Squeeze(b)] if squeeze else [])]
    return Skip(nn.Sequential(*parts), shortcut(a, b, s, norm), nn.ReLU())


def bottleneck(a: int, b: int, s: int = 1, groups: int = 1) -> nn.Module:
    """ResNet's bottleneck."""
    mid = b // 4 if groups == 1 else b // 2
    parts = nn.Sequential(conv(a, mid, 1), conv(mid, mid, 3, s, groups), conv(mid, b, 1, act=None))
    return Skip(parts, shortcut(a, b, s), nn.ReLU())


def stages(
    block: Callable, depths: Sequence[int], widths: Sequence[int], stem: nn.Module, he: bool = True
) -> nn.Module:
    """Blocks in stages that halve the image, with a stem and a head."""
    parts, a = [stem], widths[0]
    for i, (depth, b) in enumerate(zip(depths, widths, strict=True)):
        for j in range(depth):
            parts.append(block(a, b, 2 if i and not j else 1))
            a = b
    model = nn.Sequential(*parts, head(a))
    return draw_he_fan_out(model) if he else model


def draw_he_fan_out(model: nn.Module) -> nn.Module:
    """Convolutions as torchvision's ResNets draw them."""
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return model


RESNETS: dict[str, Callable[[], nn.Module]] = {
    "resnet-18": lambda: stages(basic, (2, 2, 2, 2), (32, 64, 96, 128), conv(3, 32)),
    "resnet-50": lambda: stages(bottleneck, (3, 4, 6, 3), (64, 96, 128, 160), conv(3, 64)),
    "resnext": lambda: stages(partial(bottleneck, groups=8), (2, 3, 3), (64, 96, 128), conv(3, 64)),
    "wide-resnet": lambda: stages(basic, (2, 2), (96, 128), conv(3, 96)),
    "se-resnet": lambda: stages(partial(basic, squeeze=True), (2, 2, 2), (32, 64, 96), conv(3, 32)),
    "resnet-group-norm": lambda: stages(
        partial(basic, norm=partial(nn.GroupNorm, 8)),
        (2, 2, 2),
        (32, 64, 96),
        conv(3, 32, norm=partial(nn.GroupNorm, 8)),
    ),
    "resnet, large stem": lambda: stages(
        basic, (2, 2, 2), (32, 64, 96), nn.Sequential(conv(3, 32, 7, 2), nn.MaxPool2d(3, 2, 1))
    ),
    "resnet, defaults of PyTorch": lambda: stages(basic, (2, 2, 2), (32, 64, 96), conv(3, 32), he=False),
}
for _name, _build in RESNETS.items():
    entry(_name, images)(_build)


@entry("resnet, last norm of a branch at zero", images)
def _() -> nn.Module:
    model = RESNETS["resnet-18"]()
    for m in model.modules():
        if isinstance(m, Skip):
            nn.init.zeros_(m.branch[1][1].weight)
    return model


@entry("preactivation resnet", images)
def _() -> nn.Module:
    def block(a: int, b: int, s: int) -> nn.Module:
        branch = nn.Sequential(
            nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, b, 3, s, 1, bias=False),
            nn.BatchNorm2d(b), nn.ReLU(), nn.Conv2d(b, b, 3, 1, 1, bias=False),
        )  # fmt: skip
        return Skip(branch, nn.Conv2d(a, b, 1, s) if a != b else None)

    model = stages(block, (3, 3, 3), (32, 64, 96), nn.Conv2d(3, 32, 3, 1, 1))
    model[-1].insert(0, nn.Sequential(nn.BatchNorm2d(96), nn.ReLU()))
    return model


class Dense(nn.Module):
    """DenseNet's layer: what it makes is put beside what it got."""

    def __init__(self, a: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(a), nn.Conv2d(a, growth, 3, 1, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


@entry("densenet", images)
def _() -> nn.Module:
    parts: list[nn.Module] = [nn.Conv2d(3, 32, 3, 1, 1, bias=False)]
    width = 32
    for stage in range(3):
        for _ in range(6):
            parts.append(Dense(width, 12))
            width += 12
        if stage < 2:
            parts += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
            width //= 2
    return draw_he(nn.Sequential(*parts, nn.BatchNorm2d(width), nn.ReLU(), head(width)))


def inverted(a: int, b: int, s: int, act: Any = nn.ReLU6, squeeze: Any = None, grow: int = 4) -> nn.Module:
    """MobileNet's inverted residual."""
    mid = grow * a
    parts = [conv(a, mid, 1, act=act), conv(mid, mid, 3, s, mid, act=act)]
    parts += [Squeeze(mid, squeeze)] if squeeze else []
    branch = nn.Sequential(*parts, conv(mid, b, 1, act=None))
    return Skip(branch) if a == b and s == 1 else branch


MOBILE = {
    "mobilenet v2": (partial(inverted), nn.ReLU6),
    "mobilenet v3": (partial(inverted, act=nn.Hardswish, squeeze=nn.Hardsigmoid), nn.Hardswish),
    "efficientnet": (partial(inverted, act=nn.SiLU, squeeze=nn.Sigmoid), nn.SiLU),
    "mnasnet": (partial(inverted, act=nn.ReLU, grow=3), nn.ReLU),
}
for _name, (_block, _act) in MOBILE.items():
    entry(_name, images)(lambda block=_block, act=_act: stages(block, (2, 3, 3), (16, 24, 40), conv(3, 16, act=act)))


@entry("mobilenet v1", images)
def _() -> nn.Module:
    def block(a: int, b: int, s: int) -> nn.Module:
        return nn.Sequential(conv(a, a, 3, s, a), conv(a, b, 1))

    return stages(block, (3, 3, 3), (32, 64, 128), conv(3, 32))


class Shuffle(nn.Module):
    """ShuffleNet's unit: half of the channels goes through, then channels are mixed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.branch = nn.Sequential(conv(half, half, 1), conv(half, half, 3, 1, half, act=None), conv(half, half, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, 1)
        out = torch.stack([a, self.branch(b)], 2)
        return out.flatten(1, 2)


@entry("shufflenet", images)
def _() -> nn.Module:
    parts = [conv(3, 64, 3, 2), *(Shuffle(64) for _ in range(4)), conv(64, 96, 3, 2), *(Shuffle(96) for _ in range(4))]
    return nn.Sequential(*parts, conv(96, 128, 1), head(128))


@entry("vgg with batch norm", images)
def _() -> nn.Module:
    parts = []
    for a, b in ((3, 32), (32, 32), (32, 64), (64, 64), (64, 96), (96, 96)):
        parts += [conv(a, b), *([nn.MaxPool2d(2)] if a == b else [])]
    full = nn.Sequential(nn.Flatten(), nn.Linear(96 * 16, 128), nn.ReLU(), nn.Dropout(), nn.Linear(128, CLASSES))
    return draw_he(nn.Sequential(*parts, full))


@entry("lenet", partial(images, 32, 28, 1))
def _() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, CLASSES),
    )  # fmt: skip


@entry("alexnet, he", images)
def _() -> nn.Module:
    plain = partial(conv, norm=None)
    body = [plain(3, 48, 5, 2), nn.MaxPool2d(2), plain(48, 96), plain(96, 128), plain(128, 96), nn.MaxPool2d(2)]
    full = [nn.Flatten(), nn.Dropout(), nn.Linear(96 * 16, 256), nn.ReLU(), nn.Dropout(), nn.Linear(256, CLASSES)]
    return draw_he(nn.Sequential(*body, *full))


class Beside(nn.Module):
    """Branches put beside each other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


@entry("inception", images)
def _() -> nn.Module:
    def block(a: int, b: int, s: int) -> nn.Module:
        q = b // 4
        pool = nn.Sequential(nn.AvgPool2d(3, s, 1), conv(a, q, 1))
        return Beside(conv(a, q, 1, s), conv(a, q, 3, s), nn.Sequential(conv(a, q, 3, s), conv(q, q)), pool)

    return stages(block, (2, 2, 2), (32, 64, 128), conv(3, 32))


@entry("squeezenet", images)
def _() -> nn.Module:
    def fire(a: int, b: int, _: int) -> nn.Module:
        plain = partial(conv, norm=None)
        return nn.Sequential(plain(a, b // 4, 1), Beside(plain(b // 4, b // 2, 1), plain(b // 4, b // 2)))

    body = [conv(3, 64, 3, 2, norm=None), fire(64, 96, 1), fire(96, 96, 1), nn.MaxPool2d(2), fire(96, 128, 1)]
    return draw_he(
        nn.Sequential(*body, nn.Dropout(), nn.Conv2d(128, CLASSES, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )


class Several(nn.Module):
    """RepVGG's sum of a 3x3, a 1x1 and an identity branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = conv(width, width, act=None), conv(width, width, 1, act=None)
        self.c = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.a(x) + self.b(x) + self.c(x))


@entry("repvgg", images)
def _() -> nn.Module:
    parts = [conv(3, 48, 3, 2), *(Several(48) for _ in range(4)), conv(48, 96, 3, 2), *(Several(96) for _ in range(4))]
    return nn.Sequential(*parts, head(96))


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over channels that come first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def next_block(width: int) -> nn.Module:
    """ConvNeXt's block, with its scale of 1e-6."""
    branch = nn.Sequential(
        nn.Conv2d(width, width, 7, padding=3, groups=width), LayerNorm2d(width),
        nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, width, 1),
    )  # fmt: skip
    return Skip(branch, scale=1e-6 * torch.ones(width, 1, 1))


@entry("convnext", images)
def _() -> nn.Module:
    parts = [nn.Conv2d(3, 48, 4, 4), LayerNorm2d(48), *(next_block(48) for _ in range(3)), LayerNorm2d(48)]
    parts += [nn.Conv2d(48, 96, 2, 2), *(next_block(96) for _ in range(3)), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return draw_normal(nn.Sequential(*parts, nn.LayerNorm(96), nn.Linear(96, CLASSES)))


@entry("convmixer", images)
def _() -> nn.Module:
    def block() -> nn.Module:
        spatial = nn.Sequential(nn.Conv2d(64, 64, 5, padding=2, groups=64), nn.GELU(), nn.BatchNorm2d(64))
        return nn.Sequential(Skip(spatial), nn.Conv2d(64, 64, 1), nn.GELU(), nn.BatchNorm2d(64))

    stem = nn.Sequential(nn.Conv2d(3, 64, 4, 4), nn.GELU(), nn.BatchNorm2d(64))
    return nn.Sequential(stem, *(block() for _ in range(6)), head(64))


@entry("rezero, no normalisation", images)
def _() -> nn.Module:
    def block(a: int, b: int, s: int) -> nn.Module:
        branch = nn.Sequential(conv(a, b, 3, s, norm=None), conv(b, b, norm=None, act=None))
        return Skip(branch, nn.Conv2d(a, b, 1, s) if a != b else None, nn.ReLU(), torch.zeros(()))

    return stages(block, (3, 3), (32, 64), conv(3, 32, norm=None))


@entry("fixup", images)
def _() -> nn.Module:
    def block(a: int, b: int, s: int) -> nn.Module:
        branch = nn.Sequential(conv(a, b, 3, s, norm=None), conv(b, b, norm=None, act=None))
        return Skip(branch, nn.Conv2d(a, b, 1, s) if a != b else None, nn.ReLU())

    model = stages(block, (3, 3), (32, 64), conv(3, 32, norm=None))
    for m in model.modules():
        if isinstance(m, Skip):
            nn.init.zeros_(m.branch[1][0].weight)
            m.branch[0][0].weight.data /= 6**0.5
    nn.init.zeros_(model[-1][-1].weight)
    return model


class UNet(nn.Module):
    """Down, up, and across."""

    def __init__(self, out: int = 3, norm: Any = nn.BatchNorm2d, zero: bool = False, act: Any = nn.ReLU) -> None:
        super().__init__()
        both = partial(conv, norm=norm, act=act)
        self.a, self.b, self.c = both(3, 32), both(32, 64), both(64, 64)
        self.d, self.e = both(128, 32), both(64, 32)
        self.out = nn.Conv2d(32, out, 1)
        if zero:
            nn.init.zeros_(self.out.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.a(x)
        b = self.b(F.max_pool2d(a, 2))
        c = self.c(F.max_pool2d(b, 2))
        d = self.d(torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        return self.out(self.e(torch.cat([F.interpolate(d, scale_factor=2), a], 1)))


entry("unet", segments)(UNet)
entry("diffusion unet, output at zero", copies, reconstruction)(
    lambda: UNet(norm=partial(nn.GroupNorm, 8), zero=True, act=nn.SiLU)
)


@entry("convolutional autoencoder", copies, reconstruction)
def _() -> nn.Module:
    up = [nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 3, 4, 2, 1)]
    return draw_he(nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), *up))


class Quantised(nn.Module):
    """VQ-VAE: codes are looked up, the gradient goes straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 32, 4, 4), nn.ReLU(), nn.Conv2d(32, 16, 1))
        self.codes = nn.Embedding(64, 16)
        self.decode = nn.Sequential(nn.Conv2d(16, 32, 1), nn.ReLU(), nn.ConvTranspose2d(32, 3, 4, 4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.encode(x).permute(0, 2, 3, 1)
        q = self.codes(torch.cdist(z.detach().flatten(0, 2), self.codes.weight.detach()).argmin(1)).view_as(z)
        extra = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(z, q.detach())
        return self.decode((z + (q - z).detach()).permute(0, 3, 1, 2)), extra


entry("vq-vae", copies, lambda o, y: F.mse_loss(o[0], y) + o[1])(Quantised)


# Transformers --------------------------------------------------------------------------------------------------------


class RMSNorm(nn.Module):
    """Root mean square normalisation as LLaMA writes it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class Attend(nn.Module):
    """Self-attention; ``plain`` writes the softmax out, as older code does."""

    def __init__(
        self, width: int, heads: int = 4, causal: bool = False, plain: bool = False, scaled: bool = True
    ) -> None:
        super().__init__()
        self.heads, self.causal, self.plain, self.scaled = heads, causal, plain, scaled
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.plain:
            scores = q @ k.transpose(-1, -2) / (q.shape[-1] ** 0.5 if self.scaled else 1)
            if self.causal:
                later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
                scores = scores.masked_fill(later, -torch.inf)
            h = scores.softmax(-1) @ v
        else:
            h = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(h.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    """SwiGLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(width, 2 * width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


def mlp(width: int, act: Any = nn.GELU) -> nn.Module:
    """The feedforward part."""
    return nn.Sequential(nn.Linear(width, 4 * width), act(), nn.Linear(4 * width, width))


def pre(
    width: int, norm: Any = nn.LayerNorm, scale: float | None = None, inner: Any = mlp, **options: Any
) -> nn.Module:
    """Norm before each part, stream beside it."""
    gains = [None if scale is None else torch.full((width,), scale) for _ in range(2)]
    a = Skip(nn.Sequential(norm(width), Attend(width, **options)), scale=gains[0])
    return nn.Sequential(a, Skip(nn.Sequential(norm(width), inner(width)), scale=gains[1]))


def post(width: int, **options: Any) -> nn.Module:
    """Norm after each sum."""
    a = Skip(Attend(width, **options), after=nn.LayerNorm(width))
    return nn.Sequential(a, Skip(mlp(width), after=nn.LayerNorm(width)))


class Tokens(nn.Module):
    """Embeddings of tokens and places, blocks, a norm; logits of each place or of the whole."""

    def __init__(self, blocks: Sequence[nn.Module], width: int = 64, final: Any = nn.LayerNorm, **options: Any) -> None:
        super().__init__()
        self.tied, self.whole = options.get("tied", False), options.get("whole", False)
        self.embed, self.place = nn.Embedding(VOCABULARY, width), nn.Embedding(LENGTH, width)
        self.first = nn.LayerNorm(width) if options.get("first") else nn.Identity()
        self.blocks = nn.ModuleList(blocks)
        self.norm = final(width) if final else nn.Identity()
        self.out = nn.Linear(width, CLASSES if self.whole else VOCABULARY, bias=False)
        if self.tied:
            self.out.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.first(self.embed(ids) + self.place.weight[: ids.shape[1]])
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.out(x.mean(1) if self.whole else x)


entry("gpt-2", words)(lambda: draw_normal(Tokens([pre(64, causal=True) for _ in range(6)], tied=True)))
entry("gpt-2, softmax written out", words)(
    lambda: draw_normal(Tokens([pre(64, causal=True, plain=True) for _ in range(4)], tied=True))
)
entry("llama", words)(
    lambda: draw_normal(Tokens([pre(64, RMSNorm, inner=Gated, causal=True) for _ in range(6)], final=RMSNorm))
)
entry("t5 encoder", texts)(lambda: Tokens([pre(64, RMSNorm, plain=True) for _ in range(4)], final=RMSNorm, whole=True))
entry("bert", texts)(lambda: draw_normal(Tokens([post(64) for _ in range(4)], final=None, first=True, whole=True)))
entry("electra, post-norm, softmax written out", texts)(
    lambda: draw_normal(Tokens([post(64, plain=True) for _ in range(6)], final=None, first=True, whole=True))
)
entry("gpt-neox, defaults of PyTorch", words)(lambda: Tokens([pre(64, causal=True) for _ in range(6)]))


@entry("albert, one block six times", texts)
def _() -> nn.Module:
    block = post(64)
    return draw_normal(Tokens([block] * 6, final=None, first=True, whole=True))


class Experts(nn.Module):
    """A mixture of experts that sends each token to one of four."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.route, self.experts = nn.Linear(width, 4), nn.ModuleList(mlp(width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        share, best = self.route(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            rows = best == i
            if rows.any():
                out[rows] = share[rows][:, None] * expert(x[rows])
        return out


entry("mixture of experts", words)(lambda: draw_normal(Tokens([pre(64, inner=Experts, causal=True) for _ in range(4)])))


class LoRA(nn.Module):
    """A frozen matrix and two small ones beside it, the second at zero."""

    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a, self.b = nn.Linear(base.in_features, rank, bias=False), nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + 2 * self.b(self.a(x))


@entry("lora on a frozen gpt-2", words)
def _() -> nn.Module:
    model = draw_normal(Tokens([pre(64, causal=True) for _ in range(4)])).requires_grad_(False)
    for m in list(model.modules()):
        if isinstance(m, Attend):
            m.qkv, m.out = LoRA(m.qkv), LoRA(m.out)
    return model


class Pictures(nn.Module):
    """Patches as tokens."""

    def __init__(self, blocks: Sequence[nn.Module], width: int = 64, zero: bool = False, cls: bool = False) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, width)) if cls else None
        self.place = nn.Parameter(0.02 * torch.randn(1, 64 + cls, width))
        self.blocks, self.norm, self.out = nn.Sequential(*blocks), nn.LayerNorm(width), nn.Linear(width, CLASSES)
        if zero:
            nn.init.zeros_(self.out.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patch(x).flatten(2).transpose(1, 2)
        if self.cls is not None:
            h = torch.cat([self.cls.expand(len(h), -1, -1), h], 1)
        h = self.norm(self.blocks(h + self.place))
        return self.out(h[:, 0] if self.cls is not None else h.mean(1))


class Across(nn.Module):
    """A function over the tokens instead of the channels."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


class Affine(nn.Module):
    """ResMLP's stand-in for a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x + self.bias


class Spatial(nn.Module):
    """gMLP's gate over places, which starts as 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down, self.norm = (
            nn.Linear(width, 4 * width),
            nn.Linear(2 * width, width),
            nn.LayerNorm(2 * width),
        )
        self.mix = nn.Linear(64, 64)
        nn.init.normal_(self.mix.weight, std=1e-6)
        nn.init.ones_(self.mix.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = F.gelu(self.up(x)).chunk(2, -1)
        return self.down(a * self.mix(self.norm(b).transpose(1, 2)).transpose(1, 2))


def mixer_block(width: int) -> nn.Module:
    """MLP-Mixer's block."""
    tokens = nn.Sequential(nn.LayerNorm(width), Across(nn.Sequential(nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 64))))
    return nn.Sequential(Skip(tokens), Skip(nn.Sequential(nn.LayerNorm(width), mlp(width))))


def resmlp_block(width: int) -> nn.Module:
    """ResMLP's block, with its scale of 0.1."""
    gains = [torch.full((width,), 0.1) for _ in range(2)]
    tokens = Skip(nn.Sequential(Affine(width), Across(nn.Linear(64, 64))), scale=gains[0])
    return nn.Sequential(tokens, Skip(nn.Sequential(Affine(width), mlp(width)), scale=gains[1]))


def pool_block(width: int) -> nn.Module:
    """PoolFormer's block."""
    tokens = Skip(nn.Sequential(nn.LayerNorm(width), Across(nn.AvgPool1d(3, 1, 1))), scale=torch.full((width,), 1e-5))
    return nn.Sequential(tokens, Skip(nn.Sequential(nn.LayerNorm(width), mlp(width)), scale=torch.full((width,), 1e-5)))


entry("vit", images)(lambda: Pictures([pre(64) for _ in range(6)], cls=True))
entry("vit, head at zero", images)(lambda: draw_normal(Pictures([pre(64) for _ in range(6)])).apply(
    lambda m: nn.init.zeros_(m.out.weight) if isinstance(m, Pictures) else None
))  # fmt: skip
entry("deit iii", images)(lambda: draw_normal(Pictures([pre(64, scale=1e-4) for _ in range(6)], cls=True)))
entry("cait", images)(lambda: draw_normal(Pictures([pre(64, scale=1e-5, plain=True) for _ in range(6)])))
entry("mlp-mixer, head at zero", images)(lambda: Pictures([mixer_block(64) for _ in range(6)], zero=True))
entry("resmlp", images)(lambda: Pictures([resmlp_block(64) for _ in range(6)]))
entry("gmlp", images)(lambda: Pictures([Skip(nn.Sequential(nn.LayerNorm(64), Spatial(64))) for _ in range(6)]))
entry("poolformer", images)(lambda: draw_normal(Pictures([pool_block(64) for _ in range(6)])))


class Conditioned(nn.Module):
    """DiT's block: shift, scale and gate from a condition, all at zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.attend, self.inner = nn.LayerNorm(width, elementwise_affine=False), Attend(width), mlp(width)
        self.condition = nn.Linear(width, 4 * width)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c, d = self.condition(F.silu(x.mean(1, keepdim=True))).chunk(4, -1)
        x = x + a * self.attend(self.norm(x) * (1 + b))
        return x + c * self.inner(self.norm(x) * (1 + d))


entry("dit", images)(lambda: Pictures([Conditioned(64) for _ in range(4)], zero=True))


class Stock(nn.Module):
    """PyTorch's own encoder, or encoder and decoder."""

    def __init__(self, first: bool = False, both: bool = False) -> None:
        super().__init__()
        self.embed, self.both = nn.Embedding(VOCABULARY, 64), both
        if both:
            self.body: nn.Module = nn.Transformer(64, 4, 2, 2, 128, batch_first=True)
        else:
            layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, norm_first=first)
            self.body = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.out = nn.Linear(64, CLASSES)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        return self.out((self.body(x, x) if self.both else self.body(x)).mean(1))


entry("nn.TransformerEncoder", texts)(Stock)
entry("nn.TransformerEncoder, norm first", texts)(partial(Stock, first=True))
entry("nn.Transformer", texts)(partial(Stock, both=True))


# Recurrent networks and convolutions through time --------------------------------------------------------------------


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


# Fully connected and others ----------------------------------------------------------------------------------------


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


# Installed ones ------------------------------------------------------------------------------------------------------


def installed() -> tuple[dict[str, Callable[[], Made]], list[str]]:
    """Models of torchvision, timm and transformers, and which of these are not there."""
    found: dict[str, Callable[[], Made]] = {}
    missing = []
    try:
        from torchvision import models

        names = ("resnet50", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "mnasnet1_0")
        for name in (*names, "regnet_y_400mf", "shufflenet_v2_x1_0", "convnext_tiny", "swin_t"):
            build = getattr(models, name)
            found[f"torchvision {name}"] = lambda build=build: (build(num_classes=CLASSES), *images(8, 96), None)
    except (ImportError, RuntimeError, OSError) as error:
        missing.append(f"torchvision ({type(error).__name__})")
    try:
        import timm

        for name in (
            "vit_tiny_patch16_224",
            "mixer_s32_224",
            "resmlp_12_224",
            "cait_xxs24_224",
            "deit3_small_patch16_224",
        ):
            found[f"timm {name}"] = lambda name=name: (
                timm.create_model(name, num_classes=CLASSES),
                *images(4, 224),
                None,
            )
    except (ImportError, RuntimeError, OSError) as error:
        missing.append(f"timm ({type(error).__name__})")
    return found, missing
