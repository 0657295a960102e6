"""The table of changed lines counts what was stored, and names modules and tests that there are."""

import importlib.util
import json
from pathlib import Path

import pytest

from workshop.sphinx.changed_lines import rows

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "benchmarks/mutants.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_changes_that_change_nothing_are_not_counted():
    stored = {
        "chain": {"changes": 12, "equivalent": 2, "noticed": 9},
        "init": {"changes": 10, "equivalent": 0, "noticed": 10},
    }
    assert rows(stored) == [("chain", "10", "9 (90%)"), ("init", "10", "10 (100%)"), ("all", "20", "19 (95%)")]


def test_every_module_has_tests_that_answer_for_it(mutants):
    for module in mutants.TWINS:
        assert mutants.path_of(module).is_file(), module
        assert all(Path(file).is_file() for file in mutants.twins(module)), module


def test_what_was_stored_is_what_was_wanted(mutants):
    stored = json.loads(mutants.STORED.read_text(encoding="utf-8"))
    assert set(stored) <= set(mutants.TWINS)
    for module, counts in stored.items():
        tried = counts["changes"] - counts["equivalent"]
        assert counts["noticed"] >= mutants.WANTED * tried, module


def test_a_line_that_is_excused_can_still_be_drawn(mutants):
    """An excuse for a line that is no longer there, or that was mistyped, excuses nothing."""
    for module, line in mutants.EQUIVALENT:
        assert line in {mutant.after for mutant in mutants.mutants(module)}, (module, line)
