"""Formulas as MathML, made at build time.

Sphinx's own renderer is MathJax from a public server: no formula without network and JavaScript. MathML needs
neither, and screen readers read it. A formula that math-core cannot convert is a warning, hence a failed build.

``_static/fonts/stix-two-math.woff2`` is STIX Two Math 2.12 cut from 400 kB to 80 by fontTools: the MATH table with all
sizes of what stretches, and the letters of any formula that this book is likely to hold. ``tests/site`` finds a letter
that it lacks. With ``pip install fonttools brotli``: ``pyftsubset STIXTwoMath-Regular.woff2 --flavor=woff2
--no-hinting --layout-features=ssty,dtls,flac,kern,mark,mkmk,ccmp --unicodes=`` followed by UNICODES below.
"""

import html
import re

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

UNICODES = (
    "20-7E,A0-FF,11F,131,141,237,2C6,2E1,300-338,370-3FF,2010-2027,2030-203A,2044,2057,2061-2064,2070-209F,"
    "20D0-20EF,2102,210B-210E,2110-2113,2115,2118-211D,2124,2126,2127,212C,2130-2133,2190-2199,21A6,21CC,"
    "21D0-21D5,2200-22A5,22C5,22EE-22F1,2308-230B,23DC-23E1,239B-23B3,25A0,25A1,25CF,25D0,2713,2717,27C2,"
    "27E8-27EB,27F5-27FA,2A01,2A02,2A7D,2A7E,1D400-1D467,1D49C-1D4E9,1D538-1D551,1D6A4-1D71B,1D7CE-1D7E1"
)

logger = logging.getLogger(__name__)
convert = LatexToMathML(annotation=True, fancy_error=False).convert_with_local_state


def mathml(node, *, displaystyle):
    # Numbers belong to labelled formulas and are Sphinx's: an align must not count its lines.
    latex = re.sub(r"(\\(?:begin|end)\{(?:align|gather|alignat|equation|multline))\}", r"\1*}", node.astext().strip())
    try:
        return convert(latex, displaystyle=displaystyle)
    except LatexError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return f"<code>{html.escape(latex)}</code>"


def visit_inline(self, node):
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    self.body.append(mathml(node, displaystyle=False) + "</span>")
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node.get("number") and "amsmath" not in node["classes"]:  # MyST numbers every align under a random id
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(mathml(node, displaystyle=True) + "</div>\n")
    raise nodes.SkipNode


def keep_together(app, pagename, templatename, context, doctree):
    """Put the mark that follows a formula into its box: a browser may break a line after the box, whatever follows."""
    if "body" in context:
        context["body"] = re.sub(r"</math></span>([,.;:!?)\]’”]+)", r"</math>\1</span>", context["body"])


def setup(app):
    app.connect("html-page-context", keep_together)
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
