"""Answers to *Remedies*: right ones in other ways, typical wrong ones and what each loses.

``RIGHT``: name -> {solution cell: its source}. ``WRONG``: name -> (solution cell, a piece of the reference, what stands
in its place, the checks it must lose: these and no others).
"""

RIGHT = {
    "the paper's six lines, uniform weights, folded scales, the library's norms": {
        "normalize-backward": """
def normalize_backward(g, z, gamma, eps):
    m, mu, var = len(z), z.mean(0), z.var(0)
    dz_hat = g * gamma
    dvar = np.sum(dz_hat * (z - mu) * -0.5 * (var + eps) ** -1.5, axis=0)
    dmu = -np.sum(dz_hat, axis=0) / np.sqrt(var + eps) - 2 * dvar * np.mean(z - mu, axis=0)
    dz = dz_hat / np.sqrt(var + eps) + dvar * 2 * (z - mu) / m + dmu / m
    return dz, np.sum(g * (z - mu) / np.sqrt(var + eps), axis=0), np.sum(g, axis=0)
""",
        "draw": """
def draw(n_out, n_in, s, rng):
    bound = np.sqrt(6 / ((1 + s**2) * n_out))
    return rng.uniform(-bound, bound, size=(n_out, n_in))
""",
        "residual-net": """
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self, n, blocks):
        super().__init__()
        self.W = nn.ModuleList(nn.Linear(n, n, bias=False) for _ in range(blocks))
        self.V = nn.ModuleList(nn.Linear(n, n, bias=False) for _ in range(blocks))
        for W, V in zip(self.W, self.V):
            nn.init.kaiming_normal_(W.weight, nonlinearity="relu")
            nn.init.normal_(V.weight, 0, (n * blocks) ** -0.5)

    def forward(self, a):
        for W, V in zip(self.W, self.V):
            a = a + V(torch.relu(W(a)))
        return a

residual_net = Residual
""",
        "clip": """
def clip_(parameters, limit):
    held = [p for p in parameters if p.grad is not None]
    if not all(bool(p.grad.isfinite().all()) for p in held):
        for p in held:
            p.grad = torch.zeros_like(p.grad)
        return float("inf")
    largest = max((p.grad.abs().max().item() for p in held), default=0.0)
    if largest == 0:
        return 0.0
    norm = largest * sum((p.grad / largest).pow(2).sum().item() for p in held) ** 0.5
    if norm > limit:
        for p in held:
            p.grad *= limit / norm
    return norm
""",
        "clip-backward": """
from gradclinic.tf_net import tf

def clip_backward(x, limit):
    @tf.custom_gradient
    def pass_on(value):
        return value * 1.0, lambda g: tf.clip_by_norm(g, limit, axes=[1])
    return pass_on(x)
""",
    },
    "by automatic differentiation, orthogonal branches": {
        "normalize-backward": """
import torch

def normalize_backward(g, z, gamma, eps):
    z = torch.tensor(z, requires_grad=True)
    weight = torch.tensor(gamma, requires_grad=True)
    bias = torch.zeros(len(gamma), dtype=torch.float64, requires_grad=True)
    u = torch.nn.functional.batch_norm(z, None, None, weight, bias, training=True, eps=eps)
    return [d.numpy() for d in torch.autograd.grad(u, (z, weight, bias), torch.tensor(g))]
""",
        "draw": """
def draw(n_out, n_in, s, rng):
    entries = [rng.standard_normal(n_in) for _ in range(n_out)]
    return np.stack(entries) * (2 / n_out / (1 + s * s)) ** 0.5
""",
        "residual-net": """
import torch
from torch import nn

class Step(nn.Module):
    def __init__(self, n, scale):
        super().__init__()
        self.scale = scale
        self.inner, self.outer = nn.Linear(n, n, bias=False), nn.Linear(n, n, bias=False)
        nn.init.orthogonal_(self.inner.weight)
        nn.init.orthogonal_(self.outer.weight)

    def forward(self, a):
        return a + self.scale * self.outer(self.inner(a).relu())

def residual_net(n, blocks):
    return nn.Sequential(*(Step(n, (2 / blocks) ** 0.5) for _ in range(blocks)))
""",
        "clip": """
def clip_(parameters, limit):
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.cat([g.double().flatten() for g in gradients])).item()
    if np.isfinite(norm):
        factor = limit / (norm + 1e-6) if norm > limit else 1.0         # the library's own guard
    for g in gradients:
        g.copy_(g * factor if np.isfinite(norm) else torch.zeros_like(g))
    return norm if np.isfinite(norm) else np.inf
""",
        "clip-backward": """
from gradclinic.tf_net import tf

class _Clip:
    pass

def clip_backward(x, limit):
    def f(x):
        def back(upstream):
            square = tf.reduce_sum(upstream**2, axis=1, keepdims=True)
            long = square > limit**2
            safe = tf.where(long, square, tf.ones_like(square))
            return tf.where(long, limit * upstream / tf.sqrt(safe), upstream)
        return x, back
    return tf.custom_gradient(f)(x)
""",
    },
}

