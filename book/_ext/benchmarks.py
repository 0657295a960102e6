"""``{benchmarks}``: what the benchmarks last measured, one table a group, read at build time."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


def table(group, ratios):
    """One group's table: what was measured, and its time over that of the reference."""
    columns = [nodes.colspec(colwidth=width) for width in (70, 30)]
    cells = [(group, "time, as a ratio"), *((row, f"{ratio:g}") for row, ratio in ratios.items())]
    rows = [nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in row)) for row in cells]
    tgroup = nodes.tgroup("", *columns, nodes.thead("", rows[0]), nodes.tbody("", *rows[1:]), cols=2)
    return nodes.table("", tgroup, classes=["benchmarks"])


class Benchmarks(SphinxDirective):
    def run(self):
        path = Path(self.env.srcdir) / "_static" / "benchmarks.json"
        self.env.note_dependency(str(path))
        measured = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not measured:
            return [nodes.paragraph("", "No benchmark has been run yet.")]
        return [table(group, ratios) for group, ratios in measured.items()]


def setup(app):
    app.add_directive("benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
