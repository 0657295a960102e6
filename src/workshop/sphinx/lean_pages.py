"""Pages without what no page of this book uses: a reader on a phone waits for none of it.

What the theme sends with every page as it comes: Font Awesome's script, 1.5 MB of which some fifteen icons are shown;
fourteen style sheets, asked for one after the other before a word appears, nine tenths of whose rules match nothing
here; the search index, although only the search page searches; scripts that stop the parser where they stand. When
the site is written:

- each icon is put into the page as the SVG that the script would have put there, and the script goes;
- the style sheets that all pages share become one, with the rules that some page or script can match
  (pydata-sphinx-theme 0.17 sends the whole of Bootstrap and of Font Awesome's), and paper light in either theme;
- nothing stops the parser: scripts from files wait for the finished page (``defer``), in their order;
- the search index stays on the search page (the theme loads it everywhere, for a search as you type that is off).

sphinx-thebe goes already when a page is made: Jupyter Book loads it although ``launch_buttons: thebe`` is off, and
sphinx-book-theme 1.3 sets it up a second time (``launch.py``), so that its ``const`` is declared twice: an error on
every page.
"""

import hashlib
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import tinycss2

from workshop.sphinx import passes

SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")
CREDIT = """\
/* Icons: Font Awesome Free by Fonticons, CC BY 4.0, https://fontawesome.com/license/free */
.svg-inline--fa { display: inline-block; height: 1em; overflow: visible; vertical-align: -0.125em; }
.svg-inline--fa.fa-lg { vertical-align: -0.2em; }
"""

HREF = re.compile(r'\bhref="([^"]+)"')
LINK = re.compile(r'[ \t]*<link\b[^>]*\brel="stylesheet"[^>]*>\n?')
PRELOAD = re.compile(r'[ \t]*<link rel="preload" as="script"[^>]*>\n?')  # ahead of the words, for what comes after
THEBE = re.compile(r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName = .*?</script>', re.S)
SCRIPT = re.compile(r'[ \t]*<script\b[^>]*\bsrc="([^"]+)"[^>]*></script>\n?')
FAMILIES = {"fas", "far", "fab", "fa-solid", "fa-regular", "fa-brands"}
ICON = re.compile(r'<(i|span) class="([^"]*\b(?:fas|far|fab|fa-solid|fa-regular|fa-brands)\b[^"]*)"([^>]*)>\s*</\1>')
DRAWN = re.compile(r'[{,]"?([\w-]+)"?:\[(\d+),(\d+),\[([^]]*)\],"[0-9a-f]+","([^"]+)"\]')
NAME = re.compile(r"-?[A-Za-z_][\w-]*")
DARK = re.compile(r"""(?<!not\()\[data-theme=["']?dark["']?\]""")
LIGHT = re.compile(r"""(?<!not\()\[data-theme=["']?light["']?\]""")


def leave_out(app, pagename, templatename, context, doctree):
    """Of the scripts of one page drop sphinx-thebe's, and whatever is said a second time."""
    seen, kept = set(), []
    for script in context["script_files"]:
        said = script.attributes.get("body") or str(script.filename)
        if "THEBE_JS_URL" not in said and "sphinx-thebe" not in said and said not in seen:
            seen.add(said)
            kept.append(script)
    context["script_files"] = kept


def local(page, address):
    """The file that an address in a page means."""
    return (page.parent / urlsplit(address).path).resolve()


def icons(script):
    """What Font Awesome's script draws: name -> (width, height, path), its solid icons before its outlines."""
    drawn = {}
    for name, width, height, others, path in DRAWN.findall(script.read_text(encoding="utf-8")):
        for known in [name, *re.findall(r'"([^"]+)"', others)]:
            drawn[known] = (width, height, path)  # the script's order is brands, outlines, solid
    return drawn


def with_icons(html, drawn):
    """The page with its icons drawn, as the script would have: every other attribute stays."""

    def svg(found):
        classes = found[2].split()
        name = next((c[3:] for c in classes if c.startswith("fa-") and c[3:] in drawn), None)
        if name is None:
            raise ValueError(f"{found[0]}: Font Awesome's script has no such icon")
        width, height, path = drawn[name]
        kept = [c for c in classes if c not in FAMILIES]
        return (
            f'<svg class="{" ".join(["svg-inline--fa", *kept])}"{found[3]} viewBox="0 0 {width} {height}" '
            f'aria-hidden="true"><path fill="currentColor" d="{path}"></path></svg>'
        )

    return ICON.sub(svg, html)


def with_fewer_scripts(html, options):
    """The page without the scripts that it does not use, the others after it, and the options for them before them.

    The search page keeps its own as they are: they use each other while it is read.
    """
    searches = "Search.loadIndex" in html or 'id="search-results"' in html

    def waiting(found):
        name = urlsplit(found[1]).path.rsplit("/", 1)[-1]
        if name == "fontawesome.js" or (name == "design-tabs.js" and 'class="sd-tab' not in html):
            return ""
        if searches:
            return found[0]
        if name in SEARCH:
            return ""
        if name == "documentation_options.js":
            return f"<script>{options}</script>\n"
        if re.search(r"\b(?:defer|async)\b", found[0].replace(found[1], "")):
            return found[0]
        return found[0].replace("<script ", "<script defer ", 1)

    return SCRIPT.sub(waiting, PRELOAD.sub("", THEBE.sub("", html)))


def read_css(path):
    """A style sheet with the sheets that it imports and its addresses as seen from ``_static``."""
    text = path.read_text(encoding="utf-8").removeprefix('@charset "UTF-8";')
    text = re.sub(r'@import "([^"]+)";', lambda found: read_css((path.parent / found[1]).resolve()), text)
    inside = "" if path.parent.name == "_static" else f"{path.parent.name}/"
    return re.sub(r"""url\((["']?)(?!data:|#|["'])""", rf"url(\1{inside}", text)


def matching(rules, words):
    """The rules of a style sheet that can match: all classes and ids of one of their selectors occur somewhere."""
    kept = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [[]]
            for token in rule.prelude:
                if token == ",":
                    selectors.append([])
                else:
                    selectors[-1].append(token)
            possible = [selector for selector in selectors if names(selector) <= words]
            if possible:
                heads = [tinycss2.serialize(selector).strip() for selector in possible]
                kept += themed(heads, tinycss2.serialize(rule.content).strip())
        elif rule.type == "at-rule" and rule.lower_at_keyword in {"media", "supports"}:
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            if body := matching(inner, words):
                kept.append(f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{body}}}")
        elif rule.type == "at-rule" and rule.lower_at_keyword == "font-face":
            said = tinycss2.serialize(rule.content)
            if "fontawesome" not in said:  # its icons are in the pages
                kept.append(f"@font-face{{{said.strip()}}}")
        else:
            kept.append(rule.serialize())
    return "\n".join(kept)


