"""The built site of the tiny book: from the recording, complete without a network, every button to a file."""

import fcntl
import json
import math
import os
import re
import shutil
import subprocess
import sys
from html import escape

import pytest

from workshop.__main__ import main
from workshop.book import Book
from workshop.site import build, clear_up, repository_path, site_problems
from workshop.sphinx.benchmarks import shown


@pytest.fixture
def html(built):
    return (built.site / "parts/tiny.html").read_text(encoding="utf-8")


def test_outputs_come_from_the_recording_and_nothing_is_executed(html):
    assert "9.8765" in html
    assert "1.4142" not in html


def test_figures_have_their_text(html):
    assert 'alt="A straight line that rises from zero to one, and nothing else"' in html


def test_formulas_are_there_without_script_or_network(html):
    assert re.search(r'<span class="katex-display">.*<math [^>]*display="block">.*<span class="katex-html" ', html)
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
    assert f"It runs in {math.ceil(took['seconds'])} s on one core." in html
    assert re.search(r"About \d minutes?[.;]", html)
    assert "It runs in" not in (built.site / "appendix/bibliography.html").read_text(encoding="utf-8")


def test_the_table_of_times_is_filled(built):
    html = (built.site / "appendix/status.html").read_text(encoding="utf-8")
    assert 'href="../parts/tiny.html"' in html
    assert "All pages" in html
    seconds = math.ceil(json.loads((built.root / "book/_static/execution.json").read_text())["parts/tiny"]["seconds"])
    assert f"Half of the 1 pages take {seconds} seconds or less." in html
    assert re.search(rf'<p>{seconds}</p>\s*<div class="bar" style="width: 100.0%" aria-hidden="true"></div>', html)


def test_the_tables_of_ratios_are_filled(built):
    html = (built.site / "appendix/status.html").read_text(encoding="utf-8")
    for group, ratios in json.loads((built.root / "book/_static/benchmarks.json").read_text(encoding="utf-8")).items():
        assert escape(group, quote=False) in html.replace("’", "'")
        assert all(f"<p>{shown(ratio)}</p>" in html for ratio in ratios.values())
        if group.startswith("one profile"):
            assert f"It took {shown(ratios['320 layers'])} times as long." in html


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
        ("</body>", "<p>| a | |—| | 1 |</p></body>", "index.html: shows a table's rule: |—|"),
        ("</body>", "<p>as {cite}`x` said</p></body>", "index.html: shows a role or directive: {cite}"),
        ("</body>", "<li>a **word**</li></body>", "index.html: shows bold: **word**"),
        ("</body>", "<td>$$</td></body>", "index.html: shows mathematics: $$"),
        ("</body>", "<pre>&lt;class 'int'></pre></body>", "index.html: shows a Python object: <class 'int'>"),
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


