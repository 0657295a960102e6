"""why/typical-network: the law of the squared gradient norm of a ReLU network of He's size."""

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, rounded

WIDTHS = (10, 15, 20, 30, 40, 60, 100, 150, 200, 300, 400, 600, 1000)
DEPTHS = (1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400)


def one_layer(n):
    """Mean and variance of ln r for one layer of ``n`` units: r = (2/n) chi^2_k, k binomial (n, 1/2) and not 0."""
    k = np.arange(1, n + 1)
    weight = np.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) - n * np.log(2))
    weight /= weight.sum()
    given_k = digamma(k / 2) + np.log(4 / n)
    mean = weight @ given_k
    return mean, weight @ (polygamma(1, k / 2) + given_k**2) - mean**2


def grid():
    moments = np.array([one_layer(n) for n in WIDTHS])
    return {"mean": rounded(moments[:, 0], 12), "variance": rounded(moments[:, 1], 12)}


FIGURE = Figure(
    title="Which network will you draw?",
    question=(
        "at 40 layers of 40 units the median is about 0.08 (this curve, which is symmetric, puts it at 0.07). How wide "
        "must the layers be for a median above 0.9? And which depth gives the same law at 400 units as 40 layers give "
        "at 40?"
    ),
    answer=(
        "1000 units: about 25 times as many as layers. And 400 layers: the law depends on depth divided by width, "
        "apart from a small correction in very narrow layers."
    ),
    knobs=(
        Knob("depth", "layers L", DEPTHS, 40, digits=0),
        Knob("width", "units per layer n", WIDTHS, 40, digits=0),
    ),
    plots=(
        Plot(
            "squared norm over networks",
            "log₁₀ of the squared norm",
            "density",
            (
                Series("bell", "theory, exact moments", color="blue"),
                Series("median", "median", "cursor", "blue", "dashed"),
                Series("mean", "mean of all networks: 1", "cursor", "vermilion", "dotted"),
            ),
            log_y=False,
        ),
        Plot(
            "median against depth",
            "layers",
            "squared norm",
            (
                Series("one", "", "level", "vermilion", "dotted"),
                Series("middle", "", color="blue"),
                Series("low", "one network in six is below", color="purple", dash="dashed"),
                Series("here", "", "dots", "blue", size=10),
            ),
        ),
    ),
    grid=grid,
    replaces=False,
)
