"""``{execution-status}``: a table of what each page took when it was last recorded, read at build time."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from workshop.sphinx.measured_table import measured, page_link, table


class ExecutionStatus(SphinxDirective):
    def run(self):
        pages = measured(self, "execution")
        if not pages:
            return [nodes.paragraph("", "No page has been recorded yet.")]
        rows = [
            (page_link(self, page), f"{took['seconds']:.1f}", str(took["megabytes"])) for page, took in pages.items()
        ]
        total = f"{sum(took['seconds'] for took in pages.values()):.1f}"
        largest = str(max(took["megabytes"] for took in pages.values()))
        rows.append([nodes.strong("", text) for text in ("all pages", total, largest)])
        return [table("execution-status", (60, 20, 20), ("page", "seconds", "peak memory, MB"), rows)]


def setup(app):
    app.add_directive("execution-status", ExecutionStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
