"""today/attention-logits: entropy of a softmax over random scores, and its largest weights."""

import numpy as np

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, rounded, steps, stored

LENGTHS = (16, 64, 256, 1024, 4096)
SIGMAS = steps(0.0, 8.0, 0.25)
LARGEST = 10


def slow_grid(rows: int = 400) -> dict[str, list]:
    """``entropy`` ``[length][sigma]`` and ``weights`` ``[length][sigma][rank]``: means over ``rows`` softmaxes."""
    from gradclinic.course import attention

    entropies, weights = [], []
    for length in LENGTHS:
        normal = np.random.default_rng(length).standard_normal((rows, length))
        shares = [attention.softmax(sigma * normal) for sigma in SIGMAS]
        entropies.append([float(np.mean(attention.entropy(share))) for share in shares])
        weights.append([np.mean(-np.sort(-share, axis=-1)[:, :LARGEST], axis=0).tolist() for share in shares])
    return {"entropy": rounded(entropies, 4), "weights": rounded(weights, 5)}


FIGURE = Figure(
    title="How many tokens does a query look at?",
    question=(
        "with 1024 tokens, at which spread of the scores does the largest weight first exceed one half? And does "
        "the law (dashed) still hold there?"
    ),
    answer=(
        "At 5. There the law has long been at 0, which would mean one single token; it holds up to a spread of "
        "about 2.5."
    ),
    knobs=(
        Knob("length", "tokens T", LENGTHS, 1024, digits=0),
        Knob("sigma", "spread σ of the scores", SIGMAS, 1.0),
    ),
    plots=(
        Plot(
            "entropy",
            "spread σ of the scores",
            "entropy, nats",
            (
                Series("law", "ln T − σ²/2", color="ink", dash="dashed"),
                Series("entropy", "random scores", color="blue"),
                Series("here", "", "dots", "vermilion", size=10),
            ),
            log_y=False,
            whole_x=True,
        ),
        Plot(
            "the ten largest weights",
            "rank",
            "weight",
            (Series("weights", "mean of 400 queries", "path", "vermilion", size=7),),
            log_y=False,
            whole_x=True,
        ),
    ),
    grid=stored(__file__),
    replaces=False,
)
