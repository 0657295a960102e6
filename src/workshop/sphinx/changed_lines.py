"""``{changed-lines}``: how many changed lines each module's tests noticed, as ``benchmarks/mutants.py`` counted."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from workshop.sphinx.measured_table import measured, table


def rows(modules):
    """For each module, and for all, how many lines were changed to some effect and how many of these were noticed."""
    counts = [(name, each["changes"] - each["equivalent"], each["noticed"]) for name, each in modules.items()]
    counts.append(("all", sum(changed for _, changed, _ in counts), sum(noticed for *_, noticed in counts)))
    return [(name, str(changed), f"{noticed} ({noticed / changed:.0%})") for name, changed, noticed in counts]


class ChangedLines(SphinxDirective):
    def run(self):
        modules = measured(self, "mutants")
        if not modules:
            return [nodes.paragraph("", "Nothing has been counted yet.")]
        return [table("changed-lines", (50, 25, 25), ("module", "lines changed", "noticed"), rows(modules))]


def setup(app):
    app.add_directive("changed-lines", ChangedLines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
