"""Figures of the course: each function draws one idea on an ``ax`` and returns it.

Functions take arrays or profiles, never models. Call :func:`use_style` once per chapter.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any, Protocol

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from gradclinic.measure import GradientProfile

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
MARKERS = "osD^vPX"  # a second cue beside colour


def use_style() -> None:
    """Apply the course's style sheet, ``gradclinic.mplstyle``, to every figure made from here on.

    In a notebook a figure is drawn with two dots for each pixel of its size, so that it is sharp on a dense screen; one
    inch stays 100 px wide.

    >>> import matplotlib.pyplot as plt
    >>> from gradclinic import plots
    >>> with plt.rc_context():
    ...     plots.use_style()
    ...     print(plt.rcParams["axes.prop_cycle"].by_key()["color"][0])
    #0072B2
    """
    plt.style.use(str(files("gradclinic") / "gradclinic.mplstyle"))
    if "ipykernel" in sys.modules:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


def profiles(profiles: Mapping[str, GradientProfile], ax: Axes, *, quantity: str = "delta", band: bool = True) -> Axes:
    """Size of the gradient against the layer, log scale, one line per labelled profile.

    ``quantity``: ``"delta"`` or ``"weight"``. An ensemble is drawn as its median with a band from the 10th to the 90th
    percentile. Zeros, which a log axis cannot show, are drawn as open markers on the lower edge.

    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from gradclinic import measure, plots
    >>> delta = np.array([1e-4, 1e-2, 1.0])
    >>> found = measure.GradientProfile(("1", "2", "3"), delta, weight=np.ones(3))
    >>> plots.profiles({"sigmoid": found}, plt.figure().subplots()).get_yscale()
    'log'
    """
    if quantity not in ("delta", "weight"):
        raise ValueError(f"quantity: got {quantity!r}, wanted 'delta' or 'weight'")
    ax.set_yscale("log")
    for i, (label, profile) in enumerate(profiles.items()):
        values = getattr(profile, quantity)
        rows = values.reshape(-1, values.shape[-1])
        layers = np.arange(1, rows.shape[-1] + 1)
        middle = np.median(rows, axis=0)
        marker = MARKERS[i % len(MARKERS)] if len(layers) <= 40 else None
        (line,) = ax.plot(layers, np.where(middle > 0, middle, np.nan), marker=marker, label=label)
        if band and len(rows) > 1:
            low, high = np.percentile(rows, [10, 90], axis=0)
            ax.fill_between(layers, np.where(low > 0, low, np.nan), high, color=line.get_color(), alpha=0.2, lw=0)
        zeros = layers[middle == 0]
        if zeros.size:
            edge = np.full(zeros.shape, 0.02)
            ax.plot(zeros, edge, "o", mfc="white", color=line.get_color(), transform=ax.get_xaxis_transform())
    ax.set_xlabel("layer (1 is next to the input)")
    ax.set_ylabel("norm of dC/dz" if quantity == "delta" else "norm of dC/dW")
    ax.legend()
    return ax


def report(
    names: Sequence[str], delta: np.ndarray, weight: np.ndarray, activation: np.ndarray, ax: Axes | None = None
) -> Axes:
    """Readings of a probe against the layer, log scale: delta, norm of the weight gradient, rms of the activation.

    All arrays ``(L,)``; ``nan`` where a layer has no such reading. Zeros are open markers on the lower edge, what is
    infinite an open marker on the upper one. ``ax=None`` makes a new figure.

    >>> import numpy as np
    >>> from gradclinic import plots
    >>> delta, ones = np.array([0.1, 1.0]), np.ones(2)
    >>> plots.report(("1", "2"), delta, weight=ones, activation=ones).get_yscale()
    'log'
    """
    ax = plt.subplots()[1] if ax is None else ax
    ax.set_yscale("log")
    layers = np.arange(1, len(names) + 1)
    for i, (label, values) in enumerate(
        {"delta": delta, "weight gradient": weight, "activation (rms)": activation}.items()
    ):
        values = np.asarray(values, dtype=np.float64)
        fine = np.isfinite(values) & (values > 0)
        marker = MARKERS[i] if len(names) <= 40 else None
        (line,) = ax.plot(layers[fine], values[fine], marker=marker, ls=("-", "--", ":")[i], label=label)
        for edge, at in ((0.02, values == 0), (0.98, np.isinf(values))):
            style = {"mfc": "white", "color": line.get_color(), "transform": ax.get_xaxis_transform()}
            ax.plot(layers[at], np.full(at.sum(), edge), MARKERS[i], **style)
    if len(names) <= 20:
        ax.set_xticks(layers, names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        ax.set_xlabel("layer, in order of computation")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


def watched(
    steps: Sequence[int], names: Sequence[str], values: np.ndarray, ax: Axes | None = None, *, label: str = "delta"
) -> Axes:
    """One quantity of each layer against the training step, log scale; ``values`` ``(steps, L)``.

    From first layer to last the lines go from dark to light, and the two ends are named. ``ax=None`` makes a new
    figure.

    >>> import numpy as np
    >>> from gradclinic import plots
    >>> delta = np.array([[0.1, 1.0], [0.2, 1.0]])
    >>> plots.watched([0, 10], ("1", "2"), delta).get_xlabel()
    'training step'
    """
    ax = plt.subplots()[1] if ax is None else ax
    ax.set_yscale("log")
    colors = mpl.colormaps["cividis"](np.linspace(0, 0.85, len(names)))
    for i, name in enumerate(names):
        fine = np.isfinite(values[:, i]) & (values[:, i] > 0)
        end = i in (0, len(names) - 1)
        style: dict[str, Any] = {"marker": MARKERS[min(i, 1)], "label": name, "lw": 2.2} if end else {"lw": 1.0}
        ax.plot(np.asarray(steps)[fine], values[fine, i], color=colors[i], **style)
    ax.set_xlabel("training step")
    ax.set_ylabel(label)
    ax.legend()
    return ax


class TrainingRun(Protocol):
    """What :func:`curves` draws: ``steps`` ``(T,)``, ``loss`` and ``accuracy`` ``(T, seeds)``."""

    steps: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray


def curves(runs: Mapping[str, TrainingRun], ax: Axes, *, quantity: str = "accuracy") -> Axes:
    """Accuracy or loss against the training step, one line per labelled run: median over seeds, band from the lowest
    to the highest.

    ``quantity``: ``"accuracy"`` (from 0 to 1, chance of ten classes dotted) or ``"loss"``, on a log scale. Steps are
    on a log scale from 1 on, with step 0, before training, at the left end. A seed whose loss is no number is left out
    of the band; a line ends where the median is none. Lines differ in colour, dashes and markers.

    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from gradclinic import plots
    >>> steps, ones = np.array([0, 1, 10]), np.ones((3, 5))
    >>> run = SimpleNamespace(steps=steps, loss=ones, accuracy=0.9 * ones)
    >>> plots.curves({"plain": run}, plt.figure().subplots()).get_ylabel()
    'test accuracy'
    """
    if quantity not in ("accuracy", "loss"):
        raise ValueError(f"quantity: got {quantity!r}, wanted 'accuracy' or 'loss'")
    for i, (label, run) in enumerate(runs.items()):
        steps, values = np.asarray(run.steps), np.asarray(getattr(run, quantity), dtype=np.float64)
        middle = np.median(values, axis=1)  # nan where a seed is nan: then half of a story would be drawn
        bounded = np.where(np.isfinite(values), values, np.nan)
        low, high = np.fmin.reduce(bounded, axis=1), np.fmax.reduce(bounded, axis=1)
        style = {"ls": ("-", "--", "-.", ":")[i % 4], "marker": MARKERS[i % len(MARKERS)], "markevery": (i, 6)}
        (line,) = ax.plot(steps, middle, label=label, **style)
        ax.fill_between(steps, low, high, color=line.get_color(), alpha=0.18, lw=0)
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    decades = [10**k for k in range(5) if 10**k <= max(np.max(run.steps) for run in runs.values())]
    ax.set_xticks([0, *decades], ["0", *(f"{step:,}".replace(",", "\N{THIN SPACE}") for step in decades)])
    ax.set_xlabel("training step")
    if quantity == "accuracy":
        ax.axhline(0.1, color="0.45", ls=":", lw=1.1, zorder=1)
        ax.set(ylim=(0, 1), ylabel="test accuracy")
    else:
        ax.set(yscale="log", ylabel="training loss")
    ax.legend()
    return ax


def named_points(points: Sequence[tuple[float, float, str]], ax: Axes, *, gap: float = 0.062) -> Axes:
    """Points ``(x, y, name)``, each joined by a thin line to its name in a column right of the axes.

    Call it when scales and limits of ``ax`` are set. The names keep the order of the points' heights and stand at
    least ``gap`` of the axes' height apart, so that none covers another. Raises ``ValueError`` where they do not fit.

    >>> import matplotlib.pyplot as plt
    >>> from gradclinic import plots
    >>> points = [(1.0, 1.0, "one"), (2.0, 1.01, "another")]
    >>> ax = plots.named_points(points, plt.figure().subplots())
    >>> sorted(text.get_text() for text in ax.texts)
    ['another', 'one']
    """
    if (len(points) - 1) * gap > 1:
        raise ValueError(f"gap: got {gap} for {len(points)} names, wanted at most {1 / (len(points) - 1):.3f}")
    ax.plot([x for x, _, _ in points], [y for _, y, _ in points], "o", color=BLUE, ms=6)
    to_axes = ax.transData + ax.transAxes.inverted()
    ordered = sorted(points, key=lambda point: (point[1], point[0]))
    heights: list[float] = []
    for x, y, _ in ordered:  # upwards: each at its point's height, or just above the name below
        wanted = to_axes.transform((x, y))[1]
        heights.append(max(wanted, heights[-1] + gap) if heights else wanted)
    top = 1.0
    for i in reversed(range(len(heights))):  # and down again where the column has grown out of the axes
        heights[i] = min(heights[i], top)
        top = heights[i] - gap
    for (x, y, name), height in zip(ordered, heights, strict=True):
        ax.annotate(
            name,
            (x, y),
            (1.02, height),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            arrowprops={"arrowstyle": "-", "lw": 0.6, "color": "0.6", "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)},
        )
    return ax


def stacked_factors(rows: Mapping[str, Mapping[str, float]], ax: Axes) -> Axes:
    """Products as stacked bars on a log10 scale: how many powers of ten each named factor takes away.

    ``rows``: label of the bar -> {label of the factor: value in (0, 1]}. The whole bar is the product.

    >>> import matplotlib.pyplot as plt
    >>> from gradclinic import plots
    >>> rows = {"patient A": {"slopes": 1e-6, "weights": 0.1}}
    >>> ax = plots.stacked_factors(rows, plt.figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['patient A']
    """
    hatches = ["", "//", "..", "xx", "\\\\", "++", "oo"]
    names = list(next(iter(rows.values())))
    colors = [BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE, BLACK]
    for y, factors in enumerate(rows.values()):
        left = 0.0
        for i, name in enumerate(names):
            if not 0 < factors[name] <= 1:
                raise ValueError(f"rows: got {name} = {factors[name]}, wanted a factor in (0, 1]")
            width = -np.log10(factors[name])
            ax.barh(
                y,
                width,
                left=left,
                color=colors[i % len(colors)],
                hatch=hatches[i % len(hatches)],
                edgecolor="white",
                label=name if y == 0 else None,
            )
            if width > 0.18:
                box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}
                ax.text(left + width / 2, y, f"{width:.2f}", ha="center", va="center", fontsize=9, bbox=box)
            left += width
        ax.text(left + 0.04, y, f"= {left:.2f}", va="center")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("powers of ten lost (minus log10 of each factor)")
    ax.legend(ncols=min(4, len(names)), loc="upper left", bbox_to_anchor=(0, -0.24))
    return ax


def theory_line(x: Sequence[float], y: Sequence[float], ax: Axes, label: str = "theory") -> Axes:
    """A prediction: black and dashed, thin enough to leave what is measured in sight.

    >>> import matplotlib.pyplot as plt
    >>> from gradclinic import plots
    >>> ax = plots.theory_line(
    ...     [1, 2, 3], [0.25, 0.0625, 0.015625], plt.figure().subplots()
    ... )
    >>> ax.lines[0].get_linestyle()
    '--'
    """
    ax.plot(x, y, color=BLACK, ls="--", lw=1.2, zorder=3, label=label)
    return ax


def heatmap(
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    ax: Axes,
    *,
    contour: float | None = None,
    label: str = "",
    **options: Any,
) -> Axes:
    """``values[j, i]`` at ``(x[i], y[j])`` as colours with a bar; ``contour`` draws one level as a white line on
    black.

    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from gradclinic import plots
    >>> x, y = np.linspace(-1, 1, 5), np.linspace(0, 1, 4)
    >>> ax = plots.heatmap(
    ...     x, y, x * y[:, None], plt.figure().subplots(), label="x y"
    ... )
    >>> len(ax.figure.axes)
    2
    """
    mesh = ax.pcolormesh(x, y, values, shading="auto", rasterized=True, **options)
    ax.figure.colorbar(mesh, ax=ax, label=label)
    if contour is not None:
        for color, width in (("black", 3.2), ("white", 1.6)):
            ax.contour(x, y, values, levels=[contour], colors=color, linewidths=width)
    ax.grid(visible=False)
    return ax


def network(
    labels: Sequence[Sequence[str]], weights: Sequence[np.ndarray], ax: Axes, *, backward: bool = False
) -> Axes:
    """A perceptron drawn unit by unit: ``labels[l][i]`` is written in unit ``i`` of column ``l``, input first.

    ``weights[l]`` ``(n_{l+1}, n_l)`` joins column ``l`` to column ``l + 1``: a line as thick as ``|w|``, blue and full
    where ``w > 0``, vermilion and dashed where ``w < 0``. Arrowheads point to the output, or with ``backward`` to the
    input: the same lines carry both passes. Raises ``ValueError`` where labels and weights do not fit.

    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from gradclinic import plots
    >>> labels, weights = [["x"], ["h1", "h2"]], [np.array([[0.5], [-1.0]])]
    >>> ax = plots.network(labels, weights, plt.figure().subplots())
    >>> [text.get_text() for text in ax.texts if text.get_text()]
    ['x', 'h1', 'h2']
    """
    shapes = [np.shape(w) for w in weights]
    wanted = [(len(right), len(left)) for left, right in pairwise(labels)]
    if shapes != wanted:
        raise ValueError(f"weights: got shapes {shapes}, wanted {wanted}, one matrix between any two columns")
    places = [
        [(2.2 * column, (len(units) - 1) / 2 - i) for i in range(len(units))] for column, units in enumerate(labels)
    ]
    largest = max(np.abs(w).max() for w in weights)
    for (left, right), w in zip(pairwise(places), weights, strict=True):
        for (j, i), value in np.ndenumerate(w):
            tail, head = (right[j], left[i]) if backward else (left[i], right[j])
            line = {"color": BLUE, "ls": "-"} if value > 0 else {"color": VERMILION, "ls": (0, (4, 2))}
            line |= {"lw": 0.4 + 2.6 * abs(value) / largest, "arrowstyle": "-|>", "mutation_scale": 9}
            ax.annotate("", head, tail, arrowprops=line | {"shrinkA": 19, "shrinkB": 19}, zorder=1)
    for column, units in zip(places, labels, strict=True):
        for (x, y), text in zip(column, units, strict=True):
            ax.add_patch(Circle((x, y), 0.36, fc="white", ec=BLACK, lw=1.2, zorder=2))
            ax.text(x, y, text, ha="center", va="center", fontsize=8.5, zorder=3)
    tallest = max(len(units) for units in labels)
    ax.set(xlim=(-0.5, 2.2 * (len(labels) - 1) + 0.5), ylim=(-tallest / 2 - 0.1, tallest / 2 + 0.1), aspect="equal")
    ax.axis("off")
    return ax


def heat_table(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    ax: Axes,
    *,
    texts: Sequence[Sequence[str]] | None = None,
    vmin: float,
    vmax: float,
    cmap: str = "cividis",
) -> Axes:
    """A table whose cells carry a colour and a text: ``values`` ``(len(rows), len(columns))`` within ``[vmin, vmax]``.

    ``texts``: what stands in each cell, the value with two significant digits if ``None``. The text is black or white,
    whichever reads better on the cell, so that the table says the same without its colours.

    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from gradclinic import plots
    >>> values, ax = np.array([[0.1, 0.9]]), plt.figure().subplots()
    >>> ax = plots.heat_table(
    ...     values, ["sigmoid"], ["plain", "cured"], ax, vmin=0, vmax=1
    ... )
    >>> [text.get_text() for text in ax.texts]
    ['0.1', '0.9']
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"values: got shape {values.shape}, wanted {(len(rows), len(columns))}, rows by columns")
    image = ax.imshow(np.clip(values, vmin, vmax), cmap=cmap, vmin=vmin, vmax=vmax, aspect="auto")
    for j, i in np.ndindex(values.shape):
        red, green, blue, _ = image.cmap(image.norm(np.clip(values[j, i], vmin, vmax)))
        ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "white"
        text = f"{values[j, i]:.2g}" if texts is None else str(texts[j][i])
        ax.text(i, j, text, ha="center", va="center", color=ink, fontsize=9)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax
