"""why/backpropagation: what flows back through one hidden unit of the perceptron 3, 4, 2."""

import numpy as np
from scipy.special import expit

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps


def grid():
    """What the two outputs receive besides the first hidden unit: the page's network, drawn as the page draws it."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    bias, top = rng.standard_normal(4), rng.standard_normal(2)
    a = expit(first @ np.array([0.5, -1.0, 2.0]) + bias)
    return {"rest": (second[:, 1:] @ a[1:] + top).tolist(), "target": [1.0, 0.0]}


FIGURE = Figure(
    title="One hidden unit: what arrives and what goes on",
    question=(
        "the unit receives its error from two outputs. Can you bring it down to nearly zero with both weights "
        "different from zero? And what happens to the error when only z is moved, to 6 or to −6?"
    ),
    answer=(
        "Yes: the two contributions can cancel, as they nearly do at v₁ = v₂ = −0.5. At either end of z a sum "
        "still arrives, but the slope is 0.0025, and nearly nothing goes on."
    ),
    knobs=(
        Knob("z", "z of the hidden unit", steps(-6, 6, 0.1), 1.3, digits=1),
        Knob("v1", "weight v₁ to output 1", steps(-3, 3, 0.1), -2.3, digits=1),
        Knob("v2", "weight v₂ to output 2", steps(-3, 3, 0.1), -0.5, digits=1),
    ),
    plots=(
        Plot(
            "on the way back",
            "from where, and what becomes of it",
            "what arrives, and the error δ",
            (
                Series("zero", "", "level", "ink"),
                Series("stages", "what arrives, their sum, and the error δ", "dots", "vermilion", size=12),
            ),
            log_y=False,
            x_names={1: "output 1", 2: "output 2", 3: "sum", 4: "δ"},
        ),
        Plot(
            "the slope it is multiplied by",
            "z",
            "σ′(z)",
            (
                Series("slope", "slope at every z", color="blue"),
                Series("here", "slope of this unit", "dots", "vermilion", size=11),
            ),
            log_y=False,
        ),
    ),
    grid=grid,
)
