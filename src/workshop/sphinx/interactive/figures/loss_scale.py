"""beyond/mixed-precision: where a gradient lies in the range of a format."""

import numpy as np

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, stored


def slow_grid(most: int = 30) -> dict[str, list]:
    r"""``factors`` ``[l - 1]``: :math:`\sqrt{E\,\sigma'(\sqrt{q_l} u)^2}`, what layer ``l`` of the sigmoid network of
    the page beyond/mixed-precision multiplies the gradient by; :math:`q_1` is the mean square of the page's 100 digits.
    """
    from gradclinic import activations, theory
    from gradclinic.course import data

    sigmoid, factors = activations.get("sigmoid"), []
    q = float(np.mean(data.digits(n_train=1000, rng=np.random.default_rng(0)).x_train[:100] ** 2))
    for _ in range(most):
        factors.append(float(np.sqrt(activations.gaussian_mean(lambda u: sigmoid.slope(u) ** 2, q))))
        q = theory.variance_map("sigmoid", q, 1.0)
    return {"factors": np.round(factors, 8).tolist()}


FIGURE = Figure(
    title="Where a gradient lies in the range of a format",
    question=(
        "twelve layers in float16 lose all of layer 1's gradient. By how many powers of two must the loss be "
        "scaled to save nine tenths of it? And which scale saves twenty layers?"
    ),
    answer=(
        "By 11 powers of two, says the law drawn here, which rounds once; networks that round in every layer need 12 "
        "(measured further down). Twenty layers need 28 by the law, and by then the last layers lie beyond the largest "
        "float16: a scale moves all layers alike, so none saves this network."
    ),
    knobs=(
        Knob("format", "format", (0, 1), 0, texts=("float16", "bfloat16"), menu=True),
        Knob("scale", "loss scale, log₂ S", tuple(range(0, 31)), 0, digits=0),
        Knob("depth", "layers", tuple(range(2, 71)), 12, digits=0),
    ),
    plots=(
        Plot(
            "size of the entries",
            "layer (1 is next to the input)",
            "log₂ of an entry of ∂C/∂z",
            (
                Series("lost", "becomes 0 or inf", "band", "vermilion"),
                Series("subnormal", "subnormal: fewer digits", "band", "orange"),
                Series("tenth", "a tenth is smaller, a tenth larger", color="blue", dash="dotted"),
                Series("ninetieth", "", color="blue", dash="dotted"),
                Series("middle", "standard deviation", color="blue"),
            ),
            log_y=False,
            whole_x=True,
        ),
        Plot(
            "zeros in layer 1",
            "layers",
            "share of zeros",
            (
                Series("share", "at this scale", color="vermilion"),
                Series("unscaled", "without a scale", color="ink", dash="dashed"),
                Series("here", "this depth", "dots", "vermilion", size=10),
            ),
            log_y=False,
            whole_x=True,
        ),
    ),
    grid=stored(__file__),
    replaces=False,
)
