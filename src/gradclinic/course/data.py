"""Data without a download: handwritten digits from scikit-learn's wheel, planar sets, and sequence tasks.

Everything is float64, labels are integers, and random numbers come from the generator that is passed in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Split(NamedTuple):
    """Inputs ``(n, features)`` and integer labels ``(n,)``, for training and for testing."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def _check_at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: got {value!r} of type {type(value).__name__}, wanted an integer")
    if value < least:
        raise ValueError(f"{name}: got {value}, wanted at least {least}")


def digits(n_train: int = 1000, n_test: int = 500, rng: np.random.Generator | None = None) -> Split:
    """Handwritten digits, 8 x 8 pixels, ten classes: 1797 images (Alpaydin & Kaynak 1998;
    ``sklearn.datasets.load_digits``).

    The images are shuffled by ``rng`` (``np.random.default_rng(0)`` where none is given), then cut. Each of
    the 64 pixels is standardised by the mean and standard deviation of the training part; a pixel that is
    constant there is 0 throughout.
    """
    from sklearn.datasets import load_digits  # slow to import, and only needed here

    _check_at_least("n_train", n_train, 1)
    _check_at_least("n_test", n_test, 0)
    given: Any = load_digits(return_X_y=True)
    x, y = given
    if n_train + n_test > len(x):
        raise ValueError(f"n_train: got {n_train} + n_test {n_test} images, wanted at most {len(x)}")
    rng = np.random.default_rng(0) if rng is None else rng
    order = rng.permutation(len(x))[: n_train + n_test]
    x, y = x[order].astype(np.float64), y[order].astype(np.int64)
    mean, std = x[:n_train].mean(axis=0), x[:n_train].std(axis=0)
    x = np.where(std > 0, (x - mean) / np.where(std > 0, std, 1.0), 0.0)
    return Split(x[:n_train], y[:n_train], x[n_train:], y[n_train:])


def two_moons(n: int, rng: np.random.Generator, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved half circles of radius 1, normal noise: ``x`` ``(n, 2)``, labels 0 and 1 ``(n,)``, shuffled."""
    _check_at_least("n", n, 2)
    y = rng.permutation(np.arange(n) % 2)
    angle = rng.uniform(0, np.pi, n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(y[:, None] == 0, upper, lower) + noise * rng.standard_normal((n, 2)), y


def spirals(
    n: int, rng: np.random.Generator, *, classes: int = 2, turns: float = 1.5, noise: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Interleaved spiral arms from 0 to radius 1: ``x`` ``(n, 2)``, labels ``0 ... classes - 1`` ``(n,)``, shuffled."""
    _check_at_least("classes", classes, 2)
    _check_at_least("n", n, classes)
    y = rng.permutation(np.arange(n) % classes)
    radius = np.sqrt(rng.uniform(0, 1, n))  # even density over the disc
    angle = 2 * np.pi * (turns * radius + y / classes)
    arm = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return arm + noise * rng.standard_normal((n, 2)), y


def adding_problem(n: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Remember two marked numbers and add them (Hochreiter & Schmidhuber 1997, task 4, as in Le et al. 2015).

    ``x`` ``(n, length, 2)``: feature 0 uniform in [0, 1], feature 1 a marker, 1 at one step of either half
    and 0 elsewhere. ``y`` ``(n, 1)``: the sum of the two marked numbers. Always answering 1 has mean squared
    error 1/6.
    """
    _check_at_least("n", n, 1)
    _check_at_least("length", length, 2)
    rows, half = np.arange(n), length // 2
    first, second = rng.integers(0, half, n), rng.integers(half, length, n)
    x = np.zeros((n, length, 2))
    x[..., 0] = rng.uniform(0, 1, (n, length))
    x[rows, first, 1] = x[rows, second, 1] = 1.0
    return x, (x[rows, first, 0] + x[rows, second, 0])[:, None]


def latch(n: int, length: int, rng: np.random.Generator, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Store one bit against noise (Bengio, Simard & Frasconi 1994, section III, with the bit in one step).

    ``x`` ``(n, length, 1)``: +1 or -1 at step 0, then normal noise of standard deviation ``noise``. ``y``
    ``(n,)``: 1 for +1, 0 for -1. The answer is read at the last step.
    """
    _check_at_least("n", n, 1)
    _check_at_least("length", length, 1)
    y = rng.integers(0, 2, n)
    x = noise * rng.standard_normal((n, length, 1))
    x[:, 0, 0] = 2 * y - 1
    return x, y


def temporal_order(n: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tell in which order two symbols came (Hochreiter & Schmidhuber 1997, task 6a, as in Pascanu et al.
    2013, section 4).

    ``x`` ``(n, length, 6)``: one-hot symbols; 0 and 1 are A and B, 2 to 5 are distractors. One of A, B stands
    in ``[length/10, 2 length/10)``, another in ``[4 length/10, 5 length/10)``. ``y`` ``(n,)``: AA 0, AB 1, BA
    2, BB 3.
    """
    _check_at_least("n", n, 1)
    _check_at_least("length", length, 10)
    rows = np.arange(n)
    symbols = rng.integers(2, 6, (n, length))
    early = rng.integers(length // 10, 2 * length // 10, n)
    late = rng.integers(4 * length // 10, 5 * length // 10, n)
    first, second = rng.integers(0, 2, (2, n))
    symbols[rows, early], symbols[rows, late] = first, second
    return np.eye(6)[symbols], 2 * first + second
