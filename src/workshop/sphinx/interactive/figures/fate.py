"""index: one factor per layer, and what is left of the gradient at the input."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="What fifty layers leave of a gradient",
    question=(
        "with 0.90 per layer, how much of the gradient arrives at the input of fifty layers: a tenth, "
        "a hundredth, or less?"
    ),
    answer=(
        "Less than a hundredth: 0.0057. At 0.50 it is less than a millionth of a millionth, at 1.50 almost half a "
        "billion times too much. Only factors within a few hundredths of 1 let it arrive: that is why depth needs care."
    ),
    knobs=(
        Knob("factor", "factor per layer", steps(0.5, 1.5, 0.01), 1.0),
        Knob("depth", "layers", (2, 5, 10, 20, 30, 50, 75, 100), 50, digits=0),
    ),
    plots=(
        Plot(
            "the gradient at each layer",
            "layer (1 is next to the input)",
            "gradient, output = 1",
            (
                Series("one", "", "level", "ink", "dashed"),
                Series("gradient", "gradient", "path", "blue", size=5),
            ),
            whole_x=True,
        ),
    ),
)
