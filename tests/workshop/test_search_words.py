"""Words as the index holds them."""

import pytest

from workshop.sphinx.search_words import SearchWords, american


@pytest.fixture
def words():
    return SearchWords({})


@pytest.mark.parametrize(
    ("british", "other"),
    [
        ("normalisation", "normalization"),
        ("optimisers", "optimizers"),
        ("initialised", "initialized"),
        ("Regularise", "regularize"),
        ("analysing", "analyzing"),
        ("behaviour", "behavior"),
        ("Colours", "colors"),
        ("centre", "center"),
        ("labelled", "labeled"),
        ("modelling", "modeling"),
    ],
)
def test_british_and_american_are_one_word(words, british, other):
    assert words.stem(british) == words.stem(other)


@pytest.mark.parametrize("word", ["four", "hour", "called", "smaller", "this", "basis", "gradient", "filter"])
def test_other_words_stay(word):
    assert american(word) == word


def test_chinese_is_indexed_by_characters_and_pairs(words):
    assert words.split("梯度消失 in nets") == ["梯", "度", "消", "失", "梯度", "度消", "消失", "in", "nets"]


def test_compounds_are_known_to_the_browser(words):
    words.split("Pre-training, a forward-and-back one, x-axis")
    assert words.compounds == {"pretraining": ("pre", "training")}
    assert 'const COMPOUNDS = {"pretraining":["pre","training"]};' in words.js_splitter_code
    assert "Search._performSearch = " in words.js_splitter_code
