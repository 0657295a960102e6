"""Answers to *The clinic*: right ones in other ways, typical wrong ones and what each loses.

``RIGHT``: name -> {solution cell: its source}. ``WRONG``: name -> (solution cell, a piece of the reference, what stands
in its place, the checks it must lose: these and no others).
"""

RIGHT = {
    "ratios by hand, SciPy's gain, a snapshot of the weights, persistent tape": {
        "diagnose": """
def diagnose(reading):
    first, last = reading["delta"][0], reading["delta"][-1]
    if not np.isfinite(reading["update"]).all():
        return "bad-data"
    if first > 100 * last:
        return "init-large"
    if first < last / 100:
        if np.mean(reading["dead"]) > 0.8:
            return "dead-units"
        if np.mean(reading["saturated"]) > 0.4:
            return "saturation"
        return "init-small"
    return "step" if np.median(reading["update"]) > 0.15 else "healthy"
""",
        "prescribe": """
def prescribe(cause, settings):
    if cause == "step":
        return "lr", min(settings["lr"] / 10, 0.1)
    if cause.startswith("dead"):
        return "bias", 0.01
    slope = {"relu": 0.0, "leaky_relu": 0.01, "tanh": 0.9}.get(settings["activation"], 0.0)
    return "weight_scale", float((2 / (1 + slope**2)) ** 0.5)
""",
        "train-step": """
import copy
import torch
from torch import nn

def train_step(model, optimizer, x, y, limit):
    for p in model.parameters():
        p.grad = None
    log_p = model(x).log_softmax(dim=1)
    loss = -log_p[torch.arange(len(y)), y].mean()
    value = float(loss)
    if value - value == 0:
        loss.backward()
        try:
            nn.utils.clip_grad_norm_(model.parameters(), limit, error_if_nonfinite=True)
        except RuntimeError:
            return value
        optimizer.step()
    return value
""",
        "silent-layers": """
from gradclinic.tf_net import tf
import keras

def silent_layers(model, x, y):
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    silent = []
    with tf.GradientTape(persistent=True) as tape:
        loss = loss_of(y, model(x, training=False))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            g = tape.gradient(loss, layer.kernel)
            if not layer.trainable or g is None or float(tf.reduce_max(tf.abs(g))) == 0.0:
                silent.append(layer.name)
    return silent
""",
        "burst": """
import math

def burst(beta1, beta2, loud):
    m = v = way = longest = 0.0
    batch = 0
    for t in range(1, loud + 1):
        m += (1 - beta1) * (1 - m)
        v += (1 - beta2) * (1 - v)
        step = m / math.sqrt(v)
        way += step
        if step > longest:
            longest, batch = step, t
    if beta1**2 >= beta2:
        return longest, batch, math.inf
    return longest, batch, way + step / (math.sqrt(beta2) / beta1 - 1)
""",
        "mean-and-scatter": """
def mean_and_scatter(pieces, norms):
    counts = [len(sizes) ** 2 / sum(1 / n for n in sizes) for sizes in pieces]
    law = np.array([[1, 1 / count] for count in counts])
    return tuple(np.linalg.solve(law, [np.square(printed).mean() for printed in norms]))
""",
    },
    "thresholds elsewhere, He throughout, zero instead of forget": {
        "diagnose": """
def diagnose(reading):
    gap = np.log10(reading["delta"][0] + 1e-300) - np.log10(reading["delta"][-1] + 1e-300)
    symptoms = [
        ("bad-data", not reading["inputs_finite"]),
        ("dead-units", np.count_nonzero(reading["dead"] > 0.9) > 3),
        ("saturation", gap < -2 and reading["saturated"].min() > 0.25),
        ("init-small", gap < -2),
        ("init-large", gap > 2),
        ("step", reading["update"].max() >= 0.2),
    ]
    return next((name for name, present in symptoms if present), "healthy")
""",
        "prescribe": """
def prescribe(cause, settings):
    cures = {"dead-units": ("bias", 0.0), "step": ("lr", 0.03)}
    return cures.get(cause, ("weight_scale", {"tanh": 1.0}.get(settings["activation"], 1.45)))
""",
        "train-step": """
import torch
from torch import nn

def train_step(model, optimizer, x, y, limit):
    optimizer.zero_grad(set_to_none=False)
    loss = nn.CrossEntropyLoss()(model(x), y)
    loss.backward()
    squares = sum((p.grad**2).sum() for p in model.parameters())
    if not torch.isfinite(squares):
        optimizer.zero_grad()
        return loss.item()
    factor = min(1.0, limit / (squares.item() ** 0.5 + 1e-12))
    for p in model.parameters():
        p.grad *= factor
    optimizer.step()
    return loss.item()
""",
        "burst": """
def burst(beta1, beta2, loud):
    steps = np.array([(1 - beta1**t) / (1 - beta2**t) ** 0.5 for t in range(1, loud + 1)])
    way, step, fade = steps.sum(), steps[-1], beta1 * beta2**-0.5
    while fade < 1 and step > 1e-9 * (1 - fade):    # the series itself, until nothing of it is left
        step *= fade
        way += step
    return steps.max(), steps.argmax() + 1, way if fade < 1 else float("inf")
""",
        "mean-and-scatter": """
def mean_and_scatter(pieces, norms):
    (a, b), (s, t) = ((sum(1 / n for n in p) / len(p) ** 2 for p in pieces), (np.dot(n, n) / len(n) for n in norms))
    return (a * t - b * s) / (a - b), (s - t) / (a - b)
""",
    },
}

