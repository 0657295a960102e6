"""The release of an assignment: what passes, and that everything else is refused with its line."""

import json
import re
import shutil
import subprocess
import sys
import zipfile

import jupytext
import nbformat
import pytest

from workshop.__main__ import main
from workshop.book import HEADER, Book, BookError
from workshop.check import CHECKS
from workshop.fork import fork
from workshop.release import Master, problems, readable_lines, released, site_leaks, stale
from workshop.site import build

NBGRADER = "locked: {locked}, schema_version: 3, solution: {solution}, task: false}}"
SOLUTION = "nbgrader: {grade: false, grade_id: double, " + NBGRADER.format(locked="false", solution="true")
PUBLIC = "nbgrader: {grade: true, grade_id: double-public, points: 1, " + NBGRADER.format(
    locked="true", solution="false"
)
HIDDEN = "nbgrader: {grade: true, grade_id: double-fresh, points: 2, " + NBGRADER.format(
    locked="true", solution="false"
)
ANSWER = json.dumps(
    {
        "nbgrader": {
            "grade": True,
            "grade_id": "why",
            "locked": False,
            "points": 3,
            "schema_version": 3,
            "solution": True,
            "task": False,
        }
    }
)
MASTER = (
    HEADER
    + f"""
# Assignment: doubling

Write `double(v)`, see [the chapter](../parts/tiny.md#why-so) and {{cite:t}}`glorot2010`.

```{{code-cell}} ipython3
import numpy as np
```

```{{code-cell}} ipython3
---
{SOLUTION}
---
def double(v):
    ### BEGIN SOLUTION
    twice_as_much = v + v
    return twice_as_much
    ### END SOLUTION
```

```{{code-cell}} ipython3
---
tags: [public, sandbox]
---
def doubled_length(n):
    return len(double([0] * n))
```

```{{code-cell}} ipython3
---
{PUBLIC}
tags: [public]
---
assert double(2.0) == 4.0
assert doubled_length(3) == 6
```

```{{code-cell}} ipython3
---
tags: [sandbox]
---
def kind_of_result(value):
    return type(double(value)).__name__
```

```{{code-cell}} ipython3
---
hint: "Fresh numbers, also negative ones."
{HIDDEN}
---
drawn_value = float(rng.normal())
assert double(drawn_value) == 2 * drawn_value
assert kind_of_result(drawn_value) == "float"
```

Why is it so?

+++ {ANSWER}

### BEGIN SOLUTION
Because:
A sum of two equal numbers is exactly twice each of them.

**Rubric.** Three points for any argument that mentions addition.
### END SOLUTION
"""
)

PAGE, NOTEBOOK = "book/assignments/doubling.md", "notebooks/assignments/doubling.ipynb"


@pytest.fixture
def master(tiny, edit):
    """Return the master of a small assignment in the tiny book."""
    path = tiny.root / "assignments" / "doubling" / "master.md"
    path.parent.mkdir(parents=True)
    path.write_text(MASTER, encoding="utf-8")
    edit("_toc.yml", "  - file: parts/tiny\n", "  - file: parts/tiny\n  - file: assignments/doubling\n")
    return Master(tiny, "doubling")


def run(master, *arguments):
    return main(["--root", str(master.book.root), "release", *arguments])


def test_students_get_the_tasks_and_nothing_that_answers_or_grades_them(master, capsys):
    assert run(master, "doubling") == 0
    assert "doubling: 3 graded items (1 hidden), 6 points" in capsys.readouterr().out
    for name in (PAGE, NOTEBOOK):
        text = (master.book.root / name).read_text(encoding="utf-8")
        for kept in (
            "def double(v):",
            "raise NotImplementedError()",
            "double(2.0) == 4.0",
            "def doubled_length",
            "YOUR ANSWER HERE",
        ):
            assert kept in text, (name, kept)
        for gone in (
            "twice_as_much",
            "drawn_value",
            "kind_of_result",
            "equal numbers",
            "Rubric",
            "hint",
            "BEGIN",
            "rng",
        ):
            assert gone not in text, (name, gone)


