"""why/jacobians: what layers of two units make of a circle."""

import numpy as np

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, rounded, steps

DEEPEST = 20


def products(kind):
    """The Jacobians of 0 to 20 layers of two linear units at gain 1, drawn as the page draws them: (21, 2, 2)."""
    made, rng = [np.eye(2)], np.random.default_rng(11)
    for _ in range(DEEPEST):
        layer = rng.normal(0, np.sqrt(0.5), (2, 2))
        if kind == "orthogonal":
            layer = np.linalg.svd(layer)[0]
        made.append(layer @ made[-1])
    return np.array(made)


def grid():
    return {kind: rounded(products(kind), 15) for kind in ("orthogonal", "gaussian")}


FIGURE = Figure(
    title="A circle through layers of two units",
    question=(
        "which weights keep the circle a circle, at any depth? With Gaussian weights, can a larger gain bring back the "
        "direction that is lost?"
    ),
    answer=(
        "Orthogonal weights do. At gain 1 they keep its size, too. A gain multiplies both axes by the same number. It "
        "can bring one of them back to length 1, never both: their ratio does not depend on it."
    ),
    knobs=(
        Knob("kind", "weights", (1, 0), 1, texts=("Gaussian", "orthogonal"), menu=True),
        Knob("depth", "layers", tuple(range(DEEPEST + 1)), 1, digits=0),
        Knob("gain", "gain", steps(0.5, 3, 0.1), 1.0, digits=1),
    ),
    plots=(
        Plot(
            "the circle's image",
            "first unit",
            "second unit",
            (
                Series("circle", "circle", color="ink", dash="dashed"),
                Series("ellipse", "its image", color="vermilion"),
                Series("scaled", "the image, to the size of the circle", color="purple", dash="dotted"),
            ),
            log_y=False,
        ),
        Plot(
            "length of both axes",
            "layer",
            "singular value",
            (
                Series("one", "", "level", "ink"),
                Series("long", "longest axis", "path", "blue"),
                Series("short", "shortest axis", "path", "green", dash="dashed", marker="square"),
            ),
            whole_x=True,
        ),
    ),
    grid=grid,
)
