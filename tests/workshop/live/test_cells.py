"""Which lines of a page need a framework: a page keeps running past them, and what they spoil is never used."""

import json
from pathlib import Path

import pytest

from workshop.live import cells, marks, package, table

PAGE = cells.Page({"gradclinic.torch_net": frozenset({"PyTorch"}), "gradclinic.tf_net": frozenset({"TensorFlow"})})


@pytest.fixture
def page():
    return cells.Page(dict(PAGE.lacking))


def left(page, *sources):
    """The statements of the last cell that are left out."""
    for source in sources:
        parts = page.read(source)
    return [cells.ast.unparse(part.node) for part in parts if part.lacks]


def test_an_import_is_left_out_by_itself(page):
    source = "import numpy as np, torch\nfrom gradclinic import chain, torch_net\nw = np.ones(3)"
    assert left(page, source) == ["import torch", "from gradclinic import torch_net"]
    assert cells.only_imports(page.read(source))
    assert page.missing == {"torch": {"PyTorch"}, "torch_net": {"PyTorch"}}


def test_the_digits_are_there_and_the_rest_of_scikit_learn_is_not(page):
    assert left(page, "from sklearn.datasets import load_digits") == []
    assert left(page, "from sklearn.linear_model import Ridge") == ["from sklearn.linear_model import Ridge"]


def test_what_uses_a_framework_is_left_out_and_what_it_makes_is_missing(page):
    first = "import torch\nx = [1.0]\nt = torch.tensor(x)\ny = x[0]"
    assert left(page, first) == ["import torch", "t = torch.tensor(x)"]
    assert left(page, "print(y)") == []
    assert left(page, "s = t.sum()\nprint(s)\nprint(y)") == ["s = t.sum()", "print(s)"]
    assert not cells.only_imports(page.read("print(t)"))


def test_a_name_made_again_is_no_longer_missing(page):
    assert left(page, "import torch\nw = torch.ones(3)", "w = [1, 2]\nprint(w)") == []


def test_both_sides_of_a_pair_are_judged_alone_unless_one_uses_the_other(page):
    assert left(page, "import torch\na, b = torch.ones(2), 3\nprint(b)") == ["import torch", "a = torch.ones(2)"]
    swap = "import torch\na, b = torch.ones(2), 3\na, b = b, a"
    assert left(cells.Page(), swap)[-1] == "a, b = (b, a)"


@pytest.mark.parametrize(
    "change", ["rows.append(torch.ones(1))", "rows[0] = torch.ones(1)", "rows.best = torch.ones(1)"]
)
def test_what_a_left_out_line_would_have_changed_is_missing_too(page, change):
    assert left(page, f"import torch\nrows = []\n{change}", "print(rows)") == ["print(rows)"]


def test_what_a_left_out_line_would_have_changed_through_a_function_is_missing_too(page):
    left(
        page, "import torch\nfound = []", "def keep(x):\n    found.append(x)", "def check(x):\n    keep(torch.ones(x))"
    )
    assert left(page, "print(found)") == []
    assert left(page, "found = []\nother = 1", "torch.nn.Linear(1, 1).register_forward_hook(check)") != []
    assert left(page, "print(found)") == ["print(found)"]
    assert left(page, "print(other)") == []


def test_a_call_of_an_imported_module_changes_nothing_of_it(page):
    source = "import numpy as np, torch\nnp.testing.assert_allclose(torch.ones(1), 1)"
    assert left(page, source, "print(np.pi)") == []


def test_a_function_that_uses_a_framework_is_missing_and_its_own_names_are_not(page):
    source = "import torch\ndef both(x, y=1):\n    inside = torch.tensor(x)\n    return inside + y"
    assert left(page, source)[-1].startswith("def both")
    assert page.missing.keys() == {"torch", "both"}
    assert left(page, "both(3)") == ["both(3)"]
    assert left(page, "import torch\ninside, x = 1, 2\nprint(inside, x)") == ["import torch"]


