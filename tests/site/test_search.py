"""Search needs no network: from a server that reaches nothing else and from a folder, for English and Chinese words."""

from urllib.parse import quote

import pytest

QUERIES = {
    "vanishing": "reproduce/vanishing.html",
    "forget gate": "remedies/lstm.html",
    "orthogonal": "remedies/initialization.html",
    "梯度消失": "practice/myths.html",
    "梯度爆炸": "practice/myths.html",
    "链式法则": "appendix/glossary.html",
    "饱和": "appendix/glossary.html",
    "消失": "practice/myths.html",  # within a word
    "梯度 sigmoid": "practice/myths.html",
}
RESULTS = "#search-results ul.search > li > a"


def found(page):
    page.wait_for_function("document.querySelector('#search-results .search-summary')?.textContent")
    hrefs = page.eval_on_selector_all(RESULTS, "links => links.map(link => link.getAttribute('href'))")
    return {href.partition("?")[0].partition("#")[0] for href in hrefs}


@pytest.mark.parametrize("file", [False, True], ids=["served", "file"])
@pytest.mark.parametrize("query", QUERIES)
def test_a_word_is_found_on_its_page(open_page, query, file):
    page = open_page(f"search.html?q={quote(query)}", file=file)
    page.wait_for_selector(RESULTS)
    assert QUERIES[query] in found(page)


@pytest.mark.parametrize("query", ["zzyzx", "熊猫"])
def test_what_the_book_does_not_say_is_not_found(open_page, query):
    assert found(open_page(f"search.html?q={quote(query)}")) == set()


def test_the_field_of_every_page_leads_to_the_results(open_page):
    page = open_page("why/descent.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("梯度消失")
    page.keyboard.press("Enter")
    page.wait_for_selector(RESULTS)
    assert "search.html" in page.url
