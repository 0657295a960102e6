"""Residual networks of basic blocks (He et al. 2016a), repaired from the listing in seed S0.

The names of modules and parameters are the listing's, ``conv1 bn1 layer1.0.conv1 ... fc``, which are also those of the
published ImageNet weights: a file of such weights that a reader has loads with ``load_state_dict``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from gradclinic.measure import History


def conv3x3(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution with padding 1 and no bias: the batch normalisation after it would remove a bias.

    >>> from gradclinic import resnet
    >>> resnet.conv3x3(16, 32, stride=2).weight.shape
    torch.Size([32, 16, 3, 3])
    """
    return nn.Conv2d(in_planes, out_planes, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    r"""Two convolutions and a skip: ``y = relu(x' + BN(conv2(relu(BN(conv1(x))))))``.

    ``x'`` is ``x`` itself, or ``downsample(x)`` where the shape changes; without ``skip`` there is no ``x'`` and the
    block is its own plain twin. The ReLU comes *after* the addition (He et al. 2016a, figure 2), so the derivative
    along the skip is not the identity but the mask :math:`[y > 0]`; He et al. (2016b) move it into the branch.

    ``x``: ``(batch, in_planes, height, width)`` -> ``(batch, planes, height / stride, width / stride)``.
    """

    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    conv2: nn.Conv2d
    bn2: nn.BatchNorm2d
    relu: nn.ReLU

    def __init__(
        self,
        in_planes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        *,
        skip: bool = True,
    ) -> None:
        """Build the branch; ``downsample`` must map ``x`` to the branch's shape."""
        super().__init__()
        self.conv1 = conv3x3(in_planes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.downsample = downsample
        self.skip = skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the skip to the branch, then apply the ReLU."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.skip:
            out = out + (x if self.downsample is None else self.downsample(x))
        return self.relu(out)


class ResNet(nn.Module):
    """Stem, stages of :class:`BasicBlock`, mean over positions, linear read-out.

    ``blocks[k]`` basic blocks of ``planes[k]`` channels form stage ``k``; every stage but the first halves height and
    width. ``large``: the stem for photographs, a 7x7 convolution of stride 2 and a max-pooling of stride 2, which
    shrinks 224 pixels to 56; otherwise a 3x3 convolution of stride 1. ``skip=False`` gives the plain twin: the same
    convolutions in the branches, no skips (and so no 1x1 convolutions to reshape them).

    The weights are PyTorch's own default until :func:`draw` sets them. ``ValueError`` where ``blocks`` and ``planes``
    do not have the same length.
    """

    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    relu: nn.ReLU
    maxpool: nn.Module
    stages: list[str]
    avgpool: nn.AdaptiveAvgPool2d
    fc: nn.Linear

    def __init__(
        self,
        blocks: Sequence[int],
        num_classes: int,
        *,
        planes: Sequence[int] = (64, 128, 256, 512),
        in_planes: int = 3,
        large: bool = True,
        skip: bool = True,
    ) -> None:
        """Build the stages."""
        super().__init__()
        if len(blocks) != len(planes):
            raise ValueError(f"blocks: got {len(blocks)} stages, wanted {len(planes)}, one per entry of planes")
        if large:
            self.conv1 = nn.Conv2d(in_planes, planes[0], kernel_size=7, stride=2, padding=3, bias=False)
        else:
            self.conv1 = conv3x3(in_planes, planes[0])
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1) if large else nn.Identity()
        self.stages = [f"layer{k}" for k in range(1, len(blocks) + 1)]
        width = planes[0]
        for k, (name, count, n) in enumerate(zip(self.stages, blocks, planes, strict=True)):
            self.add_module(name, _stage(width, n, count, stride=1 if k == 0 else 2, skip=skip))
            width = n
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, in_planes, height, width)`` -> logits ``(batch, num_classes)``, for any height and width."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(self.avgpool(x).flatten(1))


