"""The noise scale, from gradients whose mean and scatter are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gradclinic.instrument.noise import noise_scale, noise_scale_of


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_two_sizes_give_the_signal_and_the_scatter(parts):
    """|G|^2 = 4 and tr Sigma = 24: the expected squared norm over b samples is 4 + 24 / b."""
    batch = 64
    each, whole = math.sqrt(4 + 24 * parts / batch), math.sqrt(4 + 24 / batch)
    assert noise_scale_of([each] * parts, whole, batch) == pytest.approx(24 / 4)


def test_norms_of_the_parts_are_averaged_as_squares():
    assert noise_scale_of([1.0, 7.0], 4.0, 10) == pytest.approx(noise_scale_of([5.0, 5.0], 4.0, 10))


def test_ends_of_the_scale():
    assert noise_scale_of([1.0, 1.0], 1.0, 10) == 0.0  # every part says the same
    assert noise_scale_of([1.0, 1.0], 1.1, 10) == 0.0  # less than nothing is chance
    assert noise_scale_of([2.0] * 4, 1.0, 16) == math.inf  # orthogonal parts: no common direction


def test_a_model_is_read_part_by_part():
    """A single weight of 0 and the loss (w x - y)^2 / 2 have the gradient -x y in each sample; what is left over after
    equal parts is not used."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    y = torch.tensor([1.0, 3.0, 5.0, 7.0, 1000.0]).double()[:, None]

    def half_square(out, target):
        return 0.5 * (out - target).square().sum() / len(target)

    found = noise_scale(model, torch.ones_like(y), y, half_square, parts=2)
    assert found == pytest.approx(noise_scale_of([2.0, 6.0], 4.0, 4))
    finest = noise_scale(model, torch.ones_like(y), y, half_square, parts=5)
    assert finest == pytest.approx(noise_scale_of([1.0, 3.0, 5.0, 7.0, 1000.0], 203.2, 5))
    x, many = torch.ones(17, 1).double(), torch.arange(17).double()[:, None]
    assert noise_scale(model, x, many) == noise_scale(model, x, many, parts=8)
    with pytest.raises(ValueError, match="parts: got 1, wanted at least 2"):
        noise_scale(model, torch.ones_like(y), y, parts=1)
    with pytest.raises(ValueError, match="y: got 5 samples, wanted at least one for each of 6 parts"):
        noise_scale(model, torch.ones_like(y), y, parts=6)
