"""The folder that came from the students: who handed in what, and when.

Understood are a folder for each student (nbgrader's, Moodle's, anybody's), loose files named as Canvas names them, zip
files of either, inside or in place of the folder. Nothing is unpacked to disk. Every file found stands in the row of
exactly one student, or among those that are nobody's, which the run names.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
CLASS_MEMBERS = 200_000  # of the zip that a platform makes of a whole class
COMPANIONS = 30  # files beside a notebook that it can read
COMPANION_BYTES = 4 * 2**20
ALL_COMPANIONS_BYTES = 16 * 2**20
NOTEBOOKS = 20  # read of one student; more is no submission but an archive
COLUMNS = {  # by preference: platforms export several names of a student, and some of them blank
    "id": [
        "sis_login_id",
        "id",
        "username",
        "student_id",
        "student",
        "user",
        "login",
        "id_number",
        "email_address",
        "github_username",
    ],
    "last_name": ["last_name", "lastname", "surname", "family_name"],
    "first_name": ["first_name", "firstname", "given_name"],
    "email": ["email", "email_address", "mail"],
}
CANVAS = re.compile(r"(?P<student>.+?)_(?P<late>LATE_)?\d+_\d+_")
NOTEBOOK_NAMES = (".ipynb", ".ipynb.txt", ".ipynb.json", ".ipynb.html")


@dataclass(frozen=True)
class File:
    """One file of a submission, in a folder or in a zip. when: its time of change, UTC without zone."""

    path: PurePosixPath
    read: Callable[[], bytes]
    when: datetime


@dataclass
class Submission:
    """What one student handed in: a notebook, or why there is none.

    cloned: whether the folder is a clone of a repository; companions: the files beside the notebook, by their paths.
    """

    student: str
    folder: str = ""
    status: str = ""
    flags: list[str] = field(default_factory=list)
    path: str = ""
    data: bytes = b""
    when: datetime | None = None
    notebook: Node | None = None
    files: list[str] = field(default_factory=list)
    cloned: bool = False
    companions: dict[str, bytes] = field(default_factory=dict)


def decoded(data: bytes) -> str:
    """Return the text of a CSV file as spreadsheets save it: UTF-8 with or without a mark, UTF-16, or one byte each."""
    for encoding in ("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252", "latin-1"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes everything")


def table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the heads of a CSV file, in small letters, and its other lines; `BookError` where there is none.

    Left out are the lines that Canvas puts between them: who posts grades, and the points possible.
    """
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise BookError(f"{path}: {error}") from error
    first, _, rest = text.partition("\n")
    delimiter = ""
    if first.strip().lower().startswith("sep="):  # Excel's own way to name the separator
        delimiter, text = first.strip()[4:5], rest
    head = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text), delimiter=delimiter or max(",;\t", key=head.count))
    rows = [[unicodedata.normalize("NFC", value).strip() for value in row] for row in lines]
    rows = [row for row in rows if any(row)]
    heads = [re.sub(r"\W+", "_", head.lower()).strip("_") for head in rows[0]] if rows else []
    return heads, [row for row in rows[1:] if row[0] != "Points Possible" and set(row) - {"", "Manual Posting"}]