def _stage(in_planes: int, planes: int, count: int, stride: int, skip: bool) -> nn.Sequential:
    downsample = None
    if skip and (stride != 1 or in_planes != planes):
        downsample = nn.Sequential(
            nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(planes)
        )
    first = BasicBlock(in_planes, planes, stride, downsample, skip=skip)
    return nn.Sequential(first, *(BasicBlock(planes, planes, skip=skip) for _ in range(count - 1)))


def draw(model: nn.Module, rng: np.random.Generator) -> nn.Module:
    r"""Set the weights by the listing's laws, from a NumPy generator, and return ``model``.

    Convolutions: normal of variance :math:`2 / \text{fan-out}`, fan-out being kernel height times width times
    out-channels, the listing's ``n``. Normalisations: gain 1, shift 0. The read-out: PyTorch's default for a linear
    layer, uniform within :math:`1/\sqrt{\text{fan-in}}`, weights and biases.

    >>> import numpy as np
    >>> from gradclinic import resnet
    >>> model = resnet.ResNet((1, 1), 10, planes=(8, 16))
    >>> model = resnet.draw(model, np.random.default_rng(0))
    >>> fan_out = 3 * 3 * 16
    >>> round(model.layer2[0].conv2.weight.var().item() * fan_out, 1)
    1.9
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                n = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                module.weight.copy_(torch.as_tensor(rng.normal(0.0, np.sqrt(2 / n), module.weight.shape)))
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                bound = module.in_features**-0.5
                for parameter in (module.weight, module.bias):
                    parameter.copy_(torch.as_tensor(rng.uniform(-bound, bound, parameter.shape)))
    return model


def train_together(
    models: Sequence[nn.Module],
    x: np.ndarray,
    y: np.ndarray,
    *,
    rates: Sequence[float],
    steps: int,
    batch_size: int,
    rng: np.random.Generator,
) -> History:
    """Train classifiers of one architecture side by side by plain SGD, each at its own rate, on the same batches.

    One call of ``torch.func.vmap`` runs all of them, batch normalisation included: every model normalises by its own
    statistics and keeps its own running averages. The models are changed in place. ``x``: ``(n, ...)``, ``y``: ``(n,)``
    integer labels; the loss is the batch mean of the softmax cross-entropy. Returns the loss before each step,
    ``(steps, models)``. ``ValueError`` where there is not one rate per model.

    >>> import numpy as np
    >>> from gradclinic import resnet
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(20, 1, 8, 8)), rng.integers(10, size=20)
    >>> shape = {"planes": (4,), "in_planes": 1, "large": False}
    >>> models = [
    ...     resnet.draw(resnet.ResNet((1,), 10, **shape), rng) for _ in range(2)
    ... ]
    >>> options = {"rates": (0.01, 0.1), "steps": 3, "batch_size": 10, "rng": rng}
    >>> resnet.train_together(models, x, y, **options).loss.shape
    (3, 2)
    """
    if len(rates) != len(models):
        raise ValueError(f"rates: got {len(rates)}, wanted one per model, {len(models)}")
    for model in models:
        model.train()
    weights, buffers = stack_module_state(list(models))
    like = next(iter(weights.values()))
    images, labels = torch.as_tensor(x).to(like), torch.as_tensor(y).long()
    run = vmap(lambda w, b, x: functional_call(models[0], (w, b), (x,)), in_dims=(0, 0, None))
    rate = torch.as_tensor(np.asarray(rates)).to(like)
    losses = []
    for _ in range(steps):
        rows = torch.as_tensor(rng.choice(len(labels), batch_size, replace=False))
        log_p = torch.log_softmax(run(weights, buffers, images[rows]), -1)  # (models, batch, classes)
        loss = -log_p[:, torch.arange(batch_size), labels[rows]].mean(-1)
        grads = torch.autograd.grad(loss.sum(), list(weights.values()))
        with torch.no_grad():
            for w, g in zip(weights.values(), grads, strict=True):
                w -= rate.view(-1, *[1] * (w.ndim - 1)) * g
        losses.append(loss.detach().numpy())
    for i, model in enumerate(models):
        model.load_state_dict({name: stacked[i] for name, stacked in (weights | buffers).items()})
    return History(np.array(losses))
