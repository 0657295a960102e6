"""The interactive figures: knobs, what the plots look like, questions, and grids where no closed form exists.

``interactive.py`` puts them into pages; ``interactive/formulas.js`` computes what the plots show at a setting of the
knobs. Grids are gradclinic's, computed when the site is built, or read from a file that ``python -m workshop.grids``
wrote.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from gradclinic import activations, theory

FILES = Path(__file__).parent / "interactive"


@dataclass(frozen=True)
class Knob:
    """One slider: its values, how each is written, and where it stands at first. ``menu``: a list instead."""

    key: str
    label: str
    values: tuple
    start: float
    texts: tuple = ()
    digits: int = 2
    menu: bool = False

    def __post_init__(self):
        if self.start not in self.values:
            raise ValueError(f"start: got {self.start} for knob {self.key!r}, wanted one of its values")

    def written(self):
        return self.texts or tuple(f"{value:.{self.digits}f}".replace("-", "−") for value in self.values)


@dataclass(frozen=True)
class Series:
    """What one set of points looks like. ``color``: a name that ``figures.css`` gives a value, light and dark.

    ``kind``: line, dots, path (a line with dots), level (a horizontal line), cursor (a vertical one), window (a
    vertical band), band (a horizontal one). Without ``label`` it is not in the legend.
    """

    name: str
    label: str
    kind: str = "line"
    color: str = "blue"
    dash: str = "solid"
    marker: str = "circle"
    size: int = 6


@dataclass(frozen=True)
class Plot:
    """The axes of one plot. ``image``: values drawn behind everything, with the corners (x, y, width, height)."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_y: bool = True
    whole_x: bool = False
    image: Callable[[], tuple[np.ndarray, tuple[float, float, float, float]]] | None = None


@dataclass(frozen=True)
class Figure:
    """``question`` is put before the knobs are moved, ``answer`` is folded. ``replaces``: whether it shows what the
    cell's figure shows, so that only one of them need be seen."""

    title: str
    question: str
    answer: str
    knobs: tuple[Knob, ...]
    plots: tuple[Plot, ...]
    grid: Callable[[], dict] = dict
    replaces: bool = True


def steps(start, stop, step, digits=6):
    """``start, start + step, ..., stop``, rounded to what they are meant to be."""
    return tuple(np.round(np.arange(start, stop + step / 2, step), digits).tolist())


def powers(exponents, digits=6):
    return tuple(float(f"{10.0**e:.{digits}g}") for e in exponents)


def rounded(array, digits):
    """Nested lists of floats with few digits; -0 becomes 0."""
    return (np.round(np.asarray(array, dtype=float), digits) + 0.0).tolist()


def initialization_grid(deepest=100):
    """Layer by layer, for every gain of the knob: log10 of the rms of z, and of the factor the gradient meets there.

    Inputs of mean square 1; z_1 then has variance sigma_w^2, and q_l = V(q_{l-1}) (``theory.variance_map``). Lists end
    where nothing changes any more. ReLU needs no grid: both are sigma_w / sqrt 2 per layer.
    """
    grid = {"gains": GAINS}
    variance = np.square(GAINS)
    for name in ("sigmoid", "tanh"):
        phi, q = activations.get(name), variance.copy()
        size, factor = [], []
        for _ in range(deepest):
            size.append(np.log10(q) / 2)
            slope = activations.gaussian_mean(lambda u, phi=phi: phi.slope(u) ** 2, np.maximum(q, 1e-30))
            factor.append(np.log10(variance * slope) / 2)
            q = theory.variance_map(name, q, variance)
        grid[name] = {
            "size": [settled(rounded(column, 5)) for column in np.transpose(size)],
            "factor": [settled(rounded(column, 6)) for column in np.transpose(factor)],
            "deep": rounded(theory.layer_factor(name, variance), 6),
        }
    return grid


def settled(values):
    """A list without the repetitions at its end."""
    last = len(values)
    while last > 1 and values[last - 2] == values[-1]:
        last -= 1
    return values[:last]


def recurrence_grid():
    """Factor per time step of a tanh network with W = rho times an orthogonal matrix and input of variance v."""
    rho = np.array(RADII)
    return {
        "rho": RADII,
        "tanh": [rounded(theory.layer_factor("tanh", rho**2, v), 6) for v in INPUT_VARIANCES],
        "critical": [round(float(np.sqrt(theory.critical_weight_variance("tanh", v))), 4) for v in INPUT_VARIANCES],
    }


def lstm_grid():
    """Gradient against lag of real networks; slow, so committed: written by ``python -m workshop.grids``."""
    return json.loads((FILES / "lstm.json").read_text(encoding="utf-8"))


def loss_scale_grid():
    """Factors of a sigmoid network's gradient on the digits; needs scikit-learn, so committed as well."""
    return json.loads((FILES / "loss-scale.json").read_text(encoding="utf-8"))


