"""Grading a folder: this course's judge, each submission in a sandbox, against plain ``nbgrader autograde``, without.

The same assignment, the same well-behaved submissions, each command as a teacher types it, start-up included. Once with
NumPy alone, once with both frameworks imported: nbgrader imports them for each submission, this course once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from workshop.grading.sandbox import choose

SUBMISSIONS = 24
TASKS = {"relu": ("np.maximum(x, 0)", 1), "gram": ("x.T @ x", 2), "spread": ("x.std(axis=0)", 0)}
"""Name of a function, its body, and what it makes of a 2 x 2 matrix of ones."""

IMPORTS = {
    "": "import numpy as np",
    " that import both frameworks": "import keras\nimport numpy as np\nimport torch",
}
"""What the notebook imports; the assignments of this course import both frameworks."""


def cell(source: str, name: str = "", points: int = 0, **metadata) -> nbformat.NotebookNode:
    """A code cell of a master: set-up without a name, a check with points, a solution without."""
    if name:
        metadata["nbgrader"] = {"grade_id": name, "grade": points > 0, "locked": points > 0, "solution": points == 0}
        metadata["nbgrader"] |= {"schema_version": 3, "task": False} | ({"points": points} if points else {})
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def master(imports: str) -> nbformat.NotebookNode:
    """Three functions; imports: a key of `IMPORTS`.

    There is nothing that plain nbgrader cannot run, so the hidden checks draw from a fixed seed.
    """
    cells = [cell(IMPORTS[imports])]
    for name, (body, ones) in TASKS.items():
        solution = f"def {name}(x):\n    ### BEGIN SOLUTION\n    return {body}\n    ### END SOLUTION"
        hidden = f"x = np.random.default_rng(1).normal(size=(50, 20))\nassert np.allclose({name}(x), {body})"
        cells += [
            cell(solution, name),
            cell(f"assert np.allclose({name}(np.ones((2, 2))), {ones})", f"{name}-public", 1, tags=["public"]),
            cell(hidden, f"{name}-hidden", 2, hint="fresh numbers"),
        ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def classes(root: Path, imports: str, count: int) -> tuple[Path, Path]:
    """A book with the assignment, and a course of nbgrader's with the same; both with the same submissions."""
    book, course = root / "book", root / "course"
    (book / "assignments" / "three").mkdir(parents=True)
    jupytext.write(notebook := master(imports), book / "assignments" / "three" / "master.md", fmt="md:myst")
    (course / "source" / "three").mkdir(parents=True)
    nbformat.write(notebook, course / "source" / "three" / "three.ipynb")
    (course / "nbgrader_config.py").write_text("")
    for number in range(count):
        for own in (book / "handed-in" / f"s{number}", course / "submitted" / f"s{number}" / "three"):
            own.mkdir(parents=True)
            nbformat.write(notebook, own / "three.ipynb")
    return book, course


@pytest.fixture(scope="module", params=IMPORTS)
def folders(request, tmp_path_factory) -> tuple[str, Path, Path]:
    """The class of this benchmark, in folders that have been graded in before."""
    book, course = classes(tmp_path_factory.mktemp("class"), request.param, SUBMISSIONS)
    nbgrader(course, "generate_assignment", "three")
    grade(book, 2)  # both have their database, and it knows the students
    nbgrader(course, "autograde", "three")
    return request.param, book, course


def nbgrader(course: Path, *arguments: str) -> None:
    """Run one of nbgrader's commands."""
    program = "from nbgrader.apps.nbgraderapp import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader calls alembic by name
    subprocess.run(command, cwd=course, check=True, capture_output=True, env=os.environ | {"PATH": path})


def grade(book: Path, jobs: int, count: int = SUBMISSIONS) -> None:
    """Grade the folder with this course."""
    command = [sys.executable, "-m", "workshop", "--root", str(book), "grade", "three", str(book / "handed-in")]
    command += ["--out", str(book / "out"), "--jobs", str(jobs), "--again"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    table = (book / "out" / "gradebook.csv").read_text().splitlines()
    assert sum(",ok,9," in line for line in table) == count


@pytest.mark.parametrize("way", ["plain nbgrader", "1 job", "2 jobs"])
def test_grading(benchmark, folders, way):
    """Time for the whole folder."""
    isolation, _ = choose()
    imports, book, course = folders
    benchmark.group = f"grading {SUBMISSIONS} submissions of three functions{imports}, isolation by {isolation}"
    benchmark.extra_info |= {"row": way, "reference": way == "plain nbgrader"}
    if way == "plain nbgrader":
        benchmark.pedantic(nbgrader, (course, "autograde", "three", "--force"), rounds=1)
    else:
        benchmark.pedantic(grade, (book, int(way[0])), rounds=1)
