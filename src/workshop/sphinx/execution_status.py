"""``{execution-status}``: a table of what each page took when it was last recorded, read at build time.

In the book's order, each part under its name with its own sum, in whole seconds: a machine repeats no more.
``{execution-status} in words``: the sentences that the table allows, so that they change with it.
"""

import math
from pathlib import Path
from statistics import median

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


def in_words(pages, link):
    """The middle, the quickest, the slowest and the largest page; ``link``: a page's name -> a node."""
    seconds = {page: math.ceil(took["seconds"]) for page, took in pages.items()}
    megabytes = {page: took["megabytes"] for page, took in pages.items()}
    quickest, slowest = min(seconds, key=seconds.get), max(seconds, key=seconds.get)
    largest = max(megabytes, key=megabytes.get)
    pieces = (
        f"Half of the {len(pages)} pages take {math.ceil(median(seconds.values()))} seconds or less. The quickest, ",
        link(quickest),
        f", takes {seconds[quickest]} seconds, the slowest, ",
        link(slowest),
        f", {seconds[slowest]}. Most memory needs ",
        link(largest),
        f": {megabytes[largest] / 1000:.1f} GB.",
    )
    return nodes.paragraph("", "", *(p if isinstance(p, nodes.Node) else nodes.Text(p) for p in pieces))


class ExecutionStatus(SphinxDirective):
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self):
        pages = measured(self, "execution")
        if not pages:
            return [nodes.paragraph("", "No page has been recorded yet.")]
        if self.arguments:
            if self.arguments != ["in words"]:
                raise self.error(f"execution-status is a table or 'in words', not {self.arguments[0]!r}")
            return [in_words(pages, lambda page: page_link(self, page))]
        longest = max(took["seconds"] for took in pages.values())
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
                seconds = (str(math.ceil(took["seconds"])), took["seconds"] / longest)
                rows.append([page_link(self, page), seconds, str(took["megabytes"])])
        rows.append([nodes.strong("", text) for text in ("All pages", *sums(list(pages.values())))])
        return [table("execution-status", (54, 26, 20), ("page", "seconds", "peak memory, MB"), rows)]


def setup(app):
    app.add_directive("execution-status", ExecutionStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