def themed(selectors, declarations):
    """A rule as it holds on the screen and on paper: there nothing is dark, and light whatever the theme says.

    The themes' colours hang on an attribute of the page, which no style sheet can change.
    """
    dark = [selector for selector in selectors if DARK.search(selector)]
    light = [selector for selector in selectors if LIGHT.search(selector)]
    if dark and light:
        return [f"{','.join(selectors)}{{{declarations}}}"]
    if dark:
        others = [selector for selector in selectors if selector not in dark]
        kept = [f"@media not print{{{','.join(dark)}{{{declarations}}}}}"]
        return [f"{','.join(others)}{{{declarations}}}", *kept] if others else kept
    kept = [f"{','.join(selectors)}{{{declarations}}}"]
    if light:
        always = ",".join(LIGHT.sub("[data-theme]", selector) for selector in light)
        kept.append(f"@media print{{{always}{{{declarations}}}}}")
    return kept


def names(selector):
    """The classes and ids that an element must have to match; what stands in ``:not()`` and its like is not asked."""
    asked, before = set(), None
    for token in selector:
        if token.type == "hash" or (token.type == "ident" and before == "."):
            asked.add(token.value)
        before = token.value if token.type == "literal" else None
    return asked


def bundle(sheets, words):
    """One style sheet from several, in their order."""
    text = "\n".join(read_css(sheet) for sheet in sheets)
    rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
    if wrong := [rule for rule in rules if rule.type == "error"]:
        raise ValueError(f"style sheets {[sheet.name for sheet in sheets]}: {wrong[0].message}")
    return matching(rules, words)


def make_lean(app, exception):
    """Rewrite every page that was written, and write the common style sheet."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir).resolve()
    static = out / "_static"
    pages = {
        path: path.read_text(encoding="utf-8") for path in sorted(out.rglob("*.html")) if static not in path.parents
    }
    pages = {path: html for path, html in pages.items() if "</head>" in html}
    sheets = {
        path: [local(path, href) for tag, href in stylesheets(html) if " media=" not in tag]
        for path, html in pages.items()
    }
    common = [sheet for sheet in next(iter(sheets.values())) if all(sheet in others for others in sheets.values())]
    # A class is used where its name occurs in a page or, in whatever role, in a script.
    apart = {static / "scripts/fontawesome.js", *static.glob("live/*")}  # what brings its own style, or draws none
    scripts = "".join(path.read_text(encoding="utf-8") for path in static.rglob("*.js") if path not in apart)
    words = set(NAME.findall(scripts)).union(*(attribute_words(html) for html in pages.values()), {"svg-inline--fa"})
    text = CREDIT + bundle(common, words)
    name = f"site.{hashlib.sha256(text.encode()).hexdigest()[:8]}.css"
    (static / name).write_text(text, encoding="utf-8")
    drawn = icons(static / "scripts/fontawesome.js")
    options = (static / "documentation_options.js").read_text(encoding="utf-8")
    for path, html in pages.items():
        root = "../" * len(path.relative_to(out).parts[:-1])
        others = [tag for tag, href in stylesheets(html) if local(path, href) not in common]
        links = [f'<link rel="stylesheet" href="{root}_static/{name}" />\n', *others]
        # At the head of all, though the parser then waits for it at the first script in the page: what came before is
        # laid out alone and seen sooner than a whole chapter that is laid out at once (benchmarks/page.py: 1.8 to 2.4).
        kept = iter(["".join(links)])
        html = LINK.sub(lambda _, kept=kept: next(kept, ""), html)
        html = with_fewer_scripts(with_icons(html, drawn), options)
        path.write_text(html, encoding="utf-8")
    for path in {*static.rglob("*.map"), *(static / "scripts").glob("fontawesome.js*")}:
        path.unlink()
    shutil.rmtree(static / "vendor/fontawesome", ignore_errors=True)


def stylesheets(html):
    """The style sheets that a page names: (tag, address)."""
    return [(tag, HREF.search(tag)[1]) for tag in LINK.findall(html)]


def attribute_words(html):
    """All classes and ids of a page."""
    return {word for value in re.findall(r'\b(?:class|id)="([^"]*)"', html) for word in value.split()}


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
