"""Which submissions resemble each other more than two people's do: a list to look at, never a verdict.

Names that a solution assigns are replaced by their order of appearance, comments and texts at the head of functions are
left out, and what the assignment itself gives does not count. What remains is a sequence of words of the syntax tree;
compared are its runs of `RUN` words. A copy with other names, other spacing and other comments has the same runs.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations

from workshop.grading.assignment import Assignment, parse

RUN = 12
ENOUGH = 60
"""Runs that a submission must have of its own: two short right answers are alike because there is only one."""

SHARE = 0.7
COMMON = 0.25  # of the class: a run that so many have is the natural way to write it


def sequence(source: str) -> list[str]:
    """Return the words of a cell's syntax tree: kinds of nodes, names in order of appearance, constants."""
    tree = parse(source)
    known: dict[str, str] = {}
    own = {part.id for part in ast.walk(tree) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
    own |= {part.arg for part in ast.walk(tree) if isinstance(part, ast.arg)}
    found: list[str] = []

    def visit(part: ast.AST) -> None:
        found.append(type(part).__name__)
        name = getattr(part, "id", getattr(part, "arg", None))
        if name in own:
            found.append(known.setdefault(name, f"name {len(known)}"))
        elif isinstance(name, str):
            found.append(name)
        elif isinstance(part, ast.Attribute):
            found.append(part.attr)
        elif isinstance(part, ast.Constant):
            found.append(repr(part.value)[:40])
        body = getattr(part, "body", None)
        described = (
            isinstance(part, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(part) is not None
        )
        for child in ast.iter_child_nodes(part):
            if not (described and isinstance(body, list) and child is body[0]):
                visit(child)

    try:
        visit(tree)
    except RecursionError:
        return []
    return found


def runs(sources: Iterable[str]) -> set[int]:
    """Return hashes of all runs of `RUN` words in cells."""
    found = set()
    for source in sources:
        words = sequence(source)
        found |= {hash(tuple(words[at : at + RUN])) for at in range(len(words) - RUN + 1)}
    return found


def pairs(assignment: Assignment, solutions: Mapping[str, Iterable[str]]) -> list[tuple[str, str, float, int]]:
    """Return (student, student, share, runs) of those that have at least `SHARE` of the smaller one's runs in common.

    solutions: the source of the code cells of each student. Runs of the assignment's own cells do not count, nor, in a
    class of eight or more, those that a quarter of it has.
    """
    given = runs([*assignment.stubs.values(), *(cell.source for kind, _, cell in assignment.cells if kind == "set-up")])
    own = {student: runs(sources) - given for student, sources in solutions.items()}
    if len(own) >= 8:
        often = Counter(run for found in own.values() for run in found)
        usual = {run for run, count in often.items() if count > max(3, COMMON * len(own))}
        own = {student: found - usual for student, found in own.items()}
    holders: dict[int, list[str]] = {}
    for student, found in own.items():
        if len(found) >= ENOUGH:
            for run in found:
                holders.setdefault(run, []).append(student)
    shared = Counter(pair for students in holders.values() for pair in combinations(sorted(students), 2))
    result = []
    for (one, other), count in shared.items():
        share = count / min(len(own[one]), len(own[other]))
        if share >= SHARE:
            result.append((one, other, round(share, 2), count))
    return sorted(result, key=lambda pair: (-pair[2], pair[0], pair[1]))
