"""What teachers bring with them from other graders: longer for one student, files beside a notebook, code read by a
person, plots, titles. No bubblewrap needed but where it says so."""

import json

import nbformat
import pytest
from corpus import HERE, LIMITS, dump, student, written
from nbgrader.api import Gradebook
from test_grade import PENALTY, changed_book, nbgrader, rows_of

from conftest import hand_in
from workshop.book import BookError
from workshop.grading import judge as judge_module
from workshop.grading import sandbox
from workshop.grading.assignment import Assignment
from workshop.grading.judge import grade as judge
from workshop.release import Master

GRADED = "grade: true, grade_id: {name}, locked: {locked}, points: {points}, schema_version: 3, solution: {solution}"
MORE = f"""
+++

## Task 6

Draw the numbers of the file.

```{{code-cell}} ipython3
---
nbgrader: {{{GRADED.format(name="plot", locked="false", points=2, solution="true")}, task: false}}
---
### BEGIN SOLUTION
# A secret rubric: one for the curve, one for the names of the axes.
secret_curve = centre(np.loadtxt("numbers.csv"))
### END SOLUTION
```

```{{code-cell}} ipython3
---
hint: "Task 6: the numbers of the file."
nbgrader: {{{GRADED.format(name="file-sum", locked="true", points=1, solution="false")}, task: false}}
---
assert close(centre(np.loadtxt("numbers.csv")), [-1.0, 0.0, 1.0])
```
"""
HELPER = b"def centre(x):\n    if len(x) == 0:\n        raise ValueError\n    return x - x.mean()\n"


def own(source, **more):
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None} | more


@pytest.fixture(scope="module")
def plotting(tmp_path_factory):
    """A book whose assignment gives a file and asks for a plot, and a student who brings a module."""
    root = tmp_path_factory.mktemp("plotting")
    book = changed_book(root, lambda text: text + MORE)
    (book.root / "assignments" / "tiny" / "files").mkdir()
    (book.root / "assignments" / "tiny" / "files" / "numbers.csv").write_text("1\n2\n3\n")
    notebook = student(centre="from helper import centre")
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0="}}
    meta = {"nbgrader": {"grade_id": "plot", "grade": True, "solution": True, "locked": False, "points": 2}}
    notebook["cells"].append(own("curve = centre(np.loadtxt('numbers.csv'))", metadata=meta, outputs=[picture]))
    folder = root / "in" / "ada"
    folder.mkdir(parents=True)
    (folder / "tiny.ipynb").write_bytes(dump(notebook))
    (folder / "helper.py").write_bytes(HELPER)
    (folder / "numbers.csv").write_text("7\n7\n7\n")  # the assignment's own file counts
    row = rows_of(book, root / "in", root / "out")["ada"]
    return book, root / "in", root / "out", row


def test_files_beside_a_notebook_are_there_when_it_runs(plotting):
    row = plotting[-1]
    assert (row["status"], row["automatic"], row["file-sum"]) == ("ok", "11", "1")
    assert "beside the notebook: helper.py, numbers.csv" in row["flags"]
    assert "raised" not in row["flags"]


