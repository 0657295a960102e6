"""Where the ratios are kept: ``book/_static/benchmarks.json``, which the page *Benchmarks* shows."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).parents[1] / "book/_static/benchmarks.json"


def store(groups: dict[str, dict[str, float]]) -> None:
    """Write groups of ratios, row name -> time over that of the first row, beside those that were not measured."""
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    kept |= {group: {row: float(f"{ratio:.3g}") for row, ratio in rows.items()} for group, rows in groups.items()}
    FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
