"""why/recurrence: powers of a matrix that is not normal."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="A transient: growth with every eigenvalue below 1",
    question=(
        "with ρ = 0.85 and c = 10, how large does the norm become, and when? Does it still grow at ρ = 0.5 and "
        "c = 10? And which corner can a matrix with ρ = 0.5 have so that nothing grows?"
    ),
    answer=(
        "27-fold, at k = 6. At ρ = 0.5 it still reaches 10, in the first step. With c = 0.5 nothing grows, nor with "
        "any corner up to 1 − ρ² = 0.75: the norm falls, only more slowly than ρᵏ. At c = 0 it is ρᵏ from the first "
        "step on."
    ),
    knobs=(
        Knob("rho", "spectral radius ρ", steps(0.3, 1.05, 0.01), 0.7),
        Knob("c", "corner c", steps(0, 20, 0.5), 5.0, digits=1),
        Knob("lag", "largest power", tuple(range(10, 201, 10)), 100, digits=0),
    ),
    plots=(
        Plot(
            "norm of the k-th power",
            "power k (time lag)",
            "norm of Wᵏ",
            (
                Series("one", "", "level", "ink"),
                Series("radius", "ρᵏ", color="vermilion", dash="dashed"),
                Series("norm", "norm of Wᵏ", color="blue"),
                Series("peak", "largest", "dots", "blue", size=9),
            ),
            whole_x=True,
        ),
    ),
    replaces=False,
)
