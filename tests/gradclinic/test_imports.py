"""What an import loads, and who may import whom."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import gradclinic

PACKAGE = Path(gradclinic.__file__).parent
FLOORS = {
    0: {"activations", "spec", "clip", "precision"},
    1: {"init", "chain", "theory", "measure"},
    2: {"numpy_net", "pretrain"},
    3: {"torch_net", "tf_net", "gated", "plots", "resnet", "transformer"},
    4: {"instrument"},
    5: {"course"},
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules}
HEAVY = {"torch", "tensorflow", "keras", "matplotlib"}
LIGHT = [module for floor in (0, 1, 2) for module in sorted(FLOORS[floor])]
LIGHT += ["instrument", "instrument.readings", "instrument.causes", "course.data", "course.quiz", "course.registry"]
LIGHT += ["course.long_runs"]


def heavy_after(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(json.loads(done.stdout))


def test_importing_the_package_loads_nothing_heavy():
    assert heavy_after("import gradclinic") == set()


def test_importing_the_package_does_not_even_load_numpy():
    code = "import sys, gradclinic; assert 'numpy' not in sys.modules and gradclinic.__version__"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_module_up_to_floor_2_loads_anything_heavy():
    assert heavy_after("\n".join(f"import gradclinic.{module}" for module in LIGHT)) == set()


def test_drawing_the_digits_loads_nothing_heavy():
    assert heavy_after("import gradclinic.course.data as data; data.digits(5, 5)") == set()


def test_no_numpy_module_loads_scipy_before_a_function_needs_it():
    """In a browser SciPy is half of what a page loads; a sigmoid does without, a GELU does not."""
    ask = "import sys\nfrom gradclinic import activations, chain, init, measure, numpy_net, plots, theory\n"
    ask += "from gradclinic.course import data\nassert 'scipy' not in sys.modules\n"
    ask += "assert activations.get('sigmoid')([0.0, 800.0]).tolist() == [0.5, 1.0]\n"
    ask += "assert 'scipy' not in sys.modules\nactivations.get('gelu')(1.0)\nassert 'scipy' in sys.modules"
    subprocess.run([sys.executable, "-c", ask], check=True)


def test_the_check_of_loaded_packages_can_fail():
    assert heavy_after("import matplotlib") == {"matplotlib"}


WITHOUT = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"matplotlib", "sklearn", "pandas"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
"""
PROBED = {
    "torch": """
import gradclinic, torch

net = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
x, y = torch.randn(8, 6), torch.randint(0, 3, (8,))
""",
    "tensorflow": """
import gradclinic
from gradclinic.tf_net import keras

net = keras.Sequential([keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)])
x, y = keras.random.normal((8, 6)), keras.random.randint((8,), 0, 3)
net(x)
""",
}


@pytest.mark.parametrize("framework", PROBED)
def test_the_instrument_works_with_what_a_plain_install_brings(framework):
    """The base dependencies and one framework: the report is read, printed and shown; the rest says what it lacks."""
    ask = """
report = gradclinic.probe(net, x, y)
assert "verdict" in str(report) and "verdict" in report._repr_html_() and len(report.names) == 2
for method, wanted in ((report.plot, "matplotlib"), (report.to_frame, "pandas")):
    try:
        method()
    except ImportError as error:
        assert f"needs {wanted}" in str(error), error
    else:
        raise AssertionError(wanted)
"""
    done = subprocess.run([sys.executable, "-c", WITHOUT + PROBED[framework] + ask], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_modules_are_attributes_of_the_package_without_an_import():
    code = "import gradclinic; assert gradclinic.chain.explosive_width(3) == 0; from gradclinic import theory"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="module 'gradclinic' has no attribute 'nothing'"):
        _ = gradclinic.nothing


def imported_modules(source: str) -> set[str]:
    """Modules and subpackages of the package that a source imports, anywhere, also inside a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floor"
            found |= (
                {node.module} if node.module != "gradclinic" else {f"gradclinic.{alias.name}" for alias in node.names}
            )
    return {name.split(".")[1] for name in found if name.startswith("gradclinic.")}


def imported_when_run(source: str) -> set[str]:
    """The same without what stands under ``if TYPE_CHECKING``, which type checkers read and Python never runs.

    The package's ``__init__`` needs it: it loads its modules by name on first use, and a checker of a reader's code
    must still learn what ``gradclinic.probe`` is.
    """
    tree = ast.parse(source)
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse)
    ]
    return imported_modules(ast.unparse(tree))


def violations(module: str, source: str) -> set[str]:
    """What a module imports from its own floor or from above; the parts of a subpackage may import each other."""
    return {other for other in imported_modules(source) - {module} if FLOOR[other] >= FLOOR[module]}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_lower_floors_only(path):
    source = path.read_text(encoding="utf-8")
    module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")  # a subpackage has one floor
    if module == "__init__":
        assert imported_when_run(source) == set()
    else:
        assert module in FLOOR, f"{module} has no floor: give it one in FLOORS"
        assert violations(module, source) == set()


@pytest.mark.parametrize(
    ("module", "source", "caught"),
    [
        ("chain", "from gradclinic import activations\nimport numpy", set()),
        ("chain", "from gradclinic import theory", {"theory"}),
        ("chain", "import gradclinic.plots as p", {"plots"}),
        ("init", "def f():\n    from gradclinic.numpy_net import forward", {"numpy_net"}),
        ("instrument", "from gradclinic import measure\nfrom gradclinic.course.claims import LEDGER", {"course"}),
        ("course", "from gradclinic.course.claims import chain\nfrom gradclinic.course import clinic, remedies", set()),
    ],
)
def test_the_check_of_floors_can_fail(module, source, caught):
    assert violations(module, source) == caught


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("if TYPE_CHECKING:\n    from gradclinic.instrument import probe", set()),
        ("if not TYPE_CHECKING:\n    from gradclinic.instrument import probe", {"instrument"}),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from gradclinic import chain", {"chain"}),
        ("def f():\n    from gradclinic import chain", {"chain"}),
    ],
)
def test_only_what_type_checkers_read_is_let_through(source, caught):
    assert imported_when_run(source) == caught
