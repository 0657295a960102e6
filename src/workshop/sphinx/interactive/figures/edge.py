"""today/edge-of-stability: two weights whose product should be 1, and where descent carries them."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="Bouncing makes the valley flatter",
    question=(
        "start at u = 3 and find the largest step size that ends where it began, in the sharp minimum. At which "
        "product of step size and sharpness does it begin to leave? Then find a start and a step size that leave for "
        "infinity."
    ),
    answer=(
        "0.21: the product is 1.91 and stays. At 0.22 it is 2.01: the error grows a little, and the product ends "
        "at 1.99. From u = 4 the step size 0.25 leaves for good: 4.02 is more than the bouncing can mend."
    ),
    knobs=(
        Knob("rate", "step size η", steps(0.05, 0.35, 0.01), 0.25),
        Knob("start", "start u (v is 1.02 / u)", steps(1, 4, 0.25), 3.0),
    ),
    plots=(
        Plot(
            "error",
            "step",
            "u v − 1",
            (Series("error", "", "path", "vermilion"), Series("zero", "", "level", "ink")),
            log_y=False,
            whole_x=True,
        ),
        Plot(
            "step size times u² + v²",
            "step",
            "η (u² + v²)",
            (Series("product", "", "path", "blue"), Series("two", "", "level", "ink", "dashed")),
            log_y=False,
            whole_x=True,
        ),
    ),
)
