"""A fork's address goes everywhere, and nothing is run for it."""

import re

import pytest
from buttons import assert_buttons, read

from workshop import notebook as nb
from workshop.__main__ import main
from workshop.book import Book
from workshop.check import CHECKS
from workshop.fork import read_repository


def fork(book, *arguments):
    return main(["--root", str(book.root), "fork", *arguments])


def test_no_old_address_is_left_and_nothing_is_run(tiny):
    old = tiny.repository, tiny.baseurl.rstrip("/")
    before = nb.recorded_outputs(nb.read(tiny, "parts/tiny"))
    readme = tiny.root / "README.md"
    badge = f"https://github.com/{old[0]}/actions/workflows/test.yml/badge.svg?branch=main"
    colab = f"https://colab.research.google.com/github/{old[0]}/blob/main/notebooks/x.ipynb"
    binder = f"https://mybinder.org/v2/gh/{old[0]}/main?urlpath=lab"
    readme.write_text(f"{badge} {colab} {binder} {old[1]}/index.html the main idea\n", encoding="utf-8")

    assert fork(tiny, "someone/their-course", "--branch", "teach") == 0

    moved = Book(tiny.root)
    assert (moved.repository, moved.branch) == ("someone/their-course", "teach")
    assert moved.baseurl == "https://someone.github.io/their-course/"
    for path in tiny.root.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert not any(address.encode() in path.read_bytes() for address in old), path
    assert readme.read_text(encoding="utf-8") == (
        "https://github.com/someone/their-course/actions/workflows/test.yml/badge.svg?branch=teach "
        "https://colab.research.google.com/github/someone/their-course/blob/teach/notebooks/x.ipynb "
        "https://mybinder.org/v2/gh/someone/their-course/teach?urlpath=lab "
        "https://someone.github.io/their-course/index.html the main idea\n"
    )
    assert [problem for check in CHECKS for problem in check(moved)] == []
    assert nb.recorded_outputs(nb.read(moved, "parts/tiny")) == before
    assert nb.stale(moved, "parts/tiny") == ""


def test_there_and_back_changes_nothing(tiny):
    home = tiny.repository
    before = {path: path.read_bytes() for path in tiny.root.rglob("*") if path.is_file()}
    assert fork(tiny, "someone/their-course", "--branch", "teach") == 0
    assert fork(Book(tiny.root), home, "--branch", "main") == 0
    assert {path: path.read_bytes() for path in tiny.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "said",
    [
        "someone/their.course",
        "someone/their.course.git",
        "https://github.com/someone/their.course",
        "https://github.com/someone/their.course/",
        "https://github.com/someone/their.course.git",
        "http://www.github.com/someone/their.course",
        "github.com/someone/their.course",
        "git@github.com:someone/their.course.git",
        "ssh://git@github.com/someone/their.course.git",
    ],
)
def test_an_address_is_understood_as_people_copy_it(said):
    assert read_repository(said) == ("someone", "their.course")


@pytest.mark.parametrize(
    "wrong",
    ["someone", "a/b/c", "a b/c", "a/..", "a-/b", "https://gitlab.com/a/b", "https://github.com/a/b/tree/main", ""],
)
def test_an_address_that_is_none_is_refused(tiny, capsys, wrong):
    assert fork(tiny, wrong) == 1
    assert f"got {wrong!r}, wanted OWNER/REPO" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("repository", "site"),
    [
        ("janedoe/janedoe.github.io", "https://janedoe.github.io/"),
        ("JaneDoe/janedoe.github.io", "https://janedoe.github.io/"),
        ("janedoe/course", "https://janedoe.github.io/course/"),
        ("janedoe/other.github.io", "https://janedoe.github.io/other.github.io/"),
    ],
)
def test_the_site_is_where_github_publishes_it(tiny, repository, site):
    assert fork(tiny, repository) == 0
    assert Book(tiny.root).baseurl == site


def test_from_a_root_to_a_folder_of_it_nothing_is_replaced_twice(tiny):
    readme = tiny.root / "README.md"
    readme.write_text(f"{tiny.baseurl}why/descent.html {tiny.baseurl.rstrip('/')}. {tiny.repository}.", "utf-8")
    assert fork(tiny, "janedoe/janedoe.github.io") == 0
    assert fork(Book(tiny.root), "janedoe/janedoe.github.io.course") == 0
    assert readme.read_text(encoding="utf-8") == (
        "https://janedoe.github.io/janedoe.github.io.course/why/descent.html "
        "https://janedoe.github.io/janedoe.github.io.course. janedoe/janedoe.github.io.course."
    )


def test_a_branch_with_a_slash_is_encoded_where_it_must_be(tiny):
    home, readme = tiny.repository, tiny.root / "README.md"
    links = (
        "https://github.com/{0}/actions/workflows/test.yml/badge.svg?branch={2} "
        "https://colab.research.google.com/github/{0}/blob/{2}/notebooks/x.ipynb "
        "https://mybinder.org/v2/gh/{0}/{2}?urlpath=lab https://github.com/{0}/blob/{1}/x.md "
        "git+https://github.com/{0}@{1}"
    )
    readme.write_text(links.format(home, "main", "main"), encoding="utf-8")
    assert fork(tiny, "someone/course", "--branch", "2026/autumn") == 0
    assert readme.read_text(encoding="utf-8") == links.format("someone/course", "2026/autumn", "2026%2Fautumn")
    assert [problem for check in CHECKS for problem in check(Book(tiny.root))] == []
    assert main(["--root", str(tiny.root), "site"]) == 0
    html = (Book(tiny.root).site / "parts/tiny.html").read_text(encoding="utf-8")
    assert "https://colab.research.google.com/github/someone/course/blob/2026%2Fautumn/notebooks/parts/tiny" in html
    assert "https://mybinder.org/v2/gh/someone/course/2026%2Fautumn?urlpath=lab/tree/notebooks/parts/tiny" in html
    assert "https://github.com/someone/course/edit/2026/autumn/book/parts/tiny.md" in html
    assert fork(Book(tiny.root), home, "--branch", "main") == 0
    assert readme.read_text(encoding="utf-8") == links.format(home, "main", "main")


def test_a_site_of_ones_own(tiny):
    assert fork(tiny, "someone/course", "--site", "https://book.example.org") == 0
    assert Book(tiny.root).baseurl == "https://book.example.org/"


def test_the_site_of_a_fork_is_the_forks(tiny):
    """Of a small book. That nothing in the whole tree names the old home, a site's only source: test_launch.py."""
    home, owner = tiny.baseurl, tiny.repository.split("/")[0]
    assert fork(tiny, "someone/their-course", "--branch", "teach") == 0
    moved = Book(tiny.root)
    assert main(["--root", str(moved.root), "site"]) == 0
    assert_buttons(moved, moved.site)
    for path in moved.site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert home not in text, path
        assert not re.search(rf"{owner}(?:/|\.github)", text), path
    for page in moved.toc:
        head = read(moved.site, page, "link", "meta")
        assert head.find("link", rel="canonical")["href"] == moved.address(page)
        cards = {tag["property"]: tag["content"] for tag in head.find_all("meta", property=re.compile("^og:"))}
        assert cards["og:url"] == moved.address(page)
        assert cards["og:image"] == f"{moved.baseurl}_static/card.png"
    assert (moved.site / "_static/card.png").stat().st_size > 10_000
