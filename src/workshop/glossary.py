"""The glossary as data, and the places in running text where a reader meets its terms.

The page `appendix/glossary` is a list of tables with the columns English, Chinese, meaning, page. A cell of names
holds one or more, separated by commas; what stands in parentheses after an English name is a name too (an
abbreviation), after a Chinese one a remark; "to vanish" is a verb. Plurals and the forms of a verb, both spellings of
-ise and -ize, and names with or without their hyphen are found without being declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from workshop.book import Book
from workshop.markdown import running_text

PAGE = "appendix/glossary"
HEAD = ("English", "Chinese", "meaning", "page")
CHINESE = re.compile(r"[\u3400-\u9fff]")
ASIDE = (
    "gains? nothing",
    "late penalties",
    "left branch",
    "skips every step",
    "truncation error",
    "unit (?:circle|length|norm|tests?|variance|vectors?)",
    "with a profile in",
)
"""Expressions for phrases in which a name means something else."""

EVERYDAY = frozenset(
    [
        "bias",
        "branch",
        "capacity",
        "critic",
        "depth",
        "ensemble",
        "explosion",
        "feature",
        "gain",
        "gate",
        "identity",
        "label",
        "lag",
        "loss",
        "mask",
        "minimum",
        "neuron",
        "norm",
        "optimum",
        "parameter",
        "patient",
        "penalty",
        "plateau",
        "profile",
        "residual",
        "seed",
        "skip",
        "slope",
        "sparse",
        "threshold",
        "token",
        "training",
        "truncation",
        "unit",
        "update",
        "variance",
        "verdict",
        "weight",
        "width",
    ]
)
"""Names that are also words of everyday use: they stand in the glossary, and no page links them by itself."""

MOST_LINKS = 15
"""Links to the glossary that a page has at most: more would be dots, not help."""

QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"|《[^》]*》|「[^」]*」|‘[^’]*’(?![a-z])")
"""Somebody else's words, or a title: nothing in them is a link."""

MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|[`*]")


@dataclass(frozen=True)
class Entry:
    """A row of the glossary: `names` in English and in Chinese, the first of each for show, and the meaning."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]
    meaning: str

    @property
    def anchor(self) -> str:
        """Return the id of the row on the page."""
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.english[0].lower()).strip("-")

    def tip(self, *, chinese: bool) -> str:
        """Return what a link tells without being followed: the meaning, and the names in the other language."""
        return f"{self.english[0]}: {self.meaning}" if chinese else f"{self.meaning} ({', '.join(self.chinese)})"


@dataclass(frozen=True)
class Use:
    """A term in a text: the piece `text[start:end]` is `name`, or a form of it, a name of `entry`."""

    start: int
    end: int
    entry: Entry
    chinese: bool
    name: str


def names(cell: str, *, chinese: bool) -> tuple[str, ...]:
    """Split a cell of names."""
    found: list[str] = []
    for part in cell.split(","):
        match = re.fullmatch(r"\s*([^()]*?)\s*(?:\(([^()]+)\))?\s*", part)
        if match is None or not match[1]:
            raise ValueError(f"cell {cell!r}: wanted names separated by commas, each with at most one parenthesis")
        found += [match[1]] + ([match[2]] if match[2] and not chinese else [])
    return tuple(found)


@lru_cache(maxsize=8)
def entries(text: str) -> tuple[Entry, ...]:
    """Return the rows of the glossary's page; ValueError where one is not of the page's form."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells or set(line) <= set("|-: ") or tuple(cells) == HEAD:
            continue
        if len(cells) != len(HEAD) or not all(cells[:3]):
            raise ValueError(f"line {number}: wanted the cells {', '.join(HEAD)}, all but the last filled; got {line}")
        meaning = MARKUP.sub(lambda match: match[1] or "", cells[2]).replace("\\|", "|")
        found.append(Entry(names(cells[0], chinese=False), names(cells[1], chinese=True), meaning))
    return tuple(found)


def pattern(name: str) -> str:
    """Return the expression that finds a name in a text."""
    if CHINESE.search(name):
        return re.escape(name).replace(r"\ ", " ?")
    verb = name.startswith("to ")
    name = name.removeprefix("to ")
    first = f"[{name[0]}{name[0].upper()}]" if name[0].islower() else re.escape(name[0])
    rest = re.escape(name[1:]).replace(r"\-", "[- ]?").replace(r"\ ", r"[\s-]")
    rest = rest.replace("'", "['\u2019]")  # the site sets typographic ones
    rest = re.sub(r"is(?=ation|ed|ing|e\b|er)", "i[sz]", rest)
    if verb:
        forms = f"{rest[:-1]}(?:e[sd]?|ing)" if rest.endswith("e") else f"{rest}(?:e?s|ed|ing)?"
    else:
        forms = f"{rest[:-1]}(?:y|ies)" if rest.endswith("y") else f"{rest}(?:e?s)?"
    return first + forms


@lru_cache(maxsize=8)
def finder(glossary: tuple[Entry, ...]) -> tuple[re.Pattern[str], dict[str, tuple[Entry, bool, str]]]:
    """Return one expression for all names, longer ones first, and what each of its groups means."""
    known = [(name, entry) for entry in glossary for name in (*entry.english, *entry.chinese)]
    known.sort(key=lambda pair: (-len(pair[0]), pair[0]))
    groups = {f"t{i}": (entry, bool(CHINESE.search(name)), name) for i, (name, entry) in enumerate(known)}
    english, chinese = (
        "|".join(f"(?P<t{i}>{pattern(name)})" for i, (name, _) in enumerate(known) if groups[f"t{i}"][1] == kind)
        for kind in (False, True)
    )
    # Chinese is written without spaces, so only English names have to stand alone. The looks ahead save time.
    word = rf"(?<![A-Za-z0-9_.-])(?=[A-Za-z])(?:{'|'.join(ASIDE)}|{english})(?![A-Za-z0-9_-])"
    starts = "".join(sorted({name[0] for name, _ in known if CHINESE.search(name)}))
    return re.compile(f"(?=[{starts}])(?:{chinese})|{word}" if chinese else word), groups


def uses(text: str, glossary: tuple[Entry, ...]) -> Iterator[Use]:
    """Yield every term of a text from left to right, the longest name at each place."""
    expression, groups = finder(glossary)
    for match in expression.finditer(text):
        if match.lastgroup:
            yield Use(match.start(), match.end(), *groups[match.lastgroup])


def first_uses(texts: Iterable[str], glossary: tuple[Entry, ...]) -> Iterator[list[Use]]:
    """Yield for each text of a page, in reading order, the terms that the page uses there for the first time.

    A term has one first use in English and one in Chinese. Words of everyday use are left out, what stands in
    quotation marks too, and of the rest all but the first :data:`MOST_LINKS`.
    """
    met: set[tuple[str, bool]] = set()
    for text in texts:
        fresh = []
        quoted = [match.span() for match in QUOTED.finditer(text)]
        for use in uses(text, glossary):
            if use.name in EVERYDAY or any(start <= use.start < end for start, end in quoted):
                continue
            if (key := (use.entry.anchor, use.chinese)) not in met and len(met) < MOST_LINKS:
                met.add(key)
                fresh.append(use)
        yield fresh


def problems(book: Book) -> list[str]:
    """Return what is wrong with the glossary: a name or an anchor given twice, an entry that no page uses."""
    if not book.source(PAGE).is_file():
        return []
    where = f"book/{PAGE}.md"
    try:
        glossary = entries(book.text(PAGE))
    except ValueError as error:
        return [f"{where}: {error}"]
    found = []
    owner: dict[str, Entry] = {}
    for entry in glossary:
        for name in (entry.anchor, *entry.english, *entry.chinese):
            if name in owner:
                found.append(f"{where}: {name} is a name of {owner[name].english[0]} and of {entry.english[0]}")
            owner[name] = entry
    pages = [page for page in book.pages if page != PAGE]
    used = {use.entry for page in pages for text in running_text(book.text(page)) for use in uses(text, glossary)}
    return found + [f"{where}: no page uses {entry.english[0]}" for entry in glossary if entry not in used]
