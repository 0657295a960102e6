"""From the deltas of all layers to one word.

*Exactly zero by design*, *cut*, *not measured* and *vanishing* are four things. A layer whose gradient is exactly 0
because a later weight starts at 0 and learns (a zero-initialised head, branch or scale, the second factor of LoRA) has
nothing wrong with it: one step later its gradient is there. A layer that no gradient reaches, or whose gradient could
not be read, says nothing about the others; ``causes`` has rules for both. All that is left is compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradclinic.instrument.readings import LayerReading
from gradclinic.measure import DECADES, Verdict

END = 8  # one layer in this many counts as an end of the network, at least one
SMALL = 0.05  # a gain below this is a layer scale
# Of fewer layers a single unusual one (a small head, a mean over places) can make a gap of two decades. The rule was
# made after one such case; judged on 14 other networks of two to five layers (plain ones with six activations, a narrow
# middle, a small head, convolutions with and without a mean, words as a bag, a maximum, a convolution), each drawn and
# after 50 steps of Adam in which its loss fell: 1 of 28 verdicts is false with three decades (four convolutions of
# PyTorch's defaults and a mean over the image, 3.05 decades), 3 of 28 with two. Three of four ill ones were called so.
FEW = 6


def zero_by_design(layers: Sequence[LayerReading]) -> frozenset[str]:
    """Names of layers whose gradient is exactly 0 only because a weight after them is 0 and has a gradient itself."""
    learners = [
        i
        for i, layer in enumerate(layers)
        if layer.weight == 0 and not layer.frozen and (layer.weight_gradient or 0) > 0
    ]
    if not learners:
        return frozenset()
    return frozenset(layer.name for layer in layers[: learners[-1]] if layer.state == "zero")


def compared(layers: Sequence[LayerReading]) -> list[LayerReading]:
    """The layers that are compared: those with a weight matrix and a delta that is not 0 by design. A table that is
    looked up (an embedding) counts only where there is nothing else."""
    silent = zero_by_design(layers)
    rows = [layer for layer in layers if layer.matrix and layer.delta is not None and layer.name not in silent]
    return [layer for layer in rows if "Embedding" not in layer.kind] or rows


def smallest_gain(layers: Sequence[LayerReading]) -> float:
    """The smallest gain that scales a branch down by design and learns, 1 where there is none: until it has grown, what
    lies behind it gets that much less."""
    gains = [x.gain for x in layers if x.gain is not None and not x.frozen and not x.normalizes]
    return min((gain for gain in gains if 0 < gain < SMALL), default=1.0)


def ends(layers: Sequence[LayerReading]) -> tuple[list[float], list[float]]:
    """``judged`` of the layers at the input and at the output: one layer in :data:`END` each, at least one.

    Where normalisations read a stream, the layers that write to it and those after the last of them are the path from
    end to end; what lies inside a branch is not on it.
    """
    rows = compared(layers)
    writers = [i for i, layer in enumerate(rows) if layer.normalized_at is not None]
    if len(writers) > 1:
        rows = [layer for i, layer in enumerate(rows) if layer.normalized_at is not None or i > writers[-1]]
    values = [layer.judged for layer in rows if layer.judged is not None]
    size = max(1, len(values) // END)
    return values[:size], values[-size:]


def wanted_gap(layers: Sequence[LayerReading]) -> float:
    """Powers of ten between the two ends that make a verdict: two, in a network of a few layers three."""
    return DECADES + (len(compared(layers)) < FEW)


def judge(layers: Sequence[LayerReading]) -> Verdict:
    """``"non-finite"`` if any compared delta is; ``"vanishing"`` if the largest at the input is more than two powers of
    ten (three in a network of a few layers) below the median at the output; ``"exploding"`` if the smallest at the
    input is more than that above it.

    The largest and the smallest, because what lies inside a residual branch may be small by design. Where nothing can
    be compared the verdict is ``"vanishing"`` if no weight has a gradient, else ``"healthy"``.
    """
    first, last = ends(layers)
    if not first:
        known = any((layer.weight_gradient or 0) > 0 or layer.state == "not read" for layer in layers)
        return "healthy" if known else "vanishing"
    if not all(math.isfinite(layer.delta or 0.0) for layer in compared(layers)):
        return "non-finite"
    level = sorted(last)[(len(last) - 1) // 2]
    gap = wanted_gap(layers)
    if max(first) == 0.0:
        return "vanishing"
    if level == 0.0:
        return "exploding"
    if math.log10(max(first)) - math.log10(level) - math.log10(smallest_gain(layers)) < -gap:
        return "vanishing"
    return "exploding" if min(first) > 0 and math.log10(min(first)) - math.log10(level) > gap else "healthy"
