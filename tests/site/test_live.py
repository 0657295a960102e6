"""Pages that run in the browser: every cell that needs NumPy alone runs, and prints what the recording has.

Slow, so one page here and all of them by ``make test-live`` (which sets ``GRADCLINIC_LIVE_PAGES=all`` and writes the
table ``_build/live.md``). Skipped where ``python -m workshop live`` has not filled the cache. As everywhere in this
folder the browser reaches nothing but this machine: what a page asks of another host fails the test.
"""

import json
import os
import re
from functools import cache
from pathlib import Path

import pytest

from workshop.book import Book
from workshop.live import marks, supply

ROOT = Path(__file__).parents[2]
ONE = "why/descent"
LESS = "why/backpropagation"  # its cells need no SciPy
EVERY = os.environ.get("GRADCLINIC_LIVE_PAGES") == "all"
PATIENCE = 540_000  # ms; a machine that is busy with other things is many times slower
ENDED = """() => [...document.querySelectorAll(".live-cell")].every(
  (cell) => ["done", "failed", "framework", "stopped"].includes(cell.dataset.live))"""

pytestmark = pytest.mark.skipif(not supply.ready(), reason="no parts of live pages here: python -m workshop live")


@cache
def live_pages():
    """Read once in each worker: it takes seconds."""
    return marks.live_pages(ROOT)


def pages():
    """Those that take longest first, so that no worker is left with a long one while the others have nothing to do."""
    if not EVERY:
        return [ONE]
    recorded = json.loads((ROOT / "book/_static/execution.json").read_text(encoding="utf-8"))
    return sorted(live_pages(), key=lambda page: (-recorded[page]["seconds"], page))


def offered(page):
    """The megabytes that the offer says."""
    return int(re.search(r"about (\d+) MB", page.locator("#live-offer").inner_text())[1])


def begin(page):
    """Click the button and wait until Python is there."""
    page.locator("#live-offer button").click()
    page.wait_for_selector("html.live-on", timeout=PATIENCE)


def run_all(page):
    page.get_by_role("button", name="Run every cell").click()
    page.wait_for_function(ENDED, timeout=PATIENCE, polling=250)  # ms; at every frame it takes a third of the time


def results(page):
    """Of every cell: how it ended, what it says of it, its print-out, the number of its figures."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".live-cell")].map((cell) => {
          const output = cell.querySelector(".live-output");
          const text = [...output.querySelectorAll("pre:not([class])")].map((pre) => pre.textContent).join("");
          const error = output.querySelector("pre.live-error")?.textContent ?? "";
          const warning = output.querySelector("pre.live-warning")?.textContent ?? "";
          return {state: cell.dataset.live, said: cell.querySelector(".live-status").textContent, text, error, warning,
                  figures: output.querySelectorAll("img").length};
        })"""
    )


def recorded(page):
    """Of every visible cell of a page: what it printed, the number of its figures."""
    found = []
    for cell in marks.visible_cells(ROOT / "notebooks" / f"{page}.ipynb"):
        text = "".join("".join(out["text"]) for out in cell["outputs"] if out["output_type"] == "stream")
        figures = sum("image/png" in out.get("data", {}) for out in cell["outputs"])
        found.append({"text": text, "figures": figures})
    return found


@pytest.mark.parametrize("name", pages())
def test_every_numpy_cell_runs_and_prints_what_was_recorded(open_page, name):
    page = open_page(f"{name}.html")
    megabytes = offered(page)
    begin(page)
    run_all(page)
    ours, theirs = results(page), recorded(name)
    about = live_pages()[name]
    assert len(ours) == len(theirs) == len(about.cells)
    excused = marks.exceptions()["cells"].get(name, {})
    wrong, same, printing, ran = [], 0, 0, 0
    for number, (kind, mine, recording) in enumerate(zip(about.cells, ours, theirs, strict=True), start=1):
        if kind == "p":
            if mine["state"] != "framework":
                wrong.append(f"cell {number}: {mine}")
            continue
        ran += mine["state"] == "done"
        printing += bool(recording["text"])
        if mine["state"] == "done" and mine["text"] == recording["text"] and mine["figures"] == recording["figures"]:
            same += bool(recording["text"])
        elif str(number) not in excused:
            wrong.append(f"cell {number}: {mine}\n  recorded: {recording}")
    said = page.evaluate("document.getElementById('live-offer').innerText")
    kept = page.evaluate("async () => (await navigator.storage.estimate()).usage ?? 0")
    keep(
        name,
        cells=len(ours),
        run=ran,
        printing=printing,
        same=same,
        seconds=sum(map(seconds, ours)),
        megabytes=megabytes,
        stored=round(kept / 1e6),
        memory=round(page.evaluate("+document.getElementById('live-offer').dataset.memory") / 1e6),
    )
    assert wrong == [], "\n".join(wrong)
    assert page.locator("#live-offer").get_attribute("data-more") is None  # the first click has brought everything
    assert said.rstrip().endswith(f"{ran} of {len(ours)} cells have run here.")
    assert printing > 0
    assert same > 0


