"""The run of all tests: no stage hides the next, the summary names each, the fast run finds what was changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workshop import processors, suite, warm
from workshop.book import Book, BookError
from workshop.environment import ENVIRONMENT


def stage(name, code, **options):
    return suite.Stage(name, "a made-up stage", [sys.executable, "-c", code], **options)


def test_all_stages_run_and_the_summary_names_each(tmp_path, capfd):
    stages = [
        stage("one", "print('== 3 passed, 1 skipped in 2.51s ==')"),
        stage("two", "import sys; print('1 failed, 2 passed in 0.10s'); sys.exit(1)"),
        stage("three", "import os; print(os.environ['MADE_UP'], os.getcwd())", variables={"MADE_UP": "yes"}),
    ]
    outcomes = suite.run(tmp_path, stages)
    assert [outcome.passed for outcome in outcomes] == [True, False, True]
    assert [outcome.counts for outcome in outcomes] == ["3 passed, 1 skipped", "1 failed, 2 passed", ""]
    assert suite.report(outcomes) == 1
    said = capfd.readouterr().out
    assert f"yes {tmp_path}" in said
    summary = said[said.index("test: summary") :].splitlines()
    assert [line.split()[0] for line in summary[1:4]] == ["passed", "FAILED", "passed"]
    assert summary[2].endswith("two       1 failed, 2 passed")
    assert summary[4].endswith("failed: two")
    assert suite.report([outcomes[0], outcomes[2]]) == 0


def test_a_stage_whose_kernels_do_not_start_fails_and_the_next_one_runs(tmp_path, monkeypatch, capfd):
    def broken(*_):
        raise RuntimeError("no process to fork kernels from: no such module")

    monkeypatch.setattr(warm, "kernels", broken)
    outcomes = suite.run(tmp_path, [stage("chapters", "print('never')", kernels=True), stage("next", "print('ran')")])
    assert [outcome.passed for outcome in outcomes] == [False, True]
    said = capfd.readouterr().out
    assert "no such module" in said
    assert "never" not in said


def test_everything_is_everything(real, monkeypatch):
    monkeypatch.setattr(suite.shutil, "which", lambda name, path: f"/some/{name}")
    stages = suite.everything(2)
    assert [stage.name for stage in stages] == ["style", "layout", "types", "tests", "chapters"]
    assert stages[2].command == ["/some/basedpyright", "--pythonpath", sys.executable]
    assert stages[3].command[-1] == "tests"
    assert 'parametrize("check", CHECKS' in (real.root / "tests/book/test_book.py").read_text(encoding="utf-8")
    assert stages[4].command[-1] == "notebooks"
    assert stages[4].kernels == warm.available()
    recipe = (real.root / "Makefile").read_text(encoding="utf-8").partition("\ntest: ")[2].partition("\n\n")[0]
    assert "-m workshop test" in recipe


def test_without_a_type_checker_its_stage_is_left_out_and_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(suite.shutil, "which", lambda name, path: None)
    assert [stage.name for stage in suite.everything(2)] == ["style", "layout", "tests", "chapters"]
    assert "types are not checked here: pip install basedpyright" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("src/gradclinic/chain.py", {"tests/gradclinic/test_chain.py"}),
        ("tests/gradclinic/test_clip.py", {"tests/gradclinic/test_clip.py"}),
        ("src/workshop/browser.py", {"tests/workshop/test_pdf.py"}),  # no twin: those that import it
        ("book/index.md", set()),
    ],
)
def test_tests_are_found_for_what_was_changed(real, path, wanted):
    found = set(suite.tests_of(real.root, {path}))
    assert wanted <= found
    assert len(found) <= 3


def test_a_conftest_asks_for_the_tests_of_its_folder(real):
    found = suite.tests_of(real.root, {"tests/workshop/grading/conftest.py"})
    assert "tests/workshop/grading/test_corpus.py" in found
    assert {path.rpartition("/")[0] for path in found} == {"tests/workshop/grading"}


def test_what_was_changed_is_the_work_at_hand_or_else_the_last_commit(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert suite.changed(tmp_path) is None
    git("init", "-q")
    for name in ("old.py", "new.py"):
        (tmp_path / name).write_text("1\n", encoding="utf-8")
        git("add", name)
        git("commit", "-q", "-m", name)
    assert suite.changed(tmp_path) == {"new.py"}
    (tmp_path / "old.py").write_text("2\n", encoding="utf-8")
    (tmp_path / "beside.py").write_text("", encoding="utf-8")
    assert suite.changed(tmp_path) == {"old.py", "beside.py"}


def test_a_simulated_processor_is_what_the_libraries_see(real):
    found = processors.seen(real.root, processors.PROCESSORS["sse"].variables())
    assert found == "NumPy baseline; OpenBLAS Nehalem; PyTorch DEFAULT"
    assert set(processors.numpy_features("avx2")) <= set(processors.numpy_features("sse")) - {"AVX2", "X86_V3"}


PRODUCT = """
import torch
torch.manual_seed(0)
a = torch.randn(40, 300) @ torch.randn(300, 40)
print(hash(a.numpy().tobytes()))
"""


@pytest.mark.parametrize("name", ["mkl", "compatible"])
def test_intels_library_computes_otherwise_on_a_processor_that_changes_nothing_else(name):
    about = Path("/proc/cpuinfo")
    if not about.exists() or "GenuineIntel" not in about.read_text(encoding="utf-8"):
        pytest.skip("Intel's library chooses its code by the maker of the processor")

    def product(variables):
        environment = os.environ | ENVIRONMENT | variables
        return subprocess.run([sys.executable, "-c", PRODUCT], env=environment, capture_output=True, check=True).stdout

    assert product({}) == product({"TF_ENABLE_ONEDNN_OPTS": "0"}) != product(processors.PROCESSORS[name].variables())


def test_the_tests_run_with_the_variables_of_the_processor_that_was_chosen(monkeypatch):
    monkeypatch.delenv(processors.CHOICE, raising=False)
    assert processors.chosen() == {}
    monkeypatch.setenv(processors.CHOICE, "onednn")
    assert processors.chosen() == {"TF_ENABLE_ONEDNN_OPTS": "1"}


def test_an_unknown_processor_is_refused(tmp_path):
    with pytest.raises(BookError, match="got z80, wanted some of as-it-is"):
        processors.processors(Book(tmp_path), ["z80"], 1)
