"""The network of many widths: against PyTorch, the two parametrisations at the base, the stored losses repeated."""

import numpy as np
import pytest
import torch

from gradclinic.course import width


def test_gradients_are_pytorch_s():
    x, labels = (part[:20] for part in width.samples())
    network = width.draw(16, np.random.default_rng(0), mup=False)
    weights = [torch.tensor(w, requires_grad=True) for w in network]
    hidden = torch.relu(torch.relu(torch.tensor(x) @ weights[0]) @ weights[1])
    loss = torch.nn.functional.cross_entropy(hidden @ weights[2], torch.tensor(labels))
    loss.backward()
    found, gradients = width.loss_and_gradients(network, x, labels)
    assert found == pytest.approx(loss.item(), rel=1e-5)
    for g, w in zip(gradients, weights, strict=True):
        np.testing.assert_allclose(g, w.grad.numpy(), rtol=1e-3, atol=1e-6)


def test_both_are_one_network_at_the_base():
    runs = [width.train(width.BASE, 0.01, 10, 1, mup=mup, watched=True) for mup in (False, True)]
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3)
    assert width.rates(128, 0.01, mup=True) == (0.01, 0.0025, 0.0025)
    wide = width.draw(512, np.random.default_rng(0), mup=True)
    assert wide.last.std() == pytest.approx(np.sqrt(32) / 512, rel=0.05)
    assert wide.hidden.std() == pytest.approx(np.sqrt(2 / 512), rel=0.05)


def test_first_step_grows_with_the_width_unless_mup():
    sizes = {mup: [width.train(n, 0.001, 1, 0, mup=mup, watched=True).hidden[0] for n in (256, 512)] for mup in (0, 1)}
    assert width.exponent([256, 512], np.array(sizes[0])) > 0.7
    assert abs(width.exponent([256, 512], np.array(sizes[1]))) < 0.15


@pytest.mark.parametrize("name", ["standard", "mup"])
def test_stored_losses_repeat(name):
    rate = 3
    found = width.train(32, width.RATES[rate], width.READ[-1], 0, mup=name == "mup").loss
    stored = width.stored(name)
    assert stored.shape == (3, 3, 3, 8)
    np.testing.assert_allclose(stored[0, 0, :2, rate], [found[20:30].mean(), found[90:100].mean()], rtol=0.05)
