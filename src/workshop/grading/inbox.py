"""The folder that came from the students: who handed in what, and when.

Understood are a folder for each student (nbgrader's, Moodle's, anybody's), loose notebooks named as Canvas names them,
zip files of either, inside or in place of the folder. Nothing is unpacked to disk.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

from nbgrader.utils import parse_utc

from workshop.book import BookError
from workshop.grading.assignment import Assignment
from workshop.grading.intake import LARGEST, Unreadable, read_notebook
from workshop.grading.node import Node

SKIPPED = {".ipynb_checkpoints", "__MACOSX", ".git"}
MEMBERS = 5000
NOTEBOOKS = 20  # read of one student; more is no submission but an archive
COLUMNS = {
    "id": {"id", "student_id", "student", "username", "user", "login", "sis_login_id", "id_number"},
    "last_name": {"last_name", "lastname", "surname", "family_name"},
    "first_name": {"first_name", "firstname", "given_name"},
    "email": {"email", "email_address", "mail"},
}


@dataclass(frozen=True)
class File:
    """One file of a submission, in a folder or in a zip. when: its time of change, UTC without zone."""

    path: PurePosixPath
    read: Callable[[], bytes]
    when: datetime


@dataclass
class Submission:
    """What one student handed in: a notebook, or why there is none."""

    student: str
    folder: str = ""
    status: str = ""
    flags: list[str] = field(default_factory=list)
    path: str = ""
    data: bytes = b""
    when: datetime | None = None
    notebook: Node | None = None


def read_roster(path: Path) -> dict[str, dict[str, str]]:
    """Return {id: {last_name, first_name, email}} of a CSV file whose first line names its columns."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BookError(f"{path}: {error}") from error
    lines = csv.reader(io.StringIO(text), delimiter=";" if text.partition("\n")[0].count(";") else ",")
    rows = [[value.strip() for value in row] for row in lines if any(value.strip() for value in row)]
    heads = [re.sub(r"\W+", "_", head.lower()).strip("_") for head in rows[0]] if rows else []
    places = {
        ours: next((i for i, head in enumerate(heads) if head in theirs), None) for ours, theirs in COLUMNS.items()
    }
    if places["id"] is None:
        raise BookError(f"{path}: no column is called id; wanted id, and if you like last_name, first_name, email")
    roster: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows[1:], start=2):
        entry = {name: row[i] if i is not None and i < len(row) else "" for name, i in places.items()}
        student = entry.pop("id")
        if not student or student in roster:
            raise BookError(f"{path}: row {number}: the id {student!r} is {'twice' if student else 'not'} there")
        roster[student] = entry
    return roster


def files(source: Path) -> Iterator[File]:
    """Yield the files of a folder or a zip; links are not followed, so nobody hands in another's file."""
    if source.is_dir():
        for folder, folders, names in os.walk(source):
            folders.sort()
            for path in (Path(folder, name) for name in sorted(names)):
                if path.is_file() and not path.is_symlink():
                    when = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None, microsecond=0)
                    inside = PurePosixPath(path.relative_to(source).as_posix())
                    yield File(inside, partial(read_file, path), when)
        return
    yield from zipped(source, PurePosixPath())


