"""The buttons of every page do what they say: in this repository, and in a fork of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from buttons import assert_buttons
from nbclient import NotebookClient

from workshop.__main__ import main
from workshop.book import Book
from workshop.check import pairs, releases, setup_cells
from workshop.site import repository_path

LEFT_OUT = (".git", ".venv", "_build", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", "__pycache__")


def test_every_page_has_the_buttons_that_it_needs_and_no_other(real, site):
    assert_buttons(real, site)


@pytest.fixture(scope="module")
def forked(real, tmp_path_factory):
    """This very tree, moved to another home."""
    root = tmp_path_factory.mktemp("forked") / "tree"
    shutil.copytree(real.root, root, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    assert main(["--root", str(root), "fork", "someone/their-course", "--branch", "teach"]) == 0
    return Book(root)


def test_a_fork_names_its_old_home_nowhere(real, forked):
    owner = real.repository.split("/")[0].encode()
    named = [path for path in forked.root.rglob("*") if path.is_file() and owner in path.read_bytes()]
    assert named == []
    for name in ("README.md", "CITATION.cff", "_config.yml", "notebooks/index.ipynb"):
        assert "someone/their-course" in (forked.root / name).read_text(encoding="utf-8"), name
    for flow in (forked.root / ".github/workflows").glob("*.yml"):
        assert "[main]" not in flow.read_text(encoding="utf-8"), flow


def test_a_forks_pages_and_notebooks_fit_its_address(forked):
    assert [problem for check in (setup_cells, pairs, releases) for problem in check(forked)] == []
    for page in forked.coded:
        notebook = nbformat.read(forked.notebook(page), as_version=4)
        setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
        assert "gradclinic @ git+https://github.com/someone/their-course@teach" in setup.source


def test_a_forks_links_in_the_readme_open_something(forked):
    links = re.findall(r"\]\((https?://[^)]+)\)", (forked.root / "README.md").read_text(encoding="utf-8"))
    opened = [path for link in links if (path := repository_path(forked, link))]
    assert len(opened) >= 2
    assert all((forked.root / path).is_file() for path in opened)
    assert any(link.startswith(forked.baseurl) for link in links)


@pytest.fixture(scope="module")
def lab(real, tmp_path_factory):
    """Return the address of a JupyterLab on this tree, as Binder starts one."""
    folder = tmp_path_factory.mktemp("lab")
    places = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    options = ["--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--IdentityProvider.token="]
    options += [
        "--allow-root",
        f"--ServerApp.root_dir={real.root}",
        f"--FileCheckpoints.checkpoint_dir={folder / 'checkpoints'}",  # or it writes into this tree
        "--LabApp.news_url=",
        "--ServerApp.open_browser=False",
    ]
    with open(folder / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=folder, env=os.environ | places, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 60
        address = None
        while address is None:
            found = re.search(r"http://127\.0\.0\.1:[1-9]\d*/", (folder / "log").read_text(encoding="utf-8"))
            address = found and found[0]
            assert server.poll() is None, (folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < end, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def test_binders_recipe_installs_what_the_repository_pins(real):
    recipe = real.root / ".binder/postBuild"
    assert os.access(recipe, os.X_OK)
    assert subprocess.run(["bash", "-n", str(recipe)], check=False).returncode == 0
    (pins,) = re.findall(r"--requirement (\S+)", recipe.read_text(encoding="utf-8"))
    assert "jupyterlab==" in (real.root / pins).read_text(encoding="utf-8")
    runtime = (real.root / ".binder/runtime.txt").read_text(encoding="utf-8").strip()
    assert re.fullmatch(r"python-3\.1[1-9]", runtime)


def test_binders_path_opens_the_recorded_notebook(real, lab):
    for page in real.coded:
        path = f"notebooks/{page}.ipynb"
        with urllib.request.urlopen(f"{lab}lab/tree/{path}") as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{lab}api/contents/{path}?type=notebook&content=1") as answer:
            opened = json.load(answer)["content"]
        recorded = json.loads(real.notebook(page).read_text(encoding="utf-8"))
        assert [cell["cell_type"] for cell in opened["cells"]] == [cell["cell_type"] for cell in recorded["cells"]]
        outputs = [len(cell["outputs"]) for cell in recorded["cells"] if cell["cell_type"] == "code"]
        assert [len(cell["outputs"]) for cell in opened["cells"] if cell["cell_type"] == "code"] == outputs, page


def test_binders_path_shows_the_notebook_in_a_browser(chromium, lab):
    page = chromium.new_page()
    page.goto(f"{lab}lab/tree/notebooks/why/descent.ipynb")
    page.wait_for_selector(".jp-NotebookPanel h1", timeout=60_000)
    assert "Gradient descent" in page.inner_text(".jp-NotebookPanel h1")
    page.close()


def test_the_download_button_gives_a_notebook_that_runs_alone(real, open_page, tmp_path):
    page = open_page("index.html")
    page.click(".dropdown-download-buttons > button")
    with page.expect_download() as started:
        page.click(".btn-download-notebook-button")
    started.value.save_as(tmp_path / "notebook.ipynb")
    notebook = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
    recorded = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    said = [["".join(o.get("text", "")) for o in cell] for cell in outputs]
    assert said == [["".join(o.get("text", "")) for o in cell] for cell in recorded]
    assert [path.name for path in Path(tmp_path).iterdir()] == ["notebook.ipynb"]
