"""Claims about skip connections."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from gradclinic import init, measure, numpy_net
from gradclinic.course.claims import sentences
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import (
    profile,
    spread,
    treated,
)
from gradclinic.spec import MLP, Parameters

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@settles(
    "S0-residual-easier",
    statement="residual learning is easier than learning the features directly",
    said=sentences.S0_RESIDUAL,
    part="这样更改的原因是因为残差学习相比原始特征的直接学习更加容易。以下进行一个简单的证明。",
    verdict="conditional",
    page="remedies/residual",
    mark="残差学习相比原始特征的直接学习更加容易",
    why="the proof is missing; measured, it makes a difference in deep networks and none in shallow ones",
    held=(2, 3),
)
def _residual_easier() -> Iterator[Case]:
    from gradclinic.course import remedies

    for depth, steps in ((3, 60), (26, 60), (26, 600)):
        reached = {}
        for residual in (False, True):
            spec = MLP((64, *[32] * (depth - 1), 10), "relu", normalization="batch", residual=residual)
            treatment = remedies.Treatment(spec, init.mlp(spec, np.random.default_rng(0), ensemble=3))
            run = remedies.train(treatment, (0.1,), steps=steps)
            reached[residual] = float(np.median(run.accuracy[run.best]))
        said = f"accuracy {reached[True]:.2f} with skips, {reached[False]:.2f} without"
        yield Case(f"{depth} layers with batch norm, {steps} steps", reached[True] > reached[False] + 0.05, said)


LISTING = """\
def resnet18(pretrained=False, **kwargs):
  trained (bool): If True, returns a model pre-trained on ImageNet

    model = ResNet(BasicBlock, [2, 2, 2, 2], **kwargs)
    if pretrained:
        model.load_state_dict(model_zoo.load_url(model_urls['resnet18']))
    return model
"""


@settles(
    "S0-resnet-listing",
    statement="the listing that follows implements ResNet-18, in code that runs",
    said=sentences.S0_LISTING,
    verdict="conditional",
    why="not as printed (half a docstring stands as code); without that line yes, but pre-trained weights have no "
    "address",
    page="remedies/residual",
    mark="the ResNet-18 listing",
    held=(1, 3),
)
def _resnet_listing() -> Iterator[Case]:
    from torch.utils import model_zoo

    from gradclinic import resnet

    def attempt(source: str, **options: object) -> tuple[bool, str]:
        """Compile and call the listing's last function, with this book's network in place of the listing's."""
        names = {
            "BasicBlock": resnet.BasicBlock,
            "ResNet": lambda _, blocks: resnet.ResNet(blocks, 1000),
            "model_zoo": model_zoo,
        }
        try:
            exec(compile(source, "S0", "exec"), names)
            count = sum(p.numel() for p in names["resnet18"](**options).parameters())
        except Exception as error:
            return False, f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return True, f"{count:,} parameters"

    repaired = "".join(line for line in LISTING.splitlines(keepends=True) if "(bool)" not in line)
    yield Case("as printed", *attempt(LISTING))
    yield Case("without the line of the docstring", *attempt(repaired))
    yield Case("the same, pretrained=True", *attempt(repaired, pretrained=True))


@settles(
    "S3-exponential",
    statement="in deep networks gradients shrink or grow exponentially",
    said=sentences.S3_BOTH,
    part="梯度呈指数级减少 … 梯度呈指数级增长",
    verdict="conditional",
    why="plain networks do; in a normalised residual network it is a power of the depth",
    page="remedies/residual",
    mark="梯度呈指数级减少 … 增长",
    held=(2, 3),
)
def _exponential() -> Iterator[Case]:
    kinds = {
        "plain sigmoid, variance 1": {"activation": "sigmoid", "variance": 1.0},
        "plain ReLU, twice He": {"activation": "relu", "variance": 8.0},
        "ReLU, batch norm and skips": {
            "activation": "relu",
            "variance": 2.0,
            "normalization": "batch",
            "residual": True,
        },
    }
    for name, kind in kinds.items():
        act, variance, options = kind.pop("activation"), kind.pop("variance"), kind
        spec = MLP((64, *[64] * 33, 10), act, **options)
        delta = profile(spec, init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=3)).delta
        # from layer 2 on: how much the gradient changes over the first and over the second half of the depth
        logs = np.abs(np.median(np.log(delta[:, [1, 16, 31]] / delta[:, [31]]), axis=0))
        share = logs[1] / logs[0]
        yield Case(
            name,
            abs(share - 0.5) < 0.1,
            f"the deeper half of the layers makes {share:.0%} of the change (in logarithms)",
        )


