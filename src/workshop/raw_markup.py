"""Markup that a built page shows instead of what it means."""

from __future__ import annotations

import re
from html.parser import HTMLParser

UNSEEN = {"head", "script", "style", "math", "svg", "template", "textarea"}
VERBATIM = {"code", "pre", "kbd", "samp"}
VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
INLINE = {"a", "abbr", "b", "bdi", "cite", "data", "dfn", "em", "i", "label", "mark", "q", "s", "small", "span"}
INLINE |= {"strong", "sub", "sup", "time", "u", "var", "wbr", *VERBATIM}

KINDS = {
    "a table's rule": r"\|[ \t]*:?(?:-{2,}|[—–]+):?[ \t]*\|",
    "bold": r"\*\*(?=\S)[^*\n]*\*\*",
    "mathematics": r"\$\$|(?<![\w$\\])\$(?=\S)[^$\n]*[^\s$]\$(?![\w$])|\\[(\[]|\\(?:frac|begin|mathrm|text|partial)\b",
    "a role or directive": r"\{[A-Za-z][\w:.-]*\}|\{\{[^}\n]*\}\}",
    "a link": r"(?<![\w)\]])!?\[[^\]\n]+\]\([^)\s]+\)",
    "a fence": r"```|:::",
    "a heading": r"^[ \t]*#{1,6} \S",
    "a tag": r"</?(?:p|div|span|b|i|em|strong|br|table|t[drh]|details|summary|a|img|sup|sub)\b[^<>\n]*>",
}
"""What a reader should not see in running text, by name."""

OBJECTS = r"<(?:class|function|bound method|module|generator object) [^<>\n]*>|<[\w.]+ object at 0x[0-9a-f]+>"
"""How Python writes what has no form of its own; in what a cell printed, too."""

IN_TEXT = {kind: re.compile(pattern, re.M) for kind, pattern in KINDS.items()}
ANYWHERE = {"a Python object": re.compile(OBJECTS)}


class Words(HTMLParser):
    """Collects what a page shows: running text, one string a block, and apart from it what stands there verbatim."""

    def __init__(self) -> None:
        """Start with nothing collected."""
        super().__init__()
        self.text: list[str] = [""]
        self.verbatim: list[str] = [""]
        self.open: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; a block begins a new string, and what is inside is read as it is outside."""
        if tag not in INLINE:
            self.text.append("")
        if tag == "pre":
            self.verbatim.append("")
        if tag not in VOID:
            as_what = self.open[-1][1] if self.open else "text"
            if tag in UNSEEN or "katex-html" in (dict(attrs).get("class") or ""):  # a formula that is set
                as_what = "unseen"
            elif tag in VERBATIM and as_what == "text":
                as_what = "verbatim"
            self.open.append((tag, as_what))

    def handle_endtag(self, tag: str) -> None:
        """Close an element and whatever was left open in it."""
        if any(tag == name for name, _ in self.open):
            while self.open.pop()[0] != tag:
                pass
        if tag not in INLINE:
            self.text.append("")

    def handle_data(self, data: str) -> None:
        """Add words where they belong; code within a sentence stands there as one letter."""
        as_what = self.open[-1][1] if self.open else "text"
        if as_what == "verbatim":
            self.verbatim[-1] += data
            self.text[-1] += "·"
        elif as_what == "text":
            self.text[-1] += data.replace("\n", " ")  # a paragraph is one line

    def raw(self) -> list[str]:
        """Return what is shown but was meant to be read by a program, each once: "bold: **word**".

        Code is left out, and of what cells printed only Python's own names for objects are looked for: a program may
        print what it likes.
        """
        found = []
        for patterns, strings in ((IN_TEXT | ANYWHERE, self.text), (ANYWHERE, self.verbatim)):
            shown = "\n".join(filter(str.strip, strings))
            for kind, pattern in patterns.items():
                found += [f"{kind}: {' '.join(hit[0].split())}" for hit in pattern.finditer(shown)]
        return list(dict.fromkeys(found))
