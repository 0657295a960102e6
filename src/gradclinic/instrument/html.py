"""Reports for a notebook: the same table as HTML, escaped, without scripts and without a style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gradclinic.instrument import text
from gradclinic.instrument.readings import Report, Watched

CELL = "white-space:nowrap;font-size:85%;padding:.15em .7em .15em 0"  # ten columns in the width of a page


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        sides = ["left" if i in left else "right" for i in range(len(cells))]
        parts = (
            f'<{tag} style="text-align:{side};{CELL}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(line(cells, "td") for cells in lines)
    return f'<table class="dataframe"><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table>'


def _judgement(made: Report | Watched) -> str:
    first = f"<br>{escape(str(made.first_nonfinite))}" if made.first_nonfinite is not None else ""
    causes = "".join(
        f"<li><b>{escape(c.title)}</b>: {escape(c.evidence)} (read {escape(c.page)})</li>" for c in made.causes
    )
    listed = f"<ol>{causes}</ol>" if causes else "<p>no cause stands out</p>"
    return f"<p><b>verdict: {escape(made.verdict)}</b>{first}</p>{listed}"


def _lines(lines: Sequence[str]) -> str:
    return f"<p>{'<br>'.join(map(escape, lines))}</p>" if lines else ""


def report(made: Report) -> str:
    """A report of one batch; the verdict stands first, the table of the layers can be folded."""
    size = f"{made.framework}, {len(made.layers)} layers, batch of {made.batch}"
    given = [*map(str, made.inputs), *map(str, made.targets), *map(str, made.outputs), text.loss_line(made)]
    lines = [text.cells(row) for row in text.rows(made.layers, text.named(made))]
    table = _table(text.HEAD, lines, text.LEFT)
    return (
        f"<div>{_judgement(made)}<details open><summary>{escape(size)}</summary>{table}<p>{escape(text.FOOTNOTE)}</p>"
        f"</details>{_lines([*given, *text.facts(made)])}</div>"
    )


def run(made: Watched) -> str:
    """A report of a run."""
    head, *lines = text.run_cells(made)
    return f"<div>{_judgement(made)}{_lines([*text.run_head(made), text.turns(made)])}{_table(head, lines, (0,))}</div>"
