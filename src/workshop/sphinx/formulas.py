"""Formulas set as TeX sets them, by KaTeX when the site is built, with MathML beside them for whoever listens.

Sphinx's own renderer is MathJax from a public server: no formula without network and JavaScript. MathML alone needs
neither, but browsers set it unevenly: compared as pictures in Chromium 156 with STIX Two Math, roots hung below their
lines, the subscripts of y and w stood at different heights, underbraced fractions ran together. KaTeX's HTML looks the
same everywhere; a screen reader reads the MathML that stands in it, and copying gives the LaTeX.

``katex/`` holds the script, the style sheet and the fonts of KaTeX 0.19.1 as published (npm, MIT); mini-racer runs the
script. A formula that KaTeX cannot set, or with a letter that its fonts lack, is a warning, hence a failed build.
"""

import html
import json
import re
import shutil
from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from workshop.sphinx import passes

KATEX = Path(__file__).parent / "katex"
OPENING, CLOSING = re.compile(r"[(\[‘“]+$"), re.compile(r"[,.;:!?)\]’”]+")
NUMBERED = re.compile(r"(\\(?:begin|end)\{(?:align|gather|alignat|equation|multline))\}")
RENDER = """
(formulas) => JSON.stringify(JSON.parse(formulas).map(([latex, displayMode]) => {
  const strict = (code) => (code === "unknownSymbol" ? "error" : "ignore");
  try {
    const html = katex.renderToString(latex, { displayMode, strict, output: "htmlAndMathml" });
    const lacking = /class="[^"]*_fallback[^"]*">([^<]*)/.exec(html);  // scripts that its fonts do not know
    return lacking ? { error: `KaTeX's fonts have no ${lacking[1]}` } : { html };
  } catch (error) {
    return { error: error.message };
  }
}))
"""

logger = logging.getLogger(__name__)


class Typesetter:
    """KaTeX in V8, started with the first formula; what it has set is kept."""

    def __init__(self):
        self.engine = self.render = None
        self.known = {}

    def set(self, formulas):
        """Set formulas, pairs of LaTeX and whether it is displayed, in one call: each ``{"html"}`` or ``{"error"}``."""
        wanted = list(dict.fromkeys(formula for formula in formulas if formula not in self.known))
        if wanted:
            if self.engine is None:
                self.engine = MiniRacer()
                self.engine.eval((KATEX / "katex.min.js").read_text(encoding="utf-8"))
                self.render = self.engine.eval(RENDER)
            self.known.update(zip(wanted, json.loads(self.render(json.dumps(wanted))), strict=True))
        return [self.known[formula] for formula in formulas]

    def close(self):
        """Stop the engine: its thread would keep Python from ending."""
        if self.engine is not None:
            self.engine.close()
        self.engine = self.render = None


TYPESETTER = Typesetter()


def formula(node):
    """LaTeX and whether it is displayed. Numbers are Sphinx's: an align must not count its lines.

    Lines of a docstring's formula are aligned at their ``&`` without being told so, as Sphinx has it.
    """
    latex, displayed = NUMBERED.sub(r"\1*}", node.astext().strip()), isinstance(node, nodes.math_block)
    if displayed and "\\\\" in latex and "\\begin{" not in latex:
        latex = f"\\begin{{aligned}}{latex}\\end{{aligned}}"
    return latex, displayed


def typeset(node):
    (made,) = TYPESETTER.set([formula(node)])
    if "error" in made:
        logger.warning("formula %r: %s", node.astext(), made["error"], location=node)
        return f"<code>{html.escape(node.astext())}</code>"
    return made["html"]


def visit_inline(self, node):
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    before, after = (html.escape(node.get(side, "")) for side in ("opening", "closing"))
    self.body.append(f"{before}{typeset(node)}{after}</span>")
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node.get("number") and "amsmath" not in node["classes"]:  # MyST numbers every align under a random id
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(typeset(node) + "</div>\n")
    raise nodes.SkipNode


def take_marks(doctree):
    """The marks around a formula go into its box: a browser may break a line beside the box, whatever stands there."""
    for node in list(doctree.findall(nodes.math)):
        beside, place = node.parent.children, node.parent.index(node)
        for side, at, pattern in (("opening", place - 1, OPENING), ("closing", place + 1, CLOSING)):
            text = beside[at] if 0 <= at < len(beside) else None
            if isinstance(text, nodes.Text) and (marks := pattern.search(text) if at < place else pattern.match(text)):
                node[side] = marks[0]
                left = text[: marks.start()] + text[marks.end() :]
                node.parent.replace(text, nodes.Text(left))


def prepare(app, doctree, docname):
    """Set all formulas of a page in one go."""
    if app.builder.format != "html":
        return
    take_marks(doctree)
    both = [*doctree.findall(nodes.math), *doctree.findall(nodes.math_block)]
    TYPESETTER.set([formula(node) for node in both])


def write_files(app):
    """Put KaTeX's style sheet and its fonts into the site; its other formats are for browsers without woff2."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "katex"
    shutil.copytree(KATEX / "fonts", folder / "fonts", dirs_exist_ok=True)
    shutil.copyfile(KATEX / "LICENSE", folder / "LICENSE")
    sheet = (KATEX / "katex.min.css").read_text(encoding="utf-8")
    sheet = re.sub(r',url\([^)]+\) format\("(?:woff|truetype)"\)', "", sheet)
    (folder / "katex.css").write_text(sheet, encoding="utf-8")
    app.add_css_file("katex/katex.css", priority=300)  # before the course's own, which sets the size


def close(app, exception):
    """Stop the engine."""
    TYPESETTER.close()


def setup(app):
    passes.connect(app, __name__)
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
