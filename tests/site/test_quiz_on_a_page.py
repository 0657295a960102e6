"""The questions of a chapter answer in the browser, by mouse and keyboard, with and without script."""

import pytest
from playwright.sync_api import expect

PAGE = "why/descent.html"  # its number: 99/101, accepted from 0.975 to 0.985


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def quiz(open_page, request):
    """Return the questions of one page."""
    return open_page(PAGE, javascript=request.param).locator(".quiz")


def test_a_choice_opens_to_its_remark_and_closes_the_last_one(quiz):
    options = quiz.locator("fieldset").first.locator("details")
    expect(options.locator("p")).to_have_count(3)
    for option in (options.nth(0), options.nth(1)):
        expect(option.locator("p")).to_be_hidden()
    options.nth(0).locator("summary").click()
    expect(options.nth(0).locator("p")).to_contain_text("No.")
    options.nth(1).locator("summary").focus()
    quiz.page.keyboard.press("Enter")
    expect(options.nth(1).locator("p")).to_be_visible()
    expect(options.nth(1).locator("p")).to_contain_text("Right.")
    expect(options.nth(0).locator("p")).to_be_hidden()


@pytest.mark.parametrize(
    ("typed", "right"), [("0.98", True), ("0.99", False), ("98e-2", True), ("0.02", False), ("-0.98", False)]
)
def test_a_number_is_judged_when_enter_is_pressed(quiz, typed, right):
    asked = quiz.locator("fieldset").nth(1)
    expect(asked.locator(".right")).to_be_hidden()
    expect(asked.locator(".wrong")).to_be_hidden()
    asked.get_by_label("Your number").press_sequentially(typed)
    quiz.page.keyboard.press("Enter")
    expect(asked.locator(".right")).to_be_visible(visible=right)
    expect(asked.locator(".wrong")).to_be_visible(visible=not right)


def test_a_number_can_be_given_up_on(quiz):
    asked = quiz.locator("fieldset").nth(1)
    asked.get_by_text("Answer").click()
    expect(asked.locator("details p")).to_contain_text("0.98.")


def test_the_page_does_not_show_the_code_that_holds_the_answers(quiz):
    assert "answer=" not in quiz.page.locator("main").inner_html()


def test_on_a_dark_page_the_questions_are_dark(open_page):
    quiz = open_page(PAGE, scheme="dark").locator(".quiz")
    grounds, ink = quiz.evaluate(
        """quiz => {
            const grounds = [];
            for (let box = quiz; box.tagName !== "ARTICLE"; box = box.parentElement)
                grounds.push(getComputedStyle(box).backgroundColor);
            return [grounds, getComputedStyle(quiz).color];
        }"""
    )
    assert set(grounds) == {"rgba(0, 0, 0, 0)"}
    assert min(map(int, ink.removeprefix("rgb(").removesuffix(")").split(","))) > 200
