"""The environment of every test and of every kernel under nbval: the one that the recordings were made in."""

import os
import time
from pathlib import Path

import pytest

from workshop import processors
from workshop.book import Book
from workshop.environment import ENVIRONMENT
from workshop.record import measurements

os.environ.update(ENVIRONMENT | processors.chosen())

collect_ignore_glob = ["notebooks/assignments/*"]  # they wait for their answers; tests/assignments fills them in


def pytest_addoption(parser):
    """Give a run an end; `make test-fast` does."""
    parser.addoption("--seconds", type=float, metavar="N", help="start no test after so many seconds; skip it")


def pytest_configure(config):
    """Note the moment after which no test begins."""
    seconds = config.getoption("seconds")
    config.last_start = time.monotonic() + seconds if seconds else None


LONGEST = {
    "tests/gradclinic/course/test_claims.py": 510,  # first: while one worker is at it, the other builds the site
    "tests/site/test_pages.py": 500,
    "tests/assignments/test_judged.py": 180,
    "tests/workshop/grading/test_corpus.py": 180,
    "tests/site/figures/test_in_the_page.py": 150,
    "tests/book/test_colab.py": 100,
    "tests/workshop/test_record.py": 100,
    "tests/workshop/test_pdf.py": 100,
}
"""Modules that take minutes, in seconds, roughly: for the order only."""


def pytest_collection_modifyitems(items):
    """Chapters and modules of tests, longest first: the last to begin must not be the last to end."""
    root = Path(__file__).parent
    notebooks = root / "notebooks"
    took = measurements(Book(root))

    def seconds(item):
        if not item.path.is_relative_to(notebooks):
            return LONGEST.get(item.path.relative_to(root).as_posix(), 0) if item.path.is_relative_to(root) else 0
        return took.get(item.path.relative_to(notebooks).with_suffix("").as_posix(), {}).get("seconds", 0)

    items.sort(key=seconds, reverse=True)  # stable: cells stay in their order


def pytest_runtest_setup(item):
    """Leave, and name, what would begin too late."""
    if item.config.last_start and time.monotonic() > item.config.last_start:
        pytest.skip("no time left; make test runs it")
