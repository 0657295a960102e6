"""Student versions of the assignments: what a master says, less everything that answers or grades it.

``assignments/NAME/master.md`` holds the text, the solutions, the hidden checks and the teacher's rubric, in the cell
format of nbgrader. From it come ``book/assignments/NAME.md`` and ``notebooks/assignments/NAME.ipynb``. Nothing passes
that is not known to be harmless: nbgrader itself overlooks a misspelt marker and releases the solution with exit
code 0, so here a cell of no known kind, a line that resembles a marker without being one, or an answer's line that
is still to be read anywhere in the result stops the release and is named.
"""

from __future__ import annotations

import ast
import copy
import difflib
import html
import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from myst_nb.core.read import MystMetadataParsingError
from nbformat import NotebookNode

from workshop import notebook as nb
from workshop.book import HEADER, SETUP_TAGS, Book, BookError, replace_file
from workshop.markdown import read_page

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
"""The only two markers, around solutions and around model answers with their rubrics, so that a cell which has lost its
metadata is noticed. Hidden checks are whole cells and need none: outside a graded cell nothing may assert."""

MARKERS = ("begin solution", "end solution", "begin hidden tests", "end hidden tests", "begin mark scheme")
RESEMBLES = re.compile(r"\b(?:begin|end)[\s_-]*(?:solution|hidden|test|mark[\s_-]*scheme)s?\b", re.I)

FLAGS = {  # (grade, solution, locked), type of cell, tags: what the cell is
    (None, "markdown", ()): "text",
    (None, "code", ()): "set-up",
    ((False, False, True), "markdown", ()): "text",
    ((False, False, True), "code", ()): "set-up",
    ((False, True, False), "code", ()): "solution",
    ((True, True, False), "markdown", ()): "answer",
    ((True, True, False), "code", ()): "hand-graded code",
    ((True, False, True), "code", ("public",)): "public test",
    ((True, False, True), "code", ()): "hidden check",
    (None, "code", ("sandbox",)): "helper",
    (None, "code", ("public", "sandbox")): "given helper",
}
"""Every kind of cell there is. A helper runs beside the student's functions and hands plain data to the checks; a
given helper serves public tests, so students get it."""

OPEN = {"solution", "answer", "hand-graded code"}
"""What a student fills in: between markers stands what the master has there."""

KEPT = OPEN | {"text", "set-up", "public test", "given helper"}
FORGIVING = {"allclose", "isclose", "approx"} | {
    f"assert_{what}" for what in ("allclose", "almost_equal", "array_almost_equal", "array_equal", "equal")
}
"""What no hidden check may compare by: one number equals a whole array of it, an empty array equals everything, or
whatever is small equals zero."""

TELLING = 12  # letters and digits: a line with fewer, such as `return z`, gives nothing away
LONG = 40  # a line of so many is nobody else's by chance


class Secret(NamedTuple):
    """A line that no student may read: where it stands in the master, what it belongs to, its text."""

    line: int
    kind: str
    text: str


def squeezed(line: str) -> str:
    """Return a line without indentation and with single spaces."""
    return " ".join(line.split())


def letters(line: str) -> int:
    """Return how many letters and digits a line has."""
    return sum(map(str.isalnum, line))


