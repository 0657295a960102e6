"""A coarse word must name the side on which the number lies, the borders included."""

import math

import pytest

from gradclinic.course import coarse


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.49, "below 0.5"), (0.5, "0.5 to 0.65"), (0.6, "0.5 to 0.65"), (0.65, "0.5 to 0.65"), (0.66, "above 0.65")],
)
def test_side(value, said):
    assert coarse.side(value, 0.5, 0.65) == said


def test_a_value_that_has_settled_is_said_with_its_digits_above_the_borders_only():
    assert coarse.side(0.876, 0.3, 0.7, digits=2) == "0.88"
    assert coarse.side(0.25, 0.3, 0.7, digits=2) == "below 0.3"
    assert coarse.side(0.5, 0.3, 0.7, digits=2) == "0.3 to 0.7"


def test_what_is_not_a_number_lies_on_no_side():
    assert coarse.side(math.nan, 0.3, 0.7) == "not a number"


@pytest.mark.parametrize(
    ("number", "said"), [(0, "at most 4"), (4, "at most 4"), (5, "5 to 6"), (6, "5 to 6"), (7, "at least 7")]
)
def test_count(number, said):
    assert coarse.count(number, 4, 7) == said


def test_none():
    assert coarse.count(0, 0, 3) == "none"
    assert coarse.count(1, 0, 3) == "1 to 2"


@pytest.mark.parametrize(
    ("function", "low", "high"), [(coarse.side, 0.5, 0.5), (coarse.side, 2, 1), (coarse.count, 4, 5)]
)
def test_a_single_border_is_refused(function, low, high):
    with pytest.raises(ValueError, match=r"low .* high .* wanted low"):
        function(0, low, high)
