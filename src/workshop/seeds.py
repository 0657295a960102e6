"""Every correct route to an exercise's number: the solutions of a page run again with other seeds.

``python -m workshop seeds PAGE`` executes the page once; then each solution that draws random numbers and passes one to
``check.number`` is executed again with ten other seeds. A tolerance has to cover what they give, unless the exercise
names its seed. What was found is kept beside the answer, ``[value, relative tolerance, [least, greatest]]``, and a test
reads it there: the seeds themselves take minutes.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from workshop.book import Book, replace_file
from workshop.markdown import read_page

SEEDS = range(101, 111)
DRAW = re.compile(r"(?<=default_rng\()\s*\d+\s*(?=\))|(?<=default_rng\(\()\d+(?=,)")
MAGIC = re.compile(r"(?m)(?<=^)[%!].*$|(?<=^    )[%!].*$")
"""Lines that only IPython knows."""

NAMES_ITS_SEED = re.compile(r"\bseeds? \d|\bseeds of this page\b|\bdefault_rng\(|\bseed=")
EXERCISE = re.compile(r"^(\d+)\. ", re.M)
CELL = re.compile(r"^```\{code-cell\}.*?^```\n", re.DOTALL | re.MULTILINE)


class WithoutAsserts(ast.NodeTransformer):
    """A solution whose assertions are only evaluated: with another seed they may fail, but the number must come."""

    def visit_Assert(self, node: ast.Assert) -> ast.Expr:
        """Keep what is asserted, as a statement."""
        return ast.copy_location(ast.Expr(node.test), node)


def runnable(source: str, name: str) -> object:
    """Compile a cell, without the lines that only IPython knows and without assertions."""
    tree = WithoutAsserts().visit(ast.parse(MAGIC.sub("pass", source)))
    return compile(ast.fix_missing_locations(tree), name, "exec")


def seeded(source: str, seed: int) -> str:
    """Return a cell with the seed of every generator that it makes moved by ``seed``."""
    return DRAW.sub(lambda match: f"{seed + int(match[0])}", source)


def exercises(text: str) -> dict[str, str]:
    """Return number -> text of the exercises of a page."""
    part = CELL.sub("", text.partition("\n## Exercises\n")[2].partition("\n## ")[0])
    starts = [(match[1], match.start()) for match in EXERCISE.finditer(part)]
    ends = [*(start for _, start in starts[1:]), len(part)][: len(starts)]
    return {number: part[start:end] for (number, start), end in zip(starts, ends, strict=True)}


def spread(book: Book, page: str, say: Callable[[str], None] = print) -> dict[str, tuple[float, float]]:
    """Run a page and its solutions with ten other seeds; return exercise -> (least, greatest) of their numbers.

    Only exercises whose solution draws, and that do not name their seed, are in the result.
    """
    import matplotlib

    from gradclinic.course import check

    matplotlib.use("Agg")  # not by a variable: kernels that are started later would inherit it and show no figure
    given: list[tuple[str, float]] = []
    right = check.number
    check.number = lambda exercise, value: given.append((exercise.partition("#")[2], float(value))) or True
    names: dict[str, object] = {"__name__": "__main__"}
    named = {key for key, text in exercises(book.text(page)).items() if NAMES_ITS_SEED.search(text)}
    found: dict[str, list[float]] = {}
    try:
        for count, cell in enumerate(c for c in read_page(book.text(page)).cells if c.cell_type == "code"):
            given.clear()
            with contextlib.redirect_stdout(io.StringIO()):
                exec(runnable(cell.source, f"cell {count + 1}"), names)
            if not given or not DRAW.search(cell.source):
                continue
            key = given[0][0]
            if key in named:
                say(f"{page}#{key}: the exercise names its seed")
                continue
            for seed in SEEDS:
                given.clear()
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(runnable(seeded(cell.source, seed), f"cell {count + 1}, seed {seed}"), dict(names))
                found.setdefault(key, []).extend(value for _, value in given)
            say(f"{page}#{key}: " + ", ".join(f"{value:.5g}" for value in found[key]))
    finally:
        check.number = right
    return {key: (min(values), max(values)) for key, values in found.items()}


def answers_file(book: Book, page: str) -> Path:
    """Return the path of a page's answers."""
    return book.root / "src" / "gradclinic" / "course" / "answers" / f"{page.replace('/', '-')}.json"


def keep(book: Book, page: str) -> list[str]:
    """Run a page with ten seeds, keep what they give beside its answers; return which tolerances are too small."""
    path, wrong = answers_file(book, page), []
    known = json.loads(path.read_text(encoding="utf-8"))
    for key, (least, greatest) in spread(book, page).items():
        value, tolerance = known[key][:2]
        known[key] = [value, tolerance, [float(f"{least:.6g}"), float(f"{greatest:.6g}")]]
        needed = max(abs(end / value - 1) for end in (least, greatest)) if value else max(abs(least), abs(greatest))
        if needed > tolerance:
            wrong.append(f"{page}#{key}: ten seeds need a tolerance of {needed:.2g}, it has {tolerance:g}")
    rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in known.items())
    replace_file(path, f"{{\n{rows}\n}}\n")
    return wrong
