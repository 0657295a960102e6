from __future__ import annotations

import numpy as np
import pytest
import torch

from gradclinic import clip

G = [np.array([3.0, -4.0]), np.array([[12.0]])]  # norms 5 and 12, together 13


def test_by_value_limits_entries_and_turns_the_gradient():
    a, b = clip.by_value(G, 3.5)
    np.testing.assert_array_equal(a, [3.0, -3.5])
    np.testing.assert_array_equal(b, [[3.5]])


def test_by_norm_limits_each_array():
    a, b = clip.by_norm(G, 6.0)
    np.testing.assert_array_equal(a, G[0])
    np.testing.assert_allclose(b, [[6.0]])


@pytest.mark.parametrize("limit", [1.0, 6.5, 13.0, 100.0])
def test_by_global_norm_keeps_the_direction_and_equals_torch(limit):
    parts = clip.by_global_norm(G, limit)
    assert clip.global_norm(parts) == pytest.approx(min(13.0, limit), rel=1e-12)
    for part, g in zip(parts, G, strict=True):
        np.testing.assert_allclose(part / g, min(1.0, limit / 13.0), rtol=1e-12)
    parameters = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in G]
    for p, g in zip(parameters, G, strict=True):
        p.grad = torch.tensor(g)
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    for p, part in zip(parameters, parts, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), part, rtol=1e-6)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("rule", [clip.by_value, clip.by_norm, clip.by_global_norm])
@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan])
def test_a_limit_must_be_positive(rule, limit):
    with pytest.raises(ValueError, match=r"(limit|max_norm): got .*, wanted a positive number"):
        rule(G, limit)
