"""why/recurrence: powers of a matrix that is not normal."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="A transient: growth with every eigenvalue below 1",
    question=(
        "with ρ = 0.9 and c = 10, how large does the norm become, and when? Does it grow at ρ = 0.5? For "
        "which c does the spectral radius tell the truth from the first step on?"
    ),
    answer=(
        "39-fold, at k = 9. At ρ = 0.5 it still reaches 10, in the first step. Only c = 0 has no "
        "transient: then the matrix is normal."
    ),
    knobs=(
        Knob("rho", "spectral radius ρ", steps(0.3, 1.05, 0.01), 0.9),
        Knob("c", "corner c", steps(0, 20, 0.5), 10.0, digits=1),
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
