"""What must hold of the book as it lies in the tree, found without running anything.

Each check takes a book and returns problems, each "file:line: what" or "file: cell n: what".
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from urllib.parse import urlparse

from workshop import markdown
from workshop import notebook as nb
from workshop.book import HEADER, SETUP_TAGS, Book, BookError
from workshop.canned import problems as canned_problems
from workshop.glossary import problems as glossary_problems
from workshop.hosts import host_problem
from workshop.markdown import code_lines, parse, resolve
from workshop.recipes import problems as recipes_problems
from workshop.sources import problems as sources_problems
from workshop.teaching import teaching

DIRECTIVES = {
    "code-cell": "a cell; in the notebook it is one, so nobody sees the directive",
    "bibliography": "the list of cited works; its page has no notebook",
    "eval-rst": "the reference, from the package's docstrings; its pages have no notebook",
    "glossary": "terms that the site's search knows; its page has no notebook",
    "execution-status": "the table of times; its page has no notebook",
    "live-pages": "the table of pages that run in the browser; its page has no notebook",
    "ledger": "the table of claims with its filters; the notebook gets a link to it",
    "benchmarks": "the tables of ratios; its page has no notebook",
    "instrument-results": "how often the instrument was right; its page has no notebook",
    "changed-lines": "how many changed lines a test noticed; its page has no notebook",
}
"""MyST directives that pages may use, each with its reason: Colab shows any other as raw text."""

ROLES = {
    "cite": "a citation; the notebook gets it as plain text with a link",
    "cite:p": "the same, in parentheses",
    "cite:t": "the same, in the sentence",
    "ratio": "a measured ratio in a sentence; its page has no notebook",
}
"""MyST roles that pages may use, each with its reason."""

SHORTEST_ALT = 30
LONGEST_OPEN = 8
ALT_IS_A_PATH = re.compile(r"^\S*[/\\]\S*$|\.(?:png|svg|jpe?g)\b")
ADDRESS = re.compile(r"https?://[^\s\"'`<>)\]}]+")
LENIENT = re.compile(r"NBVAL_\w+|PYTEST_VALIDATE_\w+")


def code_cells(book: Book, page: str) -> list[tuple[int, str, dict]]:
    """Return (line in the page, source, metadata) of each code cell."""
    text = book.text(page)
    cells = zip(code_lines(text), markdown.code_cells(text), strict=True)
    return [(line, cell.source, cell.metadata) for line, cell in cells]


def headers(book: Book) -> list[str]:
    """Pages with code open with the one header (without it the theme crashes), pages without have none; one title."""
    problems = []
    for page in book.pages:
        text = book.text(page)
        if "```{code-cell}" in text and not text.startswith(HEADER):
            problems.append(f"book/{page}.md:1: does not open with the header of a page with code (book.HEADER)")
        if "```{code-cell}" not in text and text.startswith("---"):
            problems.append(f"book/{page}.md:1: has a header but no code cell; a page without code has none")
        lines = text.splitlines()
        titles = [line for line, _ in parse(text).headings if lines[line - 1].startswith("# ")]
        if len(titles) != 1:
            problems.append(f"book/{page}.md: has {len(titles)} titles (headings of the first level), wanted one")
    return problems


def setup_cells(book: Book) -> list[str]:
    """The first code cell is the set-up cell, for the address in _config.yml."""
    problems = []
    for page in book.coded:
        cells = code_cells(book, page)
        if not cells or cells[0][1] != book.setup or cells[0][2].get("tags") != SETUP_TAGS:
            line = cells[0][0] if cells else 1
            problems.append(
                f"book/{page}.md:{line}: the first code cell is not the set-up cell (book.SETUP, tags {SETUP_TAGS}) "
                f"for {book.repository}@{book.branch}"
            )
    return problems


def toc(book: Book) -> list[str]:
    """Every page stands once in _toc.yml, and nothing else does."""
    counted = Counter(book.toc)
    problems = [f"_toc.yml: {page} stands {times} times" for page, times in counted.items() if times > 1]
    problems += [f"_toc.yml: {page}: no book/{page}.md" for page in counted if not book.source(page).is_file()]
    return problems + [f"book/{page}.md:1: is not in _toc.yml" for page in book.pages if page not in counted]


def pairs(book: Book) -> list[str]:
    """Every page with code has its notebook, made from this very text; no notebook is without a page."""
    problems = []
    folder = book.root / "notebooks"
    for path in sorted(folder.rglob("*.ipynb")):
        page = path.relative_to(folder).with_suffix("").as_posix()
        if ".ipynb_checkpoints" not in path.parts and page not in book.coded:
            problems.append(f"notebooks/{page}.ipynb: no page with code has this name")
    for page in book.executed:
        notebook = nb.read(book, page)
        if notebook is None:
            problems.append(f"book/{page}.md:1: no notebook, or not a readable one; record it")
            continue
        meta = notebook.metadata.get("workshop", {})
        if meta.get("source_sha256") != nb.source_hash(book.text(page)):
            problems.append(f"book/{page}.md:1: has changed since it was recorded; record it")
            continue
        try:
            made = nb.assemble(book, page, nb.recorded_outputs(notebook), meta.get("modules", {}))
        except ValueError as error:
            problems.append(f"notebooks/{page}.ipynb: is not what its page makes ({error}); record it")
            continue
        if made != book.notebook(page).read_text(encoding="utf-8"):
            problems.append(f"notebooks/{page}.ipynb: was not written by the recorder from this page; record it")
    return problems


def releases(book: Book) -> list[str]:
    """Every assignment's page is what its master makes (where the masters are), its notebook what its page makes."""
    from workshop.release import masters, stale, student_notebook

    problems = []
    sources = {master.page: master for master in masters(book)}
    for page in sorted({*book.assignments, *sources}):
        if page in sources:
            try:
                found = stale(sources[page])
            except BookError as error:
                found = f"{page}: {error}"
            problems += [found] if found else []
        elif not book.notebook(page).is_file() or book.notebook(page).read_text("utf-8") != student_notebook(
            book, page
        ):
            problems.append(f"notebooks/{page}.ipynb: is not what its page makes; python -m workshop release")
    return problems


