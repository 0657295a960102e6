"""The whole book as one PDF, printed by headless Chromium from the pages of the site.

The pages are joined here rather than by Sphinx's ``singlehtml``. There the ids of all pages share one name space, so
that `#exercises` of every chapter is the first chapter's, and references that an extension resolves itself (citations,
rows of the ledger) lose the page they lead to. The site's own pages are whole and checked; joined, they stay so.
"""

from __future__ import annotations

import html
import json
import os
import posixpath
import re
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import yaml
from bs4 import BeautifulSoup, SoupStrainer, Tag

from workshop.book import Book, BookError, alone
from workshop.browser import NAMES, find_chromium, launch
from workshop.site import clear_up, make

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdf.generic import DictionaryObject

OLDEST = 131  # the first Chromium with running titles and page numbers by style sheet
WIDTH = 650  # CSS pixels of a line: A4 without the margins of print.css
LARGEST = 30e6  # bytes; what fonts the machine has for Chinese makes a difference of half a megabyte
SHORT = 14  # lines of code, rows of a table: no longer than this, they are kept on one page
PATIENCE = 300_000  # milliseconds for one print
PRINT = "_static/print.css"  # asked for whole: the site's pages load only rules that match something on them
HAN = re.compile(r"[\u3400-\u9fff]")
HEADING = re.compile(r"h[1-6]")
PLAIN = ("n", "p", "w")  # names, punctuation, spaces: code in the colour of text, one piece with what stands beside it
POINTING = ("for", "headers", "aria-controls", "aria-describedby", "aria-labelledby", "aria-owns")


def place(book: Book) -> Path:
    """Return where the printed book belongs: it has the book's title for a name."""
    name = re.sub(r"[^a-z0-9]+", "-", book.config["title"].lower()).strip("-")
    return book.root / "_build" / "pdf" / f"{name}.pdf"


def pdf(book: Book) -> Path:
    """Print the book, check the print, put it in place of the last one; return its path."""
    if find_chromium() is None:
        raise BookError(
            f"no Chromium to print with (none of {', '.join(NAMES)} on the PATH); install one: apt install chromium, "
            "dnf install chromium, or Google Chrome"
        )
    parent = book.root / "_build"
    parent.mkdir(exist_ok=True)
    target = place(book)
    with alone(book), tempfile.TemporaryDirectory(prefix=".pdf-", dir=parent) as scratch:
        clear_up(book, Path(scratch))
        made = make(book, Path(scratch))
        joined = made / "book.html"
        joined.write_text(join(book, made), encoding="utf-8")
        draft = made / "book.pdf"
        pages = print_book(book, joined, draft)
        if draft.stat().st_size > LARGEST:
            raise BookError(f"{draft.stat().st_size / 1e6:.0f} MB; wanted at most {LARGEST / 1e6:.0f}")
        target.parent.mkdir(exist_ok=True)
        os.replace(draft, target)
    print(f"pdf: {pages} pages, {target.stat().st_size / 2**20:.1f} MB, nothing executed")
    print(f"pdf: open {target.as_uri()}")
    return target


def parts(book: Book) -> list[tuple[str, list[str]]]:
    """Return the captions of the table of contents, each with its pages; "" for pages under none."""
    from sphinx_external_toc.parsing import parse_toc_yaml

    captions = {}
    for tree in parse_toc_yaml(book.root / "_toc.yml").root.subtrees:
        captions |= {posixpath.splitext(str(item))[0]: tree.caption or "" for item in tree.items[:1]}
    found: list[tuple[str, list[str]]] = [("", [])]
    for page in book.toc:
        if captions.get(page):
            found.append((captions[page], []))
        found[-1][1].append(page)
    return found