def test_the_notebook_is_one_that_nbgrader_and_colab_know(master):
    run(master, "doubling")
    notebook = nbformat.read(master.book.root / NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    graded = {cell.metadata["nbgrader"]["grade_id"]: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
    assert list(graded) == ["double", "double-public", "why"]
    assert all(len(cell.metadata["nbgrader"]["checksum"]) == 32 for cell in graded.values())
    assert graded["double-public"].metadata["editable"] is False
    assert next(cell.source for cell in notebook.cells if cell.cell_type == "code") == master.book.setup
    assert all(cell.execution_count is None and not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    first = notebook.cells[0].source
    assert f"[the chapter]({master.book.baseurl}parts/tiny.html#why-so)" in first
    assert "Glorot and Bengio ([2010](https://proceedings.mlr.press" in first


def test_the_students_notebook_runs_with_plain_python(master):
    """No grading package is needed: the public test passes silently once the answer stands in its cell."""
    run(master, "doubling")
    notebook = nbformat.read(master.book.root / NOTEBOOK, as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"][1:]
    code = "\n".join(sources).replace("    raise NotImplementedError()", "    return 2 * v")
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    untouched = subprocess.run([sys.executable, "-I", "-c", "\n".join(sources)], capture_output=True, check=False)
    assert b"NotImplementedError" in untouched.stderr


def test_twice_the_same_bytes_and_no_write_without_need(master, capsys):
    run(master, "doubling")
    first = {name: (master.book.root / name).read_bytes() for name in (PAGE, NOTEBOOK)}
    times = {name: (master.book.root / name).stat().st_mtime_ns for name in first}
    run(master, "--all")
    assert "nothing written" in capsys.readouterr().out
    assert times == {name: (master.book.root / name).stat().st_mtime_ns for name in first}
    for name in first:
        (master.book.root / name).unlink()
    run(master, "doubling")
    assert first == {name: (master.book.root / name).read_bytes() for name in first}


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        # markers that are almost markers
        ("### BEGIN SOLUTION\n    tw", "### BEGIN SOLUTON\n    tw", "SOLUTON", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "### begin solution\n    tw", "### begin", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "## BEGIN SOLUTION\n    tw", "## BEGIN", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "#### BEGIN SOLUTION\n    tw", "#### BEGIN", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "BEGIN SOLUTION\n    tw", "    BEGIN", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "###BEGIN SOLUTION\n    tw", "###BEGIN", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "### BEGINSOLUTION\n    tw", "BEGINSOLUTION", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "### BEGIN_SOLUTION\n    tw", "BEGIN_SOLUTION", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "### BEGIN SOLUTION:\n    tw", "SOLUTION:", "resembles a marker"),
        ("### BEGIN SOLUTION\n    tw", "### START SOLUTION\n    tw", "### START", "resembles a marker"),
        ("    ### END SOLUTION\n", "    ### END SOLUTIONS\n", "SOLUTIONS", "resembles a marker"),
        ("assert double(dr", "### BEGIN HIDDEN TEST\nassert double(dr", "### BEGIN HID", "resembles a marker"),
        ("assert doubled_l", "### BEGIN HIDDEN TESTS\nassert doubled_l", "### BEGIN HID", "resembles a marker"),
        ("Why is it so?", "=== BEGIN MARK SCHEME ===", "MARK SCHEME", "resembles a marker"),
        ("Why is it so?", "BEGIN SOLUTON", "SOLUTON", "resembles a marker"),
        # regions in the wrong place or order
        ("    ### END SOLUTION\n", "", "    ### BEGIN", "without '### END SOLUTION'"),
        ("    ### BEGIN SOLUTION\n", "", "    ### END", "without a beginning"),
        ("    return twice", "    ### BEGIN SOLUTION\n    return twice", "", "inside a solution"),
        ("assert doubled_l", "### BEGIN SOLUTION\n### END SOLUTION\nassert doubled_l", "", "outside a solution cell"),
        ("import numpy as np\n", "### BEGIN SOLUTION\nimport numpy\n### END SOLUTION\n", "", "outside a solution cell"),
        ("Why is it so?", "### BEGIN SOLUTION\nx\n### END SOLUTION", "", "outside a solution cell"),
        (
            "    ### BEGIN SOLUTION\n    twice_as_much = v + v\n    return twice_as_much\n    ### END SOLUTION\n",
            "    return v + v\n",
            "def double(v)",
            "a cell for solutions without a solution region",
        ),
        # cells that have lost their kind
        (f"---\n{SOLUTION}\n---\n", "", "    ### BEGIN", "outside a solution cell"),
        (f"{PUBLIC}\ntags: [public]\n", "tags: [public]\n", "assert double(2.0)", "a cell of no known kind"),
        (f"{HIDDEN}\n", "", "assert double(drawn", "an assert outside a graded cell"),
        ("true, grade_id: double-fresh", "false, grade_id: double-fresh", "assert double(dr", "an assert"),
        ("tags: [public]", "tags: [pubic]", "assert double(2.0)", "a cell of no known kind"),
        ("tags: [public]", "tags: []", "assert double(2.0)", "a hidden check, and no other cell, has a hint"),
        ("tags: [sandbox]", "tags: [sandboxed]", "def kind_of", "a cell of no known kind"),
        ("---\ntags: [sandbox]\n---\n", "", "def kind_of", "has the cell lost a tag?"),
        ("tags: [sandbox]", "tags: [public, sandbox]", "def kind_of", "has the cell lost a tag?"),
        (f"{HIDDEN}\n", f"{HIDDEN}\ntags: [public]\n", "drawn_value = float", "and no other cell, has a hint"),
        ('hint: "Fresh numbers, also negative ones."\n', "", "drawn_value = float", "has a hint"),
        ("hint:", "hnt:", "drawn_value = float", "unknown cell metadata: hnt"),
        (f"+++ {ANSWER}", "+++", "### BEGIN SOLUTION", "outside a solution cell"),
        (f"+++ {ANSWER}", f"+++ {ANSWER[:-1]}", "+++ {", "could not be read"),
        ("tags: [sandbox]", "tags: [sandbox", "```{code-cell}", "could not be read"),
        ("solution: true, task: false", "solution: true, task: true", "", "nbgrader:"),
        ("schema_version: 3, solution: true", "schema_version: 2, solution: true", "", "nbgrader:"),
        # ids, points, code, header
        ("grade_id: double-fresh", "grade_id: double-public", "drawn_value = float", "stands more than once"),
        ("grade_id: double,", "grade_id: Double,", "def double", "grade_id: got 'Double'"),
        ("points: 2", "points: 0", "drawn_value = float", "points: got 0"),
        ("points: 2, ", "", "drawn_value = float", "points: got None"),
        ("v + v", "v + ", "twice_as_much =", "is no Python"),
        # comparisons that forgive
        ("assert double(dr", "np.allclose(double(0), 0)\nassert double(dr", "np.allclose", "allclose broadcasts"),
        ("assert double(dr", "np.testing.assert_equal(0, 0)\nassert double(dr", "np.test", "assert_equal broadcasts"),
        ("drawn_value = float", "drawn_value = isclose(1, 1) * float", "isclose(", "isclose broadcasts"),
        ("kernelspec:", "kernel:", "", "does not open with the header"),
        # lines that are still to be read
        ("Why is it so?", "Hint: `twice_as_much = v + v`", "    twice_as_much = v", f"still to be read in {PAGE}"),
        ("import numpy as np\n", "# return  twice_as_much\n", "    return twice", "still to be read"),
        (
            "assert double(2.0) == 4.0",
            'drawn_value = 2.0\nassert double(drawn_value) == 2 * drawn_value',
            "assert double(drawn_value)",
            "a line of the hidden check is still to be read",
        ),
        ("Why is it so?", "A sum of two equal numbers is exactly twice each of them.", "A sum", "a line of the answer"),
    ],
)  # fmt: skip
def test_refused_with_the_line(master, capsys, old, new, at, said):
    assert MASTER.count(old) >= 1
    text = MASTER.replace(old, new, 1)
    master.path.write_text(text, encoding="utf-8")
    assert run(master, "doubling") == 1
    refusal = capsys.readouterr().err
    found = re.findall(r"assignments/doubling/master\.md:(\d+): (.*)", refusal)
    lines = text.splitlines()
    assert any(said in what and at in lines[int(number) - 1] for number, what in found), refusal
    assert not (master.book.root / PAGE).exists()
    assert not (master.book.root / NOTEBOOK).exists()


def test_a_refused_master_leaves_the_last_release(master, capsys):
    run(master, "doubling")
    before = (master.book.root / PAGE).read_bytes()
    master.path.write_text(MASTER.replace("### END SOLUTION", "### ENDE SOLUTION", 1), encoding="utf-8")
    assert run(master, "--all") == 1
    assert (master.book.root / PAGE).read_bytes() == before


def test_prose_may_speak_of_beginnings_and_solutions(master):
    prose = "We begin with the output layer; in the end the solution is short. Begin: hidden units come last."
    master.path.write_text(MASTER.replace("Why is it so?", prose), encoding="utf-8")
    assert problems(master) == []


def test_all_problems_are_said_at_once(master, capsys):
    text = MASTER.replace("points: 2", "points: 0").replace("tags: [public]", "tags: [pubic]")
    master.path.write_text(text, encoding="utf-8")
    run(master, "doubling")
    assert capsys.readouterr().err.count("master.md:") == 2


def test_unknown_and_missing_names(master, capsys):
    assert run(master, "tripling") == 1
    assert "assignments/tripling/master.md: not found; there is: doubling" in capsys.readouterr().err
    assert run(master) == 1
    assert "which one? doubling" in capsys.readouterr().err


def test_check_sees_a_release_out_of_step(master, capsys):
    assert run(master, "--check") == 1
    run(master, "--all")
    assert run(master, "--check") == 0
    assert [problem for check in CHECKS for problem in check(Book(master.book.root))] == []
    for name, said in ((PAGE, "not what its master makes"), (NOTEBOOK, "not what its page makes")):
        path = master.book.root / name
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("double(2.0) == 4.0", "double(2.0) == 4"), encoding="utf-8")
        assert said in stale(Master(Book(master.book.root), "doubling"))
        assert run(master, "--check") == 1
        assert any(said in problem for check in CHECKS for problem in check(Book(master.book.root)))
        path.write_text(text, encoding="utf-8")


def test_a_course_without_masters_is_whole(master):
    """A teacher may keep the masters elsewhere: pages, notebooks and a change of address need none of them."""
    run(master, "--all")
    shutil.rmtree(master.path.parents[1])
    book = Book(master.book.root)
    assert [problem for check in CHECKS for problem in check(book)] == []
    fork(book, "someone/other")
    moved = Book(book.root)
    assert [problem for check in CHECKS for problem in check(moved)] == []
    assert "someone/other@main" in (book.root / NOTEBOOK).read_text(encoding="utf-8")


def test_a_fork_with_masters_stays_in_step(master):
    run(master, "--all")
    fork(master.book, "someone/other")
    assert run(master, "--check") == 0


def test_assignments_are_neither_recorded_nor_executed(master, capsys):
    run(master, "--all")
    book = Book(master.book.root)
    assert book.assignments == ["assignments/doubling"]
    assert "assignments/doubling" not in book.executed
    assert main(["--root", str(book.root), "record"]) == 0
    assert main(["--root", str(book.root), "record", "doubling"]) == 1
    assert "is an assignment: release it" in capsys.readouterr().err


def test_the_site_has_the_page_unexecuted_and_no_answer(master, edit):
    run(master, "--all")
    built = build(Book(master.book.root))
    page = (built / "assignments/doubling.html").read_text(encoding="utf-8")
    shown = "\n".join(readable_lines(built / "assignments/doubling.html"))
    assert "raise NotImplementedError()" in shown
    assert "YOUR ANSWER HERE" in shown
    assert 'class="cell_output' not in page
    colab = re.findall(r"https://colab\.research\.google\.com/[^\"]+", page)
    assert colab
    assert all(address.endswith(f"/blob/main/{NOTEBOOK}") for address in colab)
    assert (built / "_sources/assignments/doubling.ipynb").read_bytes() == (master.book.root / NOTEBOOK).read_bytes()
    assert site_leaks(master.book, built) == []
    # a site that shows a hidden check replaces nothing
    before = (built / "index.html").read_bytes()
    check = "    drawn_value = float(rng.normal())\n    assert double(drawn_value) == 2 * drawn_value\n"
    edit("book/index.md", "Read [why]", f"{check}\nRead [why]")
    with pytest.raises(
        BookError, match=r"index.html: shows assignments/doubling/master.md:\d+, a line of the hidden check"
    ):
        build(Book(master.book.root))
    assert (built / "index.html").read_bytes() == before


def test_a_master_under_book_is_no_site(master, capsys):
    """Jupyter Book copies every page to _sources: a master in the wrong folder is found there, line by line."""
    run(master, "--all")
    shutil.copy(master.path, master.book.root / "book/assignments/copy.md")
    notebook = jupytext.reads(MASTER, fmt="md:myst")
    assert any("twice_as_much" in cell.source for cell in notebook.cells)
    folder = master.book.root / "_build/html/_sources/parts"
    folder.mkdir(parents=True)
    shutil.copy(master.path, folder / "copy.md")
    found = site_leaks(master.book, master.book.root / "_build/html")
    number = MASTER[: MASTER.index("twice_as_much = v + v")].count("\n") + 1
    assert any(f"_sources/parts/copy.md: shows assignments/doubling/master.md:{number}" in leak for leak in found)


def test_other_pages_may_use_the_words_of_an_answer(master, tmp_path):
    """A line alone is an idiom; with its neighbour it is the answer."""
    page = tmp_path / "site" / "parts.html"
    page.parent.mkdir()
    page.write_text("<pre>    <span>return</span> twice_as_much\n</pre>", encoding="utf-8")
    assert site_leaks(master.book, page.parent) == []
    page.write_text("<pre>    twice_as_much = v + v\n\n    <b>return</b> twice_as_much\n</pre>", encoding="utf-8")
    assert len(site_leaks(master.book, page.parent)) == 2
    page.write_text("<p>Because:\nA sum of two equal numbers is exactly twice each of&nbsp;them.</p>", encoding="utf-8")
    (leak,) = site_leaks(master.book, page.parent)
    assert leak.startswith("parts.html: shows assignments/doubling/master.md:")


def test_released_refuses_by_itself(master):
    """Whoever calls the function, not only the command, is stopped."""
    master.path.write_text(MASTER.replace("### END SOLUTION", "### END SOLUTOIN", 1), encoding="utf-8")
    with pytest.raises(BookError, match="resembles a marker"):
        released(master)


def test_files_of_an_assignment_are_handed_out_with_its_notebook(master, capsys):
    files = master.path.parent / "files"
    (files / "sub").mkdir(parents=True)
    (files / "sub" / "numbers.csv").write_text("1\n2\n")
    (files / ".hidden").write_text("no")
    assert run(master, "doubling") == 0
    packed = master.book.notebook(master.page).with_suffix(".zip")
    assert "doubling.zip written" in capsys.readouterr().out
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["doubling/doubling.ipynb", "doubling/sub/numbers.csv"]
        assert archive.read("doubling/doubling.ipynb") == master.book.notebook(master.page).read_bytes()
    before = packed.read_bytes()
    assert run(master, "doubling") == 0
    assert packed.read_bytes() == before
    (files / "sub" / "numbers.csv").write_text("3\n")
    assert "doubling.zip is not the notebook with the files" in stale(master)
    (files / "notes.txt").write_text("x\n  twice_as_much = v + v\n")
    assert run(master, "doubling") == 1
    assert "is to be read in assignments/doubling/files/notes.txt" in capsys.readouterr().err


def test_files_that_would_not_travel_are_refused(master, monkeypatch):
    from workshop import release

    monkeypatch.setattr(release, "MOST", 10)
    (master.path.parent / "files").mkdir()
    (master.path.parent / "files" / "a.bin").write_bytes(bytes(11))
    with pytest.raises(BookError, match="travel with a submission"):
        release.companions(master.path.parent)


BY_HAND = "nbgrader: {grade: true, grade_id: plot, points: 1, " + NBGRADER.format(locked="false", solution="true")


def test_code_that_a_person_grades_is_released_as_a_stub(master, capsys):
    code = MASTER.replace(
        "Why is it so?",
        f"""```{{code-cell}} ipython3
---
{BY_HAND}
---
### BEGIN SOLUTION
secret_curve = [double(number) for number in range(9)]
### END SOLUTION
```

Why is it so?""",
    )
    master.path.write_text(code, encoding="utf-8")
    fresh = Master(master.book, master.name)
    assert fresh.kinds().count("hand-graded code") == 1
    assert run(fresh, "doubling") == 0
    assert "4 graded items (1 hidden), 7 points" in capsys.readouterr().out
    assert "secret_curve" not in released(fresh)
    assert "grade_id: plot" in released(fresh)
    master.path.write_text(
        code.replace("### BEGIN SOLUTION\nsecret", "secret").replace("(9)]\n### END SOLUTION", "(9)]")
    )
    assert run(Master(master.book, master.name), "doubling") == 1
    assert "without a solution region" in capsys.readouterr().err
