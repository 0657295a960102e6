"""The sharpness of a network in training, against the whole matrix of second derivatives."""

import numpy as np
import pytest
import torch

from gradclinic.course import edge


def small():
    torch.manual_seed(0)
    x, y = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 2, dtype=torch.float64)
    params = [torch.randn(3, 4, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)]
    for p in params:
        p.requires_grad_()

    def of(first, second):
        return 0.5 * (torch.tanh(x @ first) @ second - y).square().sum(1).mean()

    blocks = torch.autograd.functional.hessian(of, tuple(params))
    rows = (torch.cat([b.reshape(p.numel(), -1) for b in row], 1) for p, row in zip(params, blocks, strict=True))
    return params, lambda: of(*params), torch.cat(list(rows))


def test_sharpness_is_the_largest_eigenvalue():
    params, loss, matrix = small()
    assert edge.Sharpness(params)(loss, 400) == pytest.approx(torch.linalg.eigvalsh(matrix)[-1].item(), rel=1e-6)


def test_sharpness_after_a_division():
    params, loss, matrix = small()
    roots = [0.5 + torch.rand_like(p) for p in params]
    d = torch.cat([r.flatten() for r in roots])
    wanted = torch.linalg.eigvalsh(d[:, None] * matrix * d)[-1].item()
    assert edge.Sharpness(params)(loss, 600, roots) == pytest.approx(wanted, rel=1e-5)


def test_descent_reaches_its_own_limit():
    run = edge.descend(0.4, 400)
    assert len(run.loss) == 401
    assert run.steps[-1] == 400
    assert abs(0.4 * np.median(run.sharpness[4:]) - 2) < 0.25
    assert run.loss[-1] < 0.1 * run.loss[0]
