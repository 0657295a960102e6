from __future__ import annotations

import numpy as np
import pytest
import torch

from gradclinic.course import ensemble


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.as_tensor(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


def test_each_member_is_clipped_as_the_framework_clips_it_alone():
    scales = torch.tensor([1e-3, 1.0, 100.0], dtype=torch.float64)
    gradients = [ensemble.per_member(scales, g) * g for g in (drawn(3, 4, 5), drawn(3, 4, seed=1))]
    clipped, scaled = ensemble.clip(gradients, 2.0)
    assert scaled.tolist() == [False, True, True]
    for member in range(3):
        alone = [torch.nn.Parameter(torch.zeros_like(g[member])) for g in gradients]
        for p, g in zip(alone, gradients, strict=True):
            p.grad = g[member].clone()
        torch.nn.utils.clip_grad_norm_(alone, 2.0)
        for p, g in zip(alone, clipped, strict=True):
            torch.testing.assert_close(g[member], p.grad, rtol=1e-6, atol=0)


def test_clipping_cannot_invent_a_direction_and_leaves_the_other_members_alone():
    gradients = [torch.tensor([[3.0, 4.0], [torch.inf, 1.0], [torch.nan, 1.0]])]
    (clipped,), _ = ensemble.clip(gradients, 1.0)
    assert clipped[0].tolist() == pytest.approx([0.6, 0.8])
    assert clipped[1, 1] == 0
    assert clipped[1, 0].isnan()
    assert clipped[2].isnan().all()


@pytest.mark.parametrize("shape", [(3, 6, 4), (3, 4, 6), (5, 5)])
def test_orthogonalizing_maps_singular_values_by_the_quintic_and_keeps_the_vectors(shape):
    matrices = drawn(*shape)
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    s = s / s.norm(dim=-1, keepdim=True)
    a, b, c = ensemble.NEWTON_SCHULZ
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    torch.testing.assert_close(ensemble.orthogonalized(matrices), u @ torch.diag_embed(s) @ vh)
    assert s.min() > 0.5
    assert s.max() < 1.3


def test_a_matrix_of_zeros_is_left_at_zero():
    assert not ensemble.orthogonalized(torch.zeros(2, 3, 3)).any()


def test_muon_moves_each_member_as_the_frameworks_own_does():
    start, gradients = drawn(2, 8, 6), [drawn(2, 8, 6, seed=seed) for seed in range(1, 5)]
    together = torch.nn.Parameter(start.clone())
    rule = ensemble.Muon([together], lr=0.1)
    alone = [torch.nn.Parameter(start[member].clone()) for member in range(2)]
    own = torch.optim.Muon(alone, lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        together.grad = gradient
        for member, p in enumerate(alone):
            p.grad = gradient[member]
        rule.step()
        own.step()
    moved = together.detach() - start
    for member, p in enumerate(alone):
        wanted = p.detach() - start[member]
        # the framework iterates in bfloat16, eight bits: a per cent or two of the step
        assert (moved[member] - wanted).norm() < 0.03 * wanted.norm()


def test_a_step_does_not_depend_on_how_many_members_there_are():
    start, gradient = torch.zeros(50, 4, 3).double(), drawn(50, 4, 3)
    many, alone = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start[:1].clone())
    many.grad, alone.grad = gradient.clone(), gradient[:1].clone()
    for p in (many, alone):
        ensemble.Muon([p], lr=0.1).step()
    torch.testing.assert_close(many.detach()[0], alone.detach()[0])


def test_a_step_of_muon_has_the_size_of_adams():
    p = torch.nn.Parameter(torch.zeros(1, 32, 32, dtype=torch.float64))
    p.grad = 1e-6 * drawn(1, 32, 32)
    ensemble.Muon([p], lr=1.0).step()
    assert p.detach().square().mean().sqrt() == pytest.approx(0.2, rel=0.15)
    with pytest.raises(ValueError, match=r"params: got shape \(3,\)"):
        ensemble.Muon([torch.nn.Parameter(torch.zeros(3))], lr=1.0)