@dataclass(frozen=True)
class Master:
    """One assignment as its author wrote it."""

    book: Book
    name: str

    @property
    def path(self) -> Path:
        """Return the path of the source."""
        return self.book.root / "assignments" / self.name / "master.md"

    @property
    def page(self) -> str:
        """Return the name of the student's page."""
        return f"assignments/{self.name}"

    @cached_property
    def text(self) -> str:
        """Return the source."""
        if not self.path.is_file():
            known = ", ".join(master.name for master in masters(self.book)) or "none"
            raise BookError(f"assignments/{self.name}/master.md: not found; there is: {known}")
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def notebook(self) -> NotebookNode:
        """Return the source as a notebook; not to be changed."""
        return jupytext.reads(self.text, fmt="md:myst")

    @cached_property
    def starts(self) -> list[int]:
        """Return the line (from 1) on which each cell's source begins."""
        try:
            read = read_page(self.text)
        except MystMetadataParsingError as error:
            place = re.search(r" at line (\d+)", str(error))
            where = f"assignments/{self.name}/master.md:{place[1] if place else 1}"
            raise BookError(f"refused\n  {where}: {error}") from error
        lines = [squeezed(line) for line in self.text.splitlines()]
        starts = []
        for around, cell in zip(read.metadata.source_map, read.cells, strict=True):
            first = squeezed(cell.source.split("\n", 1)[0])
            starts.append(next((i + 1 for i in range(around, len(lines)) if lines[i] == first), around + 1))
        return starts

    def kinds(self) -> list[str]:
        """Return what each cell is, "" where it is nothing known."""
        return [FLAGS.get((flags(cell), cell.cell_type, tags(cell)), "") for cell in self.notebook.cells]

    def cells(self) -> Iterator[tuple[int, str, NotebookNode]]:
        """Yield (first line, what it is, cell)."""
        return zip(self.starts, self.kinds(), self.notebook.cells, strict=True)

    def secrets(self) -> list[Secret]:
        """Return every telling line of solutions, model answers, rubrics, hidden checks and helpers."""
        found, shown = [], set()
        for start, kind, cell in self.cells():
            inside = kind in {"hidden check", "helper"}
            for number, line in enumerate(cell.source.split("\n"), start=start):
                if line.strip() in {BEGIN, END}:
                    inside = line.strip() == BEGIN
                elif inside and letters(line) >= TELLING:
                    found.append(Secret(number, kind, squeezed(line)))
                elif kind in {"set-up", "given helper"} and "assert" not in line and letters(line) < LONG:
                    shown.add(squeezed(line))
        # A short line that stands in a function for students as well, `torch.manual_seed(seed)` say, is no secret.
        return [secret for secret in found if secret.text not in shown]


def flags(cell: NotebookNode) -> tuple[bool, bool, bool] | None:
    """Return nbgrader's (grade, solution, locked) of a cell, None where it has none."""
    meta = cell.metadata.get("nbgrader")
    if meta is None:
        return None
    return tuple(meta.get(name) for name in ("grade", "solution", "locked"))


def tags(cell: NotebookNode) -> tuple[str, ...]:
    """Return the tags of a cell, sorted."""
    return tuple(sorted(cell.metadata.get("tags", [])))


def masters(book: Book) -> list[Master]:
    """Return the assignments whose masters are here, by name."""
    return [Master(book, path.parent.name) for path in sorted((book.root / "assignments").glob("*/master.md"))]


def problems(master: Master) -> list[str]:
    """Return what keeps a master from being released, each "file:line: what"."""
    found = [*marker_problems(master), *cell_problems(master)]
    numbers = Counter(cell.metadata["nbgrader"].get("grade_id") for _, _, cell in master.cells() if flags(cell))
    found += [
        (start, f"grade_id {cell.metadata['nbgrader'].get('grade_id')} stands more than once")
        for start, _, cell in master.cells()
        if flags(cell) and numbers[cell.metadata["nbgrader"].get("grade_id")] > 1
    ]
    if not master.text.startswith(HEADER):
        found.append((1, "does not open with the header of a page with code (book.HEADER)"))
    if not found and (said := nbgrader_problem(master.notebook)):
        found.append((1, said))
    return [f"assignments/{master.name}/master.md:{line}: {what}" for line, what in sorted(set(found))]


def marker_problems(master: Master) -> Iterator[tuple[int, str]]:
    """Yield lines that resemble a marker and are none, and markers in the wrong place or order."""
    for number, line in enumerate(master.text.splitlines(), start=1):
        words = re.sub(r"[^a-z]+", " ", line.lower()).strip()
        alike = RESEMBLES.search(line) or difflib.get_close_matches(words, MARKERS, n=1, cutoff=0.75)
        if alike and line.strip() not in {BEGIN, END}:
            yield number, f"{line.strip()!r} resembles a marker; the only ones are {BEGIN!r} and {END!r}"
    for start, kind, cell in master.cells():
        opened = regions = 0
        for number, line in enumerate(cell.source.split("\n"), start=start):
            if line.strip() in {BEGIN, END}:
                begins = line.strip() == BEGIN
                if kind not in OPEN:
                    yield number, f"{line.strip()!r} outside a solution cell"
                if begins == bool(opened):
                    yield number, f"{line.strip()!r} {'inside a solution' if begins else 'without a beginning'}"
                opened, regions = (number if begins else 0), regions + begins
            elif cell.cell_type == "code" and line.lstrip().startswith("###"):
                yield number, f"{line.strip()!r} resembles a marker; other comments begin with one #"
        if opened:
            yield opened, f"{BEGIN!r} without {END!r}"
        if kind in OPEN and not regions:
            yield start, f"a cell for {kind}s without a solution region"


