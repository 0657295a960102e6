"""Drawn answers are found by the code of their solutions; each names its draw, or its tolerance covers ten seeds."""

import json

import pytest

from workshop.drawn import read_answers
from workshop.seeds import answers_file

PAGE = """\
# Dice

```{{code-cell}} ipython3
from gradclinic.course import check
%matplotlib inline
{page}
```

## Exercises

1. **Dice.** {asked}

```{{code-cell}} ipython3
{solution}
```
"""
CHECKED = 'assert check.number("remedies/dice#1", {})'


def read(solution, page="pass", asked="What is the mean?", passed="mean"):
    """Return what is read of a page with one exercise."""
    text = PAGE.format(page=page, asked=asked, solution=f"{solution}\n{CHECKED.format(passed)}")
    return read_answers(text)["1"]


@pytest.mark.parametrize(
    ("page", "solution"),
    [
        ("pass", "mean = np.random.default_rng(1).normal(size=10).mean()"),
        ("rng = np.random.default_rng(1)", "mean, least = np.mean(rng.normal(size=10)), 0"),
        ("pass", "torch.manual_seed(0)\nmean = torch.randn(10).mean()"),
        ("def draw(seed=1):\n    return np.random.default_rng(seed).normal(size=10)", "mean = draw().mean()"),
        ("dice = np.random.default_rng(1).normal(size=10)\ndef typical():\n    return dice.mean()", "mean = typical()"),
        ("pass", "found = []\nfound.append(np.random.default_rng(1).normal())\nmean = np.mean(found)"),
        ("pass", "found = np.zeros(3)\nfound[1] = np.random.default_rng(1).normal()\nmean = found.mean()"),
        ("pass", "mean = 0\nfor value in np.random.default_rng(1).normal(size=9):\n    mean += value / 9"),
        (
            "rng = np.random.default_rng(1)",
            "mean, later = 0, 0\nfor _ in range(9):\n    mean, later = later, rng.normal()",
        ),
        ("dice = np.random.default_rng(1)", "mean = 0\nif dice.normal() > 0:\n    mean = 1"),
        ("dice = np.random.default_rng(1)", "mean = 0\nwhile dice.normal() > 0:\n    mean += 1"),
        ("net = made()", "train(net, x, rng=np.random.default_rng(0))\nmean = accuracy(net)"),
        ("class Coin:\n    rng = np.random.default_rng(0)", "mean = Coin().toss()"),
    ],
)
def test_what_is_drawn_is_followed_to_the_answer(page, solution):
    assert read(solution, page) == (True, False)


@pytest.mark.parametrize(
    ("page", "solution"),
    [
        ("pass", "mean = 0.5"),
        ("mean = np.random.default_rng(1).normal()", "mean = 0.5"),  # the name was given to something else
        ("dice = np.random.default_rng(1)", "mean = 0.5\nassert abs(dice.normal() - mean) < 5"),
        ("w = np.random.default_rng(1)", "def square(w):\n    return w * w\nmean = square(2)"),
        ("w = np.random.default_rng(1)", "mean = sum(w for w in (1, 2))"),
        ("log = np.random.default_rng(1).normal()", "mean = np.log(2)"),  # a module's function of the same name
    ],
)
def test_a_formula_is_not_drawn_whatever_it_is_compared_with(page, solution):
    assert read(solution, page)[0] is False


def test_one_of_several_right_numbers_is_enough():
    also = CHECKED.format("np.random.default_rng(1).normal()")
    assert read(f"mean = 0\n{also}") == (True, False)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("Draw it with seed 3.", True),
        ("Draw it with `np.random.default_rng(3)`.", True),
        ("Draw it with the seeds of this page.", True),
        ("Take the numbers of `draw(20)`.", True),
        ("Take the numbers of `other(20)`.", False),
        ("Take the numbers of draw.", False),
        ("Use `package.draw(20, rng)`.", False),
        ("Pass the `mean`.", False),  # the solution's own name
    ],
)
def test_an_exercise_names_its_draw_by_a_seed_or_by_what_the_page_has_drawn(asked, named):
    page = "def draw(count):\n    return np.random.default_rng(1).normal(size=count)\nother = np.zeros"
    assert read("mean = draw(20).mean()", page, asked) == (True, named)


def test_every_drawn_answer_names_its_draw_or_its_tolerance_covers_ten_seeds(real):
    """The ten are kept beside the answer by ``python -m workshop seeds``."""
    drawn, stored = [], []
    for page in real.executed:
        if not answers_file(real, page).is_file():
            continue
        answers = json.loads(answers_file(real, page).read_text(encoding="utf-8"))
        found = read_answers(real.text(page))
        assert set(found) == set(answers), page
        for key, (is_drawn, named) in found.items():
            drawn += [f"{page}#{key}"] * is_drawn
            if is_drawn and not named:
                value, tolerance, *ten = answers[key]
                assert ten, f"{page}#{key}: names no seed, and ten seeds are not kept: python -m workshop seeds {page}"
                assert max(abs(end - value) for end in ten[0]) <= tolerance * abs(value) * (1 + 1e-9), f"{page}#{key}"
                stored.append(f"{page}#{key}")
    assert len(drawn) > len(stored) > 0