VANISHING, EXPLODING, STEP, DATA = (f"diagnose-{name}" for name in ("vanishing", "exploding", "step", "data"))
PRESCRIBE = {"prescribe-weights", "prescribe-others"}
TRAIN = {"train-step-public", "train-step-fresh", "train-step-clip", "train-step-bad"}

WRONG = {
    "upside down": (
        "diagnose",
        'reading["delta"])\n',
        'reading["delta"][::-1])\n',
        {"diagnose-public", VANISHING, EXPLODING},
    ),
    "NaN asked last": (
        "diagnose",
        'if not reading["inputs_finite"]:',
        'if reading["loss"] == np.nan:',
        {"diagnose-public", DATA},
    ),
    "the step before the profile": (
        "diagnose",
        '    if verdict == "exploding":',
        '    if verdict == "exploding" and reading["update"].max() < 0.3:',
        {"diagnose-public", EXPLODING},
    ),
    "any dead unit": ("diagnose", '["dead"].max() > 0.95', '["dead"].max() > 0.02', {VANISHING}),
    "dead units not looked at": (
        "diagnose",
        '["dead"].max() > 0.95',
        '["dead"].max() > 2',
        {"diagnose-public", VANISHING},
    ),
    "saturation not looked at": (
        "diagnose",
        '["saturated"].max() > 0.5',
        '["saturated"].max() > 2',
        {"diagnose-public", VANISHING},
    ),
    "every update is too large": (
        "diagnose",
        '["update"].max() > 0.3',
        '["update"].max() > 1e-4',
        {"diagnose-public", EXPLODING, STEP},
    ),
    "no update is too large": (
        "diagnose",
        '["update"].max() > 0.3',
        '["update"].max() > 1e9',
        {"diagnose-public", STEP},
    ),
    "a factor of ten is an explosion": (
        "diagnose",
        'measure.verdict(reading["delta"])',
        'measure.verdict(reading["delta"], decades=0.02)',
        {"diagnose-public", EXPLODING, STEP},
    ),
    "everything is smaller": (
        "prescribe",
        'return "weight_scale", 1.1 if settings["activation"] == "tanh" else np.sqrt(2)',
        'return "weight_scale", settings["weight_scale"] / 3',
        {"prescribe-weights"},
    ),
    "variance for scale": ("prescribe", "np.sqrt(2)", "4.0", {"prescribe-weights"}),
    "the square root of two for every activation": (
        "prescribe",
        '1.1 if settings["activation"] == "tanh" else np.sqrt(2)',
        "np.sqrt(2)",
        {"prescribe-weights"},
    ),
    "weights for everything": (
        "prescribe",
        'return "bias", 0.0',
        'return "weight_scale", 2.0',
        {"prescribe-public", "prescribe-others"},
    ),
    "normalise": (
        "prescribe",
        'return "bias", 0.0',
        'return "normalization", "batch"',
        {"prescribe-public", "prescribe-others"},
    ),
    "a step too small": ("prescribe", '"lr", 0.05', '"lr", 1e-5', {"prescribe-public", "prescribe-others"}),
    "a clip's way of thinking": ("prescribe", '"lr", 0.05', '"lr", 5.0', {"prescribe-public", "prescribe-others"}),
    "softmax before the loss": (
        "train-step",
        "cross_entropy(model(x), y)",
        "cross_entropy(model(x).softmax(1), y)",
        {"train-step-public", "train-step-fresh", "train-step-clip"},
    ),
    "gradients add up": ("train-step", "optimizer.zero_grad()", "optimizer", {"train-step-fresh", "train-step-bad"}),
    "clipped before it is there": (
        "train-step",
        "    loss.backward()\n    norm = nn.utils.clip_grad_norm_(model.parameters(), limit)",
        "    norm = nn.utils.clip_grad_norm_(model.parameters(), limit)\n    loss.backward()",
        {"train-step-clip", "train-step-bad"},
    ),
    "clipped by value": (
        "train-step",
        "norm = nn.utils.clip_grad_norm_(model.parameters(), limit)",
        "nn.utils.clip_grad_value_(model.parameters(), limit)\n    norm = loss",
        {"train-step-clip", "train-step-bad"},
    ),
    "steps whatever comes": (
        "train-step",
        "if torch.isfinite(loss) and torch.isfinite(norm):",
        "if True:",
        {"train-step-bad"},
    ),
    "the loss alone is asked": (
        "train-step",
        "torch.isfinite(loss) and torch.isfinite(norm)",
        "torch.isfinite(loss)",
        {"train-step-bad"},
    ),
    "sum over the batch": (
        "train-step",
        "cross_entropy(model(x), y)",
        "cross_entropy(model(x), y, reduction='sum')",
        {"train-step-public", "train-step-fresh"},
    ),
    "only None is silent": (
        "silent-layers",
        "g is None or not np.any(g.numpy())",
        "g is None",
        {"silent-public", "silent-dead"},
    ),
    "only zeros are silent": (
        "silent-layers",
        "g is None or not np.any(g.numpy())",
        "g is not None and not np.any(g.numpy())",
        {"silent-cut"},
    ),
    "biases count": (
        "silent-layers",
        "tape.gradient(C, [layer.kernel for layer in layers])",
        "tape.gradient(C, [layer.bias for layer in layers])",
        {"silent-public", "silent-dead"},
    ),
    "small is silent": (
        "silent-layers",
        "not np.any(g.numpy())",
        "np.abs(g.numpy()).max() < 1e6",
        {"silent-public", "silent-dead", "silent-cut"},
    ),
    "those that learn": (
        "silent-layers",
        "if not layer.trainable or g is None or not np.any(g.numpy())",
        "if layer.trainable and g is not None and np.any(g.numpy())",
        {"silent-public", "silent-dead", "silent-cut"},
    ),
    "frozen layers forgotten": ("silent-layers", "not layer.trainable or ", "", {"silent-cut"}),
    "batches from 0": ("burst", "at + 1, float", "at, float", {"burst-public", "burst-longest"}),
    "a new Adam's correction": (
        "burst",
        "(1 - beta1**t) / np.sqrt(1 - beta2**t)",
        "(1 - beta1**t) / np.sqrt(1 - beta2**t) / (1 - beta1**t) * np.sqrt(1 - beta2**t)",
        {"burst-public", "burst-longest", "burst-way"},
    ),
    "the page's beta1": ("burst", "(1 - beta1**t)", "(1 - 0.9**t)", {"burst-longest", "burst-way"}),
    "two hundred batches are enough": (
        "burst",
        "np.arange(1, loud + 1)",
        "np.arange(1, min(loud, 200) + 1)",
        {"burst-longest"},
    ),
    "no longer step than the last": ("burst", "int(np.argmax(steps))", "loud - 1", {"burst-public", "burst-longest"}),
    "v where its root is meant": ("burst", "beta1 / np.sqrt(beta2)", "beta1 / beta2", {"burst-public", "burst-way"}),
    "only m forgets": ("burst", "beta1 / np.sqrt(beta2)", "beta1", {"burst-public", "burst-way"}),
    "the burst alone": ("burst", "steps.sum() + rest", "steps.sum()", {"burst-public", "burst-way"}),
    "the last step twice": ("burst", "steps[-1] * fade /", "steps[-1] /", {"burst-public", "burst-way"}),
    "a series cut off": (
        "burst",
        "steps[-1] * fade / (1 - fade)",
        "steps[-1] * sum(fade**k for k in range(1, 1000))",
        {"burst-way"},
    ),
    "a series that always ends": ("burst", " if fade < 1 else np.inf", "", {"burst-way"}),
    "the mean of norms": (
        "mean-and-scatter",
        "np.mean(np.array(printed) ** 2)",
        "np.mean(printed) ** 2",
        {"scatter-norms"},
    ),
    "the median": ("mean-and-scatter", "np.mean(np.array(printed) ** 2)", "np.median(printed) ** 2", {"scatter-norms"}),
    "never below 0": (
        "mean-and-scatter",
        "float(squares[0] - scatter * shares[0])",
        "max(0.0, float(squares[0] - scatter * shares[0]))",
        {"scatter-norms"},
    ),
    "all samples alike": (
        "mean-and-scatter",
        "np.mean(1 / np.array(sizes)) / len(sizes)",
        "1 / np.sum(sizes)",
        {"scatter-pieces"},
    ),
    "as many as a piece has": ("mean-and-scatter", " / len(sizes)", "", {"scatter-pieces"}),
    "norms for squares": (
        "mean-and-scatter",
        "np.array(printed) ** 2",
        "np.array(printed)",
        {"scatter-public", "scatter-norms", "scatter-pieces"},
    ),
    "the length for its square": (
        "mean-and-scatter",
        "float(squares[0] - scatter * shares[0]), float",
        "float(squares[0] - scatter * shares[0]) ** 0.5, float",
        {"scatter-public", "scatter-norms", "scatter-pieces"},
    ),
}