def test_code_and_plots_wait_for_a_person(plotting):
    _, _, out, row = plotting
    assert (row["waiting"], row["plot"], row["max_score"]) == ("2", "", "16")
    path = out / "nbgrader" / "autograded" / "ada" / "tiny" / "tiny.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    at = next(n for n, cell in enumerate(cells) if cell.metadata.get("nbgrader", {}).get("grade_id") == "plot")
    assert cells[at].source.startswith("curve =")
    assert list(cells[at + 1].attachments.values()) == [{"image/png": "iVBORw0="}]
    page = (out / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "<h1>A tiny assignment</h1>" in page
    assert "Task 6<br><small>plot, your code, read by a person</small>" in page


def test_rubrics_lie_where_the_formgrader_finds_them_and_reach_no_student(plotting):
    _, _, out, _ = plotting
    held = json.loads((out / "nbgrader" / "rubrics" / "tiny.json").read_text(encoding="utf-8"))
    assert set(held) == {"why", "plot"}
    assert "secret rubric" in held["why"]
    assert held["plot"].endswith('axes.\nsecret_curve = centre(np.loadtxt("numbers.csv"))')
    nbgrader(out / "nbgrader", "generate_feedback", "tiny")
    for folder in ("feedback", "nbgrader/feedback", "nbgrader/autograded", "nbgrader/release", "gradescope"):
        for path in (out / folder).rglob("*.*"):
            if path.is_file():
                assert b"secret" not in path.read_bytes(), path


def test_a_module_beside_a_notebook_that_changes_is_judged_anew(plotting):
    book, source, out, before = plotting
    (source / "ada" / "helper.py").write_bytes(HELPER.replace(b"x.mean()", b"x.max()"))
    row = rows_of(book, source, out)["ada"]
    assert float(row["centre-fresh"]) < float(before["centre-fresh"])
    assert row["sha256"] != before["sha256"]


@pytest.mark.parametrize("alone", [False, True])
def test_in_a_sandbox_files_lie_beside_the_notebook_and_nowhere_else(bubblewrap, tmp_path, alone):
    book = changed_book(tmp_path, lambda text: text)
    master = Assignment(Master(book, "tiny").notebook)
    notebook = json.loads(written())
    notebook["cells"].append(own("assert open('sub/a.txt').read() == 'a'"))
    files = {"sub/a.txt": "YQ==", "../outside.txt": "YQ=="}
    found = judge(
        nbformat.from_dict(master.portable()),
        nbformat.from_dict(notebook),
        seed=1,
        limits=LIMITS,
        alone=alone,
        files=files,
    )
    assert found.skipped == []
    assert "../outside.txt: cannot be put beside the notebook" in found.flags


def test_a_process_that_dies_before_the_first_cell_is_the_graders_trouble(monkeypatch):
    class Dying:
        granted = 0.0

        def ask(self, *_, **__):
            raise sandbox.Stopped("ended its process")

        def close(self):
            """Nothing runs."""

    monkeypatch.setattr(judge_module.nursery, "start", lambda *_: Dying())
    waiting = judge_module.Student([], {}, [], "process", LIMITS, files={"a": "YQ=="})
    with pytest.raises(sandbox.SandboxError, match="beside the notebook cannot be put there: ended its process"):
        waiting.run()


def test_one_student_has_longer(tmp_path):
    book = changed_book(tmp_path, lambda text: text)
    source, out, longer = hand_in(tmp_path / "in", ["right", "copy_of"]), tmp_path / "out", tmp_path / "longer.csv"
    for name in ("right", "copy_of"):
        (source / name / "timestamp.txt").write_text("2026-03-01 14:30:00 UTC")
    longer.write_text("id,due\nright,2026-03-01T13:30:00+00:00\n")
    with pytest.raises(BookError, match="no due date to extend"):
        rows_of(book, source, out, extensions=longer)
    course = out / "nbgrader"
    (course / "hourly.py").write_text(PENALTY)
    with (course / "nbgrader_config.py").open("a") as file:
        file.write('c.AssignLatePenalties.plugin_class = "hourly.Hourly"\n')
    rows = rows_of(book, source, out, due="2026-03-01T12:00:00+00:00", extensions=longer)
    assert (rows["right"]["penalty"], rows["copy_of"]["penalty"]) == ("1", "2.5")
    assert "due 2026-03-01 13:30:00 UTC by an extension; late by 1.0 h" in rows["right"]["flags"]
    assert "late by 2.5 h" in rows["copy_of"]["flags"]
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_submission("tiny", "right").extension.total_seconds() == 5400
    rows = rows_of(book, source, out)  # kept, as the due date is
    assert rows["right"]["penalty"] == "1"
    longer.write_text("id,due\nright,2026-03-01T11:00:00+00:00\n")
    with pytest.raises(BookError, match="right: 2026-03-01 11:00:00 UTC is no later than"):
        rows_of(book, source, out, extensions=longer)
    longer.write_text("id,due\n")  # taken back
    assert rows_of(book, source, out, extensions=longer)["right"]["penalty"] == "2.5"


def test_titles_come_from_the_masters_headings():
    import jupytext

    found = Assignment(jupytext.read(HERE / "master.md"))
    assert found.title == "A tiny assignment"
    assert found.tasks["centre-fresh"] == "Task 1"
    assert found.tasks["why"] == "Task 5"
