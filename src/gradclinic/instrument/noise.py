"""The gradient noise scale: how large a batch may be before it repeats itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def noise_scale_of(parts: Sequence[float], whole: float, batch: int) -> float:
    r"""The noise scale :math:`B = \operatorname{tr}\Sigma / \lVert G \rVert^2` in samples.

    ``parts``: norms of the gradients of ``K`` equal parts of a batch, ``whole``: norm of their mean, the gradient of
    the whole batch of ``batch`` samples. With :math:`b = B_{big}/K` samples in a part,
    :math:`\mathrm{E}\lVert g_b\rVert^2 = \lVert G\rVert^2 + \operatorname{tr}\Sigma/b`; two sizes give both unknowns
    without a bias (McCandlish, Kaplan, Amodei et al. 2018, *An Empirical Model of Large-Batch Training*, appendix A.1):

    .. math::
        \lVert G\rVert^2 = \frac{B_{big}\lVert g_{big}\rVert^2 - b\,\overline{\lVert g_b\rVert^2}}{B_{big} - b},
        \qquad
        \operatorname{tr}\Sigma = \frac{\overline{\lVert g_b\rVert^2} - \lVert g_{big}\rVert^2}{1/b - 1/B_{big}}.

    ``inf`` where the batch is too small to tell the gradient from noise (the first of the two is not positive).

    >>> from gradclinic.instrument.noise import noise_scale_of
    >>> round(noise_scale_of(parts=[2.0, 2.0], whole=1.5, batch=64), 3)
    224.0
    """
    small = batch / len(parts)
    mean_square = float(np.mean(np.square(np.asarray(parts, dtype=np.float64))))
    signal = (batch * whole**2 - small * mean_square) / (batch - small)
    noise = (mean_square - whole**2) / (1 / small - 1 / batch)
    return max(0.0, noise) / signal if signal > 0 else float("inf")


def noise_scale(model: Any, x: Any, y: Any, loss: Callable[[Any, Any], Any] | None = None, *, parts: int = 8) -> float:
    """The gradient noise scale of one batch, in samples, by :func:`noise_scale_of`; PyTorch and Keras.

    Below it a batch twice as large is nearly worth two steps; far above it the second half is wasted. ``x``, ``y``:
    arrays or tensors whose first axis is the batch, which is cut into ``parts`` equal parts (what is left over is not
    used). Gradients are those of the weights, biases left out. One batch gives an estimate with a large error: take the
    median over several. With batch normalisation a part is normalised by itself, so that it is another function: the
    number then says little.

    >>> import torch
    >>> from gradclinic.instrument.noise import noise_scale
    >>> rng = torch.Generator().manual_seed(0)
    >>> model = torch.nn.Linear(8, 1)
    >>> _ = torch.nn.init.zeros_(model.weight), torch.nn.init.zeros_(model.bias)
    >>> x = torch.randn(512, 8, generator=rng)
    >>> rule, noise = x[:, :1], torch.randn(512, 1, generator=rng)
    >>> noise_scale(model, x, rule) < noise_scale(model, x, noise)
    True
    """
    from gradclinic.instrument import probe

    if parts < 2:
        raise ValueError(f"parts: got {parts}, wanted at least 2")
    size = len(y) // parts
    if size < 1:
        raise ValueError(f"y: got {len(y)} samples, wanted at least one for each of {parts} parts")

    def norm(start: int, stop: int) -> float:
        report = probe(model, x[start:stop], y[start:stop], loss)
        return float(np.sqrt(np.nansum(np.square(report.weight_gradient))))

    norms = [norm(i * size, (i + 1) * size) for i in range(parts)]
    return noise_scale_of(norms, norm(0, parts * size), parts * size)
