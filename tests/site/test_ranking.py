"""The page that is about a query comes first, however its words are written."""

from urllib.parse import quote

import pytest

FIRST = {
    "vanishing gradients": "reproduce/vanishing",
    "exploding gradients": "reproduce/exploding",
    "vanishing gradient": "reproduce/vanishing",
    "measuring gradients": "reproduce/measuring",
    "gradient clipping": "remedies/clipping",
    "gradient penalty": "remedies/gradient-penalty",
    "gradient descent": "why/descent",
    "sigmoid chain": "why/sigmoid-chain",
    "back-propagation": "why/backpropagation",
    "backpropagation": "why/backpropagation",
    "back propagation": "why/backpropagation",
    "layer jacobians": "why/jacobians",
    "recurrent networks": "why/recurrence",
    "initialisation": "remedies/initialization",
    "initialization": "remedies/initialization",
    "activation functions": "remedies/activations",
    "batch normalisation": "remedies/batch-normalization",
    "batch normalization": "remedies/batch-normalization",
    "layer normalization": "remedies/layer-normalization",
    "residual connections": "remedies/residual",
    "forget gate": "remedies/lstm",
    "LSTM": "remedies/lstm",
    "GRU": "remedies/lstm",
    "pre-training": "remedies/pretraining",
    "pretraining": "remedies/pretraining",
    "pre training": "remedies/pretraining",
    "regularization": "remedies/regularization",
    "regularisation": "remedies/regularization",
    "adaptive optimizers": "remedies/adaptive-optimizers",
    "adaptive optimiser": "remedies/adaptive-optimizers",
    "mixed precision": "beyond/mixed-precision",
    "mixed-precision": "beyond/mixed-precision",
    "transformers": "beyond/transformers",
    "ten thousand layers": "beyond/ten-thousand-layers",
    "loss spikes": "today/spikes",
    "attention logits": "today/attention-logits",
    "coordinate check": "today/width",
    "matrix of remedies": "remedies/matrix",
    "myths": "practice/myths",
    "own model": "practice/your-own-model",
    "framework defaults": "appendix/framework-defaults",
    "notation": "appendix/notation",
    "glossary": "appendix/glossary",
}
TWINS = [
    ("pre-training", "pretraining", "pre training"),
    ("back-propagation", "backpropagation", "back propagation"),
    ("mixed-precision", "mixed precision"),
    ("normalisation", "normalization"),
    ("initialised", "initialized"),
    ("optimiser", "optimizers"),
    ("behaviour", "behavior"),
]


SHOWN = "#search-results ul.search > li > a"


@pytest.fixture
def search(open_page):
    """Return ``search(query)``: the pages that are found, best first, by the site's own search in the browser."""
    page = open_page("search.html")
    page.wait_for_function("typeof Search !== 'undefined' && Search._index")

    def ask(query):
        return page.evaluate(
            "query => Search._performSearch(...Search._parseQuery(query)).reverse().map(result => result[0])", query
        )

    return ask


def test_what_is_found_is_shown_in_this_order(open_page, search):
    """By the reader's way: the address of a query."""
    page = open_page(f"search.html?q={quote('gradient clipping')}")
    page.wait_for_function("document.querySelector('#search-results .search-summary')?.textContent")
    hrefs = page.eval_on_selector_all(SHOWN, "links => links.map(link => link.getAttribute('href'))")
    shown = [href.partition("?")[0].partition("#")[0].removesuffix(".html") for href in hrefs]
    assert shown == search("gradient clipping")
    assert len(shown) > 10


def test_the_page_that_is_about_it_comes_first(search):
    assert len(FIRST) >= 30
    found = {query: search(query)[:3] for query in FIRST}
    assert {query: pages[:1] for query, pages in found.items() if pages[:1] != [FIRST[query]]} == {}


def test_a_word_and_its_twins_find_the_same_pages(search):
    for twins in TWINS:
        found = [sorted(set(search(query))) for query in twins]
        assert found[0], twins
        assert all(pages == found[0] for pages in found), twins


def test_what_is_nowhere_is_not_found(search):
    assert search("zzyzx-training") == []
