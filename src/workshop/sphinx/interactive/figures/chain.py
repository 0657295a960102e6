"""why/sigmoid-chain: the gradient of a sigmoid chain against its bound."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="The gradient of a sigmoid chain and its bound",
    question=(
        "w = 6 is above 4, so the bound grows towards the input; and yet the gradient vanishes. Which bias "
        "lifts the gradient onto its bound? And for which weight does the depth then not matter?"
    ),
    answer=(
        "b = −w/2. Every neuron then sits at z = 0, on top of the bump, and every factor is exactly w/4: "
        "with w = 4, b = −2 the gradient is ¼ at any depth."
    ),
    knobs=(
        Knob("w", "weight w", steps(0.25, 12, 0.25), 6.0),
        Knob("b", "bias b", steps(-8, 4, 0.25), 0.0),
        Knob("depth", "layers", tuple(range(2, 51)), 10, digits=0),
    ),
    plots=(
        Plot(
            "gradient of each layer's bias",
            "layer (1 is next to the input)",
            "|∂y/∂b|",
            (
                Series("gradient", "gradient", "path", "blue"),
                Series("bound", "bound ¼ (w/4)ᴸ⁻ˡ", color="ink", dash="dashed"),
            ),
            whole_x=True,
        ),
        Plot(
            "where the neurons sit",
            "z",
            "σ′(z)",
            (
                Series("slope", "slope of the sigmoid", color="vermilion"),
                Series("neurons", "the chain's neurons", "dots", "blue", size=9),
            ),
            log_y=False,
        ),
    ),
)
