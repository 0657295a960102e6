"""The figures that follow knobs: what they say against gradclinic, by keyboard, without scripts, to axe, on a phone."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace

import kinds_of_text
import numpy as np
import pytest
from panels import FIGURES, PAGE, PLACES, ROOT, Panel

from workshop.book import Book
from workshop.grids import GRIDS
from workshop.sphinx import interactive
from workshop.sphinx.interactive import figures

every_figure = pytest.mark.parametrize("name", FIGURES)


def test_every_figure_stands_on_one_page():
    assert sorted(name for name, _ in PLACES) == sorted(FIGURES)
    assert len(FIGURES) >= 6


# Grids.


@pytest.mark.parametrize("name", GRIDS)
def test_a_committed_grid_is_what_its_command_makes(name):
    written = FIGURES[name].grid()
    made = GRIDS[name]()
    assert written.keys() == made.keys()
    for key, values in made.items():
        np.testing.assert_allclose(written[key], values, atol=0.011)  # a last digit may fall to either side


@every_figure
def test_a_grid_is_small(name):
    assert len(json.dumps(FIGURES[name].grid())) <= interactive.LARGEST_GRID == 200_000


def test_a_grid_that_is_too_large_is_refused():
    large = replace(FIGURES["chain"], grid=lambda: {"a": [0.123456] * 25_000})
    with pytest.raises(ValueError, match=r"interactive chain: its grid has .* wanted at most 200000"):
        interactive.script("chain", large)


def test_every_figure_is_two_files_and_a_test():
    for name in FIGURES:
        file = name.replace("-", "_")
        assert (figures.FOLDER / f"{file}.js").is_file()
        assert (ROOT / "tests/site/figures" / f"test_figure_{file}.py").is_file(), f"{name}: nothing tests its numbers"
    for suffix in ("js", "json"):
        assert {path.stem.replace("_", "-") for path in figures.FOLDER.glob(f"*.{suffix}")} <= set(FIGURES)


def test_a_script_that_registers_another_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"loss_scale\.js: not found; it computes what the figure 'loss-scale'"):
        figures.formula("loss-scale")
    (tmp_path / "loss_scale.js").write_text('interactive.figure("chain", () => null);\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r'loss_scale\.js: wanted interactive\.figure\("loss-scale", \.\.\.\) once'):
        figures.formula("loss-scale")


def test_two_builds_write_the_same_scripts():
    program = (
        "import sys; from workshop.sphinx import interactive as i\n"
        "print(''.join(i.script(n, f) for n, f in i.FIGURES.items()), 'torch' in sys.modules)"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert hashlib.sha256(made[0].encode()).digest() == hashlib.sha256(made[1].encode()).digest()
    assert made[0].endswith("False\n")  # and the site is built without torch


# In the page: one visit a figure, its knobs put back before each question.


@pytest.fixture(scope="class")
def visited(visiting, name):
    """Return the figure of this name in its page, which all tests of a class share."""
    with visiting() as (open_page, _):
        yield Panel(open_page(f"{PAGE[name]}.html", scheme="light"), name)


@pytest.fixture
def shown(visited):
    """Return the visited figure as a reader finds it: at its start, wide, light, on the screen."""
    page = visited.page
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    visited.block.get_by_role("button", name="back to the start").click()
    return visited


class EveryFigure:
    """Two halves, so that two workers share them."""

    def test_every_knob_turns_by_keyboard(self, shown, name):
        page = shown.page
        first = shown.figure.knobs[0].key
        shown.knob(first).focus()
        for i, knob in enumerate(shown.figure.knobs):
            if i:
                page.keyboard.press("Tab")
            focused = page.evaluate("document.activeElement.id")
            assert focused == f"interactive-{name}-{knob.key}"
            before = shown.sentence, shown.table, shown.points()
            page.keyboard.press(
                "ArrowDown" if knob.menu else "ArrowLeft" if knob.start == knob.values[-1] else "ArrowRight"
            )
            after = shown.sentence, shown.table, shown.points()
            for what, old, new in zip(("sentence", "table", "plots"), before, after, strict=True):
                assert old != new, f"{knob.key}: the {what} did not follow"
            if not knob.menu:
                text = knob.written()[int(shown.knob(knob.key).input_value())]
                assert shown.knob(knob.key).get_attribute("aria-valuetext") == text
                assert shown.block.locator(f"output[for=interactive-{name}-{knob.key}]").text_content() == text

    def test_back_to_the_start(self, shown):
        start = shown.sentence, shown.table, shown.points()
        for knob in shown.figure.knobs:
            shown.turn(**{knob.key: knob.values[0] if knob.start != knob.values[0] else knob.values[-1]})
        assert shown.sentence != start[0]
        shown.block.get_by_role("button", name="back to the start").click()
        assert (shown.sentence, shown.table, shown.points()) == start
        values = [knob.values[int(shown.knob(knob.key).input_value())] for knob in shown.figure.knobs if not knob.menu]
        assert values == [knob.start for knob in shown.figure.knobs if not knob.menu]

    def test_every_setting_has_a_sentence_and_finite_numbers(self, shown):
        """The ends of every knob, all together: nothing undefined, infinite or not a number is shown."""
        for ends in np.ndindex(*(2 for _ in shown.figure.knobs)):
            values = {knob.key: knob.values[-end] for knob, end in zip(shown.figure.knobs, ends, strict=True)}
            shown.turn(**values)
            assert not re.search(r"NaN|undefined|Infinity|null", shown.sentence + str(shown.table)), values
            for plot, series in shown.points().items():
                for label, points in series.items():
                    found = [value for value in points["x"] + points["y"] if value is None or not math.isfinite(value)]
                    assert not found, (values, plot, label)

    def test_one_figure_on_the_screen_and_the_recorded_one_on_paper(self, shown):
        recorded = shown.block.locator("xpath=..").locator("> .cell_output img")
        if shown.figure.replaces:
            assert recorded.is_hidden()
            shown.block.get_by_role("button", name="show the recorded figure").click()
        assert recorded.is_visible()
        if shown.figure.replaces:
            shown.block.get_by_role("button", name="show the recorded figure").click()
            assert recorded.is_hidden()
        shown.page.emulate_media(media="print")
        assert shown.block.is_hidden()
        assert recorded.is_visible()

    def test_the_plots_follow_the_theme(self, shown):
        light = shown.points()
        shown.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        shown.page.wait_for_timeout(50)
        dark = shown.points()
        for plot, series in light.items():
            for label, points in series.items():
                if points["color"] not in ("null", "undefined"):
                    assert dark[plot][label]["color"] != points["color"], (plot, label)

    def test_axe_finds_nothing(self, shown, name):
        assert axe_finds(shown, name) == {}
        for place in shown.block.locator(".interactive-plot").all():
            assert place.get_attribute("role") == "img"
            assert place.get_attribute("aria-label").startswith("Plot: ")

    def test_from_a_folder_on_a_phone(self, panel, name):
        """Opened as a file, where nothing may be fetched, it works all the same; and it is not wider than a phone."""
        shown = panel(name, file=True, width=360)
        assert len(shown.sentence) > 40
        unfold(shown)
        wide = shown.block.evaluate(
            "block => [block, ...block.querySelectorAll('*')].filter(e => !e.closest('table'))"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))"
        )
        assert wide == []


ALONE = """() => {
  for (const element of document.querySelectorAll('article *'))
    if (!element.querySelector('[data-interactive]') && !element.closest('script, style, [data-interactive]'))
      element.remove();
}"""
"""Only the figures stay in the page: before each question axe goes through all of a page, formulas letter by letter."""


def unfold(shown):
    shown.block.locator("details").evaluate_all("folds => folds.forEach(fold => { fold.open = true })")


@pytest.mark.parametrize("name", list(FIGURES)[0::2], scope="class")
class TestEvenFigures(EveryFigure):
    pass


@pytest.mark.parametrize("name", list(FIGURES)[1::2], scope="class")
class TestOddFigures(EveryFigure):
    pass


SEEN = set()
"""The kinds of text that axe has found in order in the figures of this process."""


def axe_finds(shown, name, known=SEEN):
    """Return the rules that a figure breaks and where: wide and narrow, light and dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    unfold(shown)
    kinds_of_text.prepare(shown.page, axe)
    shown.page.evaluate(ALONE)
    place = f"[data-interactive={name}]"
    broken = {}
    for width, theme in ((1280, "light"), (1280, "dark"), (360, "dark"), (360, "light")):
        shown.page.set_viewport_size({"width": width, "height": 800})
        shown.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        kinds = kinds_of_text.mark(shown.page, known, place)
        rules = shown.page.evaluate("place => axe.run(place)", place)["violations"]
        if not rules:
            known.update(kinds)
        for rule in rules:
            broken[width, theme, rule["id"]] = [node["html"][:120] for node in rule["nodes"]]
    return broken


