"""What a page says in MyST, and the same said in plain Markdown for a notebook that is read anywhere."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urljoin

from docutils import nodes
from markdown_it.renderer import RendererHTML
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from nbformat import NotebookNode
from pybtex.database import BibliographyData, Entry

from workshop.book import Book

CODE = re.compile(
    r"(^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^(?P=fence)[^\n]*$|(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`))", re.M | re.S
)
LINK = re.compile(r"(?P<before>\]\()(?P<target>(?:[^()\s:]+\.md)?(?:#[^()\s]+)?)(?=[\s)])")
PICTURE = re.compile(r"(?P<before>!\[[^\]]*\]\()(?:\.\./)*(?P<file>_static/[^()\s]+)(?=\))")
LABEL = re.compile(r"^\([\w:-]+\)=[ \t]*\n|(?<=\$\$)[ \t]*\([\w:-]+\)[ \t]*$", re.M)
LEDGER = re.compile(r"^```\{ledger\}\n```$", re.M)
CITATION = re.compile(r"\{cite(?::(?P<form>[pt]))?\}`(?P<keys>[^`]+)`")
EXTENSIONS = {"amsmath", "colon_fence", "dollarmath", "tasklist"}
"""What pages may write beyond CommonMark and tables; the same as parse.myst_enable_extensions in _config.yml."""

HREF = re.compile(r"""\b(?:href|src)\s*=\s*["']([^"']+)["']""", re.I)


@dataclass
class Markdown:
    """What the checks need of a text: each entry is (line, what)."""

    directives: list[tuple[int, str]] = field(default_factory=list)
    roles: list[tuple[int, str, str]] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)
    images: list[tuple[int, str, str]] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    labels: list[tuple[int, str]] = field(default_factory=list)

    @property
    def anchors(self) -> dict[str, str]:
        """Return what a link may name on this page (heading slugs, labels) and the HTML id each becomes."""
        anchors: dict[str, str] = {}
        for _, title in self.headings:
            slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
            anchors.setdefault(slug, nodes.make_id(title))
        return anchors | {label: nodes.make_id(label) for _, label in self.labels}


@lru_cache(maxsize=512)
def parse(text: str) -> Markdown:
    """Parse a page or a Markdown cell with MyST's own parser."""
    config = MdParserConfig(enable_extensions=EXTENSIONS)
    found = Markdown()
    tokens = create_md_parser(config, RendererHTML).parse(text)
    for position, token in enumerate(tokens):
        line = token.map[0] + 1 if token.map else 0
        if token.type in {"fence", "colon_fence"} and token.info.strip().startswith("{"):
            found.directives.append((line, token.info.strip()[1:].split("}")[0]))
        elif token.type == "myst_target":
            found.labels.append((line, token.content))
        elif token.type == "html_block":
            found.links += [(line, target) for target in HREF.findall(token.content)]
        elif token.type == "heading_open":
            inner = tokens[position + 1].children or []
            found.headings.append((line, "".join(child.content for child in inner)))
        for child in token.children or []:
            if child.type == "link_open":
                found.links.append((line, str(child.attrGet("href"))))
            elif child.type == "image":
                found.images.append((line, str(child.attrGet("src")), child.content))
            elif child.type == "html_inline":
                found.links += [(line, target) for target in HREF.findall(child.content)]
            elif child.type == "myst_role":
                found.roles.append((line, child.meta["name"], child.content))
    return found


@lru_cache(maxsize=512)
def running_text(text: str) -> list[str]:
    """Return the pieces of a page that are read as sentences: no heading, head of a table, link, code or formula."""
    tokens = create_md_parser(MdParserConfig(enable_extensions=EXTENSIONS), RendererHTML).parse(text)
    pieces, aside = [], 0
    for token in tokens:
        if token.type in {"heading_open", "thead_open"}:
            aside += 1
        elif token.type in {"heading_close", "thead_close"}:
            aside -= 1
        if token.type != "inline" or aside:
            continue
        linked, piece = 0, ""
        for child in [*(token.children or []), None]:
            kind = child.type if child else "end"
            linked += (kind == "link_open") - (kind == "link_close")
            if kind in {"text", "softbreak"} and not linked:
                piece += child.content or " "
            elif piece:
                pieces.append(piece)
                piece = ""
    return pieces