def join(book: Book, folder: Path) -> str:
    """Join the built pages of `folder` into one document that stands beside them."""
    sheets: dict[str, None] = {}
    contents, running, body = [], [], []
    for caption, pages in parts(book):
        if caption:
            contents.append(f'<li class="book-part">{html.escape(caption)}</li>')
        for page in pages:
            soup = BeautifulSoup(
                (folder / f"{page}.html").read_text(encoding="utf-8"),
                "html.parser",
                parse_only=SoupStrainer(["article", "link"]),
            )
            sheets |= {beside(page, link["href"]): None for link in soup("link", rel="stylesheet")}
            article = soup.find("article")
            adapt(book, page, article, depth=1 if caption else 0)
            title = article.find(HEADING).get_text()
            name = f"chapter{len(running)}"
            running.append(margins(name, caption or book.config["title"], title))
            opening = f'<h1 class="book-part">{html.escape(caption)}</h1>' if caption and page == pages[0] else ""
            body.append(f'<section class="book-chapter" id="{page}" style="page: {name}">{opening}')
            body.append(f"{article.decode_contents()}</section>")
            contents.append(
                f'<li><a href="#{page}"><span>{html.escape(title)}</span> <span class="book-number">000</span></a></li>'
            )
    sheets[PRINT] = None
    links = "\n".join(f'<link rel="stylesheet" href="{html.escape(sheet)}">' for sheet in sheets)
    language = book.config["sphinx"]["config"].get("language", "en")
    return f"""<!DOCTYPE html>
<html lang="{language}" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{html.escape(book.config["title"])}</title>
{links}
<style>
{RUNNING}{"".join(running)}</style>
</head>
<body class="book">
<main class="bd-main"><div class="bd-content"><div class="bd-article-container"><article class="bd-article">
{title_page(book)}
<nav class="book-contents"><h1>Contents</h1><ol>{"".join(contents)}</ol></nav>
{"".join(body)}
</article></div></div></main>
</body>
</html>
"""


def printed_label(folded: Tag, label: str) -> str:
    """What stands above folded code on paper, where nothing can be shown or hidden: its label, or what it is."""
    if not label.startswith("Show"):
        return label
    cell = folded.find_parent("div", class_="cell")
    return "Solution" if cell and "tag_solution" in cell.get("class", []) else "Code"


def adapt(book: Book, page: str, article: Tag, depth: int) -> None:
    """Make one page's article part of the whole: its own ids, links to the other pages, headings `depth` deeper."""
    for left_out in article.select("script, button, .headerlink, [hidden]"):
        left_out.decompose()
    for wrapped in article.select("noscript, a.image-reference"):
        wrapped.unwrap()
    for plain in article.select(", ".join(f".highlight pre span.{kind}" for kind in PLAIN)):
        plain.unwrap()
    article.smooth()
    for folded in article("details"):
        folded["open"] = ""
        if folded.attrs.pop("name", None):  # of those that share one, the browser would close all but the last
            folded["class"] = [*folded.get("class", []), "book-option"]
        if prompt := folded.select_one("summary > .collapsed"):
            prompt.parent.string = printed_label(folded, prompt.get_text().strip())
    for output in article.select("div.cell > details + .cell_output"):
        if output.img:  # first the figure, as on the site, where its code is folded
            output.insert_after(output.find_previous_sibling("details"))
    for element in article.find_all(True):
        if HEADING.fullmatch(element.name):
            level = int(element.name[1])
            element["class"] = [*element.get("class", []), f"book-level-{level}"]
            element.name = f"h{min(level + depth, 6)}"
        if "id" in element.attrs:
            element["id"] = f"{page}/{element['id']}"
        for name in POINTING:
            if name in element.attrs:
                names = element[name] if isinstance(element[name], list) else element[name].split()
                element[name] = " ".join(f"{page}/{other}" for other in names)
        if element.name == "pre":
            element["role"] = "code"  # as the PDF calls it; by itself it would have no name there
        lines = element.get_text().count("\n") if element.name == "pre" else len(element("tr", limit=SHORT + 1))
        if element.name in {"pre", "table"} and lines <= SHORT:
            element["class"] = [*element.get("class", []), "book-short"]
        if "src" in element.attrs:
            element.attrs.pop("loading", None)
            element["src"] = beside(page, element["src"])
        if element.name == "a" and "href" in element.attrs:
            element["href"] = leads_to(book, page, element["href"])
            if needs_address(element):
                address = element["href"].removeprefix("https://").removeprefix("http://")
                element.insert_after(BeautifulSoup(f'<span class="book-address"> ({address})</span>', "html.parser"))


