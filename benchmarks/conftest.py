"""Seconds become ratios: every group of benchmarks has a reference, and the book shows what the others cost beside it.

    make benchmarks        # or: python -m pytest benchmarks --benchmark-json=_build/benchmarks.json

A benchmark names its group, its row and whether it is the reference (``extra_info``); the fastest round counts, since
everything else that runs on the machine can only add to it. The ratios go to ``book/_static/benchmarks.json``, which
the page *Benchmarks* shows.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).parents[1] / "book/_static/benchmarks.json"


def pytest_benchmark_update_json(config, benchmarks, output_json):  # a hook of pytest-benchmark
    """Write the ratios of this run beside those of the groups that did not run."""
    ratios = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    groups: dict[str, list[dict]] = {}
    for found in output_json["benchmarks"]:
        groups.setdefault(found["group"], []).append(found)
    for group, rows in groups.items():
        reference = next(row["stats"]["min"] for row in rows if row["extra_info"].get("reference"))
        ratios[group] = {row["extra_info"]["row"]: float(f"{row['stats']['min'] / reference:.3g}") for row in rows}
    FILE.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
