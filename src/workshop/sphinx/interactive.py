"""Figures that follow knobs on the site, without a kernel: after a cell with the metadata ``interactive: NAME``.

Everywhere else (Lab, Colab, the printed book, a browser without JavaScript) the metadata does nothing and the cell's
own figure stays. On the HTML site a hidden block is put after that figure: native sliders, one Bokeh plot or two, a
sentence that follows the knobs and a table. ``interactive/figures.js`` shows the block once everything in it works.

``interactive_figures.py`` describes the figures, ``interactive/formulas.js`` computes what they show. The scripts, the
style sheet and Bokeh itself (from its wheel; nothing is fetched) are copied to ``_static/interactive`` and named only
by pages that need them. They do not live in ``book/_static``: Jupyter Book loads every script and style sheet there on
every page (``jupyter_book/config.py``).
"""

import json
import shutil
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

from workshop.sphinx.interactive_figures import FIGURES, FILES

BUILDERS = ("html", "dirhtml")
LARGEST_GRID = 200_000
LOGGER = logging.getLogger(__name__)


def bokeh_figure(plot):
    """The plot as Bokeh's JSON, without data: figures.js fills the sources, by name, and sets ranges and colours."""
    from bokeh.embed import json_item
    from bokeh.models import BasicTicker, ColumnDataSource, FixedTicker, LinearColorMapper, Range1d
    from bokeh.plotting import figure

    drawn = figure(
        title=plot.title,
        height=300,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label=plot.x,
        y_axis_label=plot.y,
        y_axis_type="log" if plot.log_y else "linear",
        x_range=Range1d(1, 2),
        y_range=Range1d(1, 2),
        background_fill_alpha=0,
        border_fill_alpha=0,
        min_border=4,
    )
    if plot.log_y:
        drawn.yaxis.ticker = FixedTicker(ticks=[])  # figures.js sets whole powers of ten
    if plot.whole_x:
        drawn.xaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    if plot.image:
        levels, (x, y, width, height) = plot.image()
        mapper = LinearColorMapper(low=0, high=255, palette=["#ffffff", "#000000"])
        drawn.image(image=[levels], x=x, y=y, dw=width, dh=height, color_mapper=mapper, name="image")
    for series in plot.series:
        look = {"line_dash": series.dash, "line_width": 2.4 if series.kind in ("line", "path") else 1.3}
        source = ColumnDataSource({"x": [], "y": []})
        options = {"source": source, "name": series.name, "tags": [series.color]}
        if series.kind == "level":
            drawn.hspan(y="y", **options, **look)
        elif series.kind == "cursor":
            drawn.vspan(x="x", **options, **look)
        elif series.kind == "window":
            drawn.vstrip(x0="x", x1="y", fill_alpha=0.28, line_alpha=0, **options)
        elif series.kind == "band":
            drawn.hstrip(y0="x", y1="y", fill_alpha=0.28, line_alpha=0, **options)
        else:
            if series.kind in ("line", "path"):
                drawn.line("x", "y", **options, **look)
            if series.kind in ("dots", "path"):
                drawn.scatter("x", "y", size=series.size, marker=series.marker, line_width=1, **options)
    return json_item(drawn)


def script(name, figure):
    """The data of one figure as a script, since a page opened from a folder may not fetch a file."""
    grid = json.dumps(figure.grid(), separators=(",", ":"))
    if len(grid) > LARGEST_GRID:
        raise ValueError(f"interactive {name}: its grid has {len(grid)} bytes, wanted at most {LARGEST_GRID}")
    knobs = [{"key": knob.key, "values": knob.values, "texts": knob.written()} for knob in figure.knobs]
    # In Bokeh's own order: a model is defined where it comes first and named after that.
    rest = json.dumps({"knobs": knobs, "plots": [bokeh_figure(plot) for plot in figure.plots]}, separators=(",", ":"))
    return (
        f"(window.interactiveFigures ??= {{}})[{json.dumps(name)}] = {rest};\n"
        f"window.interactiveFigures[{json.dumps(name)}].grid = {grid};\n"
    )


