"""``{execution-status}``: a table of what each page took when it was last recorded, read at build time.

In the book's order, each part under its name with its own sum, in whole seconds: a machine repeats no more.
"""

import math
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from workshop.sphinx.measured_table import measured, page_link, table


def parts(toc, pages):
    """Pairs of a part's name ("" outside the parts) and its pages among ``pages``; what the toc lacks comes last."""
    listed = [("", [toc.get("root", "")])]
    for part in toc.get("parts", [{"chapters": toc.get("chapters", [])}]):
        listed.append((part.get("caption", ""), [chapter.get("file", "") for chapter in part.get("chapters", [])]))
    known = {page for _, names in listed for page in names}
    listed.append(("", [page for page in pages if page not in known]))
    found = [(name, [page for page in names if page in pages]) for name, names in listed]
    return [(name, names) for name, names in found if names]


def sums(pages):
    """What several pages take together, and the most memory that one of them needs, as text."""
    return str(round(sum(took["seconds"] for took in pages))), str(max(took["megabytes"] for took in pages))


class ExecutionStatus(SphinxDirective):
    def run(self):
        pages = measured(self, "execution")
        if not pages:
            return [nodes.paragraph("", "No page has been recorded yet.")]
        path = Path(self.env.srcdir).parent / "_toc.yml"
        self.env.note_dependency(str(path))
        toc = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        rows = []
        for name, names in parts(toc, pages):
            if name:
                together = sums([pages[page] for page in names])
                rows.append([nodes.strong("", text) for text in (name, *together)])
            for page in names:
                took = pages[page]
                rows.append((page_link(self, page), str(math.ceil(took["seconds"])), str(took["megabytes"])))
        rows.append([nodes.strong("", text) for text in ("All pages", *sums(list(pages.values())))])
        return [table("execution-status", (60, 20, 20), ("page", "seconds", "peak memory, MB"), rows)]


def setup(app):
    app.add_directive("execution-status", ExecutionStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
