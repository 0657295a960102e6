"""``{benchmarks}``: what the benchmarks last measured, one table a group, read at build time: ratios or seconds.

With an argument only the group whose name begins with it, so that a page can put its own words before each table;
without one all groups. Two digits are shown: from run to run a ratio moves by a tenth or more. The role
``{ratio}`GROUP: ROW` `` puts one of them into a sentence, so that the sentence changes with it.
"""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

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
            table(
                "benchmarks",
                (75, 25),
                (group, "seconds" if "seconds" in group else "time, as a ratio"),
                ([row, (shown(ratio), ratio / max(ratios.values()))] for row, ratio in ratios.items()),
            )
            for group, ratios in groups.items()
        ]


class Ratio(SphinxRole):
    def run(self):
        start, _, row = self.text.partition(": ")
        groups = measured(self, "benchmarks")
        found = [ratios[row] for group, ratios in groups.items() if group.startswith(start) and row in ratios]
        if groups and len(found) != 1:
            report = self.inliner.reporter.error(f"no one benchmark is {self.text!r}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, report)], [report]
        return [nodes.Text(shown(found[0]) if found else "?")], []


def setup(app):
    app.add_directive("benchmarks", Benchmarks)
    app.add_role("ratio", Ratio())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
