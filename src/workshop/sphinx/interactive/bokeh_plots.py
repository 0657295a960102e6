"""A described plot as Bokeh's JSON."""


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
    if plot.x_names:
        drawn.xaxis.ticker = FixedTicker(ticks=list(plot.x_names))
        drawn.xaxis.major_label_overrides = plot.x_names
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
