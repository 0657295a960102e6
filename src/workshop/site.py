"""Build the site from the recordings: nothing is executed, and the last good site stays until a better one is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from workshop import notebook as nb
from workshop.book import Book, BookError, alone
from workshop.hosts import host_problem
from workshop.live.supply import ready
from workshop.markdown import read_page
from workshop.raw_markup import Words
from workshop.release import site_leaks

EXECUTED = re.compile(r"Execut(?:ed|ing) notebook")
TELLING = re.compile(r"WARNING|ERROR|[a-z]Error\b|rror:")
WRAPPED = re.compile(r"\s*raise RuntimeError\(_message_box|RuntimeError: *$")
"""What jupyter-book says after Sphinx has said what is wrong."""


def seed(book: Book, folder: Path) -> None:
    """Fill the builder's cache with each page's own code cells and their recorded outputs.

    Assignments have none: to the builder they are notebooks that ran and said nothing.
    """
    cache = get_cache(str(folder))
    cache.change_cache_limit(max(1000, len(book.coded)))
    nb.legible(book)
    if stale := [page for page in book.coded if not nb.runs(nb.read(book, page), book.text(page))]:
        raise BookError(f"no recording of {', '.join(stale)} as it now stands; run: python -m workshop record")
    for page in book.coded:
        built = read_page(book.text(page))
        code = [cell for cell in built.cells if cell.cell_type == "code"]
        recorded = nb.recorded_outputs(nb.read(book, page))
        for count, (cell, outputs) in enumerate(zip(code, recorded, strict=True), start=1):
            cell.execution_count, cell.outputs = count, [nbformat.from_dict(output) for output in outputs]
        built.metadata["language_info"] = nbformat.from_dict(nb.LANGUAGE)
        cache.cache_notebook_bundle(CacheBundleIn(built, str(book.source(page))), overwrite=True)


def build(book: Book) -> Path:
    """Build the site, check it, put it in place of the last one, print its address; return its folder."""
    parent = book.site.parent
    parent.mkdir(parents=True, exist_ok=True)
    with alone(book), tempfile.TemporaryDirectory(prefix=".site-", dir=parent) as scratch:
        clear_up(book, Path(scratch))
        made = make(book, Path(scratch))
        try:
            if book.site.exists():
                os.replace(book.site, made.parent / "before")
            os.replace(made, book.site)
        finally:
            put_back(book, made.parent)
    size = sum(path.stat().st_size for path in book.site.rglob("*") if path.is_file())
    print(f"site: {len(book.toc)} pages, {size / 2**20:.1f} MB, nothing executed")
    print(f"site: open {(book.site / 'index.html').as_uri()}")
    return book.site


def make(book: Book, scratch: Path, command: list[str] | None = None) -> Path:
    """Build the site below `scratch` and check it; return its folder. Jupyter Book builds it, or another `command`."""
    output = scratch / "_build"
    try:
        seed(book, output / ".jupyter_cache")
    except RuntimeError as error:  # jupyter-cache's word for whatever SQLite says, such as "disk is full"
        raise BookError(f"{scratch.parent}: {error.__cause__ or error}") from error
    run_builder(book, command or jupyter_book(book, scratch))
    made = output / "html"
    (made / ".buildinfo").unlink(missing_ok=True)  # Sphinx's note for its next build, a hash of this folder's path
    if problems := site_problems(book, made) + site_leaks(book, made):
        raise BookError("the built site is not fit to publish:\n  " + "\n  ".join(problems))
    return made


def put_back(book: Book, output: Path) -> None:
    """Put the last site back where a build was stopped between taking it away and setting the new one in its place."""
    if not book.site.exists() and (output / "before").is_dir():
        os.replace(output / "before", book.site)


def clear_up(book: Book, scratch: Path) -> None:
    """Remove what builds that were killed have left; `scratch` is this one's own."""
    for left in [path for kind in ("site", "pdf", "plain") for path in book.site.parent.glob(f".{kind}-*")]:
        if left != scratch:
            put_back(book, left / "_build")
            shutil.rmtree(left, ignore_errors=True)


