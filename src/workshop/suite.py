"""Every test, stage by stage: none hides the next, and the summary names each.

``python -m workshop test``: everything, chapters included. ``python -m workshop test --fast``: what belongs to the
files that were changed, for the work at hand; what finds no place in its seconds is left, and named.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from workshop import warm
from workshop.book import Book

FAST_SECONDS = 75
"""After these no further test is started by the fast run; with style and pages it ends within 90."""

CELL_SECONDS = 600
"""A chapter's cell that takes longer hangs; its chapter takes 30 on a quiet machine."""

PYTHON = [sys.executable, "-m"]


@dataclass
class Stage:
    """One command, and what it looks at in a few words."""

    name: str
    what: str
    command: list[str]
    kernels: bool = False  # whether kernels are forked from a process with the frameworks
    variables: dict[str, str] = field(default_factory=dict)


def pytest(jobs: int, *arguments: str) -> list[str]:
    """Return the command that runs tests on so many workers; the tests of a module, or a class, stay together."""
    # In the order of conftest.py, longest first, not in that of the number of tests.
    spread = ["-n", str(jobs), "--dist", "loadscope", "--no-loadscope-reorder"] if jobs > 1 else []
    return [*PYTHON, "pytest", "-q", *spread, *arguments]


def chapters(jobs: int, *notebooks: str) -> Stage:
    """Return the stage that executes chapters again and compares every output with the recording."""
    forked = warm.available()
    how = ["--nbval-kernel-name", warm.NAME] if forked else ["--nbval-current-env"]
    limit = ["--nbval-cell-timeout", str(CELL_SECONDS)]
    command = pytest(jobs, "--nbval", *how, *limit, *(notebooks or ["notebooks"]))
    return Stage("chapters", "every chapter, executed again and compared with its recording", command, forked)


STYLE = [
    Stage("style", "ruff check", [*PYTHON, "ruff", "check"]),
    Stage("layout", "ruff format --check", [*PYTHON, "ruff", "format", "--check"]),
]
PAGES = Stage("pages", "pages, notebooks, links, figures and citations", [*PYTHON, "workshop", "check"])


def everything(jobs: int) -> list[Stage]:
    """Return all stages; what `workshop check` looks at is among the tests (tests/book/test_book.py)."""
    slowest = ["--durations=20", "--durations-min=5"]  # where the minutes went, printed below the tests
    command = pytest(jobs, *slowest, "tests")
    tests = Stage("tests", "units, frameworks, site in a browser, grading, the book as a whole", command)
    return [*STYLE, *types(), tests, chapters(jobs)]


def types() -> list[Stage]:
    """Return the stage of the type checker, none where it is not installed."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    checker = shutil.which("basedpyright", path=os.pathsep.join(folders))
    if checker is None:
        print("test: types are not checked here: pip install basedpyright")
        return []
    return [Stage("types", "src/gradclinic, basic mode", [checker, "--pythonpath", sys.executable])]


def fast(book: Book, jobs: int) -> list[Stage]:
    """Return the stages for what was changed since the last commit, or, where nothing was, by it."""
    paths = changed(book.root)
    if paths is None:
        print("test: no git here, so nobody knows what was changed; make test runs everything")
        return [*STYLE, PAGES]
    files = tests_of(book.root, paths)
    notebooks = [f"notebooks/{page}.ipynb" for page in book.executed if f"book/{page}.md" in paths]
    print(f"test: {len(paths)} files changed; tests: {', '.join(files + notebooks) or 'none'}")
    stages = [*STYLE, PAGES]
    if files:
        stages.append(Stage("tests", "of what was changed", pytest(jobs, "--seconds", str(FAST_SECONDS), *files)))
    if notebooks:
        stages.append(chapters(min(jobs, len(notebooks)), "--seconds", str(FAST_SECONDS), *notebooks))
    return stages


def changed(root: Path) -> set[str] | None:
    """Return the paths that differ from the last commit, the last commit's own where none does, None without git."""

    def git(*arguments: str) -> list[str]:
        run = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
        return run.stdout.splitlines()

    try:
        here = git("diff", "--name-only", "--relative", "HEAD")
        here += git("ls-files", "--others", "--exclude-standard")
        return set(here or git("diff", "--name-only", "--relative", "HEAD~1", "HEAD"))
    except (OSError, subprocess.CalledProcessError):
        return None


