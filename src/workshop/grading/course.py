"""nbgrader as the record: its course folder, its converters and its database hold the results of the judge.

`OUT/nbgrader` is an ordinary course of nbgrader's: its formgrader, its `export` and its `db` commands run there.
Its configuration replaces one step of `nbgrader autograde`: instead of executing a notebook, `Marks` writes into the
graded cells what the judge found, and nbgrader's own `SaveAutoGrades` reads it from there.

The recorded notebooks hold no source of a hidden check, only its hint: nbgrader's feedback shows every cell.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets.config import Config, PyFileConfigLoader

from workshop.book import BookError, replace_file
from workshop.grading import node, tables
from workshop.grading.assignment import FRAME, Assignment, recorded

CONFIGURATION = """\
# nbgrader's configuration of this course, written once by `python -m workshop grade`: yours to add to.
# Penalties for late work, for example: c.AssignLatePenalties.plugin_class = "mypenalty.MyPenalty"
# The marks come from the judge of the course. `nbgrader autograde` here executes nothing.
c = get_config()
c.ExportApp.plugin_class = "workshop.grading.course.Known"
c.CourseDirectory.course_id = "course"
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "workshop.grading.course.Marks",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
]
"""


KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}


class Marks(NbGraderPreprocessor):
    """Writes the judge's points into the graded cells, as `nbgrader.utils.determine_grade` reads them.

    No output: everything; an error: nothing; a number: that much. The judgement must be the one of this very file.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Fill in the graded code cells of one notebook."""
        names = resources["nbgrader"]
        root = Path(self.parent.parent.coursedir.root)
        path = judgement_file(root, names["assignment"], names["student"])
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if "items" not in kept or kept["file"] != nb.metadata.get("workshop", {}).get("file"):
            raise BookError(f"{names['student']}: no judgement of this file; run python -m workshop grade")
        for cell in nb.cells:
            meta = cell.metadata.get("nbgrader", {})
            if cell.cell_type != "code" or not meta.get("grade"):
                continue
            item = kept["items"][meta["grade_id"]]
            cell.execution_count = None
            cell.outputs = outputs(item, cell.metadata.get("hint", ""))
        nb.metadata["workshop"]["judgement"] = digest(path.read_bytes())
        return nb, resources


def outputs(item: dict, hint: str) -> list[NotebookNode]:
    """Return the outputs that give a cell its points; they show the hint, never the check."""
    if item["points"] >= item["max_points"]:
        return []
    says = item["note"] or hint or "This public test fails: it does so in your own notebook too."
    shown = nbformat.v4.new_output("stream", name="stdout", text=says + "\n")
    if item["points"] <= 0:
        return [shown, nbformat.v4.new_output("error", ename="Check", evalue=says, traceback=[])]
    value = nbformat.v4.new_output("execute_result", data={"text/plain": repr(item["points"])}, execution_count=1)
    return [shown, value]


class Known(ExportPlugin):
    """`nbgrader export`: the columns of nbgrader's own table, but quoted, and blank where nobody knows a score.

    nbgrader's has 0.0 for a student who handed in nothing and for one whose grading failed.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write one line for each assignment and student."""
        lines = [COLUMNS]
        for assignment in gradebook.assignments:
            for student in gradebook.students:
                if self.assignment and assignment.name not in self.assignment:
                    continue
                if self.student and student.id not in map(str, self.student):
                    continue
                try:
                    submission = gradebook.find_submission(assignment.name, student.id)
                    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
                except MissingEntry:
                    submission, grades = None, []
                line = [assignment.name, assignment.duedate, submission and submission.timestamp, student.id]
                line += [student.last_name, student.first_name, student.email]
                if any(score(grade) is not None for grade in grades):
                    penalty = submission.late_submission_penalty or 0.0
                    line += [submission.score, penalty, max(0.0, submission.score - penalty)]
                else:
                    line += [None, None, None]
                lines.append([*line, assignment.max_score])
        tables.written(Path(self.to or "grades.csv"), lines)


COLUMNS = ["assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"]
COLUMNS += ["raw_score", "late_submission_penalty", "score", "max_score"]


def judgement_file(root: Path, name: str, student: str) -> Path:
    """Return where the judgement of a student's submission is kept."""
    return root / "judgements" / name / f"{student}.json"


def digest(data: bytes) -> str:
    """Return the hash that files are told apart by."""
    return hashlib.sha256(data).hexdigest()


