"""What stands for the site elsewhere: the card that a shared link shows, and the icon of a tab.

The card is computed when the site is built. It is the course's argument: the gradient of three networks that differ in
the size of their weights only, measured layer by layer, with the line that theory predicts. Title and address come from
``_config.yml``, so that a fork's cards are its own. sphinxext-opengraph writes the tags; it is told the site's address
and kept from quoting the line of page times as a page's description.
"""

import textwrap
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from docutils import nodes
from matplotlib.figure import Figure

from gradclinic import init, measure, numpy_net, plots, theory
from gradclinic.spec import MLP
from workshop.sphinx import passes

NAME = "_static/card.png"
SIZE = (1200, 630)
LAYERS, WIDTH = 50, 100
NETWORKS = (  # weight variance times fan-in, all ReLU; where its name stands
    ("explodes", 2 * 1.4**2, plots.VERMILION),
    ("arrives", 2.0, plots.GREEN),
    ("vanishes", 2 / 1.4**2, plots.BLUE),
)
CLAIM = "Vanishing and exploding gradients: predicted, then measured"
ALT = (
    "Three curves of the gradient against the layer, on a logarithmic scale: with weights 1.4 times He's it grows by "
    "seven powers of ten towards the input, with He's it keeps its size, with weights 1.4 times smaller it shrinks by "
    "seven; dashed lines, computed from theory, run through all three"
)


def measured(variance, rng):
    """The size of dC/dz of each layer, relative to the output layer's: the median of 9 networks, one batch."""
    spec = MLP((WIDTH,) * (LAYERS + 1), "relu")
    networks = init.mlp(spec, rng, weight_variance=variance, ensemble=9)
    trace = numpy_net.forward(spec, networks, rng.normal(size=(16, WIDTH)))
    target = trace.output - rng.normal(size=trace.output.shape)
    gradients = numpy_net.backward(spec, networks, trace, target)
    delta = measure.profile_from(spec.names, gradients.delta, gradients.weights).delta
    return np.median(delta / delta[:, -1:], axis=0)


def draw(title):
    """The card as the bytes of a PNG."""
    rng = np.random.default_rng(0)
    layers = np.arange(1, LAYERS + 1)
    with mpl.rc_context():
        plots.use_style()
        mpl.rcParams["figure.constrained_layout.use"] = False
        figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100)
        ax = figure.add_axes((0.23, 0.15, 0.68, 0.49))
        for name, variance, color in NETWORKS:
            share = measured(variance, rng)
            ax.plot(layers, share, color=color, lw=7)
            plots.theory_line(layers, theory.layer_factor("relu", variance) ** (LAYERS - layers), ax)
            ax.text(-0.2, share[0], name, color=color, fontsize=26, weight="bold", ha="right", va="center")
        ax.set(yscale="log", xlim=(1, LAYERS), xticks=[1, 10, 20, 30, 40, 50], yticks=10.0 ** np.arange(-6, 7, 6))
        ax.yaxis.tick_right()
        ax.tick_params(labelsize=16, length=0)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set_xlabel("size of the gradient at layer 1 (next to the input) to 50; dashed: theory", fontsize=16)
        lines = textwrap.wrap(title, 26)
        size = 54 / len(lines)
        figure.text(0.057, 0.875, "\n".join(lines), fontsize=size, weight="bold", va="center")
        figure.text(0.06, 0.745, CLAIM, fontsize=24, va="center")
        made = BytesIO()
        figure.savefig(made, format="png", metadata={"Software": None})
    return made.getvalue()


def name_it(app, config):
    config.ogp_site_url = config.html_baseurl
    config.ogp_site_name = config.html_title or config.project
    config.ogp_image, config.ogp_image_alt = NAME, ALT
    config.ogp_custom_meta_tags = (
        f'<meta property="og:image:width" content="{SIZE[0]}" />',
        f'<meta property="og:image:height" content="{SIZE[1]}" />',
        '<meta name="twitter:card" content="summary_large_image" />',
    )


def add_fallback_icon(app, pagename, templatename, context, doctree):
    """For browsers that do not draw an SVG in a tab, and for a telephone's home screen."""
    icon = context["pathto"]("_static/favicon.png", 1)
    context["metatags"] = (
        context.get("metatags", "")
        + f'<link rel="alternate icon" type="image/png" sizes="180x180" href="{icon}" />\n'
        + f'<link rel="apple-touch-icon" href="{icon}" />\n'
    )


def drop_page_times(app, pagename, templatename, context, doctree):
    """The page has been written when this is called: what is left of its tree is read for the description only."""
    if doctree:
        for line in [node for node in doctree.findall(nodes.paragraph) if "page-times" in node["classes"]]:
            line.parent.remove(line)


def write(app, exception):
    if exception is None and app.builder.format == "html":
        Path(app.outdir, NAME).write_bytes(draw(app.config.ogp_site_name))


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
