"""remedies/lstm: what a forget bias keeps."""

import numpy as np

from workshop.sphinx.interactive.describe import Figure, Knob, Plot, Series, steps, stored

BIASES = np.arange(-1.0, 6.01, 0.25)


def slow_grid() -> dict[str, list]:
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


FIGURE = Figure(
    title="What a forget bias keeps",
    question=(
        "By how many powers of ten does the LSTM's gradient over 100 steps rise when the forget bias goes from 0 "
        "to 1? From which bias on does the gradient not shrink at all?"
    ),
    answer=(
        "Between thirteen and fourteen powers of ten. From a bias of 2.75 on the LSTM's gradient is larger "
        "at lag 100 than at lag 0: the recurrent path beside the memory line adds to it."
    ),
    knobs=(
        Knob("bias", "forget bias", steps(-1, 6, 0.25), 1.0),
        Knob("lag", "time lag", tuple(range(1, 101)), 100, digits=0),
    ),
    plots=(
        Plot(
            "against the time lag",
            "time lag (steps)",
            "gradient of the memory",
            (
                Series("one", "", "level", "ink"),
                Series("carousel", "memory line alone, σ(b) per step", color="ink", dash="dashed"),
                Series("gru", "GRU, all paths", color="vermilion", dash="dotdash"),
                Series("lstm", "LSTM, all paths", color="blue"),
            ),
            whole_x=True,
        ),
        Plot(
            "against the bias",
            "bias of the forget or update gate",
            "gradient at this lag",
            (
                Series("one", "", "level", "ink"),
                Series("carousel", "", color="ink", dash="dashed"),
                Series("gru", "", color="vermilion", dash="dotdash"),
                Series("lstm", "", color="blue"),
                Series("here", "", "cursor", "ink", "dotted"),
                Series("points", "this bias", "dots", "blue", size=9),
            ),
        ),
    ),
    grid=stored(__file__),
)
