"""Seconds become ratios: every group of benchmarks has a reference, and the book shows what the others cost beside it.

    make benchmarks        # or: python -m pytest benchmarks --benchmark-json=_build/benchmarks.json

A benchmark names its group, its row and whether it is the reference (``extra_info``); the fastest round counts, since
everything else that runs on the machine can only add to it.
"""

from __future__ import annotations

from ratios import store


def pytest_benchmark_update_json(config, benchmarks, output_json):  # a hook of pytest-benchmark
    """Write the ratios of this run beside those of the groups that did not run."""
    groups: dict[str, list[dict]] = {}
    for found in output_json["benchmarks"]:
        groups.setdefault(found["group"], []).append(found)
    ratios = {}
    for group, rows in groups.items():
        reference = next(row["stats"]["min"] for row in rows if row["extra_info"].get("reference"))
        ratios[group] = {row["extra_info"]["row"]: row["stats"]["min"] / reference for row in rows}
    store(ratios)
