"""`python -m workshop classroom NAME --out DIR`: the repository that students of a GitHub Classroom start from.

In it are the released notebook, the files it comes with, and a workflow that shows the points of the public tests after
each push. The hidden checks stay with the teacher: `gh classroom clone student-repos` brings the class into one folder,
and `python -m workshop grade` grades that.
"""

from __future__ import annotations

import json
from pathlib import Path

from workshop import public_tests
from workshop.book import Book, BookError
from workshop.release import Master, companions, stale

WORKFLOW = """\
# Shows the points of the public tests. The marks come from your teacher's own grading, with hidden checks besides.
name: Autograding Tests
on: [push, workflow_dispatch, repository_dispatch]
permissions:
  checks: write
  actions: read
  contents: read
jobs:
  run-autograding-tests:
    runs-on: ubuntu-latest
    timeout-minutes: 20
    if: github.actor != 'github-classroom[bot]'
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - name: The course's package with both frameworks
        run: pip install --quiet ipython "gradclinic[course,torch,tensorflow] @ git+https://github.com/{repository}@{branch}"
      - name: Public tests
        id: public
        run: python .github/public_tests.py {name}.ipynb .github/public_tests.json
      - name: Points
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
          PUBLIC_RESULTS: ${{{{ steps.public.outputs.result }}}}
        with:
          runners: public
"""


def starter(book: Book, name: str) -> dict[str, bytes]:
    """Return the files of the repository, path -> content."""
    master = Master(book, name)
    if master.text and (why := stale(master)):
        raise BookError(f"{name}: {why}")
    notebook = book.notebook(master.page).read_text(encoding="utf-8")
    tests = {
        meta["grade_id"]: [meta["points"], "".join(cell["source"])]
        for cell in json.loads(notebook)["cells"]
        if cell["cell_type"] == "code" and (meta := cell["metadata"].get("nbgrader", {})).get("grade")
        if not meta.get("solution")
    }
    workflow = WORKFLOW.format(repository=book.repository, branch=book.branch, name=name)
    texts = {
        f"{name}.ipynb": notebook,
        ".github/workflows/classroom.yml": workflow,
        ".github/public_tests.py": Path(public_tests.__file__).read_text(encoding="utf-8"),
        ".github/public_tests.json": json.dumps(tests, indent=1) + "\n",
    }
    return companions(master.path.parent) | {path: text.encode() for path, text in texts.items()}


def write(book: Book, name: str, out: Path) -> None:
    """Write them into a new folder."""
    files = starter(book, name)
    if out.exists() and (not out.is_dir() or any(path.name != ".git" for path in out.iterdir())):
        raise BookError(f"{out}: is there and not empty; name a new folder")
    for path, data in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)
    print(f"classroom: {len(files)} files in {out}; commit them to a repository and make it a template")
