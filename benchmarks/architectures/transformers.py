# ruff: noqa: D102, D107  # the docstring of a class says what its forward does
"""Transformers, and what mixes tokens without attention."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from architectures.convolutional import Skip
from architectures.tasks import (
    CLASSES,
    LENGTH,
    VOCABULARY,
    draw_normal,
    entry,
    images,
    texts,
    words,
)


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
