"""Each way of spoiling the book, done to a copy of the tiny one, must turn something red."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from workshop.__main__ import main
from workshop.check import CHECKS

MD, NOTEBOOK = "book/parts/tiny.md", "notebooks/parts/tiny.ipynb"


def problems(book):
    return [problem for check in CHECKS for problem in check(book)]


def nbval(book):
    """Run the notebooks as `make test` does."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--nbval", "--nbval-current-env", "notebooks"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(command, cwd=book.root, capture_output=True, text=True, check=False, env=environment)


def test_the_book_as_recorded_is_green(tiny):
    assert problems(tiny) == []
    run = nbval(tiny)
    assert run.returncode == 0, run.stdout
    assert "4 passed" in run.stdout


def test_a_wrong_number_typed_into_a_recorded_output(tiny, edit):
    edit(NOTEBOOK, "1.4142", "1.4143")
    run = nbval(tiny)
    assert run.returncode == 1
    assert "1 failed, 3 passed" in run.stdout
    assert "1.4143" in run.stdout


def test_a_deleted_notebook(tiny):
    (tiny.root / NOTEBOOK).unlink()
    assert any("no notebook" in problem for problem in problems(tiny))


@pytest.mark.parametrize(
    ("old", "new"),
    [("and nothing", "and really nothing"), ("# A tiny chapter", "# A small chapter"), ("** 0.5", "** 0.25")],
    ids=["metadata", "words", "code"],
)
def test_a_chapter_edited_without_recording(tiny, edit, old, new):
    edit(MD, old, new)
    assert problems(tiny) == [f"{MD}:1: has changed since it was recorded; record it"]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (MD, "kernelspec:\n", "kernel:\n", f"{MD}:1: does not open with the header"),
        ("book/index.md", "# A tiny", "---\na: b\n---\n# A tiny", "book/index.md:1: has a header but no code cell"),
        (MD, "# A tiny chapter", "# Another title\n# A tiny chapter", f"{MD}: has 2 titles"),
        (MD, "touching nothing else", "or not", "is not the set-up cell"),
        (MD, "[remove-cell, setup]", "[setup]", "is not the set-up cell"),
        ("_toc.yml", "  - file: parts/tiny\n", "", f"{MD}:1: is not in _toc.yml"),
        ("_toc.yml", "parts/tiny", "parts/tinny", "_toc.yml: parts/tinny: no book/parts/tinny.md"),
        (NOTEBOOK, '"execution_count": 2', '"execution_count": null', "cell 2: run as [None], wanted [2]"),
        (NOTEBOOK, '"name": "stdout"', '"name": "stderr"', "cell 2: writes to stderr: 1.4142"),
        (NOTEBOOK, "1.4142", "/home/me/x", "cell 2: prints what differs between machines: /home/me"),
        (
            NOTEBOOK,
            "1.4142",
            "<function f at 0x7f3a2b1c>",
            "cell 2: prints what differs between machines: at 0x7f3a2b1c",
        ),
        (NOTEBOOK, 'print(\\"solved', 'print(\\"solves', "was not written by the recorder"),
        (NOTEBOOK, "# A tiny chapter", "# Another", "was not written by the recorder"),
        (
            NOTEBOOK,
            "A straight line that rises from zero to one, and nothing else",
            "",
            "figure needs mystnb.image.alt",
        ),
        (NOTEBOOK, "A straight line that rises from zero to one", "_images/3f2a8c7d6e5f4a3b2c1d.png", "needs mystnb"),
        (MD, "_ = plt.plot([0, 1])", "plt.plot([0, 1]);", 'cell ends in ";"'),
        (MD, 'print("two")', 'print("two")  # NBVAL_IGNORE_OUTPUT', "NBVAL_IGNORE_OUTPUT keeps the cell from"),
        (MD, "import matplotlib", "import workshop\nimport matplotlib", "chapters import gradclinic, never workshop"),
        (MD, "[solution, hide-cell]", "[solution]", "also needs the tag hide-cell"),
        (MD, "[solution, hide-cell]", "[questions]", "also needs the tag remove-input"),
        (NOTEBOOK, '"_ = plt', '"pass\\n",\n' * 8 + '"_ = plt', "more than 8 lines draw this figure; fold them"),
        (
            NOTEBOOK,
            '"mystnb": {',
            '"tags": ["remove-input"], "mystnb": {',
            "the code of this figure is not on the page",
        ),
        (MD, "[solution, hide-cell]", "[raises-exception]", "tag raises-exception keeps the cell from"),
        (MD, "## Why so", "```{note}\nx\n```\n\n## Why so", "directive note is not one of code-cell"),
        (MD, "## Why so", ":::{tip}\nx\n:::\n\n## Why so", "directive tip is not one of code-cell"),
        (MD, "{cite:p}`glorot2010`", "{doc}`x`", "role doc is not one of cite"),
        (MD, "glorot2010", "glorot2011", "glorot2011: not in book/references.bib"),
        (MD, "../appendix/bibliography.md", "../appendix/works.md", "link ../appendix/works.md: no such page"),
        (MD, "(#why-so)", "(#why-not)", "link #why-not: no such place; parts/tiny has a-tiny-chapter, why-so"),
        ("book/index.md", "#why-so", "#why-not", "link parts/tiny.md#why-not: no such place"),
        ("book/index.md", "[why]", "![why so](x.png) [why]", "image x.png: no such file"),
        ("book/index.md", "[why]", "![why so](x.png) [why]", "image x.png needs a text"),
        ("book/index.md", "[why]", "[x](https://tracker.example.com/) [why]", "tracker.example.com is not listed"),
        (
            MD,
            "import matplotlib",
            "# https://data.example.com/x.csv\nimport matplotlib",
            "data.example.com is not listed",
        ),
    ],
)
def test_check_names_it(tiny, edit, name, old, new, said):
    edit(name, old, new)
    found = problems(tiny)
    assert any(said in problem for problem in found), found