def cliff_image():
    """Loss of the one-unit network over (w, b), as levels 0 to 255 for losses 0 to 16."""
    w, b = np.linspace(3.9, 5.2, 105), np.linspace(-2.9, -1.6, 105)[:, None]
    h = 0.5 + 0 * (w + b)
    for _ in range(50):
        h = w * expit(h) + b
    return np.round(np.clip((h - 0.7) ** 2 / 16, 0, 1) * 255).astype(np.uint8), (3.9, -2.9, 1.3, 1.3)


GAINS = rounded(np.geomspace(0.5, 16, 61), 4)
RADII = steps(0.5, 2.0, 0.02)
INPUT_VARIANCES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
LIMITS = (*powers(np.arange(-1, 4.01, 0.25), 3), 1e300)

FIGURES = {
    "chain": Figure(
        title="The gradient of a sigmoid chain and its bound",
        question=(
            "w = 6 is above 4, so the bound grows towards the input; and yet the gradient vanishes. Which bias "
            "lifts the gradient onto its bound? And for which weight does the depth then not matter?"
        ),
        answer=(
            "b = −w/2. Every neuron then sits at z = 0, on top of the bump, and every factor is exactly w/4: "
            "with w = 4, b = −2 the gradient is ¼ at any depth."
        ),
        knobs=(
            Knob("w", "weight w", steps(0.25, 12, 0.25), 6.0),
            Knob("b", "bias b", steps(-8, 4, 0.25), 0.0),
            Knob("depth", "layers", tuple(range(2, 51)), 10, digits=0),
        ),
        plots=(
            Plot(
                "gradient of each layer's bias",
                "layer (1 is next to the input)",
                "|∂y/∂b|",
                (
                    Series("gradient", "gradient", "path", "blue"),
                    Series("bound", "bound ¼ (w/4)ᴸ⁻ˡ", color="ink", dash="dashed"),
                ),
                whole_x=True,
            ),
            Plot(
                "where the neurons sit",
                "z",
                "σ′(z)",
                (
                    Series("slope", "slope of the sigmoid", color="vermilion"),
                    Series("neurons", "the chain's neurons", "dots", "blue", size=9),
                ),
                log_y=False,
            ),
        ),
    ),
    "window": Figure(
        title="The window in which a factor exceeds 1",
        question=(
            "from w = 20, does a larger weight widen the window or narrow it? And what does the bias change: "
            "the window's width or its place?"
        ),
        answer=(
            "A larger weight narrows it, though it raises the peak: the window is widest, 0.448, at w = 6.9. "
            "The bias only moves it, and can move it out of the inputs between 0 and 1 altogether."
        ),
        knobs=(
            Knob("w", "weight w", (*steps(1, 9.9, 0.1), *steps(10, 40, 0.5)), 20.0, digits=1),
            Knob("b", "bias b", steps(-20, 4, 0.25), -10.0),
        ),
        plots=(
            Plot(
                "the factor over the inputs",
                "input a",
                "|w σ′(wa + b)|",
                (
                    Series("window", "inputs with a factor of 1 or more", "window", "orange"),
                    Series("one", "factor 1", "level", "ink", "dashed"),
                    Series("factor", "factor", color="blue"),
                ),
                log_y=False,
            ),
            Plot(
                "the width of the window",
                "weight w",
                "width in a",
                (
                    Series("width", "width, for any bias", color="green"),
                    Series("inside", "of it within (0, 1), at this bias", color="orange", dash="dashed"),
                    Series("here", "this weight", "dots", "green", size=11),
                ),
                log_y=False,
            ),
        ),
        replaces=False,
    ),
    "initialization": Figure(
        title="Signal and gradient through the layers",
        question=(
            "which gain keeps ReLU's gradient level, and which tanh's? Is there one for the sigmoid, and what "
            "has its signal done meanwhile?"
        ),
        answer=(
            "ReLU: 1.41, and one step of the knob to either side costs or gains a power of ten within forty "
            "layers. tanh: about 1. The sigmoid needs a gain above 10; its signal is level at every gain, so a "
            "level signal says nothing about the gradient."
        ),
        knobs=(
            Knob("gain", "gain", tuple(GAINS), 1.0),
            Knob("depth", "layers", tuple(range(2, 101)), 30, digits=0),
        ),
        plots=tuple(
            Plot(
                title,
                "layer (1 is next to the input)",
                y,
                (
                    Series("one", "", "level", "ink"),
                    Series("sigmoid", "sigmoid", color="vermilion", dash="dashed"),
                    Series("tanh", "tanh", color="green", dash="dotdash"),
                    Series("relu", "ReLU", color="blue"),
                ),
                whole_x=True,
            )
            for title, y in (("forward: the signal", "rms of z"), ("backward: the gradient", "∂C/∂z, last layer 1"))
        ),
        grid=initialization_grid,
        replaces=False,
    ),
    "recurrence": Figure(
        title="How far back a gradient reaches",
        question=(
            "at spectral radius 1.1 and input variance 0.1 the linear network explodes. Does the tanh network? "
            "Find the radius that keeps its gradient, then change the input."
        ),
        answer=(
            "With tanh it vanishes, at 0.883 per step. The radius that keeps it is 1.41 for this input, and "
            "comes down to 1 as the input falls silent: the input decides as much as the matrix."
        ),
        knobs=(
            Knob("rho", "spectral radius ρ", RADII, 1.1),
            Knob("v", "input variance", INPUT_VARIANCES, 0.1, texts=tuple(f"{v:g}" for v in INPUT_VARIANCES)),
            Knob("lag", "time lag", tuple(range(5, 201, 5)), 60, digits=0),
        ),
        plots=(
            Plot(
                "gradient against time lag",
                "time lag (steps)",
                "gradient, relative",
                (
                    Series("one", "", "level", "ink"),
                    Series("linear", "linear", color="vermilion", dash="dashed"),
                    Series("tanh", "tanh", color="blue"),
                ),
                whole_x=True,
            ),
            Plot(
                "factor per time step",
                "spectral radius ρ",
                "factor",
                (
                    Series("one", "", "level", "ink"),
                    Series("linear", "", color="vermilion", dash="dashed"),
                    Series("tanh", "", color="blue"),
                    Series("here", "", "cursor", "ink", "dotted"),
                    Series("points", "this radius", "dots", "ink", size=8),
                ),
                log_y=False,
            ),
        ),
        grid=recurrence_grid,
    ),
    "transient": Figure(
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
    ),
    "lstm": Figure(
        title="What a forget bias keeps",
        question=(
            "PyTorch's forget bias starts near 0, Keras's at 1. How many powers of ten lie between them after "
            "100 steps? From which bias on does the gradient not shrink at all?"
        ),
        answer=(
            "Between thirteen and fourteen powers of ten. From a bias of 2.75 on the LSTM's gradient is larger "
            "at lag 100 than at lag 0: the recurrent path beside the carousel adds to it."
        ),
        knobs=(
            Knob("bias", "forget bias", steps(-1, 6, 0.25), 1.0),
            Knob("lag", "time lag", tuple(range(1, 101)), 100, digits=0),
        ),
        plots=(
            Plot(
                "against the time lag",
                "time lag (steps)",
                "gradient of the memory",
                (
                    Series("one", "", "level", "ink"),
                    Series("carousel", "carousel alone, σ(b) per step", color="ink", dash="dashed"),
                    Series("gru", "GRU, all paths", color="vermilion", dash="dotdash"),
                    Series("lstm", "LSTM, all paths", color="blue"),
                ),
                whole_x=True,
            ),
            Plot(
                "against the bias",
                "bias of the forget or update gate",
                "gradient at this lag",
                (
                    Series("one", "", "level", "ink"),
                    Series("carousel", "", color="ink", dash="dashed"),
                    Series("gru", "", color="vermilion", dash="dotdash"),
                    Series("lstm", "", color="blue"),
                    Series("here", "", "cursor", "ink", "dotted"),
                    Series("points", "this bias", "dots", "blue", size=9),
                ),
            ),
        ),
        grid=lstm_grid,
    ),
    "clipping": Figure(
        title="Descent on the cliff, with a limit on the norm",
        question=(
            "how far can the limit be raised before the descent is thrown further than 5 from its start? And "
            "is there a limit that is too small?"
        ),
        answer=(
            "A thrown step is as long as the limit times the rate, 0.01: the limit 316 throws nothing further than 5, "
            "562 does. The limit 0.1 is too small: all 300 steps together go 0.15 and end before the wall."
        ),
        knobs=(
            Knob(
                "limit",
                "limit on the norm",
                LIMITS,
                10.0,
                texts=(*(f"{v:.0f}" if v >= 10 else f"{v:g}" for v in LIMITS[:-1]), "none"),
            ),
            Knob("offset", "start above the wall by", steps(-0.5, 0.5, 0.02), -0.18),
        ),
        plots=(
            Plot(
                "path over the loss",
                "w",
                "b",
                (
                    Series("wall", "wall", color="ink", dash="dashed"),
                    Series("free", "the same without a limit", color="purple", dash="dotdash"),
                    Series("path", "descent", "path", "vermilion", size=4),
                    Series("start", "start", "dots", "blue", size=11),
                    Series("end", "end", "dots", "green", marker="square", size=10),
                ),
                log_y=False,
                image=cliff_image,
            ),
            Plot(
                "loss",
                "step",
                "loss (cut at 1e−12)",
                (Series("free", "", color="purple", dash="dotdash"), Series("loss", "", color="vermilion")),
            ),
        ),
    ),
    "loss-scale": Figure(
        title="Where a gradient lies in the range of a format",
        question=(
            "twelve layers in float16 lose all of layer 1's gradient. By how many octaves must the loss be "
            "scaled to save nine tenths of it? And which scale saves twenty layers?"
        ),
        answer=(
            "By 11 octaves. Twenty layers would need 28, and by then the last layers lie beyond the largest "
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
        grid=loss_scale_grid,
        replaces=False,
    ),
}
