"""Grids of the interactive figures that are too slow to compute whenever the site is built.

``python -m workshop.grids [NAME ...]`` calls ``slow_grid`` of the figures that have one and writes what it returns
beside them, into ``src/workshop/sphinx/interactive/figures``; a test computes them again.
"""

from __future__ import annotations

import json
import sys

from workshop.sphinx.interactive.figures import FOLDER, MODULES

GRIDS = {name: module.slow_grid for name, module in MODULES.items() if hasattr(module, "slow_grid")}


def main(names: list[str]) -> None:
    """Write the grids of these figures; without names, every one."""
    if unknown := set(names) - set(GRIDS):
        raise SystemExit(f"no slow grid: {', '.join(sorted(unknown))}; there are {', '.join(GRIDS)}")
    for name in names or GRIDS:
        path = FOLDER / f"{name.replace('-', '_')}.json"
        path.write_text(json.dumps(GRIDS[name](), separators=(",", ":")) + "\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