def slug(student: str) -> str:
    """Return a student's name fit for nbgrader's folders, patterns and identifiers; different for different names."""
    safe = re.sub(r"^[.-]|[^\w.@-]", "_", student or "_", flags=re.ASCII)[:100]
    return safe if safe == student else f"{safe}-{digest(student.encode())[:8]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what nbgrader's libraries warn of from the teacher, who can do nothing about it; let them find alembic.

    nbgrader (0.9, `api.get_alembic_version`) calls `alembic` by its name, which is on the path of an activated
    environment only.
    """
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ["PATH"] = before


@dataclass(frozen=True)
class Course:
    """The course folder at `root`, seen for one assignment."""

    root: Path
    name: str

    @cached_property
    def config(self) -> Config:
        """Return nbgrader's configuration: the folder's own file, and the folder."""
        config = PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()
        config.CourseDirectory.root = str(self.root)
        config.CourseDirectory.assignment_id = self.name
        return config

    @contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """Open nbgrader's database."""
        directory = CourseDirectory(config=self.config)
        with quiet(), Gradebook(directory.db_url, directory.course_id) as gradebook:
            yield gradebook

    def convert(self, converter: type, student: str = "*") -> None:
        """Run one of nbgrader's converters on this assignment; BookError with its own words where it fails."""
        said: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: said.append(record.getMessage())
        log = logging.getLogger("workshop.nbgrader")
        log.handlers, log.propagate = [handler], False
        directory = CourseDirectory(config=self.config, log=log)
        directory.student_id = student
        running = converter(coursedir=directory, config=self.config, log=log)
        running.force = True
        try:
            with quiet():
                running.start()
        except (Exception, SystemExit) as error:
            raise BookError(f"nbgrader: {error}\n  " + "\n  ".join(said[-5:])) from error

    def prepare(self, assignment: Assignment, due: datetime | None, roster: dict[str, dict]) -> None:
        """Make the folder, enter the assignment and the students; repeated, it changes nothing."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not (path := self.root / "nbgrader_config.py").is_file():
            replace_file(path, CONFIGURATION)
        cells = [recorded(kind, cell) for kind, _, cell in assignment.cells if kind in FRAME]
        source = nbformat.from_dict(node.notebook(cells, {"kernelspec": KERNEL}))
        text = nbformat.writes(source)
        path = self.root / "source" / self.name / f"{self.name}.ipynb"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            replace_file(path, text)
            self.convert(GenerateAssignment)
        with self.gradebook() as gradebook:
            gradebook.update_or_create_assignment(self.name, duedate=due)
            for student, entry in roster.items():
                gradebook.update_or_create_student(student, **entry)

    def submitted(self, student: str) -> Path:
        """Return the path of a student's normalised notebook."""
        return self.root / "submitted" / student / self.name / f"{self.name}.ipynb"

    def autograded(self, student: str) -> Path:
        """Return the path of the notebook that nbgrader made from it, marks included."""
        return self.root / "autograded" / student / self.name / f"{self.name}.ipynb"

    def enter(self, student: str) -> None:
        """Record a judgement in nbgrader's database, unless it is there already.

        Manual scores and comments stay as they are: nbgrader keeps them apart from the automatic ones.
        """
        path = judgement_file(self.root, self.name, student)
        if (done := self.autograded(student)).is_file():
            held = json.loads(done.read_text(encoding="utf-8"))["metadata"].get("workshop", {})
            if held.get("judgement") == digest(path.read_bytes()):
                return
        self.convert(Autograde, student)

    def forget(self, student: str) -> None:
        """Enter that nothing is known about a submission: no automatic score, a person has to look."""
        self.autograded(student).unlink(missing_ok=True)  # so that a judgement is recorded anew
        with self.gradebook() as gradebook:
            gradebook.update_or_create_student(student)
            submission = gradebook.update_or_create_submission(self.name, student)
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    grade.auto_score, grade.needs_manual_grade = None, True
            gradebook.db.commit()

    def marks(self) -> dict[str, dict[str, Any]]:
        """Return what the database holds of each submission: score, penalty, and each item's points (None: waiting)."""
        found = {}
        with self.gradebook() as gradebook:
            for submission in gradebook.assignment_submissions(self.name):
                grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
                comments = [comment for notebook in submission.notebooks for comment in notebook.comments]
                found[submission.student.id] = {
                    "items": {grade.name: score(grade) for grade in grades},
                    "manual": sum(grade.manual_score or 0.0 for grade in grades),
                    "extra": sum(grade.extra_credit or 0.0 for grade in grades),
                    "penalty": submission.late_submission_penalty or 0.0,
                    "comments": {comment.name: comment.comment for comment in comments if comment.comment},
                    "late": submission.total_seconds_late,
                }
        return found


def score(grade: Any) -> float | None:
    """Return the points of a grade, a person's before the judge's; None where there are neither."""
    if grade.manual_score is None and grade.auto_score is None:
        return None
    return float(grade.auto_score if grade.manual_score is None else grade.manual_score)


def utc(moment: datetime) -> datetime:
    """Return a moment as nbgrader stores it: in UTC, without a zone. A moment without a zone is local time."""
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)
