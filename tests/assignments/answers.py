"""Submissions made from a master: the reference, the untouched stub, and answers that differ in single cells."""

import copy
import importlib.util
from pathlib import Path

import nbformat

from coursekit.book import Book
from coursekit.release import Master, masters

ROOT = Path(__file__).parents[2]
BOOK = Book(ROOT)
NAMES = [master.name for master in masters(BOOK)]
AUTOMATIC = {"public test", "hidden check"}


def reference(name):
    """Return the source of each solution cell of the master."""
    found = {}
    for _, kind, cell in Master(BOOK, name).cells():
        if kind == "solution":
            found[cell.metadata["nbgrader"]["grade_id"]] = cell.source
    return found


def checks(name):
    """Return the points of each check that is graded without a person."""
    cells = [cell.metadata["nbgrader"] for _, kind, cell in Master(BOOK, name).cells() if kind in AUTOMATIC]
    return {meta["grade_id"]: meta["points"] for meta in cells}


def submission(name, sources):
    """Return the student's notebook, as released, with the given solution cells filled in."""
    notebook = nbformat.read(BOOK.notebook(f"assignments/{name}"), as_version=4)
    waiting = dict(sources)
    for cell in notebook.cells:
        cell_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if cell_id in waiting:
            cell.source = waiting.pop(cell_id)
    assert not waiting, f"{name} has no solution cells {sorted(waiting)}"
    return notebook


def mutants(name):
    """Return the module of typical answers of an assignment."""
    path = ROOT / "assignments" / name / "mutants.py"
    spec = importlib.util.spec_from_file_location(f"mutants_{name.replace('-', '_')}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mutated(name, cell, old, new):
    """Return the source of a solution cell of the reference with one piece replaced."""
    source = reference(name)[cell]
    assert source.count(old) == 1, f"{name}, {cell}: {old!r} stands {source.count(old)} times in the reference"
    return source.replace(old, new)


def batches(name):
    """Group the wrong answers into submissions of one mutant for each solution cell.

    Tasks do not call each other, so a submission with several faults loses the union of what each loses.
    """
    groups = []
    for label, (cell, old, new, lost) in mutants(name).WRONG.items():
        group = next((group for group in groups if cell not in group), None)
        if group is None:
            group = {}
            groups.append(group)
        group[cell] = (label, mutated(name, cell, old, new), set(lost))
    return copy.deepcopy(groups)
