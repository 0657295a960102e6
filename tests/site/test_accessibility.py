"""The site for readers who use a keyboard or want nothing to move. What holds for every page: test_pages.py."""

import pytest


@pytest.mark.parametrize("width", [1280, 360])
def test_the_focus_is_seen_on_everything_that_takes_it(open_page, width):
    page = open_page("why/descent.html", width=width, reduced_motion="reduce")
    ring = """() => {
      const element = document.activeElement, style = getComputedStyle(element);
      const seen = element.checkVisibility({opacityProperty: true}) && element.getBoundingClientRect().width > 0
        && ((style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== 'none');
      element.dataset.visits = 1 + +(element.dataset.visits || 0);
      return [element === document.body, element.dataset.visits > 1, seen, element.outerHTML.slice(0, 150)];
    }"""
    unseen, visited = [], []
    for _ in range(600):
        page.keyboard.press("Tab")
        over, again, seen, html = page.evaluate(ring)
        if over or again:
            break
        visited.append(html)
        if not seen:
            unseen.append(html)
    assert unseen == []
    assert len(visited) > 40
    assert "Skip to main content" in visited[0]
    assert any("copybtn" in html or "<summary" in html for html in visited)


def test_the_first_key_leads_past_the_navigation(open_page):
    page = open_page("why/descent.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_nothing_moves_for_a_reader_who_wants_it_so(open_page):
    moving = """() => [...document.querySelectorAll('*')].filter(element => {
      const style = getComputedStyle(element);
      const lasts = style.transitionDuration.split(', ').some(time => parseFloat(time) > 0);
      return style.scrollBehavior === 'smooth' || style.animationName !== 'none'
        || (style.transitionProperty !== 'none' && lasts);
    }).map(element => element.outerHTML.slice(0, 80))"""
    assert open_page("why/descent.html", reduced_motion="no-preference").evaluate(moving) != []
    assert open_page("why/descent.html", reduced_motion="reduce").evaluate(moving) == []
