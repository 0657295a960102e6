"""The figures that follow knobs: what they say against gradclinic, by keyboard, without scripts, to axe, on a phone."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf, erfinv, expit

from gradclinic import activations, chain, theory
from gradclinic.course import data
from gradclinic.precision import BFLOAT16, FLOAT16
from workshop.book import Book
from workshop.grids import GRIDS
from workshop.sphinx import interactive

ROOT = Path(__file__).parents[2]
FILES = ROOT / "src" / "workshop" / "sphinx" / "interactive"
FIGURES = interactive.FIGURES
MARK = re.compile(r"^interactive: (\S+)$", re.MULTILINE)
PLACES = [(name, page) for page in Book(ROOT).pages for name in MARK.findall(Book(ROOT).text(page))]
PAGE = dict(PLACES)


class Panel:
    """One figure in a page: its knobs by value, its table as numbers, the points that its plots show."""

    def __init__(self, page, name):
        self.page, self.name, self.figure = page, name, FIGURES[name]
        self.block = page.locator(f"[data-interactive={name}]")
        self.block.locator("xpath=..").evaluate("cell => cell.scrollIntoView()")
        page.wait_for_selector(f"[data-interactive={name}][data-ready]")

    def knob(self, key):
        return self.block.locator(f"#interactive-{self.name}-{key}")

    def turn(self, **values):
        for knob in self.figure.knobs:
            if knob.key in values:
                self.knob(knob.key).evaluate(
                    "(input, at) => { input.value = at; input.dispatchEvent(new Event('input', {bubbles: true})); }",
                    str(knob.values.index(values[knob.key])),
                )
        return self

    @property
    def sentence(self):
        return self.block.locator(".interactive-finding").text_content().replace("\u00a0", " ")

    @property
    def table(self):
        """Rows of numbers as they are, before rounding, and of text."""
        return self.block.locator("tbody").evaluate(
            "body => [...body.rows].map(row => [...row.cells].map(cell => "
            "cell.querySelector('data') ? Number(cell.querySelector('data').value) : cell.textContent))"
        )

    def column(self, i):
        return np.array([row[i] for row in self.table], dtype=float)

    def points(self):
        """What the plots show: title -> series -> (x, y), and the color of each series."""
        return self.page.evaluate(
            """titles => {
              const points = r => ({
                x: [...r.data_source.data.x], y: [...r.data_source.data.y],
                color: String(r.glyph.line_color?.value ?? r.glyph.line_color),
              });
              const plots = Bokeh.documents.map(d => d.roots()[0]).filter(p => titles.includes(p.title.text));
              return Object.fromEntries(plots.map(p => [p.title.text, Object.fromEntries(
                p.renderers.filter(r => r.name !== "image").map(r => [r.name, points(r)]))]));
            }""",
            [plot.title for plot in self.figure.plots],
        )


@pytest.fixture
def panel(open_page):
    """Return ``panel(name, **options)``: the figure of that name, ready, in its page."""
    return lambda name, **options: Panel(open_page(f"{PAGE[name]}.html", **options), name)


every_figure = pytest.mark.parametrize("name", FIGURES)


def test_every_figure_stands_on_one_page():
    assert sorted(name for name, _ in PLACES) == sorted(FIGURES)
    assert len(FIGURES) >= 6


# The numbers.


def test_chain_is_gradclinic_s(panel):
    shown = panel("chain")
    for w, b, depth in ((6.0, 0.0, 10), (4.0, -2.0, 50), (12.0, -8.0, 50), (0.25, 4.0, 2), (7.5, -3.75, 23)):
        shown.turn(w=w, b=b, depth=depth)
        g = chain.gradients(np.full(depth, w), np.full(depth, b), 0.5)
        slope = activations.get("sigmoid").slope(g.z)
        expected = [g.z, slope, w * slope, np.abs(g.db), 0.25 * (w / 4.0) ** np.arange(depth - 1, -1, -1)]
        for column, values in enumerate(expected, start=1):
            np.testing.assert_allclose(shown.column(column), values, rtol=1e-9)
        line = shown.points()["gradient of each layer's bias"]["gradient"]
        np.testing.assert_allclose(line["y"], np.abs(g.db), rtol=1e-9)
    assert "the first bias has the gradient 9.6" in shown.turn(w=6.0, b=-3.0, depth=10).sentence


def test_window_is_gradclinic_s(panel):
    shown = panel("window")
    slope = activations.get("sigmoid").slope
    for w, b in ((20.0, -10.0), (6.9, -3.5), (40.0, -20.0), (3.0, 1.0), (4.0, -2.0), (5.5, 2.25)):
        rows = dict(shown.turn(w=w, b=b).table)
        width, ends = chain.explosive_width(w), chain.explosive_window(w, b)
        assert rows["width of the window"] == pytest.approx(width, rel=1e-9)
        assert rows["peak w/4"] == w / 4
        if w >= 4:
            found = rows["its lower edge"], rows["its upper edge"]
            np.testing.assert_allclose(found, ends, rtol=1e-9)
            share = max(0.0, min(1, ends[1]) - max(0, ends[0]))
            assert rows["share of the inputs (0, 1)"] == pytest.approx(share, rel=1e-9)
        else:
            assert rows["its lower edge"] == rows["its upper edge"] == "none"
        for tenth in range(11):
            a = tenth / 10
            assert rows[f"factor at a = {a:g}"] == pytest.approx(w * slope(w * a + b), rel=1e-9)


def followed(name, gain, depth):
    """Rms of z in the last layer and the gradient of the first over that of the last, by following q."""
    phi, q, gradient = activations.get(name), gain**2, 1.0
    for _ in range(depth - 1):
        gradient *= np.sqrt(gain**2 * activations.gaussian_mean(lambda u, q=q: phi.slope(u) ** 2, q))
        q = theory.variance_map(name, q, gain**2)
    return np.sqrt(q), gradient


def test_initialization_is_gradclinic_s(panel):
    shown = panel("initialization")
    gains = FIGURES["initialization"].knobs[0].values
    for at, depth in ((12, 30), (18, 100), (52, 60), (0, 2), (60, 100)):
        gain = gains[at]
        shown.turn(gain=gain, depth=depth)
        for row, name in zip(shown.table, ("sigmoid", "tanh", "relu"), strict=True):
            last, gradient = followed(name, gain, depth)
            np.testing.assert_allclose(row[1], gradient, rtol=1e-3)  # six decimals of log10, a hundred layers
            np.testing.assert_allclose(row[2], theory.layer_factor(name, gain**2), rtol=1e-5)
            np.testing.assert_allclose(row[3:], [gain, last], rtol=1e-4)


def test_recurrence_is_gradclinic_s(panel):
    shown = panel("recurrence")
    for rho, v, lag in ((1.1, 0.1, 60), (0.5, 0.0, 5), (2.0, 1.0, 200), (1.4, 0.1, 100)):
        shown.turn(rho=rho, v=v, lag=lag)
        factor = theory.layer_factor("tanh", rho**2, v)
        lags = shown.column(0)
        np.testing.assert_allclose(shown.column(1), rho**lags, rtol=1e-9)
        np.testing.assert_allclose(shown.column(2), factor**lags, rtol=2e-6 * lag)  # six digits of a factor
        assert f"at {factor:.3f} per step" in shown.sentence
        assert f"{np.sqrt(theory.critical_weight_variance('tanh', v)):.2f}." in shown.sentence[-6:]


def test_transient_is_numpy_s(panel):
    shown = panel("transient")
    for rho, c, lag in ((0.9, 10.0, 100), (0.5, 10.0, 20), (1.05, 0.0, 50), (0.3, 20.0, 200)):
        shown.turn(rho=rho, c=c, lag=lag)
        matrix = np.array([[rho, c], [0, rho]])
        norms = [np.linalg.norm(np.linalg.matrix_power(matrix, int(k)), 2) for k in shown.column(0)]
        np.testing.assert_allclose(shown.column(1), norms, rtol=1e-9)
        np.testing.assert_allclose(shown.column(2), rho ** shown.column(0), rtol=1e-9)
    assert "grows to 39 at k = 9" in shown.turn(rho=0.9, c=10.0, lag=100).sentence


def test_lstm_is_the_page_s(panel):
    """The carousel in closed form; all paths as the page's own recording prints them."""
    shown = panel("lstm")
    recorded = json.loads((ROOT / "notebooks/remedies/lstm.ipynb").read_text(encoding="utf-8"))
    printed = "".join(
        "".join(output.get("text", ()))
        for cell in recorded["cells"]
        for output in cell.get("outputs", ())
        if "all paths" in "".join(output.get("text", ()))
    )
    found = re.findall(r"forget bias +(-?\d): carousel 10\^ *(\S+) \(exact\), all paths 10\^ *(\S+)", printed)
    assert len(found) == 8
    for bias, _, paths in found:
        shown.turn(bias=float(bias), lag=100)
        np.testing.assert_allclose(shown.column(1), expit(float(bias)) ** shown.column(0), rtol=1e-9)
        assert np.log10(shown.column(2)[-1]) == pytest.approx(float(paths), abs=1e-6)


