"""Gradient clipping, three ways, for a list of gradient arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def _check(name: str, limit: float) -> None:
    if not limit > 0:
        raise ValueError(f"{name}: got {limit}, wanted a positive number")


def by_value(gradients: Sequence[np.ndarray], limit: float) -> list[np.ndarray]:
    """Force every entry into ``[-limit, limit]``. Changes the direction of the gradient.

    >>> import numpy as np
    >>> from gradclinic import clip
    >>> clip.by_value([np.array([3.0, -0.5])], limit=1.0)
    [array([ 1. , -0.5])]
    """
    _check("limit", limit)
    return [np.clip(np.asarray(g), -limit, limit) for g in gradients]


def by_norm(gradients: Sequence[np.ndarray], max_norm: float) -> list[np.ndarray]:
    """Scale each array on its own to L2 norm at most ``max_norm``. Changes the direction of the whole gradient.

    >>> import numpy as np
    >>> from gradclinic import clip
    >>> clip.by_norm([np.array([3.0, 4.0]), np.array([0.1])], max_norm=1.0)
    [array([0.6, 0.8]), array([0.1])]
    """
    _check("max_norm", max_norm)
    return [by_global_norm([g], max_norm)[0] for g in gradients]


def global_norm(gradients: Sequence[np.ndarray]) -> float:
    """L2 norm of all entries of all arrays together.

    >>> import numpy as np
    >>> from gradclinic import clip
    >>> float(clip.global_norm([np.array([3.0]), np.array([[4.0]])]))
    5.0
    """
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(g, dtype=np.float64))) for g in gradients)))


def by_global_norm(gradients: Sequence[np.ndarray], max_norm: float) -> list[np.ndarray]:
    """Scale all arrays by one factor ``min(1, max_norm / ||g||)``: length is limited, direction is kept.

    Pascanu, Mikolov & Bengio 2013, algorithm 1. A non-finite norm gives ``max_norm / inf = 0`` or nan entries:
    clipping cannot invent a direction that the gradient does not have.

    >>> import numpy as np
    >>> from gradclinic import clip
    >>> clip.by_global_norm([np.array([3.0]), np.array([4.0])], max_norm=1.0)
    [array([0.6]), array([0.8])]
    """
    _check("max_norm", max_norm)
    norm = global_norm(gradients)
    scale = 1.0 if norm <= max_norm else max_norm / norm
    return [np.asarray(g) * scale for g in gradients]
