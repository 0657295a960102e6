"""What students hand in, read with forgiveness: what still holds a notebook is brought back to its assignment."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field

from workshop.grading import node
from workshop.grading.assignment import FRAME, RUN, Assignment, defined, recorded
from workshop.grading.node import Node

LARGEST = 200 * 2**20
"""Bytes of a notebook file. Outputs are dropped; what is left of an honest notebook is below a megabyte."""

LARGEST_CELL = 2**20
MOST_CELLS = 1000
ALIKE = 0.6


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


def read_notebook(data: bytes) -> Node:
    """Return the notebook in a file's bytes, without outputs: any nbformat, any encoding mark, ids or none."""
    if len(data) > LARGEST:
        raise Unreadable(f"the file has {len(data) / 2**20:.0f} MB; {LARGEST / 2**20:.0f} MB are read")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        found = json.loads(text)
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
    return node.notebook(read)


def read_cell(cell: object) -> Node | None:
    """Return what counts of a cell: its type, its source and nbgrader's metadata; None where it is no cell."""
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
        source = source[:LARGEST_CELL]
    metadata = {}
    meta = cell.get("metadata")
    meta = meta.get("nbgrader") if isinstance(meta, dict) else None
    if isinstance(meta, dict) and isinstance(meta.get("grade_id"), str):
        metadata["nbgrader"] = {"grade_id": meta["grade_id"]}
    return node.cell("code" if kind == "code" else "markdown", source, metadata)


def plain(source: str) -> str:
    """Return a source without what editors change by themselves: spaces at line ends, empty lines at the ends."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def normalise(assignment: Assignment, submission: Node) -> Normal:
    """Bring a submission back to its assignment.

    Solution and answer cells are found by grade_id or, where an editor lost that, by the names they define or by the
    text before them. Everything locked comes from the master, whatever the student made of it. Code cells of the
    student's own, edited set-up included, run where they stand: they can spoil nothing but this submission.
    """
    normal = Normal()
    frame = [(kind, grade_id, cell) for kind, grade_id, cell in assignment.cells if kind in FRAME]
    places = match(assignment, frame, submission)
    own: dict[int, list[Node]] = {}  # code cells of the student's, by the place in the frame they follow
    chosen: dict[int, Node] = {}
    doubles: dict[int, list[Node]] = {}
    last = -1
    for cell, place in zip(submission.cells, places, strict=True):
        if place is None:
            if cell.cell_type == "code" and cell.source.strip():
                own.setdefault(last, []).append(cell)
            continue
        last = place
        kind, grade_id, ours = frame[place]
        if kind in {"solution", "answer"}:
            stub = plain(cell.source) == plain(assignment.stubs[grade_id])
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
    count = setups = 0
    cells = []

    def add_own(extra: list[Node]) -> None:
        nonlocal count
        for cell in extra:
            count += 1
            normal.cells.append(Cell(f"own cell {count}", cell.source))
            cells.append(node.cell("code", cell.source))

    add_own(own.get(-1, []))
    here = 0  # a hidden check stands before what the student has added behind the last cell that students see
    for place, (kind, grade_id, ours) in enumerate(frame):
        cell = recorded(kind, ours)
        if kind in {"solution", "answer"}:
            if place not in chosen:
                normal.flags.append(f"{grade_id}: the cell is missing")
            cell.source = chosen[place].source if place in chosen else assignment.stubs[grade_id]
            add_own(doubles.get(place, []))
        if kind in RUN and cell.cell_type == "code":
            setups += not grade_id
            normal.cells.append(Cell(grade_id or f"set-up cell {setups}", cell.source, grade_id))
        if kind != "hidden check":
            here = len(normal.cells)
        if kind in {"public test", "hidden check"}:
            normal.marks[grade_id] = here
        cells.append(cell)
        add_own(own.get(place, []))
    normal.notebook = node.notebook(cells)
    if count:
        normal.flags.append(f"{count} code cell{'s' * (count > 1)} of the student's own")
    return normal


def match(assignment: Assignment, frame: list, submission: Node) -> list[int | None]:
    """Return for each cell of a submission its place in the frame, None for a cell of the student's own."""
    places = {grade_id: place for place, (_, grade_id, _) in enumerate(frame) if grade_id}
    exact: dict[tuple[str, str], int] = {}
    for place, (kind, grade_id, cell) in enumerate(frame):
        source = assignment.stubs[grade_id] if kind in {"solution", "answer"} else cell.source
        if kind not in {"hidden check"}:
            exact.setdefault((cell.cell_type, plain(source)), place)
    found: list[int | None] = []
    for cell in submission.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        place = places.get(grade_id)
        if place is not None and frame[place][2].cell_type != cell.cell_type:
            place = None
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
        else:
            found[index] = answer_place(frame, cell.source, found[:index], taken)
        if found[index] is not None:
            taken.add(found[index])
    return found


COLAB = re.compile(r"find_spec\(\"gradclinic\"\) is None:\n\s*%pip install")


def code_place(assignment: Assignment, frame: list, source: str, taken: set[int]) -> int | None:
    """Return the place of a code cell that lost its id: a solution by the names it defines, the rest by likeness."""
    names = defined(source) if any(name in source for names in assignment.names.values() for name in names) else set()
    best, most = None, ALIKE
    for place, (kind, grade_id, ours) in enumerate(frame):
        if place in taken or ours.cell_type != "code" or kind == "hidden check":
            continue
        if kind == "solution":
            if assignment.names[grade_id] and assignment.names[grade_id] <= names:
                return place
        elif (alike := likeness(source, ours.source)) > most:
            best, most = place, alike
    return best


def likeness(one: str, other: str) -> float:
    """Return how alike two sources are, from 0 to 1; 0 without a comparison where their lengths say so."""
    if not ALIKE * (len(one) + len(other)) <= 2 * min(len(one), len(other)) <= 2 * 20_000:
        return 0.0
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() > ALIKE else 0.0


def answer_place(frame: list, source: str, before: list[int | None], taken: set[int]) -> int | None:
    """Return the place of a text cell that lost its id: a text of the assignment's, or the answer that follows one."""
    for place, (kind, _, ours) in enumerate(frame):
        if kind == "text" and place not in taken and likeness(source, ours.source) > 0.9:
            return place
    last = max((place for place in before if place is not None), default=-1)
    for place in range(last + 1, len(frame)):
        if frame[place][0] == "answer":
            return place if place not in taken else None
        if frame[place][2].cell_type == "markdown":
            return None
    return None
