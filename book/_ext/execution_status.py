"""``{execution-status}``: a table of what each page took when it was last recorded, read at build time."""

import json
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective


def cell(*content):
    return nodes.entry("", nodes.paragraph("", "", *content))


class ExecutionStatus(SphinxDirective):
    def run(self):
        path = Path(self.env.srcdir) / "_static" / "execution.json"
        self.env.note_dependency(str(path))
        measured = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not measured:
            return [nodes.paragraph("", "No page has been recorded yet.")]
        rows = [nodes.row("", *(cell(nodes.Text(title)) for title in ("page", "seconds", "peak memory, MB")))]
        for page, took in measured.items():
            link = addnodes.pending_xref(
                "",
                nodes.inline("", page),
                refdomain="std",
                reftype="doc",
                reftarget=f"/{page}",
                refexplicit=False,
                refwarn=True,
                refdoc=self.env.docname,
            )
            numbers = (f"{took['seconds']:.1f}", str(took["megabytes"]))
            rows.append(nodes.row("", cell(link), *(cell(nodes.Text(number)) for number in numbers)))
        total = f"{sum(took['seconds'] for took in measured.values()):.1f}"
        largest = str(max(took["megabytes"] for took in measured.values()))
        rows.append(nodes.row("", *(cell(nodes.strong("", text)) for text in ("all pages", total, largest))))
        columns = [nodes.colspec(colwidth=width) for width in (60, 20, 20)]
        group = nodes.tgroup("", *columns, nodes.thead("", rows[0]), nodes.tbody("", *rows[1:]), cols=3)
        return [nodes.table("", group, classes=["execution-status"])]


def setup(app):
    app.add_directive("execution-status", ExecutionStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
