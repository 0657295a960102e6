"""Slides of a chapter: questions before their runs, runs before their answers, nothing that was folded away."""

import re

import pytest

from workshop import notebook as nb
from workshop import slides
from workshop.__main__ import main
from workshop.book import BookError
from workshop.teaching import CHAPTERS


def pages_of(cells):
    """Return the cells of each slide."""
    found = []
    for cell in cells:
        if slides.kind(cell) in {"slide", "subslide"}:
            found.append([])
        found[-1].append(cell)
    return found


def test_every_chapter_makes_slides_and_no_answer_stands_beside_its_question(real):
    chapters = [page for page in real.toc if page.startswith(CHAPTERS) and nb.read(real, page)]
    assert len(chapters) >= 30
    for page in chapters:
        recorded = nb.read(real, page)
        lesson = slides.lesson(real, page)
        made = pages_of(lesson.cells)
        assert len(made) >= 8, page
        shown = "\n".join(cell.source for cell in lesson.cells if slides.kind(cell) != "notes")
        for cell in recorded.cells:
            for question, answer in re.findall(
                r"(\*\*Predict.*?)$.*?<details\b[^>]*>\s*<summary>.*?</summary>\s*(.+?)$", cell.source, re.M | re.S
            ):
                together = [one for one in made if any(question[:60] in cell.source for cell in one)]
                assert together or question[:60] not in shown, page
                assert not [one for one in together if any(answer[:60] in cell.source for cell in one)], page
        code = "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "code")
        for cell in recorded.cells:
            if set(cell.metadata.get("tags", [])) & slides.UNSEEN and len(cell.source) > 40:
                assert cell.source not in code, page
        assert "<details" not in shown, page


def test_figures_come_without_the_code_that_draws_them(real):
    recorded, lesson = nb.read(real, "why/descent"), slides.lesson(real, "why/descent")
    drawn = [cell for cell in recorded.cells if "hide-input" in cell.metadata.get("tags", []) and cell.outputs]
    here = [cell for cell in lesson.cells if cell.cell_type == "code" and not cell.source]
    assert len(drawn) >= 3
    pictures = [output.data.get("image/png") for cell in here for output in cell.outputs if "data" in output]
    for cell in drawn:
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert output.data["image/png"] in pictures
    assert [cell.source for cell in lesson.cells if cell.source.startswith("def descend")]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# A title\n\nWords.", [("slide", "# A title"), ("notes", "Words.")]),
        ("Words,\n$$\na\n\nb\n$$\n\nmore.", [("notes", "Words,"), ("-", "$$\na\n\nb\n$$"), ("notes", "more.")]),
        ("**Predict.** So?", [("-", "**Predict.** So?")]),
        (
            '<details class="veil"><summary>Show</summary>\n\nYes.\n\n$$c$$\n\nBecause.\n\n</details>\n\nOn.',
            [("subslide", "Yes."), ("-", "$$c$$"), ("notes", "Because."), ("notes", "On.")],
        ),
        ("### Small\n- one\n- two", [("subslide", "### Small"), ("-", "- one\n- two")]),
    ],
)
def test_what_is_shown_and_what_is_said(text, wanted):
    assert list(slides.blocks(text)) == wanted


def test_the_command_writes_a_file_of_reveal(real, tmp_path, capsys):
    out = tmp_path / "descent.html"
    assert main(["--root", str(real.root), "slides", "descent", "--out", str(out)]) == 0
    assert re.search(r"slides: \d\d slides of why/descent", capsys.readouterr().out)
    text = out.read_text(encoding="utf-8")
    assert text.count("<section") >= 20
    assert '<aside class="notes">' in text
    assert "data:image/png;base64" in text or "image/png" in text
    assert "arm = np.linspace" not in text
    assert main(["--root", str(real.root), "slides", "descent", "--out", str(tmp_path / "x.pdf")]) == 1
    assert "wanted a name that ends in .html" in capsys.readouterr().err
    with pytest.raises(BookError, match="nothing is recorded"):
        slides.lesson(real, "appendix/grading")
