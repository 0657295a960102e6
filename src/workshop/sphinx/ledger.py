"""``{ledger}``: the table of all claims with filters that need no script; and the links between it and the chapters.

A claim of the ledger leads to its line under "What the sources say" in each of its chapters (``workshop.sources``),
that line leads back; in a chapter that still has the table "Claims settled here", to its row. A claim without its line
is a warning, hence a failed build; a claim that came later than the tables has no row in them.

All is made from ``gradclinic.course.claims.LEDGER`` when the site is built. A filter is a group of radio buttons; the
style sheet ``_static/ledger.css`` hides the rows that do not match (``:has()``). Without the style sheet, or in a
browser that does not know ``:has()``, the buttons are not shown and every row is.
"""

import re
from html import escape

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from gradclinic.course.claims import LEDGER, SOURCES, VERDICTS
from workshop.sources import pieces, reading
from workshop.sphinx import passes

PAGE = "practice/myths"
SECTION, TABLE = "what-the-sources-say", "claims-settled-here"
SIGNS = {"true": "✓", "conditional": "◐", "false": "✗"}
LOGGER = logging.getLogger(__name__)


def verdict_text(verdict):
    """The verdict in words with a sign: never by colour alone."""
    return f"{SIGNS[verdict]} {verdict}"


def filter_html(name, legend, values):
    """One group of radio buttons; ``values``: value -> label. "all" is chosen at first."""
    buttons = "".join(
        f'<label><input type="radio" name="ledger-{name}" value="{escape(value)}"'
        f"{' checked' if value == 'all' else ''}> {escape(label)}</label>"
        for value, label in values.items()
    )
    return f'<fieldset class="ledger-filter" hidden><legend>{escape(legend)}</legend>{buttons}</fieldset>'


def counted(label, part):
    return f"{label} ({len(part)})"


def filters():
    everything = {"all": counted("all", LEDGER)}
    sources = {s: counted(s, [c for c in LEDGER if c.source == s]) for s in SOURCES}
    verdicts = {v: counted(verdict_text(v), [c for c in LEDGER if c.verdict == v]) for v in VERDICTS}
    html = filter_html("source", "Source", everything | sources) + filter_html(
        "verdict", "Verdict", everything | verdicts
    )
    return nodes.raw("", html, format="html")


def link(text, page, anchor):
    """A link to a place of another page; its address is known when all pages have been read."""
    return nodes.reference("", text, internal=True, refuri="", ledger=(page, anchor))


def cell(*content):
    return nodes.entry("", *content)


def own_words(text):
    """A line of the ledger's own words; what stands between two dollars is set as a formula."""
    parts = [nodes.math("", part) if place % 2 else nodes.Text(part) for place, part in enumerate(pieces(text))]
    return nodes.paragraph("", "", *parts)


def row(claim):
    verdict = nodes.paragraph("", verdict_text(claim.verdict), classes=["ledger-verdict"])
    held = nodes.paragraph("", "held in {} of {}".format(*claim.held), classes=["ledger-held"])
    source = nodes.paragraph("", claim.source, classes=["ledger-source"])
    sentence = [own_words(claim.statement)]
    if claim.quote:
        sentence.append(nodes.paragraph("", claim.part or claim.quote, classes=["ledger-quote"]))
    if meant := plain_reading(claim):
        sentence.append(nodes.paragraph("", meant, classes=["ledger-reading"]))
    places = nodes.paragraph("", "", nodes.literal("", claim.id), classes=["ledger-pages"])
    for page in claim.pages:
        places += [nodes.Text(" · "), link(page, page, f"claim-{claim.id}")]
    return nodes.row(
        "",
        cell(verdict, held, source),
        cell(*sentence),
        cell(own_words(claim.why), places),
        ids=[claim.id],
        classes=[f"source-{claim.source}", f"verdict-{claim.verdict}"],
    )


def plain_reading(claim):
    """How the words are meant, as the chapters say it, without Markdown's escapes."""
    return reading(claim).replace("\\", "")


