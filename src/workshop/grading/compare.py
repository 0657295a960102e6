"""`close`: how a hidden check compares numbers. It demands form before it looks at values.

`np.allclose` broadcasts, so `np.zeros((0, 1))` equals every array and a single number equals a whole table of it; its
absolute tolerance of 1e-8 hides every answer that is small; and two NaN or two infinities agree under `equal_nan`. An
answer without any science earned points by each of these. Here the answer must have the shape of what is wanted, be
made of finite numbers, and be near it on its own scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NUMBERS = (int, float, complex, np.number)


def close(found: Any, wanted: Any, rtol: float = 1e-9, *, floor: float = 1e-12) -> bool:
    """Return True where `found` is `wanted` up to rounding; AssertionError, which says how it differs, where it is not.

    found: what a student's function returned: a number, an array, or lists of them. wanted: the number, array, or list
    or tuple of arrays of any shapes, from trusted code; it must be finite (compare infinities by `==`).

    An entry may differ by `rtol` times the wanted entry, plus `floor` times the largest wanted entry of its array: what
    float64 loses where terms cancel. So an array of zeros is met by zeros alone. Integers and truth values must be
    equal; real numbers where complex ones are wanted are fine, the other way round they are not.
    """
    if isinstance(wanted, list | tuple) and not all(isinstance(part, NUMBERS) for part in wanted):
        if not isinstance(found, list | tuple | np.ndarray):
            raise AssertionError(f"got {kind(found)}, wanted a list of {len(wanted)}")
        if len(found) != len(wanted):
            raise AssertionError(f"got {len(found)} parts, wanted {len(wanted)}")
        return all(close(*pair, rtol, floor=floor) for pair in zip(found, wanted, strict=True))
    right = np.asarray(wanted)
    if right.dtype.kind not in "biufc" or not np.all(np.isfinite(right)):
        raise AssertionError(f"wanted holds {right.dtype} or is not finite: nothing is close to that")
    left = as_array(found)
    if left.shape != right.shape:
        raise AssertionError(f"got the shape {left.shape}, wanted {right.shape}")
    if (left.dtype.kind == "b") != (right.dtype.kind == "b") or (left.dtype.kind == "c" and right.dtype.kind != "c"):
        raise AssertionError(f"got {left.dtype}, wanted {right.dtype}")
    if not np.all(np.isfinite(left)):
        raise AssertionError(f"{np.count_nonzero(~np.isfinite(left))} of {left.size} entries are not finite")
    if right.dtype.kind in "biu":
        differ = left != right
    else:
        size = np.abs(right)
        allowed = rtol * size + floor * size.max(initial=0.0)
        with np.errstate(over="ignore"):
            differ = ~(np.abs(left - right) <= allowed)
    if np.any(differ):
        at = tuple(int(i) for i in np.argwhere(differ)[0])
        raise AssertionError(
            f"{np.count_nonzero(differ)} of {left.size} entries differ: got {left[at]:.6g}, wanted {right[at]:.6g}"
            + (f" at {at}" if at else "")
        )
    return True


def as_array(found: Any) -> np.ndarray:
    """Return an answer as an array of numbers; AssertionError where it is none."""
    try:
        array = np.asarray(found)
    except (ValueError, TypeError, OverflowError):
        raise AssertionError(f"got {kind(found)} of parts that make no array") from None
    if array.dtype.kind not in "biufc":
        raise AssertionError(f"got {kind(found)}, wanted numbers")
    return array


def kind(found: Any) -> str:
    """Return what an answer is, in two words."""
    return "nothing" if found is None else f"a {type(found).__name__}"
