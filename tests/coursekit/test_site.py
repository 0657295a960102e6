"""The built site of the tiny book: from the recording, complete without a network, every button to a file."""

import json
import re
import shutil
from html import escape

import pytest

from coursekit.__main__ import main
from coursekit.book import Book
from coursekit.site import repository_path, site_problems


@pytest.fixture(scope="session")
def built(recorded, tmp_path_factory):
    """Return the tiny book, built from a recording whose number nobody could compute."""
    book = Book(shutil.copytree(recorded, tmp_path_factory.mktemp("built") / "tiny"))
    path = book.notebook("parts/tiny")
    path.write_text(path.read_text(encoding="utf-8").replace("1.4142", "9.8765"), encoding="utf-8")
    assert main(["--root", str(book.root), "site"]) == 0
    return book


@pytest.fixture
def html(built):
    return (built.site / "parts/tiny.html").read_text(encoding="utf-8")


def test_outputs_come_from_the_recording_and_nothing_is_executed(html):
    assert "9.8765" in html
    assert "1.4142" not in html


def test_figures_have_their_text(html):
    assert 'alt="A straight line that rises from zero to one, and nothing else"' in html


def test_formulas_are_there_without_script_or_network(html):
    assert '<math display="block">' in html
    assert "mathjax" not in re.sub("mathjax_ignore", "", html).lower()


def test_the_set_up_cell_is_not_shown_and_solutions_are_folded(html):
    assert "%pip" not in html
    assert re.search(r"<details class=\"[^\"]*hide", html)


def test_buttons_lead_to_the_notebook(built, html):
    home = built.repository
    assert f"https://colab.research.google.com/github/{home}/blob/main/notebooks/parts/tiny.ipynb" in html
    assert f"https://mybinder.org/v2/gh/{home}/main?urlpath=lab/tree/notebooks/parts/tiny.ipynb" in html
    assert f"https://github.com/{home}/edit/main/book/parts/tiny.md" in html
    assert (built.site / "_sources/parts/tiny.ipynb").read_bytes() == built.notebook("parts/tiny").read_bytes()


def test_pages_without_a_notebook_offer_none(built):
    html = (built.site / "appendix/bibliography.html").read_text(encoding="utf-8")
    assert "colab.research.google.com" not in html
    assert "mybinder.org" not in html


def test_an_executed_page_says_how_long_it_takes(built, html):
    took = json.loads((built.root / "book/_static/execution.json").read_text())["parts/tiny"]
    assert f"Running: {max(1, round(took['seconds']))} s" in html
    assert re.search(r"Reading: about [12] min", html)
    assert "Running:" not in (built.site / "appendix/bibliography.html").read_text(encoding="utf-8")


def test_the_table_of_times_is_filled(built):
    html = (built.site / "appendix/status.html").read_text(encoding="utf-8")
    assert 'href="../parts/tiny.html"' in html
    assert "all pages" in html


def test_the_tables_of_ratios_are_filled(built):
    html = (built.site / "appendix/status.html").read_text(encoding="utf-8")
    for group, ratios in json.loads((built.root / "book/_static/benchmarks.json").read_text(encoding="utf-8")).items():
        assert escape(group, quote=False) in html.replace("’", "'")
        assert all(f"<p>{ratio:g}</p>" in html for ratio in ratios.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<head>", '<head><script src="https://cdn.example.com/x.js"></script>', "from the network"),
        ("<head>", '<head><link rel="stylesheet" href="_static/none.css">', "which does not exist"),
        ("</body>", '<a href="https://tracker.example.com/">x</a></body>', "tracker.example.com is not listed"),
        ("</body>", '<a href="none.html">x</a></body>', "dead link none.html"),
        ("</body>", '<a href="parts/tiny.html#none">x</a></body>', "no such place on that page"),
        ("</body>", '<img src="_static/file.png"></body>', "image _static/file.png has no text"),
        ("</body>", '<a href="{github}/edit/main/book/none.md">x</a></body>', "the repository has no book/none.md"),
    ],
)
def test_what_is_unfit_is_named(built, tmp_path, old, new, said):
    folder = shutil.copytree(built.site, tmp_path / "html")
    page = folder / "index.html"
    new = new.replace("{github}", f"https://github.com/{built.repository}")
    page.write_text(page.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert site_problems(built, built.site) == []
    found = site_problems(built, folder)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("book/parts/tiny.md", "\\prod", "\\nonsense", "nonsense"),
        ("book/index.md", "parts/tiny.md#why-so", "parts/none.md", "none.md"),
        ("book/parts/tiny.md", 'print("two")', 'print("three")', "no recording of parts/tiny as it now stands"),
    ],
    ids=["formula", "link", "unrecorded"],
)
def test_a_failing_build_leaves_the_last_good_site(tiny, edit, capsys, name, old, new, said):
    tiny.site.mkdir(parents=True)
    (tiny.site / "index.html").write_text("the last good site", encoding="utf-8")
    edit(name, old, new)
    assert main(["--root", str(tiny.root), "site"]) == 1
    assert said in capsys.readouterr().err
    assert (tiny.site / "index.html").read_text(encoding="utf-8") == "the last good site"
    assert [path.name for path in tiny.site.parent.iterdir()] == ["html"]


def test_paths_are_read_from_addresses(built):
    home = built.repository
    assert repository_path(built, f"https://github.com/{home}/blob/main/book/a.md?plain=1") == "book/a.md"
    assert repository_path(built, f"https://colab.research.google.com/github/{home}/blob/main/n/a.ipynb") == "n/a.ipynb"
    assert repository_path(built, "https://github.com/someone/else/blob/main/a.md") == ""
