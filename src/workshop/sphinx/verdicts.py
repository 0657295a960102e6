"""Verdicts and solutions carry their names: classes for the words of a claim, titles for folded solutions.

A table whose last column is headed "verdict" is one of claims, and so are the lists under *What the sources say*; the
bold word that opens each verdict gets the class of its kind, and the style sheet its colour. A solution is folded under
the title that its first line has in Colab, ``# @title Solution 2``, instead of the builder's one text for all folds.
"""

import re

from docutils import nodes

from workshop.sphinx import passes

KINDS = {  # the first word of a verdict
    "true": "verdict-true",
    "conditional": "verdict-conditional",
    "false": "verdict-false",
    "under": "verdict-conditional",  # under a condition, under two
    "half": "verdict-conditional",
    "in": "verdict-conditional",  # in part
    "depends": "verdict-conditional",
}
TITLE = re.compile(r"# @title (Solution \d+)")


def name_verdicts(doctree):
    for table in doctree.findall(nodes.table):
        head = next(table.findall(nodes.thead), None)
        if head is None or head[0][-1].astext() != "verdict":
            continue
        table["classes"].append("claims")
        for row in next(table.findall(nodes.tbody)):
            word = next(row[-1].findall(nodes.strong), None)
            if word is not None and (kind := KINDS.get(word.astext().split()[0].lower())):
                word["classes"].append(kind)


def name_listed_verdicts(doctree):
    for section in doctree.findall(nodes.section):
        if "what-the-sources-say" not in section["ids"]:
            continue
        for item in section.findall(nodes.list_item):
            word = next(item.findall(nodes.strong), None)
            if word is not None and (kind := KINDS.get(word.astext().lower())):
                word["classes"].append(kind)


def name_solutions(doctree):
    for cell in doctree.findall(nodes.container):
        code = next(cell.findall(nodes.literal_block), None) if "prompt_show" in cell else None
        if code is not None and (title := TITLE.match(code.astext())):
            cell["prompt_show"], cell["prompt_hide"] = (f"{do} {title[1].lower()}" for do in ("Show", "Hide"))


def name_them(app, doctree):
    name_verdicts(doctree)
    name_listed_verdicts(doctree)
    name_solutions(doctree)


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