def seconds(result):
    """What a cell says of its time, in seconds; nothing where it says less than a tenth."""
    found = re.search(r"ran in ([\d.]+) s", result["said"])
    return float(found[1]) if found else 0.0


def keep(name, **measured):
    """Leave a page's row for the table."""
    folder = ROOT / "_build" / "live"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.replace('/', '-')}.json").write_text(json.dumps({"page": name} | measured), encoding="utf-8")


def test_no_more_print_outs_are_excused_than_two_in_a_hundred():
    """Each with a reason, for a cell that is there."""
    live = live_pages()
    printing = excused = 0
    for name, about in live.items():
        texts = [cell["text"] for cell in recorded(name)]
        printing += sum(bool(text) and kind == "r" for text, kind in zip(texts, about.cells, strict=True))
    for name, cells in marks.exceptions()["cells"].items():
        for number, reason in cells.items():
            excused += 1
            assert live[name].cells[int(number) - 1] == "r", (name, number)
            assert len(reason) > 20
    assert excused <= 0.02 * printing
    assert all(len(reason) > 20 for reason in marks.left_out().values())


def test_enough_pages_are_live():
    """A page that is not live counts with all its cells, none of which runs."""
    live = live_pages()
    assert len(live) >= 14
    why, reproduce = marks.counted(ROOT, "why"), marks.counted(ROOT, "reproduce")
    assert why[1] >= 0.9 * why[0]
    assert why[1] + reproduce[1] >= 0.85 * (why[0] + reproduce[0])
    every = {page for page in Book(ROOT).executed if page.startswith(("why/", "reproduce/"))}
    assert len(every) >= 9
    assert every <= set(live)


@pytest.fixture(scope="module")
def running(visiting):
    """Return a page on which Python runs, its first cells have run, and the list of all that it asked for."""
    with visiting() as (open_page, requests):
        page = open_page(f"{ONE}.html")
        before = [request.url for request in requests]
        begin(page)
        yield page, requests, before


def cell_with(page, piece):
    """The cell whose code has this piece, its fold open."""
    found = page.locator(".live-cell", has=page.locator(".cell_input[hidden]", has_text=piece)).first
    found.evaluate("(cell) => { for (const fold of cell.querySelectorAll('details')) fold.open = true; }")
    return found


def write(page, cell, code):
    """Put code in place of a cell's, by the keyboard."""
    cell.get_by_role("textbox").click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(code)


def wait(page, cell, *states):
    page.wait_for_function(
        "([cell, states]) => states.includes(cell.dataset.live)", arg=[cell.element_handle(), states], timeout=PATIENCE
    )


def run(page, cell, *states):
    cell.get_by_role("button", name=re.compile(r"^Run: ")).click()
    wait(page, cell, *(states or ("done",)))


FIGURE = "fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True)"


def test_nothing_is_loaded_before_the_click(running):
    _, _, before = running
    assert [url.rpartition("/")[2].partition("?")[0] for url in before if "/_static/live/" in url] == ["button.js"]


def test_a_changed_number_changes_the_figure(running):
    page, *_ = running
    cell = cell_with(page, FIGURE)
    code = cell.locator(".cell_input pre").text_content()
    assert code.count("(0.1, 0.9, 1.1)") == 1
    run(page, cell)
    first = cell.locator(".live-output img").get_attribute("src")
    assert cell.locator(".live-output img").get_attribute("alt").startswith("The parabola")
    write(page, cell, code.replace("(0.1, 0.9, 1.1)", "(0.1, 0.9, 1.05)"))
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(
        "([image, first]) => image.isConnected === false",
        arg=[cell.locator(".live-output img").element_handle(), first],
        timeout=PATIENCE,
    )
    wait(page, cell, "done")
    second = cell.locator(".live-output img")
    assert second.get_attribute("src") != first
    assert second.get_attribute("alt").startswith("Figure of cell 1, drawn anew from changed code")
    assert not cell.locator(":scope > .cell_output").first.is_visible()
    cell.get_by_role("button", name=re.compile(r"^Reset: ")).click()
    assert cell.locator(".live-output").is_hidden()


