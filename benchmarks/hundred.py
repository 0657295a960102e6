"""What a class of a hundred costs in processor time, by this course's grader and by plain ``nbgrader autograde``.

    python benchmarks/hundred.py

Each command grades two classes of different size; the line through both is read at a hundred. Processor time, not the
clock: of everything that a command has started, orphans included (Linux), so other programs disturb it little. The
larger class is small, or plain nbgrader with both frameworks would take half an hour. Two jobs: two at a time.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench_grading import IMPORTS, classes, grade, nbgrader
from ratios import store

SIZES = {"this course": (6, 24), "plain nbgrader": (3, 6)}
JOBS = 2


def spent(work: Callable[[], None]) -> float:
    """Seconds of processor time of the processes that `work` starts, in user and kernel mode."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become this process's children
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cost(imports: str, who: str, count: int) -> float:
    """Seconds of processor time for a class of so many, in a folder that has been graded in before."""
    with tempfile.TemporaryDirectory() as folder:
        book, course = classes(Path(folder), imports, count)
        if who == "this course":
            grade(book, JOBS, count)  # the database knows the students
            return spent(lambda: grade(book, JOBS, count))
        nbgrader(course, "generate_assignment", "three")
        return spent(lambda: nbgrader(course, "autograde", "three", "--force"))


def main() -> None:
    """Measure and keep the seconds for the page *What it costs*."""
    for imports in IMPORTS:
        rows = {}
        for who, (few, many) in SIZES.items():
            less, more = cost(imports, who, few), cost(imports, who, many)
            each = (more - less) / (many - few)
            rows[f"{who}, a hundred"] = more + (100 - many) * each
            rows[f"{who}, before the first one"] = less - few * each
            print(f"{who}{imports}: {few} in {less:.1f} s, {many} in {more:.1f} s", flush=True)
        store({GROUP.format(what="both frameworks" if imports else "NumPy alone"): rows})


GROUP = (
    "a hundred submissions of three functions that import {what}: seconds of processor time with two jobs, "
    f"reckoned from {SIZES['this course'][0]} and {SIZES['this course'][1]} submissions "
    f"(nbgrader: {SIZES['plain nbgrader'][0]} and {SIZES['plain nbgrader'][1]})"
)

if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("hundred: needs Linux, nothing measured")
    main()
