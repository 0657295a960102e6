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
from nbgrader.api import (
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    MissingEntry,
    SolutionCell,
    SourceCell,
)
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor
from sqlalchemy.exc import OperationalError
from traitlets.config import Config, PyFileConfigLoader

from workshop.book import BookError, replace_file
from workshop.grading import node, shown, tables
from workshop.grading.assignment import FRAME, Assignment, recorded

CONFIGURATION = """\
# nbgrader's configuration of this course, written once by `python -m workshop grade`: yours to add to.
# Penalties for late work, for example: c.AssignLatePenalties.plugin_class = "mypenalty.MyPenalty"
# The marks come from the judge of the course. `nbgrader autograde` here executes nothing.
c = get_config()
c.ExportApp.plugin_class = "workshop.grading.course.Known"
{shown}
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

SHOWN = """# What students wrote is shown without anything in it that could run: do not take this out.
c.HTMLExporter.filters = {
    "markdown2html": "workshop.grading.shown.markdown2html",
    "highlight_code": "workshop.grading.shown.highlight_code",
}"""

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
            if cell.cell_type != "code" or not meta.get("grade") or meta.get("solution"):
                continue  # code that a person grades waits, as an answer in words does
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
    """`nbgrader export`: the columns of nbgrader's own table, but quoted, and blank where nobody knows a score yet.

    nbgrader's has 0.0 for a student who handed in nothing and for one whose grading failed, and what the judge gave as
    the score of one whose answers still wait for a person.
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
                line = [
                    assignment.name,
                    zoned(assignment.duedate),
                    zoned(submission and submission.timestamp),
                    student.id,
                ]
                line += [student.last_name, student.first_name, student.email]
                if grades and not any(score(grade) is None or grade.needs_manual_grade for grade in grades):
                    penalty = submission.late_submission_penalty or 0.0
                    line += [submission.score, penalty, max(0.0, submission.score - penalty)]
                else:
                    line += [None, None, None]
                lines.append([*line, assignment.max_score])
        tables.written(Path(self.to or "grades.csv"), lines)


