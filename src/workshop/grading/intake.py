"""What students hand in, read with forgiveness: what still holds a notebook is brought back to its assignment."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from workshop.grading import node
from workshop.grading.assignment import DONE, FRAME, OPEN, RUN, Assignment, defined, recorded
from workshop.grading.node import Node

LARGEST = 200 * 2**20
"""Bytes of a notebook file. Outputs are dropped; what is left of an honest notebook is below a megabyte."""

LARGEST_CELL = 2**20
LARGEST_SOURCE = 4 * 2**20
MOST_CELLS = 1000
MOST_PARTS = 2_000_000
"""Lists, objects, their entries and texts in a file: each costs some eighty bytes of memory, however short it is."""

LONGEST_TEXT = 8 * 2**20
ALIKE = 0.75
PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
MOST_DRAWN = 20  # pictures in the outputs of a notebook that are kept for the person who grades


class Unreadable(Exception):
    """A file that holds no notebook; its text says why, for the gradebook."""


@dataclass(frozen=True)
class Cell:
    """A cell that runs in the sandbox. label: how feedback and flags call it."""

    label: str
    source: str
    grade_id: str = ""


@dataclass
class Normal:
    """A submission brought back to the order and the cells of its assignment.

    cells: what runs; marks: how many of them run before each check; notebook: what is recorded, the student's solutions
    and answers in the assignment's own frame; flags: what was done, in words; review: whether a person should look.
    """

    cells: list[Cell] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    notebook: Node = field(default_factory=Node)
    flags: list[str] = field(default_factory=list)
    review: bool = False


TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.S)


def bounded(data: bytes) -> bytes:
    """Return the bytes of a JSON file without its long texts, which are outputs; Unreadable if it has too many parts.

    Parsed first and looked at afterwards, 60 MB of `[],` take 1.7 GB. One pass over the bytes takes none.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16").encode()
    if data.count(b'"') > 2 * MOST_PARTS:
        raise Unreadable(f"the file has more than {MOST_PARTS} texts")
    data = TEXT.sub(lambda text: text[0] if len(text[0]) <= LONGEST_TEXT else b'""', data)
    bare = TEXT.sub(b"", data)
    if sum(bare.count(sign) for sign in (b"[", b"{", b",")) > MOST_PARTS:
        raise Unreadable(f"the file has more than {MOST_PARTS} parts; no notebook has")
    return data


def read_notebook(data: bytes) -> Node:
    """Return the notebook in a file's bytes, without outputs: any nbformat, any encoding mark, ids or none."""
    if len(data) > LARGEST:
        raise Unreadable(f"the file has {len(data) / 2**20:.0f} MB; {LARGEST / 2**20:.0f} MB are read")
    try:
        found = json.loads(bounded(data).decode("utf-8-sig"))
    except (ValueError, RecursionError, MemoryError) as error:
        what = "is empty" if not data.strip() else f"is no notebook ({type(error).__name__})"
        raise Unreadable(f"the file {what}") from error
    worksheets = found.get("worksheets") if isinstance(found, dict) else None
    if isinstance(worksheets, list):  # nbformat 3
        cells = [cell for sheet in worksheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
    else:
        cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list):
        raise Unreadable("the file is no notebook: it has no cells")
    if len(cells) > MOST_CELLS:
        raise Unreadable(f"the notebook has {len(cells)} cells; {MOST_CELLS} are read")
    read = [cell for cell in map(read_cell, cells) if cell is not None]
    if not read:
        raise Unreadable("the notebook has no cell")
    if (size := sum(len(cell.source) for cell in read)) > LARGEST_SOURCE:
        raise Unreadable(f"the cells hold {size / 2**20:.0f} MB of text; {LARGEST_SOURCE / 2**20:.0f} MB are read")
    return node.notebook(read)


def read_cell(cell: object) -> Node | None:
    """Return what counts of a cell: type, source, nbgrader's id, pictures of a text; None where it is no cell."""
    if not isinstance(cell, dict):
        return None
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    kind = cell.get("cell_type")
    if not isinstance(source, str) or kind not in {"code", "markdown", "heading", "raw"}:
        return None
    source = source.replace("\r\n", "\n").encode("utf-8", "replace").decode()
    if len(source) > LARGEST_CELL:
        raise Unreadable(f"a cell has {len(source) / 2**20:.0f} MB of text; {LARGEST_CELL / 2**20:.0f} MB are read")
    metadata = {}
    meta = cell.get("metadata")
    meta = meta.get("nbgrader") if isinstance(meta, dict) else None
    if isinstance(meta, dict) and isinstance(meta.get("grade_id"), str):
        metadata["nbgrader"] = {"grade_id": meta["grade_id"]}
    if kind == "code":
        drawn = pictures_drawn(cell.get("outputs"))
        return node.cell("code", source, metadata, {"drawn": drawn} if drawn else None)
    pictures = attachments(cell.get("attachments"))
    return node.cell("markdown", source, metadata, {"attachments": pictures} if pictures else None)