def test_a_notebook_without_a_page(tiny):
    (tiny.root / "notebooks/left.ipynb").write_text("{}", encoding="utf-8")
    assert problems(tiny) == ["notebooks/left.ipynb: no page with code has this name"]


def test_check_exits_1_and_counts(tiny, edit, capsys):
    edit(MD, "two", "three")
    assert main(["--root", str(tiny.root), "check"]) == 1
    assert "check: 1 problems" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; print('oh', file=sys.stderr)", "writes to stderr: oh"),
        ("import warnings; warnings.warn('beware')", "writes to stderr: /"),
        ("print(1", "SyntaxError"),
        ("print('/home/me/x')", "prints what differs between machines: /home/me"),
        ("object()", "prints what differs between machines: at 0x"),
        ("plt.text(0, 0, 'x')", "prints what its last line returns beside its figure"),
        ("import os; os._exit(3)", "the kernel died"),
    ],
    ids=["raises", "stderr", "warns", "syntax", "path", "object", "returns", "dies"],
)
def test_a_failing_page_keeps_its_notebook_and_is_named(tiny, edit, capsys, code, said):
    edit(MD, 'print("two")', f"\n{code}")
    before = (tiny.root / NOTEBOOK).read_bytes()
    # The traceback and the warning name their own line; of the others only the cell is known, so its first line.
    blamed = code if said.startswith(("Zero", "Syntax", "writes to stderr: /")) else "import matplotlib.pyplot as plt"
    line = tiny.text("parts/tiny").splitlines().index(blamed) + 1
    assert main(["--root", str(tiny.root), "record"]) == 1
    shown = capsys.readouterr().out
    assert f"{MD}:{line}: cell 2: {blamed}" in shown
    assert said in shown
    assert (tiny.root / NOTEBOOK).read_bytes() == before
    assert not list(tiny.root.rglob("*.tmp"))


def test_a_page_that_hangs_is_stopped_and_named(tiny, edit, capsys, monkeypatch):
    monkeypatch.setattr("workshop.record.CELL_TIMEOUT", 3)
    edit(MD, 'print("two")', "\nwhile True:\n    pass")
    before = (tiny.root / NOTEBOOK).read_bytes()
    assert main(["--root", str(tiny.root), "record"]) == 1
    shown = capsys.readouterr().out
    assert "cell 2: import matplotlib.pyplot as plt\n    still running after 3 s" in shown
    assert (tiny.root / NOTEBOOK).read_bytes() == before


