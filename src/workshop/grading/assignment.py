"""A master read for grading: what is run, what is asked, what it is worth."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workshop.book import BookError
from workshop.grading import node
from workshop.grading.node import Node

DONE = {"solution", "hand-graded code"}
"""Kinds of code cells that a student fills in: the judge's checks ask for what is defined in one, a person reads the
other."""

OPEN = DONE | {"answer"}
"""Kinds of cells that a student fills in."""

BY_HAND = {"answer", "hand-graded code"}
"""Kinds of cells whose points a person gives."""

RUN = DONE | {"set-up", "given helper"}
"""Kinds of cells that run in the sandbox as part of the student's notebook; tests are asked from outside."""

FRAME = OPEN | {"text", "set-up", "public test", "hidden check", "given helper"}
"""Kinds of cells of the recorded notebook: all but the helpers, which stay with the master."""


HEADING = re.compile(r"^#{1,4} +.+?(?= *$)", re.M)
SOLUTION = re.compile(r"^[ \t]*### BEGIN SOLUTION *\n(.*?)^[ \t]*### END SOLUTION", re.M | re.S)


@dataclass(frozen=True)
class Check:
    """One graded code cell: run outside the sandbox, with the student's names bound to questions."""

    grade_id: str
    points: float
    source: str
    hint: str
    public: bool


@dataclass(frozen=True)
class Assignment:
    """An assignment as the judge sees it, made from the notebook of its master."""

    notebook: Node

    @cached_property
    def digest(self) -> str:
        """Return a hash of all cells: results made with another one are out of date."""
        cells = [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in self.notebook.cells]
        return hashlib.sha256(repr(cells).encode()).hexdigest()

    @cached_property
    def kinds(self) -> list[str | None]:
        """Return what each cell is, in the words of a release."""
        if sent := self.notebook.metadata.get("kinds"):
            return sent
        from workshop.release import FLAGS, flags, tags

        return [FLAGS.get((flags(cell), cell.cell_type, tags(cell))) for cell in self.notebook.cells]

    @cached_property
    def cells(self) -> list[tuple[str, str, Node]]:
        """Return (kind, grade_id or "", cell) of every cell; kinds are those of a release."""
        found = []
        for number, (kind, cell) in enumerate(zip(self.kinds, self.notebook.cells, strict=True), start=1):
            if kind is None:
                raise BookError(f"cell {number} of the master is of no known kind: python -m workshop release names it")
            found.append((kind, cell.metadata.get("nbgrader", {}).get("grade_id", ""), cell))
        return found

    @cached_property
    def checks(self) -> list[Check]:
        """Return the graded code cells in their order."""
        return [
            Check(
                grade_id,
                float(cell.metadata["nbgrader"]["points"]),
                cell.source,
                str(cell.metadata.get("hint", "")),
                kind == "public test",
            )
            for kind, grade_id, cell in self.cells
            if kind in {"public test", "hidden check"}
        ]

    @cached_property
    def written(self) -> dict[str, float]:
        """Return the points of each answer that a person grades: in words, in code, or a plot that code draws."""
        return {
            grade_id: float(cell.metadata["nbgrader"]["points"])
            for kind, grade_id, cell in self.cells
            if kind in BY_HAND
        }

    @cached_property
    def title(self) -> str:
        """Return the heading of the assignment, "" where it has none."""
        return next((line[2:].strip() for line in self.headings if line.startswith("# ")), "")

    @cached_property
    def headings(self) -> list[str]:
        """Return the headings of the text cells, with their signs."""
        texts = [cell.source for kind, _, cell in self.cells if kind == "text"]
        return [line for text in texts for line in HEADING.findall(text)]

    @cached_property
    def tasks(self) -> dict[str, str]:
        """Return for each cell with an id the heading that it stands under, "" where there is none but the title."""
        found, under = {}, ""
        for kind, grade_id, cell in self.cells:
            if kind == "text":
                under = ([line.lstrip("# ") for line in HEADING.findall(cell.source) if line[:2] != "# "] or [under])[
                    -1
                ]
            elif grade_id:
                found[grade_id] = under
        return found

    @cached_property
    def rubrics(self) -> dict[str, str]:
        """Return the model answer and the rubric of each answer that a person grades, for that person alone."""
        return {
            grade_id: "\n\n".join(part.strip("\n") for part in SOLUTION.findall(cell.source)) or cell.source
            for kind, grade_id, cell in self.cells
            if kind in BY_HAND
        }

    @cached_property
    def helpers(self) -> list[str]:
        """Return the source of the cells whose functions run beside the student's."""
        return [cell.source for kind, _, cell in self.cells if kind in {"helper", "given helper"}]

    @cached_property
    def stubs(self) -> dict[str, str]:
        """Return the source of each solution and answer cell as students get it."""
        if sent := self.notebook.metadata.get("stubs"):
            return sent
        import nbformat
        from nbgrader.preprocessors import ClearSolutions

        kept = [nbformat.from_dict(cell) for kind, _, cell in self.cells if kind in OPEN]
        notebook, _ = ClearSolutions().preprocess(nbformat.v4.new_notebook(cells=kept), {})
        return {cell.metadata["nbgrader"]["grade_id"]: cell.source for cell in notebook.cells}

    @cached_property
    def names(self) -> dict[str, set[str]]:
        """Return the names that each solution cell defines: what a student must deliver there."""
        return {grade_id: defined(cell.source) for kind, grade_id, cell in self.cells if kind in DONE}

    def portable(self) -> Node:
        """Return the master as it is sent to a judge: with what it would need nbgrader and jupytext to find out."""
        return node.notebook(self.notebook.cells, {"stubs": self.stubs, "kinds": self.kinds})

    def reference(self) -> Node:
        """Return the master's own solutions as a submission."""
        kept = [cell for kind, _, cell in self.cells if kind in RUN or kind in {"text", "answer"}]
        return node.notebook(kept)