def knob_html(name, knob):
    here = f"interactive-{name}-{knob.key}"
    at, written = knob.values.index(knob.start), knob.written()
    if knob.menu:
        options = "".join(
            f'<option value="{i}"{" selected" if i == at else ""}>{escape(text)}</option>'
            for i, text in enumerate(written)
        )
        return (
            f'<label for="{here}">{escape(knob.label)}</label><select id="{here}" autocomplete="off">{options}</select>'
        )
    return (
        f'<label for="{here}">{escape(knob.label)}</label>'
        f'<input type="range" id="{here}" name="{knob.key}" min="0" max="{len(knob.values) - 1}" step="1" value="{at}"'
        f' aria-valuetext="{escape(written[at])}" autocomplete="off">'
        f'<output for="{here}">{escape(written[at])}</output>'
    )


def legend_html(figure):
    """The legend of all plots as text beside small drawings, coloured by the style sheet."""
    entries = {s.label: s for plot in figure.plots for s in plot.series if s.label}
    items = "".join(f"<li>{swatch(s)}{escape(s.label)}</li>" for s in entries.values())
    if any(plot.image for plot in figure.plots):
        items += '<li><span class="interactive-levels"></span>loss 0 to 16</li>'
    return f'<ul class="interactive-legend">{items}</ul>'


def swatch(series):
    dash = {"dashed": "6 4", "dotted": "2 3", "dotdash": "7 3 2 3"}.get(series.dash, "none")
    line = f'<line x1="1" y1="7" x2="27" y2="7" stroke-width="2.4" stroke-dasharray="{dash}"/>'
    square = series.marker == "square"
    dot = '<rect x="10" y="3" width="8" height="8"/>' if square else '<circle cx="14" cy="7" r="4"/>'
    drawn = {
        "dots": dot,
        "path": line + dot,
        "window": '<rect x="2" y="1" width="24" height="12" opacity="0.4"/>',
        "band": '<rect x="2" y="1" width="24" height="12" opacity="0.4"/>',
    }.get(series.kind, line)
    return (
        f'<svg class="interactive-{series.color}" width="28" height="14" viewBox="0 0 28 14" aria-hidden="true"'
        f' focusable="false">{drawn}</svg>'
    )


def block_html(name, figure):
    here = f"interactive-{name}"
    knobs = "".join(knob_html(name, knob) for knob in figure.knobs)
    plots = "".join(
        f'<div class="interactive-plot" role="img" aria-label="Plot: {escape(plot.title)}"></div>'
        for plot in figure.plots
    )
    recorded = (
        '<button type="button" class="interactive-recorded" aria-pressed="false">show the recorded figure</button>'
        if figure.replaces
        else ""
    )
    return f"""
<div class="interactive{" interactive-replaces" if figure.replaces else ""}" id="{here}" role="group"
 aria-labelledby="{here}-title" data-interactive="{name}" hidden>
<p class="interactive-title" id="{here}-title">{escape(figure.title)}</p>
<p class="interactive-question"><strong>Before you move it:</strong> {escape(figure.question)}</p>
<div class="interactive-knobs">{knobs}</div>
{legend_html(figure)}
<div class="interactive-plots">{plots}</div>
<p class="interactive-finding" role="status" aria-live="polite"></p>
<details class="interactive-answer"><summary>After you moved it</summary><p>{escape(figure.answer)}</p></details>
<details class="interactive-numbers"><summary>The numbers</summary>
<div class="interactive-table" tabindex="0" role="region" aria-label="Numbers: {escape(figure.title)}">
<table><thead></thead><tbody></tbody></table></div></details>
<p class="interactive-buttons"><button type="button" class="interactive-reset">back to the start</button>{recorded}</p>
</div>
"""


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
    """Name the scripts on this page: the formulas, the data of its figures, then what joins them and fetches Bokeh."""
    names = [name for _, name in marked_cells(doctree) if name in FIGURES] if doctree is not None else []
    if not names or app.builder.name not in BUILDERS:
        return
    app.add_css_file("interactive/figures.css")
    for file in ("formulas", *(f"figure-{name}" for name in names), "figures"):
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
        *((FILES / file, file) for file in ("formulas.js", "figures.js", "figures.css")),
    ):
        shutil.copyfile(source, folder / file)
    for name, figure in FIGURES.items():
        (folder / f"figure-{name}.js").write_text(script(name, figure), encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_files)
    app.connect("doctree-resolved", add_blocks, priority=900)  # after those that look through a page's words
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
