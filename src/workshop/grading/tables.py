"""The gradebook as CSV: the full one, and two that learning platforms import."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workshop.book import replace_file
from workshop.grading.assignment import Assignment

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe(value: Any) -> str:
    """Return a field that no spreadsheet takes for a formula, and that holds no line end; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return f"{round(value, 4):g}" if isinstance(value, float) else str(value)
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return f"'{text}" if str(value).lstrip(" ").startswith(FORMULA) else text


def written(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file, whole or not at all; nothing where it holds the same already."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([safe(value) for value in row] for row in rows)
    if not path.is_file() or path.read_text(encoding="utf-8") != text.getvalue():
        replace_file(path, text.getvalue())


def full(path: Path, assignment: Assignment, rows: list[dict[str, Any]]) -> None:
    """Write one line for each student with everything that is known."""
    items = [*(check.grade_id for check in assignment.checks), *assignment.written]
    first = ["id", "last_name", "first_name", "email", "status", "score", "max_score", "automatic", "manual"]
    last = ["penalty", "waiting", "flags", "submitted", "seconds", "isolation", "seed", "file", "sha256"]
    lines = [
        [row[name] for name in first]
        + [row["items"].get(item) for item in items]
        + ["; ".join(row[name]) if name == "flags" else row[name] for name in last]
        for row in rows
    ]
    written(path, [[*first, *items, *last], *lines])


def why(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write for the teacher why an item did not earn everything, as the check put it; students get the hint."""
    lines = [
        [row["id"], name, item["points"], item["max_points"], item["why"]]
        for row in rows
        for name, item in row["kept"].get("items", {}).items()
        if item["points"] < item["max_points"]
    ]
    written(path, [["id", "item", "points", "max_points", "why"], *lines])


def gradescope(assignment: Assignment, row: dict[str, Any]) -> dict[str, Any]:
    """Return what Gradescope calls `results.json`: of a hidden check its hint, of a written answer that it waits.

    https://gradescope-autograders.readthedocs.io/en/latest/specs/
    """
    items, kept = row["items"], row["kept"].get("items", {})
    tests = []
    for check in assignment.checks:
        earned, item = items.get(check.grade_id), kept.get(check.grade_id)
        if earned is not None:
            says = (item["note"] if item else "") or ("The public test fails." if check.public else check.hint)
            output = "" if earned >= check.points else says
            tests.append({"name": check.grade_id, "score": earned, "max_score": check.points, "output": output})
    for grade_id, most in assignment.written.items():
        if items.get(grade_id) is not None:
            says = "" if items[grade_id] >= most else "An answer in words: the comment is in your feedback."
            tests.append({"name": grade_id, "score": items[grade_id], "max_score": most, "output": says})
    waits = [f"provisional: answers that wait for a person: {row['waiting']}"] if row["waiting"] else []
    notes = "; ".join([*waits, *row["flags"]])
    result: dict[str, Any] = {"output": f"{row['status']}. {notes}".strip(), "visibility": "visible", "tests": tests}
    if row["score"] is not None:
        result["score"] = row["score"]
    return result


def final(row: dict[str, Any]) -> float | None:
    """Return a score for a platform: blank as long as something of it waits for a person."""
    return None if row["waiting"] else row["score"]


def canvas(path: Path, name: str, most: float, rows: list[dict[str, Any]]) -> None:
    """Write what Canvas imports: a blank score leaves the one that is there."""
    lines = [
        [f"{row['last_name']}, {row['first_name']}".strip(", ") or row["id"], "", row["id"], "", final(row)]
        for row in rows
    ]
    heads = ["Student", "ID", "SIS Login ID", "Section", name]
    written(path, [heads, ["Points Possible", "", "", "", most], *lines])


def moodle(path: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write what Moodle imports, students matched by e-mail address or ID number; a blank grade is passed over."""
    lines = [[row["last_name"], row["first_name"], row["email"], row["id"], final(row)] for row in rows]
    written(path, [["Last name", "First name", "Email address", "ID number", name], *lines])
