"""The book as files: pages, notebooks, table of contents, configuration and the addresses made from them."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import posixpath
import re
import shutil
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urljoin

import yaml

try:
    import fcntl
except ImportError:  # Windows: locks no folder, so there nobody waits
    fcntl = None

HEADER = """\
---
jupytext:
  cell_metadata_filter: all,-jupyter,-cellView
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---
"""
"""The first lines of every page with code; the recorder writes them.

The pairing itself stands in pyproject.toml (tool.jupytext.formats). The filter must stand here (jupytext 1.19,
`combine_inputs_with_outputs`, looks nowhere else) or JupyterLab opens the solutions unfolded.
"""

SETUP_TAGS = ["remove-cell", "setup"]

SETUP = """\
# Colab only: installs the course's package where it is absent, touching nothing else.
import importlib.util
if importlib.util.find_spec("gradclinic") is None:
    %pip install --quiet --no-deps "gradclinic @ git+https://github.com/{repository}@{branch}\""""
"""The first code cell of every page with code; {repository} and {branch} are those of _config.yml."""


class BookError(Exception):
    """What the user must put right; its text is one finished message."""


@dataclass(frozen=True)
class Book:
    """A book rooted at `root`; pages are named by their path in book/ without suffix, as in the toc."""

    root: Path

    @cached_property
    def config(self) -> dict:
        """Return `_config.yml` as plain data."""
        path = self.root / "_config.yml"
        if not path.is_file():
            raise BookError(f"{path}: not found; run workshop in the repository's root")
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.MarkedYAMLError as error:
            raise yaml_problem("_config.yml", error) from error

    @property
    def repository(self) -> str:
        """Return "owner/name" of the repository on GitHub."""
        url = self.config["repository"]["url"]
        match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)/?", url)
        if not match:
            raise BookError(f"_config.yml: repository.url is {url!r}; wanted https://github.com/OWNER/REPO")
        return match[1]

    @property
    def branch(self) -> str:
        """Return the branch that readers' links open."""
        return self.config["repository"]["branch"]

    @property
    def baseurl(self) -> str:
        """Return the address of the published site, ending in "/"."""
        return self.config["html"]["baseurl"].rstrip("/") + "/"

    @property
    def setup(self) -> str:
        """Return the source of the set-up cell for the configured address."""
        return SETUP.format(repository=self.repository, branch=self.branch)

    @property
    def site(self) -> Path:
        """Return the folder of the built site."""
        return self.root / "_build" / "html"

    def source(self, page: str) -> Path:
        """Return the path of the page's text."""
        return self.root / "book" / f"{page}.md"

    def notebook(self, page: str) -> Path:
        """Return the path of the page's executed twin."""
        return self.root / "notebooks" / f"{page}.ipynb"

    def text(self, page: str) -> str:
        """Return the page's text."""
        try:
            return self.source(page).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise BookError(f"book/{page}.md:{line}: is not UTF-8 text ({error.reason})") from error

    @cached_property
    def toc(self) -> list[str]:
        """Return the pages of _toc.yml in reading order."""
        from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml

        try:
            sitemap = parse_toc_yaml(self.root / "_toc.yml")
        except yaml.MarkedYAMLError as error:
            raise yaml_problem("_toc.yml", error) from error
        except MalformedError as error:
            raise BookError(f"_toc.yml: {error}") from error
        order, waiting = [], [sitemap.root]
        while waiting:
            document = waiting.pop(0)
            order.append(document.docname)
            waiting[:0] = [sitemap[name] for name in document.child_files()]
        return [posixpath.splitext(name)[0] if name.endswith(".md") else name for name in order]

    @cached_property
    def pages(self) -> list[str]:
        """Return every page in book/: those of the toc in its order, then the rest by name."""
        folder = self.root / "book"
        found = {
            path.relative_to(folder).with_suffix("").as_posix()
            for path in folder.rglob("*.md")
            if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
        }
        return [page for page in self.toc if page in found] + sorted(found - set(self.toc))

    def has_code(self, page: str) -> bool:
        """Tell whether the page is a notebook: it has a header, or ought to have one."""
        text = self.text(page)
        return text.startswith("---\n") or "```{code-cell}" in text

    @cached_property
    def coded(self) -> list[str]:
        """Return the pages with code: each has a notebook."""
        return [page for page in self.pages if self.has_code(page)]

    @cached_property
    def assignments(self) -> list[str]:
        """Return the pages that students fill in: made by ``release``, published as they are, never executed."""
        return [page for page in self.coded if page.startswith("assignments/")]

    @cached_property
    def executed(self) -> list[str]:
        """Return the pages whose code is run and recorded: all but the assignments."""
        return [page for page in self.coded if page not in self.assignments]

    def find(self, wanted: str) -> str:
        """Return the page that a command line argument means: a path, a page name or a bare stem."""
        path = Path(wanted).resolve()
        for folder in ("book", "notebooks"):
            if path.is_relative_to(self.root.resolve() / folder):
                wanted = path.relative_to(self.root.resolve() / folder).with_suffix("").as_posix()
        if wanted in self.pages:
            return wanted
        matches = [page for page in self.pages if page.split("/")[-1] == wanted]
        if len(matches) != 1:
            names = "more than one page has" if matches else "no page has"
            raise BookError(f"{wanted}: {names} this name; wanted one of: {', '.join(matches or self.executed)}")
        return matches[0]

    def address(self, page: str, anchor: str = "") -> str:
        """Return the page's address on the published site."""
        return urljoin(self.baseurl, f"{page}.html") + (f"#{anchor}" if anchor else "")

    @cached_property
    def modules(self) -> dict[str, str]:
        """Return the hash of what each module of src/gradclinic does; data files count as part of the package itself.

        Comments and docstrings do not count: no page's print-out changes with them.
        Answers do not count: a page's answers are compared with its own solutions whenever it is executed, and no
        other page can see them.
        """
        folder = self.root / "src" / "gradclinic"
        hashes = {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            data = without_words(path.read_text(encoding="utf-8")).encode()
            if name == "gradclinic":
                data += b"".join(
                    other.read_bytes()
                    for other in sorted(folder.rglob("*"))
                    if other.is_file()
                    and other.suffix not in {".py", ".pyc"}
                    and other.parent.name != "answers"
                    and not other.name.startswith(".")
                )
            hashes[name] = hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()[:16]
        return hashes


def without_words(source: str) -> str:
    """Return a module's text without its comments and docstrings, the same in every version of Python.

    Lines that hold nothing else go with them; all other lines stay as they are, blank ones too. A text that is no
    Python yet comes back as it is.
    """
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, tokenize.TokenError):
        return source
    lines = source.split("\n")
    gone = set()
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
            if not lines[row - 1]:
                gone.add(row)
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            before = lines[node.lineno - 1].encode()[: node.col_offset]
            after = lines[node.end_lineno - 1].encode()[node.end_col_offset :]
            if not (before + after).strip():
                gone.update(range(node.lineno, node.end_lineno + 1))
    return "\n".join(line for row, line in enumerate(lines, start=1) if row not in gone)


def yaml_problem(name: str, error: yaml.MarkedYAMLError) -> BookError:
    """Return what is wrong with the YAML of a file, and where."""
    mark = error.problem_mark or error.context_mark
    return BookError(f"{name}:{mark.line + 1 if mark else 1}: {error.problem}")


@contextmanager
def alone(book: Book) -> Iterator[None]:
    """Hold the book while its files are made: a second command waits for the first, and says so.

    Where the system has no such locks (Windows), two commands at once are the reader's to avoid.
    """
    if not book.root.is_dir():
        raise BookError(f"{book.root}: no such folder")
    if fcntl is None:
        yield
        return
    folder = os.open(book.root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another command that is at work on this book (Ctrl-C gives up)", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: as well as can be
        yield
    finally:
        os.close(folder)


def replace_file(path: Path, text: str) -> None:
    """Write `text` to `path` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        if path.exists():
            shutil.copymode(path, draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
