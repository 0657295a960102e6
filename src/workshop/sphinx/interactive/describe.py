"""What a file of ``figures/`` says about its figure: knobs, what the plots look like, questions, a grid.

A grid holds the numbers that have no closed form. gradclinic computes it when the site is built, in well under a second
and without torch; or, as ``slow_grid``, when ``python -m workshop.grids`` writes it beside the figure: see ``stored``.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


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
    """The axes of one plot. ``x_names``: a name for each place on the x axis that gets a tick. ``image``: values drawn
    behind everything, with the corners (x, y, width, height)."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_y: bool = True
    whole_x: bool = False
    x_names: dict[int, str] | None = None
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


def settled(values):
    """A list without the repetitions at its end."""
    last = len(values)
    while last > 1 and values[last - 2] == values[-1]:
        last -= 1
    return values[:last]


def stored(file):
    """The grid of the figure described in ``file``, from the file that ``python -m workshop.grids`` wrote beside it."""
    return lambda: json.loads(Path(file).with_suffix(".json").read_text(encoding="utf-8"))