def attachments(found: object, most: int = 20) -> dict[str, dict[str, str]]:
    """Return the pictures that a text cell carries, at most so many."""
    if not isinstance(found, dict):
        return {}
    return {
        name: {kind: data}
        for name, bundle in list(found.items())[:most]
        if isinstance(bundle, dict)
        for kind, data in bundle.items()
        if kind in PICTURES and isinstance(data, str) and len(data) <= 4 * LARGEST_CELL
    }


def pictures_drawn(outputs: object) -> dict[str, dict[str, str]]:
    """Return the pictures among a code cell's outputs, as attachments; whatever else it printed is not read."""
    bundles = {
        f"drawn-{number}": output.get("data")
        for number, output in enumerate(outputs[:1000] if isinstance(outputs, list) else [], start=1)
        if isinstance(output, dict) and isinstance(output.get("data"), dict)
    }
    joined = {
        name: {kind: "".join(data) if isinstance(data, list) and all(map(is_text, data)) else data}
        for name, bundle in bundles.items()
        for kind, data in bundle.items()
        if kind in PICTURES
    }
    return attachments(joined, 200)


def is_text(value: object) -> bool:
    """Whether a value is a text."""
    return isinstance(value, str)


def plain(source: str) -> str:
    """Return a source without what editors change by themselves: spaces at line ends, empty lines at the ends."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def normalise(assignment: Assignment, submission: Node, files: Mapping[str, str] | None = None) -> Normal:
    """Bring a submission back to its assignment. files: what came beside it, name -> bytes in base64.

    Solution and answer cells are found by grade_id or, where an editor lost that, by the names they define or by the
    text before them. Everything locked comes from the master, whatever the student made of it. Code cells of the
    student's own, edited set-up included, run where they stand: they can spoil nothing but this submission. Text of the
    student's own is kept: beside an answer it belongs to it. What is not as the assignment has it is said in a flag.
    """
    normal = Normal()
    frame = [(kind, grade_id, cell) for kind, grade_id, cell in assignment.cells if kind in FRAME]
    places = match(assignment, frame, submission)
    own: dict[int, list[Node]] = {}  # cells of the student's, by the place in the frame they follow
    chosen: dict[int, Node] = {}
    doubles: dict[int, list[Node]] = {}
    last = -1
    for cell, place in zip(submission.cells, places, strict=True):
        if place is None:
            if cell.source.strip() or cell.get("attachments"):
                own.setdefault(last, []).append(cell)
            continue
        last = place
        kind, grade_id, ours = frame[place]
        if kind in OPEN:
            if cell.cell_type != ours.cell_type:
                normal.flags.append(f"{grade_id}: stands in a {cell.cell_type} cell; read as {ours.cell_type}")
            stub = plain(cell.source) == plain(assignment.stubs[grade_id]) and not cell.get("attachments")
            if place in chosen and (stub or plain(chosen[place].source) == plain(cell.source)):
                normal.flags.append(f"{grade_id}: a second copy of the cell was left out")
                continue
            if place in chosen and plain(chosen[place].source) != plain(assignment.stubs[grade_id]):
                normal.flags.append(f"{grade_id}: stands more than once; the last one counts")
                normal.review = True
                doubles.setdefault(place, []).append(chosen[place])
            chosen[place] = cell
        elif kind == "set-up" and ours.cell_type == "code" and plain(cell.source) != plain(ours.source):
            own.setdefault(place, []).append(cell)  # an import added to the set-up cell is the student's right
    for place, (kind, grade_id, _) in enumerate(frame):
        if kind == "answer":
            complete(normal, assignment, grade_id, place, chosen, own, files or {})
    elsewhere = defined_elsewhere(assignment, frame, chosen, own)
    count = setups = drawn = 0
    cells = []

    def add_drawn(cell: Node) -> None:
        """Put what a cell has drawn below it, as it was handed in: outputs do not outlive nbgrader's autograde."""
        nonlocal drawn
        kept = dict(list(cell.get("drawn", {}).items())[: max(0, MOST_DRAWN - drawn)])
        drawn += len(cell.get("drawn", {}))
        if kept:
            source = "\n\n".join(f"![drawn by the cell above, as handed in](attachment:{name})" for name in kept)
            cells.append(node.cell("markdown", source, None, {"attachments": kept}))

    def add_own(extra: list[Node]) -> None:
        nonlocal count
        for cell in extra:
            if cell.cell_type == "code":
                count += 1
                normal.cells.append(Cell(f"own cell {count}", runnable(cell.source)))
            cells.append(node.cell(cell.cell_type, cell.source, None, pictures(cell)))
            add_drawn(cell)

    add_own(own.get(-1, []))
    here = 0  # a hidden check stands before what the student has added behind the last cell that students see
    for place, (kind, grade_id, ours) in enumerate(frame):
        cell, run = recorded(kind, ours), kind in RUN and ours.cell_type == "code"
        if kind in OPEN:
            cell.source = chosen[place].source if place in chosen else assignment.stubs[grade_id]
            if place in chosen and kind == "answer":
                cell |= pictures(chosen[place]) or {}
            if grade_id in elsewhere:
                normal.flags.append(f"{grade_id}: answered in {elsewhere[grade_id]}")
                run = False
            elif place not in chosen:
                normal.flags.append(f"{grade_id}: the cell is missing")
            add_own(doubles.get(place, []))
        if run:
            setups += not grade_id
            label = grade_id or f"set-up cell {setups}"
            normal.cells.append(Cell(label, runnable(cell.source) if grade_id else cell.source, grade_id))
        if kind != "hidden check":
            here = len(normal.cells)
        if kind in {"public test", "hidden check"}:
            normal.marks[grade_id] = here
        cells.append(cell)
        if place in chosen:
            add_drawn(chosen[place])
        add_own(own.get(place, []))
    if drawn > MOST_DRAWN:
        normal.flags.append(f"{drawn} pictures drawn by cells; {MOST_DRAWN} are kept")
    normal.notebook = node.notebook(cells)
    if count:
        normal.flags.append(f"{count} code cell{'s' * (count > 1)} of the student's own")
    return normal


