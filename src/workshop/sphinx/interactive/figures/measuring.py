"""reproduce/measuring: the profile of delta beside the profile of the weight gradient, for a wide bias-free network."""

import numpy as np

from gradclinic import activations, theory
from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, rounded, steps

SCALES = steps(0.5, 4, 0.1)


def grid():
    """Sigmoid layers at the fixed point of the variance: factor of delta per layer, rms of an activation."""
    phi = activations.get("sigmoid")
    q = np.array([theory.fixed_point("sigmoid", scale**2) for scale in SCALES])
    size = np.sqrt(activations.gaussian_mean(lambda u: phi(u) ** 2, q))
    return {"factor": rounded(theory.layer_factor("sigmoid", np.square(SCALES)), 8), "size": rounded(size, 8)}


FIGURE = Figure(
    title="The same network in two plots",
    question=(
        "here both are level. Find a ReLU network whose delta explodes. Does the right plot show it, by its slope? "
        "And for the sigmoid: is there a weight scale at which only one of the two plots falls?"
    ),
    answer=(
        "The ReLU's right plot is level at every scale; only its height changes (in a wide network and for one sample; "
        "over a batch the input's end falls behind). With the sigmoid both fall together at every scale, because its "
        "activations keep their size from layer to layer and have nothing to make up with."
    ),
    knobs=(
        Knob("act", "activation", (0, 1), 0, texts=("ReLU", "sigmoid"), menu=True),
        Knob("scale", "weight scale √(n Var w)", SCALES, 1.4, digits=1),
        Knob("depth", "layers", tuple(range(2, 51)), 20, digits=0),
    ),
    plots=(
        Plot(
            "delta",
            "layer",
            "size",
            (Series("one", "", "level", "ink"), Series("delta", "", "path", "vermilion")),
            whole_x=True,
        ),
        Plot(
            "weight gradient",
            "layer",
            "size",
            (Series("one", "", "level", "ink"), Series("weight", "", "path", "blue")),
            whole_x=True,
        ),
    ),
    grid=grid,
)
