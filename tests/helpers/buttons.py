"""What the buttons of a built page must open: of this repository's pages, and of a fork's."""

from bs4 import BeautifulSoup, SoupStrainer

from workshop.site import repository_path


def read(folder, page, *tags):
    """The tags of a built page, of these names only (a whole page takes ten times as long to parse)."""
    text = (folder / f"{page}.html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser", parse_only=SoupStrainer(tags))


def wanted(book, page):
    """What the buttons of a page open, by their tooltip."""
    home, branch = book.repository, book.branch
    up = "../" * page.count("/")
    path = f"notebooks/{page}.ipynb"
    notebook = {
        "Launch on Binder": f"https://mybinder.org/v2/gh/{home}/{branch}?urlpath=lab/tree/{path}",
        "Launch on Colab": f"https://colab.research.google.com/github/{home}/blob/{branch}/{path}",
        "Download notebook file": f"{up}_sources/{page}.ipynb",
    }
    text = {
        "Suggest edit": f"https://github.com/{home}/edit/{branch}/book/{page}.md",
        "Download source file": f"{up}_sources/{page}.md",
    }
    slides = {"Show as slides": "?slides"}
    always = {"Source repository": f"https://github.com/{home}"}
    if page in book.assignments:
        return always | notebook
    return always | text | (notebook | slides if page in book.coded else {})


def assert_buttons(book, folder):
    for page in book.toc:
        shown = {}
        for link in read(folder, page, "a").select("a.btn[title]"):
            assert link["title"] not in shown, (page, link["title"])
            shown[link["title"]] = link["href"]
        issue = shown.pop("Open an issue")
        assert issue.startswith(f"https://github.com/{book.repository}/issues/new?title=Issue%20on%20page%20%2F{page}")
        assert shown == wanted(book, page), page
        for target in shown.values():
            if inside := repository_path(book, target):
                assert (book.root / inside).is_file(), target
        if page in book.coded:
            downloaded = folder / "_sources" / f"{page}.ipynb"
            assert downloaded.read_bytes() == book.notebook(page).read_bytes(), page
