"""The instrument: what to read off a network's gradients, whichever framework computed them.

Everything here takes plain arrays. ``torch_net.profile`` and ``tf_net.profile`` collect the arrays and end in
:func:`profile_from`, so the three frameworks share every definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from gradclinic import activations

Verdict = Literal["vanishing", "healthy", "exploding", "non-finite"]
DECADES = 2.0  # a profile that falls or rises by more than this many powers of ten from end to end is unstable


@dataclass(frozen=True)
class GradientProfile:
    r"""Size of the gradient in each layer, from input (index 0) to output (index ``L - 1``).

    ``delta[l]``: :math:`\sqrt{\mathrm{mean}_i \lVert \partial C_i/\partial z_l \rVert_2^2}`, the rms over samples of
    the L2 norm over units. In a random network of weight variance ``sigma_w^2 / fan_in`` it grows towards the input by
    ``theory.layer_factor`` per layer, also where widths change. ``weight[l]``: Frobenius norm of
    :math:`\partial C/\partial W_l` for the batch mean ``C``. Shapes ``(L,)``; an ensemble adds leading axes.
    """

    names: tuple[str, ...]
    delta: np.ndarray
    weight: np.ndarray
    loss: np.ndarray | float = np.nan

    def __post_init__(self) -> None:
        """Refuse profiles whose parts do not belong together."""
        for name in ("delta", "weight"):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.ndim < 1 or array.shape[-1] != len(self.names):
                raise ValueError(
                    f"{name}: got shape {array.shape}, wanted (..., {len(self.names)}), one entry per layer"
                )
            object.__setattr__(self, name, array)

    @property
    def ratios(self) -> np.ndarray:
        """Single steps towards the input: ``delta[l] / delta[l + 1]``, shape ``(..., L - 1)``."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.delta[..., :-1] / self.delta[..., 1:]

    @property
    def factor(self) -> float | np.ndarray:
        """Geometric mean of the steps towards the input, ``(delta[0] / delta[-1]) ** (1 / (L - 1))``.

        Below 1 the gradient shrinks per layer, above 1 it grows. A ``float``; an array ``(...)`` for an ensemble;
        ``nan`` for a single layer or where the output's own gradient is 0.
        """
        steps = len(self.names) - 1
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            logs = np.log(self.delta[..., 0]) - np.log(self.delta[..., -1])
            value = np.exp(logs / steps) if steps else np.full_like(logs, np.nan)
        return float(value) if value.ndim == 0 else value

    @property
    def verdicts(self) -> np.ndarray:
        """The verdict of each member of an ensemble, an array of strings of shape ``(...)``."""
        flat = self.delta.reshape(-1, len(self.names))
        finite_weights = np.asarray(np.isfinite(self.weight.reshape(flat.shape)).all(axis=-1))
        found = [verdict(row) if ok else "non-finite" for row, ok in zip(flat, finite_weights, strict=True)]
        return np.array(found, dtype="U10").reshape(self.delta.shape[:-1])

    @property
    def verdict(self) -> Verdict:
        """``"vanishing" | "healthy" | "exploding" | "non-finite"``; see :func:`verdict`.

        An ensemble gets one verdict: ``"non-finite"`` if any member has it, else that of the median profile.
        """
        if (self.verdicts == "non-finite").any():
            return "non-finite"
        return verdict(np.median(self.delta.reshape(-1, len(self.names)), axis=0))

    def __getitem__(self, member: int) -> GradientProfile:
        """One member of an ensemble."""
        if self.delta.ndim < 2:
            raise TypeError("profile: a single network's profile has no members; read .delta[layer] instead")
        losses: Any = self.loss
        loss = losses[member] if np.ndim(losses) else losses
        return GradientProfile(self.names, self.delta[member], self.weight[member], loss)

    def __len__(self) -> int:
        """Number of members of an ensemble."""
        if self.delta.ndim < 2:
            raise TypeError("profile: a single network's profile has no members; len(profile.names) is its depth")
        return self.delta.shape[0]

    def __str__(self) -> str:
        """Return a small table: layer, delta, weight gradient, and the verdict."""
        if self.delta.ndim > 1:
            return f"profiles of {self.delta.shape[:-1]} networks, {len(self.names)} layers: {self.verdict}"
        width = max(len(name) for name in self.names)
        rows = [f"{'':{width}}  {'delta':>9}  {'dC/dW':>9}"]
        rows += [
            f"{n:{width}}  {d:9.2e}  {w:9.2e}" for n, d, w in zip(self.names, self.delta, self.weight, strict=True)
        ]
        return "\n".join([*rows, f"factor per layer {self.factor:.3g}: {self.verdict}"])


