"""Grade a folder of submissions: intake, judge, record, tables, feedback. Killed, it goes on where it was."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from workshop.book import Book, BookError, replace_file
from workshop.grading import feedback, inbox, server, similar, tables
from workshop.grading.assignment import OPEN, Assignment
from workshop.grading.course import Course, digest, judgement_file, slug, utc
from workshop.grading.sandbox import Limits, SandboxError, choose
from workshop.release import Master, companions

COLUMNS = ("items", "score", "automatic", "manual", "penalty", "waiting", "seconds", "isolation", "seed", "sha256")


def grade(
    book: Book,
    name: str,
    source: Path,
    out: Path,
    *,
    roster: Path | None = None,
    due: str | None = None,
    extensions: Path | None = None,
    jobs: int = 1,
    dask: str | None = None,
    seed: int | None = None,
    isolation: str = "auto",
    again: bool = False,
    limits: Limits = Limits(),  # noqa: B008  frozen
) -> int:
    """Grade the submissions in `source` for the assignment `name` into the folder `out`; return the exit code.

    roster: CSV file with an id column, one row of the gradebook for each; due: when work was due, local time unless it
    names a zone, the end of the day where it is a date, by default what was said last time; extensions: CSV file with
    columns id and due, of students who have longer, by default the one of last time; jobs: submissions at a time; dask:
    address of a scheduler whose workers judge instead; seed: of the hidden checks' inputs, by default the one of the
    last grading into `out`, or a fresh one; isolation: `auto` (bubblewrap, or nobody is graded), `bubblewrap` or
    `process`; again: judge everyone anew, from a fresh seed unless one is given.
    """
    if jobs < 1:
        raise BookError(f"jobs: got {jobs}, wanted 1 or more")
    assignment = Assignment(Master(book, name).notebook)
    students = inbox.read_roster(roster) if roster else {}
    moment = parsed(due).astimezone() if due else None
    longer = inbox.read_extensions(extensions, students) if extensions else {}
    if moment:
        print(f"grade: due {moment:%Y-%m-%d %H:%M:%S %Z} ({utc(moment)} UTC)")
    source, out = source.resolve(), out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):
        course = Course(out / "nbgrader", name)
        settings_file = course.root / "judgements" / f"{name}.json"
        held = json.loads(settings_file.read_text(encoding="utf-8")) if settings_file.is_file() else {}
        if seed is None:
            seed = held["seed"] if held and not again else secrets.randbits(32)
        trouble, why = "", ""
        try:
            isolation, why = choose(isolation)
        except SandboxError as error:
            trouble = str(error)
        if why:
            print(WARNING.format(why=why), file=sys.stderr)
        settings = {"seed": seed, "master": assignment.digest, "isolation": isolation, "limits": asdict(limits)}
        given = {file: as_text(data) for file, data in companions(book.root / "assignments" / name).items()}
        if given:
            settings["files"] = digest(json.dumps(given).encode())
        task = settings | {"master": assignment.portable(), "given": sorted(given), "files": given}
        course.prepare(
            assignment, utc(moment) if moment else None, {slug(student): entry for student, entry in students.items()}
        )
        if extensions:
            course.extend({slug(student): utc(parsed(when).astimezone()) for student, when in longer.items()})
        if not trouble and held != settings and not (trouble := rehearsal(assignment, task)):
            replace_file(settings_file, json.dumps(settings, indent=1, sort_keys=True) + "\n")
        work = Work(assignment, course, task, settings, again)
        nobodys: list[str] = []
        submissions = inbox.collect(assignment, name, source, students, nobodys)
        if trouble:
            print(f"grade: nobody is graded: {trouble}", file=sys.stderr)
            for submission in submissions:
                work.note(submission)
                work.failed(submission, trouble)
        else:
            work.run(submissions, jobs, dask)
        rows = work.rows(students)
        place = results(out, name)
        publish(place, assignment, name, rows, work)
    return report(place, course.root, rows, nobodys)


def as_text(data: bytes) -> str:
    """Return bytes as they cross to a judge."""
    return base64.b64encode(data).decode()


def fingerprint(submission: inbox.Submission) -> str | None:
    """Return the hash by which a submission is told from another one: of its notebook, and of the files beside it."""
    if not submission.data or not submission.companions:
        return digest(submission.data) if submission.data else None
    parts = [digest(submission.data)]
    parts += [f"{name}\0{digest(data)}" for name, data in sorted(submission.companions.items())]
    return digest("\0".join(parts).encode())


def results(out: Path, name: str) -> Path:
    """Return where an assignment's tables and feedback go: `out` for the first one, a folder in it for each other."""
    mark = out / ".assignment"
    if not mark.is_file():
        replace_file(mark, name)
    return out if mark.read_text(encoding="utf-8") == name else out / name


