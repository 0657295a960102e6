"""``python -m gradclinic.instrument module:factory``: the report of a model, without a line of code.

``factory()`` returns ``(model, x, y)``, ``(model, x, y, loss)`` or a dict of the arguments of :func:`gradclinic.probe`.
The exit status is 0 for a healthy model, 1 for an ill one, 2 where there was nothing to read; with ``--strict`` it is 1
as soon as there is a cause.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradclinic.instrument import probe


def made_by(place: str) -> dict[str, Any]:
    """Arguments for :func:`gradclinic.probe` from ``"module:factory"``; ``ValueError`` says what is wrong with it."""
    module, colon, name = place.partition(":")
    if not colon or not module or not name:
        raise ValueError(f"module:factory: got {place!r}, wanted the name of a module, a colon and that of a function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name and module.startswith(missing.name):
            raise ValueError(f"module: got {module!r}, which is not there") from None
        raise
    finally:
        sys.path.remove(str(Path.cwd()))
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"factory: got {name!r}, which {module} does not have")
        found = getattr(found, part)
    given = found()
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, Sequence) or not 2 <= len(given) <= 4:
        raise ValueError(f"{place}: returned {type(given).__name__}, wanted (model, x, y), with a loss or without")
    return dict(zip(("model", "x", "y", "loss"), given, strict=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; returns the exit status."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m gradclinic.instrument", description=about)
    parser.add_argument("place", metavar="module:factory", help="function that returns (model, x, y[, loss])")
    parser.add_argument("--lr", type=float, help="step size of plain gradient descent, for the column update")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the whole report as JSON")
    parser.add_argument("--strict", action="store_true", help="status 1 for a healthy model with causes, too")
    options = parser.parse_args(arguments)
    try:
        given = made_by(options.place)
        report = probe(**({"lr": options.lr} if options.lr is not None else {}), **given)
    except (TypeError, ValueError) as wrong:
        print(f"gradclinic.instrument: {wrong}", file=sys.stderr)
        return 2
    print(report)
    if options.save is not None:
        report.save(options.save)
    return int(report.verdict != "healthy" or (options.strict and bool(report.causes)))


if __name__ == "__main__":
    raise SystemExit(main())
