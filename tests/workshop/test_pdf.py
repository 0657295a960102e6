"""The printed book: whole, in order, its links alive; a failure leaves the last good print in place."""

import shutil

import pytest
from bs4 import BeautifulSoup

from workshop import pdf as printing
from workshop.__main__ import main
from workshop.book import Book, BookError
from workshop.browser import find_chromium
from workshop.site import make

pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium to print with on the PATH")

TOC = """\
format: jb-book
root: index
parts:
  - caption: The first part
    chapters:
      - file: parts/tiny
      - file: appendix/bibliography
  - caption: The second part
    chapters:
      - file: appendix/status
"""

STATUS = """\
# Status

## Why so

The heading of another page, the id of another page. Back to [the chapter](../parts/tiny.md).
The source is [on GitHub](https://github.com/mwouts/jupytext), and
[arXiv:1502.01852](https://arxiv.org/abs/1502.01852) says where it is.

```{execution-status}
```
"""


@pytest.fixture(scope="module")
def two_parts(recorded, tmp_path_factory):
    """Return the tiny book in two parts, and its built pages."""
    book = Book(shutil.copytree(recorded, tmp_path_factory.mktemp("pdf") / "tiny"))
    (book.root / "_toc.yml").write_text(TOC, encoding="utf-8")
    (book.root / "book/appendix/status.md").write_text(STATUS, encoding="utf-8")
    return book, make(book, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def printed(two_parts):
    """Return the printed book."""
    book, pages = two_parts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(printing, "make", lambda book, scratch: shutil.copytree(pages, scratch / "html"))
        assert main(["--root", str(book.root), "pdf"]) == 0
    assert [path.name for path in (book.root / "_build").iterdir()] == ["pdf"]
    return pypdf.PdfReader(printing.place(book))


@pytest.fixture
def print_changed(two_parts, tmp_path):
    """Return a function that prints the joined book after one change to its HTML."""
    book, pages = two_parts
    folder = shutil.copytree(pages, tmp_path / "html")
    text = printing.join(book, folder)

    def print_it(old, new):
        assert old in text
        (folder / "book.html").write_text(text.replace(old, new, 1), encoding="utf-8")
        return printing.print_book(book, folder / "book.html", tmp_path / "book.pdf")

    return print_it


def outline(reader):
    """Return the outline as (depth, title, number of its page)."""

    def entries(items, depth):
        for item in items:
            if isinstance(item, list):
                yield from entries(item, depth + 1)
            else:
                yield depth, item.title, reader.get_destination_page_number(item) + 1

    return list(entries(reader.outline, 0))


def text(reader, number):
    return reader.pages[number - 1].extract_text()


def links(reader, number):
    """Return where the links of a page inside the book lead: name -> number of the page."""
    notes = (note.get_object() for note in reader.pages[number - 1].get("/Annots", []))
    names = [note["/Dest"] for note in notes if "/Dest" in note]
    return {name: reader.get_destination_page_number(reader.named_destinations[name]) + 1 for name in names}


def test_the_outline_has_every_heading_in_order(printed):
    assert [(depth, title) for depth, title, _ in outline(printed)] == [
        (0, "Contents"),
        (0, "A tiny book"),
        (0, "The first part"),
        (1, "A tiny chapter"),
        (2, "Why so"),
        (1, "Bibliography"),
        (0, "The second part"),
        (1, "Status"),
        (2, "Why so"),
    ]


def test_each_page_begins_where_the_contents_say(printed, two_parts):
    begins = {title: number for _, title, number in outline(printed)}
    contents = text(printed, begins["Contents"])
    for title in ("A tiny book", "A tiny chapter", "Bibliography", "Status"):
        assert f"{title} {begins[title]}" in " ".join(contents.split())
    assert list(links(printed, begins["Contents"]).values()) == [
        begins[title] for title in ("A tiny book", "A tiny chapter", "Bibliography", "Status")
    ]
    pages = [begins[title] for title in ("A tiny book", "A tiny chapter", "Bibliography", "Status")]
    assert pages == sorted(set(pages)), "two pages of the book share one of the print"


def test_the_first_and_the_last_page_are_there(printed):
    assert "Unstable gradients" in text(printed, 1)
    begins = {title: number for _, title, number in outline(printed)}
    assert begins["Contents"] == 2, "the rules of the whole book, which no page of the site needs, are not there"
    assert "Read why" in text(printed, begins["A tiny book"])
    assert "The heading of another page" in text(printed, len(printed.pages))


def test_links_lead_to_their_own_page_where_two_have_the_same_heading(printed):
    *_, chapter, _bibliography, _part, status, again = outline(printed)
    found = {name for number in range(1, len(printed.pages) + 1) for name in links(printed, number)}
    assert "/parts/tiny/why-so" in found
    place = printed.named_destinations["/parts/tiny/why-so"]
    assert printed.get_destination_page_number(place) + 1 == chapter[2]
    assert chapter[2] < status[2] == again[2]


def test_citations_lead_to_the_bibliography(printed):
    begins = {title: number for _, title, number in outline(printed)}
    chapter = links(printed, begins["A tiny chapter"])
    assert begins["Bibliography"] in chapter.values()


def test_what_is_folded_is_printed(printed):
    begins = {title: number for _, title, number in outline(printed)}
    chapter = "".join(text(printed, number) for number in range(begins["A tiny chapter"], begins["Bibliography"]))
    assert "Solution" in chapter
    assert 'print("solved", 6 * 7)' in chapter
    assert "solved 42" in chapter
    assert "Show code" not in chapter


def test_paper_shows_the_addresses_it_would_lose(printed):
    last = " ".join(text(printed, len(printed.pages)).split())
    assert "on GitHub (github.com/mwouts/jupytext)" in last
    assert "arXiv:1502.01852 says" in last


def test_it_says_what_it_is(printed, two_parts):
    assert printed.metadata.title == "Unstable gradients"
    assert printed.metadata.author == two_parts[0].config["author"]
    assert printed.root_object["/Lang"] == "en"
    assert printed.root_object["/MarkInfo"]["/Marked"]
    assert printed.page_mode == "/UseOutlines"


def test_the_structure_is_folded_and_whole(printed):
    tree = printed.root_object["/StructTreeRoot"]
    numbered = tree["/ParentTree"]["/Nums"]
    elements, waiting = {}, [tree.raw_get("/K")]
    while waiting:
        reference = waiting.pop()
        element = elements[reference.idnum] = reference.get_object()
        kids = element["/K"] if isinstance(element["/K"], list) else [element["/K"]]
        waiting += [kid for kid in kids if getattr(kid.get_object(), "get", dict().get)("/Type") == "/StructElem"]
    kinds = [element["/S"] for element in elements.values()]
    assert kinds.count("/Figure") == 1
    assert kinds.count("/Code") >= 3
    owners = [
        owner for entry in numbered[1::2] for owner in ([entry] if "/S" in entry.get_object() else entry.get_object())
    ]
    assert {owner.idnum for owner in owners} <= elements.keys()
    figure = next(element for element in elements.values() if element["/S"] == "/Figure")
    assert figure["/Alt"] == "A straight line that rises from zero to one, and nothing else"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "</h1>",
            '</h1><img src="https://example.com/x.png" alt="x">',
            "asks the network for https://example.com/x.png",
        ),
        ("</h2>", '</h2><img src="none.png" alt="x">', "none.png: not found"),
        ("</h2>", '</h2><a href="#nowhere">x</a>', "a link leads to #nowhere, which is nowhere"),
        ("</h2>", '</h2><a href="none.html">x</a>', "a link leads to"),
        ("</h2>", '</h2><p style="width: 2000px">x</p>', "wider than the page: "),
        (
            '<img alt="A straight',
            '<img style="display: none" alt="A straight',
            "0 parts of figures on the pages; wanted 1",
        ),
        ("<h2", '<h2 style="display: none"', "the outline has 8 entries; wanted 9"),
    ],
    ids=["network", "missing", "anchor", "file", "wide", "figure", "heading"],
)
def test_what_is_unfit_is_named(print_changed, old, new, said):
    with pytest.raises(BookError, match="not fit to be read") as error:
        print_changed(old, new)
    assert said in str(error.value)


