"""The glossary: its form, the words that count as its terms, and the links that the site makes of them."""

import re
from html import unescape

import pytest

from workshop.glossary import EVERYDAY, MOST_LINKS, PAGE, entries, first_uses, names, problems, uses
from workshop.markdown import running_text
from workshop.sphinx.accessibility import parts_of_a_table

HEAD = "| English | Chinese | meaning | page |\n|---|---|---|---|\n"
GLOSSARY = (
    "# Glossary\n\n"
    + HEAD
    + "| batch | 批量 | samples in one gradient | |\n"
    + "| batch normalisation, batch norm | 批归一化 | standardising over the *batch* | [there](../p.md) |\n"
    + "| gradient | 梯度 | the partial derivatives | |\n"
    + "| long short-term memory (LSTM) | 长短期记忆网络 | gates | |\n"
    + "| pre-activation | 预激活值 (z) | a weighted sum | |\n"
    + "| vanishing gradient, to vanish | 梯度消失 | it shrinks | |\n"
    + "| He's weights | He 初始化 | 2/fan-in | |\n"
    + "| unit, capacity | 神经元 | one entry of a layer | |\n"
)


def found(text):
    return [(text[use.start : use.end], use.entry.english[0]) for use in uses(text, entries(GLOSSARY))]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Batch normalization of a batch", [("Batch normalization", "batch normalisation"), ("batch", "batch")]),
        ("two batches, a minibatch, batch-mean", [("batches", "batch")]),
        ("batch\nnorm", [("batch\nnorm", "batch normalisation")]),
        ("preactivations", [("preactivations", "pre-activation")]),
        ("Pre activation", [("Pre activation", "pre-activation")]),
        ("gradients vanished", [("gradients", "gradient"), ("vanished", "vanishing gradient")]),
        ("vanishing gradients", [("vanishing gradients", "vanishing gradient")]),
        ("an LSTM, no lstm", [("LSTM", "long short-term memory")]),
        ("He’s weights, he's weights", [("He’s weights", "He's weights")]),
        ("capacities", [("capacities", "unit")]),
        ("a unit of unit variance", [("unit", "unit")]),
        ("遇到了梯度消失, 梯度", [("梯度消失", "vanishing gradient"), ("梯度", "gradient")]),
        ("用He初始化和LSTM", [("He初始化", "He's weights"), ("LSTM", "long short-term memory")]),
        ("a.gradient, gradient_norm, weight-gradient", []),
    ],
)
def test_terms_are_whole_words_the_longest_first(text, terms):
    assert found(text) == terms


def test_a_first_use_counts_once_in_each_language():
    texts = ["a gradient", "the gradient 梯度 of a batch norm", "梯度, batch"]
    fresh = [[(use.entry.english[0], use.chinese) for use in found] for found in first_uses(texts, entries(GLOSSARY))]
    assert fresh == [
        [("gradient", False)],
        [("gradient", True), ("batch normalisation", False)],
        [("batch", False)],
    ]


def test_everyday_words_and_quotations_are_no_first_use():
    texts = ["a unit, a norm", 'he says “the gradient” and 《梯度消失》; a "batch"', "it's a batch's gradient"]
    fresh = [[(use.entry.english[0], use.chinese) for use in found] for found in first_uses(texts, entries(GLOSSARY))]
    assert fresh == [[], [], [("batch", False), ("gradient", False)]]
    assert {"unit", "training", "skip"} <= EVERYDAY


def test_a_page_has_few_links():
    rows = "".join(f"| term{chr(97 + i)} | 词 | m | |\n" for i in range(20))
    text = " ".join(f"term{chr(97 + i)}" for i in range(20))
    assert sum(map(len, first_uses([text, text], entries(HEAD + rows)))) == MOST_LINKS == 15


def test_cells_are_split_into_names():
    assert names("a b, c (CD)", chinese=False) == ("a b", "c", "CD")
    assert names("误差项 (δ), 梯度", chinese=True) == ("误差项", "梯度")
    for wrong in ("", "a,", "a (b) c", "(b)"):
        with pytest.raises(ValueError, match="wanted names separated by commas"):
            names(wrong, chinese=False)


