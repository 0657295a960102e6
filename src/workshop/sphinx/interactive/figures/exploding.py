"""reproduce/exploding: the first weight's gradient against w, and where the neurons sit."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="A large weight, and a bias that holds the neurons or does not",
    question=(
        "every bias is −c times the weight (−4c in the first layer, whose input is 2). At w = 100, which c makes the "
        "gradient large? How far may c be off before it has vanished?"
    ),
    answer=(
        "c = 0.5, and only that: the gradient is 312. At c = 0.49 it is already 10⁻⁴¹ in three layers. At w = 4 and "
        "c = 0.5 the depth does not matter, and c = 0.45 costs three layers only half of the gradient."
    ),
    knobs=(
        Knob("w", "weight w", (*steps(0.5, 10, 0.5), *steps(12, 30, 2), *steps(40, 200, 10)), 100.0, digits=1),
        Knob("c", "bias c", steps(0, 1, 0.01), 0.0),
        Knob("depth", "layers", tuple(range(2, 13)), 3, digits=0),
    ),
    plots=(
        Plot(
            "gradient of the first weight",
            "log₁₀ w",
            "|∂z/∂w₁|",
            (
                Series("held", "z held at 0 (c = 0.5)", color="vermilion", dash="dashed"),
                Series("free", "this c", color="blue"),
                Series("here", "this weight", "dots", "blue", size=10),
            ),
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