def files(folder):
    """Return the bytes of every file below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_builds_in_two_folders_are_the_same(built, tmp_path, monkeypatch):
    """Other folder, other file times, other day in another zone, other order of every set: the date alone differs."""
    ignore = shutil.ignore_patterns("_build", "__pycache__")
    other = Book(shutil.copytree(built.root, tmp_path / "ein Kurs, zweimal é 梯度", ignore=ignore))
    for path in other.root.rglob("*"):
        os.utime(path, (1e9, 1e9))
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    build(other)
    date = re.compile(rb'("docbuild:last-update" content="|Last updated on )[A-Z][a-z]{2} \d\d, \d{4}')
    one, two = (
        {path: date.sub(rb"\1a day", data) for path, data in files(book.site).items()} for book in (built, other)
    )
    assert sorted(one) == sorted(two)
    assert [path for path in one if one[path] != two[path]] == []


def last_good(book):
    """Give the book a site that can be told from any other."""
    book.site.mkdir(parents=True)
    (book.site / "index.html").write_text("the last good site", encoding="utf-8")


def test_a_build_stopped_at_the_last_moment_puts_the_last_site_back(tiny, monkeypatch):
    last_good(tiny)
    monkeypatch.setattr("workshop.site.run_builder", lambda book, scratch: None)  # so there is nothing to set in place
    with pytest.raises(FileNotFoundError):
        build(tiny)
    assert (tiny.site / "index.html").read_text(encoding="utf-8") == "the last good site"
    assert [path.name for path in tiny.site.parent.iterdir()] == ["html"]


@pytest.mark.parametrize("there", [True, False], ids=["site", "no site"])
def test_what_a_killed_build_left_is_cleared_up(tiny, there):
    left, own = tiny.site.parent / ".site-killed", tiny.site.parent / ".site-own"
    own.mkdir(parents=True)
    (left / "_build/before").mkdir(parents=True)
    (left / "_build/before/index.html").write_text("the one before", encoding="utf-8")
    if there:
        last_good(tiny)
    clear_up(tiny, own)
    assert {path.name for path in tiny.site.parent.iterdir()} == {"html", own.name}
    wanted = "the last good site" if there else "the one before"
    assert (tiny.site / "index.html").read_text(encoding="utf-8") == wanted


def test_a_second_command_waits_for_the_first(tiny):
    folder = os.open(tiny.root, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    command = [sys.executable, "-m", "workshop", "record"]
    with subprocess.Popen(command, cwd=tiny.root, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout.readline().startswith("waiting for another command")
            assert run.poll() is None
        finally:
            os.close(folder)
        assert "nothing to do" in run.communicate(timeout=60)[0]
    assert run.returncode == 0


def test_without_locks_the_book_is_held_all_the_same(tiny):
    """Windows has no fcntl: the commands still load and work, only nobody waits."""
    program = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import os; os.open = None  # opens no folder there\n"
        "from pathlib import Path; from workshop.book import Book, alone\n"
        "with alone(Book(Path.cwd())): print('held')"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tiny.root, capture_output=True, text=True, check=False)
    assert run.stdout == "held\n", run.stderr


def test_a_full_disk_is_named_and_leaves_the_last_site(tiny):
    """A disk of 100 kB of its own, in a mount namespace."""
    inside = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here (needs Linux and unprivileged unshare)")
    script = (
        "mkdir _build && mount -t tmpfs -o size=100k tmpfs _build && mkdir _build/html && echo last > _build/html/x; "
        '"$0" -m workshop site; cat _build/html/x; ls -A _build'
    )
    run = subprocess.run(
        [*inside, "sh", "-c", script, sys.executable], cwd=tiny.root, capture_output=True, text=True, check=False
    )
    assert run.stdout.endswith("last\nhtml\n")
    assert re.search(r"disk is full|No space left on device|disk I/O error", run.stderr), run.stderr
    assert "Traceback" not in run.stderr


def test_make_book_says_that_the_last_site_stays(tiny, real, edit):
    last_good(tiny)
    edit("book/parts/tiny.md", 'print("two")', "1 / 0")
    for name in ("requirements.txt", "ready"):
        (tiny.root / name).touch()
    command = ["make", "-f", str(real.root / "Makefile"), f"RUN={sys.executable}", "STAMP=ready", "book"]
    run = subprocess.run(command, cwd=tiny.root, capture_output=True, text=True, check=False)
    assert run.returncode
    assert "ZeroDivisionError" in run.stdout
    assert "book: not built; the site that was there stays as it was\n" in run.stdout
    assert list(files(tiny.site).values()) == [b"the last good site"]


def test_paths_are_read_from_addresses(built):
    home = built.repository
    assert repository_path(built, f"https://github.com/{home}/blob/main/book/a.md?plain=1") == "book/a.md"
    assert repository_path(built, f"https://colab.research.google.com/github/{home}/blob/main/n/a.ipynb") == "n/a.ipynb"
    assert repository_path(built, "https://github.com/someone/else/blob/main/a.md") == ""
