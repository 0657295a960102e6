"""why/sigmoid-chain: the window of inputs in which a factor exceeds 1."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="The window in which a factor exceeds 1",
    question=(
        "from w = 20, does a larger weight widen the window or narrow it? And what does the bias change: "
        "the window's width or its place?"
    ),
    answer=(
        "A larger weight narrows it, though it raises the peak: the window is widest, 0.448, at w = 6.9. "
        "The bias only moves it, and can move it out of the inputs between 0 and 1 altogether."
    ),
    knobs=(
        Knob("w", "weight w", (*steps(1, 9.9, 0.1), *steps(10, 40, 0.5)), 20.0, digits=1),
        Knob("b", "bias b", steps(-20, 4, 0.25), -10.0),
    ),
    plots=(
        Plot(
            "the factor over the inputs",
            "input a",
            "|w σ′(wa + b)|",
            (
                Series("window", "inputs with a factor of 1 or more", "window", "orange"),
                Series("one", "factor 1", "level", "ink", "dashed"),
                Series("factor", "factor", color="blue"),
            ),
            log_y=False,
        ),
        Plot(
            "the width of the window",
            "weight w",
            "width in a",
            (
                Series("width", "width of the window", color="green"),
                Series("inside", "part of it between 0 and 1", color="orange", dash="dashed"),
                Series("here", "this weight", "dots", "green", size=11),
            ),
            log_y=False,
        ),
    ),
    replaces=False,
)