def pictures(cell: Node) -> dict | None:
    """Return the attachments of a cell as a part of one."""
    return {"attachments": cell.attachments} if cell.cell_type != "code" and cell.get("attachments") else None


def complete(
    normal: Normal,
    assignment: Assignment,
    grade_id: str,
    place: int,
    chosen: dict[int, Node],
    own: dict[int, list[Node]],
    files: Mapping[str, str],
) -> None:
    """Add to a written answer the text cells of the student's own that stand just above and below its place.

    A picture that it shows from a file beside the notebook is put into it.
    """

    def texts(at: int) -> list[Node]:
        found = [cell for cell in own.get(at, []) if cell.cell_type != "code"]
        own[at] = [cell for cell in own.get(at, []) if cell.cell_type == "code"]
        return found

    given = chosen.get(place)
    untouched = given is None or plain(given.source) == plain(assignment.stubs[grade_id])
    before, behind = texts(place - 1), texts(place)
    parts = [*before, *([] if untouched else [given]), *behind]
    if before or behind:
        kept = {name: data for part in parts for name, data in (part.get("attachments") or {}).items()}
        source = "\n\n".join(part.source for part in parts)
        chosen[place] = node.cell("markdown", source, None, {"attachments": kept} if kept else None)
        normal.flags.append(f"{grade_id}: put together from {len(parts)} text cells")
    answer = chosen.get(place)
    for name in re.findall(r"!\[[^\]]*\]\((?!data:|https?:|attachment:)([^)\s]+)", answer.source) if answer else []:
        kind = KINDS.get(PurePosixPath(name).suffix.lower())
        if kind and (held := files.get(name.removeprefix("./"))) and len(held) <= 4 * LARGEST_CELL:
            key = f"file-{len(answer.get('attachments') or {}) + 1}"
            kept = {**(answer.get("attachments") or {}), key: {kind: held}}
            source = answer.source.replace(f"]({name}", f"](attachment:{key}")
            chosen[place] = answer = node.cell("markdown", source, dict(answer.metadata), {"attachments": kept})
            continue
        normal.flags.append(f"{grade_id}: shows the file {name[:60]}, which is not in the notebook")
        normal.review = True


def defined_elsewhere(assignment: Assignment, frame: list, chosen: dict[int, Node], own: dict[int, list[Node]]) -> dict:
    """Return for solutions without a cell of their own, or with an untouched one, where else they are defined."""
    found = {}
    extra = [
        ("a cell of the student's own", cell) for cells in own.values() for cell in cells if cell.cell_type == "code"
    ]
    for place, (kind, grade_id, _) in enumerate(frame):
        if kind not in DONE or not (names := assignment.names[grade_id]):
            continue
        if place in chosen and plain(chosen[place].source) != plain(assignment.stubs[grade_id]):
            continue
        others = [(f"the cell of {frame[at][1]}", cell) for at, cell in chosen.items() if at != place]
        for where, cell in others + extra:
            if all(name in cell.source for name in names) and names <= defined(cell.source):
                found[grade_id] = where
                break
    return found