def tests_of(root: Path, paths: set[str]) -> list[str]:
    """Return the test files that belong to these paths: themselves, their twins, and those that import them.

    `src/gradclinic/chain.py` has the twin `tests/gradclinic/test_chain.py`; where a module has none, the tests that
    import it stand in. Of a folder's conftest.py: all tests beside and below it.
    """
    tests = sorted(path.relative_to(root).as_posix() for path in (root / "tests").rglob("test_*.py"))
    found = {path for path in paths if path in tests}
    for path in paths:
        if path.startswith("tests/") and path not in tests:
            folder = Path(path).parent.as_posix()
            if folder != "tests":  # what all tests share, make test tries
                found |= {test for test in tests if test.startswith(f"{folder}/")}
        elif path.startswith("src/") and path.endswith(".py"):
            inside = Path(path).relative_to("src")
            twin = (Path("tests") / inside.parent / f"test_{inside.stem}.py").as_posix()
            module = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            users = {test for test in tests if module in imported((root / test).read_text(encoding="utf-8"))}
            found |= {twin} if twin in tests else users
    return sorted(found)


def imported(source: str) -> set[str]:
    """Return the full names of what a source imports, modules and what is taken from them alike."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@dataclass
class Outcome:
    """How a stage ended."""

    stage: Stage
    passed: bool
    seconds: float
    counts: str = ""


def run(root: Path, stages: list[Stage], variables: dict[str, str] | None = None) -> list[Outcome]:
    """Run all stages, whatever becomes of them, and return how each ended."""
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        for stage in stages:
            print(f"\ntest: {stage.name}: {stage.what}", flush=True)
            start, counts = time.monotonic(), ""
            own = (variables or {}) | stage.variables
            try:
                with warm.kernels(Path(scratch), own) if stage.kernels else nullcontext({}) as found:
                    environment = os.environ | own | found
                    with subprocess.Popen(
                        stage.command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
                    ) as process:
                        for line in process.stdout:
                            print(line, end="", flush=True)
                            counts = summary_line(line) or counts
                passed = process.returncode == 0
            except RuntimeError as error:
                print(f"test: {stage.name}: {error}")
                passed = False
            outcomes.append(Outcome(stage, passed, time.monotonic() - start, counts))
    return outcomes


def summary_line(line: str) -> str:
    """Return pytest's last words without their time, "" for any other line."""
    found = re.fullmatch(
        r"=*\s*(\d+ (?:passed|failed|skipped|error|warning|deselected).*?) in [\d.]+s\b.*", line.strip()
    )
    return found[1] if found else ""


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the summary, a line for each stage."""
    for outcome in outcomes:
        minutes, seconds = divmod(round(outcome.seconds), 60)
        verdict = "passed" if outcome.passed else "FAILED"
        yield f"  {verdict}  {minutes:2d} min {seconds:02d} s  {outcome.stage.name:<9} {outcome.counts}".rstrip()


def report(outcomes: list[Outcome]) -> int:
    """Print the summary; return the exit code."""
    print("\ntest: summary")
    print("\n".join(table(outcomes)))
    failed = [outcome.stage.name for outcome in outcomes if not outcome.passed]
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    print(f"test: {minutes:.1f} minutes; " + (f"failed: {', '.join(failed)}" if failed else "everything passed"))
    return 1 if failed else 0


def test(book: Book, jobs: int, *, only_changed: bool) -> int:
    """Run the tests; return the exit code."""
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")})  # or workers fight for cores
    return report(run(book.root, fast(book, jobs) if only_changed else everything(jobs)))
