"""Answers to *Measure and reproduce*: right ones in other ways, typical wrong ones and what each loses.

``RIGHT``: name -> {solution cell: its source}. ``WRONG``: name -> (solution cell, a piece of the reference, what stands
in its place, the checks it must lose: these and no others).
"""

RIGHT = {
    "vectors, SciPy's log-sum-exp, forward hooks on everything": {
        "log-gradient": """
def log10_gradient(w, b, x):
    z = np.empty(len(w))
    for i in range(len(w)):
        z[i] = w[i] * x + b[i]
        x = np.tanh(z[i])
    return np.sum(np.log10(np.abs(w)) - 2 * (np.logaddexp(z, -z) - np.log(2)) / np.log(10))
""",
        "log-norm": """
from scipy.special import logsumexp

def log10_norm(e):
    return (logsumexp(2 * np.log(10) * e) - np.log(e.shape[0])) / (2 * np.log(10))
""",
        "descend": """
import torch as engine

def descend(w, b, x, rate, steps):
    w, b = (engine.tensor(v, requires_grad=True) for v in (w, b))
    rows = []
    for k in range(steps + 1):
        y = engine.tensor(x, dtype=engine.float64)
        for i in range(len(w)):
            y = engine.sigmoid(w[i] * y + b[i])
        dw, db = engine.autograd.grad(y, (w, b))
        rows.append(dw.numpy())
        with engine.no_grad():
            w -= rate * dw
            b -= rate * db
    return rows[:-1], rows[1:]
""",
        "first-bad": """
import torch

def first_bad(model, x):
    names = {module: name for name, module in model.named_modules() if not any(True for _ in module.children())}
    seen = []
    everywhere = torch.nn.modules.module.register_module_forward_hook
    hook = everywhere(lambda module, _, out: seen.append((module, out.detach().clone())))
    model(x)
    hook.remove()
    for module, out in seen:
        if module in names and not out.isfinite().all():
            return [names[module], "nan" if out.isnan().any() else "inf"]
    return ["", ""]
""",
        "sensitivity": """
from gradclinic.tf_net import tf

def sensitivity(model, x, y):
    result, n = [], len(x)
    for l in range(1, len(model.layers) + 1):
        a = tf.constant(x)
        for layer in model.layers[:l]:
            a = layer(a)
        with tf.GradientTape() as tape:
            tape.watch(a)
            rest = a
            for layer in model.layers[l:]:
                rest = layer(rest)
            C = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, rest))
        g = n * tape.gradient(C, a)
        result.append(float(tf.norm(g)) / n**0.5)
    return result
""",
    },
    "loops, the library where it serves": {
        "log-gradient": """
def log10_gradient(w, b, x):
    decades = 0.0
    for w_i, b_i in zip(w, b):
        z = w_i * x + b_i
        x = np.tanh(z)
        # the way in, in log10 throughout: two slopes of 1 give 2e-16
        decades += np.log10(abs(w_i)) + 2 * np.log10(2) - 2 * (abs(z) + np.log1p(np.exp(-2 * abs(z)))) / np.log(10)
    return decades
""",
        "log-norm": """
def log10_norm(e):
    samples = []
    for row in e:
        top = max(row)
        samples.append(-np.inf if top == -np.inf else 2 * top + np.log10(sum(10 ** (2 * (v - top)) for v in row)))
    top = max(samples)
    if np.isneginf(top):
        return top
    return (top + np.log10(np.mean([10 ** (v - top) for v in samples]))) / 2
""",
        "descend": """
from gradclinic import chain

def descend(w, b, x, rate, steps):
    before, after = np.zeros((steps, len(w))), np.zeros((steps, len(w)))
    for k in range(steps):
        g = chain.gradients(w, b, x)
        before[k] = g.dw
        w, b = w - rate * g.dw, b - rate * g.db
        after[k] = chain.gradients(w, b, x).dw
    return before, after
""",
        "sensitivity": """
from gradclinic import measure
from gradclinic.tf_net import tf

def sensitivity(model, x, y):
    with tf.GradientTape(persistent=True) as tape:
        a, handed = tf.convert_to_tensor(x), []
        for layer in model.layers:
            a = layer(a)
            handed.append(a)
        log_p = tf.nn.log_softmax(a)
        C = -tf.reduce_sum(tf.one_hot(y, a.shape[1], dtype=a.dtype) * log_p)
    return np.array([measure.sample_norm(tape.gradient(C, h).numpy()) for h in handed])
""",
    },
}

LOG_GRADIENT = {"log-gradient-public", "log-gradient-deep", "log-gradient-far"}
LOG_NORM = {"log-norm-public", "log-norm-far", "log-norm-dead"}
DESCEND = {"descend-public", "descend-before", "descend-after"}
SENSITIVITY = {"sensitivity-public", "sensitivity-fresh", "sensitivity-uneven"}

