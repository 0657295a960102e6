"""Figures that follow knobs on the site, without a kernel: after a cell with the metadata ``interactive: NAME``.

Everywhere else (Lab, Colab, the printed book, a browser without JavaScript) the metadata does nothing and the cell's
own figure stays. On the HTML site a hidden block is put after that figure: native sliders, one Bokeh plot or two, a
sentence that follows the knobs and a table. ``figures.js`` shows the block once everything in it works.

Each figure is two files of ``figures/``: ``NAME.py`` describes it (``describe.py``), ``NAME.js`` computes what it shows
(with ``shared.js``). No list names them. The scripts, the style sheet and Bokeh itself (from its wheel; nothing is
fetched) are copied to ``_static/interactive`` and named only by pages that need them. They do not live in
``book/_static``: Jupyter Book loads every script and style sheet there on every page (``jupyter_book/config.py``).
"""

import json
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

from workshop.sphinx import passes
from workshop.sphinx.interactive.blocks import block_html
from workshop.sphinx.interactive.bokeh_plots import bokeh_figure
from workshop.sphinx.interactive.figures import FIGURES, formula

BUILDERS = ("html", "dirhtml")
FOLDER = Path(__file__).parent
LARGEST_GRID = 200_000
LOGGER = logging.getLogger(__name__)


def script(name, figure):
    """The data of one figure and what computes its points, since a page opened from a folder may not fetch a file."""
    grid = json.dumps(figure.grid(), separators=(",", ":"))
    if len(grid) > LARGEST_GRID:
        raise ValueError(f"interactive {name}: its grid has {len(grid)} bytes, wanted at most {LARGEST_GRID}")
    knobs = [{"key": knob.key, "values": knob.values, "texts": knob.written()} for knob in figure.knobs]
    # In Bokeh's own order: a model is defined where it comes first and named after that.
    rest = json.dumps({"knobs": knobs, "plots": [bokeh_figure(plot) for plot in figure.plots]}, separators=(",", ":"))
    return (
        f"interactive.data[{json.dumps(name)}] = {rest};\n"
        f"interactive.data[{json.dumps(name)}].grid = {grid};\n{formula(name)}"
    )


def marked_cells(doctree):
    """The code cells with the metadata ``interactive``, and its value."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") == "cell_code" and (name := cell.get("cell_metadata", {}).get("interactive")):
            yield cell, name


def add_blocks(app, doctree, docname):
    if app.builder.name not in BUILDERS:
        return
    seen = set()
    for cell, name in marked_cells(doctree):
        if name not in FIGURES:
            LOGGER.warning("interactive: got %s, wanted one of %s", name, ", ".join(FIGURES), location=docname)
        elif name in seen:
            LOGGER.warning("interactive: %s stands twice on a page; its parts are found by id", name, location=docname)
        else:
            seen.add(name)
            cell += nodes.raw("", block_html(name, FIGURES[name]), format="html")


def add_files(app, pagename, templatename, context, doctree):
    """Name the scripts on this page: what all share, its figures, then what joins them and fetches Bokeh."""
    names = [name for _, name in marked_cells(doctree) if name in FIGURES] if doctree is not None else []
    if not names or app.builder.name not in BUILDERS:
        return
    app.add_css_file("interactive/figures.css")
    for file in ("shared", *(f"figure-{name}" for name in names), "figures"):
        app.add_js_file(f"interactive/{file}.js", loading_method="defer", priority=900)


def write_files(app):
    """Put the scripts where the pages name them; the library and its licence come from the installed package."""
    if app.builder.name not in BUILDERS:
        return
    import bokeh

    package = Path(bokeh.__file__).parent
    folder = Path(app.outdir) / "_static" / "interactive"
    folder.mkdir(parents=True, exist_ok=True)
    for source, file in (
        (package / "server" / "static" / "js" / "bokeh.min.js", "bokeh.min.js"),
        (package / "LICENSE.txt", "bokeh-license.txt"),
        *((FOLDER / file, file) for file in ("shared.js", "figures.js", "figures.css")),
    ):
        shutil.copyfile(source, folder / file)
    for name, figure in FIGURES.items():
        (folder / f"figure-{name}.js").write_text(script(name, figure), encoding="utf-8")


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
