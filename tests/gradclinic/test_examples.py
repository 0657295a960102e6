"""Every function that the reference shows has an example, complete as it stands, and each prints what it says."""

import ast
import doctest
import importlib
import io
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import gradclinic
from workshop.sphinx.reference import PAGES

ROOT = Path(__file__).parents[2]
HOME = {"gradclinic": "gradclinic.instrument"}
"""Where the functions are written that the package itself hands on."""

ELSEWHERE = {"course", "instrument"}
"""What this book has for itself, and a module whose functions stand under the package's name."""


def documented(root):
    """What the reference shows: module -> the names that its page lists, None for all."""
    text = "".join((root / f"book/{page}.md").read_text(encoding="utf-8") for page in PAGES)
    found = re.findall(r"^\.\. automodule:: (\S+)\n   :members:(.*)$", text, re.M)
    shown = {module: {name.strip() for name in names.split(",")} if names else None for module, names in found}
    assert len(shown) == len(found) == text.count(".. automodule::")
    return shown


def functions(root):
    """Yield the functions that the reference shows: full name, docstring."""
    for module, shown in documented(root).items():
        module = HOME.get(module, module)
        base = root / "src" / module.replace(".", "/")
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            if public and (shown is None or node.name in shown):
                yield f"{module}.{node.name}", ast.get_docstring(node) or ""


def test_the_reference_shows_every_module(real):
    shown = documented(real.root)
    assert {f"gradclinic.{module}" for module in gradclinic.MODULES if module not in ELSEWHERE} <= set(shown)


def test_every_public_function_has_an_example(real):
    texts = dict(functions(real.root))
    assert len(texts) > 90
    assert [name for name, text in texts.items() if ">>> " not in text] == []


@pytest.mark.parametrize("name", documented(ROOT))
def test_examples_print_what_they_say(name):
    """Each example by itself: nothing is there that it does not import."""
    module = importlib.import_module(HOME.get(name, name))
    runner = doctest.DocTestRunner(verbose=False)
    said = io.StringIO()
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, globs={}):
        runner.run(example, out=said.write)
    plt.close("all")
    assert said.getvalue() == ""