def test_axe_sees_what_is_wrong_in_a_figure(panel):
    shown = panel("chain")
    shown.block.evaluate("block => block.insertAdjacentHTML('beforeend', '<img src=\"\">')")
    cell = shown.block.locator("td").nth(3)
    cell.evaluate("cell => { cell.style.color = 'rgb(150, 150, 150)'; cell.style.background = 'white'; }")
    broken = axe_finds(shown, "chain", set())
    everywhere = {(width, theme) for width in (1280, 360) for theme in ("light", "dark")}
    for rule in ("image-alt", "color-contrast"):
        assert {(width, theme) for width, theme, id_ in broken if id_ == rule} == everywhere
        assert all(len(places) == 1 for (*_, id_), places in broken.items() if id_ == rule)


def test_a_screen_reader_is_told_once_the_knob_rests(panel):
    shown = panel("chain")
    finding = shown.block.locator(".interactive-finding")
    assert finding.get_attribute("aria-live") == "polite"
    assert finding.get_attribute("aria-busy") is None
    shown.turn(b=-3.0)
    assert finding.get_attribute("aria-busy") == "true"
    shown.page.wait_for_function("document.querySelector('.interactive-finding').getAttribute('aria-busy') === null")


@pytest.mark.parametrize("page", sorted(set(PAGE.values())))
def test_without_scripts_the_recorded_figures_stand_alone(open_page, page):
    blocks = open_page(f"{page}.html", javascript=False).locator("[data-interactive]")
    assert blocks.count() == sum(where == page for _, where in PLACES)
    for block in blocks.all():
        assert block.is_hidden()
        assert block.locator("xpath=..").locator("> .cell_output img").is_visible()


