"""A book of two pages, recorded once, for every test that must break one."""

import io
import os
import shutil
from pathlib import Path

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from workshop.__main__ import main
from workshop.book import HEADER, Book

ROOT = Path(__file__).parent.parent

PAGE = (
    HEADER
    + """
# A tiny chapter

See [the bibliography](../appendix/bibliography.md), {cite:p}`glorot2010` and [why](#why-so).

```{code-cell} ipython3
:tags: [remove-cell, setup]
```

## Why so

$$ \\frac{\\partial z}{\\partial w_0} = \\prod_{i=1}^L \\underbrace{w_i\\,\\sigma'(z_i)}_{\\text{layer } i} $$ (chain)

```{code-cell} ipython3
import matplotlib.pyplot as plt

print(f"{2 ** 0.5:.4f}")
print("two")
```

```{code-cell} ipython3
---
mystnb:
  image:
    alt: "A straight line that rises from zero to one, and nothing else"
---
_ = plt.plot([0, 1])
```

```{code-cell} ipython3
:tags: [solution, hide-cell]
print("solved", 6 * 7)
```
"""
)

FILES = {
    "book/index.md": "# A tiny book\n\nRead [why](parts/tiny.md#why-so).\n",
    "book/parts/tiny.md": PAGE,
    "book/appendix/bibliography.md": "# Bibliography\n\n```{bibliography}\n```\n",
    "book/appendix/status.md": "# Status\n\n```{execution-status} in words\n```\n\n```{execution-status}\n```\n\n"
    "It took {ratio}`one profile: 320 layers` times as long.\n\n```{benchmarks}\n```\n",
    "book/references.bib": "@inproceedings{glorot2010, author={Glorot, Xavier and Bengio, Yoshua}, "
    "title={Understanding the difficulty of training deep feedforward neural networks}, booktitle={AISTATS}, "
    "year={2010}, url={https://proceedings.mlr.press/v9/glorot10a.html}}\n",
    "_toc.yml": "format: jb-book\nroot: index\nchapters:\n  - file: parts/tiny\n  - file: appendix/bibliography\n"
    "  - file: appendix/status\n",
}


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """Return the folder of the tiny book as recorded; not to be changed."""
    root = tmp_path_factory.mktemp("recorded")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for name in ("_config.yml", "pyproject.toml", "book/_static"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    (root / "book/_static/execution.json").unlink(missing_ok=True)
    assert main(["--root", str(root), "record"]) == 0
    return root


@pytest.fixture
def tiny(recorded, tmp_path):
    """Return a copy of the tiny book, to be broken."""
    return Book(shutil.copytree(recorded, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def real():
    """Return the book of this repository."""
    return Book(ROOT)


@pytest.fixture
def edit(tiny):
    """Return a function that replaces one piece of a file of the tiny book."""

    def replace(name, old, new):
        path = tiny.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{name} has no {old!r}"
        before = path.stat().st_mtime_ns
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        os.utime(path, ns=(before, before))  # nothing may depend on file times

    return replace


def render(folder, texts, *extensions, **options):
    """Build a site of these pages (name -> MyST) with extensions of workshop.sphinx; return folder and warnings.

    The toctree of all pages stands on the page `index`, which is made where it is not given.
    """
    toctree = "\n```{toctree}\n:glob:\n\n*\n*/*\n```\n"
    for name, text in ({"index": "# Index\n"} | texts).items():
        path = folder / "source" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + (toctree if name == "index" else ""), encoding="utf-8")
    ours = [name if "." in name else f"workshop.sphinx.{name}" for name in extensions]
    config = {"extensions": ["myst_parser", *ours], "myst_heading_anchors": 4, "html_theme": "basic"} | options
    config |= {"suppress_warnings": ["toc.not_included"]}
    said = io.StringIO()
    with docutils_namespace():  # or the second site of a process finds its node classes taken
        made = folder / "made"
        args = (folder / "source", None, made, folder / "trees", "html", config)
        Sphinx(*args, status=None, warning=said).build()
    return made, said.getvalue()


@pytest.fixture(scope="session", name="render")
def render_():
    """Return the function that builds a small site with extensions of this book."""
    return render