def recorded(book: Book) -> list[str]:
    """Every cell was run, in order, without error, without stderr, without a path or address of one machine."""
    problems = []
    for page in book.executed:
        notebook = nb.read(book, page)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"] if notebook else []
        for count, cell in enumerate(cells, start=1):
            where = f"notebooks/{page}.ipynb: cell {count}"
            if cell.get("execution_count") != count:
                problems.append(f"{where}: run as [{cell.get('execution_count')}], wanted [{count}]")
            problems += [f"{where}: {problem}" for problem in nb.output_problems(cell.get("outputs", []))]
    return problems


def strictness(book: Book) -> list[str]:
    """No cell evades comparison, and none ends in ";": that hides output from readers, not from nbval (#194)."""
    problems = []
    for page in book.executed:
        for line, source, meta in code_cells(book, page):
            where = f"book/{page}.md:{line}"
            if source.rstrip().endswith(";"):
                problems.append(f'{where}: cell ends in ";"; assign the value to _ instead')
            tags = [tag for tag in meta.get("tags", []) if tag.startswith("nbval") or tag == "raises-exception"]
            if "workshop" in source:
                problems.append(f"{where}: chapters import gradclinic, never workshop")
            problems += [f"{where}: {what} keeps the cell from being compared" for what in LENIENT.findall(source)]
            problems += [f"{where}: tag {tag} keeps the cell from being compared" for tag in tags]
            for kind, hiding in (("solution", "hide-cell"), ("questions", "remove-input")):
                if kind in meta.get("tags", []) and hiding not in meta["tags"]:
                    problems.append(f"{where}: the tag {kind} also needs the tag {hiding}, or the site shows answers")
    return problems


def alternative_texts(book: Book) -> list[str]:
    """Every figure has a text that says what it shows; every image in the text has one too."""
    problems = []
    for page in book.pages:
        for line, target, alt in parse(book.text(page)).images:
            if len(alt) <= SHORTEST_ALT:
                problems.append(
                    f"book/{page}.md:{line}: image {target} needs a text of more than {SHORTEST_ALT} letters"
                )
    for page in book.executed:
        notebook = nb.read(book, page)
        for count, cell in enumerate([c for c in notebook.cells if c.cell_type == "code"] if notebook else [], start=1):
            if not any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {})):
                continue
            alt = str(cell.metadata.get("mystnb", {}).get("image", {}).get("alt", ""))
            if len(alt) <= SHORTEST_ALT or ALT_IS_A_PATH.search(alt):
                lines = code_lines(book.text(page))
                line = lines[count - 1] if count <= len(lines) else 1
                problems.append(
                    f"book/{page}.md:{line}: cell {count}: figure needs mystnb.image.alt of more than {SHORTEST_ALT} "
                    f"letters that says what it shows, got {alt!r}"
                )
    return problems


