"""The table of the live pages, from what their tests in Chromium have measured."""

from __future__ import annotations

import json
from pathlib import Path

from workshop.book import replace_file

COLUMNS = {
    "page": "page",
    "cells": "cells",
    "run": "ran",
    "printing": "print-outs",
    "same": "identical",
    "seconds": "seconds in cells",
    "megabytes": "first click, MB",
    "stored": "kept by the browser, MB",
    "memory": "memory, MB",
}


def rows(folder: Path) -> list[dict]:
    """Return what was measured, a row for each page."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def table(measured: list[dict]) -> str:
    """Return the rows as a Markdown table, with the sums of what can be added."""
    lines = [f"| {' | '.join(COLUMNS.values())} |", f"|---|{'---:|' * (len(COLUMNS) - 1)}"]
    for row in measured:
        said = [f"{row[key]:.1f}" if key == "seconds" else str(row[key]) for key in COLUMNS]
        lines.append(f"| {' | '.join(said)} |")
    sums = {key: sum(row[key] for row in measured) for key in ("cells", "run", "printing", "same", "seconds")}
    sums["seconds"] = f"{sums['seconds']:.1f}"
    lines.append(f"| {' | '.join(['all pages', *(str(sums.get(key, '')) for key in list(COLUMNS)[1:])])} |")
    return "\n".join(lines) + "\n"


def write(root: Path) -> None:
    """Write ``_build/live.md`` and print it; say so where nothing was measured."""
    measured = rows(root / "_build" / "live")
    if not measured:
        print("live: no page was measured; make test-live does it, after make live")
        return
    text = table(measured)
    replace_file(root / "_build" / "live.md", text)
    print(text, end="")
