"""Drawings are part of the page: an SVG of ``_static/drawings`` is written into it, so that it follows the theme.

A file stands by itself too, in JupyterLab and in Colab: it brings one small style sheet, the same for all
(``STYLE``), which is left out here because ``drawings.css`` says the same in the colours of the theme. Its text is the
text of the image in the page.
"""

import re
from html import escape
from pathlib import Path

from docutils import nodes

from workshop.sphinx import passes

FOLDER = "_static/drawings/"
STYLE = re.compile(r"<style>.*?</style>\s*", re.S)
HEAD = re.compile(r"<\?xml.*?\?>\s*|<!--.*?-->\s*", re.S)
NAMED = re.compile(r'\b(id="|href="#|url\(#)([\w-]+)')


def inline(path, text):
    """The drawing as a part of a page: no style of its own, names that no other drawing has, a text."""
    svg = HEAD.sub("", STYLE.sub("", path.read_text(encoding="utf-8")))
    svg = NAMED.sub(lambda found: f"{found[1]}{path.stem}-{found[2]}", svg)
    svg = re.sub(r"<(?:title|desc)>.*?</(?:title|desc)>\s*", "", svg, flags=re.S)  # the page's text says it
    opened = f'<svg class="course-drawing" role="img" aria-label="{escape(text, quote=True)}" focusable="false"'
    return f'<div class="course-drawing">{svg.replace("<svg", opened, 1).strip()}</div>'


def put_in(app, doctree, docname):
    if app.builder.format != "html":
        return
    for image in list(doctree.findall(nodes.image)):
        if FOLDER not in image["uri"] or not image["uri"].endswith(".svg"):
            continue
        drawing = nodes.raw("", inline(Path(app.srcdir, image["uri"]), image.get("alt", "")), format="html")
        paragraph = image.parent
        if isinstance(paragraph, nodes.paragraph) and len(paragraph) == 1:
            paragraph.replace_self(drawing)
        else:
            image.replace_self(drawing)


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
