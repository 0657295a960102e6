from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gradclinic import resnet, torch_net
from gradclinic.resnet import BasicBlock, ResNet

LISTING = (Path(__file__).parent / "s0_resnet18.txt").read_text(encoding="utf-8")


def small(seed: int = 0, *, skip: bool = True) -> ResNet:
    net = ResNet((2, 1), 3, planes=(4, 6), in_planes=1, large=False, skip=skip).double()
    return resnet.draw(net, np.random.default_rng(seed))


def images(n: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rng.normal(size=(n, 1, 8, 8))), torch.as_tensor(rng.integers(0, 3, n))


@pytest.fixture(scope="module")
def printed():
    """The source's network; its one line that is not Python is left out."""
    bad = "  trained (bool): If True, returns a model pre-trained on ImageNet"
    lines = LISTING.splitlines()
    assert lines.count(bad) == 1
    namespace: dict = {}
    exec("\n".join(line for line in lines if line != bad), namespace)
    return namespace


def test_the_listing_is_a_syntax_error_as_printed():
    with pytest.raises(SyntaxError) as caught:
        compile(LISTING, "listing", "exec")
    assert caught.value.lineno == 100


def test_the_repaired_network_is_the_listings(printed):
    wanted = printed["resnet18"]().double()
    found = ResNet((2, 2, 2, 2), 1000).double()
    assert list(found.state_dict()) == list(wanted.state_dict())
    found.load_state_dict(wanted.state_dict())
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(1, 3, 224, 224)))
    with torch.no_grad():
        torch.testing.assert_close(found.eval()(x), wanted.eval()(x), rtol=1e-10, atol=1e-12)


def test_the_listing_takes_224_pixels_only_the_repaired_network_any_size(printed):
    x = torch.zeros(1, 3, 64, 64)
    with pytest.raises(RuntimeError, match="Output size is too small"):
        printed["resnet18"]().eval()(x)
    assert ResNet((2, 2, 2, 2), 7).eval()(x).shape == (1, 7)


def test_parameters_of_resnet18():
    assert sum(p.numel() for p in ResNet((2, 2, 2, 2), 1000).parameters()) == 11_689_512


def test_the_plain_twin_has_the_same_branches_and_nothing_else():
    names = {name for name in small().state_dict() if "downsample" not in name}
    assert set(small(skip=False).state_dict()) == names
    assert len(names) < len(small().state_dict())


def test_block_adds_then_applies_relu():
    x = torch.as_tensor(np.random.default_rng(2).normal(size=(5, 4, 3, 3)))
    block = resnet.draw(BasicBlock(4, 4).double(), np.random.default_rng(3))
    twin = BasicBlock(4, 4, skip=False).double()
    twin.load_state_dict(block.state_dict())
    seen = {}
    block.bn2.register_forward_hook(lambda *call: seen.update(branch=call[-1]))
    out = block(x)
    torch.testing.assert_close(out, functional.relu(x + seen["branch"]))
    torch.testing.assert_close(twin(x), functional.relu(seen["branch"]))


def test_stages_halve_the_image_and_each_has_its_width():
    net = small()
    shapes = {}
    for name in net.stages:
        getattr(net, name).register_forward_hook(lambda *call, name=name: shapes.update({name: tuple(call[-1].shape)}))
    assert net(images(3)[0]).shape == (3, 3)
    assert shapes == {"layer1": (3, 4, 8, 8), "layer2": (3, 6, 4, 4)}


def test_stages_and_widths_must_agree():
    with pytest.raises(ValueError, match="blocks: got 2 stages, wanted 4"):
        ResNet((1, 1), 10)


def test_draw_follows_the_listings_laws_and_the_generator():
    net = resnet.draw(ResNet((1, 1), 10, planes=(32, 64), in_planes=3, large=False), np.random.default_rng(0))
    conv = net.layer2[0].conv2.weight
    assert conv.var().item() == pytest.approx(2 / (9 * 64), rel=0.03)
    assert net.fc.weight.abs().max().item() <= 1 / 8
    assert net.fc.weight.var().item() == pytest.approx(1 / (3 * 64), rel=0.15)
    assert all((m.weight == 1).all() for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    torch.testing.assert_close(small(4).state_dict(), small(4).state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("skip", [True, False])
def test_side_by_side_is_what_each_would_do_alone(skip):
    x, y = images(12)
    models, rates = [small(seed, skip=skip) for seed in range(3)], (0.05, 0.2, 0.1)
    alone = copy.deepcopy(models)
    history = resnet.train_together(
        models, x.numpy(), y.numpy(), rates=rates, steps=4, batch_size=7, rng=np.random.default_rng(9)
    )
    for i, (net, rate) in enumerate(zip(alone, rates, strict=True)):
        rule, rng = torch.optim.SGD(net.parameters(), lr=rate), np.random.default_rng(9)
        for step in range(4):
            rows = rng.choice(12, 7, replace=False)
            loss = functional.cross_entropy(net(x[rows]), y[rows])
            assert loss.item() == pytest.approx(history.loss[step, i], rel=1e-9)
            rule.zero_grad()
            loss.backward()
            rule.step()
        torch.testing.assert_close(models[i].state_dict(), net.state_dict(), rtol=1e-9, atol=1e-11)
    assert history.loss.shape == (4, 3)


def test_one_rate_per_model():
    x, y = images(4)
    with pytest.raises(ValueError, match="rates: got 1, wanted one per model, 2"):
        resnet.train_together(
            [small(0), small(1)], x, y, rates=[0.1], steps=1, batch_size=2, rng=np.random.default_rng(0)
        )


def test_the_instrument_reads_every_convolution():
    x, y = images(6)
    profile = torch_net.profile(small(), x, y)
    assert len(profile.names) == 1 + 3 * 2 + 1 + 1  # stem, branches, one reshaping skip, read-out
    assert sum("downsample" in name for name in profile.names) == 1
    assert (profile.delta > 0).all()
