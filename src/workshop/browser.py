"""A real browser and a server for the built site: for what can only be seen there (print, tests, speed)."""

from __future__ import annotations

import gzip
import io
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from workshop.book import BookError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ELSEWHERE = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)

ARGUMENTS = [
    "--no-sandbox",  # containers run as root, where Chromium's own sandbox refuses; it only sees the book's files
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # whatever a page asks for: nothing but this machine
]


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome of this machine, None where there is none."""
    return next(filter(None, map(shutil.which, (*NAMES, *ELSEWHERE))), None)


def launch(playwright: Playwright) -> Browser:
    """Start the machine's Chromium without a window; it reaches 127.0.0.1 and files, and nothing else."""
    path = find_chromium()
    if path is None:
        raise BookError(f"no Chromium found; wanted one of {', '.join(NAMES)} on the PATH")
    return playwright.chromium.launch(executable_path=path, args=ARGUMENTS)


@lru_cache(maxsize=512)
def compressed(path: str, modified: int) -> bytes:
    """Return a file's bytes as a web server sends them; `modified` tells one version from the next."""
    return gzip.compress(Path(path).read_bytes(), compresslevel=6, mtime=0)


class Handler(SimpleHTTPRequestHandler):
    """Serves files quietly, text compressed, as GitHub Pages does."""

    protocol_version = "HTTP/1.1"  # keeps connections open, like every server that a reader meets
    TEXT = (".html", ".css", ".js", ".mjs", ".json", ".svg", ".txt", ".xml", ".md", ".ipynb", ".inv")

    def send_head(self) -> io.BytesIO | object | None:
        """Answer with a compressed file where the file is text and the browser takes it."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if path.suffix not in self.TEXT or not path.is_file() or not takes_gzip:
            return super().send_head()
        body = compressed(str(path), path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path.name))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: who asks looks at the browser."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of 127.0.0.1; yield its address, ending in "/"."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        server.daemon_threads = True  # a browser that keeps its connection must not keep us
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