def read_page(text: str) -> NotebookNode:
    """Read a page exactly as the site's builder does; metadata.source_map holds each cell's line (from 0)."""
    return read_myst_markdown_notebook(text, add_source_map=True)


@lru_cache(maxsize=512)
def read_once(text: str) -> NotebookNode:
    """Read a page as :func:`read_page` does, once for all who ask; not to be changed."""
    return read_page(text)


def code_cells(text: str) -> list[NotebookNode]:
    """Return the code cells of a page; not to be changed."""
    return [cell for cell in read_once(text).cells if cell.cell_type == "code"]


@lru_cache(maxsize=512)
def code_lines(text: str) -> list[int]:
    """Return the line of each code cell's first line of code in the page."""
    notebook = read_once(text)
    starts = notebook.metadata.source_map
    lines = text.splitlines()
    result = []
    for start, cell in zip(starts, notebook.cells, strict=True):
        if cell.cell_type == "code":
            first = cell.source.split("\n", 1)[0]
            result.append(next((i + 1 for i in range(start, len(lines)) if lines[i] == first), start + 1))
    return result


def resolve(page: str, target: str) -> tuple[str, str]:
    """Split a relative link on `page` into (page it means, anchor)."""
    path, _, anchor = target.partition("#")
    if not path:
        return page, anchor
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)).removesuffix(".md"), anchor


def citation(entry: Entry, form: str | None) -> str:
    """Write a citation as the site does, author and year, linked to the work itself."""
    names = ["".join(map(str, person.last_names)) or str(person) for person in entry.persons.get("author", [])]
    names = [re.sub(r"[{}]", "", name) for name in names] or [entry.fields.get("title", entry.key)]
    who = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} *et al.*"
    year = entry.fields.get("year", "n.d.")
    address = entry.fields.get("url") or ("https://doi.org/" + doi if (doi := entry.fields.get("doi")) else "")

    def linked(label: str) -> str:
        return f"[{label}]({address})" if address else label

    return f"{who} ({linked(year)})" if form == "t" else linked(f"{who}, {year}")


def plain(book: Book, page: str, text: str, bibliography: BibliographyData) -> str:
    """Rewrite a Markdown cell for readers outside the site.

    Links between pages and pictures become addresses, citations become text, labels of headings and formulas go; the
    ledger, which only the site can show, becomes a link to it.
    """

    def address(match: re.Match[str]) -> str:
        if not match["target"]:
            return match[0]
        other, anchor = resolve(page, match["target"])
        if anchor and book.source(other).is_file():
            anchor = parse(book.text(other)).anchors.get(anchor, anchor)
        return match["before"] + book.address(other, anchor)

    def cite(match: re.Match[str]) -> str:
        entries = [bibliography.entries.get(key.strip()) for key in match["keys"].split(",")]
        if None in entries:
            return match[0]
        cited = "; ".join(citation(entry, match["form"]) for entry in entries)
        return cited if match["form"] == "t" else f"({cited})"

    def rewritten(text: str) -> str:
        pictured = PICTURE.sub(lambda found: f"{found['before']}{urljoin(book.baseurl, found['file'])}", text)
        return LABEL.sub("", LINK.sub(address, pictured))

    text = LEDGER.sub(f"The table with its filters: [this page on the site]({book.address(page, '')}).", text)
    text = CITATION.sub(cite, text)
    pieces, position = [], 0
    for code in CODE.finditer(text):
        pieces += [rewritten(text[position : code.start()]), code[0]]
        position = code.end()
    return "".join([*pieces, rewritten(text[position:])])
