"""Entropy of random scores, scores of the small transformer with their brakes, and what a run of it reads."""

import numpy as np
import pytest
import torch

from gradclinic import transformer
from gradclinic.course import attention


def test_entropy_of_equal_and_of_single_weights():
    np.testing.assert_allclose(attention.entropy(np.full((3, 8), 1 / 8)), np.log(8))
    assert attention.entropy(np.eye(4)).max() == 0
    np.testing.assert_allclose(attention.softmax(np.array([[0.0, 1000.0]])), [[0, 1]], atol=1e-300)


def test_law_holds_for_many_tokens_and_ends():
    assert attention.random_entropy(4096, 1.5, np.random.default_rng(0)) == pytest.approx(
        attention.law(4096, 1.5), abs=0.05
    )
    assert attention.law(1024, 4.0) == 0
    assert attention.random_entropy(1024, 4.0, np.random.default_rng(0)) > 1.5


def small(**options):
    spec = transformer.Transformer(1, width=8, heads=2, hidden=8, vocabulary=4, length=5, **options)
    p = transformer.tensors(transformer.draw(spec, np.random.default_rng(0), 3))
    x = torch.tensor(np.random.default_rng(1).normal(size=(3, 2, 5, 8)))
    return spec, p, x


def test_scores_are_queries_times_keys():
    spec, p, x = small()
    query, key = (torch.einsum("ebtd,efd->ebtf", x, p[name][:, 0]) for name in ("query", "key"))
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        wanted = torch.einsum("ebtf,ebsf->ebts", query[..., part], key[..., part]) / 2
        torch.testing.assert_close(transformer.scores(spec, x, p, 0)[:, :, head], wanted)


def test_brakes_bound_the_scores():
    plain, p, x = small()
    bare = transformer.scores(plain, 100 * x, p, 0)
    assert bare.abs().max() > 1000
    normed = transformer.scores(small(query_key_norm=True)[0], 100 * x, p, 0)
    assert 1 < normed.abs().max() <= 2
    torch.testing.assert_close(transformer.scores(small(cap=7.0)[0], 100 * x, p, 0), 7 * torch.tanh(bare / 7))


@pytest.mark.parametrize("causal", [False, True])
def test_a_cap_that_nothing_reaches_changes_nothing(causal):
    tokens = torch.as_tensor(np.random.default_rng(2).integers(0, 4, (2, 5)))
    outputs = []
    for cap in (None, 1e6):
        spec, p, _ = small(cap=cap, causal=causal)
        outputs.append(transformer.forward(spec, p, tokens)[0])
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("cap", [0.0, -1.0, np.inf])
def test_a_cap_that_is_none_is_refused(cap):
    with pytest.raises(ValueError, match="cap: got"):
        transformer.Transformer(1, cap=cap)


def test_a_rate_too_high_freezes_attention_and_qk_norm_does_not():
    bare, normed = attention.reverse(0.1, (0,)), attention.reverse(0.1, (0,), query_key_norm=True)
    assert bare.loss.shape == (200, 1)
    assert bare.entropy.shape == (len(attention.LOOKS), 1)
    assert bare.loss[-10:].mean() > 1.7 > 0.5 > normed.loss[-10:].mean()
    assert bare.sigma[-1, 0] > 300 > 4 > normed.sigma.max()
