"""How the long runs are stored: numbers rounded, one run a line, each file with its command and versions."""

from __future__ import annotations

import json
import math
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "data"
LIBRARIES = ("numpy", "scipy", "scikit-learn")


def rounded(values: np.ndarray | float, digits: int = 4) -> Any:
    """Nested lists with ``digits`` significant digits; what is not finite becomes ``None`` (``null`` in JSON)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        value = float(array)
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return [rounded(part, digits) for part in array]


def versions() -> dict[str, str]:
    """Of Python and of what decides the numbers."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    return found | {name: version(name) for name in LIBRARIES}


def read(topic: str) -> dict[str, dict[str, Any]]:
    """The runs of a topic that are stored, none where there is no file yet."""
    path = FOLDER / f"{topic}.json"
    return json.loads(path.read_text("utf-8"))["runs"] if path.exists() else {}


def write(topic: str, about: str, runs: dict[str, dict[str, Any]]) -> None:
    """Replace the file of a topic; a reader sees the old one or the new one, never half of it."""
    head = {
        "about": about,
        "command": f"python -m gradclinic.course.long_runs {topic}",
        "versions": versions(),
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
    body = ",\n".join(f"  {json.dumps(key)}: {json.dumps(run, separators=(',', ':'))}" for key, run in runs.items())
    path = FOLDER / f"{topic}.json"
    half = path.with_suffix(".part")
    half.write_text("\n".join(["{", *lines, ' "runs": {', body, " }", "}", ""]), encoding="utf-8")
    half.replace(path)
