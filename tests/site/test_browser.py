"""The harness of this folder: the real site, nothing from outside it, and its own checks can fail."""

import pytest


@pytest.mark.parametrize("file", [False, True], ids=["served", "file"])
def test_the_first_page_opens(open_page, requests, file):
    page = open_page("index.html", file=file)
    assert page.title().startswith("Unstable gradients")
    assert len(requests) > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_has_the_reader_s_scheme_and_width(open_page, scheme):
    page = open_page("why/descent.html", width=360, scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.evaluate("innerWidth") == 360


def test_without_scripts_none_runs(open_page):
    page = open_page("index.html", javascript=False)
    assert page.locator("html").get_attribute("data-theme") is None


def test_nothing_outside_is_reached_and_that_it_was_asked_for_is_known(open_page, requests):
    page = open_page("index.html")
    fetch = "url => fetch(url, {mode: 'no-cors'}).then(() => 'reached', () => 'refused')"
    for address in ("https://example.com/a.js", "https://93.184.215.14/a.js", "http://localhost:9/a.js"):
        assert page.evaluate(fetch, address) == "refused"
        (asked,) = [request for request in requests if request.url == address]
        requests.remove(asked)  # a figure of the page may be loading meanwhile


def test_asking_for_something_outside_fails_a_test(visiting):
    with pytest.raises(AssertionError, match=r"https://example\.com/"), visiting() as (open_page, _):
        open_page("index.html").evaluate("fetch('https://example.com/', {mode: 'no-cors'}).catch(() => 0)")


def test_a_script_that_fails_fails_a_test(visiting):
    fails = "new Promise(done => { setTimeout(done, 50); setTimeout(() => { throw Error('no such thing') }) })"
    with pytest.raises(AssertionError, match=r"index\.html: no such thing"), visiting() as (open_page, _):
        open_page("index.html").evaluate(fails)
