"""Adam where nothing is random: against PyTorch's Adam, closed forms and what must stay untouched."""

import numpy as np
import pytest
import torch

from gradclinic.course import spikes


def by_torch(gradients, beta2, settled):
    w = torch.zeros(1, dtype=torch.float64)
    rule, path = torch.optim.Adam([w], lr=1.0, betas=(0.9, beta2)), []
    state = {"step": torch.tensor(1e6), "exp_avg": torch.zeros_like(w), "exp_avg_sq": torch.full_like(w, settled)}
    rule.state[w] = state
    for g in gradients:
        w.grad = torch.tensor([float(g)], dtype=torch.float64)
        rule.step()
        path.append(-w.item())
    return np.diff(path, prepend=0.0)


@pytest.mark.parametrize("beta2", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("quiet", [0.0, 0.1])
def test_steps_after_quiet_are_adam_s_and_the_closed_form(beta2, quiet):
    found = spikes.after_quiet(beta2, 30, quiet=quiet)
    t = np.arange(1, 31)
    np.testing.assert_allclose(found, (1 - 0.9**t) / np.sqrt(beta2**t * quiet**2 + 1 - beta2**t), rtol=1e-12)
    np.testing.assert_allclose(found, by_torch(np.ones(30), beta2, quiet**2), rtol=1e-6)


def test_one_loud_batch_sums_to_its_closed_form():
    for beta2, total in ((0.999, 31.766), (0.95, 5.837)):
        assert spikes.after_quiet(beta2, 500, loud=1).sum() == pytest.approx(total, abs=1e-3)


def test_parabola_is_adam_s():
    w = torch.ones(1, dtype=torch.float64)
    rule, path = torch.optim.Adam([w], lr=0.1, betas=(0.9, 0.99)), []
    for _ in range(300):
        path.append(w.item())
        w.grad = w.clone()
        rule.step()
    np.testing.assert_allclose(spikes.parabola(0.1, 0.99, 300)[0], path, rtol=1e-8, atol=1e-12)


def test_training_follows_pytorch_s_adam():
    from gradclinic.course import data

    digits = data.digits(n_train=1000, rng=np.random.default_rng(0))
    x, y = torch.tensor(digits.x_train[:50]), torch.eye(10, dtype=torch.float64)[digits.y_train[:50]]
    rng = np.random.default_rng(7)
    weights = [torch.tensor(rng.normal(0, a**-0.5, (a, b)), requires_grad=True) for a, b in spikes.SIZES]
    rule, losses = torch.optim.Adam(weights, lr=0.01), []
    for _ in range(20):
        rule.zero_grad()
        loss = 0.5 * ((torch.tanh(x @ weights[0]) @ weights[1] - y) ** 2).sum(-1).mean()
        loss.backward()
        rule.step()
        losses.append(loss.item())
    found = spikes.train([6, 7], rate=0.01, beta2=0.999, steps=20)
    np.testing.assert_allclose(found.loss[:, 1], losses, rtol=1e-6)
    assert np.abs(found.step[0] - 1).max() < 1e-3
    assert np.allclose(found.loudness[0], 1)


def test_what_is_left_out_moves_nothing():
    options = {"rate": 0.01, "beta2": 0.999, "steps": 30}
    bare = spikes.train([0], **options)
    skipped = spikes.train([0], wrong=range(10, 12), skip=True, **options)
    np.testing.assert_array_equal(skipped.loss[10:13], np.repeat(bare.loss[10:11], 3, axis=0))
    assert np.all(skipped.step[10:12] == 0)
    np.testing.assert_array_equal(spikes.train([0], gradient_clip=1e9, **options).loss, bare.loss)
    restarted = spikes.train([0], restart=20, **options)
    np.testing.assert_array_equal(restarted.loss[:21], bare.loss[:21])
    assert restarted.step[20] > 0.9 > bare.step[20]
    assert spikes.train([0], restart=20, keep="m", **options).step[20] > restarted.step[20]


def test_jump_is_the_largest_rise():
    loss = np.array([[1.0, 4.0], [0.5, 2.0], [5.0, 1.0], [0.1, 0.5]])
    np.testing.assert_allclose(spikes.jump(loss), [10, 1])
