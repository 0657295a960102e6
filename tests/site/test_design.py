"""How the site looks, as far as it can be asserted: its own type, colour, mark and card; figures that fit their page.

Contrast of every text on every page is axe's (test_accessibility.py); what is here is what the design promises itself.
"""

import re
from html.parser import HTMLParser
from urllib.parse import urlparse

import pytest
from PIL import Image

PAGES = ["index", "why/sigmoid-chain", "remedies/matrix", "practice/clinic", "practice/myths", "appendix/glossary"]


def family(page, selector):
    """The fonts that a text is asked to have."""
    return page.eval_on_selector(selector, "node => getComputedStyle(node).fontFamily")


def loaded(page):
    """The font files that the page has loaded: family, weight and style."""
    page.evaluate("document.fonts.ready")
    return set(
        page.evaluate(
            "[...document.fonts].filter(f => f.status == 'loaded').map(f => `${f.family.replaceAll('\\\"', '')} "
            "${f.weight} ${f.style}`)"
        )
    )


def test_text_and_formulas_have_fonts_of_the_site(open_page, requests):
    page = open_page("why/sigmoid-chain.html")
    assert family(page, ".bd-article p:not(.page-times)").startswith('"Source Serif"')
    assert family(page, ".bd-article h1").startswith('"Source Serif"')
    assert family(page, ".katex").startswith("KaTeX_Main")
    assert family(page, ".bd-article pre").startswith("ui-monospace")
    wanted = {"Source Serif 400 normal", "Source Serif 600 normal", "KaTeX_Main 400 normal", "KaTeX_Math 400 italic"}
    assert wanted <= loaded(page)
    hosts = {urlparse(request.url).netloc for request in requests if request.resource_type == "font"}
    assert hosts == {urlparse(page.url).netloc}