def jupyter_book(book: Book, scratch: Path) -> list[str]:
    """Return the command that builds the site below `scratch`, warnings being errors."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]  # it has no __main__
    command += ["build", str(book.root / "book")]
    command += ["--config", str(book.root / "_config.yml"), "--toc", str(book.root / "_toc.yml")]
    return [*command, "--path-output", str(scratch), "-W", "--keep-going", "-n"]


def run_builder(book: Book, command: list[str]) -> None:
    """Run the builder; fail where it fails and where it executes a notebook."""
    print(f"site: building {len(book.toc)} pages", flush=True)
    if not ready():
        print("site: without cells that run in the browser: python -m workshop live brings what they need", flush=True)
    environment = os.environ | {"PYTHONWARNINGS": "ignore::DeprecationWarning", "NO_COLOR": "1"}
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", env=environment
    )
    log = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", run.stdout).replace("\r", "\n")
    said = [line for line in log.splitlines() if line.strip()]
    if executed := [line for line in said if EXECUTED.search(line)]:
        raise BookError("the builder executed what should come from the recordings:\n  " + "\n  ".join(executed))
    if run.returncode:
        telling = [line for line in said if TELLING.search(line) and not WRAPPED.match(line)] or said[-20:]
        raise BookError("the builder failed:\n  " + "\n  ".join(dict.fromkeys(telling)))


class Read(Words):
    """Collects from one page what it shows, what it loads, what it links to, and the ids that links can name."""

    def __init__(self) -> None:
        """Start with nothing collected."""
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.ids: set[str] = set()
        self.bare_images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort one tag's addresses."""
        super().handle_starttag(tag, attrs)
        named = {name: value or "" for name, value in attrs}
        self.ids.update(value for name, value in named.items() if name in {"id", "name"})
        if tag == "a" and "href" in named:
            self.linked.append(named["href"])
        elif tag == "link" and named.get("rel") in {"canonical", "next", "prev", "search", "index", "author"}:
            pass  # says where something is; loads nothing
        elif tag in {"link", "script", "img", "iframe", "source", "video", "audio", "object", "embed"}:
            self.loaded += [named[name] for name in ("href", "src", "data") if named.get(name)]
            if tag == "img" and not named.get("alt", "").strip():
                self.bare_images.append(named.get("src", ""))


def site_problems(book: Book, folder: Path) -> list[str]:
    """Return what is wrong with a built site.

    Resources from another host, links to hosts not listed, dead links and anchors inside the site, buttons
    and links into the repository whose file does not exist, images without a text, markup shown as it was written.
    """
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        if "_static" in path.relative_to(folder).parts:
            continue
        pages[path] = Read()
        pages[path].feed(path.read_text(encoding="utf-8"))
    problems = []
    for path, found in pages.items():
        where = path.relative_to(folder).as_posix()
        problems += [f"{where}: image {src} has no text" for src in found.bare_images]
        problems += [f"{where}: shows {markup}" for markup in found.raw()]
        for target in found.loaded:
            if urlparse(target).netloc:
                problems.append(f"{where}: loads {target} from the network")
            elif not target.startswith("data:") and not local_file(book, folder, path, target).exists():
                problems.append(f"{where}: loads {target}, which does not exist")
        for target in found.linked:
            problems += [f"{where}: {problem}" for problem in link_problems(book, folder, path, target, pages)]
    return sorted(set(problems))


def local_file(book: Book, folder: Path, path: Path, target: str) -> Path:
    """Return the file that an address without a host means in the page at `path`: relative, or from the site's root."""
    inside, root = unquote(urlparse(target).path), urlparse(book.baseurl).path
    if inside.startswith(root):
        return folder / inside.removeprefix(root)
    return Path(os.path.normpath(path.parent / inside)) if inside else path


def link_problems(book: Book, folder: Path, path: Path, target: str, pages: dict[Path, Read]) -> Iterator[str]:
    """Yield what is wrong with one link of the built page at `path`."""
    parts = urlparse(target)
    if parts.scheme in {"mailto", "javascript", "data"}:
        return
    if target.startswith(book.baseurl):  # the published site: the same files
        parts = parts._replace(path="/" + target.removeprefix(book.baseurl).partition("#")[0], netloc="")
        file = folder / unquote(parts.path.lstrip("/") or "index.html")
    elif parts.netloc:
        if problem := host_problem(target):
            yield problem
        if (inside := repository_path(book, target)) and not (book.root / inside).exists():
            yield f"links to {target}, but the repository has no {inside}"
        return
    else:
        file = local_file(book, folder, path, target)
        if file.is_dir():
            file = file / "index.html"
    if not file.exists():
        yield f"dead link {target}"
    elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].ids:
        yield f"link {target}: no such place on that page"


def repository_path(book: Book, target: str) -> str:
    """Return the path in the repository that an address opens (Colab, Binder, GitHub), "" if it opens none."""
    home = re.escape(book.repository)
    branch = re.escape(book.branch)
    for pattern in (
        rf"https://colab\.research\.google\.com/github/{home}/blob/{branch}/([^?#]+)",
        rf"https://mybinder\.org/v2/gh/{home}/{branch}\?urlpath=(?:lab/)?tree/([^&#]+)",
        rf"https://github\.com/{home}/(?:blob|edit|tree|raw)/{branch}/([^?#]+)",
    ):
        if match := re.match(pattern, unquote(target)):
            return match[1]
    return ""
