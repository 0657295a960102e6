"""A table of what was measured, for the pages that read a JSON file of ``_static`` when the site is built."""

import json
from pathlib import Path

from docutils import nodes
from sphinx import addnodes


def measured(directive, name):
    """What ``_static/<name>.json`` holds, {} where nothing was measured yet; the page is built anew when it changes."""
    path = Path(directive.env.srcdir) / "_static" / f"{name}.json"
    directive.env.note_dependency(str(path))
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def bar(share):
    """A bar under a number, for the eye alone: the number says the same."""
    return nodes.raw("", f'<div class="bar" style="width: {share:.1%}" aria-hidden="true"></div>', format="html")


def table(name, widths, head, rows):
    """``head``: titles; ``rows``: lists of text, nodes or pairs (text, share of a bar); ``widths``: in percent."""

    def cell(entry):
        text, bars = (entry[0], [bar(entry[1])]) if isinstance(entry, tuple) else (entry, [])
        part = text if isinstance(text, nodes.Node) else nodes.Text(text)
        return nodes.entry("", nodes.paragraph("", "", part), *bars)

    def row(entries):
        return nodes.row("", *map(cell, entries))

    columns = [nodes.colspec(colwidth=width) for width in widths]
    body = nodes.tbody("", *map(row, rows))
    return nodes.table(
        "", nodes.tgroup("", *columns, nodes.thead("", row(head)), body, cols=len(widths)), classes=[name]
    )


def page_link(directive, page):
    """A link to a page of the book, by the name of its file; Sphinx puts its title there."""
    return addnodes.pending_xref(
        "",
        nodes.inline("", page),
        refdomain="std",
        reftype="doc",
        reftarget=f"/{page}",
        refexplicit=False,
        refwarn=True,
        refdoc=directive.env.docname,
    )
