"""*Run this page here*: on pages most of whose cells need NumPy alone, and where the parts are (``workshop live``).

A page gets a button and a sentence, hidden until ``button.js`` finds that the browser can do it; nothing else is loaded
before the click. What the click loads stands in ``_static/live``: Pyodide and the wheels as they came, a lock file of
these alone, the editor's modules with addresses in place of names, this course's package and the digits, each checked
against its hash. Which cells run and which wheels a page needs is read from its text (``workshop.live.marks``).

Without the cache no page changes. Style sheets and scripts are not in ``book/_static``, whose files every page loads.
"""

import gzip
import hashlib
import io
import json
import re
import shutil
import zipfile
from functools import cache
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from workshop.live import package, supply
from workshop.live.marks import Reader, counted, live_pages
from workshop.sphinx import passes
from workshop.sphinx.measured_table import page_link, table

HERE = Path(__file__).parent
SOURCES = Path(package.__file__).parents[2]  # src
OWN = ("button.js", "live.mjs", "live.css", "editor.mjs", "worker.mjs", "driver.py")
FROM = re.compile(r"""(\bfrom\s+)(['"])([@\w][\w@/.-]*)\2""")
FIRST = ("why", "reproduce")  # the parts most of whose cells run
UNNEEDED = {"matplotlib-pyodide", "pytz"}  # of the lock's dependencies: a backend for the page, and pandas' time zones


@cache
def reader():
    return Reader(SOURCES)


def code_cells(doctree):
    """The cells whose code the page shows: (cell, source), in their order."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        shown = next((part for part in cell.findall(nodes.container) if "cell_input" in part["classes"]), None)
        if shown is not None:
            yield cell, next(shown.findall(nodes.literal_block)).astext()


def stem(name):
    """The name of an npm package as its file's: ``@codemirror/view`` -> ``codemirror-view``."""
    return name.removeprefix("@").replace("/", "-")


def with_addresses(source):
    """A module of the editor whose imports name the files beside it."""
    return FROM.sub(lambda found: f"{found[1]}{found[2]}./{stem(found[3])}.mjs{found[2]}", source)


def closure(lock, wanted):
    """Packages of the lock with all that they need."""
    found, waiting = [], list(wanted)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += [other for other in lock[name]["depends"] if other not in UNNEEDED]
    return sorted(found)


def site_lock(lock):
    """Pyodide's lock file reduced to what the site brings."""
    kept = {}
    for name in closure(lock["packages"], package.WHEELS):
        depends = [other for other in lock["packages"][name]["depends"] if other not in UNNEEDED]
        kept[name] = lock["packages"][name] | {"depends": depends}
    return {"info": lock["info"], "packages": kept}


def digits():
    """scikit-learn's digits as an .npz of bytes: pixels are 0 to 16."""
    import numpy as np
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    made = io.BytesIO()
    np.savez_compressed(made, data=data.astype(np.uint8), target=target.astype(np.uint8))
    return made.getvalue()


