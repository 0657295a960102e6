"""Give the book another address: configuration, set-up cells, notebooks, badges. Nothing is run."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from workshop import notebook as nb
from workshop.book import Book, BookError, replace_file
from workshop.release import student_notebook

SKIPPED = {".git", ".pytest_cache", ".ruff_cache", ".venv", "_build", "node_modules", "notebooks"}
TEXTS = {".bib", ".cff", ".cfg", ".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".svg", ".toml", ".txt"}
TEXTS |= {".yaml", ".yml", ""}

ADDRESS = re.compile(
    r"(?:(?:https?://)?(?:www\.)?github\.com/|(?:ssh://)?git@github\.com[:/])?"
    r"(?P<owner>\w(?:[\w-]*\w)?)/(?P<name>[\w.-]+?)(?:\.git)?/?"
)
"""A repository on GitHub as people copy it: OWNER/REPO, an address with or without .git, what git clone takes."""


def read_repository(said: str) -> tuple[str, str]:
    """Return owner and name of a repository on GitHub, however its address is written."""
    found = ADDRESS.fullmatch(said.strip())
    if not found or found["name"].strip(".") == "":
        raise BookError(f"repository: got {said!r}, wanted OWNER/REPO or its address on github.com")
    return found["owner"], found["name"]


def pages_address(owner: str, name: str) -> str:
    """Return where GitHub Pages publishes a repository: OWNER.github.io is published at the root."""
    home = f"https://{owner.lower()}.github.io/"
    return home if f"https://{name.lower()}/" == home else f"{home}{name}/"


def replacement(book: Book, repository: str, branch: str, site: str) -> Callable[[str], str]:
    """Return the function that replaces in a text the book's addresses, all in one pass: none is replaced twice.

    A branch is one segment of a path for Colab and for Binder, so its slashes are encoded there; pip and GitHub's own
    addresses take it as it is.
    """
    old, base = re.escape(book.repository), re.escape(book.baseurl.rstrip("/"))
    on_branch = f"(?:{re.escape(book.branch)}|{re.escape(quote(book.branch, safe=''))})(?![\\w-])"
    address = re.compile(
        rf"(?P<site>{base}(?![\w-]|\.\w))"
        r"|(?P<host>(?:colab\.research\.google\.com/github|mybinder\.org/v2/gh)/)?"
        rf"(?<![\w.-]){old}(?![\w-]|\.(?!git\b)\w)(?:(?P<to>@|/(?:(?:blob|edit|raw|tree)/)?){on_branch})?"
    )
    badge = re.compile(rf"((?<![\w.-]){old}/\S+[?&]branch=){on_branch}")

    def replaced(found: re.Match) -> str:
        if found["site"]:
            return site.rstrip("/")
        host, to = found["host"] or "", found["to"] or ""
        there = quote(branch, safe="") if host else branch
        return f"{host}{repository}{to}{there if to else ''}"

    def replace(text: str) -> str:
        return address.sub(replaced, badge.sub(rf"\g<1>{quote(branch, safe='')}", text))

    return replace


def fork(book: Book, repository: str, *, branch: str | None = None, site: str | None = None) -> list[str]:
    """Replace the book's address by that of `repository`; return the files that changed.

    repository: "owner/name", or its address on GitHub; branch: what readers' links open, unchanged where None; site:
    where the book is published, by default GitHub Pages of the repository. Notebooks are made again from their pages
    and their recorded outputs.
    """
    owner, name = read_repository(repository)
    if branch is not None and not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*", branch):
        raise BookError(f"branch: got {branch!r}, wanted the name of a branch")
    recordings = {page: nb.read(book, page) for page in book.executed}
    if unlike := [page for page, recording in recordings.items() if not nb.runs(recording, book.text(page))]:
        raise BookError(f"record {', '.join(unlike)} first: their notebooks hold other code")
    branch = branch or book.branch
    replace = replacement(book, f"{owner}/{name}", branch, site or pages_address(owner, name))
    pushed = re.compile(rf"(?m)^(    branches: \[){re.escape(book.branch)}(\])$")
    changed = []
    for path in sorted(book.root.rglob("*")):
        parts = path.relative_to(book.root).parts
        if SKIPPED & set(parts) or path.suffix not in TEXTS or not path.is_file() or path.is_symlink():
            continue
        try:
            before = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        text = replace(before)
        if path == book.root / "_config.yml":
            text = re.sub(r"(?m)^(  branch:\s*).*$", rf"\g<1>{branch}", text)
        if parts[:2] == (".github", "workflows"):
            text = pushed.sub(rf"\g<1>{branch}\g<2>", text)
        if text != before:
            replace_file(path, text)
            changed.append(path.relative_to(book.root).as_posix())
    moved = Book(book.root)
    for page, recording in recordings.items():
        modules = recording.metadata["workshop"]["modules"]
        replace_file(moved.notebook(page), nb.assemble(moved, page, nb.recorded_outputs(recording), modules))
        changed.append(moved.notebook(page).relative_to(book.root).as_posix())
    for page in moved.assignments:
        replace_file(moved.notebook(page), student_notebook(moved, page))
        changed.append(moved.notebook(page).relative_to(book.root).as_posix())
    print(f"fork: {moved.repository}@{moved.branch}, site {moved.baseurl}: {len(changed)} files rewritten, nothing run")
    return changed