def cell_problems(master: Master) -> Iterator[tuple[int, str]]:
    """Yield cells of no known kind, and cells that lack what their kind needs."""
    for start, kind, cell in master.cells():
        meta = cell.metadata.get("nbgrader", {})
        if not kind:
            shape = f"{cell.cell_type} cell, grade, solution, locked = {flags(cell)}, tags {list(tags(cell))}"
            yield start, f"a cell of no known kind ({shape})"
        unknown = (
            set(cell.metadata) - {"nbgrader"} - ({"tags", "hint", "mystnb"} if cell.cell_type == "code" else set())
        )
        if unknown:
            yield start, f"unknown cell metadata: {', '.join(sorted(unknown))}"
        if meta and not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", str(meta.get("grade_id"))):
            yield start, f"grade_id: got {meta.get('grade_id')!r}, wanted lower case, digits and single hyphens"
        if meta.get("grade") and not (isinstance(meta.get("points"), int | float) and meta["points"] > 0):
            yield start, f"points: got {meta.get('points')!r}, wanted a positive number"
        if (kind == "hidden check") != bool(str(cell.metadata.get("hint", "")).strip()):
            yield start, "a hidden check, and no other cell, has a hint: all that its feedback shows"
        if cell.cell_type == "code":
            try:
                tree = ast.parse(cell.source)
            except SyntaxError as error:
                yield start + (error.lineno or 1) - 1, f"is no Python: {error.msg}"
                continue
            if kind == "hidden check":
                for part in ast.walk(tree):
                    if (name := getattr(part, "attr", getattr(part, "id", ""))) in FORGIVING:
                        yield start + part.lineno - 1, f"{name} broadcasts and forgives: use close(found, wanted)"
            if kind == "set-up" and (asserts := assertions(tree)):
                yield (
                    start + asserts[0] - 1,
                    "an assert outside a graded cell: has the cell lost its nbgrader metadata?",
                )
    yield from forgotten_tags(master)


def assertions(tree: ast.Module) -> list[int]:
    """Return the lines that assert something, by statement or by a function such as numpy.testing.assert_allclose."""
    found = []
    for node in ast.walk(tree):
        name = getattr(node, "attr", getattr(node, "id", ""))
        if isinstance(node, ast.Assert) or name.lower().startswith("assert"):
            found.append(node.lineno)
    return sorted(found)


def forgotten_tags(master: Master) -> Iterator[tuple[int, str]]:
    """Yield functions that students would get although only hidden checks call them: helpers without their tag."""
    by_kind = [(start, kind, cell.source) for start, kind, cell in master.cells()]
    for start, kind, source in by_kind:
        if kind not in {"set-up", "given helper"}:
            continue
        for match in re.finditer(r"^def (\w+)", source, re.M):
            name = re.compile(rf"\b{match[1]}\b")
            elsewhere = {other for at, other, text in by_kind if at != start and name.search(text)}
            if elsewhere == {"hidden check"} and len(name.findall(source)) == 1:
                line = start + source[: match.start()].count("\n")
                yield line, f"{match[1]} goes to students, but only hidden checks use it: has the cell lost a tag?"


def nbgrader_problem(notebook: NotebookNode) -> str:
    """Return what nbgrader's own validator says of a notebook, "" where it is content."""
    from nbgrader.nbgraderformat import MetadataValidator, ValidationError
    from nbgrader.nbgraderformat.common import SchemaMismatchError

    try:
        MetadataValidator().validate_nb(copy.deepcopy(notebook))
    except (ValidationError, SchemaMismatchError, KeyError) as error:
        return f"nbgrader: {str(error).splitlines()[0]}"
    return ""


