"""One page for each student: points, hints, what was left out; of a hidden check only the hint its author wrote."""

from __future__ import annotations

from html import escape
from typing import Any

from workshop.grading.assignment import Assignment

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
:root { color-scheme: light dark; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #999; }
td.points { text-align: right; white-space: nowrap; }
""".strip()


def number(value: float | None) -> str:
    """Return points as people write them; a dash for what is not known."""
    return "–" if value is None else f"{round(value, 4):g}"


def page(assignment: Assignment, title: str, row: dict[str, Any], kept: dict, marks: dict) -> str:
    """Return the feedback page of a student.

    row: the line of the gradebook; kept: the judgement, empty where there is none; marks: what nbgrader's database
    holds. Everything a student wrote is escaped.
    """
    points = marks.get("items", {})
    comments = marks.get("comments", {})
    lines = []
    for check in assignment.checks:
        item = kept.get("items", {}).get(check.grade_id, {})
        earned = points.get(check.grade_id)
        missed = earned is not None and earned < check.points
        says = []
        if missed and item:
            public = "The public test fails; in your notebook it says why." if check.public else ""
            says = [text for text in (item["note"], public or check.hint) if text]
        lines.append((check.grade_id, "public test" if check.public else "hidden check", earned, check.points, says))
    code = set(assignment.names)
    for grade_id, most in assignment.written.items():
        comment = comments.get(grade_id)
        waiting = ["not graded yet"] if points.get(grade_id) is None else []
        kind = "your code, read by a person" if grade_id in code else "written answer"
        lines.append((grade_id, kind, points.get(grade_id), most, waiting + ([comment] if comment else [])))
    for grade_id in [name for name in assignment.names if name not in assignment.written]:
        if comment := comments.get(grade_id):
            lines.append((grade_id, "your code", None, None, [comment]))
    under = assignment.tasks
    table = "\n".join(
        f"<tr><td>{escape(under.get(what) or what)}<br><small>{escape(what)}, {kind}</small></td><td class=points>"
        f"{'' if most is None else f'{number(earned)} / {number(most)}'}</td>"
        f"<td>{'<br>'.join(map(escape, says))}</td></tr>"
        for what, kind, earned, most, says in lines
    )
    skipped = "\n".join(f"<li>{escape(label)}: {escape(why)}</li>" for label, why in kept.get("skipped", []))
    notes = "\n".join(f"<li>{escape(flag)}</li>" for flag in kept.get("flags", []))
    status = {
        "ok": "Graded.",
        "review": "Graded; your teacher will look at it, for the reasons below.",
        "missing": "Nothing was handed in.",
        "unreadable": "The file could not be read: " + "; ".join(row["flags"]) + ".",
        "grader-error": "Not graded: the grading system failed. This is not your fault and not a zero.",
    }[row["status"]]
    title = assignment.title or title
    score = f"{number(row['score'])} of {number(row['max_score'])} points"
    if row["waiting"]:
        count = f"{row['waiting']} answer{'s' * (row['waiting'] > 1)}"
        score += f" so far: provisional, {count} wait{'s' * (row['waiting'] == 1)} for a person"
    if row["late"]:
        status += f" Handed in {row['late']}."
    name = f"{row['first_name']} {row['last_name']}".strip()
    who = f"{name} ({row['id']})" if name else row["id"]
    penalty = f"<p>Taken off for lateness: {number(row['penalty'])}.</p>" if row["penalty"] else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}: {escape(row["id"])}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(who)}: <strong>{score}</strong>. {escape(status)}</p>
{penalty}
<table>
<tr><th>Item</th><th>Points</th><th>What to look at</th></tr>
{table}
</table>
{"<h2>Cells that failed or were left out</h2><ul>" + skipped + "</ul>" if skipped else ""}
{"<h2>Notes</h2><ul>" + notes + "</ul>" if notes else ""}
</body>
</html>
"""
