"""The wheel that people install: what is in it, what its extras bring, and that one framework is enough."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
WANTED = {
    None: {"numpy", "scipy"},
    "torch": {"torch"},
    "tensorflow": {"tensorflow"},
    "course": {"matplotlib", "scikit-learn", "pandas"},
}
BUILD = "from setuptools import build_meta; build_meta.build_wheel('made')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the tree."""
    here = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, here)
    shutil.copytree(ROOT / "src/gradclinic", here / "src/gradclinic", ignore=shutil.ignore_patterns("__pycache__"))
    (here / "src/workshop").mkdir()
    (here / "src/workshop/__init__.py").touch()
    (here / "made").mkdir()
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = (here / "made").glob("gradclinic-*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_is_the_package_with_its_data_and_nothing_else(wheel):
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    there = {p for p in (ROOT / "src/gradclinic").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert found == {str(p.relative_to(ROOT / "src")) for p in there}
    assert "gradclinic/py.typed" in found
    assert any(name.startswith("gradclinic/course/long_runs/data/") for name in found)


def test_each_extra_brings_what_it_is_called_after_and_the_base_no_framework(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    extras = metadata.get_all("Provides-Extra")
    assert set(WANTED) - {None} < set(extras)
    brought: dict[str | None, set[str]] = {extra: set() for extra in (None, *extras)}
    for line in metadata.get_all("Requires-Dist"):
        needed = Requirement(line)
        for extra, names in brought.items():
            base = needed.marker is None
            if base if extra is None else not base and needed.marker.evaluate({"extra": extra}):
                names.add(needed.name)
    for extra, names in WANTED.items():
        assert brought[extra] == names
    (whole,) = (Requirement(line) for line in metadata.get_all("Requires-Dist") if line.startswith("gradclinic["))
    assert whole.extras == set(extras) - {"all", "plain"}  # plain stands in place of book


USED = {
    "torch": """
import torch

net = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
x, y = torch.randn(8, 6), torch.randint(0, 3, (8,))
""",
    "tensorflow": """
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras

net = keras.Sequential([keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)])
x, y = keras.random.normal((8, 6)), keras.random.randint((8,), 0, 3)
net(x)
""",
}
COURSE = ("matplotlib", "sklearn", "pandas")


@pytest.mark.parametrize("framework", USED)
def test_the_wheel_and_one_framework_give_a_working_probe(wheel, framework, tmp_path):
    wheel.extractall(tmp_path)
    absent = [*COURSE, *({"torch", "tensorflow"} - {framework})]
    code = f"""
import sys

sys.path.insert(0, {str(tmp_path)!r})
for name in {absent}:
    sys.modules[name] = None
{USED[framework]}
import gradclinic

assert gradclinic.__file__.startswith({str(tmp_path)!r}), gradclinic.__file__
report = gradclinic.probe(net, x, y)
assert len(report.names) == 2 and "verdict" in str(report)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
