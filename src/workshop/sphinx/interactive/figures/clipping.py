"""remedies/clipping: descent on the cliff with a limit on the norm."""

import numpy as np
from scipy.special import expit

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, powers, steps

LIMITS = (*powers(np.arange(-1, 4.01, 0.25), 3), 1e300)


def cliff_image():
    """Loss of the one-unit network over (w, b), as levels 0 to 255 for losses 0 to 16."""
    w, b = np.linspace(3.9, 5.2, 105), np.linspace(-2.9, -1.6, 105)[:, None]
    h = 0.5 + 0 * (w + b)
    for _ in range(50):
        h = w * expit(h) + b
    return np.round(np.clip((h - 0.7) ** 2 / 16, 0, 1) * 255).astype(np.uint8), (3.9, -2.9, 1.3, 1.3)


FIGURE = Figure(
    title="Descent on the cliff, with a limit on the norm",
    question=(
        "how far can the limit be raised before the descent is thrown further than 5 from its start? And "
        "is there a limit that is too small?"
    ),
    answer=(
        "A thrown step is as long as the limit times the rate, 0.01: the limit 316 throws nothing further than 5, "
        "562 does. The limit 0.1 is too small: all 300 steps together go 0.15 and end before the wall."
    ),
    knobs=(
        Knob(
            "limit",
            "limit on the norm",
            LIMITS,
            10.0,
            texts=(*(f"{v:.0f}" if v >= 10 else f"{v:g}" for v in LIMITS[:-1]), "none"),
        ),
        Knob("offset", "start above the wall by", steps(-0.5, 0.5, 0.02), -0.18),
    ),
    plots=(
        Plot(
            "path over the loss",
            "w",
            "b",
            (
                Series("wall", "wall", color="ink", dash="dashed"),
                Series("free", "the same without a limit", color="purple", dash="dotdash"),
                Series("path", "descent", "path", "vermilion", size=4),
                Series("start", "start", "dots", "blue", size=11),
                Series("end", "end", "dots", "green", marker="square", size=10),
            ),
            log_y=False,
            image=cliff_image,
        ),
        Plot(
            "loss",
            "step",
            "loss (cut at 1e−12)",
            (Series("free", "", color="purple", dash="dotdash"), Series("loss", "", color="vermilion")),
        ),
    ),
)
