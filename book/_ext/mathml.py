"""Formulas as MathML, made at build time.

Sphinx's own renderer is MathJax from a public server: no formula without network and JavaScript. MathML needs
neither, and screen readers read it. A formula that math-core cannot convert is a warning, hence a failed build.
"""

import html
import re

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

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
