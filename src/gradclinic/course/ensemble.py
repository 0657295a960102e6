"""Many networks trained side by side: rules that treat each member of an ensemble as if it were alone.

Parameters carry the ensemble as their first axis, ``(E, ...)``. A framework's own clipping would take one norm over all
members, and its Muon one matrix; both are written here once, for every experiment of the course. Rules that act entry
by entry, like Adam, need nothing: the framework's own are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic that :func:`orthogonalized` iterates (Jordan et al. 2024)."""


def per_member(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``values`` ``(E,)``, shaped so that each multiplies its own member of ``like`` ``(E, ...)``."""
    return values.view(-1, *[1] * (like.ndim - 1))


def global_norm(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """L2 norm of each member's whole gradient, ``(E,)``; ``gradients``: one tensor ``(E, ...)`` per parameter."""
    return torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()


def clip(gradients: Sequence[torch.Tensor], largest: float) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Scale each member's whole gradient to a global norm of at most ``largest`` (Pascanu et al. 2013, algorithm 1).

    Returns the gradients and, ``(E,)``, which members were scaled. A member whose norm is infinite is multiplied by 0,
    one whose norm is no number by no number: clipping cannot invent a direction.
    """
    scale = (largest / global_norm(gradients)).clamp(max=1.0)
    return [gradient * per_member(scale, gradient) for gradient in gradients], scale < 1


def orthogonalized(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    r"""Singular values of each matrix moved towards 1, singular vectors kept: ``(..., n_out, n_in)`` -> the same.

    The Newton-Schulz iteration of Muon (Jordan et al. 2024): divided by its Frobenius norm, then ``steps`` times
    :math:`X \leftarrow aX + (bA + cA^2)X` with :math:`A = XX^T`, which maps every singular value by
    :math:`s \mapsto as + bs^3 + cs^5`. After five steps they lie between about 0.7 and 1.2 and do not settle at 1:
    the coefficients are chosen for a steep start. ``torch.optim.Muon`` computes the same in bfloat16, one matrix at a
    time.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.flatten(-2).norm(dim=-1).clamp(min=1e-7)[..., None, None]
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    r"""Orthogonalised momentum for the matrices of an ensemble, each ``(E, n_out, n_in)`` (Jordan et al. 2024).

    One step: :math:`M \leftarrow \mu M + (1-\mu) G`, :math:`W \leftarrow W - \eta r O`, where :math:`O` is
    :func:`orthogonalized` :math:`(1-\mu) G + \mu M` (Nesterov's look-ahead) and :math:`r = 0.2\sqrt{\max(n_{out},
    n_{in})}`. That factor gives the step the root mean square of Adam's, so that one rate serves for both (Liu et al.
    2025; ``adjust_lr_fn="match_rms_adamw"`` in ``torch.optim.Muon``). No weight decay.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float, momentum: float = 0.95) -> None:
        """``lr``: the rate of all members. ``ValueError`` for a parameter that is no matrix for each member."""
        super().__init__(params, {"lr": lr, "momentum": momentum})
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 3:
                    raise ValueError(f"params: got shape {tuple(p.shape)}, wanted (members, n_out, n_in)")

    @torch.no_grad()
    def step(self) -> None:
        """Move every matrix by its ``.grad``."""
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                average = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                direction = orthogonalized(p.grad.lerp(average, group["momentum"]))
                p.add_(direction, alpha=-group["lr"] * 0.2 * math.sqrt(max(p.shape[-2:])))