class Ledger(SphinxDirective):
    def run(self):
        titles = ("verdict, source", "sentence", "why, its name in LEDGER, and where it is settled")
        head = nodes.row("", *(cell(nodes.paragraph("", title)) for title in titles))
        columns = [nodes.colspec(colwidth=width) for width in (16, 42, 42)]
        body = nodes.tbody("", *(row(claim) for claim in LEDGER))
        group = nodes.tgroup("", *columns, nodes.thead("", head), body, cols=3)
        shown = nodes.paragraph("", "", classes=["ledger-shown"])
        return [nodes.container("", filters(), nodes.table("", group), shown, classes=["ledger"])]


def letters(text):
    """A text without blanks, punctuation and signs: the same in the ledger, in Markdown and with typographic quotes."""
    return re.sub(r"[\W_]+", "", text)


def sections(doctree, name):
    return [section for section in doctree.findall(nodes.section) if name in section["ids"]]


def back(claim):
    """The link from a chapter to a claim's row in the ledger."""
    return link(f"{SIGNS[claim.verdict]} {claim.id}", PAGE, claim.id)


def add_line_links(doctree, page):
    """Under *What the sources say*, give each claim's line its anchor and make its name a link to the ledger."""
    names = {
        name.astext(): name
        for section in sections(doctree, SECTION)
        for name in section.findall(nodes.literal)
        if isinstance(name.parent.parent, nodes.list_item)
    }
    for claim in LEDGER:
        if page not in claim.pages:
            continue
        if claim.id not in names:
            LOGGER.warning("no line is about the claim %s of the ledger", claim.id, location=page)
            continue
        name = names[claim.id]
        name.parent.parent["ids"].append(f"claim-{claim.id}")
        name.parent.parent["classes"].append("sources-line")
        name.parent.replace(name, back(claim))


def add_row_links(doctree, page):
    """In the table under a chapter's heading, give each row its anchor and a link to its claim in the ledger."""
    rows = [
        row
        for section in sections(doctree, TABLE)
        for row in section.findall(nodes.row)
        if isinstance(row.parent, nodes.tbody)
    ]
    for claim in LEDGER:
        if page not in claim.pages or not claim.mark:
            continue
        found = [row for row in rows if letters(claim.mark) in letters(row[1].astext())]
        if len(found) != 1:
            LOGGER.warning(
                "%d rows are about the claim %s of the ledger, wanted one", len(found), claim.id, location=page
            )
            continue
        row = found[0]
        row["ids"].append(f"claim-{claim.id}")
        row[-1] += nodes.paragraph("", "", back(claim), classes=["ledger-links"])


def has_line(app, page, anchor):
    """Whether a chapter speaks of a claim in a place of its own; a table from before the claim does not."""
    marked = any(claim.mark and anchor == f"claim-{claim.id}" for claim in LEDGER)
    return marked or bool(sections(app.env.get_doctree(page), SECTION))


def add_links(app, doctree, docname):
    """Link the chapters' rows to the ledger; fill in the addresses of all these links."""
    if PAGE in app.env.all_docs:
        (add_line_links if sections(doctree, SECTION) else add_row_links)(doctree, docname)
    for quote in doctree.findall(nodes.paragraph):
        if "ledger-quote" in quote["classes"]:  # only now: docutils has no quotation marks for Chinese and says so
            quote["classes"].append("language-zh")
    for reference in doctree.findall(nodes.reference):
        if "ledger" not in reference:
            continue
        page, anchor = reference.attributes.pop("ledger")
        if page not in app.env.all_docs:
            LOGGER.warning("the ledger names the page %s, which the book does not have", page, location=docname)
            continue
        if docname == PAGE:
            reference.clear()
            reference += nodes.Text(app.env.titles[page].astext())
        place = f"#{anchor}" if docname != PAGE or has_line(app, page, anchor) else ""
        reference["refuri"] = app.builder.get_relative_uri(docname, page) + place


def setup(app):
    app.add_directive("ledger", Ledger)
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
