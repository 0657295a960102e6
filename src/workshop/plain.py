"""The same site by plain Sphinx, without Jupyter Book: the exit, tried every week so that it is known to work.

Jupyter Book 1 holds Sphinx at 7; version 2 is another program, without Sphinx and without the extensions of this book.
`_config.yml` stays the one place of the settings: :func:`settings` says in Sphinx's own words what Jupyter Book makes
of it, and a test compares the two. CONTRIBUTING (*Exit*) says what differs and what to do on the day.

``python -m workshop plain`` runs in an environment of its own, where the extra ``plain`` is installed and
``jupyter-book`` is not. It builds into ``_build/plain`` and compares with ``_build/html``, where that is.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from workshop.book import Book, BookError, alone
from workshop.raw_markup import Words
from workshop.site import clear_up, make
from workshop.sphinx import reference

EVERY_BOOK = {
    "extensions": [
        "sphinx_togglebutton",
        "sphinx_copybutton",
        "myst_nb",
        "sphinx_external_toc",
        "sphinx.ext.intersphinx",
        "sphinx_design",
        "sphinx_book_theme",
    ],
    "pygments_style": "sphinx",
    "html_theme": "sphinx_book_theme",
    "html_sourcelink_suffix": "",
    "html_static_path": ["_static"],
    "myst_url_schemes": ["mailto", "http", "https"],
    "suppress_warnings": ["myst.domains"],
}
"""What Jupyter Book says of every book; a book's own ``sphinx: config`` comes after it."""

SAME = {  # key of _config.yml: Sphinx's own
    "title": "html_title",
    "author": "author",
    "copyright": "copyright",
    "exclude_patterns": "exclude_patterns",
    "only_build_toc_files": "external_toc_exclude_missing",
    "bibtex_bibfiles": "bibtex_bibfiles",
    "html.baseurl": "html_baseurl",
    "html.favicon": "html_favicon",
    "execute.execute_notebooks": "nb_execution_mode",
    "execute.raise_on_error": "nb_execution_raise_on_error",
    "execute.stderr_output": "nb_output_stderr",
    "execute.timeout": "nb_execution_timeout",
    "parse.myst_enable_extensions": "myst_enable_extensions",
}
OF_THE_THEME = {  # key of _config.yml: the theme's own
    "repository.url": "repository_url",
    "repository.branch": "repository_branch",
    "repository.path_to_book": "path_to_docs",
    "html.use_edit_page_button": "use_edit_page_button",
    "html.use_repository_button": "use_repository_button",
    "html.use_issues_button": "use_issues_button",
    "html.home_page_in_navbar": "home_page_in_toc",
    "launch_buttons.notebook_interface": "launch_buttons.notebook_interface",
    "launch_buttons.colab_url": "launch_buttons.colab_url",
    "launch_buttons.binderhub_url": "launch_buttons.binderhub_url",
    "launch_buttons.thebe": "launch_buttons.thebe",
}
OWN_WORDS = {"sphinx.config", "sphinx.extra_extensions", "sphinx.recursive_update"}
FRAMEWORKS = ("keras", "tensorflow", "torch")

PARTS = {  # class of an element: what it is to a reader
    "interactive": "figure with knobs",
    "veil": "veil",
    "veiled": "output under a veil",
    "sd-tab-content": "tab",
    "cell_input": "cell's code",
    "cell_output": "cell's output",
    "katex": "formula",
    "footnote-reference": "footnote",
    "hide-input": "fold",
    "hide": "fold",
}


def settings(book: Book) -> dict:
    """Return Sphinx's settings for a book, from ``_config.yml``.

    Raises BookError where ``_config.yml`` has a key that nobody has translated: it would be lost without a word.
    """
    given = flat(book.config)
    if unknown := sorted(set(given) - set(SAME) - set(OF_THE_THEME) - OWN_WORDS):
        raise BookError(f"_config.yml: plain Sphinx is not told what {', '.join(unknown)} means (workshop/plain.py)")
    static = book.root / "book" / "_static"
    made = {**EVERY_BOOK, "html_theme_options": {"search_bar_text": "Search this book..."}}
    made |= {SAME[key]: value for key, value in given.items() if key in SAME}
    for key, value in given.items():
        if key in OF_THE_THEME:
            *above, name = OF_THE_THEME[key].split(".")
            place = made["html_theme_options"]
            for group in above:
                place = place.setdefault(group, {})
            place[name] = value
    for key, suffix in (("html_css_files", "css"), ("html_js_files", "js")):
        made[key] = sorted(path.relative_to(static).as_posix() for path in static.rglob(f"*.{suffix}"))
    extra = given.get("sphinx.extra_extensions", [])
    made["extensions"] = [*made["extensions"], *(name for name in extra if name not in made["extensions"])]
    for key, value in given.get("sphinx.config", {}).items():
        made[key] = made.get(key, {}) | value if isinstance(value, dict) else value
    return made


