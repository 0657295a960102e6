"""One list of passes: complete, in its order, and the order in which Sphinx calls them."""

import importlib
import re

import pytest

from workshop.sphinx import passes
from workshop.sphinx.passes import PASSES

PACKAGE = passes.__package__


def test_every_pass_is_there_and_says_why():
    assert len(set(PASSES)) == len(PASSES)
    for each in PASSES:
        assert callable(getattr(importlib.import_module(f"{PACKAGE}.{each.module}"), each.function)), each
        assert each.why


def test_nothing_is_connected_elsewhere(real):
    folder = real.root / "src/workshop/sphinx"
    using = [each.module for each in PASSES]
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text(encoding="utf-8")
        assert name == "passes" or not re.search(r"\bapp\.connect\(", text), name
        assert ("    passes.connect(app, __name__)" in text) == (name in using), name


def test_lines_stand_in_the_order_in_which_they_are_called(real):
    """Events together, each by its numbers, and one number by the order in which ``_config.yml`` loads the modules."""
    events = list(dict.fromkeys(each.event for each in PASSES))
    loaded = [name.removeprefix(f"{PACKAGE}.") for name in real.config["sphinx"]["extra_extensions"]]
    ordered = sorted(PASSES, key=lambda each: (events.index(each.event), each.order, loaded.index(each.module)))
    assert list(PASSES) == ordered


def test_a_module_connects_its_own_lines_and_no_other():
    class App:
        def __init__(self):
            self.connected = []

        def connect(self, event, function, priority):
            self.connected.append((event, function.__name__, priority))

    app = App()
    importlib.import_module(f"{PACKAGE}.formulas")
    passes.connect(app, f"{PACKAGE}.formulas")
    assert app.connected == [
        ("builder-inited", "write_files", 500),
        ("doctree-resolved", "prepare", 950),
        ("build-finished", "close", 500),
    ]
    with pytest.raises(ValueError, match="no pass of this module"):
        passes.connect(app, f"{PACKAGE}.passes")
