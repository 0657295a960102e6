"""Numbers said coarsely, for trainings that make rounding matter.

The same program rounds its sums differently on different processors. Most trainings forget that; one near the edge of
stability, or with a gradient that explodes, doubles the difference again and again, until the second digit of its
result is another one. What holds on every processor is on which side of two values, wide apart, the result lies.
"""

from __future__ import annotations


def side(value: float, low: float, high: float, digits: int | None = None) -> str:
    """Return ``"below <low>"``, ``"above <high>"``, or, between the two, ``"<low> to <high>"``.

    digits: the value itself, with so many decimals, where it lies above ``high``: for a training that forgets rounding
    once it has learned. ValueError unless low < high.
    """
    if not low < high:
        raise ValueError(f"got low {low} and high {high}, wanted low < high: a single border is soon crossed")
    if value > high:
        return f"above {high:g}" if digits is None else f"{value:.{digits}f}"
    if value < low:
        return f"below {low:g}"
    return "not a number" if value != value else f"{low:g} to {high:g}"


def count(number: float, low: int, high: int) -> str:
    """Return ``"at most <low>"``, ``"at least <high>"``, or, between the two, ``"<low + 1> to <high - 1>"``; ``"none"``
    for 0 where ``low`` is 0.

    ValueError unless low + 1 < high: neighbouring counts are one network apart.
    """
    if not low + 1 < high:
        raise ValueError(f"got low {low} and high {high}, wanted low + 1 < high: a single border is soon crossed")
    if number >= high:
        return f"at least {high}"
    if number > low:
        return f"{low + 1} to {high - 1}"
    return f"at most {low}" if low else "none"
