"""What a teacher's browser shows of a submission: nothing in it runs.

nbgrader's formgrader and feedback render text cells as nbconvert does by default: with the student's own HTML in them.
Opened by a teacher, an `<img onerror>` in a written answer sets its own marks and writes files, in the teacher's name.
`markdown2html` takes the place of that filter, by nbgrader's own configuration (`HTMLExporter.filters`); so does
`highlight_code`, for the rubric's sake: code is escaped there as it is in nbconvert's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import pass_context

TAGS = {
    *("a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em", "hr", "i", "img"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "summary", "sup"),
    *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul"),
}
PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
COMMANDS = re.compile(
    r"\\(href|url|class|style|cssId|data|require|unicode|html\w*|bbox|mmlToken|includegraphics|csname|def|newcommand|let)\b"
)
"""Commands of MathJax that reach out of a formula, or give such a command another name."""


def allowed(tag: str, name: str, value: str) -> bool:
    """Whether an attribute stays: of pictures only those that bring their own bytes, so that opening tells nobody."""
    if tag == "img":
        return name in {"alt", "title", "width", "height"} or (name == "src" and bool(PICTURE.fullmatch(value)))
    if tag == "a":
        return name in {"href", "title"}
    return tag in {"td", "th", "ol"} and name in {"align", "colspan", "rowspan", "start"}


def clean(html: str) -> str:
    """Return HTML in which no script, style, form, frame or address that loads or runs anything is left.

    What is not allowed is shown as it was written: a teacher sees that it was there.
    """
    from bleach.sanitizer import Cleaner

    return Cleaner(tags=TAGS, attributes=allowed, protocols={"http", "https", "mailto", "data"}).clean(html)


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """Render a text cell, or a comment, of anybody's; in the formgrader, of an answer, with its rubric beside it."""
    cell = context.get("cell") or {}
    return beside(context, source, rendered(source, cell.get("attachments", {})), lambda rubric: rendered(rubric, {}))


@pass_context
def highlight_code(context: Any, source: str, language: str | None = None, metadata: dict | None = None) -> str:
    """Render a code cell; in the formgrader, of one that a person grades, with the master's code beside it.

    The rubric of such a cell stands in the master's code, as comments.
    """
    from nbconvert.filters.highlight import Highlight2HTML

    def coloured(code: str) -> str:
        return Highlight2HTML(pygments_lexer="ipython3")(code, language=language, metadata=metadata)

    return beside(context, source, coloured(source), coloured)


def beside(context: Any, source: str, made: str, render: Callable[[str], str]) -> str:
    """Return what was made of a cell's source, with its rubric beside it where there is one to show."""
    cell = context.get("cell") or {}
    rubric = rubric_of(cell, context.get("resources") or {}) if source == cell.get("source") else ""
    return BESIDE.format(answer=made, rubric=render(rubric)) if rubric else made


def rendered(source: str, pictures: dict) -> str:
    """Return a text in Markdown as HTML that runs nothing."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    renderer = IPythonRenderer(escape=False, attachments=pictures, exclude_anchor_links=True)
    return clean(MarkdownWithMath(renderer=renderer).render(COMMANDS.sub(r"\\mathrm{\1}", source)))


BESIDE = """<div style="display: flex; flex-wrap: wrap; gap: 2em">
<div style="flex: 3 1 20em; min-width: 0">{answer}</div>
<div class="rubric" style="flex: 2 1 16em; min-width: 0; border-left: 3px solid #888; padding-left: 1em">
<p><strong>For you alone: model answer and rubric</strong></p>
{rubric}</div>
</div>"""


def rubrics(root: Path, name: str) -> Path:
    """Return where the rubrics of an assignment lie in a course folder: beside what students get, never in it."""
    return root / "rubrics" / f"{name}.json"


def rubric_of(cell: dict, resources: dict) -> str:
    """Return the rubric of an answer, "" where the page is not the formgrader's: students get nbgrader's feedback.

    The formgrader runs in the course folder.
    """
    grade_id = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id")
    if not grade_id or "submission_id" not in resources:
        return ""
    path = rubrics(Path.cwd(), Path(str(resources.get("assignment_id"))).name)
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get(grade_id, ""))
    except (OSError, ValueError):  # an older course folder has none
        return ""


def plain_name(name: str) -> str:
    """Return a name for pages that do not escape names, as the formgrader's: without the signs that make a tag."""
    return re.sub(r"[<>&\"`\\{}]", " ", name).strip()
