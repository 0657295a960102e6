"""Run a notebook from top to bottom and count the points of its public tests, as GitHub Classroom reads them.

    python public_tests.py NOTEBOOK TESTS

A program of its own, that needs IPython and nothing of the workshop: `python -m workshop classroom` puts it into the
repository that students start from. TESTS is a JSON file, grade_id -> [points, source]: the tests come from there,
whatever became of them in the notebook. Nothing hidden is in either.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path


def points(notebook: dict, tests: dict[str, list]) -> list[dict]:
    """Return name, status, score and message of each test, in order; one that is missing is asked at the end."""
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    found: dict[str, dict] = {}

    def run(source: str) -> str:
        result = shell.run_cell(source, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        return "" if error is None else f"{type(error).__name__}: {error}"[:500]

    def ask(name: str) -> None:
        most, source = tests[name]
        says = run(source)
        found[name] = {
            "name": name,
            "status": "fail" if says else "pass",
            "score": 0 if says else most,
            "message": says,
        }

    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in tests:
            ask(name)
        else:
            run("".join(cell["source"]))
    for name in [name for name in tests if name not in found]:
        ask(name)
    return [found[name] for name in tests]


def main(notebook: str, tests: str) -> int:
    """Run them, print a table, and hand the result to the next step of the workflow."""
    asked = json.loads(Path(tests).read_text(encoding="utf-8"))
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8-sig"))
        told = points(cells, asked)
    except (OSError, ValueError, KeyError, TypeError) as error:
        says = f"{notebook} is no notebook that can be read ({type(error).__name__})"
        told = [{"name": name, "status": "error", "score": 0, "message": says} for name in asked]
    for test in told:
        print(
            f"{test['status']:<5} {test['score']:>4g} of {asked[test['name']][0]:g}  {test['name']}  {test['message']}"
        )
    failed = [test["status"] for test in told if test["status"] != "pass"]
    result = {"version": 1, "status": failed[0] if failed else "pass", "tests": told}
    result["max_score"] = sum(most for most, _ in asked.values())
    if place := os.environ.get("GITHUB_OUTPUT"):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(f"result={base64.b64encode(json.dumps(result).encode()).decode()}\n")
    return 0  # the reporter decides: it shows the points and then fails the run


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