NORMALIZE = {"normalize-public", "normalize-fresh", "normalize-corners"}
DRAW = {"draw-distribution", "draw-gradient"}
RESIDUAL = {"residual-public", "residual-signal", "residual-gradient"}
CLIP = {"clip-public", "clip-direction", "clip-large"}

WRONG = {
    "mean and variance as constants": (
        "normalize-backward",
        "(g - dbeta / len(z) - z_hat * dgamma / len(z))",
        "g",
        NORMALIZE,
    ),
    "variance as a constant": ("normalize-backward", " - z_hat * dgamma / len(z))", ")", NORMALIZE),
    "mean as a constant": ("normalize-backward", "g - dbeta / len(z) - ", "g - ", NORMALIZE),
    "unbiased variance": (
        "normalize-backward",
        "z.var(axis=0)",
        "z.var(axis=0, ddof=1)",
        {*NORMALIZE, "normalize-parameters"},
    ),
    "over the units, as layer norm": (
        "normalize-backward",
        "    std = np.sqrt(z.var(axis=0) + eps)\n    z_hat = (z - z.mean(axis=0)) / std",
        "    std = np.sqrt(z.var(axis=1, keepdims=True) + eps)\n    z_hat = (z - z.mean(axis=1, keepdims=True)) / std",
        {*NORMALIZE, "normalize-parameters"},
    ),
    "eps outside the root": (
        "normalize-backward",
        "np.sqrt(z.var(axis=0) + eps)",
        "np.sqrt(z.var(axis=0)) + eps",
        {*NORMALIZE, "normalize-parameters"},
    ),
    "eps forgotten": (
        "normalize-backward",
        "z.var(axis=0) + eps",
        "z.var(axis=0)",
        {*NORMALIZE, "normalize-parameters"},
    ),
    "gamma forgotten": ("normalize-backward", "gamma / std *", "1 / std *", {"normalize-public", "normalize-fresh"}),
    "means for the parameters": (
        "normalize-backward",
        "return dz, dgamma, dbeta",
        "return dz, dgamma / len(z), dbeta / len(z)",
        {"normalize-parameters"},
    ),
    "dgamma with gamma in it": (
        "normalize-backward",
        "return dz, dgamma, dbeta",
        "return dz, gamma * dgamma, dbeta",
        {"normalize-parameters"},
    ),
    "the rule for the signal": ("draw", "(1 + s**2) * n_out)", "(1 + s**2) * n_in)", DRAW),
    "slope forgotten": ("draw", "(1 + s**2) * n_out", "n_out", {"draw-public", *DRAW}),
    "slope not squared": ("draw", "1 + s**2", "1 + s", DRAW),
    "variance for standard deviation": ("draw", "np.sqrt(variance)", "variance", {"draw-public", *DRAW}),
    "Glorot's compromise": ("draw", "2 / ((1 + s**2) * n_out)", "4 / ((1 + s**2) * (n_in + n_out))", DRAW),
    "a generator of its own": ("draw", "return rng.normal", "return np.random.default_rng().normal", {"draw-public"}),
    "transposed": ("draw", "(n_out, n_in))", "(n_in, n_out))", {"draw-public", *DRAW}),
    "one row for all": (
        "draw",
        "rng.normal(0, np.sqrt(variance), (n_out, n_in))",
        "np.tile(rng.normal(0, np.sqrt(variance), n_in), (n_out, 1))",
        {"draw-public", *DRAW},
    ),
    "unscaled": ("residual-net", "branch / blocks**0.5", "branch", RESIDUAL),
    "1/L": ("residual-net", "branch / blocks**0.5", "branch / blocks", RESIDUAL),
    "a constant that suits four blocks": (
        "residual-net",
        "branch / blocks**0.5",
        "branch / 2",
        {"residual-signal", "residual-gradient"},
    ),
    "ReLU behind the sum": (
        "residual-net",
        "return a + branch / blocks**0.5",
        "return torch.relu(a + branch / blocks**0.5)",
        {*RESIDUAL, "residual-identity"},
    ),
    "no skip": ("residual-net", "return a + branch / blocks**0.5", "return branch", {*RESIDUAL, "residual-identity"}),
    "branches that start at zero": (
        "residual-net",
        "torch.randn(n, n) * (1 / n) ** 0.5",
        "torch.zeros(n, n)",
        {*RESIDUAL, "residual-identity"},
    ),
    "each gradient on its own": (
        "clip",
        "        for g in gradients:\n            g.mul_(limit / norm)",
        "        for g in gradients:\n            g.mul_(min(1, limit / float(g.norm())))",
        CLIP,
    ),
    "by value": ("clip", "g.mul_(limit / norm)", "g.clamp_(-limit, limit)", CLIP),
    "always scaled": ("clip", "if norm > limit:", "if True:", {"clip-direction"}),
    "the norm afterwards": ("clip", "    return norm", "    return min(norm, limit)", CLIP),
    "squares in float32": ("clip", "g.double().square()", "g.square()", {"clip-large"}),
    "NaN not noticed": ("clip", 'if not norm < float("inf"):', 'if norm == float("inf"):', {"clip-nonfinite"}),
    "healthy gradients kept": ("clip", "g.zero_()", "g.nan_to_num_(0.0, 0.0, 0.0)", {"clip-nonfinite"}),
    "scaled with NaN": ("clip", "g.zero_()", "g.mul_(0.0)", {"clip-nonfinite"}),
    "every parameter has a gradient": (
        "clip",
        " if p.grad is not None]",
        "]",
        {"clip-public", "clip-direction", "clip-nonfinite"},
    ),
    "norm of the batch": (
        "clip-backward",
        "tf.norm(g, axis=1, keepdims=True)",
        "tf.norm(g)",
        {"clip-backward-public", "clip-backward-rows", "clip-backward-time"},
    ),
    "entry by entry": (
        "clip-backward",
        "return g * (limit / tf.maximum(norm, limit))",
        "return tf.clip_by_value(g, -limit, limit)",
        {"clip-backward-public", "clip-backward-rows", "clip-backward-time"},
    ),
    "always to the limit": (
        "clip-backward",
        "tf.maximum(norm, limit)",
        "norm",
        {"clip-backward-public", "clip-backward-rows"},
    ),
    "0/0 for rows of zeros": (
        "clip-backward",
        "(limit / tf.maximum(norm, limit))",
        "tf.minimum(limit / norm, 1.0 + 0 / norm)",
        {"clip-backward-rows"},
    ),
    "the values clipped too": (
        "clip-backward",
        "return tf.identity(x), gradient",
        "return tf.clip_by_norm(x, 1.0, axes=[1]), gradient",
        {"clip-backward-public", "clip-backward-rows"},
    ),
    "no gradient at all": (
        "clip-backward",
        "return g * (limit",
        "return 0 * g * (limit",
        {"clip-backward-public", "clip-backward-rows", "clip-backward-time"},
    ),
}
