"""Under the title of every executed page: how long it takes to read and to run, from its words and its recording."""

import json
import math
from pathlib import Path

from docutils import nodes

WORDS_PER_MINUTE = 170  # technical prose with formulas


def words(doctree):
    texts = (node for node in doctree.findall(nodes.Text) if not looked_up(node))
    return sum(len(text.astext().split()) for text in texts)


def looked_up(node):
    """Whether a text is code, a formula or the ledger: looked at rather than read from end to end."""
    while node is not None:
        if isinstance(node, nodes.literal_block | nodes.math | nodes.math_block):
            return True
        if isinstance(node, nodes.container) and "ledger" in node["classes"]:
            return True
        node = node.parent
    return False


def add_times(app, doctree):
    path = Path(app.srcdir) / "_static" / "execution.json"
    app.env.note_dependency(str(path))
    measured = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    took = measured.get(app.env.docname)
    title = next(doctree.findall(nodes.title), None)
    if took is None or title is None:
        return
    minutes = max(1, math.ceil(words(doctree) / WORDS_PER_MINUTE))
    text = f"Reading: about {minutes} min, with pencil and code three times that. Running: "
    text += f"{max(1, round(took['seconds']))} s on one core."
    line = nodes.paragraph("", text, classes=["page-times"])
    title.parent.insert(title.parent.index(title) + 1, line)


def setup(app):
    app.connect("doctree-read", add_times)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