def one_unit(w, b):
    """Loss of the one-unit network and its gradient (dw, db)."""
    h, dw, db = 0.5, 0.0, 0.0
    for _ in range(50):
        s = expit(h)
        h, dw, db = w * s + b, s + w * s * (1 - s) * dw, 1 + w * s * (1 - s) * db
    return (h - 0.7) ** 2, 2 * (h - 0.7) * np.array([dw, db])


def test_clipping_takes_the_page_s_steps(panel):
    """Step by step: on the wall the last digit decides, so whole paths agree only before it."""
    shown = panel("clipping")
    thrown = {}
    for limit, offset in ((10.0, -0.18), (0.1, -0.18), (1e300, -0.18), (316.0, 0.3), (1000.0, -0.5)):
        rows = shown.turn(limit=limit, offset=offset).table
        assert rows[0][1:3] == pytest.approx([4.8, 0.5 - 4.8 * expit(0.5) + offset])
        for (k, w, b, loss, size), following in zip(rows, [*rows[1:], None], strict=True):
            expected, g = one_unit(w, b)
            np.testing.assert_allclose([loss, size], [expected, np.hypot(*g)], rtol=1e-6, atol=1e-12)
            if following and following[0] == k + 1:
                step = 0.01 * (1 - k / 300) * g * min(1, limit / np.hypot(*g))
                np.testing.assert_allclose(following[1:3], [w - step[0], b - step[1]], rtol=1e-6)
        thrown[limit, offset] = "is thrown" in shown.sentence
    assert thrown[1e300, -0.18]
    assert not thrown[10.0, -0.18]
    # The answer: which limits throw, and which is too small.
    for limit, expected in ((316.0, False), (562.0, True), (0.1, False)):
        assert ("is thrown" in shown.turn(limit=limit, offset=-0.18).sentence) == expected
    assert "stays within 0.15 of its start" in shown.sentence
    assert shown.sentence.endswith("not in the valley.")
    assert "w = 29, b = 36" in shown.turn(limit=1e300, offset=-0.18).sentence  # as in the page's alt text


