"""remedies/adaptive-optimizers: which layers of a sigmoid chain take Adam's full step, by epsilon and depth."""

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, powers

EXPONENTS = tuple(range(-40, 1))
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

FIGURE = Figure(
    title="Which layers take Adam's full step",
    question=(
        "with epsilon 10⁻⁸ and 20 layers, how many layers take more than half of the full step? Make the chain 40 "
        "layers deep: how many are there now? And which epsilon lets the first of 40 layers take half?"
    ),
    answer=(
        "8 of 20, and 8 of 40: epsilon decides, not the depth. The first of 40 layers needs an epsilon of 10⁻³⁹, and "
        "Keras's place for it costs one layer or two."
    ),
    knobs=(
        Knob(
            "eps",
            "epsilon",
            powers(EXPONENTS),
            1e-8,
            texts=tuple(f"10{str(exponent).translate(RAISED)}" for exponent in EXPONENTS),
        ),
        Knob("depth", "layers", tuple(range(2, 61)), 20, digits=0),
    ),
    plots=(
        Plot(
            "first step of each layer's weight",
            "layer (1 is next to the input)",
            "step / rate",
            (
                Series("descent", "plain descent", color="ink", dash="dotted"),
                Series("keras", "Adam, Keras's place of epsilon", color="vermilion", dash="dashed"),
                Series("torch", "Adam, PyTorch's", color="blue"),
                Series("half", "", "level", "ink"),
            ),
            whole_x=True,
        ),
    ),
    replaces=False,
)
