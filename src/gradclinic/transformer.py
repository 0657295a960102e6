r"""Small transformers in PyTorch, many at once: where the normalisation stands, and what it does to the gradient.

A block has two branches, attention and a two-layer perceptron, each with a skip. With ``N`` for layer normalisation and
``F`` for a branch,

.. math::
    \text{pre: } x \leftarrow \alpha x + s\,F(N(x)), \qquad \text{post: } x \leftarrow N(\alpha x + s\,F(x)), \qquad
    \text{none: } x \leftarrow \alpha x + s\,F(x)

(Vaswani et al. 2017 is post; Xiong et al. 2020 compare the two.) ``pre`` ends in one more normalisation before the
read-out. Every array carries the ensemble as its first axis; numbers are drawn in NumPy and passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from gradclinic.measure import GradientProfile, History, sample_norm

NORMS = ("pre", "post", None)
EPSILON = 1e-5


@dataclass(frozen=True)
class Transformer:
    """``depth`` blocks of width ``width`` over sequences of ``length`` tokens out of ``vocabulary``, read out at every
    token.

    ``heads`` divide the width; the perceptron has ``hidden`` ReLU units. ``norm``: ``"pre"``, ``"post"`` or ``None``.
    ``skip``: the factor alpha of the skips (DeepNorm: ``(2 depth)^(1/4)``). Attention is over all tokens; with
    ``causal`` over the past only. ``query_key_norm``: queries and keys are divided by their root mean square, head by
    head, without a learned gain, so that a score is at most ``sqrt(width / heads)`` (Dehghani et al. 2023). ``cap``:
    a score ``s`` becomes ``cap tanh(s / cap)``. Raises ``ValueError`` naming the field where a value makes no network.
    """

    depth: int
    width: int = 32
    heads: int = 4
    hidden: int = 64
    vocabulary: int = 16
    length: int = 16
    norm: str | None = "pre"
    skip: float = 1.0
    causal: bool = False
    query_key_norm: bool = False
    cap: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        for name in ("depth", "width", "heads", "hidden", "vocabulary", "length"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name}: got {value!r}, wanted a positive integer")
        if self.width % self.heads:
            raise ValueError(f"heads: got {self.heads}, wanted a divisor of width {self.width}")
        if self.norm not in NORMS:
            raise ValueError(f"norm: got {self.norm!r}, wanted 'pre', 'post' or None")
        if not np.isfinite(self.skip):
            raise ValueError(f"skip: got {self.skip}, wanted a finite number")
        if self.cap is not None and not (np.isfinite(self.cap) and self.cap > 0):
            raise ValueError(f"cap: got {self.cap}, wanted a positive finite number or None")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the blocks from input to output."""
        return tuple(f"block {i}" for i in range(1, self.depth + 1))


def draw(
    spec: Transformer, rng: np.random.Generator, ensemble: int, *, gain: float = 1.0, scale: float = 1.0
) -> dict[str, np.ndarray]:
    r"""Draw ``ensemble`` networks; ``E`` is the ensemble, ``L`` the depth, ``d`` the width, ``m`` the hidden width.

    Normal weights with variance 1/fan-in, 2/fan-in behind the ReLU, so that every branch adds about the variance of
    what it normalises: ``query``, ``key``, ``value``, ``out`` ``(E, L, d, d)``, ``up`` ``(E, L, m, d)``, ``down``
    ``(E, L, d, m)``. ``embed`` ``(E, vocabulary, d)`` and ``position`` ``(E, length, d)`` have variance 1/2 each,
    ``read`` ``(E, vocabulary, d)`` variance 1/d. ``gains``, ``shifts`` ``(E, L, 2, d)`` and the final ``gain``,
    ``shift`` ``(E, d)`` of the normalisations are 1 and 0. ``scales`` ``(E, L, 2)``: the factor ``s`` of the branches.

    ``gain`` multiplies value, out, up and down (DeepNorm: ``(8 L)^(-1/4)``; T-Fixup: ``0.67 L^(-1/4)``), ``scale``
    sets ``s`` (0 for ReZero, ``1/sqrt(2 L)``).

    >>> import numpy as np
    >>> from gradclinic import transformer
    >>> spec = transformer.Transformer(depth=6, width=32)
    >>> params = transformer.draw(spec, np.random.default_rng(0), ensemble=5)
    >>> params["query"].shape, params["embed"].shape
    ((5, 6, 32, 32), (5, 16, 32))
    """
    lead, d, m = (ensemble, spec.depth), spec.width, spec.hidden

    def normal(shape: tuple[int, ...], variance: float) -> np.ndarray:
        return np.sqrt(variance) * rng.standard_normal(shape)

    return {
        "embed": normal((ensemble, spec.vocabulary, d), 0.5),
        "position": normal((ensemble, spec.length, d), 0.5),
        "query": normal((*lead, d, d), 1 / d),
        "key": normal((*lead, d, d), 1 / d),
        "value": gain * normal((*lead, d, d), 1 / d),
        "out": gain * normal((*lead, d, d), 1 / d),
        "up": gain * normal((*lead, m, d), 1 / d),
        "down": gain * normal((*lead, d, m), 2 / m),
        "gains": np.ones((*lead, 2, d)),
        "shifts": np.zeros((*lead, 2, d)),
        "scales": np.full((*lead, 2), float(scale)),
        "gain": np.ones((ensemble, d)),
        "shift": np.zeros((ensemble, d)),
        "read": normal((ensemble, spec.vocabulary, d), 1 / d),
    }


