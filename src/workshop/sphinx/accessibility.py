"""What a reader who listens to the pages needs and the tools leave out.

Each repair is named after what it mends and says whose fault it was; ``tests/site/test_accessibility.py`` fails where
one is missing.
"""

import re
from pathlib import Path

from workshop.sphinx import passes

CHINESE = re.compile(
    r"(?:[《「『（“])?[\u3400-\u9fff](?:[\u3400-\u9fff\u3000-\u303f\uff00-\uffef·—…“”‘’]|[ \d]+(?=[\u3400-\u9fff]))*"
)
PARTS = re.compile(r"(<(script|style|math|textarea|option)\b.*?</\2>|<[^>]*>)", re.S)


def mark_chinese(html):
    """Chinese text with its language, for its pronunciation and its fonts; ``html``: a part of a page."""
    marked = re.compile(r'<[^>]*\blang="zh')
    parts = PARTS.split(html)
    # split() gives text, tag, name of a skipped element, text, ...; elements that are marked already stay as they are.
    for place in range(0, len(parts), 3):
        if not (place and marked.match(parts[place - 2])):
            parts[place] = CHINESE.sub(r'<span lang="zh-Hans">\g<0></span>', parts[place])
    return "".join(part for place, part in enumerate(parts) if place % 3 != 2)


def head_without_words(html):
    """A column without a title, as Markdown makes it: no heading, since there is nothing to read out (docutils)."""
    return re.sub(r"<th class=\"head([^\"]*)\">\s*(?:<p>\s*</p>)?\s*</th>", r'<td class="head\1"></td>', html)


STACKED = {"appendix/glossary", "appendix/notation", "appendix/teaching"}
"""Pages whose rows a phone stacks (``course.css``)."""


def parts_of_a_table(html):
    """A row that is laid out as a block is still a row: its part is said, or browsers forget it with the layout."""
    for tag, part in (
        ("thead", "rowgroup"),
        ("tbody", "rowgroup"),
        ("tr", "row"),
        ("th", "columnheader"),
        ("td", "cell"),
    ):
        html = re.sub(rf"<{tag}\b(?![^>]*\brole=)", f'<{tag} role="{part}"', html)
    return re.sub(r"<table\b(?![^>]*\brole=)", '<table role="table"', html)


def entries_of_the_bibliography(html):
    """A list of references holds no list items, but a role that ARIA has withdrawn (docutils, ``_html_base.py``)."""
    return html.replace('role="doc-biblioentry"', 'role="listitem"')


def lines_of_a_signature(html):
    """Parameters on lines of their own are a list of descriptions without terms (Sphinx's HTML writer)."""

    def lines(found):
        inner = found[2].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
        return f'{found[1]}<span class="sig-lines">{inner}</span>'

    return re.sub(r'(<span class="sig-paren">[(\[]</span>)\s*<dl>(.*?)</dl>', lines, html, flags=re.S)


def mend_body(app, pagename, templatename, context, doctree):
    if "body" in context:
        body = lines_of_a_signature(head_without_words(context["body"]))
        if pagename in STACKED:
            body = parts_of_a_table(body)
        context["body"] = mark_chinese(entries_of_the_bibliography(body))


CHROME = {
    # Nothing stored is no mode to the theme's own script, an error in the console, and no colours until it runs.
    """\
    document.documentElement.dataset.mode = localStorage.getItem("mode") || "";
    document.documentElement.dataset.theme = localStorage.getItem("theme") || "";
""": """\
    {
      const kept = localStorage.getItem("mode");
      const mode = ["light", "dark"].includes(kept) ? kept : "auto";
      const dark = mode === "dark" || (mode === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
      Object.assign(document.documentElement.dataset, { mode, theme: dark ? "dark" : "light" });
    }
""",
    # The mark and the search button lie outside every landmark (sphinx-book-theme 1.3, pydata-sphinx-theme 0.17).
    '<div id="pst-primary-sidebar" ': '<div id="pst-primary-sidebar" role="complementary" aria-label="Book" ',
}


def mend_pages(app, exception):
    """Mend what the theme's templates write around the text."""
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        if "_static" in path.relative_to(app.outdir).parts or "</head>" not in html:
            continue
        for wrong, right in CHROME.items():
            if wrong not in html:
                raise ValueError(f"{path.name}: the theme no longer writes {wrong!r}; this repair can go")
            html = html.replace(wrong, right, 1)
        path.write_text(html, encoding="utf-8")


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
