"""A notebook alone in an empty folder, where the course's package is absent: as in Colab, but without a network."""

import json
import os
import shutil
import subprocess
import sys
import venv

import pytest

from workshop.__main__ import main

RUN = """
import nbformat, nbclient
notebook = nbformat.read("notebook.ipynb", as_version=4)
nbclient.NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, "notebook.ipynb")
"""

NOTE = "Note: you may need to restart the kernel to use updated packages.\n"
"""What IPython's %pip (not Colab's) prints after every installation; appendix/using-this-book says it is not so."""


@pytest.fixture
def machine(tmp_path, real):
    """Return a Python that sees all packages but the course's own, and an environment in which GitHub is a folder."""
    repository = tmp_path / "repository"
    for name in ("pyproject.toml", "README.md", "LICENSE", "src/gradclinic"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (real.root / name).is_dir() else shutil.copy
        copy(real.root / name, repository / name)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q", "-b", real.branch], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    folder = tmp_path / "machine"
    venv.create(folder, symlinks=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    # Folders named in a .pth file are searched, but their own .pth files, such as an editable install's, are not read.
    shared = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "shared.pth").write_text("\n".join(shared) + "\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    environment |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{real.repository}",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way of saying: no isolation. Colab fetches setuptools; here it is there
        "PIP_NO_INDEX": "1",  # whoever asks an index for anything fails
    }
    return folder / "bin" / "python", environment, packages


def texts(notebook):
    """Return what each code cell printed."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return ["".join("".join(output.get("text", "")) for output in cell["outputs"]) for cell in cells]


def pictures(notebook):
    """Return the figures."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def test_a_notebook_alone_fetches_the_package_once_and_answers_to_a_changed_number(tiny, edit, machine, tmp_path):
    python, environment, packages = machine
    edit("book/parts/tiny.md", "import matplotlib", "from gradclinic import chain\nimport matplotlib")
    edit("book/parts/tiny.md", "plt.plot([0, 1])", "plt.plot([0, chain.explosive_width(4.5)])")
    edit("book/parts/tiny.md", 'print("two")', 'print(f"{chain.explosive_width(4.5):.4f}")')
    assert main(["--root", str(tiny.root), "record"]) == 0
    recorded = json.loads(tiny.notebook("parts/tiny").read_text(encoding="utf-8"))

    path = tmp_path / "empty" / "notebook.ipynb"
    path.parent.mkdir()
    there = {file.name for file in packages.iterdir()}

    def run(text):
        path.write_text(text, encoding="utf-8")
        ran = subprocess.run(
            [str(python), "-c", RUN], cwd=path.parent, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(path.read_text(encoding="utf-8"))

    absent = [
        str(python),
        "-c",
        "import importlib.util as u, numpy; raise SystemExit(u.find_spec('gradclinic') is not None)",
    ]
    assert subprocess.run(absent, env=environment, check=False).returncode == 0
    first = run(json.dumps(recorded))
    assert texts(first)[0] in {"", NOTE}  # no warning, nothing replaced
    assert texts(first)[1:] == texts(recorded)[1:]
    added = {file.name for file in packages.iterdir()} - there
    assert {name.split("-")[0] for name in added} == {"gradclinic"}

    shutil.rmtree(tmp_path / "repository")  # it is not fetched again
    second = run(json.dumps(recorded).replace("explosive_width(4.5)", "explosive_width(6.0)"))
    assert texts(second) != texts(first)
    assert pictures(second) != pictures(first)
    assert [file.name for file in path.parent.iterdir()] == ["notebook.ipynb"]