@dataclass(frozen=True)
class History:
    """What a training run saw: ``loss`` ``(steps, ...)``, each entry computed *before* the step of that index."""

    loss: np.ndarray


def verdict(delta: np.ndarray, decades: float = DECADES) -> Verdict:
    """Judge one profile ``delta`` ``(L,)`` by its two ends.

    ``"non-finite"`` if any entry is nan or inf; ``"vanishing"`` if the first layer's gradient is 0 or more than
    ``decades`` powers of ten below the last layer's; ``"exploding"`` if more than that above; else ``"healthy"``. The
    threshold is a convention: two decades are the difference between a first layer that learns in 100 steps and one
    that needs 10,000.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> deltas = ([1e-6, 1e-3, 1.0], [0.5, 1.0], [1.0, np.nan])
    >>> [measure.verdict(np.array(delta)) for delta in deltas]
    ['vanishing', 'healthy', 'non-finite']
    """
    delta = np.asarray(delta, dtype=np.float64)
    if delta.ndim != 1 or delta.size == 0:
        raise ValueError(f"delta: got shape {delta.shape}, wanted (L,), one entry per layer")
    if not np.isfinite(delta).all():
        return "non-finite"
    if delta[0] == 0.0:
        return "vanishing"
    if delta[-1] == 0.0:
        return "exploding"
    gap = np.log10(delta[0]) - np.log10(delta[-1])
    return "vanishing" if gap < -decades else "exploding" if gap > decades else "healthy"


def sample_norm(delta: np.ndarray) -> np.ndarray:
    """Rms over samples of the L2 norm over units; ``delta`` ``(..., batch, width)`` -> ``(...)``.

    Scaled by the largest entry first, so that squares neither underflow nor overflow.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> round(float(measure.sample_norm(np.array([[3.0, 4.0], [0.0, 0.0]]))), 6)
    3.535534
    >>> float(measure.sample_norm(np.full((10, 4), 1e-200)))
    2e-200
    """
    delta = np.asarray(delta, dtype=np.float64)
    peak = np.max(np.abs(delta), axis=(-1, -2), keepdims=True, initial=0.0)
    safe = np.where((peak > 0) & np.isfinite(peak), peak, 1.0)
    return safe[..., 0, 0] * np.sqrt(np.mean(np.sum((delta / safe) ** 2, axis=-1), axis=-1))