def beside(page: str, target: str) -> str:
    """Return an address on `page` as seen from the root of the site."""
    parts = urlparse(target)
    if parts.scheme or parts.netloc or not parts.path:
        return target
    return parts._replace(path=posixpath.normpath(posixpath.join(posixpath.dirname(page), parts.path))).geturl()


def leads_to(book: Book, page: str, target: str) -> str:
    """Return where a link of `page` leads in the joined document: to a page of the book, or to its published file."""
    inside = beside(page, target)
    parts = urlparse(inside)
    if parts.scheme or parts.netloc:
        return target
    other = unquote(parts.path).removesuffix(".html") or page
    if other not in book.toc:
        return book.baseurl + inside
    return f"#{other}/{parts.fragment}" if parts.fragment else f"#{other}"


def needs_address(link: Tag) -> bool:
    """Whether a reader of the paper would miss the address: it leads out of the book and its text does not say where.

    The text of a link says where when it ends as the address does: a DOI, a number on arXiv, a repository's name.
    """
    parts = urlparse(link["href"])
    return parts.scheme in {"http", "https"} and not parts.path.rstrip("/").endswith(link.get_text().strip("/ ")[-8:])


def margins(name: str, left: str, right: str) -> str:
    """Return the style of a chapter's pages: what runs along their tops."""
    left, right = (json.dumps(text, ensure_ascii=False) for text in (left, right))
    font = 'font: 9pt "Source Serif", serif'
    return f"@page {name} {{ @top-left {{ content: {left}; {font} }} @top-right {{ content: {right}; {font} }} }}\n"


def title_page(book: Book) -> str:
    """Return the first page: title, authors, edition, licence, and what paper cannot do."""
    path = book.root / "CITATION.cff"
    citation = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    title = book.config["title"]
    subtitle = citation.get("title", "").removeprefix(title).strip(": ")
    lines = [f'<p class="book-title">{html.escape(title)}</p>']
    if subtitle:
        lines.append(f'<p class="book-subtitle">{html.escape(subtitle[0].upper() + subtitle[1:])}</p>')
    lines.append(f'<p class="book-author">{html.escape(book.config["author"])}</p>')
    edition = [f"Version {citation['version']}, {citation['date-released']}."] if citation else []
    edition.append(
        f'The pages of <a href="{book.baseurl}">{book.baseurl}</a>, printed from the recorded run of their code. What '
        "the site folds stands open here: the code of the figures, and the solution under each exercise. Figures that "
        "move there are shown as they stand before anyone has touched them."
    )
    lines.append(f'<p class="book-edition">{" ".join(edition)}</p>')
    return f'<section class="book-cover">{"".join(lines)}</section>'


RUNNING = """
@page {
  size: A4;
  @bottom-center { content: counter(page); font: 9pt "Source Serif", serif }
}
@page :first { @bottom-center { content: none } }
"""

PREPARE = """
async () => {
  await document.fonts.ready;
  const article = document.querySelector("article");
  for (const formula of article.querySelectorAll("div.math")) {  // formulas do not wrap: the widest are set smaller
    const share = formula.clientWidth / formula.scrollWidth;
    if (share < 1) formula.style.fontSize = `${0.98 * share}em`;
  }
  const edge = article.getBoundingClientRect().right + 1;
  const boxes = "div, figure, img, li, .katex, p, pre, table";  // not words of code: a space may hang over the edge
  const wide = [...article.querySelectorAll(boxes)].filter((box) => box.getBoundingClientRect().right > edge);
  const pen = document.createElement("canvas").getContext("2d");
  const drawn = (character) => {
    pen.clearRect(0, 0, 64, 64);
    pen.font = "32px serif";
    pen.fillText(character, 8, 48);
    return pen.getImageData(0, 0, 64, 64).data.join();
  };
  return {
    wide: wide.map((element) => `${element.closest("[id]")?.id}: ${element.outerHTML.slice(0, 100)}`),
    figures: article.querySelectorAll("img").length,
    headings: [...article.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((element) => element.textContent),
    targets: [...article.querySelectorAll('a[href^="#"]')].map((link) => decodeURIComponent(link.hash.slice(1))),
    han: drawn("梯") !== drawn("度"),  // without a font, both are the same empty box
  };
}
"""

