"""The repository for a GitHub Classroom: public tests that count, and nothing hidden in it."""

import base64
import json
import subprocess
import sys

import pytest
import yaml

from workshop import classroom
from workshop.__main__ import main
from workshop.book import BookError
from workshop.grading.assignment import Assignment
from workshop.release import Master

NAME = "chain-and-equations"


@pytest.fixture(scope="module")
def starter(real, tmp_path_factory):
    out = tmp_path_factory.mktemp("classroom") / "starter"
    assert main(["--root", str(real.root), "classroom", NAME, "--out", str(out)]) == 0
    return out


def result(folder, notebook, tests):
    """Return what the reporter of the workflow gets for a notebook."""
    (folder / "n.ipynb").write_text(notebook if isinstance(notebook, str) else json.dumps(notebook))
    (folder / "tests.json").write_text(json.dumps(tests))
    (folder / "output").write_text("")
    program = classroom.public_tests.__file__
    command = [sys.executable, program, "n.ipynb", "tests.json"]
    variables = {"GITHUB_OUTPUT": str(folder / "output"), "IPYTHONDIR": str(folder), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=True)
    key, _, value = (folder / "output").read_text().strip().partition("=")
    assert key == "result"
    return json.loads(base64.b64decode(value)), run.stdout


def cell(source, name=""):
    return {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": name}} if name else {}, "source": [source]}


TESTS = {"a": [1, "assert f(2) == 4"], "b": [2, "assert f(3) == 6"]}


def test_points_come_from_the_tests_of_the_teacher(tmp_path):
    cells = [
        cell("%matplotlib inline"),
        cell("raise ValueError('an own cell')"),
        cell("def f(x):\n    return 2 * x if x == 2 else 0"),
        cell("pass  # was: assert f(2) == 4", "a"),
    ]
    found, said = result(tmp_path, {"cells": cells}, TESTS)
    assert (found["status"], found["max_score"]) == ("fail", 3)
    assert [(test["name"], test["status"], test["score"]) for test in found["tests"]] == [
        ("a", "pass", 1),
        ("b", "fail", 0),
    ]
    assert "AssertionError" in found["tests"][1]["message"]
    assert "pass     1 of 1  a" in said
    found, _ = result(tmp_path, {"cells": [cell("f = lambda x: 2 * x")]}, TESTS)
    assert (found["status"], sum(test["score"] for test in found["tests"])) == ("pass", 3)
    found, _ = result(tmp_path, "{", TESTS)
    assert (found["status"], [test["score"] for test in found["tests"]]) == ("error", [0, 0])
    assert "no notebook that can be read" in found["tests"][0]["message"]


def test_the_starter_has_the_public_tests_and_nothing_hidden(real, starter):
    whole = Assignment(Master(real, NAME).notebook)
    tests = json.loads((starter / ".github/public_tests.json").read_text())
    assert {name: points for name, (points, _) in tests.items()} == {
        check.grade_id: check.points for check in whole.checks if check.public
    }
    hidden = [check.grade_id for check in whole.checks if not check.public]
    secrets = {secret.text for secret in Master(real, NAME).secrets()}
    for path in starter.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not [name for name in hidden if name in text], path
            lines = {" ".join(line.split()) for line in text.splitlines()}
            assert not secrets & lines, path


def test_the_workflow_runs_them_and_reports_under_the_name_that_it_gives(real, starter):
    workflow = yaml.safe_load((starter / ".github/workflows/classroom.yml").read_text())
    steps = workflow["jobs"]["run-autograding-tests"]["steps"]
    (tests,) = [step for step in steps if step.get("id")]
    for word in tests["run"].split()[1:]:
        assert (starter / word).is_file(), word
    reporter = steps[-1]
    (runner,) = reporter["with"]["runners"].split(",")
    assert (runner, list(reporter["env"])) == (tests["id"], [f"{tests['id'].upper()}_RESULTS"])
    assert f"steps.{tests['id']}.outputs.result" in next(iter(reporter["env"].values()))
    assert f"{real.repository}@{real.branch}" in (starter / ".github/workflows/classroom.yml").read_text()


def test_what_is_refused(real, starter, tmp_path, capsys, monkeypatch):
    assert main(["--root", str(real.root), "classroom", NAME, "--out", str(starter)]) == 1
    assert "not empty; name a new folder" in capsys.readouterr().err
    assert main(["--root", str(real.root), "classroom", "nothing", "--out", str(tmp_path / "x")]) == 1
    assert "not found; there is: " in capsys.readouterr().err
    monkeypatch.setattr(classroom, "stale", lambda master: "book/x.md is not what its master makes; release it")
    with pytest.raises(BookError, match="release it"):
        classroom.starter(real, NAME)