def folding(book: Book) -> list[str]:
    """The code of every figure is one click away: folded where it is long, and nowhere left out of the page."""
    problems = []
    for page in book.executed:
        notebook = nb.read(book, page)
        lines = code_lines(book.text(page))
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"] if notebook else []
        for line, cell in zip(lines, cells, strict=False):  # an edited page may have another number of cells
            if not any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {})):
                continue
            where = f"book/{page}.md:{line}"
            tags = set(cell.metadata.get("tags", []))
            long = sum(1 for text in cell.source.splitlines() if text.strip()) > LONGEST_OPEN
            if tags & {"remove-cell", "remove-input"}:
                problems.append(f"{where}: the code of this figure is not on the page; fold it (tag hide-input)")
            elif long and not tags & {"hide-input", "hide-cell"}:
                problems.append(f"{where}: more than {LONGEST_OPEN} lines draw this figure; fold them (tag hide-input)")
    return problems


def syntax(book: Book) -> list[str]:
    """Only directives and roles that also read well in a notebook."""
    problems = []
    for page in book.pages:
        found = parse(book.text(page))
        problems += [
            f"book/{page}.md:{line}: directive {name} is not one of {', '.join(DIRECTIVES)}"
            for line, name in found.directives
            if name not in DIRECTIVES
        ]
        problems += [
            f"book/{page}.md:{line}: role {name} is not one of {', '.join(ROLES)}"
            for line, name, _ in found.roles
            if name not in ROLES
        ]
    return problems


def links(book: Book) -> list[str]:
    """Links between pages lead to a page and a place that exist; images exist; notebooks have no relative link."""
    problems = []
    for page in book.pages:
        where = f"book/{page}.md"
        found = parse(book.text(page))
        for line, target in found.links:
            if urlparse(target).scheme:
                continue
            other, anchor = resolve(page, target)
            path = book.source(page).parent / target.partition("#")[0]
            if other not in book.pages and not (path.is_file() and path.suffix != ".md"):
                problems.append(f"{where}:{line}: link {target}: no such page")
            elif anchor and other in book.pages and anchor not in parse(book.text(other)).anchors:
                places = ", ".join(parse(book.text(other)).anchors)
                problems.append(f"{where}:{line}: link {target}: no such place; {other} has {places}")
        for line, target, _ in found.images:
            if not urlparse(target).scheme and not (book.source(page).parent / target).is_file():
                problems.append(f"{where}:{line}: image {target}: no such file")
    for page in book.coded:
        notebook = nb.read(book, page)
        for cell in notebook.cells if notebook else []:
            if cell.cell_type == "markdown":
                problems += [
                    f"notebooks/{page}.ipynb: link {target} leads nowhere outside the site; write it as [text](page.md)"
                    for _, target in parse(cell.source).links
                    if not urlparse(target).scheme
                ]
    return problems


def citations(book: Book) -> list[str]:
    """Every citation names an entry of references.bib."""
    known = set(nb.bibliography(book).entries)
    problems = []
    for page in book.pages:
        for line, role, keys in parse(book.text(page)).roles:
            if role.partition(":")[0] == "cite":
                unknown = [key.strip() for key in keys.split(",") if key.strip() not in known]
                problems += [f"book/{page}.md:{line}: {key}: not in book/references.bib" for key in unknown]
    return problems


def hosts(book: Book) -> list[str]:
    """No page names a network host but the listed ones."""
    problems = []
    for page in book.pages:
        for line, text in enumerate(book.text(page).splitlines(), start=1):
            for address in ADDRESS.findall(text):
                if not address.startswith(book.baseurl) and (problem := host_problem(address)):
                    problems.append(f"book/{page}.md:{line}: {problem}")
    return problems


def glossary(book: Book) -> list[str]:
    """No name stands for two entries of the glossary, and each entry is used on some page."""
    return glossary_problems(book)


def sources(book: Book) -> list[str]:
    """Under the heading *What the sources say* every page says what the ledger of claims says, word by word."""
    return sources_problems(book)


def evidence(book: Book) -> list[str]:
    """No page prints a finding that a name or a typed list decides."""
    return canned_problems(book)


def recipes(book: Book) -> list[str]:
    """The page of recipes is what the chapters make."""
    return recipes_problems(book)


CHECKS = (
    headers,
    setup_cells,
    toc,
    pairs,
    releases,
    recorded,
    strictness,
    alternative_texts,
    folding,
    syntax,
    links,
    citations,
    hosts,
    glossary,
    teaching,
    sources,
    evidence,
    recipes,
)


def report(book: Book) -> int:
    """Run every check, print the problems, return the exit code."""
    nb.legible(book)
    problems = [problem for check in CHECKS for problem in check(book)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"check: {len(problems)} problems", file=sys.stderr)
        return 1
    print(f"check: {len(book.pages)} pages, {len(book.coded)} notebooks, {len(CHECKS)} checks, no problem")
    return 0
