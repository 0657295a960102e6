"""Networks described once, in plain data, for NumPy, PyTorch and TensorFlow alike.

A layer is ``z_l = W_l a_{l-1} + b_l``, ``a_l = phi(normalise(z_l))``, with ``W_l`` of shape ``(n_l, n_{l-1})``.
The last layer is linear: its ``z_L`` is the output (logits or a regression value).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

ACTIVATION_NAMES = ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu")
NORMALIZATION_NAMES = (None, "batch", "layer")


def _check_activation(name: str) -> None:
    if name not in ACTIVATION_NAMES:
        raise ValueError(f"activation: got {name!r}, wanted one of {', '.join(ACTIVATION_NAMES)}")


def _check_size(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: got {value!r} of type {type(value).__name__}, wanted a positive integer")
    if value < 1:
        raise ValueError(f"{name}: got {value}, wanted a positive integer")


@dataclass(frozen=True)
class MLP:
    """A multi-layer perceptron with ``L = len(widths) - 1`` layers.

    ``widths = (n_0, n_1, ..., n_L)``: input width, hidden widths, output width. Hidden layers compute
    ``a_l = phi(N(W_l a_{l-1} + b_l))`` with ``N`` the chosen normalisation over the batch or over the layer, or the
    identity. With ``residual`` every hidden layer that keeps its width computes
    ``a_l = a_{l-1} + branch_scale * phi(N(z_l))`` instead. The output layer is linear.

    Raises ``TypeError`` or ``ValueError`` naming the field where a value makes no network.
    """

    widths: tuple[int, ...]
    activation: str = "sigmoid"
    bias: bool = True
    normalization: Literal["batch", "layer"] | None = None
    residual: bool = False
    branch_scale: float = 1.0

    def __post_init__(self) -> None:
        """Turn lists into tuples and refuse what is not a network."""
        try:
            widths = tuple(self.widths)
        except TypeError:
            raise TypeError(f"widths: got {self.widths!r}, wanted a sequence of layer widths (n_0, ..., n_L)") from None
        for i, n in enumerate(widths):
            _check_size(f"widths[{i}]", n)
        if len(widths) < 2:
            raise ValueError(f"widths: got {widths}, wanted at least an input and an output width")
        object.__setattr__(self, "widths", tuple(int(n) for n in widths))
        _check_activation(self.activation)
        if self.normalization not in NORMALIZATION_NAMES:
            raise ValueError(f"normalization: got {self.normalization!r}, wanted None, 'batch' or 'layer'")
        if not np.isfinite(self.branch_scale):
            raise ValueError(f"branch_scale: got {self.branch_scale}, wanted a finite number")

    @property
    def depth(self) -> int:
        """Number of weight layers ``L``."""
        return len(self.widths) - 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers from input to output: ``layer 1`` ... ``layer L``."""
        return tuple(f"layer {i}" for i in range(1, self.depth + 1))

    def skips(self, layer: int) -> bool:
        """Whether hidden layer ``layer`` (counted from 1) carries an identity skip."""
        return self.residual and layer < self.depth and self.widths[layer] == self.widths[layer - 1]


@dataclass(frozen=True)
class RNN:
    """A recurrent network ``h_t = phi(W_h h_{t-1} + W_x x_t + b)``, read out linearly at the last step.

    ``W_h``: ``(hidden, hidden)``, ``W_x``: ``(hidden, inputs)``, read-out ``W_y``: ``(outputs, hidden)``; ``h_0 = 0``.
    """

    inputs: int
    hidden: int
    outputs: int
    activation: str = "tanh"

    def __post_init__(self) -> None:
        """Refuse sizes and activations that make no network."""
        for name in ("inputs", "hidden", "outputs"):
            _check_size(name, getattr(self, name))
        _check_activation(self.activation)


@dataclass(frozen=True)
class Parameters:
    """Weights of an :class:`MLP`, drawn once in NumPy and loaded into every framework.

    ``weights[l]``: ``(..., n_{l+1}, n_l)``, ``biases[l]``: ``(..., n_{l+1})``; leading axes are an ensemble of
    networks that are computed together. ``gains`` and ``shifts`` (gamma and beta of a normalisation, one ``(..., n)``
    per hidden layer) are empty where nothing is normalised.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    gains: tuple[np.ndarray, ...] = ()
    shifts: tuple[np.ndarray, ...] = ()

    @property
    def members(self) -> int | None:
        """Size of the ensemble, ``None`` for one network; ``ValueError`` for more than one ensemble axis."""
        if len(self.ensemble) > 1:
            raise ValueError(f"params: got ensemble axes {self.ensemble}, wanted none or one")
        return self.ensemble[0] if self.ensemble else None

    @property
    def ensemble(self) -> tuple[int, ...]:
        """Leading axes shared by all arrays; ``()`` for a single network."""
        return self.weights[0].shape[:-2]


def check_parameters(spec: MLP, params: Parameters, ensemble: tuple[int, ...] | None = None) -> None:
    """Refuse parameters whose shapes do not belong to ``spec``, or whose ensemble axes are not ``ensemble``.

    Raises ``ValueError`` with the array, the shape that came and the shape that was wanted.

    >>> import numpy as np
    >>> from gradclinic import init, spec
    >>> params = init.mlp(spec.MLP((8, 4, 2)), np.random.default_rng(0))
    >>> spec.check_parameters(spec.MLP((8, 4, 2)), params)
    >>> spec.check_parameters(spec.MLP((8, 4, 3)), params)
    Traceback (most recent call last):
        ...
    ValueError: params.weights[1]: got shape (2, 4), wanted (3, 4)
    """
    if ensemble is not None and params.ensemble != ensemble:
        raise ValueError(f"params: got ensemble axes {params.ensemble}, wanted those of the model, {ensemble}")
    hidden = spec.depth - 1
    normal = hidden if spec.normalization else 0
    counts = {"weights": spec.depth, "biases": spec.depth, "gains": normal, "shifts": normal}
    for name, wanted in counts.items():
        if len(getattr(params, name)) != wanted:
            raise ValueError(f"params.{name}: got {len(getattr(params, name))} arrays, wanted {wanted}")
    lead = params.ensemble
    for layer in range(1, spec.depth + 1):
        n_out, n_in = spec.widths[layer], spec.widths[layer - 1]
        wanted_shapes = {"weights": (*lead, n_out, n_in), "biases": (*lead, n_out)}
        if layer <= normal:
            wanted_shapes |= {"gains": (*lead, n_out), "shifts": (*lead, n_out)}
        for name, shape in wanted_shapes.items():
            array = getattr(params, name)[layer - 1]
            if array.shape != shape:
                raise ValueError(f"params.{name}[{layer - 1}]: got shape {array.shape}, wanted {shape}")
