"""The exit: Sphinx is told what Jupyter Book tells it, and what a reader would notice is named."""

import re
import shutil
import sys

import pytest
import yaml
from jupyter_book.config import get_final_config

from workshop.__main__ import main
from workshop.book import Book, BookError
from workshop.plain import compare, settings
from workshop.site import make

LEFT_OUT = {
    "comments_config",  # sphinx-comments, which nothing here uses
    "html_logo",  # empty
    "latex_engine",
    "nb_execution_allow_errors",  # false, as myst-nb has it
    "nb_execution_cache_path",  # beside the site, as myst-nb has it
    "nb_execution_excludepatterns",  # empty
    "nb_execution_in_temp",  # false, as myst-nb has it
    "recursive_update",
    "use_jupyterbook_latex",
    "use_multitoc_numbering",  # the table of contents numbers nothing
}
EXTENSIONS_LEFT_OUT = {
    "jupyter_book",  # declares two of its own settings, does nothing
    "sphinx_comments",
    "sphinx_jupyterbook_latex",
    "sphinx_multitoc_numbering",
    "sphinx_thebe",  # lean_pages takes its scripts out of every page
}


def test_sphinx_is_told_what_jupyter_book_tells_it(real):
    theirs, _ = get_final_config(
        user_yaml=real.root / "_config.yml",
        cli_config={"latex_individualpages": False},
        sourcedir=real.root / "book",
    )
    ours = settings(real)
    assert set(theirs) - set(ours) == LEFT_OUT & set(theirs)
    extensions = [name for name in dict.fromkeys(theirs["extensions"]) if name not in EXTENSIONS_LEFT_OUT]
    assert ours["extensions"] == extensions
    options, of_theirs = ours["html_theme_options"], dict(theirs["html_theme_options"])
    buttons, button = options.pop("launch_buttons"), of_theirs.pop("launch_buttons")
    empty = {"announcement", "extra_footer", "analytics"}
    assert options == {key: value for key, value in of_theirs.items() if key not in empty}
    assert buttons == {key: value for key, value in button.items() if value != ""}
    for key in ("exclude_patterns", "html_css_files", "html_js_files"):  # their order is the disk's
        assert sorted(ours[key]) == sorted(theirs[key])
    apart = {"extensions", "html_theme_options", "exclude_patterns", "html_css_files", "html_js_files"}
    assert {key: value for key, value in ours.items() if key not in apart} == {
        key: value for key, value in theirs.items() if key in ours and key not in apart
    }


@pytest.mark.parametrize(("group", "key"), [("html", "announcement"), ("execute", "run_in_temp"), (None, "logo")])
def test_a_key_that_nobody_translated_is_named(real, tmp_path, group, key):
    config = yaml.safe_load((real.root / "_config.yml").read_text(encoding="utf-8"))
    (config[group] if group else config)[key] = "something"
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(BookError, match=rf"plain Sphinx is not told what {group + '.' if group else ''}{key} means"):
        settings(Book(tmp_path))


def test_where_jupyter_book_is_it_refuses(tiny, capsys):
    assert main(["--root", str(tiny.root), "plain"]) == 1
    assert "jupyter-book is installed here" in capsys.readouterr().err


def test_without_jupyter_book_the_site_is_the_same(built, tmp_path):
    book = Book(shutil.copytree(built.root, tmp_path / "tiny", ignore=shutil.ignore_patterns("_build")))
    command = [sys.executable, "-m", "workshop.plain", str(book.root), str(tmp_path / "scratch")]
    assert compare(built.site, make(book, tmp_path / "scratch", command)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("parts/tiny.html", 'alt="A straight line that rises', 'alt="A line that rises', "text missing 1 times"),
        ("parts/tiny.html", "9.8765", "1.4142", "words: '9.8765' became '1.4142'"),
        ("parts/tiny.html", '<span class="katex">', '<span class="formula">', "formula: "),
        ("parts/tiny.html", "<h2", "<h3", "h2: "),
        (
            "searchindex.js",
            "A tiny chapter",
            "A small chapter",
            "search: no longer finds 'A tiny chapter' on parts/tiny",
        ),
    ],
    ids=["picture", "words", "part", "heading", "search"],
)
def test_what_a_reader_would_notice_is_named(built, tmp_path, file, old, new, said):
    other = shutil.copytree(built.site, tmp_path / "html")
    path = other / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert any(said in change for change in compare(built.site, other)), compare(built.site, other)


def test_a_page_that_is_missing_or_new_is_named(built, tmp_path):
    other = shutil.copytree(built.site, tmp_path / "html")
    (other / "parts/tiny.html").rename(other / "parts/small.html")
    assert compare(built.site, other) == ["page missing: parts/tiny.html", "page added: parts/small.html"]


def test_other_tags_around_the_same_words_are_no_difference(built, tmp_path):
    other = shutil.copytree(built.site, tmp_path / "html")
    path = other / "parts/tiny.html"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(r"<p>(.*?)</p>", r'<p class="other"><span>\1</span></p>', text, flags=re.S)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    assert compare(built.site, other) == []