def released(master: Master) -> str:
    """Return the text of the student's page; refuse with every problem and its line.

    nbgrader's ``ClearSolutions`` puts its stubs; the set-up cell of the chapters follows the title.
    """
    if found := problems(master):
        raise BookError("\n  ".join(["refused", *found]))
    from nbgrader.preprocessors import ClearSolutions

    kept = [copy.deepcopy(cell) for _, kind, cell in master.cells() if kind in KEPT]
    notebook = nbformat.from_dict(dict(master.notebook) | {"cells": kept})
    notebook, _ = ClearSolutions().preprocess(notebook, {})
    setup = nbformat.v4.new_code_cell(master.book.setup, metadata={"tags": SETUP_TAGS})
    notebook.cells.insert(1, setup)
    text = jupytext.writes(notebook, fmt="md:myst")
    text = HEADER + text[text.index("\n---\n", 4) + 5 :]
    shown = [squeezed(line) for line in text.splitlines()]
    leaks = [
        f"assignments/{master.name}/master.md:{secret.line}: a line of the {secret.kind} is still to be read in "
        f"book/{master.page}.md:{number}: {secret.text}"
        for secret in master.secrets()
        for number, line in enumerate(shown, start=1)
        if secret.text in line
    ]
    if leaks:
        raise BookError("\n  ".join(["refused", *leaks]))
    return text


MOST = 8 * 2**20


def companions(folder: Path) -> dict[str, bytes]:
    """Return what an assignment gives beside its notebook: the files in its folder `files`, by their paths in it.

    `BookError` where they are more than travels with a submission.
    """
    found = {}
    for path in sorted((folder / "files").rglob("*")):
        name = path.relative_to(folder / "files")
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = path.read_bytes()
    if (size := sum(map(len, found.values()))) > MOST:
        raise BookError(f"{folder / 'files'}: {size / 2**20:.0f} MB; at most {MOST >> 20} MB travel with a submission")
    return found


def hand_out(master: Master) -> bytes | None:
    """Return a zip of the student's notebook and the files it comes with, None where it comes alone.

    A file in which a line of a solution, a hidden check or a rubric could be read is refused, as a page is.
    """
    if not (files := companions(master.path.parent)):
        return None
    leaks = [
        f"assignments/{master.name}/master.md:{secret.line}: a line of the {secret.kind} is to be read in "
        f"assignments/{master.name}/files/{name}: {secret.text}"
        for name, data in files.items()
        for text in [{squeezed(line) for line in data.decode("utf-8", "replace").splitlines()}]
        for secret in master.secrets()
        if secret.text in text
    ]
    if leaks:
        raise BookError("\n  ".join(["refused", *leaks]))
    notebook = student_notebook(master.book, master.page).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {f"{master.name}.ipynb": notebook, **files}.items():
            entry = zipfile.ZipInfo(f"{master.name}/{name}")  # of no date, so that the same files give the same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return packed.getvalue()


def student_notebook(book: Book, page: str) -> str:
    """Return the text of the notebook of an assignment's page: never run, cells locked and signed as by nbgrader.

    It is made from the page alone, so a fork without masters can move it to another address.
    """
    from nbgrader.preprocessors import ComputeChecksums, LockCells

    notebook = nbformat.reads(nb.assemble(book, page, None, {}), as_version=4)
    for preprocessor in (LockCells(), ComputeChecksums()):
        notebook, _ = preprocessor.preprocess(notebook, {})
    return nb.dumps(notebook)


