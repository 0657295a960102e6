"""why/recurrence: how far back a gradient reaches."""

import numpy as np

from gradclinic import theory
from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, rounded, steps

RADII = steps(0.5, 2.0, 0.02)
INPUT_VARIANCES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)


def grid():
    """Factor per time step of a tanh network with W = rho times an orthogonal matrix and input of variance v."""
    rho = np.array(RADII)
    return {
        "rho": RADII,
        "tanh": [rounded(theory.layer_factor("tanh", rho**2, v), 6) for v in INPUT_VARIANCES],
    }


FIGURE = Figure(
    title="How far back a gradient reaches",
    question=(
        "raise the spectral radius to 1.1: the linear network explodes. Does the tanh network? Find the radius "
        "that keeps its gradient, then change the input."
    ),
    answer=(
        "With tanh it vanishes, at 0.883 per step. The radius that keeps it is 1.41 for this input, and "
        "comes down to 1 as the input falls silent: the input decides as much as the matrix."
    ),
    knobs=(
        Knob("rho", "spectral radius ρ", RADII, 0.9),
        Knob("v", "input variance", INPUT_VARIANCES, 0.1, texts=tuple(f"{v:g}" for v in INPUT_VARIANCES)),
        Knob("lag", "time lag", tuple(range(5, 201, 5)), 60, digits=0),
    ),
    plots=(
        Plot(
            "gradient against time lag",
            "time lag (steps)",
            "gradient, relative",
            (
                Series("one", "", "level", "ink"),
                Series("linear", "linear", color="vermilion", dash="dashed"),
                Series("tanh", "tanh", color="blue"),
            ),
            whole_x=True,
        ),
        Plot(
            "factor per time step",
            "spectral radius ρ",
            "factor",
            (
                Series("one", "", "level", "ink"),
                Series("linear", "", color="vermilion", dash="dashed"),
                Series("tanh", "", color="blue"),
                Series("here", "", "cursor", "ink", "dotted"),
                Series("points", "this radius", "dots", "ink", size=8),
            ),
            log_y=False,
        ),
    ),
    grid=grid,
)
