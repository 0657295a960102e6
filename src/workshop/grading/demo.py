"""`make grade-demo`: a class of eight hands in, in the ways classes do, and is graded from end to end.

The submissions are made here from the master of an assignment, so no answer is shipped a second time.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from workshop.book import Book, BookError
from workshop.grading.assignment import FRAME, Assignment, recorded
from workshop.grading.grade import grade
from workshop.grading.node import Node, node, notebook
from workshop.grading.sandbox import Limits, SandboxError, choose
from workshop.release import Master, masters

ROSTER = """\
id,last_name,first_name,email
ada,Lovelace,Ada,ada@example.org
alan,Turing,Alan,alan@example.org
emmy,Noether,Emmy,emmy@example.org
grace,Hopper,Grace,grace@example.org
kurt,Gödel,Kurt,kurt@example.org
"""


def handed_in(assignment: Assignment, replace: Callable[[str, str], str]) -> Node:
    """Return a student's notebook; replace: gets grade_id and the master's source, returns the student's."""
    cells = [recorded(kind, cell) for kind, _, cell in assignment.cells if kind in FRAME - {"hidden check"}]
    for cell in cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if grade_id in assignment.written:
            cell.source = "The factors are slopes times weights. (An answer in words: a person grades it.)"
        elif grade_id in assignment.stubs:
            cell.source = replace(grade_id, cell.source)
    return notebook(cells)


def submissions(assignment: Assignment) -> dict[str, bytes]:
    """Return the files of the class: path and content."""
    first, *_, final = assignment.names
    function = sorted(assignment.names[first])[0]

    def with_first(body: str) -> Callable[[str, str], str]:
        return lambda grade_id, source: f"def {function}(*inputs):\n    {body}" if grade_id == first else source

    def dumped(replace: Callable[[str, str], str], own: str = "") -> bytes:
        made = handed_in(assignment, replace)
        if own:
            made.cells.append(node({"cell_type": "code", "metadata": {}, "source": own, "outputs": []}))
        return json.dumps(made).encode()

    lost = handed_in(assignment, lambda _, source: source)
    for cell in lost.cells:
        cell.metadata = node({"id": "colab"})
    stubs = assignment.stubs
    return {
        "ada/assignment.ipynb": dumped(lambda _, source: source),
        # from Moodle, a second download, saved by an editor that drops metadata and writes a byte order mark
        "Alan Turing_77_assignsubmission_file_/assignment (1).ipynb": b"\xef\xbb\xbf" + json.dumps(lost).encode(),
        "emmy/assignment.ipynb": dumped(lambda grade_id, source: stubs[grade_id] if grade_id == final else source),
        "grace/assignment.ipynb": b'{"cells": [',
        "endless/assignment.ipynb": dumped(with_first("while True: pass")),
        "vandal/assignment.ipynb": dumped(with_first("import os; os._exit(0)")),
        "forger/assignment.ipynb": dumped(
            with_first("return Equal()"),
            "import numpy\nnumpy.allclose = numpy.array_equal = lambda *_, **__: True\n"
            "class Equal:\n    def __eq__(self, other):\n        return True",
        ),
    }


def main() -> int:
    """Write the class's folder under `_build`, grade it, show the gradebook."""
    book = Book(Path.cwd())
    try:
        names = [master.name for master in masters(book)]
        if not names:
            raise BookError("there is no master in assignments/, so nothing to demonstrate with")
        name = sys.argv[1] if len(sys.argv) > 1 else names[0]
        folder = book.root / "_build" / "grade-demo"
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in submissions(Assignment(Master(book, name).notebook)).items():
            (folder / "submissions" / path).parent.mkdir(parents=True)
            (folder / "submissions" / path).write_bytes(data)
        (folder / "roster.csv").write_text(ROSTER, encoding="utf-8")
        print(f"grade-demo: what _build/grade-demo/submissions holds, graded for {name}", flush=True)
        source, out = folder / "submissions", folder / "graded"
        isolation = "auto"
        try:
            choose()
        except SandboxError:
            isolation = "process"  # these submissions were made here
        roster, limits = folder / "roster.csv", Limits(call=5.0)
        code = grade(book, name, source, out, roster=roster, jobs=2, limits=limits, isolation=isolation)
    except BookError as error:
        print(f"grade-demo: {error}", file=sys.stderr)
        return 1
    print()
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            points = f"{row['score'] or '–':>4} of {row['max_score']}"
            print(f"{row['id']:<8} {row['status']:<12} {points:<11} {row['flags'][:100]}")
    return code


if __name__ == "__main__":
    sys.exit(main())
