"""Answers to *The chain and the four equations*: right ones in other ways, typical wrong ones and what each loses.

``RIGHT``: name -> {solution cell: its source}. ``WRONG``: name -> (solution cell, a piece of the reference, what stands
in its place, the checks it must lose: these and no others).
"""

RIGHT = {
    "logarithms, the negative root, a loop over samples": {
        "factors": """
from scipy.special import expit

def factors(w, b, x):
    z = np.empty(len(w))
    for i in range(len(w)):
        z[i] = w[i] * (x if i == 0 else expit(z[i - 1])) + b[i]
    return w * np.exp(-np.logaddexp(0, z) - np.logaddexp(0, -z))
""",
        "balanced-biases": """
def balanced_biases(w, x):
    s = (1 - np.sqrt(1 - 4 / np.abs(w))) / 2
    z = np.log(s / (1 - s))
    b = []
    for w_i, z_i, s_i in zip(w, z, s):
        b.append(z_i - w_i * x)
        x = s_i
    return b
""",
        "backward": """
def backward(W, b, x, y):
    L, n = len(W), len(x)
    delta = [np.zeros((n, len(W[l]))) for l in range(L)]
    dW, db = [np.zeros_like(W[l]) for l in range(L)], [np.zeros_like(b[l]) for l in range(L)]
    for i in range(n):
        a = [x[i]]
        for l in range(L):
            a.append(np.tanh(W[l] @ a[l] + b[l]))
        for l in reversed(range(L)):
            arriving = a[L] - y[i] if l == L - 1 else W[l + 1].T @ delta[l + 1][i]
            delta[l][i] = np.diag(1 - a[l + 1] ** 2) @ arriving
            dW[l] += np.outer(delta[l][i], a[l]) / n
            db[l] += delta[l][i] / n
    return delta, dW, db
""",
        "by-torch": """
import torch

def by_torch(W, b, x, y):
    model = torch.nn.Sequential()
    for W_l, b_l in zip(W, b):
        linear = torch.nn.Linear(W_l.shape[1], W_l.shape[0], dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.from_numpy(W_l.copy()), torch.from_numpy(b_l.copy())
        model.extend([linear, torch.nn.Tanh()])
    loss = torch.nn.functional.mse_loss(model(torch.from_numpy(x)), torch.from_numpy(y), reduction="sum")
    (loss / (2 * len(x))).backward()
    return [part.weight.grad.numpy() for part in model if hasattr(part, "weight")]
""",
        "by-tensorflow": """
from gradclinic.tf_net import tf
import keras

def by_tensorflow(W, b, x, y):
    dense = [keras.layers.Dense(len(W_l), activation="tanh", dtype="float64") for W_l in W]
    model = keras.Sequential([keras.Input((x.shape[1],), dtype="float64"), *dense])
    for layer, W_l, b_l in zip(dense, W, b):
        layer.set_weights([W_l.T, b_l])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(0.5 * tf.reduce_sum((model(x) - y) ** 2, axis=1))
    return [np.array(tf.transpose(g)) for g in tape.gradient(loss, [layer.kernel for layer in dense])]
""",
    },
    "by differentiating the factors' own definition": {
        "factors": """
import torch as engine

def factors(w, b, x):
    # each neuron for itself, at the input that it really gets
    y, f = engine.tensor(float(x), dtype=engine.float64), []
    for w_i, b_i in zip(w, b):
        y = y.detach().requires_grad_()
        out = engine.sigmoid(w_i * y + b_i)
        f.append(engine.autograd.grad(out, y)[0].item())
        y = out
    return np.array(f)
""",
        "balanced-biases": """
from scipy.optimize import brentq

def balanced_biases(w, x):
    biases, y = [], x
    for i, w_i in enumerate(w):
        def excess(z):
            return abs(w_i) / (2 + 2 * np.cosh(z)) - 1
        z = brentq(excess, 0, 20, xtol=1e-14) if excess(0) > 0 else 0.0
        z = -z if i % 2 else z
        biases.append(z - w_i * y)
        y = 1 / (1 + np.exp(-z))
    return np.array(biases)
""",
        "backward": """
def backward(W, b, x, y):
    import torch
    W, b = ([torch.tensor(p, requires_grad=True) for p in part] for part in (W, b))
    z, a = [], torch.tensor(x)
    for W_l, b_l in zip(W, b):
        z.append(a @ W_l.T + b_l)
        a = torch.tanh(z[-1])
    loss = ((a - torch.tensor(y)) ** 2).sum() / 2 / len(x)
    g = [v.numpy() for v in torch.autograd.grad(loss, z + W + b)]
    L = len(W)
    return [v * len(x) for v in g[:L]], g[L : 2 * L], g[2 * L :]
""",
    },
    "a solver that stops a little beside the edge": {
        "factors": """
def factors(w, b, x):
    f, y = [], x
    for w_i, b_i in zip(w, b):
        e = np.exp(-abs(w_i * y + b_i))
        f.append(w_i * e / (1 + e) ** 2)
        y = 1 / (1 + e) if w_i * y + b_i >= 0 else e / (1 + e)
    return np.array(f)
""",
        "balanced-biases": """
def balanced_biases(w, x):
    biases, y = [], x
    for w_i in w:
        low, high = 1e-4, 20.0
        while high - low > 1e-12:
            z = (low + high) / 2
            if abs(w_i) / (2 + 2 * np.cosh(z)) > 1:
                low = z
            else:
                high = z
        biases.append(high - w_i * y)
        y = 1 / (1 + np.exp(-high))
    return np.array(biases)
""",
    },
}