NUMBER = """
(numbers) => {
  for (const link of document.querySelectorAll(".book-contents a")) {
    link.querySelector(".book-number").textContent = numbers[decodeURIComponent(link.hash.slice(1))];
  }
}
"""


def print_book(book: Book, joined: Path, draft: Path) -> int:
    """Print `joined` to `draft` and check it; return the number of pages.

    Printed twice: to learn where each page of the book begins, and with these numbers in the table of contents.
    """
    from playwright.sync_api import sync_playwright
    from pypdf import PdfReader, PdfWriter

    problems = []

    def local(route):
        if urlparse(route.request.url).scheme in {"file", "data"}:
            route.continue_()
        else:
            problems.append(f"asks the network for {route.request.url}")
            route.abort()

    print("pdf: printing", flush=True)
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        if int(chromium.version.split(".")[0]) < OLDEST:
            raise BookError(f"Chromium {chromium.version} cannot number pages; wanted {OLDEST} or newer")
        page = chromium.new_page(viewport={"width": WIDTH, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.on("requestfailed", lambda request: problems.append(f"{request.url}: not found"))
        page.route("**/*", local)
        page.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
        page.goto(joined.as_uri())
        shown = page.evaluate(PREPARE)
        if not shown["han"] and HAN.search(joined.read_text(encoding="utf-8")):
            print("pdf: no font with Chinese characters here, so they print as boxes; e.g. apt install fonts-noto-cjk")
        options = {"prefer_css_page_size": True, "print_background": True}
        numbers = beginnings(book, PdfReader(BytesIO(page.pdf(**options))))
        page.evaluate(NUMBER, numbers)
        reader = PdfReader(BytesIO(page.pdf(**options, outline=True, tagged=True)))
        chromium.close()
    if beginnings(book, reader) != numbers:
        problems.append("the page numbers of the contents are not where the chapters begin")
    problems += [f"wider than the page: {what}" for what in shown["wide"]]
    problems += retitle(reader, shown["headings"])
    fold(reader)
    writer = PdfWriter(clone_from=reader)
    writer.add_metadata({"/Title": book.config["title"], "/Author": book.config["author"]})
    writer.page_mode = "/UseOutlines"
    writer.write(draft)
    problems += pdf_problems(PdfReader(draft), shown["figures"], set(shown["targets"]))
    if problems:
        raise BookError("the printed book is not fit to be read:\n  " + "\n  ".join(dict.fromkeys(problems)))
    return len(reader.pages)


def beginnings(book: Book, reader: PdfReader) -> dict[str, int]:
    """Return the number of the page on which each page of the book begins."""
    places = reader.named_destinations
    if lost := [page for page in book.toc if f"/{page}" not in places]:
        raise BookError(f"not in the printed book: {', '.join(lost)}")
    return {page: reader.get_destination_page_number(places[f"/{page}"]) + 1 for page in book.toc}


def retitle(reader: PdfReader, headings: list[str]) -> list[str]:
    """Give the outline's entries their headings' own words.

    Chromium joins the words between which a line was broken, and says twice what stands first on a page.
    Returns the headings that have no entry, in their place.
    """
    from pypdf.generic import NameObject, TextStringObject

    entries, waiting = [], [reader.root_object["/Outlines"].get("/First")]
    while waiting:
        if (entry := waiting.pop()) is not None:
            entries.append(entry.get_object())
            waiting += [entries[-1].get("/Next"), entries[-1].get("/First")]
    if len(entries) != len(headings):
        return [f"the outline has {len(entries)} entries; wanted {len(headings)}"]
    problems = []
    for entry, heading in zip(entries, headings, strict=True):
        if "".join(entry["/Title"].split()).replace("".join(heading.split()), ""):
            problems.append(f"the outline has {entry['/Title']!r}; wanted {heading!r}")
        entry[NameObject("/Title")] = TextStringObject(" ".join(heading.split()))
    return problems


def fold(reader: PdfReader) -> None:
    """Fold structure that says nothing into what holds it.

    Chromium writes an element ``NonStruct`` for each piece of text, that is for each coloured word of the code: nine
    tenths of the objects and two thirds of the file. Their content goes to the next element above with a meaning.
    """
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject

    tree = reader.root_object["/StructTreeRoot"]
    owners = {}  # (key in the tree of parents, number of the content there) -> the element it is folded into

    def contents(element, page):
        """Yield each kid with the page whose plain content it is, None for whatever else it is."""
        kids = element.get("/K", [])
        for kid in kids if isinstance(kids, list) else [kids]:
            item = kid.get_object()
            if not isinstance(item, DictionaryObject):
                yield kid, page
            elif item.get("/S") == "/NonStruct" and item.keys() <= {"/Type", "/S", "/P", "/Pg", "/K"}:
                yield from contents(item, item.raw_get("/Pg") if "/Pg" in item else page)
            elif item.get("/Type") == "/MCR" and "/Stm" not in item:
                yield item["/MCID"], item.raw_get("/Pg") if "/Pg" in item else page
            else:
                yield kid, None

    waiting = [tree.raw_get("/K")]
    while waiting:
        reference = waiting.pop()
        element = reference.get_object()
        own = element.raw_get("/Pg") if "/Pg" in element else None
        kept = ArrayObject()
        for kid, page in list(contents(element, own)):
            item = kid.get_object()
            if page is not None:
                owners[page.get_object()["/StructParents"], kid] = reference
                if own is None:
                    own = element[NameObject("/Pg")] = page
                if page != own:
                    part = {"/Type": NameObject("/MCR"), "/Pg": page, "/MCID": kid}
                    kid = DictionaryObject({NameObject(name): value for name, value in part.items()})
            elif item.get("/Type") == "/StructElem":
                item[NameObject("/P")] = reference
                waiting.append(kid)
            elif item.get("/Type") == "/MCR":  # content of a group that is drawn in one
                owners[item["/Stm"]["/StructParents"], item["/MCID"]] = reference
            kept.append(kid)
        element[NameObject("/K")] = kept
    numbered = tree["/ParentTree"]["/Nums"]
    lists = dict(zip(numbered[::2], numbered[1::2], strict=True))
    for (page, content), reference in owners.items():
        lists[page].get_object()[content] = reference


def pdf_problems(reader: PdfReader, figures: int, targets: set[str]) -> list[str]:
    """Return what the print lacks: figures drawn whole, places that links inside the book lead to, links at all."""
    places = reader.named_destinations
    problems = [
        f"a link leads to #{target}, which is nowhere" for target in sorted(targets) if f"/{target}" not in places
    ]
    drawn, met = 0, set()
    for number, page in enumerate(reader.pages, start=1):
        drawn += images(page)
        for note in page.get("/Annots", []):
            note = note.get_object()
            met.add(note.get("/Dest"))
            if "/Dest" not in note and not re.match("(https?|mailto):", str(note.get("/A", {}).get("/URI"))):
                problems.append(f"page {number}: a link leads to {note.get('/A')}")
    problems += [f"no link leads to #{target} any more" for target in sorted(targets) if f"/{target}" not in met]
    if drawn != figures:
        problems.append(f"{drawn} parts of figures on the pages; wanted {figures}, each whole")
    return problems


def images(drawing: DictionaryObject) -> int:
    """Return the number of images that a page draws, itself or in a group."""
    objects = [item.get_object() for item in drawing.get("/Resources", {}).get("/XObject", {}).values()]
    return sum(1 if item["/Subtype"] == "/Image" else images(item) for item in objects)
