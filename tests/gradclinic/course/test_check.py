from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from gradclinic.course import check


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setattr(check, "answers", lambda page: {"1": (-2.5, 1e-3), "2": (0.0, 1e-3), "3": (0.5, 1e-3)})
    return "why/descent"


@pytest.mark.parametrize(
    ("key", "value", "right", "said"),
    [
        ("1", -2.5, True, "right"),
        ("1", -2.5024, True, "right"),
        ("1", -2.51, False, "too large in size"),
        ("1", -0.25, False, "too small in size, by a factor of 10"),
        ("1", 2.5, False, "wrong sign"),
        ("1", float("nan"), False, "not a finite number"),
        ("1", 0, False, "too small in size"),
        ("2", 0.0, True, "right"),
        ("1", -6.0, False, "too large in size, by a factor of 2.4"),
        ("1", -1.5, False, "too small in size"),
        ("2", 0.1, False, "too large in size"),
        ("2", 0.9e-9, True, "right"),  # a millionth of the tolerance, where nothing is to be relative to
        ("2", 1.1e-9, False, "too large in size"),
        ("3", 0.7, False, "too large in size"),
        ("3", 0.1, False, "too small in size, by a factor of 5"),
        ("3", 2.0, False, "too large in size, by a factor of 4"),
    ],
)
def test_number_says_how_it_differs(page, capsys, key, value, right, said):
    assert check.number(f"{page}#{key}", value) is right
    assert capsys.readouterr().out == f"{page}#{key}: {said}\n"


def test_what_cannot_be_checked_is_refused(page):
    with pytest.raises(
        ValueError, match="exercise: got 'why/descent#9', wanted one of why/descent#1, why/descent#2, why/descent#3"
    ):
        check.number("why/descent#9", 1.0)
    with pytest.raises(TypeError, match="value: got 'a', wanted one real number"):
        check.number("why/descent#1", "a")


def test_a_page_without_answers_is_refused():
    with pytest.raises(ValueError, match="page: got 'why/nothing'"):
        check.answers("why/nothing")


def test_every_file_of_answers_is_well_formed():
    found = sorted(Path(str(files("gradclinic.course"))).glob("answers/*.json"))
    assert len(found) > 15
    for file in found:
        for key, (value, rtol, *_) in json.loads(file.read_text("utf-8")).items():
            assert key.isdigit(), file.name
            assert isinstance(value, int | float), file.name
            assert 0 < rtol < 0.5, file.name  # an answer within a factor of two is no answer


def test_every_tolerance_covers_what_ten_seeds_give():
    """Of the exercises whose solution draws and that name no seed: kept by ``python -m workshop seeds``."""
    for file in sorted(Path(str(files("gradclinic.course"))).glob("answers/*.json")):
        for key, (value, rtol, *seeds) in json.loads(file.read_text("utf-8")).items():
            for end in seeds[0] if seeds else ():
                assert abs(end - value) <= rtol * abs(value) * (1 + 1e-9), f"{file.stem}#{key}: {end}"