def release(book: Book, names: list[str], *, everything: bool = False, check: bool = False) -> int:
    """Write the student versions of the named assignments; return the number of refused (or stale) ones.

    everything: all masters; check: write nothing, only compare with what lies there.
    """
    wanted = masters(book) if everything or (check and not names) else [Master(book, name) for name in names]
    if not wanted:
        raise BookError(f"which one? {', '.join(master.name for master in masters(book)) or 'there is no master'}")
    failures = 0
    for master in wanted:
        try:
            if check:
                found = stale(master)
                failures += bool(found)
                print(f"{master.name}: {found or 'in step'}")
                continue
            changed = write(master)
        except BookError as error:
            failures += 1
            print(f"{master.name}: {error}", file=sys.stderr)
            continue
        graded = [cell for _, _, cell in master.cells() if cell.metadata.get("nbgrader", {}).get("grade")]
        points = sum(cell.metadata["nbgrader"]["points"] for cell in graded)
        hidden = sum(kind == "hidden check" for kind in master.kinds())
        print(
            f"{master.name}: {len(graded)} graded items ({hidden} hidden), {points:g} points; "
            f"{', '.join(changed) or 'nothing'} written"
        )
    return failures


def write(master: Master) -> list[str]:
    """Write one student version where it differs from what lies there; return the files written."""
    book, page, text = master.book, master.page, released(master)
    changed = []
    if not book.source(page).is_file() or book.text(page) != text:
        replace_file(book.source(page), text)
        changed.append(f"book/{page}.md")
    made = student_notebook(book, page)
    path = book.notebook(page)
    if not path.is_file() or path.read_text(encoding="utf-8") != made:
        replace_file(path, made)
        changed.append(f"notebooks/{page}.ipynb")
    packed, path = hand_out(master), path.with_suffix(".zip")
    if packed is not None and (not path.is_file() or path.read_bytes() != packed):
        path.write_bytes(packed)
        changed.append(f"notebooks/{page}.zip")
    return changed


def stale(master: Master) -> str:
    """Say how a student's page or notebook differs from what its master makes, "" where neither does."""
    book, page = master.book, master.page
    if not book.source(page).is_file() or book.text(page) != released(master):
        return f"book/{page}.md is not what its master makes; release it"
    path = book.notebook(page)
    if not path.is_file() or path.read_text(encoding="utf-8") != student_notebook(book, page):
        return f"notebooks/{page}.ipynb is not what its page makes; release it"
    packed, path = hand_out(master), path.with_suffix(".zip")
    if packed is not None and (not path.is_file() or path.read_bytes() != packed):
        return f"notebooks/{page}.zip is not the notebook with the files of assignments/{master.name}; release it"
    return ""


def readable_lines(path: Path) -> list[str]:
    """Return the lines that a reader of one built file can see, whatever wraps them."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".html":
        text = html.unescape(re.sub(r"<[^>]*>", "", text))
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return [squeezed(line) for line in text.splitlines()]


def site_leaks(book: Book, folder: Path) -> list[str]:
    """Return the lines of solutions, hidden checks, helpers and rubrics that a built site shows.

    In an assignment's own files every line counts, wherever in a line it stands. Other pages teach the same things, so
    a `with tf.GradientTape() as tape:` is no leak there: a whole line counts if it is long, or if the one before or
    after it in the master is its neighbour there too.
    """
    known = [(master, secrets, pairs(secrets)) for master in masters(book) if (secrets := master.secrets())]
    found = []
    for path in sorted(folder.rglob("*")) if known else []:
        inside = path.relative_to(folder)
        if path.suffix not in {".html", ".ipynb", ".md", ".py", ".txt"} or "_static" in inside.parts:
            continue
        lines = [line for line in readable_lines(path) if letters(line) >= TELLING]
        present, neighbours = set(lines), set(pairwise(lines))
        for master, secrets, adjacent in known:
            if inside.with_suffix("").as_posix().removeprefix("_sources/") == master.page:
                shown = [secret for secret in secrets if any(secret.text in line for line in lines)]
            else:
                leaked = {secret for pair in adjacent if (pair[0].text, pair[1].text) in neighbours for secret in pair}
                leaked |= {secret for secret in secrets if letters(secret.text) >= LONG and secret.text in present}
                shown = sorted(leaked)
            found += [
                f"{inside.as_posix()}: shows assignments/{master.name}/master.md:{secret.line}, "
                f"a line of the {secret.kind}: {secret.text}"
                for secret in shown
            ]
    return found


def pairs(secrets: list[Secret]) -> list[tuple[Secret, Secret]]:
    """Return the neighbours among the lines of one cell."""
    return [(one, other) for one, other in pairwise(secrets) if one.kind == other.kind and other.line - one.line < 4]
