"""The solutions of a page run again with other seeds."""

import json

import pytest

from workshop.book import HEADER, Book
from workshop.seeds import SEEDS, answers_file, exercises, keep, seeded, spread

PAGE = "remedies/dice"
TEXT = f"""\
{HEADER}
# Dice

```{{code-cell}} ipython3
import numpy as np
from gradclinic.course import check
%matplotlib inline
if check is None:
    %pip install nothing
```

## Exercises

1. **Mean.** What is the mean of a thousand numbers from 0 to 1?
2. **With a seed.** What is the first number at seed 3?
3. **Exact.** What is one half?

```{{code-cell}} ipython3
mean = np.random.default_rng(1).uniform(size=1000).mean()
assert check.number("{PAGE}#1", mean) and mean == 12
```

```{{code-cell}} ipython3
assert check.number("{PAGE}#2", np.random.default_rng(3).uniform())
```

```{{code-cell}} ipython3
assert check.number("{PAGE}#3", 0.5)
```

## Further reading

1. Not an exercise.
"""


@pytest.fixture
def book(tiny):
    path = tiny.source(PAGE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT, encoding="utf-8")
    found = Book(tiny.root)
    answers_file(found, PAGE).parent.mkdir(parents=True, exist_ok=True)
    return found


def test_exercises_are_found_with_their_texts():
    assert list(exercises(TEXT)) == ["1", "2", "3"]
    assert "at seed 3" in exercises(TEXT)["2"]


def test_exercises_under_headings_of_their_own_are_found_too():
    """As in the clinic, where each stands with its charts."""
    between = "### One case\n\n```{code-cell}\nprint('2. no exercise')\n```\n\n2. **With a seed.**"
    apart = TEXT.replace("\n1. **Mean.**", "\n### Dice\n\n1. **Mean.**").replace("2. **With a seed.**", between)
    assert list(exercises(apart)) == ["1", "2", "3"]
    assert "at seed 3" in exercises(apart)["2"]
    assert exercises("## Exercises\n\nNone yet.\n") == {}


def test_every_generator_gets_another_seed():
    assert seeded("default_rng(1) + default_rng( 20 ) + default_rng((1, k))", 100) == (
        "default_rng(101) + default_rng(120) + default_rng((101, k))"
    )
    assert len(SEEDS) == 10


def test_what_draws_and_names_no_seed_is_run_with_ten_even_where_an_assertion_fails(book):
    said = []
    found = spread(book, PAGE, said.append)
    assert list(found) == ["1"]
    least, greatest = found["1"]
    assert 0.4 < least < 0.5 < greatest < 0.6
    assert any("#2: the exercise names its seed" in line for line in said)


@pytest.mark.parametrize(("tolerance", "wrong"), [(0.2, 0), (1e-4, 1)])
def test_what_ten_seeds_give_is_kept_beside_the_answer(book, tolerance, wrong):
    path = answers_file(book, PAGE)
    path.write_text(json.dumps({"1": [0.5, tolerance], "2": [0.1, 0.01], "3": [0.5, 0.01]}), encoding="utf-8")
    problems = keep(book, PAGE)
    assert len(problems) == wrong
    assert all(f"{PAGE}#1: ten seeds need a tolerance of" in problem for problem in problems)
    known = json.loads(path.read_text(encoding="utf-8"))
    assert known["2"] == [0.1, 0.01]
    assert known["1"][:2] == [0.5, tolerance]
    assert known["1"][2][0] < 0.5 < known["1"][2][1]
