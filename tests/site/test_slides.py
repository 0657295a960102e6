"""A page as slides: nothing lost, an answer after its question, figures that follow their knobs."""

import pytest


@pytest.fixture
def deck(open_page):
    page = open_page("why/descent.html?slides")
    page.wait_for_selector(".slides-bar [role=status]")
    return page


def number(page):
    """The slide that is shown, and how many there are."""
    _, here, _, all_of_them = page.inner_text(".slides-bar [role=status]").split()
    return int(here), int(all_of_them)


SHOWN = """() => [...document.querySelectorAll('article.bd-article :is(h1, h2, p, pre, details.veil > summary, img)')]
  .filter(element => element.checkVisibility()).map(element => element.textContent.replace(/#$/, '') || element.src)"""


def test_what_the_page_shows_is_on_some_slide(deck, open_page):
    page = open_page("why/descent.html")
    page.evaluate("""for (const part of document.querySelectorAll(
      '#exercises, #deeper, #what-the-sources-say, #further-reading, .tag_checks, .page-times, .above-input, ' +
      '.cell:has(.interactive) .cell_output'))
      part.remove()""")
    wanted = set(page.evaluate(SHOWN))
    seen = set()
    _, count = number(deck)
    for here in range(1, count + 1):
        go(deck, here)
        assert number(deck) == (here, count)
        shown = deck.evaluate(SHOWN)
        assert shown
        assert deck.evaluate("document.documentElement.scrollWidth") <= 1280
        seen.update(shown)
    assert wanted - seen == set()


def go(page, wanted):
    """Press the key until that slide is there: it scrolls, and opens answers, on its way."""
    for _ in range(12):
        here, count = number(page)
        if here >= min(wanted, count):
            return
        page.keyboard.press("ArrowRight")


def test_the_answer_comes_after_the_question_and_before_the_next_slide(deck):
    for _ in range(40):
        if deck.locator("details.veil:visible").count():
            break
        deck.keyboard.press("ArrowRight")
    here, _ = number(deck)
    veil = deck.locator("details.veil:visible")
    assert deck.locator("p:visible", has_text="Predict.").count() == 1
    assert veil.get_attribute("open") is None
    assert "ends at the same number" not in deck.inner_text("article")
    deck.keyboard.press("ArrowRight")
    assert number(deck)[0] == here
    assert veil.get_attribute("open") is not None
    go(deck, here + 1)
    assert number(deck)[0] == here + 1
    deck.keyboard.press("ArrowLeft")
    assert number(deck)[0] == here


def test_a_figure_follows_its_knob_and_keeps_the_arrow_keys(deck):
    deck.keyboard.press("ArrowRight")
    knob = deck.locator(".interactive input[type=range]:visible").first
    knob.wait_for()
    here = number(deck)
    said = deck.inner_text(".interactive-finding:visible")
    knob.focus()
    deck.keyboard.press("ArrowRight")
    deck.wait_for_function("said => document.querySelector('.interactive-finding').innerText !== said", arg=said)
    assert number(deck) == here


def test_it_is_found_and_left_again(open_page):
    page = open_page("why/descent.html")
    assert page.locator(".slides-bar").count() == 0
    assert page.locator("a.btn-slides-button").get_attribute("href") == "?slides"
    page = open_page("why/descent.html?slides=5")
    page.wait_for_selector(".slides-bar [role=status]")
    assert number(page)[0] == 5
    page.keyboard.press("Escape")
    page.wait_for_url(lambda address: "slides" not in address)
    assert "#" in page.url
    page.wait_for_selector(".bd-sidebar-primary")
