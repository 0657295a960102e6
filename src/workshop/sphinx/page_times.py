"""Under the title of every executed page: how long it takes, honestly, and how long each part of *Deeper* takes.

The formula counts what a reader does (``SECONDS``): it reads words at the pace of someone whose first language is
another, reads code line by line, looks at figures, and thinks where a page asks for a prediction. It was fitted to the
minutes that three readers needed for the pages of the book's first edition; see CONTRIBUTING.md.
"""

import json
import math
from pathlib import Path

from docutils import nodes

from workshop.sphinx import passes

SECONDS = {
    "words": 60 / 100,
    "code": 8.0,  # a visible line of code
    "printed": 3.0,  # a printed line
    "formulas": 30.0,  # a displayed formula
    "symbols": 5.0,  # a formula within a sentence
    "rows": 6.0,  # a row of a table
    "figures": 60.0,  # a figure or a drawing
    "sliders": 60.0,  # the same that moves
    "predictions": 75.0,  # something to be thought about before reading on
    "exercises": 480.0,
}
BESIDES = {"Exercises", "Deeper", "What the sources say", "Claims settled here", "Further reading"}
"""Sections that a first reading may leave out."""


def counted(node):
    """What a part of a page holds, by the names of SECONDS."""
    count = dict.fromkeys(SECONDS, 0)
    for text in node.findall(nodes.Text):
        place = kind(text)
        if place == "words":
            count["words"] += len(text.astext().split())
        elif place in ("code", "printed"):
            count[place] += sum(1 for line in text.astext().splitlines() if line.strip())
    count["formulas"] = sum(1 for _ in node.findall(nodes.math_block))
    count["symbols"] = sum(1 for _ in node.findall(nodes.math))
    count["rows"] = sum(1 for row in node.findall(nodes.row) if not ledger(row))
    count["figures"] = sum(1 for _ in node.findall(nodes.image))
    count["sliders"] = sum(
        1 for cell in node.findall(nodes.container) if "interactive" in cell.get("cell_metadata", {})
    )
    count["predictions"] = sum(1 for strong in node.findall(nodes.strong) if strong.astext().startswith("Predict"))
    return count


def kind(node):
    """``words``, ``code``, ``printed``, or None for what is folded, a formula, or looked up rather than read."""
    found = "words"
    while node is not None:
        if isinstance(node, nodes.math | nodes.math_block | nodes.raw) or ledger(node):
            return None
        if isinstance(node, nodes.literal_block):
            found = "code"
        if isinstance(node, nodes.container):
            if "cell_output" in node["classes"]:
                found = "printed"
            if node.get("hide_mode") == "all" or (node.get("hide_mode") == "input" and found == "code"):
                return None
        node = node.parent
    return found


def ledger(node):
    return isinstance(node, nodes.container) and "ledger" in node["classes"]


def minutes(node):
    """How long a part takes, in minutes."""
    count = counted(node)
    return sum(SECONDS[name] * count[name] for name in SECONDS) / 60


def title_of(section):
    return section[0].astext() if section.children else ""


def exercises(section):
    """The exercises of a page: the items of the first list under that heading."""
    items = next(section.findall(nodes.enumerated_list), [])
    return len(items) * SECONDS["exercises"] / 60


def said(value):
    """Minutes as people say them: to five above twenty, at least one."""
    return max(1, round(value)) if value < 20 else 5 * round(value / 5)


def add_times(app, doctree):
    path = Path(app.srcdir) / "_static" / "execution.json"
    app.env.note_dependency(str(path))
    measured = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    took = measured.get(app.env.docname)
    title = next(doctree.findall(nodes.title), None)
    if took is None or title is None:
        return
    page = title.parent
    parts = {title_of(part): part for part in page.children if isinstance(part, nodes.section)}
    besides = sum(minutes(part) for name, part in parts.items() if name in BESIDES)
    core = minutes(page) - besides
    whole = core + besides + (exercises(parts["Exercises"]) if "Exercises" in parts else 0)
    for part in parts.get("Deeper", nodes.section()).children:
        if isinstance(part, nodes.section):
            part.insert(1, nodes.paragraph("", f"{minute_words(said(minutes(part)))}.", classes=["page-times"]))
    text = f"About {minute_words(said(core))}"
    if said(whole) > said(core):
        text += f"; with everything, exercises included, about {said(whole)}"
    text += f". It runs in {max(1, math.ceil(took['seconds']))} s on one core."
    page.insert(page.index(title) + 1, nodes.paragraph("", text, classes=["page-times"]))


def minute_words(number):
    return f"{number} minute{'s' * (number != 1)}"


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