def test_loss_scale_is_the_page_s(panel):
    shown = panel("loss-scale")
    sigmoid = activations.get("sigmoid")
    q = np.mean(data.digits(n_train=1000, rng=np.random.default_rng(0)).x_train[:100] ** 2)
    factors = []
    for _ in range(70):
        factors.append(np.sqrt(activations.gaussian_mean(lambda u, q=q: sigmoid.slope(u) ** 2, q)))
        q = theory.variance_map("sigmoid", q, 1.0)
    for at, fmt, scale, depth in ((0, FLOAT16, 0, 12), (0, FLOAT16, 16, 20), (1, BFLOAT16, 0, 61), (0, FLOAT16, 8, 2)):
        shown.turn(format=at, scale=scale, depth=depth)
        deviation = [np.sqrt(0.9) / 800 * np.prod(factors[layer - 1 : depth - 1]) for layer in range(1, depth + 1)]
        np.testing.assert_allclose(shown.column(1), scale + np.log2(deviation), atol=1e-5)
        share = erf(fmt.smallest / (2 * np.sqrt(2) * 2.0**scale * np.array(deviation)))
        np.testing.assert_allclose(shown.column(2), share, rtol=1e-4, atol=1e-12)
    # The answer: the least whole scale that saves nine tenths, for 12 and 20 layers.
    for depth, scale in ((12, 11), (20, 28)):
        first = np.sqrt(0.9) / 800 * np.prod(factors[: depth - 1])
        assert np.ceil(np.log2(FLOAT16.smallest / (2 * np.sqrt(2) * erfinv(0.1) * first))) == scale
    assert np.sqrt(0.9) / 800 * 2.0**28 > FLOAT16.largest


def test_the_answers_numbers():
    """What the folded answers state, beyond what the tests above find."""
    assert chain.explosive_width(6.9) == pytest.approx(0.448, abs=5e-4)
    assert np.sqrt(theory.critical_weight_variance("tanh", 0.1)) == pytest.approx(1.41, abs=5e-3)
    assert np.sqrt(theory.critical_weight_variance("sigmoid")) > 10
    gains = FIGURES["initialization"].knobs[0].values
    assert (gains[19] / np.sqrt(2)) ** 39 == pytest.approx(10, rel=0.1)
    grid = FIGURES["lstm"].grid()
    kept = {bias: row[100] for bias, row in zip(grid["biases"], grid["lstm"], strict=True)}
    assert 13 < kept[1.0] - kept[0.0] < 14
    assert min(bias for bias in grid["biases"] if kept[bias] > 0) == 2.75
    assert np.linalg.norm([[0.5, 10], [0, 0.5]], 2) == pytest.approx(10, rel=0.01)


