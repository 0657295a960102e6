"""Words as the index holds them."""

from types import SimpleNamespace

import pytest

from workshop.sphinx.search_words import SearchWords, american, tell_compounds


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


def test_compounds_are_known_to_the_browser(words, tmp_path):
    script = tmp_path / "_static/language_data.js"
    script.parent.mkdir()
    script.write_text(words.js_splitter_code, encoding="utf-8")  # Sphinx: before it reads the pages' words
    words.split("Pre-training, a forward-and-back one, x-axis")
    assert words.compounds == {"pretraining": ("pre", "training")}
    builder = SimpleNamespace(format="html", search=True, indexer=SimpleNamespace(lang=words))
    app = SimpleNamespace(builder=builder, outdir=tmp_path)
    tell_compounds(app, None)
    assert 'const COMPOUNDS = {"pretraining":["pre","training"]};' in script.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"language_data\.js: no place for compounds"):
        tell_compounds(app, None)


def test_the_site_has_a_place_for_them(built):
    script = (built.site / "_static/language_data.js").read_text(encoding="utf-8")
    assert "const COMPOUNDS = {" in script
    assert "Search._performSearch = " in script
