"""What the course's package imports, read from its text: which modules need a framework, which need SciPy."""

from __future__ import annotations

import ast
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from workshop.live.cells import FRAMEWORKS, Page, aliases, dotted, imported

WHEELS = ("numpy", "scipy", "matplotlib")
"""What a page may import besides Python's own library and the course's package."""

BY_NAME = {"gelu": "scipy"}
"""What is asked for by a word, and what it imports then: no reference leads from one to the other."""

PACKAGE = "gradclinic"
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def sources(folder: Path) -> dict[str, str]:
    """Return the text of every module of the package below `folder`, by full name."""
    found = {}
    for path in sorted((folder / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path.read_text(encoding="utf-8")
    return found


def at_import(source: str) -> set[str]:
    """Return what a module imports when it is imported: nothing inside functions, nothing for type checkers."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        names.update(imported(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
    return names


def at_call(module: str, source: str) -> dict[str, set[str]]:
    """Return what the functions and classes of a module use when they are called: full name -> full names."""
    tree = ast.parse(source)
    defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    known = aliases(tree) | {node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, defined)}
    return {f"{module}.{node.name}": used(node, known) for node in tree.body if isinstance(node, defined)}


def used(tree: ast.AST, known: dict[str, str]) -> set[str]:
    """Return what code imports and names, in full: ``t.fixed_point`` as ``gradclinic.theory.fixed_point``."""
    found: set[str] = set()
    for node in ast.walk(tree):
        found.update(imported(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in BY_NAME:
            found.add(BY_NAME[node.value])
        first, dot, rest = dotted(node).partition(".")
        if first in known:
            found.add(f"{known[first]}{dot}{rest}")
    return found


def reached(names: Iterable[str], modules: dict[str, set[str]]) -> set[str]:
    """Return everything that is imported with these names; `modules`: what each module of the package imports.

    With what its functions use (:func:`at_call`) in `modules`: everything that is imported when they are called too.
    """
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += modules.get(name, ())
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # a package is imported before what is in it
    return seen


def lacking(modules: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    """Return the modules of the package that the browser cannot import -> the titles of what they need."""
    bare = Page()
    found = {}
    for module in modules:
        if titles := frozenset().union(*(bare.needs(name) for name in reached([module], modules))):
            found[module] = titles
    return found


def lacking_calls(modules: dict[str, set[str]], calls: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    """Return the functions and classes (:func:`at_call`) that call a framework, in themselves or in what they call.

    Without those of modules that cannot be imported at all.
    """
    bare, whole = Page(), lacking(modules)
    found = {}
    for name in calls:
        needed = reached(called(name, calls), modules)
        titles = FRAMEWORKS & frozenset().union(*map(bare.needs, needed))
        if titles and name.rpartition(".")[0] not in whole:
            found[name] = titles
    return found


def called(name: str, calls: dict[str, set[str]]) -> set[str]:
    """Return everything that is used when this function is called; what a module imports is not called."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            waiting += calls.get(name, ())
    return seen


def wheels(names: Iterable[str], modules: dict[str, set[str]]) -> list[str]:
    """Return which of ``WHEELS`` come with these imports; NumPy always does."""
    tops = {name.partition(".")[0] for name in reached(names, modules)} | {"numpy"}
    return [wheel for wheel in WHEELS if wheel in tops]


def zipped(folder: Path) -> bytes:
    """Return the package as a zip file, the same bytes wherever it is made."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted((folder / PACKAGE).rglob("*")):
            inside = path.relative_to(folder)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.is_file() and not hidden:
                entry = zipfile.ZipInfo(inside.as_posix(), LONG_AGO)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    return made.getvalue()


def version_of(source: str) -> int:
    """Return the version of Matplotlib's list of fonts, as its module ``font_manager`` states it."""
    return int(re.search(r"^\s+__version__ = (\d+)", source, re.M)[1])