@pytest.mark.parametrize(
    "source",
    [
        "for t in [1, 2]:\n    print(t)",
        "print([t for t in range(3)])",
        "print(list(map(lambda t: t + 1, [1])))",
        "def f(t):\n    return t",
        "class C:\n    t = 1",
        "import math as t\nprint(t.pi)",
        "if 1:\n    t = 2\n    print(t)",
        "with open('x') as t:\n    print(t)",
    ],
)
def test_a_statement_s_own_variables_are_not_the_missing_ones(page, source):
    assert left(page, "import torch\nt = torch.ones(1)", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "for x in t:\n    pass",
        "t += 1",
        "print([x for x in t])",
        "f = lambda x: x + t",
        "@t\ndef f():\n    pass",
        "def f(x=t):\n    pass",
        "class C(t):\n    pass",
        "if t:\n    pass",
        "print(f'{t}')",
        "def f():\n    import torch",
        "def f():\n    from gradclinic import tf_net",
    ],
)
def test_every_way_to_use_what_is_missing_is_seen(page, source):
    assert len(left(page, "import torch\nt = torch.ones(1)", source)) == 1


def test_wrong_python_is_python_s_business(page):
    with pytest.raises(SyntaxError):
        page.read("def (:")


def package_of(folder, files):
    """Write a package of these modules (name -> text) into a folder."""
    (folder / "gradclinic").mkdir()
    for name, text in files.items():
        (folder / "gradclinic" / f"{name}.py").write_text(text, encoding="utf-8")


def test_modules_of_the_package_are_read_with_all_they_import(tmp_path):
    files = {
        "__init__": "",
        "a": "from gradclinic import b\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n",
        "b": "import scipy.special\n\ndef f():\n    import torch\n",
        "c": "import torch\n",
        "d": "from gradclinic.c import x\nimport matplotlib.pyplot\n",
    }
    package_of(tmp_path, files)
    modules = {name: package.at_import(text) for name, text in package.sources(tmp_path).items()}
    assert set(package.lacking(modules)) == {"gradclinic.c", "gradclinic.d"}
    assert package.wheels(["gradclinic.a"], modules) == ["numpy", "scipy"]
    assert package.wheels(["gradclinic.d"], modules) == ["numpy", "matplotlib"]
    assert package.wheels([], modules) == ["numpy"]
    assert package.zipped(tmp_path) == package.zipped(tmp_path)
    reader = marks.Reader(tmp_path)
    read = reader.read(["%pip install x\nfrom gradclinic import a, d", "x = 1", "print(d)"])
    assert (read.cells, read.run, read.wheels) == ("rrp", 2, ("numpy", "scipy"))
    assert read.lacks == (frozenset(), frozenset(), frozenset({"PyTorch"}))
    assert reader.live("a/page", ["import torch\ntorch.ones(1)"]) is None
    assert reader.live("a/page", []) is None
    assert reader.live("a/page", ["x = 1"]).cells == "r"
    assert reader.live(next(iter(marks.left_out())), ["x = 1"]) is None


