"""The book of this repository, through the checks that `python -m workshop check` runs."""

import re
import subprocess

import pytest
import yaml

from workshop import notebook as nb
from workshop.book import SETUP
from workshop.check import CHECKS
from workshop.hosts import HOSTS
from workshop.markdown import EXTENSIONS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_book(real, check):
    assert check(real) == []


def test_every_page_with_code_is_a_test(real):
    """A page without a notebook would not be executed by `make test`: none may be missing.

    Assignments wait for their answers, so pytest leaves them out (conftest.py); tests/assignments runs them with some.
    """
    found = (real.root / "notebooks").rglob("*.ipynb")
    notebooks = {path for path in found if ".ipynb_checkpoints" not in path.parts}  # JupyterLab's own, not in git
    waiting = set((real.root / "notebooks" / "assignments").glob("*.ipynb"))
    assert {real.notebook(page) for page in real.executed} == notebooks - waiting
    assert {real.notebook(page) for page in real.assignments} == waiting


def test_every_chapter_asks_its_reader(real):
    """Two to four questions, a number among them, which the chapter itself computes."""
    chapters = [page for page in real.executed if page.partition("/")[0] not in {"index", "appendix"}]
    assert len(chapters) >= 26
    for page in chapters:
        cells = [c for c in nb.read(real, page).cells if "questions" in c.metadata.get("tags", [])]
        assert len(cells) == 1, page
        (output,) = cells[0].outputs
        shown = output["data"]["text/html"]
        assert 2 <= shown.count("<fieldset>") <= 4, page
        assert 'type="number"' in shown, page
        for value in re.findall(r"\banswer=([-+.\de]+)\s*[,)]", cells[0].source):
            raise AssertionError(f"{page}: answer={value} is typed in, not computed")


def test_address_stands_in_one_place(real):
    """Whatever names the repository outside _config.yml is made from it, so `fork` can rewrite it."""
    assert "{repository}@{branch}" in SETUP
    for path in (real.root / "src" / "workshop").rglob("*.py"):
        assert real.repository not in path.read_text(encoding="utf-8"), path


def test_the_checks_read_the_syntax_that_the_site_reads(real):
    assert set(real.config["parse"]["myst_enable_extensions"]) == EXTENSIONS


def test_every_host_has_a_reason():
    assert all(len(reason) > 3 for reason in HOSTS.values())


@pytest.mark.parametrize("name", ["test", "pages", "colab"])
def test_workflows_run_the_readers_commands(real, name):
    flow = yaml.safe_load((real.root / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    steps = [step.get("run", "") for job in flow["jobs"].values() for step in job["steps"]]
    wanted = {"test": "bash .ci/run", "pages": "make book", "colab": "jupyter execute"}
    assert any(wanted[name] in step for step in steps)


def test_make_without_a_target_explains_the_targets(real):
    shown = subprocess.run(["make"], cwd=real.root, capture_output=True, text=True, check=True).stdout
    for target in ("book", "test", "lab", "record", "check", "lock", "clean"):
        assert f"make {target} " in shown


def test_make_says_in_one_line_that_no_python_will_do(tiny, real):
    (tiny.root / "requirements.txt").touch()
    command = ["make", "--no-print-directory", "-f", str(real.root / "Makefile"), "PYTHON=no-such-python", "check"]
    run = subprocess.run(command, cwd=tiny.root, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert run.stdout.startswith("make: no Python >= 3.11 with venv found as PYTHON=no-such-python;")
    assert run.stdout.count("\n") == 1
    assert not (tiny.root / ".venv").exists()


def test_make_says_in_one_line_that_the_disk_is_full(tiny, real):
    (tiny.root / "requirements.txt").touch()
    command = ["make", "--no-print-directory", "-f", str(real.root / "Makefile"), "FREE_KB=999999999999", "check"]
    run = subprocess.run(command, cwd=tiny.root, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "MB free on this disk; the environment needs 999999999 MB" in run.stdout
    assert not (tiny.root / ".venv").exists()
