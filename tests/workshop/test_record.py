"""What is recorded when, and what a notebook's readers get."""

import json
import shutil
import subprocess
import sys

import jupytext
import pytest
from jupytext.combine import combine_inputs_with_outputs

from workshop import notebook as nb
from workshop.__main__ import main
from workshop.book import HEADER, Book, without_words
from workshop.record import measurements, measurements_file

MD = "book/parts/tiny.md"


def record(book, *arguments):
    return main(["--root", str(book.root), "record", *arguments])


def test_what_is_up_to_date_is_not_run(tiny, capsys):
    assert record(tiny) == 0
    assert capsys.readouterr().out == "record: nothing to do, 1 of 1 pages are up to date\n"


def test_changed_words_need_no_run(tiny, edit, capsys):
    edit(MD, "# A tiny chapter", "# A small chapter")
    assert record(tiny) == 0
    assert "not run" in capsys.readouterr().out
    assert nb.stale(tiny, "parts/tiny") == ""
    assert "# A small chapter" in nb.read(tiny, "parts/tiny").cells[0].source


@pytest.mark.parametrize("wanted", ["parts/tiny", "tiny", "book/parts/tiny.md", "notebooks/parts/tiny.ipynb"])
def test_a_page_can_be_named_in_any_way(tiny, wanted, monkeypatch):
    monkeypatch.chdir(tiny.root)
    assert tiny.find(wanted) == "parts/tiny"


@pytest.mark.parametrize(("wanted", "said"), [("no-such", "no page has this name"), ("index", "has no code cells")])
def test_a_page_that_cannot_be_recorded_is_named(tiny, capsys, wanted, said):
    assert record(tiny, wanted) == 1
    assert f"{wanted}" in (error := capsys.readouterr().err)
    assert said in error


def test_a_change_in_what_a_page_imports_makes_it_stale(tiny, edit, monkeypatch):
    package = tiny.root / "src" / "gradclinic"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "used.py").write_text("VALUE = 1\n", encoding="utf-8")
    (package / "unused.py").write_text("", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tiny.root / "src"))
    edit(MD, "import matplotlib", "from gradclinic.used import VALUE\nimport matplotlib")
    assert record(tiny) == 0
    assert set(nb.read(tiny, "parts/tiny").metadata.workshop.modules) == {"gradclinic", "gradclinic.used"}

    (package / "unused.py").write_text("# more\n", encoding="utf-8")
    assert nb.stale(Book(tiny.root), "parts/tiny") == ""
    (package / "used.py").write_text('"""Words."""\nVALUE = 1  # more\n', encoding="utf-8")
    assert nb.stale(Book(tiny.root), "parts/tiny") == ""
    (package / "used.py").write_text("VALUE = 2\n", encoding="utf-8")
    assert nb.stale(Book(tiny.root), "parts/tiny") == "gradclinic.used changed"
    (package / "used.py").write_text("VALUE = 1\n", encoding="utf-8")
    (package / "style.mplstyle").write_text("lines.linewidth: 1\n", encoding="utf-8")
    assert nb.stale(Book(tiny.root), "parts/tiny") == "gradclinic changed"


@pytest.mark.parametrize(
    "words",
    [
        '"""One."""\n\n\ndef f(x):\n    return "# not a comment"\n',
        '"""One,\n\ntwo."""\n# three\n\n\ndef f(x):  # \u03c3\n    """Four."""\n    return "# not a comment"\n',
    ],
)
def test_words_do_not_change_what_a_module_does(words):
    assert without_words(words).strip() == 'def f(x):\n    return "# not a comment"'


@pytest.mark.parametrize("code", ['x = """a\n\nb"""', "x = 1; 'text'", 'def f(): "text"; return 1', "x = (", "x = 'a"])
def test_what_is_more_than_words_stays(code):
    assert without_words(code) == code


def test_readers_outside_the_site_get_addresses_citations_and_folded_solutions(tiny):
    cells = nb.read(tiny, "parts/tiny").cells
    words = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert f"[the bibliography]({tiny.baseurl}appendix/bibliography.html)" in words
    assert f"[why]({tiny.baseurl}parts/tiny.html#why-so)" in words
    assert "([Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html))" in words
    assert "{cite" not in words
    assert "(chain)" not in words
    solution = cells[-1]
    assert solution.metadata.cellView == "form"
    assert solution.metadata.jupyter.source_hidden is True


def test_the_set_up_cell_is_written_by_the_recorder(tiny):
    assert tiny.setup in tiny.text("parts/tiny")
    assert tiny.repository in tiny.setup
    assert nb.read(tiny, "parts/tiny").cells[1].outputs == []


def test_what_a_page_took_is_kept_coarse(tiny):
    took = measurements(tiny)["parts/tiny"]
    assert took["seconds"] % 0.5 == 0
    assert took["megabytes"] % 10 == 0


def test_on_request_a_page_is_measured_anew(tiny):
    file = measurements_file(tiny)
    slow = file.read_text(encoding="utf-8").replace('"seconds": ', '"seconds": 99')
    file.write_text(slow, encoding="utf-8")
    assert record(tiny) == 0
    assert file.read_text(encoding="utf-8") == slow
    assert record(tiny, "--all") == 0
    assert measurements(tiny)["parts/tiny"]["seconds"] < 99


def test_pairing_is_found_by_jupytext(tiny):
    command = [sys.executable, "-m", "jupytext", "--paired-paths", "notebooks/parts/tiny.ipynb"]
    run = subprocess.run(command, cwd=tiny.root, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == MD, run.stderr


def test_a_recording_without_any_network(tiny):
    """In a network namespace of its own not even the loopback answers; recording must not care."""
    inside = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here (needs Linux and unprivileged unshare)")
    before = tiny.notebook("parts/tiny").read_bytes()
    for command in (["record", "--all"], ["check"], ["site"]):
        run = subprocess.run(
            [*inside, sys.executable, "-m", "workshop", *command],
            cwd=tiny.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
    assert tiny.notebook("parts/tiny").read_bytes() == before


def test_outputs_are_merged_and_stripped():
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "a"},
        {"output_type": "stream", "name": "stdout", "text": "b\n"},
        {"output_type": "execute_result", "data": {"text/plain": "3"}, "metadata": {}, "execution_count": 9},
    ]
    assert nb.normalised(outputs, 4) == [
        {"output_type": "stream", "name": "stdout", "text": "ab\n"},
        {"output_type": "execute_result", "data": {"text/plain": "3"}, "metadata": {}, "execution_count": 4},
    ]
    assert json.dumps(outputs[0]) == '{"output_type": "stream", "name": "stdout", "text": "a"}'


def test_jupyterlab_keeps_solutions_folded(tiny):
    """What jupytext hands to JupyterLab: the text's cells, with what only the notebook knows."""
    shown = combine_inputs_with_outputs(
        jupytext.reads(tiny.text("parts/tiny"), fmt="md:myst"), nb.read(tiny, "parts/tiny"), fmt="md:myst"
    )
    assert shown.cells[-1].metadata.jupyter.source_hidden is True
    assert shown.cells[-1].outputs


def test_header_and_set_up_cell_are_completed(tiny, edit):
    edit(MD, "  cell_metadata_filter: all,-jupyter,-cellView\n", "")
    edit(MD, "touching nothing else", "whatever")
    before = tiny.notebook("parts/tiny").read_bytes()
    assert record(tiny) == 0
    assert tiny.text("parts/tiny").startswith(HEADER)
    assert tiny.notebook("parts/tiny").read_bytes() == before