def test_functions_that_call_a_framework_are_known_and_the_others_of_their_module_run(tmp_path):
    files = {
        "__init__": "",
        "a": "from gradclinic import b\n\ndef far():\n    return b.near()\n\ndef plain():\n    return 1\n",
        "b": "from gradclinic.d import again\n\ndef near():\n    import torch\n\nclass Own:\n    kept = near()\n",
        "c": "import torch\n\ndef f():\n    return torch\n",
        "d": "def again():\n    from sklearn.datasets import load_digits\n    return again()\n",
    }
    package_of(tmp_path, files)
    found = marks.Reader(tmp_path).lacking
    assert set(found) == {"gradclinic.a.far", "gradclinic.b.near", "gradclinic.b.Own", "gradclinic.c"}
    page = cells.Page(found)
    assert left(page, "from gradclinic import a\nx = a.far()\ny = a.plain()") == ["x = a.far()"]
    assert left(page, "from gradclinic.a import far, plain") == ["from gradclinic.a import far"]
    assert left(page, "import gradclinic.a\ngradclinic.a.far()") == ["gradclinic.a.far()"]
    assert left(page, "a = object()", "a.far()") == []


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        ("from gradclinic import a\nprint(a.plain(1))", False),
        ("from gradclinic import a\nprint(a.solved(1))", True),
        ("from gradclinic import a\nprint(a.through(1))", True),
        ("from gradclinic import a as b\nprint([b.Solver(x) for x in (1, 2)])", True),
        ("from gradclinic.a import solved as s\ns(1)", True),
        ("from gradclinic import b\nprint(b.elsewhere(1))", True),
        ("import gradclinic.a\nprint(gradclinic.a.solved(1))", True),
        ("from gradclinic import a\na.plain('relu')", False),
        ("from gradclinic import a\na.plain('gelu')", True),
    ],
)
def test_a_page_loads_scipy_where_its_cells_call_what_needs_it(tmp_path, source, needs):
    (tmp_path / "gradclinic").mkdir()
    files = {
        "__init__": "",
        "a": "def plain(x):\n    return x\n\n"
        "def solved(x):\n    from scipy.optimize import brentq\n    return brentq\n\n"
        "def through(x):\n    return solved(x)\n\nclass Solver:\n    def solve(self):\n        return through(self)\n",
        "b": "from gradclinic import a as other\n\ndef elsewhere(x):\n    return other.through(x)\n",
    }
    for name, text in files.items():
        (tmp_path / "gradclinic" / f"{name}.py").write_text(text, encoding="utf-8")
    assert ("scipy" in marks.Reader(tmp_path).read(source.split("\n")).wheels) == needs


def test_numpy_networks_of_the_real_package_need_no_scipy(real):
    reader = marks.Reader(real.root / "src")
    source = "from gradclinic import chain, init, numpy_net, plots, theory\nnumpy_net.gradients\nchain.gradients"
    assert reader.read([source]).wheels == ("numpy", "matplotlib")
    assert reader.read([source, "theory.fixed_point('tanh', 2.0)"]).wheels == ("numpy", "scipy", "matplotlib")


def test_the_real_package_keeps_numpy_apart_from_the_frameworks(real):
    lacking = marks.Reader(real.root / "src").lacking
    assert lacking["gradclinic.torch_net"] == {"PyTorch"}
    assert {"gradclinic.chain", "gradclinic.numpy_net", "gradclinic.plots", "gradclinic.course.data"}.isdisjoint(
        lacking
    )


def test_the_table_adds_what_can_be_added(tmp_path, capsys):
    table.write(tmp_path)
    assert "no page was measured" in capsys.readouterr().out
    folder = tmp_path / "_build/live"
    folder.mkdir(parents=True)
    row = {
        "cells": 20,
        "run": 19,
        "printing": 8,
        "same": 8,
        "seconds": 3.25,
        "megabytes": 39,
        "stored": 46,
        "memory": 90,
    }
    for page in ("a", "b"):
        (folder / f"{page}.json").write_text(json.dumps({"page": page} | row), encoding="utf-8")
    table.write(tmp_path)
    lines = (tmp_path / "_build/live.md").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "| a | 20 | 19 | 8 | 8 | 3.2 | 39 | 46 | 90 |"
    assert lines[-1] == "| all pages | 40 | 38 | 16 | 16 | 6.5 |  |  |  |"


def test_a_page_that_is_left_out_counts_with_all_its_cells(monkeypatch):
    root = Path(__file__).parents[3]
    cells, run = marks.counted(root, "reproduce")
    assert 0 < run < cells
    monkeypatch.setattr(marks, "left_out", lambda: {"reproduce/vanishing": "a reason"})
    fewer = marks.counted(root, "reproduce")
    assert fewer[0] == cells
    assert 0 < fewer[1] < run
