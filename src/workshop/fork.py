"""Give the book another address: configuration, set-up cells, notebooks, badges. Nothing is run."""

from __future__ import annotations

import re

from workshop import notebook as nb
from workshop.book import Book, BookError, replace_file
from workshop.release import student_notebook

SKIPPED = {".git", ".pytest_cache", ".ruff_cache", ".venv", "_build", "node_modules", "notebooks"}
TEXTS = {".bib", ".cff", ".cfg", ".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".svg", ".toml", ".txt"}
TEXTS |= {".yaml", ".yml", ""}


def fork(book: Book, repository: str, *, branch: str | None = None, site: str | None = None) -> list[str]:
    """Replace the book's address by that of `repository` ("owner/name"); return the files that changed.

    branch: what readers' links open, unchanged where None; site: where the book is published, by default
    GitHub Pages of the repository. Notebooks are made again from their pages and their recorded outputs.
    """
    if not re.fullmatch(r"[\w-]+/[\w.-]+", repository):
        raise BookError(f"repository: got {repository!r}, wanted OWNER/REPO")
    if branch is not None and not re.fullmatch(r"[\w./-]+", branch):
        raise BookError(f"branch: got {branch!r}, wanted the name of a branch")
    recordings = {page: nb.read(book, page) for page in book.executed}
    if unlike := [page for page, recording in recordings.items() if not nb.runs(recording, book.text(page))]:
        raise BookError(f"record {', '.join(unlike)} first: their notebooks hold other code")
    owner, name = repository.split("/")
    site = (site or f"https://{owner.lower()}.github.io/{name}").rstrip("/") + "/"
    branch = branch or book.branch

    old = re.escape(book.repository)
    with_branch = re.compile(rf"{old}(@|/(?:(?:blob|edit|raw|tree)/)?){re.escape(book.branch)}(?![\w-])")
    badge = re.compile(rf"({old}/\S+[?&]branch=){re.escape(book.branch)}(?![\w-])")
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
        text = badge.sub(rf"\g<1>{branch}", with_branch.sub(rf"{repository}\g<1>{branch}", before))
        text = text.replace(book.baseurl, site).replace(book.baseurl.rstrip("/"), site.rstrip("/"))
        text = re.sub(rf"{old}(?![\w-])", repository, text)
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
