"""Paper is light whatever the theme says; and no page complains in the console."""

import pytest

PAGES = ["remedies/batch-normalization.html", "practice/myths.html", "appendix/framework-defaults.html"]

COMPLAINTS = {"error", "warning"}

FAINT = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = parts(colour).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0.5) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (one, two) => {
    const [low, high] = [luminance(one), luminance(two)].sort((p, q) => p - q);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
  const found = [];
  let asked = 0;
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !parent.checkVisibility()) continue;
    asked += 1;
    const [colour, behind] = [getComputedStyle(parent).color, ground(parent)];
    if (luminance(behind) < 0.8) found.push(`on ${behind}: ${texts.currentNode.data.slice(0, 40)}`);
    else if (contrast(colour, behind) < 4.5) found.push(`${colour}: ${texts.currentNode.data.slice(0, 40)}`);
  }
  return { asked, found: [...new Set(found)].slice(0, 20) };
}"""


@pytest.mark.parametrize("stored", [None, "dark"], ids=["system", "button"])
@pytest.mark.parametrize("name", PAGES)
def test_a_dark_page_is_light_on_paper(open_page, name, stored):
    page = open_page(name, scheme="dark")
    if stored:
        page.evaluate("mode => { localStorage.mode = mode; localStorage.theme = mode; }", stored)
        page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(FAINT)["found"]  # on the screen it is dark
    page.emulate_media(media="print", color_scheme="dark")
    said = page.evaluate(FAINT)
    assert said["asked"] > 300
    assert said["found"] == []
    filters = page.locator("article img").evaluate_all("all => all.map(image => getComputedStyle(image).filter)")
    assert set(filters) <= {"none"}


def test_both_frameworks_are_on_paper(open_page):
    page = open_page("remedies/clipping.html")
    tabs = page.locator(".sd-tab-set > .sd-tab-content")
    names = page.locator(".sd-tab-set > label")
    shown = [tab.is_visible() for tab in tabs.all()]
    assert shown.count(True) == shown.count(False) > 0  # on the screen one of two
    page.emulate_media(media="print")
    assert all(tab.is_visible() for tab in tabs.all())
    tops = [element.bounding_box()["y"] for pair in zip(names.all(), tabs.all(), strict=True) for element in pair]
    assert tops == sorted(tops)  # a name, its code, the next name


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["appendix/benchmarks.html", "index.html", "why/descent.html"])
def test_a_first_visit_has_its_colours_and_no_complaint(chromium, served, name, scheme):
    context = chromium.new_context(color_scheme=scheme)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message) if message.type in COMPLAINTS else None)
    page.add_init_script("""addEventListener("DOMContentLoaded", () => {
      window.early = { ...document.documentElement.dataset };
    }, { capture: true, once: true })""")
    page.goto(served + name)
    assert [message.text for message in said] == []
    assert page.evaluate("early.theme") == scheme
    assert page.evaluate("early.mode") == "auto"
    assert page.evaluate("[...document.querySelectorAll('th')].filter(th => !th.textContent.trim()).length") == 0
    context.close()