# Grids.


@pytest.mark.parametrize("name", GRIDS)
def test_a_committed_grid_is_what_its_command_makes(name):
    written = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
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


# In the page.


@every_figure
def test_every_knob_turns_by_keyboard(panel, name):
    shown = panel(name)
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


@every_figure
def test_back_to_the_start(panel, name):
    shown = panel(name)
    start = shown.sentence, shown.table, shown.points()
    for knob in shown.figure.knobs:
        shown.turn(**{knob.key: knob.values[0] if knob.start != knob.values[0] else knob.values[-1]})
    assert shown.sentence != start[0]
    shown.block.get_by_role("button", name="back to the start").click()
    assert (shown.sentence, shown.table, shown.points()) == start


def test_a_screen_reader_is_told_once_the_knob_rests(panel):
    shown = panel("chain")
    finding = shown.block.locator(".interactive-finding")
    assert finding.get_attribute("aria-live") == "polite"
    assert finding.get_attribute("aria-busy") is None
    shown.turn(b=-3.0)
    assert finding.get_attribute("aria-busy") == "true"
    shown.page.wait_for_function("document.querySelector('.interactive-finding').getAttribute('aria-busy') === null")


@every_figure
def test_every_setting_has_a_sentence_and_finite_numbers(panel, name):
    """The ends of every knob, all together: nothing undefined, infinite or not a number is shown."""
    shown = panel(name)
    for ends in np.ndindex(*(2 for _ in shown.figure.knobs)):
        values = {knob.key: knob.values[-end] for knob, end in zip(shown.figure.knobs, ends, strict=True)}
        shown.turn(**values)
        assert not re.search(r"NaN|undefined|Infinity|null", shown.sentence + str(shown.table)), values
        for plot, series in shown.points().items():
            for label, points in series.items():
                found = [value for value in points["x"] + points["y"] if value is None or not math.isfinite(value)]
                assert not found, (values, plot, label)


@every_figure
def test_without_scripts_the_recorded_figure_stands_alone(open_page, name):
    page = open_page(f"{PAGE[name]}.html", javascript=False)
    block = page.locator(f"[data-interactive={name}]")
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


@every_figure
def test_one_figure_on_the_screen_and_the_recorded_one_on_paper(panel, name):
    shown = panel(name)
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


@every_figure
def test_from_a_folder(panel, name):
    """Opened as a file, where nothing may be fetched: it works all the same."""
    assert len(panel(name, file=True).sentence) > 40


@every_figure
def test_axe_finds_nothing(panel, name):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    shown = panel(name)
    shown.block.locator("details").evaluate_all("folds => folds.forEach(fold => { fold.open = true })")
    for width, theme in ((1280, "light"), (1280, "dark"), (360, "dark"), (360, "light")):
        shown.page.set_viewport_size({"width": width, "height": 800})
        shown.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found = axe.run(shown.page, context=f"[data-interactive={name}]").response["violations"]
        assert [(width, theme, v["id"], [node["html"][:120] for node in v["nodes"]]) for v in found] == []
    for place in shown.block.locator(".interactive-plot").all():
        assert place.get_attribute("role") == "img"
        assert place.get_attribute("aria-label").startswith("Plot: ")


@every_figure
def test_it_is_not_wider_than_a_phone(panel, name):
    shown = panel(name, width=360)
    shown.block.locator("details").evaluate_all("folds => folds.forEach(fold => { fold.open = true })")
    wide = shown.block.evaluate(
        "block => [block, ...block.querySelectorAll('*')].filter(e => !e.closest('table'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


@every_figure
def test_the_plots_follow_the_theme(panel, name):
    shown = panel(name, scheme="light")
    light = shown.points()
    shown.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    shown.page.wait_for_timeout(50)
    dark = shown.points()
    for plot, series in light.items():
        for label, points in series.items():
            if points["color"] not in ("null", "undefined"):
                assert dark[plot][label]["color"] != points["color"], (plot, label)


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
        for file in ("figures.js", "formulas.js", "figures.css"):
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