def test_where_the_library_fails_the_recorded_figure_stands_alone(chromium, served):
    context = chromium.new_context()
    page = context.new_page()
    page.route("**/bokeh.min.js*", lambda route: route.abort())
    page.goto(f"{served}{PAGE['chain']}.html")
    block = page.locator("[data-interactive=chain]")
    block.locator("xpath=..").evaluate("cell => cell.scrollIntoView()")
    page.wait_for_timeout(300)
    assert block.is_hidden()
    assert block.locator("xpath=..").locator("> .cell_output img").is_visible()
    context.close()


def test_nothing_moves_by_itself(panel):
    shown = panel("clipping", reduced_motion="reduce")
    moving = shown.block.evaluate(
        "block => [block, ...block.querySelectorAll('*')].map(e => getComputedStyle(e))"
        ".filter(s => s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0).length"
    )
    assert moving == 0
    still = shown.points()
    shown.page.wait_for_timeout(300)
    assert shown.points() == still


def test_only_pages_with_a_figure_name_its_files(site):
    for page in Book(ROOT).toc:
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        names = [name for name, where in PLACES if where == page]
        for file in ("figures.js", "shared.js", "figures.css"):
            assert text.count(f"interactive/{file}") == (1 if names else 0), (page, file)
        assert re.findall(r"interactive/figure-([\w-]+)\.js", text) == names, page
    assert "Bokeh" in (site / "_static/interactive/bokeh-license.txt").read_text(encoding="utf-8")


def test_the_library_is_fetched_once_and_when_a_figure_is_near(open_page, requests):
    def fetched():
        return sum("bokeh" in request.url for request in requests)

    page = open_page(f"{PAGE['chain']}.html")
    page.wait_for_timeout(300)
    assert fetched() == 0
    for name in ("chain", "window"):
        Panel(page, name)
    assert fetched() == 1
    assert not [request.url for request in requests if "bokeh" in request.url and "min.js" not in request.url]
