"""The first use of a glossary term on a page, in English and in Chinese, becomes a link to its row with the meaning.

The pages say nothing about it: they stay plain Markdown, and the notebooks have no such links. Which words count is
in ``workshop.glossary``; where they count is decided here. The meaning is the link's title, which needs no script;
``_static/glossary.js`` shows it on keyboard focus too.
"""

from docutils import nodes
from sphinx import addnodes

from workshop.glossary import PAGE, entries, first_uses
from workshop.sphinx import passes
from workshop.sphinx.reference import PAGES as REFERENCE

NOT_PROSE = (
    nodes.title,
    nodes.block_quote,
    nodes.rubric,
    nodes.caption,
    nodes.thead,
    nodes.reference,
    nodes.target,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.footnote,
    nodes.citation,
    nodes.comment,
    nodes.label,
    addnodes.toctree,
    addnodes.compact_paragraph,
)
"""Where a reader is not in the middle of a sentence, or where a link cannot stand."""

APART = {"cell_input", "cell_output", "ledger-links", "ledger-source", "ledger-verdict", "matrix-links", "page-times"}
"""Classes of the book's own parts that are no prose either."""

QUOTING = {"what-the-sources-say", "claims-settled-here", "further-reading"}
"""Parts of a page that are made of other people's words and titles."""

WITHOUT = {PAGE, "appendix/bibliography", "appendix/notation", *REFERENCE}
"""Pages without such links: the glossary's own, lists that say what their words mean, and the reference."""


def is_prose(node):
    while node is not None and not isinstance(node, nodes.document):
        if isinstance(node, NOT_PROSE) or APART & set(node.get("classes", ())):
            return False
        if isinstance(node, nodes.section) and QUOTING & set(node["ids"]):
            return False
        node = node.parent
    return True


def texts_of(doctree):
    """The runs of text of a page, in reading order; neighbours are joined first (a line break stands alone)."""
    for parent in list(doctree.findall(nodes.TextElement)):
        merged = []
        for child in parent.children:
            if isinstance(child, nodes.Text) and merged and isinstance(merged[-1], nodes.Text):
                merged[-1] = nodes.Text(merged[-1].astext() + child.astext())
            else:
                merged.append(child)
        if len(merged) < len(parent.children):
            parent.children = []
            parent.extend(merged)
    return [text for text in doctree.findall(nodes.Text) if is_prose(text.parent)]


def reader(app):
    """The rows of the glossary, none where the book has no such page."""
    path = app.env.doc2path(PAGE)
    if PAGE not in app.env.all_docs:
        return ()
    with open(path, encoding="utf-8") as file:
        return entries(file.read())


def note(app, doctree):
    """A page is built anew when the glossary changes; on the glossary's own page each row gets its anchor."""
    app.env.note_dependency(app.env.doc2path(PAGE))
    if app.env.docname != PAGE:
        return
    with open(app.env.doc2path(PAGE), encoding="utf-8") as file:
        rows = iter(entries(file.read()))
    for body in doctree.findall(nodes.tbody):
        for row in body.findall(nodes.row):
            entry = next(rows)
            row["ids"].append(entry.anchor)
            row["classes"].append("glossary-row")
            for paragraph in row[1].findall(nodes.paragraph):
                paragraph["classes"].append("glossary-chinese")


def add_links(app, doctree, docname):
    glossary = reader(app)
    if docname in WITHOUT or not glossary:
        return
    address = app.builder.get_relative_uri(docname, PAGE)
    texts = texts_of(doctree)
    for text, found in zip(texts, first_uses([text.astext() for text in texts], glossary), strict=True):
        pieces, position = [], 0
        for use in found:
            pieces.append(nodes.Text(text.astext()[position : use.start]))
            pieces.append(
                nodes.reference(
                    "",
                    text.astext()[use.start : use.end],
                    internal=True,
                    refuri=f"{address}#{use.entry.anchor}",
                    reftitle=use.entry.tip(chinese=use.chinese),
                    classes=["term"],
                )
            )
            position = use.end
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text.astext()[position:])])


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
