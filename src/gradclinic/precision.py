r"""Floating-point formats as three integers, and rounding into them by arithmetic in float64.

A binary format has ``p`` significant bits and exponents from ``emin`` to ``emax``. Its finite numbers are the multiples

.. math:: k \, 2^{\max(e,\, e_{\min}) - p + 1}, \qquad |k| < 2^p, \quad e \le e_{\max}

(IEEE 754-2019, section 3.3). Products of two numbers of 11 bits and sums of a few hundred of them are exact in float64
unless their exponents lie far apart, so a matrix product computed in float64 and rounded once is the correctly rounded
product in the small format: what hardware with a wide accumulator aims at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

EXPONENT = 0x7FF0_0000_0000_0000
"""Which bits of a float64 hold its exponent."""


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: ``bits`` significant bits (the leading one included), exponents ``emin`` to
    ``emax``.

    Raises ``ValueError`` for what float64 cannot emulate: 1 to 53 bits, ``-1022 <= emin <= emax <= 1023``.

    >>> from gradclinic.precision import FLOAT16
    >>> FLOAT16.largest, FLOAT16.smallest
    (65504.0, 5.960464477539063e-08)
    >>> float(FLOAT16.round(1e-9)), float(FLOAT16.round(0.1))
    (0.0, 0.0999755859375)
    """

    name: str
    bits: int
    emin: int
    emax: int

    def __post_init__(self) -> None:
        """Refuse formats that are not inside float64."""
        if not 1 <= self.bits <= 53:
            raise ValueError(f"bits: got {self.bits}, wanted 1 to 53 significant bits, those of float64")
        if not -1022 <= self.emin <= self.emax <= 1023:
            raise ValueError(f"emin, emax: got {self.emin}, {self.emax}, wanted -1022 <= emin <= emax <= 1023")

    @property
    def largest(self) -> float:
        """Largest finite number, ``(2 - 2^(1-p)) 2^emax``; values from half a spacing above it on round to inf."""
        return (2.0 - 2.0 ** (1 - self.bits)) * 2.0**self.emax

    @property
    def smallest_normal(self) -> float:
        """Smallest number with all ``p`` bits, ``2^emin``."""
        return 2.0**self.emin

    @property
    def smallest(self) -> float:
        """Smallest positive number, a subnormal with one bit: ``2^(emin-p+1)``. At most half of it rounds to 0."""
        return 2.0 ** (self.emin - self.bits + 1)

    @property
    def epsilon(self) -> float:
        """Distance from 1 to the next number, ``2^(1-p)``; ``1 + u`` with ``|u| <= epsilon / 4`` rounds to 1."""
        return 2.0 ** (1 - self.bits)

    def spacing(self, x: ArrayLike) -> np.ndarray:
        """Distance between the format's numbers at a finite ``x``, ``2^(max(e, emin)-p+1)`` where
        ``2^e <= |x| < 2^(e+1)``; :attr:`smallest` at 0."""
        bits = np.asarray(x, dtype=np.float64).view(np.int64)
        power = (bits & EXPONENT).view(np.float64)  # 2^e: the number without its sign and its digits
        return np.minimum(np.maximum(power, 2.0**self.emin), 2.0**1023) * self.epsilon  # at inf and nan finite, too

    def round(self, x: ArrayLike) -> np.ndarray:
        """Round to the nearest number of the format, ties to the even one, as float64 of the shape of ``x``.

        What reaches half a spacing above :attr:`largest` becomes inf; inf, nan and the sign of zero stay. Equal to a
        cast ``x.astype(np.float16)`` from float64 bit for bit. Subnormals are kept, as by NumPy and PyTorch.
        """
        x = np.asarray(x, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # inf / spacing, nan
            spacing = self.spacing(x)
            rounded = np.rint(x / spacing) * spacing
        return np.where(np.abs(rounded) > self.largest, np.copysign(np.inf, x), rounded)


FLOAT16 = Format("float16", bits=11, emin=-14, emax=15)
BFLOAT16 = Format("bfloat16", bits=8, emin=-126, emax=127)
FLOAT32 = Format("float32", bits=24, emin=-126, emax=127)
FLOAT64 = Format("float64", bits=53, emin=-1022, emax=1023)
