"""why/descent, first figure: a ball on the parabola C = w squared, and one setting, the step size."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="A ball on a parabola",
    question="the ball starts at w = 1. From which step size on does it no longer come to rest?",
    answer=(
        "1. Up to there every step leaves the ball nearer to the bottom, on whichever side; at 1.00 it jumps to and "
        "fro between 1 and −1 for ever; at 1.01 it already climbs. At 0.50 one single step lands at the bottom."
    ),
    knobs=(Knob("rate", "step size", steps(0.01, 1.3, 0.01), 0.1),),
    plots=(
        Plot(
            "the ball on its curve",
            "w",
            "loss C = w²",
            (
                Series("curve", "loss", color="ink"),
                Series("walk", "the ball, twenty steps", "path", "blue", size=7),
                Series("start", "start", "dots", "orange", marker="square", size=10),
            ),
            log_y=False,
        ),
        Plot(
            "the same walk, step by step",
            "step",
            "w",
            (
                Series("bottom", "the bottom", "level", "ink", "dashed"),
                Series("walk", "", "path", "blue", size=7),
            ),
            log_y=False,
        ),
    ),
)