INSTALLS = re.compile(r"^([ \t]*)[%!][ \t]*(?:conda|mamba|micromamba|pip|pip3|uv|apt|apt-get)\b.*$", re.M)


def runnable(source: str) -> str:
    """Return a student's cell without the lines that install something: there is no network, and nothing is missing."""
    return INSTALLS.sub(r"\1pass", source)


def match(assignment: Assignment, frame: list, submission: Node) -> list[int | None]:
    """Return for each cell of a submission its place in the frame, None for a cell of the student's own."""
    places = {grade_id: place for place, (_, grade_id, _) in enumerate(frame) if grade_id}
    exact: dict[tuple[str, str], int] = {}
    for place, (kind, grade_id, cell) in enumerate(frame):
        source = assignment.stubs[grade_id] if kind in OPEN else cell.source
        if kind not in {"hidden check"}:
            exact.setdefault((cell.cell_type, plain(source)), place)
    found: list[int | None] = []
    for cell in submission.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        place = places.get(grade_id)
        if place is not None and frame[place][2].cell_type != cell.cell_type:
            # The keys M and R make text of a cell; what stands in a place for an answer is one whatever its kind.
            place = place if frame[place][0] in OPEN and cell.source.strip() else None
        if place is None:
            place = exact.get((cell.cell_type, plain(cell.source)))
        if place is None and COLAB.search(cell.source):
            cell.source = ""  # the cell that installs the course's package, which is here already
        found.append(place)
    taken = {place for place in found if place is not None}
    for index, cell in enumerate(submission.cells):
        if found[index] is not None or not cell.source.strip():
            continue
        if cell.cell_type == "code":
            found[index] = code_place(assignment, frame, cell.source, taken)
            if found[index] is None:
                found[index] = following(frame, "hand-graded code", found[:index], taken)
        else:
            found[index] = solution_place(assignment, frame, cell.source, taken)
            if found[index] is None:
                found[index] = answer_place(frame, cell.source, found[:index], taken)
        if found[index] is not None:
            taken.add(found[index])
    return found


COLAB = re.compile(r"find_spec\(\"gradclinic\"\) is None:\n\s*%pip install")


def solution_place(assignment: Assignment, frame: list, source: str, taken: set[int]) -> int | None:
    """Return the place of the solution whose names a cell defines."""
    names = defined(source) if any(name in source for names in assignment.names.values() for name in names) else set()
    for place, (kind, grade_id, _) in enumerate(frame):
        wanted = assignment.names[grade_id] if kind in DONE and place not in taken else set()
        if wanted and wanted <= names:
            return place
    return None


def code_place(assignment: Assignment, frame: list, source: str, taken: set[int]) -> int | None:
    """Return the place of a code cell that lost its id: a solution by the names it defines, the rest by likeness."""
    if (found := solution_place(assignment, frame, source, taken)) is not None:
        return found
    best, most = None, ALIKE
    for place, (kind, _, ours) in enumerate(frame):
        if place in taken or ours.cell_type != "code" or kind in DONE | {"hidden check"}:
            continue
        if (alike := likeness(source, ours.source)) > most:
            best, most = place, alike
    return best


def likeness(one: str, other: str) -> float:
    """Return the share of words and signs that two sources have in common, from 0 to 1; their order does not count.

    What compares letter by letter takes a time that grows with the square, and a student chooses how long.
    """
    if not ALIKE * (len(one) + len(other)) <= 2.5 * min(len(one), len(other)):
        return 0.0
    ours, theirs = words(one), words(other)
    return 2 * sum((ours & theirs).values()) / max(ours.total() + theirs.total(), 1)


@lru_cache(maxsize=512)
def words(source: str) -> Counter:
    """Return how often each word and each sign stands in a source."""
    return Counter(re.findall(r"\w+|[^\w\s]", source[:20_000]))


def answer_place(frame: list, source: str, before: list[int | None], taken: set[int]) -> int | None:
    """Return the place of a text cell that lost its id: a text of the assignment's, or the answer that follows one."""
    for place, (kind, _, ours) in enumerate(frame):
        if kind == "text" and place not in taken and likeness(source, ours.source) > 0.9:
            return place
    return following(frame, "answer", before, taken)


def following(frame: list, kind: str, before: list[int | None], taken: set[int]) -> int | None:
    """Return the place of this kind that comes next, before any other text of the assignment's."""
    last = max((place for place in before if place is not None), default=-1)
    for place in range(last + 1, len(frame)):
        if frame[place][0] == kind:
            return place if place not in taken else None
        if frame[place][2].cell_type == "markdown":
            return None
    return None
