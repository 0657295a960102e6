"""Scores of attention: how large they get, and how many places a query looks at. Of many rows a sample is read."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from gradclinic.instrument.readings import Attention

ROWS = 256  # rows of scores that are looked at
PLACES = 4  # fewer places to look at are no attention


def of_scores(z: torch.Tensor, arguments: tuple, options: dict, place: str) -> Attention | None:
    """What a softmax is given. Scores have a row for each query: heads before the two axes of places, or a square of
    them; a softmax over classes has neither."""
    axis = options.get("dim", arguments[1] if len(arguments) > 1 else -1)
    rows = z.ndim >= 4 or (z.ndim == 3 and z.shape[-1] == z.shape[-2])
    if not isinstance(axis, int) or not rows or axis % z.ndim != z.ndim - 1 or z.shape[-1] < PLACES:
        return None
    return read(z.detach().reshape(-1, z.shape[-1]), place)


def of_products(arguments: tuple, options: dict, place: str) -> Attention | None:
    """What ``scaled_dot_product_attention`` is given: scores of some heads and queries are formed again. Of a causal
    one the second half of the queries counts, which has enough to look at."""
    given = [*arguments, *(options[k] for k in ("query", "key") if k in options)]
    q, k = given[0].detach(), given[1].detach()
    if q.ndim < 3 or k.shape[-2] < PLACES or q.shape[:-2] != k.shape[:-2]:
        return None
    q, k = q.flatten(0, -3), k.flatten(0, -3)
    heads, step = max(1, len(q) // 8), max(1, q.shape[1] // (ROWS // 8))
    q, k = q[::heads, ::step].float(), k[::heads].float()
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
    if options.get("is_causal") or (len(arguments) > 5 and arguments[5]):
        at = torch.arange(0, q.shape[1], device=q.device) * step
        later = torch.arange(k.shape[1], device=q.device)[None] > at[:, None]
        scores = scores.masked_fill(later, -torch.inf)[:, q.shape[1] // 2 :]
    return read(scores.reshape(-1, scores.shape[-1]), place)


def of_module(module: nn.MultiheadAttention, q: torch.Tensor, k: torch.Tensor, place: str) -> Attention | None:
    """Scores of PyTorch's own module, which are formed inside a single function: again, for a few samples."""
    if q.ndim != 3 or k.ndim != 3:
        return None
    q, k = (t.detach()[:4] if module.batch_first else t.detach()[:, :4].transpose(0, 1) for t in (q, k))
    if k.shape[1] < PLACES:
        return None
    q, size = q[:, :: max(1, q.shape[1] // 64)], module.embed_dim
    if module.in_proj_weight is not None:
        weights = module.in_proj_weight.detach().split(size)[:2]
    else:
        weights = module.q_proj_weight.detach(), module.k_proj_weight.detach()
    biases = (None, None) if module.in_proj_bias is None else module.in_proj_bias.detach().split(size)[:2]
    parts = []
    for x, weight, shift in zip((q, k), weights, biases, strict=True):
        y = functional.linear(x.to(weight.dtype), weight, shift)
        parts.append(y.unflatten(-1, (module.num_heads, -1)).transpose(1, 2))
    scores = parts[0] @ parts[1].transpose(-1, -2) / module.head_dim**0.5
    return read(scores.reshape(-1, scores.shape[-1]), place)


def read(rows: torch.Tensor, place: str) -> Attention | None:
    """Largest score and mean entropy of rows of scores; masked places do not count, nor do rows with hardly any left.

    A constant added to a row changes nothing: scores are counted from the middle of their row.
    """
    rows = rows[:: max(1, len(rows) // ROWS)].float()
    seen = torch.isfinite(rows) & (rows > -1e4)
    most = seen.sum(-1)
    rows, seen, most = rows[most >= PLACES], seen[most >= PLACES], most[most >= PLACES]
    if not len(rows):
        return None
    weights = rows.masked_fill(~seen, -torch.inf).softmax(-1)
    entropy = torch.special.entr(weights).sum(-1) / most.log()
    middle = rows.masked_fill(~seen, 0).sum(-1, keepdim=True) / most[:, None]
    return Attention(place, (rows - middle).masked_fill(~seen, 0).abs().max(), entropy.mean())  # type: ignore[arg-type]