def recorded(kind: str, cell: Node) -> Node:
    """Return a copy of a cell as records hold it: of a hidden check, its hint alone."""
    cell = node.node(cell)
    if kind == "hidden check":
        cell.source = f"# Hidden check\n# {cell.metadata.get('hint', '')}"
    return cell


def defined(source: str) -> set[str]:
    """Return the names that a cell defines at its top level: functions, classes, assigned values; not its imports."""
    found: set[str] = set()
    for part in parse(source).body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(part.name)
        elif isinstance(part, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def imported(source: str) -> set[str]:
    """Return the names that a cell imports at its top level."""
    return {
        (alias.asname or alias.name).partition(".")[0]
        for part in parse(source).body
        if isinstance(part, ast.Import | ast.ImportFrom)
        for alias in part.names
    }


def used(source: str, *, inside_functions: bool = True) -> set[str]:
    """Return the names that a cell reads; inside_functions: those read only when a function is called, too."""
    waiting: list[Any] = [parse(source)]
    found = set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            found.add(part.id)
        function = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        waiting += ast.iter_child_nodes(part) if inside_functions or not function else []
    return found


def parse(source: str) -> ast.Module:
    """Return a cell as a syntax tree; one that is no Python, magics aside, defines nothing."""
    for text in (source, plain_python(source)):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return ast.Module(body=[], type_ignores=[])


BODIES = ("%%time", "%%timeit", "%%capture", "%%prun")
MAGIC = re.compile(r"^([ \t]*)(?:[%!?]|[\w.]+\?{1,2}[ \t]*$).*$", re.M)
ASSIGNED = re.compile(r"^([ \t]*[\w, ]+=[ \t]*)[%!].*$", re.M)


def plain_python(source: str) -> str:
    """Return a cell without magics and shell lines, in one pass: IPython's own way takes time by its square."""
    if (stripped := source.lstrip()).startswith("%%"):
        first, _, rest = stripped.partition("\n")
        source = rest if first.startswith(BODIES) else ""
    return ASSIGNED.sub(r"\1None", MAGIC.sub(r"\1pass", source))