@pytest.mark.parametrize("row", ["| a | 甲 | | |", "| a | 甲 | m |", "| a | | m | |"])
def test_a_row_of_another_form_is_named(row):
    with pytest.raises(ValueError, match="line 3: wanted the cells English, Chinese, meaning, page"):
        entries(HEAD + row)


def test_only_sentences_are_searched():
    text = "# gradient\n\nSee [gradient](a.md), `gradient`, $gradient$ and *this*\nbatch.\n"
    text += "\n| gradient |\n|---|\n| unit |\n"
    text += "\n```{code-cell} ipython3\ngradient\n```\n"
    assert "gradient" not in " ".join(running_text(text))
    assert [word for piece in running_text(text) for word, _ in found(piece)] == ["batch", "unit"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("| 批量 |", "| 梯度 |", "梯度 is a name of batch and of gradient"),
        ("| batch |", "| flux |", "no page uses flux"),
        ("samples in one gradient", "", "wanted the cells"),
    ],
)
def test_what_is_wrong_with_a_glossary_is_said(tiny, old, new, said):
    path = tiny.source(PAGE)
    used = "A batch, batch norm, gradient, LSTM, pre-activation, to vanish, He's weights, unit, flux: 梯度.\n"
    tiny.source("index").write_text(
        f"# Index\n\n{used.replace('flux', '') if 'flux' in new else used}", encoding="utf-8"
    )
    path.write_text(GLOSSARY, encoding="utf-8")
    assert problems(tiny) == []
    path.write_text(GLOSSARY.replace(old, new, 1), encoding="utf-8")
    assert said in " ".join(problems(tiny))


PAGE_TEXT = """\
# The gradient

[gradient](#x), `gradient` and $gradient$ are none; the **gradient** of one
*batch* is the first gradient: 梯度消失.

(x)=
## A batch norm

| gradient | batch norm |
|---|---|
| unit | He's weights |

> a pre-activation

```python
unit
```

## What the sources say

The pre-activation: 预激活值.

<p>LSTM</p>
"""


@pytest.fixture(scope="module")
def site(render, tmp_path_factory):
    """A site of a page, a glossary, and the extension."""
    texts = {PAGE: GLOSSARY.replace("[there](../p.md)", ""), "index": PAGE_TEXT}
    made, said = render(tmp_path_factory.mktemp("site"), texts, "glossary_links", myst_enable_extensions=["dollarmath"])
    assert said == ""
    return {name: (made / f"{name}.html").read_text(encoding="utf-8") for name in texts}


def test_the_site_links_the_first_use_of_a_term_in_a_sentence(site):
    links = re.findall(r'<a class="term[^"]*" href="([^"]*)" title="([^"]*)">([^<]*)</a>', site["index"])
    assert [(unescape(title), word) for _, title, word in links] == [
        ("the partial derivatives (梯度)", "gradient"),
        ("samples in one gradient (批量)", "batch"),
        ("vanishing gradient: it shrinks", "梯度消失"),
        ("2/fan-in (He 初始化)", "He’s weights"),
    ]
    assert "<strong><a" in site["index"]
    for address, _, _ in links:
        page, anchor = address.split("#")
        assert page == "appendix/glossary.html"
        assert f'id="{anchor}"' in site[PAGE]


def test_the_glossary_itself_has_anchors_and_no_such_links(site):
    assert site[PAGE].count('id="term-') == GLOSSARY.count("\n| ") - 1
    assert 'class="term' not in site[PAGE]


def test_the_books_own_glossary_is_in_order(real):
    rows = entries(real.text(PAGE))
    assert len(rows) > 100
    first = [entry.english[0].lower() for entry in rows]
    assert first == sorted(first)
    assert len({entry.anchor for entry in rows}) == len(rows)


def test_rows_that_a_phone_stacks_keep_their_parts():
    made = parts_of_a_table(
        '<table class="table"><thead><tr class="row-odd"><th class="head">a</th></tr></thead>'
        '<tbody><tr><td role="cell">b</td></tr></tbody></table>'
    )
    assert re.findall(r'<(\w+) role="(\w+)"', made) == [
        ("table", "table"),
        ("thead", "rowgroup"),
        ("tr", "row"),
        ("th", "columnheader"),
        ("tbody", "rowgroup"),
        ("tr", "row"),
        ("td", "cell"),
    ]
