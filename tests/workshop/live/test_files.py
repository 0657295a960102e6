"""What the site gets for its live pages, from a cache of made-up parts."""

import io
import json
import zipfile

import numpy as np
import pytest

from workshop.live import supply
from workshop.live.marks import Marks
from workshop.live.supply import Pin, Pins
from workshop.sphinx import live


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return a cache as ``workshop live`` fills it, of small files; the pins name them."""
    folder = tmp_path / "cache"
    folder.mkdir()
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("matplotlib/font_manager.py", "class FontManager:\n    __version__ = 777\n")
        archive.writestr("matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf", b"")
    entry = {"install_dir": "site", "sha256": "0" * 64}
    lock = {
        "info": {"version": "9.9"},
        "packages": {
            "numpy": entry | {"file_name": "numpy-1.whl", "depends": []},
            "matplotlib": entry | {"file_name": "matplotlib-1.whl", "depends": ["numpy", "pytz", "cycler"]},
            "cycler": entry | {"file_name": "cycler-1.whl", "depends": []},
            "pytz": entry | {"file_name": "pytz-1.whl", "depends": []},
            "scipy": entry | {"file_name": "scipy-1.whl", "depends": ["numpy", "openblas"]},
            "openblas": entry | {"file_name": "openblas-1.zip", "depends": []},
            "tensorlib": entry | {"file_name": "tensorlib-1.whl", "depends": ["numpy"]},
        },
    }
    files = {
        "pyodide.mjs": b"import 'node:fs';",
        "pyodide-lock.json": json.dumps(lock).encode(),
        "matplotlib-1.whl": wheel.getvalue(),
        "numpy-1.whl": b"n" * 1000,
        "cycler-1.whl": b"c" * 10,
        "scipy-1.whl": b"s" * 5000,
        "openblas-1.zip": b"o" * 2000,
        "an-editor.mjs": b"import {a} from '@an/other'\nexport {b} from \"plain\"\nimport {c} from './own.js'\n",
        "an-editor.LICENSE": b"Be kind.",
    }
    pins = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        npm = "" if name.endswith((".whl", ".zip")) else "@an/editor@1" if name.startswith("an-") else "pyodide@9.9"
        pins.append(Pin(name, "", len(data), npm=npm, lock="" if npm else name))
    monkeypatch.setattr(supply, "pins", lambda: Pins("9.9", tuple(pins)))
    return folder


@pytest.fixture
def made(cache, tmp_path):
    sizes = live.put_files(cache, tmp_path / "live")
    return tmp_path / "live", sizes


def test_the_lock_names_what_the_site_brings_and_nothing_else(made):
    folder, _ = made
    lock = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))
    assert sorted(lock["packages"]) == ["cycler", "matplotlib", "numpy", "openblas", "scipy"]
    assert lock["packages"]["matplotlib"]["depends"] == ["numpy", "cycler"]
    for package in lock["packages"].values():
        assert (folder / package["file_name"]).is_file()


def test_modules_of_the_editor_name_files_instead_of_packages(made):
    folder, _ = made
    text = (folder / "an-editor.mjs").read_text(encoding="utf-8")
    assert text.splitlines() == [
        "import {a} from './an-other.mjs'",
        'export {b} from "./plain.mjs"',
        "import {c} from './own.js'",
    ]
    assert (folder / "pyodide.mjs").read_bytes() == b"import 'node:fs';"
    assert "Be kind." in (folder / "licences.txt").read_text(encoding="utf-8")


def test_the_manifest_says_what_each_wheel_needs_and_how_large_it_is(made):
    folder, sizes = made
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["packages"]["scipy"] == ["numpy-1.whl", "openblas-1.zip", "scipy-1.whl"]
    assert manifest["bytes"]["scipy-1.whl"] == 5000
    assert manifest["lacking"]["gradclinic.torch_net"] == ["PyTorch"]
    small = live.first_click(sizes, ("numpy",), manifest["packages"])
    large = live.first_click(sizes, ("numpy", "scipy"), manifest["packages"])
    assert large - small == 7000


def test_the_same_parts_make_the_same_files_and_another_part_another_version(made, cache, tmp_path):
    folder, _ = made
    live.put_files(cache, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
    (cache / "scipy-1.whl").write_bytes(b"t" * 5000)
    live.put_files(cache, tmp_path / "other")
    before, after = (json.loads((f / "manifest.json").read_text()) for f in (folder, tmp_path / "other"))
    assert before["version"] != after["version"]
    assert before["store"] != after["store"]


def test_digits_and_fonts_are_what_the_libraries_would_have_made(made):
    from sklearn.datasets import load_digits

    folder, _ = made
    data, target = load_digits(return_X_y=True)
    with np.load(folder / "digits.npz") as stored:
        np.testing.assert_array_equal(stored["data"], data)
        np.testing.assert_array_equal(stored["target"], target)
    fonts = json.loads((folder / "fonts.json").read_text(encoding="utf-8"))
    assert fonts["_version"] == 777
    assert [font["name"] for font in fonts["ttflist"]] == ["DejaVu Sans"]


def test_the_offer_says_what_it_costs_and_what_will_not_run():
    some = Marks("rrp", (frozenset(), frozenset(), frozenset({"PyTorch", "TensorFlow"})), ("numpy", "scipy"))
    said = live.offer(some, 39)
    assert 'data-cells="rrp" data-wheels="numpy scipy" hidden' in said
    assert "about 39 MB from this site, once; 2 of 3 cells run in your browser, the others need PyTorch or Tens" in said
    assert "every cell runs in your browser" in live.offer(Marks("r", (frozenset(),), ("numpy",)), 9)
    assert len(said) < 600


def test_without_the_cache_a_site_has_none_of_it(render, tmp_path, monkeypatch):
    monkeypatch.setattr(supply, "ready", lambda: None)
    made, _ = render(tmp_path, {"index": "# Index\n\n```{live-pages}\nSaid of all.\n```\n"}, "live")
    html = (made / "index.html").read_text(encoding="utf-8")
    assert "built without cells that run in the browser" in html
    assert "Said of all." not in html
    assert "live-offer" not in html
    assert not (made / "_static/live").exists()


def test_the_table_says_how_much_of_the_first_parts_runs_with_every_page_counted(render, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(supply, "ready", lambda: cache)
    monkeypatch.setattr(live, "live_pages", lambda root: {"one": Marks("rrp", (frozenset(),) * 3, ("numpy",))})
    monkeypatch.setattr(live, "counted", lambda root, folder: {"why": (6, 5), "reproduce": (4, 1)}[folder])
    pages = {"index": "# Index\n\n```{live-pages}\nSaid of all.\n```\n", "one": "# The page one\n"}
    made, _ = render(tmp_path, pages, "live")
    html = (made / "index.html").read_text(encoding="utf-8")
    assert "<em>Why</em> and <em>Reproduce and measure</em> 6 of 10 cells run (60%)" in html
    assert "Said of all." in html
    assert "The page one" in html
    assert "live-pages" in html
