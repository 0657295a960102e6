"""Questions that answer at once: on the static page, in Jupyter and in Colab, without an account and without script.

A choice is a list of ``<details>``, each of which opens to what is right or wrong about it. A number is an
``<input type="number">`` whose accepted range the browser itself checks (``:user-valid`` and ``:user-invalid``, in
Chromium since 119, Firefox 88, Safari 16.5); where it does not, the answer is still one click away. The right answer
comes from the chapter's own computation, so it cannot drift from it.

The texts are HTML: ``<i>w</i>`` for a letter of a formula, ``<sup>``, ``<sub>``, and ``&lt;`` for a bare ``<``.
"""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

STYLE = """
.quiz { max-width: 44em; }
.quiz fieldset { border: 1px solid #8886; border-radius: 6px; margin: 0 0 1em; min-width: 0; padding: .4em 1em .8em; }
.quiz legend { float: left; font-size: inherit; font-weight: 600; margin: .3em 0 .5em; padding: 0; width: 100%; }
.quiz legend + * { clear: both; }
.quiz details { border: 0; margin: .2em 0; padding: 0; }
.quiz summary { cursor: pointer; margin-left: 1.1em; padding: .2em 0; text-indent: -1.1em; }
.quiz p { margin: .2em 0 .4em; }
.quiz details p { padding-left: 1.1em; }
.quiz label { display: inline-block; margin: .2em 0; }
.quiz input { background: transparent; border: 1px solid #888; border-radius: 4px; color: inherit; font: inherit;
  margin: 0 .3em; padding: .1em .4em; width: 9em; }
.quiz .right, .quiz .wrong { display: none; }
.quiz :has(input:user-valid) ~ div .right, .quiz :has(input:user-invalid) ~ div .wrong { display: block; }
"""
"""Travels with the questions, so that they look the same wherever the notebook is opened; colours are inherited."""

TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class Choice:
    """``question`` with ``options``, option -> what is right or wrong about it; ``right`` is one of the options.

    Each remark begins with its own reason: "Right." or "No." is put before it.
    """

    question: str
    options: Mapping[str, str]
    right: str

    def __post_init__(self) -> None:
        """Refuse a right answer that is not offered, and fewer than two options."""
        if len(self.options) < 2:
            raise ValueError(f"options: got {len(self.options)}, wanted at least two")
        if self.right not in self.options:
            raise ValueError(f"right: got {self.right!r}, wanted one of {', '.join(map(repr, self.options))}")

    def html(self, name: str) -> str:
        """One ``<details>`` an option; those of one ``name`` close each other."""
        return "".join(
            f'<details name="{name}"><summary>{option}</summary>'
            f"<p><strong>{'Right.' if option == self.right else 'No.'}</strong> {remark}</p></details>"
            for option, remark in self.options.items()
        )

    def text(self) -> str:
        """The options, the right one marked."""
        return "\n".join(f"  [{'x' if option == self.right else ' '}] {plain(option)}" for option in self.options)


@dataclass(frozen=True)
class Number:
    """``question`` whose answer is the real number ``answer``; within ``rtol`` of it is right, ``because`` says why.

    ``unit``: what stands behind the field. The accepted range is ``answer (1 -+ rtol)``, its ends to three digits.
    """

    question: str
    answer: float
    because: str
    rtol: float = 0.05
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse what has no relative tolerance: zero and what is not finite."""
        if not math.isfinite(self.answer) or self.answer == 0:
            raise ValueError(f"answer: got {self.answer!r}, wanted a finite number other than 0")
        if not 0 < self.rtol < 1:
            raise ValueError(f"rtol: got {self.rtol!r}, wanted a number between 0 and 1")

    @property
    def range(self) -> tuple[str, str]:
        """Smallest and largest accepted number, as written into the page."""
        low, high = sorted((self.answer * (1 - self.rtol), self.answer * (1 + self.rtol)))
        return f"{low:.3g}", f"{high:.3g}"

    def html(self, name: str) -> str:
        """A field that the browser checks, the two remarks it chooses from, and the answer one click away."""
        low, high = self.range
        digits = ".0f" if 1000 <= abs(self.answer) < 1e6 else ".3g"  # 1024, and not 1.02e+03
        shown = f"{self.answer:{digits}}".replace("-", "−")
        return (
            f'<div><label>Your number <input type="number" step="any" required min="{low}" max="{high}" '
            f'inputmode="text" autocomplete="off" aria-describedby="{name}">{self.unit}</label></div>'
            f'<div role="status" id="{name}"><p class="right"><strong>Right.</strong> {self.because}</p>'
            f'<p class="wrong"><strong>Not yet.</strong> Another try?</p></div>'
            f"<details><summary>Answer</summary><p>{shown}{self.unit}. {self.because}</p></details>"
        )

    def text(self) -> str:
        """The accepted range."""
        return "  from {} to {}".format(*self.range)


class Quiz:
    """Questions one below the other, numbered; shows itself as HTML, and as text where there is none."""

    def __init__(self, *questions: Choice | Number) -> None:
        """Take two to four questions."""
        if not 2 <= len(questions) <= 4:
            raise ValueError(f"questions: got {len(questions)}, wanted two to four")
        self.questions = questions

    def _repr_html_(self) -> str:
        """Return the questions as fieldsets."""
        parts = []
        for count, question in enumerate(self.questions, start=1):
            name = "quiz-" + hashlib.sha256(question.question.encode()).hexdigest()[:8]
            body = question.html(name)
            parts.append(f"<fieldset><legend>{count}. {question.question}</legend>{body}</fieldset>")
        return f'<div class="quiz"><style>{STYLE}</style>{"".join(parts)}</div>'

    def __repr__(self) -> str:
        """Return the questions as text with their answers."""
        asked = (f"{count}. {plain(q.question)}\n{q.text()}" for count, q in enumerate(self.questions, start=1))
        return "\n".join(asked)


def plain(text: str) -> str:
    """Return HTML as text: tags left out, ``<sup>`` as ``^``, entities as characters."""
    return html.unescape(TAG.sub("", text.replace("<sup>", "^").replace("<sub>", "_")))