def luminance(color):
    """Relative luminance (WCAG 2.2) of a colour as the browser names it, "rgb(r, g, b)"."""
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_can_be_read_on_both_grounds(open_page, scheme):
    page = open_page("practice/myths.html", scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    names = ["--course-blue", "--course-green", "--course-orange", "--course-vermilion", "--pst-color-text-muted"]
    grounds = ["--pst-color-background", "--pst-color-surface"]
    probe = """name => {
        const probe = document.body.appendChild(document.createElement("i"));
        probe.style.color = `var(${name})`;
        const color = getComputedStyle(probe).color;
        probe.remove();
        return color;
    }"""
    levels = {name: luminance(page.evaluate(probe, name)) for name in names + grounds}
    for name in names:
        for ground in grounds:
            high, low = sorted((levels[name], levels[ground]), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)
    assert (levels["--pst-color-background"] > 0.5) == (scheme == "light")


def test_a_verdict_has_the_colour_of_its_kind_in_the_ledger_and_in_the_chapters(open_page):
    color = "node => getComputedStyle(node).color"
    ledger = open_page("practice/myths.html")
    chapter = open_page("why/sigmoid-chain.html")
    found = {}
    for kind in ("true", "conditional", "false"):
        found[kind] = ledger.eval_on_selector(f"tr.verdict-{kind} .ledger-verdict", color)
        words = chapter.locator(f"strong.verdict-{kind}")
        assert words.count() >= 1
        assert words.first.evaluate(color) == found[kind]
    assert len(set(found.values())) == 3


def test_a_folded_solution_says_which_it_is(open_page):
    page = open_page("why/sigmoid-chain.html")
    shown = page.locator(".tag_solution summary").all_inner_texts()
    assert [text.strip() for text in shown] == [f"Solution {i}" for i in range(1, len(shown) + 1)]
    first = page.locator(".tag_hide-input").first
    assert first.locator("summary").inner_text().strip() not in {"", "Show the code"}, "a fold says what is in it"


def meta(page, name):
    """What a page's head says under a name of Open Graph."""
    return page.get_attribute(f'meta[property="{name}"], meta[name="{name}"]', "content")


@pytest.mark.parametrize("name", PAGES)
def test_icon_and_card_are_named_on_every_page_and_are_there(open_page, site, real, name):
    page = open_page(f"{name}.html", javascript=False)
    icons = page.eval_on_selector_all("link[rel~=icon], link[rel=apple-touch-icon]", "all => all.map(i => i.href)")
    assert {address.rsplit(".", 1)[1] for address in icons} == {"svg", "png"}
    assert all(page.request.get(address).ok for address in icons)
    assert meta(page, "og:url") == f"{real.baseurl}{name}.html"
    assert meta(page, "og:image") == f"{real.baseurl}_static/card.png"
    assert meta(page, "og:title") == page.inner_text("h1").removesuffix("#").strip()
    assert len(meta(page, "og:description")) > 60
    assert not meta(page, "og:description").startswith("Reading")
    assert len(meta(page, "og:image:alt")) > 60
    assert meta(page, "twitter:card") == "summary_large_image"
    with Image.open(site / "_static/card.png") as card:
        assert [str(length) for length in card.size] == [meta(page, "og:image:width"), meta(page, "og:image:height")]


class Figures(HTMLParser):
    """The figures of a page: what its img tags say, outside the theme's own."""

    def __init__(self, path):
        super().__init__()
        self.found = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        if tag == "img" and "_images/" in dict(attrs).get("src", ""):
            self.found.append(dict(attrs))


def test_every_figure_has_its_size_and_no_more_bytes_than_it_needs(site, real):
    count = 0
    for name in real.toc:
        path = site / f"{name}.html"
        for figure in Figures(path).found:
            file = (path.parent / figure["src"]).resolve()
            with Image.open(file) as image:
                width, height = int(figure["width"]), int(figure["height"])
                shape = (width / height) / (image.width / image.height)
                assert abs(shape - 1) < 0.6 / height, (name, file)  # sizes are whole pixels
                assert width <= image.width, f"{name}: a figure is blown up"
                assert image.mode == "P", f"{name}: {file.name} is not reduced to a palette"
            assert file.stat().st_size < 100_000, (name, file.name)
            assert "px" not in figure.get("style", ""), "a size in the style is rigid"
            count += 1
    assert count >= 50


def test_figures_keep_their_shape_on_a_phone_and_wide_ones_their_words(open_page):
    page = open_page("practice/clinic.html", width=360)
    shapes = page.eval_on_selector_all(
        ".bd-article .cell_output img",
        "all => all.map(i => [i.getBoundingClientRect().width, i.getBoundingClientRect().height, i.width, i.height,"
        " i.naturalWidth / i.naturalHeight, i.classList.contains('wide')])",
    )
    assert shapes
    for width, height, _, _, ratio, wide in shapes:
        assert abs(width / height / ratio - 1) < 0.02
        assert (width > 500) == wide
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_in_the_dark_drawings_turn_light_and_heat_maps_stay(open_page):
    page = open_page("why/sigmoid-chain.html", scheme="dark")
    style = "all => all.map(i => [i.alt, getComputedStyle(i).filter, getComputedStyle(i).mixBlendMode])"
    drawings = page.eval_on_selector_all(".cell_output img.drawing", style)
    others = page.eval_on_selector_all(".cell_output img:not(.drawing)", style)
    assert drawings
    assert all("invert(1)" in figure[1] and figure[2] == "screen" for figure in drawings)
    assert any(figure[0].startswith("Heat map") for figure in others)
    assert not any("invert" in figure[1] for figure in others)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_the_landing_page_shows_something_to_move_at_once(open_page, width, height):
    page = open_page("index.html", width=width)
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_selector("[data-interactive=fate][data-ready]")
    knob = page.locator("[data-interactive=fate] input[type=range]").first.bounding_box()
    assert knob["y"] + knob["height"] < height
    block = page.locator("[data-interactive=fate]").bounding_box()
    assert block["y"] < 0.6 * height
    assert block["x"] >= 0
    assert block["x"] + block["width"] <= width


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_without_scripts_the_landing_page_shows_its_figure(open_page, width, height):
    page = open_page("index.html", width=width, javascript=False)
    page.set_viewport_size({"width": width, "height": height})
    box = page.locator(".bd-article .cell_output img").first.bounding_box()
    assert box["y"] < 0.6 * height
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_the_contents_open_on_a_phone(open_page):
    page = open_page("why/sigmoid-chain.html", width=360)
    link = page.locator(".bd-links a", has_text="Back-propagation").first
    assert not link.is_visible()
    page.locator(".bd-header-article .primary-toggle").click()
    link.wait_for(state="visible")
    link.click()
    page.wait_for_url("**/backpropagation.html")
