"""Printed words that nothing measured decides are found, and only these."""

import pytest

from workshop.book import Book
from workshop.canned import canned, problems

LEARNS = "print('accuracy ' + ('above 0.8' if learns else 'below 0.3'))"


@pytest.mark.parametrize(
    "source",
    [
        f"learns = True\n{LEARNS}",
        f"for name, learns in (('a', True), ('b', False)):\n    {LEARNS}",
        f"for name, learns in {{'a': True}}.items():\n    {LEARNS}",
        f"cases = {{'a': (f, 1)}}\nfor name, (g, n) in cases.items():\n    learns = name not in 'bc'\n    {LEARNS}",
        f"for name in ('sgd', 'adam'):\n    learns = name.startswith('a')\n    {LEARNS}",
        "for rate in (0.1, 1.0):\n    print(f\"{'diverges' if rate > 0.5 else 'converges'}\")",
    ],
)
def test_a_word_decided_by_a_name_or_a_typed_list_is_found(source):
    (found,) = canned(source)
    assert " if " in found[1]
    assert found[0] == len(source.splitlines())


@pytest.mark.parametrize(
    "source",
    [
        f"learns = accuracy(net) > 0.8\n{LEARNS}",
        f"for name, learns in (('a', run(1)), ('b', run(2))):\n    {LEARNS}",
        f"wrong = []\nfor k in range(3):\n    wrong.append(error(k) > 1)\n    learns = wrong[-1]\n    {LEARNS}",
        f"steps = {{}}\nsteps['a'] = count(net)\nfor name, n in steps.items():\n    learns = n < 90\n    {LEARNS}",
        f"for learns in (True, False):\n    learns = test(learns)\n    {LEARNS}",
        "for pre in (True, False):\n    print(f\"{'pre' if pre else 'post'}-LN {error(pre):.2f}\")",  # a label
        "label = 'above 0.8' if learns else 'below 0.3'",  # not printed
        "print(learns",  # not Python: other checks say so
    ],
)
def test_what_is_measured_and_what_is_a_label_is_left_alone(source):
    assert list(canned(source)) == []


def test_a_name_of_an_earlier_cell_keeps_what_it_was():
    known = {}
    assert list(canned("learns = accuracy(net) > 0.8", known)) == []
    assert list(canned(LEARNS, known)) == []
    assert len(list(canned(f"learns = False\n{LEARNS}", known))) == 1


def test_the_page_and_the_line_are_named(tiny):
    page = tiny.executed[0]
    path = tiny.source(page)
    text = path.read_text(encoding="utf-8")
    cell = f"\n```{{code-cell}} ipython3\nlearns = True\n{LEARNS}\n```\n"
    path.write_text(text + cell, encoding="utf-8")
    (found,) = problems(Book(tiny.root))
    line = (text + cell).splitlines().index(LEARNS) + 1
    assert found.startswith(f"book/{page}.md:{line}: printed as measured, decided by a typed value: ")
