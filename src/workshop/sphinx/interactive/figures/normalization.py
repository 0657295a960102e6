"""remedies/batch-normalization: the gradient through normalised layers, by axis, activation and batch size."""

import numpy as np

from gradclinic import theory
from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series

BATCHES = (4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256)
ACTIVATIONS = ("relu", "tanh", "sigmoid")


def grid():
    """Factor per layer of wide plain networks: with batch norm in the limit of large batches, and with layer norm."""
    return {
        "batch": [float(np.round(theory.batchnorm_factor(name), 6)) for name in ACTIVATIONS],
        "layer": [float(np.round(theory.layernorm_factor(name), 6)) for name in ACTIVATIONS],
    }


FIGURE = Figure(
    title="The gradient through fifty normalised layers",
    question=(
        "with ReLU and batch normalisation, by what does the gradient grow through fifty layers at batch size 256, and "
        "at batch size 4? Now choose the other axis. And which axis cures the sigmoid?"
    ),
    answer=(
        "About 1.3 × 10⁴ times at 256, and 10¹¹ to 10¹² times at 4. Over the units of a layer it is level, at any "
        "batch size. For the sigmoid it is the other way round: batch normalisation keeps it nearly level, layer "
        "normalisation keeps 0.39 per layer."
    ),
    knobs=(
        Knob("axis", "normalise over", (0, 1), 0, texts=("the batch", "the units of a layer"), menu=True),
        Knob("act", "activation", (0, 1, 2), 0, texts=("ReLU", "tanh", "sigmoid"), menu=True),
        Knob("batch", "batch size", BATCHES, 32, digits=0),
    ),
    plots=(
        Plot(
            "gradient in each layer",
            "layer (1 is next to the input)",
            "size, last layer 1",
            (
                Series("one", "", "level", "ink"),
                Series("here", "your setting", color="vermilion"),
                Series("other", "the other axis", color="blue", dash="dashed"),
            ),
            whole_x=True,
        ),
    ),
    grid=grid,
    replaces=False,
)
