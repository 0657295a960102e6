"""why/descent, "Now let depth in": a chain of linear layers with one shared weight; depth, start and step size."""

import numpy as np

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, powers, steps

FIGURE = Figure(
    title="One weight, many layers",
    question=(
        "with one layer the step 0.1 brings every start to the minimum. Make the chain deeper and start at 0.6, then "
        "at 1.3: what happens to the same step?"
    ),
    answer=(
        "With 20 layers the step 0.1 from 0.6 has moved the weight to 0.615 after a hundred steps: a plateau. From 1.3 "
        "it is thrown out in the first step: a wall. No step size on the slider serves both starts."
    ),
    knobs=(
        Knob("depth", "layers", (1, 2, 3, 5, 8, 10, 15, 20, 30), 1, digits=0),
        Knob("start", "start w", steps(0.5, 1.4, 0.05), 0.6),
        Knob(
            "rate",
            "step size",
            powers(np.arange(-8, 0.1, 0.5), 2),
            0.1,
            texts=tuple(f"{float(f'{10.0**e:.2g}'):g}" for e in np.arange(-8, 0.1, 0.5)),
        ),
    ),
    plots=(
        Plot(
            "size of the gradient",
            "shared weight w (minimum at 1)",
            "|C′(w)|",
            (
                Series("gradient", "gradient of the loss", color="blue"),
                Series("start", "start", "dots", "orange", marker="square", size=10),
            ),
        ),
        Plot(
            "the walk, a hundred steps",
            "step",
            "w",
            (
                Series("minimum", "the minimum", "level", "ink", "dashed"),
                Series("walk", "weight", color="vermilion"),
            ),
            log_y=False,
        ),
    ),
)
