"""How far the weights of a recurrent layer drive its gates into saturation."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from gradclinic.instrument.catalogue import LARGEST_SLOPES, SLOPE_SHARE
from gradclinic.instrument.torch.measure import SLOPES

SAMPLES, STEPS = 8, 16  # of a batch of sequences


def saturated(module: nn.RNNBase, x: torch.Tensor) -> torch.Tensor | None:
    """Share of the entries of gates and candidates whose slope is below 5 % of the largest; of the first layer, in its
    forward direction, from a state of 0, for a few samples and steps.

    The state is the layer's own, biases included, but the slope is taken at what weights alone make of input and
    state: a gate that its bias holds open or shut (forget gates that start at 1, chrono initialisation) is meant so.
    ``x``: ``(time, batch, n)``, ``(batch, time, n)`` or ``(time, n)``, as the module takes it. ``None`` for a ReLU.
    """
    kind = module.mode
    if kind not in ("LSTM", "GRU", "RNN_TANH"):
        return None
    x = x.detach()
    x = x[:, None] if x.ndim == 2 else x.transpose(0, 1) if module.batch_first else x
    x = x[:STEPS, :SAMPLES]
    own: Any = module  # PyTorch declares no weights
    into, back = own.weight_ih_l0.detach(), own.weight_hh_l0.detach()
    nothing = torch.zeros_like(into[:, 0])
    shift = (own.bias_ih_l0.detach(), own.bias_hh_l0.detach()) if module.bias else (nothing, nothing)
    h, c = x.new_zeros(x.shape[1], back.shape[1]), x.new_zeros(x.shape[1], module.hidden_size)
    found = []
    for at in x:
        a, b = at @ into.T, h @ back.T
        if kind == "RNN_TANH":
            found.append(_flat("tanh", a + b))
            h = torch.tanh(a + b + shift[0] + shift[1])
        elif kind == "LSTM":
            i, f, g, o = (a + b).chunk(4, -1)
            found += [_flat("sigmoid", torch.cat([i, f, o], -1)), _flat("tanh", g)]
            i, f, g, o = (a + b + shift[0] + shift[1]).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            if module.proj_size:
                h = functional.linear(h, own.weight_hr_l0.detach())
        else:
            # r, z, n: reset, update and new, as PyTorch's formulas call them
            (ra, za, na), (rb, zb, nb) = a.chunk(3, -1), b.chunk(3, -1)
            (rs, zs, ns), (rt, zt, nt) = (s.chunk(3, -1) for s in shift)
            reset, keep = (ra + rb + rs + rt).sigmoid(), (za + zb + zs + zt).sigmoid()
            found += [_flat("sigmoid", torch.cat([ra + rb, za + zb], -1)), _flat("tanh", na + reset * nb)]
            h = (1 - keep) * (na + ns + reset * (nb + nt)).tanh() + keep * h
    return torch.cat(found).mean()


def _flat(name: str, z: torch.Tensor) -> torch.Tensor:
    return (SLOPES[name](z) < SLOPE_SHARE * LARGEST_SLOPES[name]).flatten().double()