def read_file(path: Path) -> bytes:
    """Return the bytes of a file, at most one more than are read."""
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def zipped(source: Path | io.BytesIO, below: PurePosixPath) -> Iterator[File]:
    """Yield the files of a zip under `below`. Unreadable where it is damaged, names paths outside, or has too many."""
    try:
        archive = zipfile.ZipFile(source)
        members = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Unreadable(f"the zip cannot be read ({type(error).__name__})") from error
    if len(members) > MEMBERS:
        raise Unreadable(f"the zip holds {len(members)} files; {MEMBERS} are read")
    for member in members:
        inside = PurePosixPath(member.filename.replace("\\", "/"))
        if member.is_dir():
            continue
        if inside.is_absolute() or ".." in inside.parts:
            raise Unreadable("the zip holds a path that leads out of it")
        try:
            when = datetime(*member.date_time).astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            when = datetime(1980, 1, 1)
        yield File(below / inside, partial(read_member, archive, member), when)


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a zip's member, at most one more than are read whatever size it claims."""
    try:
        with archive.open(member) as file:
            return file.read(LARGEST + 1)
    except (OSError, RuntimeError, zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise Unreadable(f"the zip cannot be read ({type(error).__name__})") from error


def groups(source: Path, roster: dict[str, dict[str, str]]) -> dict[str, list[File]]:
    """Return the files of each folder found; a loose file is a folder named by what stands before it in its name."""
    found: dict[str, list[File]] = {}
    if source.is_dir():
        for path in source.iterdir():
            if path.is_dir() and not path.is_symlink() and path.name not in SKIPPED:
                found[path.name] = []
    for file in files(source):
        first = file.path.parts[0]
        if SKIPPED & set(file.path.parts) or first.startswith("."):
            continue
        if len(file.path.parts) == 1:
            if file.path.suffix.lower() not in {".ipynb", ".zip"}:
                continue
            stem = file.path.stem
            first = stem if stem in roster else stem.partition("_")[0] or stem
            if source.is_dir() and file.path.suffix.lower() == ".zip" and first not in roster and len(roster) != 1:
                try:
                    inner = list(zipped(io.BytesIO(file.read()), PurePosixPath()))
                except Unreadable:
                    inner = []
                if len({part.path.parts[0] for part in inner if len(part.path.parts) > 1}) > 1:
                    for part in inner:  # the whole class in one zip
                        if len(part.path.parts) > 1 and not SKIPPED & set(part.path.parts):
                            found.setdefault(part.path.parts[0], []).append(part)
                    continue
        found.setdefault(first, []).append(file)
    return dict(sorted(found.items()))


def owner(folder: str, roster: dict[str, dict[str, str]]) -> str:
    """Return the student a folder belongs to: by id, by Moodle's or Canvas's way of naming, "" where by none."""
    if folder in roster:
        return folder
    names = {}
    for student, entry in roster.items():
        first, last = entry["first_name"], entry["last_name"]
        for name in (student, entry["email"], f"{first} {last}", f"{last}{first}", f"{last}, {first}"):
            if key := re.sub(r"[\W_]+", "", name.casefold()):
                names.setdefault(key, set()).add(student)
    for part in (folder, folder.partition("_")[0], folder.partition("@")[0]):
        if len(found := names.get(re.sub(r"[\W_]+", "", part.casefold()), set())) == 1:
            return next(iter(found))
    return ""


def collect(assignment: Assignment, name: str, source: Path, roster: dict[str, dict[str, str]]) -> Iterator[Submission]:
    """Yield a submission for each student of the roster and each folder found, read as far as it can be."""
    if not source.exists():
        raise BookError(f"{source}: no such folder or zip")
    try:
        found = groups(source, roster)
    except Unreadable as error:
        raise BookError(f"{source}: {error}") from error
    taken: set[str] = set()
    for folder in sorted(found, key=lambda folder: folder not in roster):  # a folder named by an id comes first
        student = owner(folder, roster)
        submission = Submission(student or folder, folder)
        if roster and not student:
            submission.flags.append("not in the roster")
        if submission.student in taken:
            submission.flags.append(f"{submission.student} has another folder too")
            submission.student = f"{student} ({folder})"
        taken.add(submission.student)
        try:
            read(submission, assignment, name, found[folder])
        except Unreadable as error:
            submission.status = "unreadable"
            submission.flags.append(str(error))
        except Exception as error:
            submission.status = "grader-error"
            submission.flags.append(f"reading failed: {type(error).__name__}: {error}")
        yield submission
    for student in roster:
        if student not in taken:
            yield Submission(student, status="missing", flags=["nothing was handed in"])


def read(submission: Submission, assignment: Assignment, name: str, inside: list[File]) -> None:
    """Find the notebook among a submission's files and read it."""
    own = [file for file in inside if len(file.path.parts) > 2 and file.path.parts[1] == name]  # nbgrader's folders
    inside = own or inside
    for file in [file for file in inside if file.path.suffix.lower() == ".zip"]:
        inside = [*inside, *zipped(io.BytesIO(file.read()), file.path)]
    candidates = [
        file for file in inside if file.path.suffix.lower() == ".ipynb" and not SKIPPED & set(file.path.parts)
    ]
    if not candidates:
        others = sorted({file.path.name for file in inside})[:3]
        if others:
            raise Unreadable(f"no notebook among the files handed in ({', '.join(others)})")
        submission.status = "missing"
        submission.flags.append("the folder is empty")
        return
    wanted = {grade_id for _, grade_id, _ in assignment.cells if grade_id}
    best: tuple[int, datetime, str] | None = None
    problem = None
    for file in candidates[:NOTEBOOKS]:
        data = b""
        try:
            data = file.read()
            notebook = read_notebook(data)
        except Unreadable as error:
            problem, damaged = error, (file, data)
            continue
        ids = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells}
        rank = (len(ids & wanted), file.when, str(file.path))
        if best is None or rank > best:
            best = rank
            submission.data, submission.notebook, submission.path = data, notebook, str(file.path)
            submission.when = file.when
    if best is None:
        submission.data, submission.path, submission.when = damaged[1], str(damaged[0].path), damaged[0].when
        raise problem
    if len(candidates) > 1:
        submission.flags.append(f"{len(candidates)} notebooks; used {PurePosixPath(submission.path).name}")
    for file in inside:
        if file.path.name == "timestamp.txt":
            try:
                # A space before "+0200" makes nbgrader's parser take it for 200 seconds.
                submission.when = parse_utc(re.sub(r"\s+(?=[+-]\d{4}$)", "", file.read().decode().strip()))
            except (ValueError, UnicodeDecodeError, OverflowError):
                submission.flags.append("timestamp.txt holds no time")
