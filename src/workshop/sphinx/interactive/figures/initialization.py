"""remedies/initialization: signal and gradient through the layers at a gain."""

import numpy as np

from gradclinic import activations, theory
from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, rounded, settled

GAINS = rounded(np.geomspace(0.5, 16, 61), 4)


def grid(deepest=100):
    """Layer by layer, for every gain of the knob: log10 of the rms of z, and of the factor the gradient meets there.

    Inputs of mean square 1; z_1 then has variance sigma_w^2, and q_l = V(q_{l-1}) (``theory.variance_map``). Lists end
    where nothing changes any more. ReLU needs no grid: both are sigma_w / sqrt 2 per layer.
    """
    grid = {"gains": GAINS}
    variance = np.square(GAINS)
    for name in ("sigmoid", "tanh"):
        phi, q = activations.get(name), variance.copy()
        size, factor = [], []
        for _ in range(deepest):
            size.append(np.log10(q) / 2)
            slope = activations.gaussian_mean(lambda u, phi=phi: phi.slope(u) ** 2, np.maximum(q, 1e-30))
            factor.append(np.log10(variance * slope) / 2)
            q = theory.variance_map(name, q, variance)
        grid[name] = {
            "size": [settled(rounded(column, 5)) for column in np.transpose(size)],
            "factor": [settled(rounded(column, 6)) for column in np.transpose(factor)],
            "deep": rounded(theory.layer_factor(name, variance), 6),
        }
    return grid


FIGURE = Figure(
    title="Signal and gradient through the layers",
    question=(
        "which gain keeps ReLU's gradient level, and which tanh's? Is there one for the sigmoid, and what "
        "has its signal done meanwhile?"
    ),
    answer=(
        "ReLU: 1.41, and one step of the knob to either side costs or gains a power of ten within forty "
        "layers. tanh: about 1. The sigmoid needs a gain above 10; its signal is level at every gain, so a "
        "level signal says nothing about the gradient."
    ),
    knobs=(
        Knob("gain", "gain", tuple(GAINS), 1.0),
        Knob("depth", "layers", tuple(range(2, 101)), 30, digits=0),
    ),
    plots=tuple(
        Plot(
            title,
            "layer (1 is next to the input)",
            y,
            (
                Series("one", "", "level", "ink"),
                Series("sigmoid", "sigmoid", color="vermilion", dash="dashed"),
                Series("tanh", "tanh", color="green", dash="dotdash"),
                Series("relu", "ReLU", color="blue"),
            ),
            whole_x=True,
        )
        for title, y in (("forward: the signal", "rms of z"), ("backward: the gradient", "∂C/∂z, last layer 1"))
    ),
    grid=grid,
    replaces=False,
)
