"""today/spikes: the steps of Adam when a weight's gradient rises after a quiet time."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series

FIGURE = Figure(
    title="A step after a quiet time",
    question=(
        "the gradient rises to 1 for good. How long is Adam's longest step with β₂ = 0.999, and at which batch? "
        "Then let only one batch be loud: how far does it move the weight in all?"
    ),
    answer=(
        "6.6 rates, at batch 12. One loud batch moves the weight by 31 rates within forty batches, of which its own "
        "step makes 3.2: the rest comes after it, from Adam's averaged gradient. With β₂ = 0.95 it is 5.6 in all."
    ),
    knobs=(
        Knob("beta2", "β₂", (0.9, 0.95, 0.98, 0.99, 0.995, 0.999), 0.999, digits=3),
        Knob("quiet", "gradient before", (0.0, 0.001, 0.01, 0.1, 0.3, 1.0), 0.0, digits=3),
        Knob("loud", "loud batches", (1, 2, 3, 5, 12, 40), 40, texts=("1", "2", "3", "5", "12", "all")),
    ),
    plots=(
        Plot(
            "steps after the quiet",
            "batch (1 is the first loud one)",
            "step, in rates",
            (
                Series("one", "one rate", "level", "ink", "dashed"),
                Series("steps", "Adam's step", "path", "blue", size=5),
            ),
            log_y=False,
        ),
        Plot(
            "way since the quiet",
            "batch (1 is the first loud one)",
            "way, in rates",
            (
                Series("one", "one rate a batch", color="ink", dash="dashed"),
                Series("way", "Adam's way", "path", "vermilion", size=5),
            ),
            log_y=False,
        ),
    ),
    replaces=False,
)
