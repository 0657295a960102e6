"""The HTML of a figure that follows knobs: knobs, legend, places for plots, sentence, folded answer and table."""

from html import escape


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