def test_a_mistake_shows_its_line_and_the_cells_after_it_wait(running):
    page, *_ = running
    cell = cell_with(page, FIGURE)
    write(page, cell, "a = 1\nprint('before')\nb = a / 0\nprint('after')")
    run(page, cell, "failed")
    assert "Line 3: ZeroDivisionError" in cell.locator(".live-status").inner_text()
    said = cell.locator(".live-output").inner_text()
    assert said.startswith("before\n")
    assert "after" not in said
    assert "Line 3: ZeroDivisionError: division by zero" in said
    assert "line 3: b = a / 0" in said
    assert cell.locator(".live-wrong").inner_text() == "b = a / 0"
    write(page, cell, "def broken(:\n    pass")
    run(page, cell, "failed")
    assert "Line 1: SyntaxError" in cell.locator(".live-status").inner_text()


def test_what_a_framework_must_do_is_said_with_the_way_to_colab(running):
    page, *_ = running
    cell = cell_with(page, FIGURE)
    write(page, cell, "import torch\nx = torch.ones(3)\ny = 1 + 1")
    run(page, cell, "framework")
    status = cell.locator(".live-status")
    assert "Needs PyTorch, which a browser cannot run." in status.inner_text()
    assert "colab.research.google.com" in status.get_by_role("link", name="Runs in Colab").get_attribute("href")
    write(page, cell, "print(y)\nprint(x.sum())")
    run(page, cell, "framework")
    write(page, cell, "print(y)")
    run(page, cell)
    assert cell.locator(".live-output").inner_text().strip() == "2"


def test_it_is_named_for_screen_readers_and_the_tab_key_leaves_the_editor(running):
    page, *_ = running
    cell = cell_with(page, FIGURE)
    box = cell.get_by_role("textbox", name=re.compile("Code of cell 1"))
    box.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Run: cell 1"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, context=".bd-article", options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    mine = [
        (rule["id"], node["html"][:120])
        for rule in found
        for node in rule["nodes"]
        if "live" in node["html"] or "cm-" in node["html"]
    ]
    assert mine == []


def test_a_loop_without_an_end_is_stopped_and_python_starts_anew(running):
    page, requests, _ = running
    cell = cell_with(page, FIGURE)
    write(page, cell, "x = 3\nwhile True:\n    pass")
    run(page, cell, "running")
    asked = len(requests)
    page.get_by_role("button", name="Stop").click()
    wait(page, cell, "stopped")
    page.wait_for_function("document.querySelector('#live-offer').innerText.includes('ready again')", timeout=PATIENCE)
    big = [r.url for r in requests[asked:] if re.search(r"\.(whl|wasm|zip)\b", r.url)]
    assert big == []  # what the browser keeps is not sent again
    write(page, cell, "print('x' in globals())")
    run(page, cell)
    assert cell.locator(".live-output").inner_text().strip() == "False"


def test_a_second_visit_transfers_only_the_small_scripts(running):
    """On another page, which needs less; a cell that is made to need SciPy has it, from what the browser keeps."""
    page, *_ = running
    other = page.context.new_page()
    asked = []
    other.on("request", lambda request: asked.append(request.url))
    other.goto(page.url.replace(ONE, LESS))
    assert offered(other) < 25
    begin(other)
    cell = cell_with(other, "def sigmoid(z):")
    write(other, cell, 'from gradclinic import theory\nprint(round(theory.critical_weight_variance("tanh", 0.05), 3))')
    run(other, cell)
    assert cell.locator(".live-output").inner_text().strip() == "1.761"
    assert other.locator("#live-offer").get_attribute("data-more") == "scipy"
    own = [url for url in asked if "/_static/live/" in url and not re.search(r"\.(m?js|css|json)\b", url)]
    assert own == []
    other.close()
