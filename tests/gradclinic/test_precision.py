"""Rounding by arithmetic against the casts of NumPy, ml_dtypes and PyTorch, bit for bit."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import ml_dtypes
import numpy as np
import pytest
import torch

from gradclinic.precision import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Format

E5M2 = Format("E5M2", bits=3, emin=-14, emax=15)


def all_of(dtype: type) -> np.ndarray:
    """Every finite number of a 16-bit type, in order."""
    with np.errstate(invalid="ignore"):  # a signalling nan among the patterns
        values = np.arange(2**16, dtype=np.uint16).view(dtype).astype(np.float64)
    return np.unique(values[np.isfinite(values)])


def around(values: np.ndarray) -> np.ndarray:
    """The numbers, the midpoints between neighbours, and the float64 on either side of each midpoint."""
    middle = (values[1:] + values[:-1]) / 2
    return np.concatenate([values, middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)])


@pytest.mark.parametrize(("fmt", "dtype"), [(FLOAT16, np.float16), (BFLOAT16, ml_dtypes.bfloat16)])
def test_every_number_is_kept_and_the_ends_are_the_types_own(fmt, dtype):
    values = all_of(dtype)
    np.testing.assert_array_equal(fmt.round(values), values)
    assert (fmt.largest, fmt.smallest) == (values[-1], values[values > 0][0])
    info = ml_dtypes.finfo(dtype)
    assert (fmt.epsilon, fmt.smallest_normal) == (float(info.eps), float(info.smallest_normal))


def test_float16_is_numpys_cast_between_all_neighbours():
    values = np.concatenate(
        [around(all_of(np.float16)), [65519.999, 65520.0, 1e300, 5e-324, 0.0, -0.0, np.inf, np.nan]]
    )
    with np.errstate(over="ignore"):
        cast = values.astype(np.float16).astype(np.float64)
    ours = FLOAT16.round(values)
    np.testing.assert_array_equal(ours, cast)
    np.testing.assert_array_equal(np.signbit(ours[:-1]), np.signbit(cast[:-1]))  # the sign of nan means nothing


def test_e5m2_is_ml_dtypes_cast():
    values = around(all_of(np.float16)).astype(np.float32)
    values = values[np.abs(values) < 61440]  # above, ml_dtypes and IEEE 754 differ in what becomes inf
    cast = values.astype(ml_dtypes.float8_e5m2).astype(np.float64)
    np.testing.assert_array_equal(E5M2.round(values), cast)


def test_bfloat16_is_the_cast_of_both_libraries():
    rng = np.random.default_rng(0)
    values = (rng.choice([-1, 1], 10**5) * np.exp(rng.uniform(-95, 88, 10**5))).astype(np.float32)
    np.testing.assert_array_equal(BFLOAT16.round(values), values.astype(ml_dtypes.bfloat16).astype(np.float64))
    np.testing.assert_array_equal(BFLOAT16.round(values), torch.tensor(values).bfloat16().double().numpy())


def test_float32_is_numpys_cast_and_float64_the_identity():
    rng = np.random.default_rng(1)
    values = rng.standard_normal(10**5) * np.exp(rng.uniform(-103, 87, 10**5))
    with np.errstate(under="ignore"):
        np.testing.assert_array_equal(FLOAT32.round(values), values.astype(np.float32).astype(np.float64))
    np.testing.assert_array_equal(FLOAT64.round([*values, 5e-324, 1.7e308]), [*values, 5e-324, 1.7e308])


@pytest.mark.parametrize("fmt", [FLOAT16, BFLOAT16, FLOAT32, E5M2], ids=lambda fmt: fmt.name)
def test_thresholds_of_the_docstrings(fmt):
    half = fmt.smallest / 2
    assert fmt.round(half) == 0
    assert fmt.round(np.nextafter(half, 1)) == fmt.smallest
    edge = fmt.largest + 2.0 ** (fmt.emax - fmt.bits)  # half a spacing above
    assert fmt.round(edge) == math.inf
    assert fmt.round(np.nextafter(edge, 0)) == fmt.largest
    assert fmt.round(1 + fmt.epsilon / 4) == 1
    assert fmt.round(1 + fmt.epsilon) == 1 + fmt.epsilon
    assert fmt.spacing(0) == fmt.spacing(fmt.smallest_normal) == fmt.smallest
    assert fmt.spacing(1) == fmt.spacing(-1.99) == fmt.epsilon


def test_the_ends_of_the_larger_formats_are_numpys():
    for fmt, info in ((FLOAT32, np.finfo(np.float32)), (FLOAT64, np.finfo(np.float64))):
        assert fmt.largest == float(info.max)
        assert fmt.smallest_normal == float(info.smallest_normal)
        assert fmt.smallest == float(info.smallest_subnormal)
        assert fmt.epsilon == float(info.eps)


def test_a_format_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        FLOAT16.bits = 12


def test_the_shape_is_kept():
    assert FLOAT16.round(1.0).shape == ()
    assert FLOAT16.round(np.ones((2, 3))).shape == (2, 3)


def test_a_product_rounded_once_is_the_product_of_half_tensors():
    """One unit in the last place at most: the library adds up in float32, in an order of its own."""
    rng = np.random.default_rng(2)
    a, w = (FLOAT16.round(rng.standard_normal(shape)) for shape in ((50, 64), (64, 32)))
    ours = FLOAT16.round(a @ w)
    theirs = (torch.tensor(a).half() @ torch.tensor(w).half()).double().numpy()
    assert np.mean(ours != theirs) < 0.01
    assert (np.abs(ours - theirs) <= FLOAT16.spacing(ours)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 0, "emin": -14, "emax": 15}, "bits: got 0"),
        ({"bits": 54, "emin": -14, "emax": 15}, "bits: got 54"),
        ({"bits": 8, "emin": 3, "emax": 2}, "emin, emax: got 3, 2"),
        ({"bits": 8, "emin": -1030, "emax": 2}, "emin, emax: got -1030, 2"),
        ({"bits": 8, "emin": -1023, "emax": 2}, "emin, emax: got -1023, 2"),
        ({"bits": 8, "emin": 0, "emax": 1024}, "emin, emax: got 0, 1024"),
    ],
)
def test_formats_outside_float64_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Format("none", **arguments)
