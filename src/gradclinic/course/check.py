"""Self-check of the exercises: a reader's number against the book's, at once, without an account.

The book's numbers stand in ``answers/<page>.json`` beside this module, one file per chapter, exercise number ->
``[value, relative tolerance]``; where the solution draws and the exercise names no seed, with the least and the
greatest number that ten other seeds give. Each hidden solution computes its number and passes it through
:func:`number`, so an answer cannot drift from the chapter that asks for it. This is for the reader's own use; grading
is done elsewhere.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from importlib.resources import files


@lru_cache
def answers(page: str) -> dict[str, tuple[float, float]]:
    """Return exercise number -> (value, relative tolerance) for a page such as ``"remedies/residual"``.

    ``ValueError`` for a page without answers.
    """
    file = files("gradclinic.course") / "answers" / f"{page.replace('/', '-')}.json"
    if not file.is_file():
        raise ValueError(f"page: got {page!r}, wanted a chapter with checked exercises, such as 'remedies/residual'")
    known = json.loads(file.read_text("utf-8"))
    return {key: (float(value), float(rtol)) for key, (value, rtol, *_) in known.items()}


def number(exercise: str, value: float) -> bool:
    """Compare ``value`` with the answer of ``exercise`` (``"remedies/residual#2"``), say how it differs, return
    whether it is right.

    ``ValueError`` for an exercise without a number, ``TypeError`` for what is not one real number.
    """
    page, _, key = exercise.partition("#")
    known = answers(page)
    if key not in known:
        raise ValueError(f"exercise: got {exercise!r}, wanted one of {', '.join(f'{page}#{k}' for k in known)}")
    try:
        given = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"value: got {value!r}, wanted one real number") from None
    wanted, rtol = known[key]
    right = math.isclose(given, wanted, rel_tol=rtol, abs_tol=rtol * 1e-6 if wanted == 0 else 0.0)
    if right:
        said = "right"
    elif not math.isfinite(given):
        said = "not a finite number"
    elif wanted and given and (given < 0) != (wanted < 0):
        said = "wrong sign"
    else:
        size = abs(given) / abs(wanted) if wanted else math.inf
        far = f", by a factor of {max(size, 1 / size):.2g}" if 0 < size < math.inf and not 0.5 < size < 2 else ""
        said = f"too {'large' if abs(given) > abs(wanted) else 'small'} in size{far}"
    print(f"{exercise}: {said}")
    return right