def flat(config: dict) -> dict:
    """Return the configuration with one dotted key a value; what stands under *sphinx* is Sphinx's and stays whole."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            found[key] = value
    return found


def run_sphinx(root: Path, scratch: Path) -> int:
    """Build the site of the book at `root` below `scratch`, from the cache that is there; return the exit code."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    book = Book(root)
    output = scratch / "_build"
    own = settings(book) | {
        "external_toc_path": str(root / "_toc.yml"),
        "nitpicky": True,
        # The reference names the frameworks; without them it is built all the same, their classes without bases.
        "autodoc_mock_imports": [name for name in FRAMEWORKS if find_spec(name) is None],
    }
    source = root / "book"
    with patch_docutils(None), docutils_namespace():
        app = Sphinx(source, None, output / "html", output / ".doctrees", "html", own, warningiserror=True)
        app.build()
    return app.statuscode


def plain(book: Book, compare_with: Path | None = None) -> int:
    """Build the site with plain Sphinx into ``_build/plain`` and print what differs; return the exit code."""
    if find_spec("jupyter_book"):
        raise BookError("jupyter-book is installed here and holds Sphinx at 7; run this in an environment without it")
    usual, target = compare_with or book.site, book.root / "_build" / "plain"
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(book), tempfile.TemporaryDirectory(prefix=".plain-", dir=target.parent) as scratch:
        clear_up(book, Path(scratch))
        made = make(book, Path(scratch), [sys.executable, "-m", "workshop.plain", str(book.root), scratch])
        shutil.rmtree(target, ignore_errors=True)
        os.replace(made, target)
    print(f"plain: {len(book.toc)} pages by {versions()}: {(target / 'index.html').as_uri()}")
    if not (usual / "index.html").is_file():
        print(f"plain: nothing to compare with: no site in {usual}")
        return 0
    differences = compare(usual, target)
    print("\n".join(differences) or "plain: every page shows the same")
    return 1 if differences else 0


def versions() -> str:
    """Return what the site was built with."""
    from importlib.metadata import version

    names = ("sphinx", "docutils", "myst-nb", "myst-parser", "sphinx-book-theme", "pydata-sphinx-theme")
    return ", ".join(f"{name} {version(name)}" for name in names)


class Shown(Words):
    """What the article of one page shows: its words, the texts of its pictures, and how many of each part."""

    def __init__(self) -> None:
        """Start with nothing collected."""
        super().__init__()
        self.texts: list[str] = []
        self.parts: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count one element."""
        super().handle_starttag(tag, attrs)
        named = {name: value or "" for name, value in attrs}
        if tag in {"img", "svg"} and (text := named.get("alt") or named.get("aria-label")):
            self.texts.append(text)
        self.parts.update({part for name in named.get("class", "").split() if (part := PARTS.get(name))})
        if tag in {"h1", "h2", "h3", "table"}:
            self.parts[tag] += 1

    def words(self) -> list[str]:
        """Return all words of the article in their order, verbatim ones too."""
        return " ".join([*self.text, *self.verbatim]).split()


def shown(path: Path) -> Shown:
    """Read the article of a built page; a page without one, such as the search, is the theme's own."""
    _, _, article = path.read_text(encoding="utf-8").partition("<article")
    found = Shown()
    found.feed(f"<article{article.partition('</article>')[0]}")
    return found


def compare(usual: Path, other: Path) -> list[str]:
    """Return what the one site shows to readers and the other does not: pages, words, pictures' texts, parts, search.

    A different program may write other HTML; a reader must not notice.
    """
    pages = {
        folder: {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*.html")
            if path.relative_to(folder).parts[0] != "_static"
        }
        for folder in (usual, other)
    }
    said = [f"page missing: {page}" for page in sorted(pages[usual] - pages[other])]
    said += [f"page added: {page}" for page in sorted(pages[other] - pages[usual])]
    for page in sorted(pages[usual] & pages[other]):
        one, two = shown(usual / page), shown(other / page)
        for text, times in (Counter(one.texts) - Counter(two.texts)).items():
            said.append(f"{page}: picture's text missing {times} times: {text}")
        said += [
            f"{page}: {part}: {one.parts[part]}, now {two.parts[part]}"
            for part in sorted(one.parts | two.parts)
            if one.parts[part] != two.parts[part]
        ]
        if page.removesuffix(".html") not in reference.PAGES:  # how a signature is set is Sphinx's own affair
            said += [f"{page}: words: {change}" for change in changes(one.words(), two.words())]
    return said + search_changes(usual, other)


def changes(before: list[str], after: list[str], most: int = 5) -> list[str]:
    """Return what became of a page's words, at most so many places."""
    from difflib import SequenceMatcher

    if before == after:
        return []
    found = [
        f"{' '.join(before[i:j])!r:.200} became {' '.join(after[k:m])!r:.200}"
        for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if kind != "equal"
    ]
    return [*found[:most], *([f"and {len(found) - most} places more"] if len(found) > most else [])]


def search_changes(usual: Path, other: Path) -> list[str]:
    """Return which titles one site's search finds and that of the other does not; stems are each Sphinx's own."""
    one, two = (titles(folder / "searchindex.js") for folder in (usual, other))
    lost = [f"search: no longer finds {title!r} on {page}" for title, page in sorted(one - two)]
    return lost + [f"search: newly finds {title!r} on {page}" for title, page in sorted(two - one)]


def titles(path: Path) -> set[tuple[str, str]]:
    """Return the pairs of title and page that a search index holds, sections too."""
    text = path.read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return {(title, index["docnames"][place]) for title, places in index["alltitles"].items() for place, _ in places}


if __name__ == "__main__":
    sys.exit(run_sphinx(Path(sys.argv[1]), Path(sys.argv[2])))
