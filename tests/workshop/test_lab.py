"""What JupyterLab shows and saves: the text is the source, whichever of the two files is opened."""

import json
import subprocess
import sys

import pytest

from workshop import notebook as nb
from workshop.__main__ import main

PATHS = ["book/parts/tiny.md", "notebooks/parts/tiny.ipynb"]

OPEN_AND_SAVE = """
import sys
from jupytext import TextFileContentsManager

root, path, edit = sys.argv[1:]
manager = TextFileContentsManager(root_dir=root)
model = manager.get(path, type="notebook")
if edit:
    cell = next(cell for cell in model["content"].cells if "2 ** 0.5" in cell.source)
    assert cell.outputs[0].text.startswith("1.4142")  # the recorded results are there, also where the text is opened
    cell.source = cell.source.replace("2 ** 0.5", edit)
    cell.outputs[0].text = "1.7\\n"  # as if the reader had run this cell, and not the figure's
manager.save(model, path)
"""


def open_and_save(book, path, edit=""):
    """Do what JupyterLab's server does, in a process of its own as there."""
    command = [sys.executable, "-c", OPEN_AND_SAVE, str(book.root), path, edit]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", PATHS)
def test_what_is_saved_becomes_the_source_and_is_computed_anew(tiny, path, capsys):
    open_and_save(tiny, path, "3 ** 0.5")
    assert "3 ** 0.5" in tiny.text("parts/tiny")
    assert "{cite:p}`glorot2010`" in tiny.text("parts/tiny")
    assert main(["--root", str(tiny.root), "record"]) == 0
    assert "(run by hand)" in capsys.readouterr().out
    assert "1.7321" in json.dumps(nb.recorded_outputs(nb.read(tiny, "parts/tiny")))


@pytest.mark.parametrize("path", PATHS)
def test_saving_without_a_change_needs_no_run(tiny, path):
    before = tiny.notebook("parts/tiny").read_text(encoding="utf-8")
    open_and_save(tiny, path)
    assert nb.stale(tiny, "parts/tiny") == "text"
    assert main(["--root", str(tiny.root), "record"]) == 0
    assert nb.recorded_outputs(nb.read(tiny, "parts/tiny")) == nb.recorded_outputs(nb.nbformat.reads(before, 4))


def test_make_lab_opens_the_texts_as_notebooks_and_saves_nothing_by_itself(real):
    settings = json.loads((real.root / ".jupyter/labconfig/default_setting_overrides.json").read_text(encoding="utf-8"))
    documents = settings["@jupyterlab/docmanager-extension:plugin"]
    assert documents == {"autosave": False, "defaultViewers": {"markdown": "Jupytext Notebook"}}
    recipe = (real.root / "Makefile").read_text(encoding="utf-8").partition("\nlab: ")[2].partition("\n\n")[0]
    assert 'JUPYTER_CONFIG_PATH="$(CURDIR)/.jupyter"' in recipe
    assert "default_url=/lab/tree/book/index.md" in recipe
    assert real.source("index").is_file()
