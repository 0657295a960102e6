"""The matrix of remedies and its chapters: each printed row leads to the chapter of its remedy, and the chapter back.

The rows are text that a cell prints, so that the notebook has them; only here do their names become links.
"""

from docutils import nodes
from sphinx.util import logging

from gradclinic.course.registry import REMEDIES
from workshop.sphinx import passes

PAGE = "remedies/matrix"
HEAD = "A powers"
ROWS = {remedy.title: remedy.page for remedy in REMEDIES.values()}
"""Title of a row -> page of its remedy, in the order of the table."""

SECTIONS = {"in-three-lines", "claims-settled-here"}
LOGGER = logging.getLogger(__name__)


def anchor(title):
    return "row-" + nodes.make_id(title)


def link(app, here, text, page, place=""):
    return nodes.reference(
        "", text, internal=True, refuri=app.builder.get_relative_uri(here, page) + (f"#{place}" if place else "")
    )


def linked_rows(app, printed):
    """The table as printed, each row's name a link, and the rows that it lacks."""
    parts, missing = [], dict(ROWS)
    for line in printed.splitlines(keepends=True):
        title = line.split("  ")[0].rstrip()
        if title in missing:
            page = missing.pop(title)
            name = nodes.inline("", "", ids=[anchor(title)])
            name += nodes.Text(title) if page == PAGE else link(app, PAGE, title, page)
            parts += [name, nodes.Text(line[len(title) :])]
        else:
            parts.append(nodes.Text(line))
    return parts, list(missing)


def link_table(app, doctree):
    printed = [block for block in doctree.findall(nodes.literal_block) if block.astext().lstrip().startswith(HEAD)]
    if len(printed) != 1:
        LOGGER.warning("%d printed tables begin with %r, wanted one", len(printed), HEAD, location=PAGE)
        return
    block = printed[0]
    parts, missing = linked_rows(app, block.astext())
    if missing:
        LOGGER.warning("the printed table has no row %s", ", ".join(missing), location=PAGE)
    table = nodes.literal_block("", "", *parts, classes=block["classes"])
    block.parent.replace(block, nodes.container("", table, classes=["highlight"]))


def link_chapter(app, doctree, page):
    titles = [title for title, remedy in ROWS.items() if remedy == page]
    sections = [section for section in doctree.findall(nodes.section) if SECTIONS & set(section["ids"])]
    if not titles or not sections:
        return
    line = nodes.paragraph("", "In the matrix of remedies: ", classes=["matrix-links"])
    for title in titles:
        line += [nodes.Text("; ")] * (len(line) > 1)
        line += link(app, page, title, PAGE, anchor(title))
    sections[0] += line


def add_links(app, doctree, docname):
    if docname == PAGE:
        link_table(app, doctree)
    elif PAGE in app.env.all_docs:
        link_chapter(app, doctree, docname)


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
