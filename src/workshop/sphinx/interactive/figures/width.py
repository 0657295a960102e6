"""today/width: what Adam's first step on one sample does to values that sum over the width."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series

WIDTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01)

FIGURE = Figure(
    title="One step, many inputs",
    question=(
        "with one rate of 0.001 for all matrices, from which width on does a single step move a hidden value by more "
        "than the value was large? Which rate would a width of 4096 need to move as little as 32 does?"
    ),
    answer=(
        "On the knob, from 4096 on: there it moves by 2.3, and a hidden value is 1.4 large (by the formula from about "
        "2500 on). To move as little as at width 32 it would need a rate 128 times smaller. That is what muP gives it."
    ),
    knobs=(
        Knob("width", "width n", WIDTHS, 32, digits=0),
        Knob("rate", "rate η", RATES, 0.001, digits=4),
        Knob("rule", "rates", (0, 1), 0, texts=("one for all", "muP, from width 32"), menu=True),
    ),
    plots=(
        Plot(
            "first step on one sample",
            "log₂ of the width",
            "change of a value",
            (
                Series("size", "size of a hidden value", "level", "ink", "dashed"),
                Series("change", "change", "path", "blue", size=6),
                Series("here", "", "dots", "vermilion", size=11),
            ),
            whole_x=True,
        ),
    ),
    replaces=False,
)
