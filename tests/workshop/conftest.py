"""The tiny book's site, built once."""

import shutil

import pytest

from workshop.__main__ import main
from workshop.book import Book


@pytest.fixture(scope="module", autouse=True)
def no_live_pages(tmp_path_factory):
    """Sites of these tests are built without cells that run in the browser, whatever this machine's cache holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADCLINIC_LIVE_CACHE", str(tmp_path_factory.mktemp("empty")))
        yield


@pytest.fixture(scope="session")
def built(recorded, tmp_path_factory):
    """Return the tiny book, built from a recording whose number nobody could compute."""
    book = Book(shutil.copytree(recorded, tmp_path_factory.mktemp("built") / "tiny"))
    path = book.notebook("parts/tiny")
    path.write_text(path.read_text(encoding="utf-8").replace("1.4142", "9.8765"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADCLINIC_LIVE_CACHE", str(tmp_path_factory.mktemp("empty")))
        assert main(["--root", str(book.root), "site"]) == 0
    return book
