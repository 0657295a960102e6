"""Markup that shows: each kind is found wherever it stands, and nothing that only looks like it."""

import pytest

from workshop.raw_markup import Words

CASES = {
    "| a | b | |---|---| | 1 | 2 |": "a table's rule: |---|",
    "| a | | --- | | 1 |": "a table's rule: | --- |",
    "|what|PyTorch| |—|—| |1|2|": "a table's rule: |—|",  # as the builder sets three hyphens
    "a **word** to stress": "bold: **word**",
    "so $$x^2$$ grows": "mathematics: $$",
    "so $x^2$ grows": "mathematics: $x^2$",
    r"so \(x\) grows": r"mathematics: \(",
    r"so \frac{1}{2} grows": r"mathematics: \frac",
    "as {cite}`glorot2010` said": "a role or directive: {cite}",
    "as {cite:p}`glorot2010` said": "a role or directive: {cite:p}",
    "the {{ version }} of": "a role or directive: {{ version }}",
    "it costs {cost} seconds": "a role or directive: {cost}",
    "see [the page](../why/descent.md)": "a link: [the page](../why/descent.md)",
    "```python": "a fence: ```",
    ":::note": "a fence: :::",
    "## A heading": "a heading: ## A",
    "&lt;sub&gt;2&lt;/sub&gt;": "a tag: <sub>",
    "&lt;class 'torch.Tensor'&gt;": "a Python object: <class 'torch.Tensor'>",
    "&lt;matplotlib.lines.Line2D object at 0x7f01&gt;": "a Python object: <matplotlib.lines.Line2D object at 0x7f01>",
}

SOUND = [
    "<p>a < b and c > d, |x| - |y|, 2 * 3 * 4, a set {1, 2}, f(x)[0](y)</p>",
    "<p>five dollars ($5) or ten ($10)</p>",
    "<p>names with_under_scores and __init__.py</p><p><code>__init__</code> and <code>**kwargs</code></p>",
    "<p>a — b | c — d</p>",
    "<pre>| a | b |\n|---|---|\n**bold** $$ {cite} # heading</pre>",
    '<p>so <span class="katex-html"><span>{</span><span>a</span><span>}</span></span> grows</p>',
    r"<math><annotation>\frac{1}{2} {x} $$</annotation></math>",
    "<script>const a = `${b}` ** {c};</script><style>a {b: c}</style>",
    '<p title="**no**">yes</p>',
]


def read(html):
    words = Words()
    words.feed(html)
    words.close()
    return words.raw()


@pytest.mark.parametrize("shown", CASES)
def test_raw_markup_is_found(shown):
    assert CASES[shown] in read(f"<html><head><title>x</title></head><body><div><p>{shown}</p></div></body></html>")


def test_it_is_found_across_lines_and_tags():
    assert read("<p>a **word\nor <em>two</em>** here</p>") == ["bold: **word or two**"]
    assert read("<li>|—|<br>x</li><li>|—|</li>") == ["a table's rule: |—|"]
    assert read("<td>x</td></td></p><p>**y**") == ["bold: **y**"]  # tags that were never opened or closed


def test_a_program_may_print_markup_but_not_an_object():
    assert read("<pre>&lt;class 'int'&gt; **x**</pre>") == ["a Python object: <class 'int'>"]


@pytest.mark.parametrize("html", SOUND)
def test_what_only_looks_like_markup_is_left_alone(html):
    assert read(html) == []