def tensors(params: Mapping[str, np.ndarray], dtype: str = "float64") -> dict[str, torch.Tensor]:
    """Copy the arrays into tensors that take gradients.

    >>> import numpy as np
    >>> from gradclinic import transformer
    >>> params = transformer.draw(
    ...     transformer.Transformer(depth=2), np.random.default_rng(0), 1
    ... )
    >>> transformer.tensors(params, "float32")["query"].requires_grad
    True
    """
    return {
        name: torch.tensor(np.asarray(value), dtype=getattr(torch, dtype), requires_grad=True)
        for name, value in params.items()
    }


def _normalise(x: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    x_hat = functional.layer_norm(x, x.shape[-1:], eps=EPSILON)
    return x_hat * gain[:, None, None] + shift[:, None, None]  # (E, batch, length, d) with (E, d)


def _linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    members, batch, length, width = x.shape
    return (x.reshape(members, batch * length, width) @ weight.mT).reshape(members, batch, length, -1)


def _heads(spec: Transformer, x: torch.Tensor, p: Mapping[str, torch.Tensor], name: str, layer: int) -> torch.Tensor:
    return _linear(x, p[name][:, layer]).unflatten(-1, (spec.heads, -1)).transpose(2, 3)  # (E, batch, heads, T, d / h)


def _queries_and_keys(
    spec: Transformer, x: torch.Tensor, p: Mapping[str, torch.Tensor], layer: int
) -> tuple[torch.Tensor, torch.Tensor]:
    query, key = (_heads(spec, x, p, name, layer) for name in ("query", "key"))
    if spec.query_key_norm:
        query, key = (functional.rms_norm(part, part.shape[-1:], eps=EPSILON) for part in (query, key))
    return query, key


def scores(spec: Transformer, x: torch.Tensor, p: Mapping[str, torch.Tensor], layer: int) -> torch.Tensor:
    r"""Scores :math:`q^T k / \sqrt{d / h}` of block ``layer`` (from 0), normalised and capped as ``spec`` says.

    ``x`` ``(E, batch, T, d)``: what attention is given, the normalised stream in pre-LN. Returns
    ``(E, batch, heads, T, T)``; a row is one query's scores over all keys, before the softmax and without a mask.

    >>> import numpy as np
    >>> import torch
    >>> from gradclinic import transformer
    >>> spec = transformer.Transformer(depth=2, heads=4)
    >>> p = transformer.tensors(transformer.draw(spec, np.random.default_rng(0), 1))
    >>> x = torch.ones(1, 3, 16, 32, dtype=torch.float64)
    >>> tuple(transformer.scores(spec, x, p, layer=0).shape)
    (1, 3, 4, 16, 16)
    """
    query, key = _queries_and_keys(spec, x, p, layer)
    s = query @ key.mT / (spec.width / spec.heads) ** 0.5
    return s if spec.cap is None else spec.cap * torch.tanh(s / spec.cap)


def given(spec: Transformer, streams: list[torch.Tensor], p: Mapping[str, torch.Tensor], layer: int) -> torch.Tensor:
    """What attention of block ``layer`` (from 0) is given: the stream of :func:`forward` that enters the block,
    normalised in pre-LN.

    >>> import numpy as np
    >>> import torch
    >>> from gradclinic import transformer
    >>> spec = transformer.Transformer(depth=2)
    >>> p = transformer.tensors(transformer.draw(spec, np.random.default_rng(0), 1))
    >>> _, streams = transformer.forward(spec, p, torch.arange(16)[None])
    >>> x = transformer.given(spec, streams, p, layer=1)
    >>> tuple(x.shape), round(x.square().mean().item(), 3)
    ((1, 1, 16, 32), 1.0)
    """
    x = streams[2 * layer]
    return _normalise(x, p["gains"][:, layer, 0], p["shifts"][:, layer, 0]) if spec.norm == "pre" else x


def _attention(spec: Transformer, x: torch.Tensor, p: Mapping[str, torch.Tensor], layer: int) -> torch.Tensor:
    value = _heads(spec, x, p, "value", layer)
    if spec.cap is None:
        mixed = functional.scaled_dot_product_attention(
            *_queries_and_keys(spec, x, p, layer), value, is_causal=spec.causal
        )
    else:
        s = scores(spec, x, p, layer)
        if spec.causal:
            s = s.masked_fill(torch.ones(s.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
        mixed = torch.softmax(s, -1) @ value
    return _linear(mixed.transpose(2, 3).flatten(-2), p["out"][:, layer])


def forward(
    spec: Transformer, p: Mapping[str, torch.Tensor], tokens: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits ``(E, batch, length, vocabulary)`` and the streams, ``(E, batch, length, d)``: the embedding, then the
    output of each of the ``2 depth`` branches with its skip.

    ``tokens``: integers ``(batch, length)``, the same for all members.

    >>> import numpy as np
    >>> import torch
    >>> from gradclinic import transformer
    >>> spec = transformer.Transformer(depth=2)
    >>> p = transformer.tensors(
    ...     transformer.draw(spec, np.random.default_rng(0), ensemble=5)
    ... )
    >>> logits, streams = transformer.forward(
    ...     spec, p, torch.zeros(3, 16, dtype=torch.long)
    ... )
    >>> tuple(logits.shape), len(streams), tuple(streams[0].shape)
    ((5, 3, 16, 16), 5, (5, 3, 16, 32))
    """
    if tokens.ndim != 2 or tokens.shape[1] != spec.length:
        raise ValueError(f"tokens: got shape {tuple(tokens.shape)}, wanted (batch, {spec.length})")
    x = p["embed"][:, tokens] + p["position"][:, None]
    streams = [x]
    for layer in range(spec.depth):
        for branch in range(2):
            gain, shift = p["gains"][:, layer, branch], p["shifts"][:, layer, branch]
            h = _normalise(x, gain, shift) if spec.norm == "pre" else x
            if branch == 0:
                h = _attention(spec, h, p, layer)
            else:
                h = _linear(torch.relu(_linear(h, p["up"][:, layer])), p["down"][:, layer])
            x = spec.skip * x + p["scales"][:, layer, branch, None, None, None] * h
            if spec.norm == "post":
                x = _normalise(x, gain, shift)
            streams.append(x)
    top = _normalise(x, p["gain"], p["shift"]) if spec.norm == "pre" else x
    return _linear(top, p["read"]), streams


def loss_function(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over batch and tokens, one value per member; ``y`` ``(batch, length)`` -> ``(E,)``.

    >>> import torch
    >>> from gradclinic import transformer
    >>> logits, y = torch.zeros(5, 3, 16, 8), torch.zeros(3, 16, dtype=torch.long)
    >>> transformer.loss_function(logits, y)
    tensor([2.0794, 2.0794, 2.0794, 2.0794, 2.0794])
    """
    log_p = torch.log_softmax(logits, -1)
    index = y.expand(logits.shape[:-1])[..., None]
    return -log_p.gather(-1, index).mean((1, 2, 3))


def profile(spec: Transformer, params: Mapping[str, np.ndarray], tokens: np.ndarray, y: np.ndarray) -> GradientProfile:
    r"""The gradient in every block of every member at these weights, in float64.

    ``delta[e, l]``: rms over tokens of :math:`\lVert \partial C_t / \partial x_l \rVert_2`, with ``x_l`` the stream
    that leaves block ``l`` and ``C_t`` the summed loss of the sequence batch (the mean times the number of tokens);
    ``weight[e, l]``: :math:`\lVert \partial C / \partial W_{\text{down}, l} \rVert_F`, as in figure 3 of Xiong et al.
    (2020).

    >>> import numpy as np
    >>> from gradclinic import transformer
    >>> rng = np.random.default_rng(0)
    >>> spec = transformer.Transformer(depth=6, norm="post")
    >>> tokens = rng.integers(16, size=(4, 16))
    >>> params = transformer.draw(spec, rng, ensemble=2)
    >>> profile = transformer.profile(
    ...     spec, params, tokens, np.roll(tokens, 1, axis=1)
    ... )
    >>> profile.delta.shape, profile.verdict
    ((2, 6), 'healthy')
    """
    p = tensors(params)
    targets = torch.as_tensor(y)
    logits, streams = forward(spec, p, torch.as_tensor(tokens))
    loss = loss_function(logits, targets)
    blocks = streams[2::2]
    *grads, down = torch.autograd.grad(loss.sum(), [*blocks, p["down"]])
    delta = np.stack([sample_norm(targets.numel() * g.flatten(1, 2).numpy()) for g in grads], axis=-1)
    return GradientProfile(spec.names, delta, down.norm(dim=(2, 3)).numpy(), loss.detach().numpy())


def token_correlation(x: torch.Tensor) -> np.ndarray:
    """Mean cosine between two tokens of one sequence; stream ``(E, batch, length, d)`` -> ``(E,)``.

    >>> import torch
    >>> from gradclinic import transformer
    >>> same, apart = torch.ones(1, 1, 4, 4), torch.eye(4)[None, None]
    >>> transformer.token_correlation(same), transformer.token_correlation(apart)
    (array([1.], dtype=float32), array([0.], dtype=float32))
    """
    u = functional.normalize(x.detach(), dim=-1)
    length = x.shape[2]
    whole = u.sum(2).square().sum(-1)  # sum over all pairs, each token with itself included
    return ((whole - length) / (length * (length - 1))).mean(1).numpy()


def train(
    spec: Transformer,
    params: Mapping[str, np.ndarray],
    batch: Callable[[int], tuple[np.ndarray, np.ndarray]],
    *,
    steps: int,
    rate: Callable[[int], np.ndarray | float],
    dtype: str = "float32",
    betas: tuple[float, float] = (0.9, 0.999),
    each_step: Callable[[int, Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]], None] | None = None,
) -> tuple[dict[str, np.ndarray], History]:
    """Adam (Kingma & Ba 2015, algorithm 1, epsilon 1e-8) on all members at once; returns parameters and losses.

    ``batch(step)`` returns tokens and targets ``(batch, length)``; ``rate(step)``, counted from 1, the learning rate,
    a number or one per member ``(E,)``, so that schedules can be compared within one ensemble. ``each_step(step,
    parameters, gradients)`` is called after each step. ``History.loss`` ``(steps, E)``: the loss before each step.

    >>> import numpy as np
    >>> from gradclinic import transformer
    >>> rng = np.random.default_rng(0)
    >>> spec = transformer.Transformer(
    ...     depth=1, width=8, heads=2, vocabulary=4, length=4
    ... )
    >>> def copies(step):
    ...     tokens = rng.integers(4, size=(8, 4))
    ...     return tokens, tokens
    >>> params = transformer.draw(spec, rng, ensemble=2)
    >>> def rate(step):
    ...     return 0.03
    >>> trained, history = transformer.train(
    ...     spec, params, copies, steps=30, rate=rate
    ... )
    >>> history.loss.shape, bool((history.loss[-1] < history.loss[0]).all())
    ((30, 2), True)
    """
    p = tensors(params, dtype)
    if spec.norm is not None:  # the factor of the branches is learned only where it replaces a normalisation
        p["scales"].requires_grad_(False)
    names = [name for name, value in p.items() if value.requires_grad]
    first, second = ({name: torch.zeros_like(p[name]) for name in names} for _ in range(2))
    losses = []
    for step in range(1, steps + 1):
        tokens, y = (torch.as_tensor(part) for part in batch(step))
        loss = loss_function(forward(spec, p, tokens)[0], y)
        grads = torch.autograd.grad(loss.sum(), [p[name] for name in names], allow_unused=True)
        grads = {name: g for name, g in zip(names, grads, strict=True) if g is not None}  # no final norm: unused
        lr = torch.as_tensor(np.asarray(rate(step), dtype=np.float64), dtype=loss.dtype)
        with torch.no_grad():
            for name, g in grads.items():
                first[name].lerp_(g, 1 - betas[0])
                second[name].lerp_(g.square(), 1 - betas[1])
                root = (second[name] / (1 - betas[1] ** step)).sqrt().add_(1e-8)
                each = lr.reshape(-1, *[1] * (g.ndim - 1))
                p[name] -= each * first[name] / (1 - betas[0] ** step) / root
        losses.append(loss.detach().numpy())
        if each_step is not None:
            each_step(step, p, grads)
    return {name: value.detach().numpy() for name, value in p.items()}, History(np.array(losses))
