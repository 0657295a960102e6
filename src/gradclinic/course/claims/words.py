"""Whether a sentence is hedged or claims no exception, read from its own words.

A verdict depends on it (:func:`gradclinic.course.claims.judge`): one counterexample ends a sentence that says *always*
and only limits one that says *often*. No author decides it: :func:`read` looks for the words of the two lists below,
which are the only place where they stand. A hedge counts before a universal word of the same clause: who writes
"very probably, however one trains" has not said *always*.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal, NamedTuple

Kind = Literal["hedged", "universal", "plain"]

HEDGES = (
    # Chinese: may, very likely, perhaps; in general, usually, often; easily; to some degree; basically, nearly; can
    *("可能", "很可能", "也许", "或许", "大概", "一般", "通常", "往往", "常常", "经常", "容易"),
    *("一定程度", "基本", "几乎", "几乎所有", "近似", "可以", "能够", "简单来说"),
    *("may", "might", "can", "could", "likely", "often", "usually", "mostly", "nearly", "almost", "probably"),
    *("perhaps", "sometimes", "to some degree", "tends to", "may well", "at best"),
)
"""Words with which a sentence leaves room for exceptions."""

UNIVERSAL = (
    # Chinese: always, necessarily; whatever, however, any; impossible, will not, cannot, is unable to, finds no; is
    # just, is the same; identically; guarantees; all
    *("始终", "总是", "永远", "必然", "必定", "无论", "不管", "任何", "不可能", "不会", "不能", "无法", "找不到"),
    *("就是", "是一样的", "恒", "保证", "所有", "="),
    *("always", "never", "cannot", "any", "every", "all", "exactly when", "is", "are", "means", "the same"),
    *("cures", "solves", "fixes", "guarantees"),
)
"""Words with which a sentence claims no exception; an equation claims none either."""

ASIDE = (
    # "it can be seen", "we can obtain": what the author sees, not what holds; "that is", "this is": a name is given
    *("可以看出", "可以看到", "可以得到", "也就是说", "也就是", "这就是", "那就是", "具体来说就是"),
    # "whether A or B": both of two named things, not every situation; "basic idea"; "easier"
    *("无论是", "基本思想", "更加容易"),
)
"""Longer words that contain one of the lists and mean neither."""


class Reading(NamedTuple):
    """How a sentence is meant: its kind, and the words that decide it, in their order (none for ``"plain"``)."""

    kind: Kind
    words: tuple[str, ...]


def _expression(word: str) -> str:
    return re.escape(word) if re.search(r"[^a-z ]", word) else rf"(?<![A-Za-z-]){word}(?![A-Za-z-])"


@cache
def _finder() -> re.Pattern[str]:
    """One expression for all words, the longest first, so that 不可能 is not read as 可能."""
    return re.compile("|".join(_expression(w) for w in sorted((*HEDGES, *UNIVERSAL, *ASIDE), key=len, reverse=True)))


def read(sentence: str) -> Reading:
    """Return how ``sentence`` (Chinese or English) is meant.

    >>> read("最后乘积的结果可能趋于0")
    Reading(kind='hedged', words=('可能',))
    >>> read("梯度值是不可能超过 0.25 的").kind
    'universal'
    >>> read("选择过小的话会导致梯度消失").kind
    'plain'
    """
    found = _finder().findall(sentence)
    lists: tuple[tuple[Kind, tuple[str, ...]], ...] = (("hedged", HEDGES), ("universal", UNIVERSAL))
    for kind, listed in lists:
        if words := tuple(dict.fromkeys(word for word in found if word in listed)):
            return Reading(kind, words)
    return Reading("plain", ())


CLAUSE_ENDS = ",,。.;;::!!??、()() \n"
"""Signs between which a clause stands."""

LEFT_OUT = " … "
"""What stands between two runs of clauses of one quotation."""


def whole_clauses(part: str, quote: str) -> bool:
    """Tell whether ``part`` is a run of whole clauses of ``quote``, or several, so that no hedge was cut away."""
    if LEFT_OUT in part:
        return all(whole_clauses(run, quote) for run in part.split(LEFT_OUT))
    start = quote.find(part)
    if start < 0 or not part:
        return False
    end = start + len(part)
    opens = start == 0 or quote[start - 1] in CLAUSE_ENDS
    return opens and (end == len(quote) or quote[end] in CLAUSE_ENDS or part[-1] in CLAUSE_ENDS)
