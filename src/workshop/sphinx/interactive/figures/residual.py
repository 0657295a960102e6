"""remedies/residual: growth of the squared gradient through a stack of residual blocks, by scale and depth."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps

FIGURE = Figure(
    title="How the gradient grows through residual blocks",
    question=(
        "at 32 blocks, find the largest scale at which the squared gradient grows by less than 10. Then make the "
        "network 128 blocks deep: by what does it grow now?"
    ),
    answer=(
        "0.27 is the largest: the growth is 9.5, at 0.28 it is 11. With 128 blocks the scale 0.27 gives 8,200. A scale "
        "belongs to a depth: 1/√32 = 0.18 at 32 blocks, 1/√128 = 0.09 at 128, and both grow by 2.7."
    ),
    knobs=(
        Knob("scale", "scale of the branch", steps(0, 1.5, 0.01), 1.0),
        Knob("depth", "blocks", tuple(range(1, 201)), 32, digits=0),
    ),
    plots=(
        Plot(
            "squared gradient at each block",
            "block (the last one is next to the output)",
            "squared gradient, 1 at the output",
            (
                Series("here", "your scale", color="vermilion"),
                Series("normalised", "normalised branch", color="green", dash="dashed"),
                Series("root", "scale 1/√(blocks)", color="blue", dash="dotdash"),
                Series("one", "", "level", "ink"),
            ),
            whole_x=True,
        ),
    ),
    replaces=False,
)
