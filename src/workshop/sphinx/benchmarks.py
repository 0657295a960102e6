"""``{benchmarks}``: what the benchmarks last measured, one table a group, read at build time.

With an argument only the group whose name begins with it, so that a page can put its own words before each table;
without one all groups. Two digits are shown: from run to run a ratio moves by a tenth or more.
"""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from workshop.sphinx.measured_table import measured, table


def shown(ratio):
    """A ratio with two digits, and without a power of ten."""
    if ratio < 0.995:
        return f"{ratio:.2g}"
    return f"{ratio:.1f}" if ratio < 9.95 else f"{float(f'{ratio:.2g}'):.0f}"


class Benchmarks(SphinxDirective):
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self):
        groups = measured(self, "benchmarks")
        if not groups:
            return [nodes.paragraph("", "No benchmark has been run yet.")]
        if self.arguments:
            groups = {group: ratios for group, ratios in groups.items() if group.startswith(self.arguments[0])}
            if not groups:
                raise self.error(f"no benchmark begins with {self.arguments[0]!r}")
        return [
            table("benchmarks", (75, 25), (group, "time, as a ratio"), ((row, shown(r)) for row, r in ratios.items()))
            for group, ratios in groups.items()
        ]


def setup(app):
    app.add_directive("benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
