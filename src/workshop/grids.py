"""Grids of the interactive figures that are too slow to compute whenever the site is built.

``python -m workshop.grids`` writes them beside the extension that reads them, ``src/workshop/sphinx/interactive``; a
test computes them again. Grids that take less than a second are made by ``src/workshop/sphinx/interactive.py`` itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FOLDER = Path("src/workshop/sphinx/interactive")
BIASES = np.arange(-1.0, 6.01, 0.25)


def lstm() -> dict[str, list]:
    r"""Gradient of the memory against lag, for every bias of the carry gate: what the page remedies/lstm measures.

    :math:`\log_{10} \lVert \partial C/\partial m_{101-\tau} \rVert / \lVert \partial C/\partial m_{101} \rVert`,
    medians over ten networks drawn as Keras draws them, from the page's seeds, so that the numbers are the page's.
    ``biases`` ``(B,)``; ``lstm``, ``gru`` ``(B, 101)``, two decimals.
    """
    from gradclinic import gated  # loads torch, which building the site does not

    rng, widths = np.random.default_rng(0), (8, 32, 1)
    x, v = rng.standard_normal((5, 101, widths[0])), rng.standard_normal((5, widths[1]))
    gated.draw("lstm", rng, (), widths, scheme="torch")  # the page draws one network before its ten
    generators = {"lstm": rng, "gru": np.random.default_rng(2)}
    grid: dict[str, list] = {"biases": BIASES.tolist()}
    for kind, generator in generators.items():
        networks = gated.draw(kind, generator, (1, 10), widths).map(lambda a: np.repeat(a, len(BIASES), axis=0))
        networks.bias[..., widths[1] : 2 * widths[1]] = BIASES[:, None, None]
        sizes = gated.memory_gradients(kind, networks, x, v)
        ratio = np.median(sizes / sizes[..., -1:], axis=1)[:, ::-1]
        grid[kind] = (np.round(np.log10(ratio), 2) + 0.0).tolist()
    return grid


def loss_scale(most: int = 30) -> dict[str, list]:
    r"""``factors`` ``[l - 1]``: :math:`\sqrt{E\,\sigma'(\sqrt{q_l} u)^2}`, what layer ``l`` of the sigmoid network of
    the page beyond/mixed-precision multiplies the gradient by; :math:`q_1` is the mean square of the page's 100 digits.
    """
    from gradclinic import activations, theory
    from gradclinic.course import data

    sigmoid, factors = activations.get("sigmoid"), []
    q = float(np.mean(data.digits(n_train=1000, rng=np.random.default_rng(0)).x_train[:100] ** 2))
    for _ in range(most):
        factors.append(float(np.sqrt(activations.gaussian_mean(lambda u: sigmoid.slope(u) ** 2, q))))
        q = theory.variance_map("sigmoid", q, 1.0)
    return {"factors": np.round(factors, 8).tolist()}


GRIDS = {"lstm": lstm, "loss-scale": loss_scale}


def main() -> None:
    """Write every grid."""
    if not FOLDER.is_dir():
        raise SystemExit(f"{FOLDER}: not found; run python -m workshop.grids in the repository's root")
    for name, grid in GRIDS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(grid(), separators=(",", ":")) + "\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
