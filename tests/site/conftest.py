"""The site as its readers have it: this repository's own book, built from its recordings, in a real browser.

    def test_something(open_page):
        page = open_page("why/descent.html", width=360, scheme="dark")

``page`` is Playwright's. The browser reaches nothing but this machine, and a test whose pages so much as ask for
something else fails. Without Chromium or Playwright these tests are skipped and say so.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from workshop import browser
from workshop.book import Book
from workshop.live import supply
from workshop.site import build

ROOT = Path(__file__).parents[2]
INGREDIENTS = ("book", "notebooks", "src", "_config.yml", "_toc.yml", "requirements.txt")


@dataclass(frozen=True)
class Elsewhere(Book):
    """The book of this repository, its site in another folder."""

    folder: Path

    @property
    def site(self) -> Path:
        return self.folder


def fingerprint() -> str:
    """Of everything that the site is made from."""
    total = hashlib.sha256(f"live cells: {bool(supply.ready())}\n".encode())
    for name in INGREDIENTS:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            inside = path.relative_to(ROOT)
            hidden = any(part.startswith(".") or part in {"__pycache__", "_build"} for part in inside.parts)
            if path.is_file() and not hidden and ".egg-info" not in str(inside):
                total.update(f"{inside.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:16]


@pytest.fixture(scope="session")
def site(pytestconfig):
    """Return the folder of the built site: built once for both workers, and kept while nothing of it changes."""
    folder = pytestconfig.cache.mkdir("site") / fingerprint()
    with open(folder.with_name("lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "html/index.html").is_file():
            for last in folder.parent.iterdir():
                if last.is_dir():
                    shutil.rmtree(last)
            build(Elsewhere(ROOT, folder / "html"))
    return folder / "html"


@pytest.fixture(scope="module")  # a session's would leave its event loop running under every later test
def chromium():
    """Return a browser of Playwright's."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if browser.find_chromium() is None:
        pytest.skip(f"no Chromium here: none of {', '.join(browser.NAMES)} on the PATH")
    with playwright.sync_playwright() as playing:
        found = browser.launch(playing)
        yield found
        found.close()


@pytest.fixture(scope="module")
def served(site):
    """Return the address of the served site, ending in "/"."""
    with browser.serve(site) as address:
        yield address


@pytest.fixture(scope="module")
def visiting(chromium, served, site):
    """Return the context manager behind ``open_page``, which gives that and the list of all that its pages ask for."""

    @contextmanager
    def opened_pages():
        contexts, failures, requests = [], [], []

        def open_page(path="index.html", width=1280, scheme="light", javascript=True, file=False, **options):
            size = {"width": width, "height": 900 if width > 600 else 740}
            context = chromium.new_context(
                viewport=size, color_scheme=scheme, java_script_enabled=javascript, **options
            )
            contexts.append(context)
            page = context.new_page()
            page.on("request", lambda request: requests.append(request))
            page.on("pageerror", lambda error: failures.append(f"{page.url}: {error}"))
            page.goto((f"{site.as_uri()}/" if file else served) + path)
            return page

        yield open_page, requests
        for context in contexts:
            context.close()
        own = (served, f"{site.as_uri()}/", "data:", "blob:", "about:")
        assert [request.url for request in requests if not request.url.startswith(own)] == []
        assert failures == []

    return opened_pages


@pytest.fixture
def opened(visiting):
    """Return ``open_page`` and the list of requests of this test's pages."""
    with visiting() as both:
        yield both


@pytest.fixture
def requests(opened):
    """Return the list of all that this test's pages asked for (Playwright's requests), in order."""
    return opened[1]


@pytest.fixture
def open_page(opened):
    """Return ``open_page(path, width=1280, scheme="light", javascript=True, file=False, **options)`` -> a page.

    ``path``: in the site, with a query or an anchor if need be; ``file``: from the disk instead of the server;
    ``options``: whatever else Playwright's ``new_context`` takes. The page has loaded. When the test is over: it
    asked for nothing outside the site, and no script of it failed.
    """
    return opened[0]
