"""The parts of a page that teach: veils, folded plumbing with a label, checks, two frameworks side by side, *Deeper*.

In a page's text these are cell tags and plain ``<details>``, which JupyterLab and Colab show as they are:

- A cell tagged ``veil`` shows its code; what it printed moves into the next ``<details class="veil">`` of the page,
  before the sentences that read it. Where a page has no such element after the cell, that is a warning.
- A folded cell (``hide-input``, ``hide-cell``) whose first line is ``# @title LABEL`` carries LABEL; Colab folds it
  under the same words.
- A cell tagged ``checks`` is folded under "What is asserted here".
- Adjacent cells tagged ``pytorch`` and ``keras`` become two tabs of sphinx-design.
"""

import re

from docutils import nodes
from sphinx.util import logging
from sphinx_design.shared import create_component

from workshop.sphinx import passes

LOGGER = logging.getLogger(__name__)
TITLE = re.compile(r"# @title (?P<label>.+)")
CHECKS = "What is asserted here"
FRAMEWORKS = {"tag_pytorch": "PyTorch", "tag_keras": "Keras"}
VEIL = '<details class="veil"'


def cells(doctree):
    """Every code cell of a page."""
    return [node for node in doctree.findall(nodes.container) if node.get("nb_element") == "cell_code"]


def label_folds(doctree):
    """Folded cells say what is in them: the words after ``# @title``, which are then no longer shown as code."""
    for cell in cells(doctree):
        block = next(cell.findall(nodes.literal_block), None)
        if "hide_mode" not in cell or block is None:
            continue
        first, _, rest = block.astext().partition("\n")
        found = TITLE.match(first)
        label = CHECKS if "tag_checks" in cell["classes"] else found["label"] if found else ""
        if label:
            cell["prompt_show"] = cell["prompt_hide"] = label
        if found and rest:
            shown = block.copy()
            shown.rawsource = rest  # Sphinx colours only what is the source to the letter
            shown += nodes.Text(rest)
            block.replace_self(shown)


def move_under_veils(doctree):
    """What a veiled cell printed stands inside the ``<details>`` that follows it."""
    for cell in cells(doctree):
        if "tag_veil" not in cell["classes"]:
            continue
        siblings = cell.parent.children
        later = siblings[siblings.index(cell) + 1 :]
        veil = next((node for node in later if isinstance(node, nodes.raw) and VEIL in node.astext()), None)
        if veil is None:
            LOGGER.warning('a cell tagged veil needs a <details class="veil"> after it', location=cell)
            continue
        output = [node for node in cell.children if "cell_output" in node["classes"]]
        for node in output:
            cell.remove(node)
        veiled = nodes.container("", *output, classes=["cell", "veiled"], nb_element="veiled")
        place = siblings.index(veil) + 1
        while isinstance(siblings[place], nodes.container) and "veiled" in siblings[place]["classes"]:
            place += 1
        cell.parent.insert(place, veiled)


def side_by_side(doctree):
    """Adjacent cells for PyTorch and for Keras become tabs; the same choice holds on the whole site."""
    for cell in cells(doctree):
        if cell.parent is None or not framework(cell):
            continue
        siblings = cell.parent.children
        place = siblings.index(cell)
        group = [cell]
        for other in siblings[place + 1 :]:
            if not framework(other) or framework(other) in map(framework, group):
                break
            group.append(other)
        items = []
        for member in group:
            name = framework(member)
            tab = nodes.rubric(name, name, classes=["sd-tab-label"], sync_group="framework", sync_id=name.lower())
            content = create_component("tab-content", classes=["sd-tab-content"])
            items.append((member, create_component("tab-item", classes=["sd-tab-item"], children=[tab, content])))
        tabs = create_component("tab-set", classes=["sd-tab-set"], children=[item for _, item in items])
        parent = cell.parent
        for member, item in items:
            parent.remove(member)
            item.children[1].append(member)
        parent.insert(place, tabs)


def framework(node):
    """Which framework a cell is for, None for any other node or where it already stands in a tab."""
    if not isinstance(node, nodes.container) or node.get("nb_element") != "cell_code":
        return None
    if node.parent is not None and node.parent.get("design_component") == "tab-content":
        return None
    return next((name for tag, name in FRAMEWORKS.items() if tag in node["classes"]), None)


def shape(app, doctree):
    label_folds(doctree)
    move_under_veils(doctree)
    side_by_side(doctree)


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
