"""today/gradient-norm: the norm of a batch's gradient, from mean gradient, scatter and batch size."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series

SCALES = (1, 3, 10, 30, 100, 150, 300, 1000, 3000, 10000)
LENGTHS = (0.01, 0.03, 0.1, 0.3, 0.59, 1.0, 3.0)
BATCHES = tuple(2**k for k in range(11))

FIGURE = Figure(
    title="How much of grad_norm is gradient?",
    question=(
        "the network of this page has a mean gradient of 0.59 and a noise scale of 150. Of the batch sizes on the "
        "knob, which is the smallest whose norm stays below the limit 1? And from which on is more than half of the "
        "squared norm the mean gradient?"
    ),
    answer=(
        "128: the norm is 0.87; at 64 it is 1.08 (by the formula it is 1 at 80). And 256: at 128 the mean gradient has "
        "46 % of the squared norm, at 256 it has 63 %. The change comes at the noise scale, 150."
    ),
    knobs=(
        Knob("batch", "batch size", BATCHES, 16, digits=0),
        Knob("scale", "noise scale", SCALES, 150, digits=0),
        Knob("length", "length of the mean gradient", LENGTHS, 0.59),
    ),
    plots=(
        Plot(
            "printed norm",
            "log₂ of the batch size",
            "norm of the gradient",
            (
                Series("norm", "printed norm", color="blue"),
                Series("mean", "mean gradient", "level", "green", "dotted"),
                Series("limit", "limit 1", "level", "ink", "dashed"),
                Series("here", "", "dots", "blue", size=10),
            ),
        ),
        Plot(
            "share of the mean gradient",
            "log₂ of the batch size",
            "share of the squared norm",
            (
                Series("share", "", color="green"),
                Series("half", "", "level", "ink", "dotted"),
                Series("here", "", "dots", "green", size=10),
            ),
            log_y=False,
        ),
    ),
    replaces=False,
)