@settles(
    "S3-skip-gradient-one",
    statement="the gradient of the skip branch is always 1",
    said=sentences.S3_SKIP,
    part="也就是说跨层连接的分支 X 的梯度始终为 1",
    page="remedies/residual",
    mark="跨层连接的分支 X 的梯度始终为 1",
    verdict="false",
    why="so it is for an identity skip with no ReLU after the sum; in S0's block most paths shut after a few blocks",
    held=(2, 3),
)
def _skip_gradient_one() -> Iterator[Case]:
    import torch

    from gradclinic import resnet

    rng = np.random.default_rng(0)
    spec = MLP((16, *[16] * 8, 16), "tanh", bias=False, residual=True)
    silent = Parameters((*[np.zeros((16, 16))] * 8, np.eye(16)), tuple(np.zeros(16) for _ in range(9)))
    x = rng.standard_normal((20, 16))
    g = numpy_net.gradients(spec, silent, x, numpy_net.forward(spec, silent, x).output - 1.0)
    yield Case(
        "eight identity skips, branches silent", np.allclose(g.input, 1.0), f"gradient at the input {spread(g.input)}"
    )
    drawn = init.mlp(spec, rng, weight_variance=0.01)
    g = numpy_net.gradients(spec, drawn, x, numpy_net.forward(spec, drawn, x).output - 1.0)
    branch = MLP((16, *[16] * 8, 16), "tanh", bias=False)
    alone = numpy_net.gradients(branch, drawn, x, numpy_net.forward(branch, drawn, x).output - 1.0)
    skip, without = (
        float(np.median(measure.sample_norm(v.delta[0]) / measure.sample_norm(v.delta[7]))) for v in (g, alone)
    )
    said = f"gradient over seven layers times {skip:.2f}, without the skips {without:.0e}"
    yield Case("eight identity skips, branches of a tenth", abs(skip - 1) < 0.2, said)
    net: Any = resnet.draw(resnet.ResNet((8,), 10, planes=(8,), in_planes=1, large=False).double(), rng)
    with torch.no_grad():
        h = net.relu(net.bn1(net.conv1(torch.tensor(rng.standard_normal((50, 1, 8, 8))))))
        path = torch.ones_like(h, dtype=torch.bool)
        for block in net.layer1:
            h = block(h)
            path &= h > 0
    share = path.double().mean().item()
    yield Case(
        "eight blocks of S0's listing, ReLU after the sum",
        share > 0.99,
        f"skip path open for {share:.0%} of the entries",
    )


@settles(
    "S3-skip-no-weights",
    statement="the skip has no weights",
    said=sentences.S3_SKIP,
    part="由于 X 是直接传递的,因此他没有权重参数",
    verdict="conditional",
    why="where the block keeps its shape; three of the eight skips of ResNet-18 are convolutions",
    page="remedies/residual",
    mark="他没有权重参数",
    held=(1, 2),
)
def _skip_no_weights() -> Iterator[Case]:
    from gradclinic import resnet

    blocks = [m for m in resnet.ResNet((2, 2, 2, 2), 1000).modules() if isinstance(m, resnet.BasicBlock)]
    for name, same_shape in (("equal shapes", True), ("shape changes", False)):
        chosen = [b for b in blocks if (b.conv1.in_channels == b.conv1.out_channels) == same_shape]
        counts = [sum(p.numel() for p in b.downsample.parameters()) if b.downsample is not None else 0 for b in chosen]
        yield Case(
            f"ResNet-18, {len(chosen)} blocks, {name}", sum(counts) == 0, f"parameters in their skips: {sum(counts):,}"
        )


@settles(
    "S3-skip-relieves",
    statement="even where the trunk's gradient is very small, with the branch's added vanishing can be mitigated well",
    said=sentences.S3_SKIP,
    part="因此即使主干网络 F(x) 前向传播的时候梯度值很小,加上分支的梯度都可以很好地缓解梯度消失的问题。",
    verdict="true",
    why="forty layers whose plain gradient vanishes keep a level one",
    page="remedies/residual",
    held=(3, 3),
)
def _skip_relieves() -> Iterator[Case]:
    for name, act, variance in (
        ("sigmoid, branches of the usual scale", "sigmoid", 1.0),
        ("tanh, branches of a tenth", "tanh", 0.01),
        ("ELU, branches of a tenth", "elu", 0.01),
    ):
        after = {}
        for residual in (False, True):
            spec = MLP((64, *[64] * 39, 10), act, residual=residual)
            after[residual] = profile(
                spec, init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=3)
            )
        said = (
            f"{after[False].verdict} without, {after[True].verdict} with: {np.median(after[True].factor):.2f} per layer"
        )
        yield Case(f"40 layers, {name}", after[True].verdict == "healthy", said)


@settles(
    "S0-residual-remedy",
    statement="ResNet is a remedy for both vanishing and exploding gradients",
    said=sentences.S0_RESNET,
    verdict="conditional",
    why="vanishing yes; exploding only with a scaled or normalised branch, the bare skip makes it worse",
    page="remedies/residual",
    mark="5.4 解决方法 … ResNet残差结构",
    held=(2, 3),
)
@settles(
    "S1-residual-solves-both",
    statement="residual networks solve both vanishing and exploding gradients",
    said=sentences.S1_RESNET,
    verdict="conditional",
    why="vanishing: yes; exploding: only with a scaled or normalised branch (the page answers with an advertisement)",
    page="remedies/residual",
    mark="ResNets 是如何解决深度神经网络训练中的梯度消失和爆炸问题的?",
    held=(2, 3),
)
def _residual_for_both() -> Iterator[Case]:
    """Identity skips for the patient that vanishes and for the one that explodes."""
    for patient, remedy, said in (
        ("A", "residual", "vanishes without"),
        ("B", "residual", "explodes without"),
        ("B", "residual-normalized", "explodes without; branch normalised"),
    ):
        before, after = treated(patient, "none")[1], treated(patient, remedy)[1]
        yield Case(
            f"patient {patient}, {said}",
            after.verdict == "healthy",
            f"{np.median(before.factor):.2f} per layer before, {np.median(after.factor):.2f} after: {after.verdict}",
        )
