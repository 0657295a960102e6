"""today/orthogonal-steps: where the Newton-Schulz iteration of Muon takes a singular value."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, powers

STARTS = powers([-6 + k / 4 for k in range(25)], digits=2)

FIGURE = Figure(
    title="How far five multiplications lift",
    question=(
        "set five iterations and find the smallest singular value, of those on the knob, that ends above 0.5. How many "
        "iterations does 0.00001 need to end above 0.5?"
    ),
    answer="0.0018 ends at 0.79, and 0.001 at 0.47. 0.00001 needs nine iterations and then stands at 0.64.",
    knobs=(
        Knob("start", "singular value before", STARTS, 0.001, texts=tuple(f"{s:g}" for s in STARTS)),
        Knob("iterations", "iterations", tuple(range(13)), 5, digits=0),
    ),
    plots=(
        Plot(
            "all singular values",
            "log₁₀ of the singular value before",
            "after",
            (
                Series("same", "unchanged", color="ink", dash="dotted"),
                Series("after", "Muon's iteration", color="blue"),
                Series("classical", "1.5 s − 0.5 s³", color="vermilion", dash="dashed"),
                Series("here", "", "dots", "blue", size=10),
            ),
        ),
        Plot(
            "one singular value",
            "iteration",
            "singular value",
            (
                Series("one", "", "level", "ink", "dotted"),
                Series("muon", "Muon's iteration", "path", "blue"),
                Series("classical", "1.5 s − 0.5 s³", "path", "vermilion", "dashed"),
                Series("here", "", "cursor", "ink"),
            ),
            whole_x=True,
        ),
    ),
)
