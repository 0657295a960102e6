"""The book of this repository, through the checks that `python -m workshop check` runs."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from itertools import pairwise

import pytest
import yaml

from workshop import fit
from workshop import notebook as nb
from workshop.book import SETUP, Book
from workshop.check import CHECKS
from workshop.hosts import HOSTS
from workshop.markdown import EXTENSIONS
from workshop.processors import PROCESSORS


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


@pytest.mark.parametrize("name", ["test", "pages", "colab", "plain"])
def test_workflows_run_the_readers_commands(real, name):
    flow = yaml.safe_load((real.root / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    steps = [step.get("run", "") for job in flow["jobs"].values() for step in job["steps"]]
    wanted = {"test": "bash .ci/run", "pages": "make book", "colab": "jupyter execute", "plain": "-m workshop plain"}
    assert any(wanted[name] in step for step in steps)


def test_make_without_a_target_explains_the_targets(real):
    shown = subprocess.run(["make"], cwd=real.root, capture_output=True, text=True, check=True).stdout
    for target in ("book", "test", "test-fast", "test-processors", "lab", "record", "check", "lock", "clean"):
        assert f"make {target} " in shown


def refused(tiny, real, *settings):
    """Return the one line in which make refuses to begin."""
    (tiny.root / "requirements.txt").touch()
    command = ["make", "--no-print-directory", "-f", str(real.root / "Makefile"), *settings, "check"]
    run = subprocess.run(command, cwd=tiny.root, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert run.stdout.count("\n") == 1, run.stdout + run.stderr
    assert not (tiny.root / ".venv").exists()
    return run.stdout


def test_make_says_in_one_line_that_no_python_will_do(tiny, real):
    said = refused(tiny, real, "PYTHON=no-such-python")
    assert said.startswith("make: no Python 3.11, 3.12 or 3.13 with venv found as PYTHON=no-such-python;")


@pytest.mark.parametrize(("version", "says"), [((3, 14), "is Python 3.14"), ((3, 10), "is Python 3.10")])
def test_make_says_in_one_line_that_a_python_is_too_new_or_too_old(tiny, real, tmp_path, version, says):
    python = tmp_path / "another-python"
    code = f"import sys; sys.version_info = {version}; import runpy; sys.argv = sys.argv[1:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    assert f"3.13 with venv found as PYTHON={python} ({python} {says}); install" in refused(
        tiny, real, f"PYTHON={python}"
    )


def test_make_says_in_one_line_that_disk_or_memory_are_too_small(tiny, real):
    assert "MB free on this disk; the environment needs 999999999 MB" in refused(tiny, real, "FREE_KB=999999999999")
    assert "MB of memory; both frameworks and a chapter need 999999999 MB" in refused(
        tiny, real, "MEMORY_KB=999999999999"
    )


def test_make_says_in_one_line_that_a_path_will_not_do(tiny, real, tmp_path):
    elsewhere = tmp_path / "a:b"
    tiny.root.rename(elsewhere)
    assert "has a ':' in it" in refused(Book(elsewhere), real)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    assert fit.unfit_machine(str(tmp_path), 0, 0) == ""
    assert "nothing can be written to /proc" in fit.unfit_machine("/proc", 0, 0)


def test_the_makefile_and_the_package_agree_on_pythons(real):
    project = tomllib.loads((real.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (_, oldest), (_, newest) = fit.OLDEST, fit.NEWEST
    assert project["requires-python"] == f">=3.{oldest},<3.{newest + 1}"
    setup = (real.root / "Makefile").read_text(encoding="utf-8")
    for minor in range(oldest, newest + 1):
        assert f"python3.{minor} " in setup
        assert f"3.{minor}" in (real.root / "README.md").read_text(encoding="utf-8")
    ast.parse((real.root / "src/workshop/fit.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_the_workflow_tries_every_simulated_processor(real):
    flow = yaml.safe_load((real.root / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    job = flow["jobs"]["processors"]
    assert {"as-it-is", *job["strategy"]["matrix"]["processor"]} == set(PROCESSORS)
    assert job["steps"][-1]["run"].startswith("make test-processors PROCESSORS=")


def test_every_measured_ratio_stands_on_the_page_of_costs_once(real):
    groups = json.loads((real.root / "book/_static/benchmarks.json").read_text(encoding="utf-8"))
    asked = re.findall(r"^```\{benchmarks\} (.+)$", real.text("appendix/benchmarks"), re.MULTILINE)
    shown = [group for start in asked for group in groups if group.startswith(start)]
    assert sorted(shown) == sorted(groups)


def test_the_measured_ratios_are_as_the_page_of_costs_says(real):
    groups = json.loads((real.root / "book/_static/benchmarks.json").read_text(encoding="utf-8"))
    depth = list(groups["one profile, width 64, against depth"].values())
    assert all(1.6 < after / before < 2.6 for before, after in pairwise(depth))
    assert depth[-1] < 100
    (watched,) = (ratios for group, ratios in groups.items() if group.startswith("a training step watched"))
    assert all(1 <= ratio < 1.25 for row, ratio in watched.items() if row.endswith("every 10 steps"))
    assert all(ratio < 1.05 for row, ratio in watched.items() if row.endswith("every 100 steps"))


def test_the_number_that_is_followed_is_the_one_that_was_printed(real):
    followed = real.text("appendix/how-it-is-checked")
    (line,) = re.findall(r"^np\.testing\.assert_allclose.*$", followed, re.MULTILINE)
    assert line in real.text("why/descent")
    printed = real.notebook("why/descent").read_text(encoding="utf-8")
    assert re.search(r"step size 0\.1: after ten steps w = +0\.1074", printed)
    assert "*after ten steps w = 0.1074*" in followed