FACTORS = {"factors-public", "factors-fresh"}
BIASES = {"balanced-biases-public", "balanced-biases-fresh"}

WRONG = {
    # the weight's sign lost: gradients have signs
    "factors of size only": ("factors", "w_i * y * (1 - y)", "abs(w_i) * y * (1 - y)", {"factors-fresh"}),
    "slope without the weight": ("factors", "w_i * y * (1 - y)", "y * (1 - y)", {*FACTORS, "factors-far"}),
    "slope of the input, not of z": ("factors", "    z = w_i * y + b_i", "    z = y", {*FACTORS, "factors-far"}),
    "every neuron sees x": ("factors", "z = w_i * y + b_i", "z = w_i * x + b_i", {"factors-fresh", "factors-far"}),
    "exponentials that overflow": (
        "factors",
        "w_i * y * (1 - y)",
        "w_i * np.exp(-z) / (1 + np.exp(-z)) ** 2",
        {"factors-far"},
    ),
    "the example, remembered": ("factors", "np.array(f)", "np.array([1.0, 2.0])", {"factors-fresh", "factors-far"}),
    # at the top of the sigmoid |f| is |w| / 4
    "every neuron centred": ("balanced-biases", "z = 2 * np.arctanh(r)", "z = 0 * r; r = 0 * r", BIASES),
    "every neuron sees x as its input": (
        "balanced-biases",
        "(1 + r[:-1]) / 2",
        "x + 0 * r[:-1]",
        {*BIASES, "balanced-biases-edge"},
    ),
    "sigmoid and tanh confused": ("balanced-biases", "2 * np.arctanh(r)", "np.arctanh(r)", BIASES),
    "positive weights only": ("balanced-biases", "z - w * y", "z - np.abs(w) * y", {*BIASES, "balanced-biases-edge"}),
    "division by zero at |w| = 4": (
        "balanced-biases",
        "2 * np.arctanh(r)",
        "2 * np.arctanh(r) * (r / r)",
        {"balanced-biases-edge"},
    ),
    "no slope in the last layer": (
        "backward",
        "(a[-1] - y) * (1 - a[-1] ** 2)",
        "a[-1] - y",
        {"backward-public", "backward-bp1"},
    ),
    "target minus output": ("backward", "(a[-1] - y) *", "(y - a[-1]) *", {"backward-public", "backward-bp1"}),
    "slope taken at a instead of z": (
        "backward",
        "(1 - a[-1] ** 2)",
        "(1 - np.tanh(a[-1]) ** 2)",
        {"backward-public", "backward-bp1"},
    ),
    "1/n already in delta": (
        "backward",
        "(a[-1] - y) *",
        "(a[-1] - y) / len(x) *",
        {"backward-public", "backward-bp1"},
    ),
    "no slope below": ("backward", " * (1 - a_l**2))", ")", {"backward-public", "backward-bp2"}),
    "slope of the sigmoid": ("backward", "(1 - a_l**2)", "a_l * (1 - a_l)", {"backward-public", "backward-bp2"}),
    "weights of the layer itself": (
        "backward",
        "zip(W[:0:-1]",
        "zip(W[-2::-1]",
        {"backward-public", *(f"backward-bp{k}" for k in (1, 2, 3, 4))},
    ),
    "sum over the batch in the weights": (
        "backward",
        "d.T @ below / len(x)",
        "d.T @ below",
        {"backward-public", "backward-bp3"},
    ),
    "activation of the layer itself": (
        "backward",
        "zip(delta, a)]       # BP3",
        "zip(delta, a[1:])]",
        {"backward-public", "backward-bp3"},
    ),
    "sum over the batch in the biases": ("backward", "d.mean(axis=0)", "d.sum(axis=0)", {"backward-bp4"}),
    "one bias for the whole layer": ("backward", "d.mean(axis=0)", "d.mean()", {"backward-public", "backward-bp4"}),
    "torch in single precision": (
        "by-torch",
        "torch.tensor(W_l, requires_grad=True)",
        "torch.tensor(W_l.astype('float32')).double().requires_grad_()",
        {"by-torch-fresh"},
    ),
    "torch, mean over the units too": ("by-torch", ".sum() / len(x)", ".mean()", {"by-torch-public", "by-torch-fresh"}),
    "torch, sum over the batch": ("by-torch", ".sum() / len(x)", ".sum()", {"by-torch-public", "by-torch-fresh"}),
    "torch, a linear last layer": (
        "by-torch",
        "    C = 0.5",
        "    a = torch.atanh(a)\n    C = 0.5",
        {"by-torch-public", "by-torch-fresh"},
    ),
    "TensorFlow in single precision": (
        "by-tensorflow",
        "[g.numpy() for g in",
        "[g.numpy().astype('float32') for g in",
        {"by-tensorflow-public", "by-tensorflow-fresh"},
    ),
    "TensorFlow, Keras's layout": (
        "by-tensorflow",
        "g.numpy()",
        "g.numpy().T",
        {"by-tensorflow-public", "by-tensorflow-fresh"},
    ),
    "TensorFlow, no one half": (
        "by-tensorflow",
        "C = 0.5 *",
        "C = 1.0 *",
        {"by-tensorflow-public", "by-tensorflow-fresh"},
    ),
}
