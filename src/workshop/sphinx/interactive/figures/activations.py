"""remedies/activations: an activation with a slope on the left, a gain of the weights, and the gradient's way back."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

LAYERS = 50

FIGURE = Figure(
    title="Slope on the left, gain of the weights",
    question=(
        "with slope 0, ReLU, which gain keeps the gradient level? Keep that gain and raise the slope to 0.3, as in "
        "Keras's LeakyReLU. What happens over fifty layers? And which slope makes a gain of 1 right?"
    ),
    answer=(
        "1.41 for ReLU. With slope 0.3 the same gain lets the gradient grow to 7.1 times its size over fifty layers "
        "(8.3 at the square root of 2 itself). A gain of 1 is right at slope 1: then it is a straight line."
    ),
    knobs=(
        Knob("slope", "slope on the left", steps(-0.5, 1, 0.01), 0.0),
        Knob("gain", "gain of the weights", (*steps(0.5, 2.5, 0.01),), 1.0),
    ),
    plots=(
        Plot(
            "the activation",
            "z",
            "φ(z)",
            (
                Series("zero", "", "level", "ink"),
                Series("phi", "function", color="blue"),
                Series("slope", "its slope", color="vermilion", dash="dashed"),
            ),
            log_y=False,
        ),
        Plot(
            "gradient, fifty layers",
            "layer (1 is next to the input)",
            "size, last layer 1",
            (
                Series("one", "", "level", "ink"),
                Series("gradient", "gradient", color="green"),
            ),
            whole_x=True,
        ),
    ),
    replaces=False,
)
