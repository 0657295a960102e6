"""One figure in its page, as a test reads it: the place of each, its knobs by value, its table, its points."""

import re
from pathlib import Path

import numpy as np

from workshop.book import Book
from workshop.sphinx.interactive.figures import FIGURES

ROOT = Path(__file__).parents[3]
MARK = re.compile(r"^interactive: (\S+)$", re.MULTILINE)
PLACES = [(name, page) for page in Book(ROOT).pages for name in MARK.findall(Book(ROOT).text(page))]
PAGE = dict(PLACES)


class Panel:
    """One figure in a page: its knobs by value, its table as numbers, the points that its plots show."""

    def __init__(self, page, name):
        self.page, self.name, self.figure = page, name, FIGURES[name]
        self.block = page.locator(f"[data-interactive={name}]")
        self.block.locator("xpath=..").evaluate("cell => cell.scrollIntoView()")
        page.wait_for_selector(f"[data-interactive={name}][data-ready]")

    def knob(self, key):
        return self.block.locator(f"#interactive-{self.name}-{key}")

    def turn(self, **values):
        for knob in self.figure.knobs:
            if knob.key in values:
                self.knob(knob.key).evaluate(
                    "(input, at) => { input.value = at; input.dispatchEvent(new Event('input', {bubbles: true})); }",
                    str(knob.values.index(values[knob.key])),
                )
        return self

    @property
    def sentence(self):
        return self.block.locator(".interactive-finding").text_content().replace("\u00a0", " ")

    @property
    def table(self):
        """Rows of numbers as they are, before rounding, and of text."""
        return self.block.locator("tbody").evaluate(
            "body => [...body.rows].map(row => [...row.cells].map(cell => "
            "cell.querySelector('data') ? Number(cell.querySelector('data').value) : cell.textContent))"
        )

    def column(self, i):
        return np.array([row[i] for row in self.table], dtype=float)

    def points(self):
        """What the plots show: title -> series -> (x, y), and the color of each series."""
        return self.page.evaluate(
            """titles => {
              const points = r => ({
                x: [...r.data_source.data.x], y: [...r.data_source.data.y],
                color: String(r.glyph.line_color?.value ?? r.glyph.line_color),
              });
              const plots = Bokeh.documents.map(d => d.roots()[0]).filter(p => titles.includes(p.title.text));
              return Object.fromEntries(plots.map(p => [p.title.text, Object.fromEntries(
                p.renderers.filter(r => r.name !== "image").map(r => [r.name, points(r)]))]));
            }""",
            [plot.title for plot in self.figure.plots],
        )
