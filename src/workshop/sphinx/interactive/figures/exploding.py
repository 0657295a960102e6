"""reproduce/exploding: the first weight's gradient against w, and where the neurons sit."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="A large weight, and a bias that holds the neurons or does not",
    question=(
        "here c is a tenth off, and the gradient is small already. How near to 0.5 must c be at w = 100? And at "
        "w = 4? At which weight does the number of layers not matter?"
    ),
    answer=(
        "At w = 100 nothing but 0.5 will do: there the gradient is 312.5, and at c = 0.49 it is 10⁻⁴¹ in three layers. "
        "At w = 4 and c = 0.5 the depth does not matter, and c = 0.45 costs three layers only half of the gradient."
    ),
    knobs=(
        Knob("w", "weight w", (*steps(0.5, 10, 0.5), *steps(12, 30, 2), *steps(40, 200, 10)), 10.0, digits=1),
        Knob("c", "bias c", steps(0, 1, 0.01), 0.4),
        Knob("depth", "layers", tuple(range(2, 13)), 3, digits=0),
    ),
    plots=(
        Plot(
            "gradient of the first weight",
            "weight w (log)",
            "|∂y/∂w₁|",
            (
                Series("held", "z held at 0 (c = 0.5)", color="vermilion", dash="dashed"),
                Series("free", "this c", color="blue"),
                Series("here", "this weight", "dots", "blue", size=10),
                Series("below", "beyond the frame", "dots", "green", marker="square", size=10),
            ),
            x_names={0: "1", 1: "10", 2: "100"},
        ),
        Plot(
            "where the neurons sit",
            "z",
            "σ′(z)",
            (
                Series("slope", "slope of the sigmoid", color="vermilion"),
                Series("neurons", "the chain's neurons", "dots", "blue", size=9),
                Series("outside", "", "dots", "green", marker="square", size=9),
            ),
            log_y=False,
        ),
    ),
    replaces=False,
)