WARNING = """\
grade: WARNING: no sandbox: {why}.
grade: WARNING: students' code can read what you can read, hidden checks included, and reach the network.
grade: WARNING: the column "isolation" says so. See book/appendix/grading.md."""


def parsed(due: str) -> datetime:
    """Return the moment that a command line names; of a day, its last second."""
    try:
        whole_day = re.fullmatch(r"\d{4}-\d{2}-\d{2}", due)
        return datetime.fromisoformat(f"{due}T23:59:59" if whole_day else due)
    except ValueError as error:
        raise BookError(f"due: got {due!r}, wanted e.g. 2026-11-30T23:59 or 2026-11-30T23:59+01:00") from error


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep a second grading out of the same folder; a killed one leaves no lock."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(out / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BookError(f"{out}: another grading is at work there") from error
        yield


def rehearsal(assignment: Assignment, task: dict) -> str:
    """Grade the master's own solutions as a student's; return what keeps them from full points, "" if nothing does.

    It would be a fault of the checks, of this seed or of the installation, so nobody must pay for it.
    """
    answer = server.judge(task | {"key": "", "submission": assignment.reference()})
    if "error" in answer:
        return answer["error"]
    lost = [f"{grade_id} ({item['why']})" for grade_id, item in answer["items"].items() if not full(item)]
    lost += answer["flags"] + [f"{label}: {why}" for label, why in answer["skipped"]]
    return f"the master's own solutions do not pass: {'; '.join(lost)}" if lost else ""


def full(item: dict) -> bool:
    """Whether an item earned everything."""
    return item["points"] >= item["max_points"]