def test_a_failure_leaves_the_last_print(tiny, edit, capsys):
    last = printing.place(tiny)
    last.parent.mkdir(parents=True)
    last.write_text("the last good print", encoding="utf-8")
    edit("book/index.md", "parts/tiny.md#why-so", "parts/none.md")
    assert main(["--root", str(tiny.root), "pdf"]) == 1
    assert "none.md" in capsys.readouterr().err
    assert last.read_text(encoding="utf-8") == "the last good print"
    assert [path.name for path in last.parent.parent.iterdir()] == ["pdf"]


def test_without_chromium_one_line_says_what_to_install(tiny, capsys, monkeypatch):
    monkeypatch.setattr(printing, "find_chromium", lambda: None)
    assert main(["--root", str(tiny.root), "pdf"]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("pdf: no Chromium")
    assert "apt install chromium" in said.err
    assert said.out == "", "nothing was built before the browser was looked for"


ARTICLE = """
<article><h1 id="a">A <a class="headerlink" href="#a">#</a></h1><script>x()</script><div hidden id="knobs">knobs</div>
<div class="cell"><details class="hide"><summary><p class="collapsed">Show the code</p></summary><pre>x</pre></details>
<div class="cell_output"><a class="image-reference" href="../_images/f.png"><img src="../_images/f.png"></a></div></div>
<div class="cell"><details class="hide"><summary><p class="collapsed">Solution 2</p></summary></details></div>
<details name="q"><summary>one</summary></details><details name="q"><summary>another</summary></details>
<p id="b" aria-describedby="a b">See <a href="../index.html#c">there</a>.</p>
<div class="highlight"><pre><span class="n">f</span><span class="p">(</span><span class="mi">2</span></pre></div>
</article>
"""


def test_an_article_becomes_part_of_the_whole(two_parts):
    article = BeautifulSoup(ARTICLE, "html.parser").article
    printing.adapt(two_parts[0], "parts/tiny", article, depth=1)
    assert article.h2["id"] == "parts/tiny/a"
    assert article.h2.get_text() == "A "
    assert article.h1 is None
    assert article.find(string="knobs") is None, "what only moves on a screen is printed"
    assert [child.name for child in article.select_one("div.cell").find_all(recursive=False)] == ["div", "details"]
    assert article.img["src"] == "_images/f.png"
    assert article.img.parent.name == "div", "a figure links to its own file"
    assert [details.has_attr("open") for details in article("details")] == [True] * 4
    assert not article.select("details[name]"), "the browser would close all but one"
    assert [summary.get_text() for summary in article("summary")] == ["Code", "Solution 2", "one", "another"]
    assert article.select_one("p[aria-describedby]")["aria-describedby"] == "parts/tiny/a parts/tiny/b"
    assert article.select_one("p a")["href"] == "#index/c"
    assert [str(piece) for piece in article.select_one(".highlight pre")] == ["f(", '<span class="mi">2</span>']


def test_where_links_lead(two_parts):
    book, _ = two_parts
    assert printing.leads_to(book, "parts/tiny", "#why-so") == "#parts/tiny/why-so"
    assert printing.leads_to(book, "parts/tiny", "../index.html") == "#index"
    assert printing.leads_to(book, "parts/tiny", "../appendix/status.html#why-so") == "#appendix/status/why-so"
    assert printing.leads_to(book, "parts/tiny", "../_static/x.csv") == f"{book.baseurl}_static/x.csv"
    for outside in ("https://arxiv.org/abs/1502.01852", book.baseurl, "mailto:someone@example.com"):
        assert printing.leads_to(book, "parts/tiny", outside) == outside
