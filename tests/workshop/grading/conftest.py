"""One folder of submissions, graded once, for every test that looks at the result."""

import csv
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from corpus import CASES, HERE, LIMITS

from workshop.book import Book
from workshop.grading.grade import grade
from workshop.grading.sandbox import SandboxError, choose


def no_bubblewrap():
    try:
        choose("bubblewrap")
    except SandboxError as error:
        return str(error)
    return ""


NO_BUBBLEWRAP = no_bubblewrap()


@pytest.fixture(scope="session")
def bubblewrap():
    if NO_BUBBLEWRAP:
        pytest.skip(NO_BUBBLEWRAP)


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    (root / "assignments" / "tiny").mkdir(parents=True)
    shutil.copy(HERE / "master.md", root / "assignments" / "tiny")
    return Book(root)


def hand_in(folder, names):
    """Write the submissions of these names, each in its folder."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for file, data in CASES[name].files.items():
            (folder / name / file).write_bytes(data)
    return folder


@dataclass
class Graded:
    """A graded folder. rows: the lines of gradebook.csv by id; code: what the command returned."""

    out: Path
    source: Path
    code: int

    @property
    def rows(self):
        with (self.out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def graded(book, tmp_path_factory, bubblewrap):
    """Every submission of the corpus, graded in one run with two jobs."""
    source = hand_in(tmp_path_factory.mktemp("handed-in"), CASES)
    out = tmp_path_factory.mktemp("out")
    os.environ["WORKSHOP_SECRET"] = "not for students"
    try:
        code = grade(book, "tiny", source, out, jobs=2, seed=3, limits=LIMITS, due="2020-01-01T00:00+00:00")
    finally:
        del os.environ["WORKSHOP_SECRET"]
    return Graded(out, source, code)