def frobenius(matrix: np.ndarray) -> np.ndarray:
    """Frobenius norm over the last two axes, safe against under- and overflow; ``(..., m, n)`` -> ``(...)``.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> measure.frobenius(np.array([np.ones((2, 2)), np.full((2, 2), 1e-200)]))
    array([2.e+000, 2.e-200])
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    return sample_norm(matrix) * np.sqrt(matrix.shape[-2])


def profile_from(
    names: Sequence[str],
    delta: Iterable[np.ndarray],
    weight_gradients: Iterable[np.ndarray],
    loss: np.ndarray | float = np.nan,
) -> GradientProfile:
    """Build a :class:`GradientProfile` from per-layer arrays.

    ``delta[l]`` ``(..., batch, n_l)``: ``dC_i/dz_l`` per sample; ``weight_gradients[l]`` ``(..., n_l, n_{l-1})`` of
    the batch mean.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> delta = [np.full((10, 4), size) for size in (0.01, 0.1, 1.0)]
    >>> found = measure.profile_from(("1", "2", "3"), delta, [np.ones((4, 4))] * 3)
    >>> round(found.factor, 12), found.ratios.round(12), found.verdict
    (0.1, array([0.1, 0.1]), 'healthy')
    """
    return GradientProfile(
        tuple(names),
        np.stack([sample_norm(d) for d in delta], axis=-1),
        np.stack([frobenius(g) for g in weight_gradients], axis=-1),
        loss,
    )


class NonFinite(NamedTuple):
    """Where a computation first left the finite numbers: which array, which entry, ``"inf"`` or ``"nan"``, how many."""

    name: str
    index: tuple[int, ...]
    kind: Literal["inf", "nan"]
    count: int


def first_nonfinite(named_arrays: Iterable[tuple[str, np.ndarray]]) -> NonFinite | None:
    """Return the first array, in the order given, with an entry that is inf or nan; ``None`` if all are finite.

    Give the arrays in the order in which they were computed: the first hit is then the operation to blame.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> z2, z3 = np.array([1.0, np.inf]), np.array([np.nan])
    >>> measure.first_nonfinite([("z1", np.zeros(3)), ("z2", z2), ("z3", z3)])
    NonFinite(name='z2', index=(1,), kind='inf', count=1)
    """
    for name, array in named_arrays:
        array = np.asarray(array)
        bad = ~np.isfinite(array)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            return NonFinite(name, index, "nan" if np.isnan(array[index]) else "inf", int(bad.sum()))
    return None


def saturated_fraction(z: np.ndarray, activation: str, share: float = 0.05) -> float:
    """Share of pre-activations ``z`` at which the slope is below ``share`` of the activation's largest slope.

    For a sigmoid and the default this means ``|z| > 4.36``; for a tanh ``|z| > 2.18``.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> measure.saturated_fraction(np.array([0.0, 1.0, 5.0, -9.0]), "sigmoid")
    0.5
    """
    phi = activations.get(activation)
    return float(np.mean(np.abs(phi.slope(np.asarray(z))) < share * phi.max_slope))


def dead_fraction(z: np.ndarray, activation: str = "relu") -> float | np.ndarray:
    """Share of units whose slope is exactly 0 on every sample; ``z`` ``(..., batch, width)`` -> ``(...)``.

    Such a unit passes no gradient for any sample of the batch: no step computed from this batch can revive it.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> z = np.array([[-1.0, -2.0, 3.0, 0.5], [-3.0, 1.0, 2.0, 0.5]])
    >>> measure.dead_fraction(z)
    0.25
    """
    slope = activations.get(activation).slope(np.asarray(z))
    value = np.mean(np.all(slope == 0.0, axis=-2), axis=-1)
    return float(value) if np.ndim(value) == 0 else value


def participation_ratio(a: np.ndarray) -> float | np.ndarray:
    r"""In how many directions a batch of activations varies; ``a`` ``(..., batch, width)`` -> ``(...)``.

    With ``s_i`` the singular values of the centred batch: :math:`(\sum s_i^2)^2 / \sum s_i^4`. It is 1 if all samples
    lie on one line and ``k`` if they vary equally in ``k`` orthogonal directions. ``nan`` where all samples are alike.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> line = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    >>> cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> [round(float(measure.participation_ratio(a)), 12) for a in (line, cross)]
    [1.0, 2.0]
    """
    a = np.asarray(a, dtype=np.float64)
    if a.ndim < 2:
        raise ValueError(f"a: got shape {a.shape}, wanted (..., batch, width)")
    squares = np.linalg.svd(a - a.mean(axis=-2, keepdims=True), compute_uv=False) ** 2
    with np.errstate(invalid="ignore"):
        squares = squares / squares.max(axis=-1, keepdims=True)
        value = np.sum(squares, axis=-1) ** 2 / np.sum(squares**2, axis=-1)
    return float(value) if np.ndim(value) == 0 else value


def update_ratio(weight: np.ndarray, update: np.ndarray) -> float:
    """Root-mean-square of an update over that of the weights it changes; about 1e-3 in healthy training with SGD.

    (Karpathy, *makemore* part 3.) ``ValueError`` if the weights are all 0 or the shapes differ.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> weight, update = np.full((4, 4), 0.1), np.full((4, 4), -1e-4)
    >>> round(measure.update_ratio(weight, update), 12)
    0.001
    """
    weight, update = np.asarray(weight, dtype=np.float64), np.asarray(update, dtype=np.float64)
    if weight.shape != update.shape:
        raise ValueError(f"update: got shape {update.shape}, wanted the weight's {weight.shape}")
    norm = np.linalg.norm(weight)
    if norm == 0.0:
        raise ValueError("weight: got all zeros, wanted weights to compare the update with")
    return float(np.linalg.norm(update) / norm)


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 6e-6) -> np.ndarray:
    """Central differences ``(f(x + h e_i) - f(x - h e_i)) / 2h`` for every entry of ``x``.

    Truncation error is ``h^2 |f'''| / 6``, rounding error about ``eps |f| / h``; their sum is least near
    ``h = eps^(1/3) = 6e-6`` for values of order one. Shape of the result: that of ``x``.

    >>> import numpy as np
    >>> from gradclinic import measure
    >>> x = np.array([1.0, -3.0])
    >>> measure.numerical_gradient(lambda x: float(np.sum(x**2)), x).round(8)
    array([ 2., -6.])
    """
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + step
        above = f(x)
        x[index] = kept - step
        gradient[index] = (above - f(x)) / (2 * step)
        x[index] = kept
    return gradient
