"""``{benchmarks}``: what the benchmarks last measured, one table a group, read at build time."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from workshop.sphinx.measured_table import measured, table


class Benchmarks(SphinxDirective):
    def run(self):
        groups = measured(self, "benchmarks")
        if not groups:
            return [nodes.paragraph("", "No benchmark has been run yet.")]
        return [
            table("benchmarks", (70, 30), (group, "time, as a ratio"), ((row, f"{r:g}") for row, r in ratios.items()))
            for group, ratios in groups.items()
        ]


def setup(app):
    app.add_directive("benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