def fonts(wheel):
    """Matplotlib's list of fonts for the fonts of this wheel: to make it takes the browser seconds on every visit."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import fontManager, get_font, ttfFontProperty

    with zipfile.ZipFile(wheel) as archive:
        version = package.version_of(archive.read("matplotlib/font_manager.py").decode())
        names = {Path(name).name for name in archive.namelist() if name.endswith(".ttf")}
    entries = []
    for path in sorted(Path(get_data_path(), "fonts/ttf").glob("*.ttf")):
        if path.name in names:
            entry = ttfFontProperty(get_font(str(path)))
            fields = {key: getattr(entry, key) for key in ("name", "style", "variant", "weight", "stretch", "size")}
            entries.append(fields | {"fname": f"fonts/ttf/{path.name}", "__class__": "FontEntry"})
    manager = {
        "_version": version,
        "_FontManager__default_weight": "normal",
        "default_size": None,
        "defaultFamily": dict(fontManager.defaultFamily),
        "afmlist": [],
        "ttflist": entries,
        "__class__": "FontManager",
    }
    return json.dumps(manager, sort_keys=True).encode()


def licences(cache_folder):
    """Who made what the site brings, and under which licence."""
    parts = [
        "Pyodide: Mozilla Public License 2.0, https://github.com/pyodide/pyodide; its wheels hold their licences.\n"
    ]
    for path in sorted(cache_folder.glob("*.LICENSE")):
        parts.append(f"{path.stem}\n\n{path.read_text(encoding='utf-8')}")
    return f"\n{'-' * 80}\n\n".join(parts).encode()


def put_files(cache_folder, folder):
    """Write ``_static/live``; return name -> (bytes of the file, bytes on the wire)."""
    folder.mkdir(parents=True, exist_ok=True)
    for pin in supply.pins().files:
        path = cache_folder / pin.name
        if pin.name.endswith(".mjs") and pin.npm and not pin.npm.startswith("pyodide@"):
            (folder / pin.name).write_text(with_addresses(path.read_text(encoding="utf-8")), encoding="utf-8")
        elif not pin.name.endswith((".LICENSE", "-lock.json")):
            shutil.copyfile(path, folder / pin.name)
    lock = json.loads((cache_folder / "pyodide-lock.json").read_text(encoding="utf-8"))
    wheel = cache_folder / lock["packages"]["matplotlib"]["file_name"]
    made = {
        "pyodide-lock.json": json.dumps(site_lock(lock), sort_keys=True).encode(),
        "gradclinic.zip": package.zipped(SOURCES),
        "cells.py": (Path(package.__file__).parent / "cells.py").read_bytes(),
        "digits.npz": digits(),
        "fonts.json": fonts(wheel),
        "licences.txt": licences(cache_folder),
    }
    made |= {name: (HERE / name).read_bytes() for name in OWN}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    sizes = {path.name: (path.stat().st_size, on_the_wire(path)) for path in sorted(folder.iterdir())}
    packages = {
        wheel: [lock["packages"][name]["file_name"] for name in closure(lock["packages"], [wheel])]
        for wheel in package.WHEELS
    }
    theirs = [name for name in sizes if name not in made] + ["pyodide-lock.json"]
    manifest = {
        "version": version(folder, sizes),
        "store": version(folder, theirs),  # what a browser keeps from one version of the site to the next
        "lacking": {module: sorted(titles) for module, titles in sorted(reader().lacking.items())},
        "packages": packages,
        "bytes": {name: size for name, (size, _) in sizes.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")
    return sizes


def version(folder, names):
    """A short name of exactly these files."""
    said = "".join(f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n" for name in sorted(names))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def on_the_wire(path):
    """The bytes of a file as a web server sends it: what is not packed already is packed."""
    data = path.read_bytes()
    return len(data) if path.suffix in {".whl", ".zip", ".npz"} else len(gzip.compress(data, 6, mtime=0))


def first_click(sizes, wheels, packages):
    """What the click on a page with these wheels loads, in bytes on the wire."""
    files = {name for name in sizes if not name.endswith((".whl", ".txt")) and "openblas" not in name}
    files |= {file for wheel in wheels for file in packages[wheel]}
    return sum(sizes[name][1] for name in files)


def put_in(app):
    app.live_sizes = None
    if app.builder.name == "html" and (cache_folder := supply.ready()):
        folder = Path(app.outdir, "_static", "live")
        app.live_sizes = put_files(cache_folder, folder)
        app.live_packages = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["packages"]


def offer(marks, megabytes):
    """The button and its sentence."""
    if marks.run == len(marks.cells):
        said = "every cell runs in your browser"
    else:
        titles = listed(frozenset().union(*marks.lacks))
        said = f"{marks.run} of {len(marks.cells)} cells run in your browser, the others need {titles}"
    data = f'data-cells="{marks.cells}" data-wheels="{" ".join(marks.wheels)}"'
    return (
        f'<div class="live-offer" id="live-offer" {data} hidden>\n'
        f'<button type="button" class="live-button">Run this page here</button>\n'
        f"<span>Loads about {megabytes} MB from this site, once; {said}.</span>\n</div>"
    )


def listed(titles):
    *first, last = sorted(titles)
    return f"{', '.join(first)} or {last}" if first else last


def mark(app, doctree, docname):
    if not app.live_sizes:
        return
    marks = reader().live(docname, [source for _, source in code_cells(doctree)])
    title = next(doctree.findall(nodes.title), None)
    if marks is None or title is None:
        return
    megabytes = round(first_click(app.live_sizes, marks.wheels, app.live_packages) / 1e6)
    section = title.parent
    place = section.index(title) + 1
    while place < len(section) and "page-times" in section[place].get("classes", []):
        place += 1
    section.insert(place, nodes.raw("", offer(marks, megabytes), format="html"))
    doctree["live"] = True


def add_files(app, pagename, templatename, context, doctree):
    if doctree is not None and doctree.get("live"):
        app.add_js_file("live/button.js", loading_method="defer", priority=900)


class LivePages(SphinxDirective):
    """``{live-pages}``: which pages run in the browser, how much of each, and what the first click loads.

    Its content is said before the table, and left out where there is none.
    """

    has_content = True

    def run(self):
        sizes = getattr(self.env.app, "live_sizes", None)
        if not sizes:
            return [nodes.paragraph("", "This copy of the site was built without cells that run in the browser.")]
        rows, root = [], Path(self.env.srcdir).parent
        for page, marks in live_pages(root).items():
            click = first_click(sizes, marks.wheels, self.env.app.live_packages)
            rows.append((page_link(self, page), str(len(marks.cells)), str(marks.run), f"{click / 1e6:.0f}"))
        whole = sum(size for size, _ in sizes.values()) / 1e6
        said = f"Together the files are {whole:.0f} MB of the site; a page that is only read loads none of them."
        cells, run = map(sum, zip(*(counted(root, folder) for folder in FIRST), strict=True))
        if cells:
            said = f"In *Why* and *Reproduce and measure* {run} of {cells} cells run ({run / cells:.0%}). {said}"
        head = ("page", "cells", "that run", "first click, MB")
        before = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, before)
        after = nodes.Element()
        self.state.nested_parse(StringList([said], ""), self.content_offset, after)
        return [*before.children, table("live-pages", (55, 15, 15, 15), head, rows), *after.children]


def setup(app):
    app.add_directive("live-pages", LivePages)
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
