"""Hundred and fifty submissions, most of them hostile or broken: each earns what it is worth, nothing else happens."""

import os
import re
import socket
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from corpus import CASES, HERE, LISTENER, MARK, POINTS


def test_the_corpus_is_large_enough():
    assert len(CASES) >= 140
    assert sum(bool(case.lost) or case.status != "ok" for case in CASES.values()) >= 50


@pytest.mark.parametrize("name", CASES)
def test_case(graded, name):
    case, row = CASES[name], graded.rows[name]
    assert row["status"] == case.status, row
    assert case.says in row["flags"], row["flags"]
    if case.status in {"ok", "review"}:
        earned = {check: float(row[check]) for check in POINTS}
        assert {check for check in POINTS if earned[check] < POINTS[check]} == case.lost, row
        assert row["isolation"] == "bubblewrap"
        assert float(row["automatic"]) == sum(earned.values())
    else:
        assert row["score"] == row["automatic"] == row["centre-public"] == ""


def test_one_row_each_and_success(graded):
    assert set(graded.rows) == set(CASES)
    assert graded.code == 0


def test_no_process_is_left(graded):
    def left():
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if MARK in line or ("/workshop/worker.py" in line and process.ppid() == 1):
                found.append(line)
        return found

    until = time.monotonic() + 10
    while left() and time.monotonic() < until:
        time.sleep(0.2)
    assert left() == []


def test_no_file_is_left(graded):
    places = [
        Path.home(),
        HERE,
        HERE.parents[3],
        Path("/usr/lib"),
        Path("/etc"),
        Path("/"),
        Path("/var/tmp"),
        Path("/dev"),
    ]
    places += [Path(tempfile.gettempdir()), graded.out, graded.source, graded.out.parent]
    assert [path for place in places for path in place.glob(f"*{MARK}*")] == []


def test_nobody_called_the_listener(graded):
    with pytest.raises(TimeoutError):
        LISTENER.accept()
    with socket.create_connection(LISTENER.getsockname(), timeout=1):  # it would have answered
        LISTENER.accept()[0].close()


def test_feedback_shows_hints_and_nothing_hidden(graded):
    pages = list((graded.out / "feedback").glob("*.html"))
    assert len(pages) == len(CASES)
    for path in pages:
        text = path.read_text(encoding="utf-8")
        for hidden in ("secret", "reference.", "rng", "array_equal", "allclose", "Model answer", "assert "):
            assert hidden not in text, path.name
        assert not re.search("<script|<img", text)
    untouched = (graded.out / "feedback" / "untouched.html").read_text(encoding="utf-8")
    assert len(re.findall(r"Task \d[:,] ", untouched)) == sum(not check.endswith("-public") for check in POINTS)
    assert "own cell 1: ended its process" in (graded.out / "feedback" / "exits_in_a_cell.html").read_text("utf-8")


def test_no_recorded_notebook_holds_a_hidden_check(graded):
    for folder in ("submitted", "autograded", "release"):
        for path in (graded.out / "nbgrader" / folder).rglob("*.ipynb"):
            text = path.read_text(encoding="utf-8")
            assert "secret" not in text, path
            assert os.path.getsize(path) < 2**20