def zoned(moment: datetime | None) -> str | None:
    """Return a moment of nbgrader's with the zone in which it keeps it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else None


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


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let a plug-in that lies beside the configuration be found, as nbgrader's own command finds it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def add(db: Any, cell: BaseCell | SourceCell, below: list[Grade | Comment]) -> None:
    """Add a cell and what hangs on it."""
    db.add(cell)
    db.flush()
    db.add_all(below)


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
        try:
            with quiet(), Gradebook(directory.db_url, directory.course_id) as gradebook:
                yield gradebook
        except OperationalError as error:
            if "locked" not in str(error):
                raise
            why = "another program is writing to it; close the formgrader, or wait, and run this again"
            raise BookError(f"{self.root / 'gradebook.db'}: {why}") from None

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
            with quiet(), importable(self.root):
                running.start()
        except (Exception, SystemExit) as error:
            raise BookError(f"nbgrader: {error}\n  " + "\n  ".join(said[-5:])) from error

    def configure(self) -> None:
        """Write nbgrader's configuration; to one that is there, add what it does not know yet."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not (path := self.root / "nbgrader_config.py").is_file():
            replace_file(path, CONFIGURATION.format(shown=SHOWN))
        elif "workshop.grading.shown.highlight_code" not in (text := path.read_text(encoding="utf-8")):
            replace_file(path, f"{text.rstrip()}\n{SHOWN}\n")

    def prepare(self, assignment: Assignment, due: datetime | None, roster: dict[str, dict]) -> None:
        """Make the folder, enter the assignment and the students; repeated, it changes nothing. due: None as it is."""
        self.configure()
        cells = [recorded(kind, cell) for kind, _, cell in assignment.cells if kind in FRAME]
        source = nbformat.from_dict(node.notebook(cells, {"kernelspec": KERNEL}))
        text = nbformat.writes(source)
        path = self.root / "source" / self.name / f"{self.name}.ipynb"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            self.align(source)
            replace_file(path, text)
            try:
                self.convert(GenerateAssignment)
            except BaseException:
                path.unlink()  # or the next run would take the work for done
                raise
        rubrics = json.dumps(assignment.rubrics, indent=1) + "\n"
        path = shown.rubrics(self.root, self.name)
        if not path.is_file() or path.read_text(encoding="utf-8") != rubrics:
            replace_file(path, rubrics)
        with self.gradebook() as gradebook:
            gradebook.update_or_create_assignment(self.name, **({"duedate": due} if due else {}))
            for student, entry in roster.items():
                gradebook.update_or_create_student(
                    student, **{field: shown.plain_name(value) for field, value in entry.items()}
                )

    def align(self, source: NotebookNode) -> None:
        """Bring the cells in the database to those of a changed master; marks of all others stay.

        nbgrader refuses to add or remove cells once there are submissions. A check that was taken out would go on
        counting.
        """
        cells = {cell.metadata.nbgrader["grade_id"]: cell for cell in source.cells if "nbgrader" in cell.metadata}
        graded = {name for name, cell in cells.items() if cell.metadata.nbgrader["grade"]}
        solutions = {name for name, cell in cells.items() if cell.metadata.nbgrader["solution"]}
        with self.gradebook() as gradebook:
            try:
                notebook = gradebook.find_notebook(self.name, self.name)
            except MissingEntry:
                return
            if not notebook.submissions:
                return
            db = gradebook.db
            for known, wanted in ((notebook.grade_cells, graded), (notebook.solution_cells, solutions)):
                for cell in [cell for cell in known if cell.name not in wanted]:
                    db.query(Grade).filter(Grade.cell_id == cell.id).delete(synchronize_session=False)
                    db.query(Comment).filter(Comment.cell_id == cell.id).delete(synchronize_session=False)
                    db.delete(cell)
            for cell in [cell for cell in notebook.source_cells if cell.name not in cells]:
                db.delete(cell)
            db.commit()
            db.expire_all()
            for name in sorted(graded - {cell.name for cell in notebook.grade_cells}):
                points, kind = cells[name].metadata.nbgrader["points"], cells[name].cell_type
                cell = GradeCell(name=name, max_score=float(points), cell_type=kind, notebook=notebook)
                add(db, cell, [Grade(cell=cell, notebook=submitted) for submitted in notebook.submissions])
            for name in sorted(solutions - {cell.name for cell in notebook.solution_cells}):
                cell = SolutionCell(name=name, notebook=notebook)
                add(db, cell, [Comment(cell=cell, notebook=submitted) for submitted in notebook.submissions])
            for name in sorted(set(cells) - {cell.name for cell in notebook.source_cells}):
                add(db, SourceCell(name=name, cell_type=cells[name].cell_type, notebook=notebook), [])
            db.commit()

    @cached_property
    def due(self) -> datetime | None:
        """Return when the assignment is due, in UTC without a zone."""
        with self.gradebook() as gradebook:
            return gradebook.find_assignment(self.name).duedate

    @property
    def extensions_file(self) -> Path:
        """Return where the extensions of this assignment are kept."""
        return self.root / "judgements" / f"{self.name}.extensions.json"

    @cached_property
    def extensions(self) -> dict[str, datetime]:
        """Return when the assignment is due for the students who have longer than the others, in UTC without a zone."""
        if not self.extensions_file.is_file():
            return {}
        held = json.loads(self.extensions_file.read_text(encoding="utf-8"))
        return {student: datetime.fromisoformat(moment) for student, moment in held.items()}

    def extend(self, extensions: dict[str, datetime]) -> None:
        """Keep extensions in the place of those kept before. `BookError` where one gives nobody more time."""
        if extensions and self.due is None:
            raise BookError("extensions: there is no due date to extend; say it with --due")
        for student, moment in extensions.items():
            if moment <= self.due:
                raise BookError(
                    f"extensions: {student}: {moment} UTC is no later than {self.due} UTC, when all are due"
                )
        held = {student: moment.isoformat() for student, moment in sorted(extensions.items())}
        replace_file(self.extensions_file, json.dumps(held, indent=1) + "\n")
        self.__dict__.pop("extensions", None)

    def due_for(self, student: str) -> datetime | None:
        """Return when the assignment is due for one student."""
        moment = self.extensions.get(student)
        return max(self.due, moment) if self.due and moment else self.due

    def submitted(self, student: str) -> Path:
        """Return the path of a student's normalised notebook."""
        return self.root / "submitted" / student / self.name / f"{self.name}.ipynb"

    def autograded(self, student: str) -> Path:
        """Return the path of the notebook that nbgrader made from it, marks included."""
        return self.root / "autograded" / student / self.name / f"{self.name}.ipynb"

    def stamp(self, student: str) -> str:
        """Return a hash of all that a record depends on: judgement, times, configuration and its plug-ins."""
        submitted = self.submitted(student)
        paths = [judgement_file(self.root, self.name, student), submitted, submitted.parent / "timestamp.txt"]
        paths += sorted(self.root.glob("*.py"))
        return digest(
            b"\0".join([path.read_bytes() for path in paths if path.is_file()] + [str(self.due_for(student)).encode()])
        )

    def enter(self, student: str, changed: set[str]) -> None:
        """Record a judgement in nbgrader's database, unless it is there already.

        Manual scores and comments stay as they are: nbgrader keeps them apart from the automatic ones. What has changed
        since it was marked by a person waits for one again; nbgrader by itself would let all of them wait.
        """
        stamp, kept = self.stamp(student), self.root / "judgements" / self.name / f"{student}.stamp"
        if self.autograded(student).is_file() and kept.is_file() and kept.read_text(encoding="utf-8") == stamp:
            return
        before = self.needs(student)
        longer = self.due_for(student) - self.due if self.due else None
        with self.gradebook() as gradebook:  # a penalty is reckoned from the student's own date
            gradebook.update_or_create_student(student)
            gradebook.update_or_create_submission(self.name, student, extension=longer or None)
        self.convert(Autograde, student)
        with self.gradebook() as gradebook:
            for grade in self.grades(gradebook, student):
                if grade.manual_score is not None:
                    grade.needs_manual_grade = before.get(grade.name, False) or grade.name in changed
            gradebook.db.commit()
        replace_file(kept, stamp)

    def grades(self, gradebook: Gradebook, student: str) -> list[Grade]:
        """Return the grades of a submission, none where it is not in the database."""
        try:
            submission = gradebook.find_submission(self.name, student)
        except MissingEntry:
            return []
        return [grade for notebook in submission.notebooks for grade in notebook.grades]

    def needs(self, student: str) -> dict[str, bool]:
        """Return for each item that a person has marked whether it waits for one again."""
        with self.gradebook() as gradebook:
            grades = self.grades(gradebook, student)
            return {g.name: bool(g.needs_manual_grade) for g in grades if g.manual_score is not None}

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
                    "again": sorted(g.name for g in grades if g.manual_score is not None and g.needs_manual_grade),
                    "above": sorted(
                        g.name for g in grades if (g.manual_score or 0) > g.max_score or (g.extra_credit or 0) > 0
                    ),
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
