from __future__ import annotations

from dataclasses import FrozenInstanceError
from html.parser import HTMLParser

import pytest

from gradclinic.course.quiz import Choice, Number, Quiz, plain

CHOICE = Choice("Does <i>w</i> = 4 explode?", {"yes": "It needs more.", "no": "The bound is <i>w</i>/4 = 1."}, "no")
NUMBER = Number("How large is 4<sup>-10</sup>?", 4.0**-10, "Ten factors of 1/4.", rtol=0.1)


class Page(HTMLParser):
    """Collects the tags with their attributes, and complains about what does not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "input":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_a_choice_says_of_each_option_what_is_right_or_wrong_about_it():
    shown = Quiz(CHOICE, NUMBER)._repr_html_()
    assert "<summary>yes</summary><p><strong>No.</strong> It needs more.</p>" in shown
    assert "<summary>no</summary><p><strong>Right.</strong> The bound is <i>w</i>/4 = 1.</p>" in shown
    options = [attrs["name"] for attrs in Page(shown).all("details") if "name" in attrs]
    assert len(options) == 2
    assert len(set(options)) == 1


@pytest.mark.parametrize(("answer", "low", "high"), [(4.0**-10, "8.58e-07", "1.05e-06"), (-2.5, "-2.75", "-2.25")])
def test_the_browser_gets_the_accepted_range(answer, low, high):
    (field,) = Page(Number("?", answer, "So.", rtol=0.1).html("n")).all("input")
    assert (field["min"], field["max"], field["step"]) == (low, high, "any")
    assert float(low) <= answer <= float(high)


def test_the_answer_is_set_as_a_reader_writes_it():
    assert "<summary>Answer</summary><p>−2.5 decades. So.</p>" in Number("?", -2.5, "So.", unit=" decades").html("n")
    assert "<summary>Answer</summary><p>1024. So.</p>" in Number("?", 1024.0, "So.").html("n")
    for answer, shown in ((1000.0, "1000"), (999.4, "999"), (999_999.0, "999999"), (1e6, "1e+06")):
        assert f"<p>{shown}. So.</p>" in Number("?", answer, "So.").html("n")
    assert "<summary>Answer</summary><p>9.54e−07. So.</p>" in Number("?", 2.0**-20, "So.").html("n")


def test_ids_are_the_same_in_every_run_and_different_for_every_question():
    other = Number("And 2<sup>-10</sup>?", 2.0**-10, "Ten factors of 1/2.")
    shown = Quiz(NUMBER, other)._repr_html_()
    assert shown == Quiz(NUMBER, other)._repr_html_()
    ids = [attrs["id"] for attrs in Page(shown).all("div") if "id" in attrs]
    assert len(set(ids)) == 2
    assert [attrs["aria-describedby"] for attrs in Page(shown).all("input")] == ids


def test_the_text_holds_question_and_answer_so_that_a_recording_notices_a_change():
    assert repr(Quiz(CHOICE, NUMBER)) == (
        "1. Does w = 4 explode?\n  [ ] yes\n  [x] no\n2. How large is 4^-10?\n  from 8.58e-07 to 1.05e-06"
    )
    assert plain("<i>a</i><sub>0</sub> &lt; 1") == "a_0 < 1"


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="right: got 'maybe', wanted one of 'yes', 'no'"):
        Choice("?", {"yes": "", "no": ""}, "maybe")
    with pytest.raises(ValueError, match="options: got 1, wanted at least two"):
        Choice("?", {"yes": ""}, "yes")
    for rtol in (1.0, 1.5):
        with pytest.raises(ValueError, match="rtol: got"):
            Number("?", 1.0, "", rtol=rtol)
    for answer in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="answer: got"):
            Number("?", answer, "")
    with pytest.raises(ValueError, match="rtol: got 0, wanted a number between 0 and 1"):
        Number("?", 1.0, "", rtol=0)
    with pytest.raises(ValueError, match="questions: got 1, wanted two to four"):
        Quiz(CHOICE)
    with pytest.raises(ValueError, match="questions: got 5"):
        Quiz(*[CHOICE] * 5)


def test_questions_are_numbered_from_one_and_cannot_be_changed():
    shown = Quiz(*[CHOICE] * 4)._repr_html_()
    assert [f"<legend>{count}. Does" in shown for count in range(6)] == [False, True, True, True, True, False]
    assert Number("?", 100.0, "").range == ("95", "105")
    for question in (CHOICE, NUMBER):
        with pytest.raises(FrozenInstanceError):
            question.question = "Another?"