def test_results_put_in_by_hand_are_computed_anew(tiny, edit, capsys):
    """What JupyterLab saves when a reader has changed a number, run one cell, and not the others."""
    edit(MD, "2 ** 0.5", "3 ** 0.5")
    edit(NOTEBOOK, "2 ** 0.5", "3 ** 0.5")
    edit(NOTEBOOK, "1.4142", "1.6")
    assert problems(tiny)
    assert main(["--root", str(tiny.root), "record"]) == 0
    assert "(run by hand)" in capsys.readouterr().out
    assert "1.7321" in (tiny.root / NOTEBOOK).read_text(encoding="utf-8")
    assert problems(tiny) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (MD, ":tags: [solution, hide-cell]", ":tags: [solution, hide-cell", f"{MD}:{{line}}: the options of this cell"),
        ("_config.yml", "title: Unstable", 'title: "Unstable', "_config.yml:4: expected <block end>"),
        ("_toc.yml", "root: index", "root: [index", "_toc.yml:3: expected ',' or ']'"),
        ("_toc.yml", "root: index", "roots: index", "_toc.yml: "),
        ("book/references.bib", "title={Under", "title={{Under", "book/references.bib: "),
    ],
    ids=["options", "config", "toc", "toc-keys", "bibliography"],
)
@pytest.mark.parametrize("command", ["record", "check", "site"])
def test_a_file_that_cannot_be_read_is_named_with_its_line(tiny, edit, capsys, command, name, old, new, said):
    edit(name, old, new)
    line = tiny.text("parts/tiny").splitlines().index('print("solved", 6 * 7)') - 1  # where the cell opens
    assert main(["--root", str(tiny.root), command]) == 1
    shown = capsys.readouterr().err
    assert f"{command}: {said.format(line=line)}" in shown
    assert "Traceback" not in shown


def test_a_page_in_another_encoding_is_named_with_its_line(tiny, capsys):
    source = tiny.source("parts/tiny")
    source.write_bytes(source.read_bytes().replace(b"## Why so", "## Weshalb für".encode("latin-1")))
    line = source.read_bytes().splitlines().index("## Weshalb für".encode("latin-1")) + 1
    for command in ("record", "check", "site"):
        assert main(["--root", str(tiny.root), command]) == 1
        assert f"{command}: {MD}:{line}: is not UTF-8 text" in capsys.readouterr().err


def test_one_failing_page_does_not_stop_the_others(tiny, edit, capsys):
    other = tiny.root / "book/parts/other.md"
    other.write_text(tiny.text("parts/tiny").replace('print("two")', "1 / 0"), encoding="utf-8")
    edit("_toc.yml", "  - file: parts/tiny\n", "  - file: parts/other\n  - file: parts/tiny\n")
    edit(MD, 'print("two")', 'print("three")')
    assert main(["--root", str(tiny.root), "record"]) == 1
    assert "three" in (tiny.root / NOTEBOOK).read_text(encoding="utf-8")
    assert not (tiny.root / "notebooks/parts/other.ipynb").exists()
    assert "record: 1 of 2 pages recorded, 0 were up to date" in capsys.readouterr().out


def test_an_interrupted_recording_leaves_the_old_notebook(tiny, edit):
    reached = tiny.root / "reached"
    edit(MD, 'print("two")', f"open({str(reached)!r}, 'w').close()\nimport time; time.sleep(600)")
    before = (tiny.root / NOTEBOOK).read_bytes()
    # A process started in the background inherits that interrupts are ignored; this one must not.
    run = subprocess.Popen(
        [sys.executable, "-m", "workshop", "record"],
        cwd=tiny.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not reached.exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "interrupted" in said
    assert (tiny.root / NOTEBOOK).read_bytes() == before
    assert not list(tiny.root.rglob("*.tmp"))


def test_two_recordings_are_byte_identical_but_for_what_they_took(tiny):
    took = tiny.root / "book/_static/execution.json"

    def rest():
        return {path: path.read_bytes() for path in tiny.root.rglob("*") if path.is_file() and path != took}

    before, first = rest(), json.loads(took.read_text("utf-8"))
    assert main(["--root", str(tiny.root), "record", "--all"]) == 0
    assert rest() == before
    again = json.loads(took.read_text("utf-8"))
    assert {page: set(what) for page, what in again.items()} == {page: set(what) for page, what in first.items()}


def test_a_recording_has_no_time_no_version_and_stable_ids(tiny):
    notebook = json.loads((tiny.root / NOTEBOOK).read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) == {"workshop", "kernelspec", "language_info"}
    assert "version" not in notebook["metadata"]["language_info"]
    assert all("execution" not in cell["metadata"] for cell in notebook["cells"])
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