WRONG = {
    "natural logarithm": ("log-gradient", "float(total / np.log(10))", "float(total)", LOG_GRADIENT),
    "slope as 1 - tanh^2": (
        "log-gradient",
        "log_cosh = abs(z) + np.log1p(np.exp(-2 * abs(z))) - np.log(2)",
        "log_cosh = -0.5 * np.log(1 - y**2)",
        {"log-gradient-far"},
    ),
    "cosh that overflows": (
        "log-gradient",
        "log_cosh = abs(z) + np.log1p(np.exp(-2 * abs(z))) - np.log(2)",
        "log_cosh = np.log(np.cosh(z))",
        {"log-gradient-far"},
    ),
    "the product, then its logarithm": (
        "log-gradient",
        "            total += np.log(abs(w_i)) - 2 * log_cosh\n    return float(total / np.log(10))",
        "            total += np.log10(abs(w_i)) - 2 * log_cosh / np.log(10)\n    return float(np.log10(10.0**total))",
        {"log-gradient-deep", "log-gradient-far"},
    ),
    "weights forgotten": ("log-gradient", "np.log(abs(w_i)) - 2", "-2", LOG_GRADIENT),
    "sign kept in the logarithm": ("log-gradient", "np.log(abs(w_i))", "np.log(w_i)", LOG_GRADIENT),
    "slope of the sigmoid": ("log-gradient", "- np.log(2)", "+ 0 * np.log(2)", LOG_GRADIENT),
    "mean over units too": ("log-norm", "squares.sum() / len(e)", "squares.mean()", LOG_NORM),
    "sum over samples": ("log-norm", "squares.sum() / len(e)", "squares.sum()", LOG_NORM),
    "norm, not squared": ("log-norm", "0.5 * np.log10", "np.log10", LOG_NORM),
    "no shift": ("log-norm", "top = e.max()", "top = 0.0", {"log-norm-far"}),
    "all dead is nan": ("log-norm", "if top == -np.inf:", "if top == np.inf:", {"log-norm-dead"}),
    "dead units not counted in the batch": (
        "log-norm",
        "/ len(e)",
        "/ np.isfinite(e).any(axis=1).sum()",
        {"log-norm-dead"},
    ),
    "the largest entry for the norm": ("log-norm", "squares.sum() / len(e)", "1.0", LOG_NORM),
    "before and after exchanged": (
        "descend",
        "np.array(rows[:-1]), np.array(rows[1:])",
        "np.array(rows[1:]), np.array(rows[:-1])",
        {"descend-before", "descend-after"},
    ),
    "biases left where they are": ("descend", "b - rate * db", "b", DESCEND),
    "uphill": ("descend", "w - rate * dw, b - rate * db", "w + rate * dw, b + rate * db", DESCEND),
    "layer by layer, each on new weights": (
        "descend",
        "            back = db[i] * w[i]",
        "            back = db[i] * (w[i] - rate * db[i] * y[i])",
        {"descend-before", "descend-after"},
    ),
    "one step short": ("descend", "range(steps + 1)", "range(steps)", DESCEND),
    "order of registration": (
        "first-bad",
        "return found[0] if found",
        "found.sort(key=lambda f: list(dict(leaves)).index(f[0]))\n    return found[0] if found",
        {"first-bad-order"},
    ),
    "the last bad module": (
        "first-bad",
        "return found[0] if found",
        "return found[-1] if found",
        {"first-bad-public", "first-bad-order", "first-bad-kind", "first-bad-clean"},
    ),
    "hooks left behind": ("first-bad", "handle.remove()", "handle", {"first-bad-clean"}),
    "inf is not noticed": (
        "first-bad",
        "if not torch.isfinite(output).all()",
        "if torch.isnan(output).any()",
        {"first-bad-public", "first-bad-order", "first-bad-kind", "first-bad-clean"},
    ),
    "always nan": (
        "first-bad",
        '"nan" if torch.isnan(output).any() else "inf"',
        '"nan"',
        {"first-bad-public", "first-bad-kind"},
    ),
    "inf wherever there is one": (
        "first-bad",
        '"nan" if torch.isnan(output).any() else "inf"',
        '"inf" if torch.isinf(output).any() else "nan"',
        {"first-bad-kind"},
    ),
    "children only, not nested": (
        "first-bad",
        "model.named_modules() if not list(part.children())",
        "model.named_children()",
        {"first-bad-order"},
    ),
    "None when all is well": (
        "first-bad",
        'if found else ("", "")',
        "if found else None",
        {"first-bad-kind", "first-bad-clean"},
    ),
    "mean over the batch": ("sensitivity", "tf.reduce_sum(losses)", "tf.reduce_mean(losses)", SENSITIVITY),
    "mean over samples of norms": (
        "sensitivity",
        "np.sqrt(np.mean(np.sum(g.numpy() ** 2, axis=1)))",
        "np.mean(np.linalg.norm(g, axis=1))",
        SENSITIVITY,
    ),
    "norm of the whole batch": (
        "sensitivity",
        "np.sqrt(np.mean(np.sum(g.numpy() ** 2, axis=1)))",
        "np.linalg.norm(g)",
        SENSITIVITY,
    ),
    "inputs of the layers": (
        "sensitivity",
        "tape.gradient(C, outputs[1:])",
        "tape.gradient(C, outputs[:-1])",
        SENSITIVITY,
    ),
    "last layer first": ("sensitivity", "for g in gradients]", "for g in gradients[::-1]]", SENSITIVITY),
}
