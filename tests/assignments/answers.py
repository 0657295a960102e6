"""Submissions made from a master: the reference, the untouched stub, and answers that differ in single cells."""

import contextlib
import importlib.util
import io
from functools import lru_cache
from pathlib import Path

import nbformat

from workshop.book import Book
from workshop.grading import judge, sandbox, wire
from workshop.grading.assignment import Assignment, defined, used
from workshop.release import Master, masters

ROOT = Path(__file__).parents[2]
BOOK = Book(ROOT)
NAMES = [master.name for master in masters(BOOK)]


try:
    ISOLATION = sandbox.choose()[0]
except sandbox.SandboxError:
    ISOLATION = "process"  # the answers graded here are the course's own


@lru_cache
def assignment(name):
    """Return the assignment as the judge sees it."""
    return Assignment(Master(BOOK, name).notebook)


@lru_cache
def reference(name):
    """Return the source of each solution cell of the master."""
    return {grade_id: cell.source for kind, grade_id, cell in assignment(name).cells if kind == "solution"}


@lru_cache
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


def submission(name, sources):
    """Return the student's notebook, as released, with the given solution cells filled in."""
    notebook = nbformat.read(BOOK.notebook(f"assignments/{name}"), as_version=4)
    waiting = dict(sources)
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in waiting:
            cell.source = waiting.pop(grade_id)
    assert not waiting, f"{name} has no solution cells {sorted(waiting)}"
    return notebook


@lru_cache
def looks_at(name):
    """Return the solution cells that each check depends on, directly or through a helper."""
    whole = assignment(name)
    by_helper = {
        function: used(source) for source in whole.helpers for function in defined(source)
    }  # all functions of a helper cell count as using what any of them uses
    cells = {}
    for check in whole.checks:
        names = used(check.source)
        names |= set().union(*(by_helper[helper] for helper in names & set(by_helper)))
        cells[check.grade_id] = {grade_id for grade_id, delivers in whole.names.items() if names & delivers}
    return cells


class Here:
    """A student's functions in this process, behind the judge's wire in both directions."""

    place = ""

    def __init__(self, name, sources, more=None):
        """Run the notebook as the sandbox does, tests left out; a cell that raises is skipped. more: names put over."""
        self.space = {"__name__": "student"}
        for cell in submission(name, sources).cells:
            graded = cell.metadata.get("nbgrader", {}).get("grade")
            if cell.cell_type == "code" and not graded and "setup" not in cell.metadata.get("tags", []):
                with contextlib.suppress(Exception):
                    exec(compile(cell.source, f"<{name}>", "exec"), self.space)
        self.space |= more or {}
        for source in assignment(name).helpers:
            exec(compile(source, f"<{name}, helper>", "exec"), self.space)

    def again(self, check):
        """A check is not asked a second time: no answer of these has cells of its own."""
        return False

    def ask(self, kind, name):
        """Return a value as the judge asks for it."""
        return wire.decode(wire.encode(self.space[name]))

    def call(self, name, arguments, keywords):
        """Call a function as the judge calls it: data in, data out."""
        body = wire.encode((list(arguments), keywords), outward=True)
        arguments, keywords = wire.decode(body, lookup=self.space.__getitem__)
        with contextlib.redirect_stdout(io.StringIO()):
            value = self.space[name](*arguments, **keywords)
        return wire.decode(wire.encode(value))


def lost(name, sources, *, seed, only=None):
    """Return {check: why} for the checks that an answer does not earn; only: those that look at these cells."""
    side = judge.trusted(assignment(name))
    student = Here(name, sources)
    space = side.bound(student)
    found = {}
    for check in assignment(name).checks:
        if only is None or looks_at(name)[check.grade_id] & only:
            item = side.check(check, space, student, seed)
            if item.points < item.max_points:
                found[check.grade_id] = item.why
    return found


def batch(name):
    """Return one wrong answer for every solution cell that has any, and what all of them lose together."""
    sources, together = {}, set()
    for cell, old, new, loses in mutants(name).WRONG.values():
        if cell not in sources:
            sources[cell] = mutated(name, cell, old, new)
            together |= loses
    return sources, together
