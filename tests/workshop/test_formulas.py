"""Formulas are set when the site is built: once each, with MathML beside them, and refused where they cannot be."""

import re

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from workshop.sphinx import formulas


@pytest.fixture
def typesetter():
    made = formulas.Typesetter()
    yield made
    made.close()


def test_a_formula_is_html_for_the_eye_and_mathml_for_the_ear(typesetter):
    inline, displayed = typesetter.set([(r"\sqrt{v_t}", False), (r"\sqrt{v_t}", True)])
    page = BeautifulSoup(inline["html"], "html.parser")
    assert page.find("annotation").get_text() == r"\sqrt{v_t}"
    assert [leaf.get_text() for leaf in page.select("math msqrt mi")] == ["v", "t"]
    assert page.select_one(".katex-html")["aria-hidden"] == "true"
    assert "katex-display" in displayed["html"]
    assert "katex-display" not in inline["html"]


def test_a_formula_is_set_once(typesetter):
    first = typesetter.set([("x", False), ("y", False), ("x", False)])
    assert first[0] is first[2]
    typesetter.render = None  # whatever is asked again does not need it
    assert typesetter.set([("y", False)]) == [first[1]]


@pytest.mark.parametrize(
    ("latex", "said"),
    [
        (r"\nonsense", r"Undefined control sequence: \nonsense"),
        ("{x", "Expected '}'"),
        ("x ☃", "Unrecognized Unicode character"),
        (r"\text{梯度}", "KaTeX's fonts have no 梯度"),
    ],
)
def test_what_cannot_be_set_is_named(typesetter, latex, said):
    wrong, right = typesetter.set([(latex, False), ("x", False)])
    assert said in wrong["error"]
    assert "html" in right


def test_an_align_is_not_counted():
    node = nodes.math_block("", r"\begin{align} a &= b \\ c &= d \end{align}")
    assert formulas.formula(node) == (r"\begin{align*} a &= b \\ c &= d \end{align*}", True)


def test_marks_around_a_formula_go_into_its_box():
    x, y = nodes.math("", "x"), nodes.math("", "y")
    paragraph = nodes.paragraph("", "", nodes.Text("see ("), x, nodes.Text("), or "), y, nodes.Text(" then"))
    formulas.take_marks(paragraph)
    assert (x["opening"], x["closing"]) == ("(", "),")
    assert "opening" not in y
    assert "closing" not in y
    assert paragraph.astext() == "see x or y then"


def test_what_is_between_two_formulas_goes_to_both():
    x, y = nodes.math("", "x"), nodes.math("", "y")
    formulas.take_marks(nodes.paragraph("", "", x, nodes.Text(", ("), y, nodes.Text(")")))
    assert (x["closing"], y["opening"], y["closing"]) == (",", "(", ")")


def test_the_site_has_the_fonts_and_their_licence(built):
    folder = built.site / "_static/katex"
    assert "Permission is hereby granted" in (folder / "LICENSE").read_text(encoding="utf-8")
    sheet = next(built.site.glob("_static/site.*.css")).read_text(encoding="utf-8")
    named = re.findall(r"url\(katex/(fonts/[\w-]+\.woff2)\)", sheet)
    assert len(named) == len(list((folder / "fonts").iterdir())) == 20
    assert all((folder / name).is_file() for name in named)
    assert "KaTeX_Main-Regular.woff)" not in sheet


def test_lines_of_a_docstrings_formula_are_aligned():
    """Sphinx's directive takes them bare; KaTeX wants to be told."""
    lines = r"a &= b \\ c &= d"
    named = rf"\begin{{cases}}{lines}\end{{cases}}"
    assert formulas.formula(nodes.math_block(lines, lines)) == (rf"\begin{{aligned}}{lines}\end{{aligned}}", True)
    assert formulas.formula(nodes.math_block(named, named)) == (named, True)
