"""The transformer ensemble against PyTorch's own layers, member by member, and its profile against autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gradclinic import transformer
from gradclinic.transformer import Transformer

BASE = Transformer(3, width=8, heads=2, hidden=12, vocabulary=5, length=6)
SPECS = [BASE, replace(BASE, norm="post"), replace(BASE, norm="pre", causal=True), replace(BASE, norm="post", heads=4)]


def drawn(spec: Transformer, members: int = 2, seed: int = 0, **options: float) -> dict[str, np.ndarray]:
    """Parameters with every entry random, the normalisations' gains and shifts included."""
    rng = np.random.default_rng(seed)
    params = transformer.draw(spec, rng, members, **options)
    for name in ("gains", "shifts", "gain", "shift"):
        params[name] = params[name] + 0.3 * rng.standard_normal(params[name].shape)
    return params


def sequences(spec: Transformer, batch: int = 4) -> np.ndarray:
    """Tokens and targets, each ``(batch, length)``."""
    return np.random.default_rng(1).integers(0, spec.vocabulary, (2, batch, spec.length))


def reference(spec: Transformer, p: dict[str, torch.Tensor], member: int, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of one member through ``nn.TransformerEncoderLayer``."""
    x = p["embed"][member][tokens] + p["position"][member]
    mask = nn.Transformer.generate_square_subsequent_mask(spec.length, dtype=torch.float64) if spec.causal else None
    for i in range(spec.depth):
        pre = spec.norm == "pre"
        layer = nn.TransformerEncoderLayer(
            spec.width, spec.heads, spec.hidden, 0.0, batch_first=True, norm_first=pre, dtype=torch.float64
        )
        joined = torch.cat([p[name][member, i] for name in ("query", "key", "value")])
        state = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
        state |= {"self_attn.in_proj_weight": joined, "self_attn.out_proj.weight": p["out"][member, i]}
        state |= {"linear1.weight": p["up"][member, i], "linear2.weight": p["down"][member, i]}
        for k in range(2):
            state |= {f"norm{k + 1}.weight": p["gains"][member, i, k], f"norm{k + 1}.bias": p["shifts"][member, i, k]}
        x = torch.func.functional_call(layer, state, (x,), {"src_mask": mask, "is_causal": spec.causal})
    if spec.norm == "pre":
        x = nn.functional.layer_norm(x, x.shape[-1:], p["gain"][member], p["shift"][member])
    return x @ p["read"][member].T


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.norm}-{s.heads}{'-causal' if s.causal else ''}")
def test_output_and_gradients_are_those_of_torchs_encoder_layer(spec):
    p = transformer.tensors(drawn(spec))
    tokens, y = (torch.as_tensor(part) for part in sequences(spec))
    logits, _ = transformer.forward(spec, p, tokens)
    names = ("embed", "query", "key", "value", "out", "up", "down", "gains", "shifts")
    ours = torch.autograd.grad(transformer.loss_function(logits, y).sum(), [p[n] for n in names])
    theirs_logits = torch.stack([reference(spec, p, member, tokens) for member in range(2)])
    loss = sum(nn.functional.cross_entropy(one.flatten(0, 1), y.flatten()) for one in theirs_logits)
    torch.testing.assert_close(logits, theirs_logits, rtol=1e-10, atol=1e-12)
    for name, a, b in zip(names, ours, torch.autograd.grad(loss, [p[n] for n in names]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("norm", transformer.NORMS)
def test_profile_is_the_gradient_at_each_block(norm):
    spec = replace(BASE, norm=norm, skip=1.2)
    params, (tokens, y) = drawn(spec, scale=0.7), sequences(spec)
    found = transformer.profile(spec, params, tokens, y)
    p = transformer.tensors(params)
    logits, streams = transformer.forward(spec, p, torch.as_tensor(tokens))
    total = transformer.loss_function(logits, torch.as_tensor(y)).sum() * y.size
    grads = torch.autograd.grad(total, streams[2::2], retain_graph=True)
    rms = torch.stack([g.square().sum(-1).mean((1, 2)).sqrt() for g in grads], dim=1)
    np.testing.assert_allclose(found.delta, rms.numpy(), rtol=1e-12)
    down = torch.autograd.grad(total / y.size, p["down"])[0]
    np.testing.assert_allclose(found.weight, down.norm(dim=(2, 3)).numpy(), rtol=1e-10)
    assert found.names == ("block 1", "block 2", "block 3")
    assert found.loss.shape == (2,)


def test_members_do_not_know_of_each_other():
    params, (tokens, y) = drawn(BASE, 3), sequences(BASE)
    alone = {name: value[1:2] for name, value in params.items()}
    together = transformer.profile(BASE, params, tokens, y)
    np.testing.assert_allclose(
        transformer.profile(BASE, alone, tokens, y).delta[0], together.delta[1], rtol=1e-12, atol=0
    )


def test_scale_zero_is_the_identity():
    spec = replace(BASE, norm=None)
    p = transformer.tensors(transformer.draw(spec, np.random.default_rng(0), 2, scale=0.0))
    _, streams = transformer.forward(spec, p, torch.as_tensor(sequences(spec)[0]))
    assert all(torch.equal(stream, streams[0]) for stream in streams)


def test_variances_and_gain_of_the_draw():
    spec = Transformer(4, width=64, hidden=128)
    plain, damped = (transformer.draw(spec, np.random.default_rng(0), 3, gain=gain) for gain in (1.0, 0.5))
    for name, variance in {"query": 1 / 64, "out": 1 / 64, "up": 1 / 64, "down": 2 / 128, "embed": 0.5}.items():
        assert plain[name].var() == pytest.approx(variance, rel=0.05)
    for name in plain:
        factor = 0.5 if name in ("value", "out", "up", "down") else 1.0
        np.testing.assert_allclose(damped[name], factor * plain[name])


def test_token_correlation_of_known_streams():
    rng = np.random.default_rng(0)
    one = torch.tensor(rng.standard_normal((2, 3, 1, 8)))
    np.testing.assert_allclose(transformer.token_correlation(one.expand(2, 3, 5, 8)), 1.0)
    np.testing.assert_allclose(transformer.token_correlation(torch.eye(4)[None, None]), 0.0, atol=1e-7)


def test_training_follows_torchs_adam_and_each_members_own_rate():
    spec = replace(BASE, norm="pre")
    params, rates = drawn(spec, 2), np.array([0.0, 0.01])
    batch = lambda step: sequences(spec)  # noqa: E731
    trained, history = transformer.train(
        spec, params, batch, steps=5, rate=lambda step: rates * min(1, step / 3), dtype="float64"
    )
    np.testing.assert_array_equal(trained["query"][0], params["query"][0])  # rate 0
    p = transformer.tensors(params)
    p["scales"].requires_grad_(False)
    learned = [value for value in p.values() if value.requires_grad]
    adam = torch.optim.Adam(learned, lr=0.01)
    tokens, y = (torch.as_tensor(part) for part in batch(0))
    for step in range(1, 6):
        adam.param_groups[0]["lr"] = 0.01 * min(1, step / 3)
        adam.zero_grad()
        loss = transformer.loss_function(transformer.forward(spec, p, tokens)[0], y)
        loss.sum().backward()
        np.testing.assert_allclose(history.loss[step - 1, 1], loss[1].item(), rtol=1e-9)
        adam.step()
    np.testing.assert_allclose(trained["down"][1], p["down"][1].detach().numpy(), rtol=1e-7, atol=1e-12)
    assert history.loss.shape == (5, 2)


def test_the_scales_are_learned_only_without_normalisation():
    for norm, moves in ((None, True), ("post", False)):
        spec = replace(BASE, norm=norm)
        trained, _ = transformer.train(
            spec,
            transformer.draw(spec, np.random.default_rng(0), 1),
            lambda step: sequences(BASE),
            steps=1,
            rate=lambda step: 0.1,
        )
        assert bool((trained["scales"] != 1).any()) == moves


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "depth: got 0"),
        ({"width": 2.5}, "width: got 2.5"),
        ({"heads": 3}, "heads: got 3"),
        ({"norm": "both"}, "norm: got 'both'"),
        ({"skip": np.inf}, "skip: got inf"),
    ],
)
def test_what_is_no_network_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(BASE, **change)


def test_sequences_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"tokens: got shape \(4, 7\), wanted \(batch, 6\)"):
        transformer.forward(BASE, transformer.tensors(drawn(BASE)), torch.zeros(4, 7, dtype=torch.int64))
