"""What is read off the arrays that go in and come out: scale, range, labels, and whether neighbours agree."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.spatial.distance import cdist

from gradclinic.instrument.readings import TensorReading

NEIGHBOURS = 512  # samples among which nearest neighbours are looked for
ENTRIES = 2**20  # entries of a tensor that are looked at; of a larger one every n-th sample or column


def sampled(array: np.ndarray) -> np.ndarray:
    """A tensor of at most about :data:`ENTRIES` entries: every n-th entry of the later axes of a larger one."""
    if array.size <= ENTRIES or array.ndim == 0:
        return array
    rows = array.reshape(len(array), -1) if len(array) <= ENTRIES else array.reshape(-1, 1)
    rows = rows[:: max(1, math.ceil(len(rows) / ENTRIES))]
    return rows[:, :: max(1, math.ceil(rows.size / ENTRIES))]


def read_tensor(name: str, array: np.ndarray, shape: tuple[int, ...] | None = None) -> TensorReading:
    """Scale, range and columns of an input, target or output; ``array`` ``(batch, ...)`` of any number type.

    ``shape``: of the whole, where ``array`` is a sample of it. Complex numbers are read by their absolute value.
    """
    array = np.asarray(array)
    shape, dtype = tuple(array.shape) if shape is None else tuple(shape), str(array.dtype)
    if array.dtype.kind == "c":
        array = np.abs(array)
    labels = array.dtype.kind in "iub"
    array = sampled(array)
    values = array.astype(np.float64)
    good = values[np.isfinite(values)]
    peak = np.max(np.abs(good), initial=0.0)
    rms = float(peak * np.sqrt(np.mean((good / peak) ** 2))) if peak > 0 else 0.0
    low, high = (float(good.min()), float(good.max())) if good.size else (math.nan, math.nan)
    mean = float(np.mean(good)) if good.size else math.nan
    reading = TensorReading(name, shape, dtype, mean, rms, low, high, int(values.size - good.size))
    if labels and good.size:
        counts = np.unique(array, return_counts=True)[1]
        return dataclasses.replace(reading, classes=len(counts), majority=float(counts.max() / array.size))
    if array.ndim >= 2 and array.shape[0] > 1 and good.size == values.size and good.size:
        columns = values.reshape(len(values), -1)
        sizes = np.sqrt(np.mean((columns / (peak or 1.0)) ** 2, axis=0))
        middle = np.median(sizes[sizes > 0]) if (sizes > 0).any() else 1.0
        constant = int(np.sum(columns.max(axis=0) == columns.min(axis=0)))
        sums = columns.sum(axis=1)
        certain = len(shape) == 2 and columns.shape[1] > 1 and low >= 0 and bool(np.all(np.abs(sums - 1) < 1e-3))
        return dataclasses.replace(
            reading, constant=constant, column_spread=float(sizes.max() / middle), probabilities=certain
        )
    return reading


def _agreement(x: np.ndarray, y: np.ndarray) -> float:
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(y[distances.argmin(axis=1)] == y))


def neighbour_agreement(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Share of samples whose nearest neighbour in ``x`` has the same label, and the share expected by chance.

    ``x``: ``(batch, ...)``, ``y``: ``(batch,)`` integers; the first 512 samples are compared. Images are compared once
    as they are and once by the size of their spectrum, which does not see where in the image a thing is; the better
    agreement counts. ``None`` for fewer than 32 samples, fewer than four samples to a class, a single class or an
    ``x`` that is not finite.
    """
    x, y = np.asarray(x)[:NEIGHBOURS], np.asarray(y)[:NEIGHBOURS]
    if x.dtype.kind != "f" or x.ndim < 2 or y.shape != x.shape[:1] or len(y) < 32 or not np.isfinite(x).all():
        return None
    shares = np.unique(y, return_counts=True)[1] / len(y)
    if len(shares) < 2 or len(y) < 4 * len(shares):
        return None
    step = max(1, math.ceil(x[0].size / 4096))  # of a large image every n-th entry
    x = x.astype(np.float64)
    agree = _agreement(x.reshape(len(x), -1)[:, ::step], y)
    if x.ndim >= 3:
        spectrum = np.abs(np.fft.fftn(x, axes=tuple(range(1, x.ndim))))
        agree = max(agree, _agreement(spectrum.reshape(len(x), -1)[:, ::step], y))
    return agree, float(np.sum(shares**2))