def read_extensions(path: Path, roster: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return {id: when it is due for this student} of a CSV file with the columns id and due, as `--due` is written.

    roster: where there is one, everybody named must be in it; nobody waits for an extension that a misspelt name lost.
    """
    heads, body = table(path)
    if not {"id", "due"} <= set(heads):
        raise BookError(f"{path}: wanted the columns id and due, got {', '.join(heads) or 'none'}")
    found: dict[str, str] = {}
    for number, row in enumerate(body, start=2):
        student, due = (row[heads.index(head)] if heads.index(head) < len(row) else "" for head in ("id", "due"))
        if roster and student not in roster:
            raise BookError(f"{path}: row {number}: {student!r} is not in the roster")
        if not student or student in found:
            raise BookError(f"{path}: row {number}: the id {student!r} is {'twice' if student else 'not'} there")
        if not due:
            raise BookError(
                f"{path}: row {number}: {student}: due is blank; take the row out to take an extension back"
            )
        found[student] = due
    return found


def read_roster(path: Path) -> dict[str, dict[str, str]]:
    """Return {id: {last_name, first_name, email}} of a CSV file whose first line names its columns.

    Canvas's gradebook, Moodle's and Blackboard's lists of participants and Excel's CSV are understood as they are.
    """
    heads, body = table(path)

    def column(place: int) -> list[str]:
        return [row[place] if place < len(row) else "" for row in body]

    places: dict[str, int | None] = {}
    for ours, theirs in COLUMNS.items():
        known = [heads.index(head) for head in theirs if head in heads]
        usable = [place for place in known if ours != "id" or (all(column(place)) and unique(column(place)))]
        places[ours] = next(iter(usable or known), None)
    if places["id"] is None:
        raise BookError(f"{path}: no column is called id; wanted id, and if you like last_name, first_name, email")
    canvas = heads.index("student") if {"student", "sis_login_id"} <= set(heads) else None
    full = heads.index("full_name") if "full_name" in heads else None  # Moodle's worksheet of grades
    roster: dict[str, dict[str, str]] = {}
    for number, row in enumerate(body, start=2):
        entry = {name: row[i] if i is not None and i < len(row) else "" for name, i in places.items()}
        if full is not None and not (entry["first_name"] or entry["last_name"]):
            entry["first_name"], _, entry["last_name"] = row[full].rpartition(" ")
        if canvas is not None:
            entry["last_name"], _, entry["first_name"] = (part.strip() for part in row[canvas].partition(","))
        student = entry.pop("id")
        if not student or student in roster:
            raise BookError(f"{path}: row {number}: the id {student!r} is {'twice' if student else 'not'} there")
        roster[student] = entry
    return roster


def unique(values: list[str]) -> bool:
    """Whether no value stands twice."""
    return len(set(values)) == len(values)


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
    yield from zipped(source, PurePosixPath(), CLASS_MEMBERS)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file, at most one more than are read."""
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def zipped(source: Path | io.BytesIO, below: PurePosixPath, most: int = MEMBERS) -> Iterator[File]:
    """Yield the files of a zip under `below`. Unreadable where it is damaged, names paths outside, or has too many."""
    try:
        archive = zipfile.ZipFile(source)
        members = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Unreadable(f"the zip cannot be read ({type(error).__name__})") from error
    if len(members) > most:
        raise Unreadable(f"the zip holds {len(members)} files; {most} are read")
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


@dataclass
class Found:
    """What a source holds.

    folders: the files of each folder or owner, and the zip of a class that they came in, "" where in none; nobodys:
    loose files that are of no student.
    """

    folders: dict[tuple[str, str], list[File]] = field(default_factory=dict)
    nobodys: list[str] = field(default_factory=list)

    def add(self, folder: str, archive: str, *inside: File) -> None:
        """Put files to those of a folder; names that differ in the way they are encoded are one."""
        self.folders.setdefault((unicodedata.normalize("NFC", folder), archive), []).extend(inside)


def groups(source: Path, roster: dict[str, dict[str, str]]) -> Found:
    """Return the files of each folder found; a loose file belongs to the student whom its name names."""
    found = Found()
    if source.is_dir():
        for path in source.iterdir():
            if path.is_dir() and not path.is_symlink() and path.name not in SKIPPED:
                found.add(path.name, "")

    def place(file: File, archive: str) -> None:
        first = file.path.parts[0]
        if SKIPPED & set(file.path.parts) or first.startswith("."):
            return
        if len(file.path.parts) > 1:
            found.add(first, archive, file)
            return
        student = loose(first, roster)
        unknown = source.is_dir() and not archive and not (student in roster or len(roster) == 1)
        if unknown and first.lower().endswith(".zip") and (inner := of_a_class(file, roster)):
            for part in inner:
                place(part, first)
        elif student in roster or first.lower().endswith((*NOTEBOOK_NAMES, ".zip")):
            found.add(student, archive, file)
        else:
            found.nobodys.append(f"{archive}: {first}" if archive else first)

    for file in files(source):
        place(file, "")
    found.folders = dict(sorted(found.folders.items()))
    return found


def of_a_class(file: File, roster: dict[str, dict[str, str]]) -> list[File]:
    """Return what a zip holds if it is the work of several students, in folders (Moodle) or loose (Canvas), else []."""
    try:
        inner = list(zipped(io.BytesIO(file.read()), PurePosixPath(), CLASS_MEMBERS))
    except Unreadable:
        return []
    tops = {part.path.parts[0] for part in inner if len(part.path.parts) > 1} - SKIPPED
    single = {name for part in inner for name in part.path.parts[:1] if len(part.path.parts) == 1}
    named = {loose(name, roster) for name in single if CANVAS.match(name) or loose(name, roster) in roster}
    return inner if len(tops) > 1 or len(named) > 1 else []


def loose(name: str, roster: dict[str, dict[str, str]]) -> str:
    """Return whose a loose file is, by its name: an id of the roster, or what stands for one."""
    name = unicodedata.normalize("NFC", name)
    stem = name.partition(".")[0] if "@" not in name else name.rpartition(".")[0]
    canvas = CANVAS.match(name)
    parts = [
        stem,
        *([canvas["student"]] if canvas else []),
        *re.split(r"[_ ]+|(?<=\w)-(?=\w)", stem),
        stem.partition("_")[0],
    ]
    for part in parts:
        if part in roster:
            return part
    for part in parts[: 2 if canvas else 1]:
        if student := owner(part, roster):
            return student
    known = {student for part in parts if (student := owner(part, roster))}
    if len(known) == 1:
        return known.pop()
    return canvas["student"] if canvas else stem


def squeezed(name: str) -> str:
    """Return a name without case, spaces and punctuation; letters keep their marks, however these are encoded."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name).casefold())


def owners(folder: str, roster: dict[str, dict[str, str]]) -> set[str]:
    """Return the students whom a folder's name may mean: by id, by e-mail address, by full name; exact ones first."""
    folder = unicodedata.normalize("NFC", folder)
    if folder in roster:
        return {folder}
    for part in dict.fromkeys((folder, folder.partition("_")[0])):
        low = part.casefold()
        if same := {student for student in roster if student.casefold() == low}:
            return same
        if "@" in low:
            if same := {student for student, entry in roster.items() if entry["email"].casefold() == low}:
                return same
            # An id at some host; a roster that knows the same name at another host says it is somebody else.
            local = low.partition("@")[0]
            same = {student for student in roster if student.casefold() == local}
            return {s for s in same if roster[s]["email"].casefold().partition("@")[0] != local}
        if not (key := squeezed(part)):
            continue
        names = {
            student
            for student, entry in roster.items()
            for first, last in [(entry["first_name"], entry["last_name"])]
            if (first or last) and key in {squeezed(first + last), squeezed(last + first)}
        }
        if same := names or {student for student in roster if squeezed(student) == key}:
            return same
    # GitHub Classroom names a student's folder by the assignment and the student, with hyphens in both.
    tails = [folder[at + 1 :].casefold() for at, letter in enumerate(folder) if letter == "-"]
    known = {student.casefold(): student for student in roster}
    return next(({known[tail]} for tail in tails if tail in known), set())


def owner(folder: str, roster: dict[str, dict[str, str]]) -> str:
    """Return the student a folder belongs to, "" where none or more than one could be meant."""
    found = owners(folder, roster)
    return found.pop() if len(found) == 1 else ""


def collect(
    assignment: Assignment,
    name: str,
    source: Path,
    roster: dict[str, dict[str, str]],
    nobodys: list[str] | None = None,
) -> Iterator[Submission]:
    """Yield a submission for each student of the roster and each folder found, read as far as it can be.

    nobodys: gets the names of loose files that belong to no student.
    """
    if not source.exists():
        raise BookError(f"{source}: no such folder or zip")
    try:
        found = groups(source, roster)
    except Unreadable as error:
        raise BookError(f"{source}: {error}") from error
    if nobodys is not None:
        nobodys += found.nobodys
    taken: set[str] = set()
    perhaps: dict[str, str] = {}
    # First what came by itself, then what came in a zip that a student may have made; of each, folders named by an id.
    for folder, archive in sorted(found.folders, key=lambda key: (key[1] != "", key[0] not in roster)):
        inside = found.folders[folder, archive]
        student = owner(folder, roster)
        submission = Submission(student or folder, folder, files=[str(file.path) for file in inside])
        if archive:
            submission.flags.append(f"came in {archive[:60]}")
        if roster and not student:
            could = sorted(owners(folder, roster))
            submission.flags.append(f"could be {' or '.join(could)}" if could else "not in the roster")
            perhaps |= dict.fromkeys(could, folder)
        if submission.student in taken:
            submission.flags.append(f"{submission.student} has another folder too")
            submission.folder = f"{folder} in {archive}" if archive else folder
            submission.student = f"{submission.student} ({submission.folder})"
            while submission.student in taken:
                submission.student += " once more"
        taken.add(submission.student)
        submission.cloned = source.is_dir() and not archive and (source / folder / ".git").exists()
        try:
            read(submission, assignment, name, inside)
        except Unreadable as error:
            submission.status = "unreadable"
            submission.flags.append(str(error))
        except Exception as error:
            submission.status = "grader-error"
            submission.flags.append(f"reading failed: {type(error).__name__}: {error}")
        yield submission
    for student in roster:
        if student not in taken:
            flags = ["nothing was handed in"] + ([f"{perhaps[student]} may be theirs"] if student in perhaps else [])
            yield Submission(student, status="missing", flags=flags)


UPLOADED = re.compile(r"_assignsubmission_|_onlinetext_")


def read(submission: Submission, assignment: Assignment, name: str, inside: list[File]) -> None:
    """Find the notebook among a submission's files and read it."""
    own = [file for file in inside if len(file.path.parts) > 2 and file.path.parts[1] == name]  # nbgrader's folders
    inside = own or inside
    outer = inside
    for file in [file for file in inside if file.path.suffix.lower() == ".zip"]:
        # The clock inside a zip is its maker's; when the zip itself came, the student has not chosen.
        inside = [*inside, *(replace(part, when=file.when) for part in zipped(io.BytesIO(file.read()), file.path))]
    candidates = [
        file
        for file in inside
        if file.path.name.lower().endswith(NOTEBOOK_NAMES) and not SKIPPED & set(file.path.parts)
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
    problem, used = None, candidates[0]
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
            best, used = rank, file
            submission.data, submission.notebook, submission.path = data, notebook, str(file.path)
            submission.when = file.when
    if best is None:
        submission.data, submission.path, submission.when = damaged[1], str(damaged[0].path), damaged[0].when
        raise problem
    beside(submission, used, inside)
    if len(candidates) > 1:
        submission.flags.append(f"{len(candidates)} notebooks; used {PurePosixPath(submission.path).name}")
    if not best[2].lower().endswith(".ipynb"):
        submission.flags.append(f"{PurePosixPath(best[2]).name}: read as the notebook that it is")
    if canvas := CANVAS.match(outer[0].path.name):
        submission.flags += ["Canvas calls it late"] * bool(canvas["late"])
    for file in outer:
        # nbgrader writes one; in a zip, a clone, or among the files that a student has uploaded, it is the student's.
        if file.path.name == "timestamp.txt" and not UPLOADED.search(file.path.parts[0]) and not submission.cloned:
            try:
                # A space before "+0200" makes nbgrader's parser take it for 200 seconds.
                submission.when = parse_utc(re.sub(r"\s+(?=[+-]\d{4}$)", "", file.read().decode().strip()))
            except (ValueError, UnicodeDecodeError, OverflowError):
                submission.flags.append("timestamp.txt holds no time")


def beside(submission: Submission, notebook: File, inside: list[File]) -> None:
    """Take what lies beside the notebook, as nbgrader does: modules, data and pictures that it may read.

    What is too much is not taken, and a flag says so; a file with a dot in front of its name is no part of an answer.
    """
    total, left = 0, []
    for file in inside:
        if notebook.path.parent not in file.path.parents or file.path == notebook.path:
            continue
        path = file.path.relative_to(notebook.path.parent)
        hidden = SKIPPED & set(path.parts) or any(part.startswith(".") for part in path.parts)
        if hidden or path.name == "timestamp.txt" or path.name.lower().endswith((*NOTEBOOK_NAMES, ".zip")):
            continue
        name = CANVAS.sub("", path.name, count=1) if CANVAS.match(path.name) else path.name
        try:
            data = file.read()
        except Unreadable as error:
            left.append(f"{name[:60]}: {error}")
            continue
        total += len(data)
        if len(data) > COMPANION_BYTES or total > ALL_COMPANIONS_BYTES or len(submission.companions) >= COMPANIONS:
            left.append(f"{name[:60]}: not used, the files beside a notebook are too many or too large")
            total -= len(data)
            continue
        submission.companions[str(path.with_name(name))] = data
    if submission.companions:
        names = sorted(submission.companions)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        submission.flags.append(f"beside the notebook: {', '.join(name[:60] for name in names[:5])}{more}")
    submission.flags += left[:5]