class Work:
    """The submissions of one grading on their way from the inbox into nbgrader's database."""

    def __init__(self, assignment: Assignment, course: Course, task: dict, settings: dict, again: bool) -> None:
        """Start with none."""
        self.assignment, self.course, self.task, self.settings, self.again = assignment, course, task, settings, again
        self.seen: dict[str, dict[str, Any]] = {}
        self.later: list[tuple[Callable[..., None], tuple]] = []
        self.done = 0
        self.unforked = ""

    def note(self, submission: inbox.Submission) -> None:
        """Take down what is known of a submission before it is judged."""
        self.seen[submission.student] = {
            "status": submission.status,
            "flags": submission.flags,
            "file": submission.path,
            "sha256": fingerprint(submission),
            "when": submission.when,
            "folder": submission.folder,
            "files": len(submission.files),
        }

    def tasks(self, submissions: Iterator[inbox.Submission]) -> Iterator[dict]:
        """Yield what has to be judged: what is readable and has no judgement of this file under these settings.

        The pool reads this from a thread of its own, so what can be recorded at once waits in `later`: nbgrader is
        for one thread, and changes the working folder.
        """
        for submission in submissions:
            self.note(submission)
            student = submission.student
            if submission.status == "grader-error":
                self.later.append((self.failed, (submission, submission.flags.pop())))
            elif not submission.status:
                kept = self.kept(student)
                same = kept.get("settings") == self.settings and kept.get("file") == self.seen[student]["sha256"]
                if same and "items" in kept and not self.again:
                    self.later.append((self.enter, (student, kept)))
                else:
                    files = {name: as_text(data) for name, data in submission.companions.items()}
                    files |= self.task["files"]  # what the assignment gives comes from the assignment
                    yield self.task | {"key": student, "submission": submission.notebook, "files": files}

    def run(self, submissions: Iterator[inbox.Submission], jobs: int, dask: str | None) -> None:
        """Judge what has to be judged, `jobs` at a time or on a Dask cluster; record each result as it comes."""
        from joblib import Parallel, delayed, parallel_config

        @contextmanager
        def pool() -> Iterator[None]:
            if dask is None:  # the work is done in processes of the judge; threads wait for them
                with parallel_config(backend="threading", n_jobs=jobs):
                    yield
                return
            from distributed import Client

            with Client(dask, set_as_default=True), parallel_config(backend="dask", n_jobs=-1):
                yield

        with pool():
            results = Parallel(return_as="generator_unordered", pre_dispatch="2*n_jobs")(
                delayed(server.judge)(task) for task in self.tasks(submissions)
            )
            for answer in results:
                self.take(answer)
        for act, arguments in self.later:
            act(*arguments)

    def take(self, answer: dict) -> None:
        """Keep one result and record it."""
        student = answer.pop("key")
        if "error" in answer:
            self.seen[student] |= {"status": "grader-error"}
            self.seen[student]["flags"].append(answer["error"])
            self.course.forget(slug(student))
            self.say(student, "grader-error")
            return
        self.tell(answer.pop("unforked"))
        seen = self.seen[student]
        notebook = nbformat.from_dict(answer.pop("notebook"))
        notebook.metadata["workshop"] = {"file": seen["sha256"]}
        path = self.course.submitted(slug(student))
        changed = self.changed(path, notebook)
        replace_file(path, nbformat.writes(notebook))
        kept = answer | {"settings": self.settings, "file": seen["sha256"], "student": student}
        text = json.dumps(kept, indent=1, sort_keys=True) + "\n"
        replace_file(judgement_file(self.course.root, self.course.name, slug(student)), text)
        self.enter(student, kept, changed)

    def changed(self, path: Path, notebook: NotebookNode) -> set[str]:
        """Return the items for which a person's mark may no longer hold: the file is another one, and what they judged.

        A written answer that is not the one recorded before; every check, where the student's code is not.
        """
        if not path.is_file():
            return set()
        former = nbformat.read(path, as_version=4)
        if former.metadata.get("workshop") == notebook.metadata["workshop"]:
            return set()
        before, now = self.answers(former), self.answers(notebook)
        found = {grade_id for grade_id in self.assignment.written if before.get(grade_id) != now.get(grade_id)}
        if self.own_code(former.cells) != self.own_code(notebook.cells):
            found |= {check.grade_id for check in self.assignment.checks}
        return found

    def answers(self, notebook: NotebookNode) -> dict[str, str]:
        """Return the written answers of a recorded notebook."""
        ids = [(cell.metadata.get("nbgrader", {}).get("grade_id"), cell) for cell in notebook.cells]
        return {
            grade_id: f"{cell.source}{cell.get('attachments', '')}"
            for grade_id, cell in ids
            if grade_id in self.assignment.written
        }

    def solutions(self, student: str) -> list[str]:
        """Return the code cells of a student's recorded notebook that are not the assignment's."""
        path = self.course.submitted(slug(student))
        return self.own_code(json.loads(path.read_text(encoding="utf-8"))["cells"]) if path.is_file() else []

    def own_code(self, cells: list) -> list[str]:
        """Return the source of the code cells that are not the assignment's."""
        ours = {cell.source for kind, _, cell in self.assignment.cells if kind not in OPEN}
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        return [source for source in sources if source not in ours and not source.startswith("# Hidden check\n")]

    def enter(self, student: str, kept: dict, changed: frozenset | set = frozenset()) -> None:
        """Record a judgement in nbgrader's database, with the time at which this file came."""
        time_file = self.course.submitted(slug(student)).parent / "timestamp.txt"
        stated = f"{self.seen[student]['when']:%Y-%m-%d %H:%M:%S} UTC\n"
        if not time_file.is_file() or time_file.read_text(encoding="utf-8") != stated:
            replace_file(time_file, stated)
        try:
            self.course.enter(slug(student), set(changed))
        except BookError as error:
            self.seen[student] |= {"status": "grader-error"}
            self.seen[student]["flags"].append(f"not recorded: {error}")
            self.say(student, "grader-error")
            return
        self.seen[student]["status"] = kept["status"]
        earned = sum(item["points"] for item in kept["items"].values())
        self.say(student, f"{kept['status']}  {earned:g} of {self.automatic:g} points, {kept['seconds']:g} s")

    @property
    def automatic(self) -> float:
        """Return the points that need no person."""
        return sum(check.points for check in self.assignment.checks)

    def failed(self, submission: inbox.Submission, why: str) -> None:
        """Take down that the grader failed; what was found unreadable or missing stays that."""
        if submission.status in {"", "grader-error"}:
            self.seen[submission.student]["status"] = "grader-error"
            self.seen[submission.student]["flags"].append(why)
            self.course.forget(slug(submission.student))

    def tell(self, unforked: str) -> None:
        """Say once why this machine forks no sandboxes; "" where it does."""
        if unforked and not self.unforked:
            self.unforked = unforked
            print(f"grade: every submission imports its frameworks anew, which is slow: {unforked}", file=sys.stderr)

    def say(self, student: str, what: str) -> None:
        """Print one line of progress."""
        self.done += 1
        print(f"[{self.done:>4}] {tables.safe(student)[:40]:<20} {what}", flush=True)

    def kept(self, student: str) -> dict:
        """Return the judgement that is kept of a student, empty where there is none or a damaged one."""
        path = judgement_file(self.course.root, self.course.name, slug(student))
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def rows(self, roster: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
        """Return the lines of the gradebook, by student. Points stand only where the judge's result is recorded."""
        marks = self.course.marks()
        most = self.automatic + sum(self.assignment.written.values())
        rows = []
        for student, seen in sorted(self.seen.items()):
            graded = seen["status"] in {"ok", "review"}
            kept = self.kept(student) if graded else {}
            held = marks.get(slug(student), {}) if graded else {}
            row: dict[str, Any] = {"id": student, "status": seen["status"], "max_score": most, "file": seen["file"]}
            row |= roster.get(student, {"last_name": "", "first_name": "", "email": ""})
            row |= dict.fromkeys(COLUMNS) | {"items": {}, "held": held, "kept": kept, "sha256": seen["sha256"]}
            row["submitted"] = f"{seen['when']:%Y-%m-%d %H:%M:%S} UTC" if seen["when"] else None
            row |= {"folder": seen["folder"], "files": seen["files"], "late": ""}
            row["flags"] = [*seen["flags"], *kept.get("flags", [])]
            row["flags"] += [f"{label} {why}" for label, why in kept.get("skipped", [])]
            due = self.course.due_for(slug(student))
            if due != self.course.due:
                row["flags"].append(f"due {due} UTC by an extension")
            if due and seen["when"] and seen["when"] > due:
                row["late"] = f"late by {(seen['when'] - due).total_seconds() / 3600:.1f} h"
                row["flags"].append(row["late"])
            if held:
                earned = [points for points in held["items"].values() if points is not None]
                automatic = sum(item["points"] for item in kept["items"].values())
                row |= {"items": held["items"], "automatic": automatic, "manual": held["manual"]}
                row["waiting"] = sum(points is None for points in held["items"].values()) + len(held["again"])
                row["flags"] += [f"{item}: handed in anew after it was marked" for item in held["again"]]
                row["flags"] += [f"{item}: marked above its maximum" for item in held["above"]]
                row |= {"penalty": held["penalty"], "score": max(0.0, sum(earned) + held["extra"] - held["penalty"])}
                row |= {name: kept[name] for name in ("seconds", "isolation", "seed")}
            rows.append(row)
        return rows


def publish(out: Path, assignment: Assignment, name: str, rows: list[dict[str, Any]], work: Work) -> None:
    """Write the tables and the feedback, each file whole or not at all."""
    tables.full(out / "gradebook.csv", assignment, rows)
    tables.canvas(out / "canvas.csv", name, work.automatic + sum(assignment.written.values()), rows)
    tables.moodle(out / "moodle.csv", name, rows)
    tables.why(out / "why.csv", rows)
    graded = [row["id"] for row in rows if row["kept"]]
    alike = similar.pairs(assignment, {student: work.solutions(student) for student in graded})
    tables.written(out / "similar.csv", [["one", "other", "share", "runs"], *alike])
    wanted = set()
    for row in rows:
        path = out / "feedback" / f"{slug(row['id'])}.html"
        text = feedback.page(assignment, name, row, row["kept"], row["held"])
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            replace_file(path, text)
        results_file = out / "gradescope" / f"{slug(row['id'])}.json"
        results = json.dumps(tables.gradescope(assignment, row), indent=1) + "\n"
        if not results_file.is_file() or results_file.read_text(encoding="utf-8") != results:
            replace_file(results_file, results)
        wanted |= {path.name, results_file.name}
    for path in [*(out / "feedback").glob("*.html"), *(out / "gradescope").glob("*.json")]:
        if path.name not in wanted:
            path.unlink()
    bundle(out / "feedback.zip", out / "feedback", rows)


def bundle(path: Path, pages: Path, rows: list[dict[str, Any]]) -> None:
    """Write one zip of all pages, each in the folder its student's work came in: Moodle takes it as feedback files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for row in rows:
            entry = zipfile.ZipInfo(f"{slug(row['id']) if not row['folder'] else row['folder']}/feedback.html")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (pages / f"{slug(row['id'])}.html").read_bytes())
    if not path.is_file() or path.read_bytes() != packed.getvalue():
        draft = path.with_name(f".{path.name}.tmp")
        draft.write_bytes(packed.getvalue())
        os.replace(draft, path)


def report(out: Path, course: Path, rows: list[dict[str, Any]], nobodys: list[str]) -> int:
    """Print how many files and rows there are, which are nobody's, and where the results are; return the exit code."""
    counts = {status: sum(row["status"] == status for row in rows) for status in STATUS}
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    print(f"grade: {sum(row['files'] for row in rows)} files in {len(rows)} rows: {said or 'none'}")
    if nobodys:
        names = ", ".join(tables.safe(name)[:60] for name in nobodys[:20])
        print(f"grade: {len(nobodys)} loose files are of no student in the roster: {names}")
    print(f"grade: {os.path.relpath(out / 'gradebook.csv')}, feedback/, canvas.csv, moodle.csv, nbgrader/ (formgrader)")
    if waiting := sum(row["waiting"] or 0 for row in rows):
        print(f"grade: {waiting} written answers wait for a person: python -m workshop formgrade {course.parent}")
    return 1 if counts["grader-error"] else 0


STATUS = ("ok", "review", "missing", "unreadable", "grader-error")
