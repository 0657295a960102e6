"""Every figure that follows knobs, found by looking into this folder.

``NAME.py`` has ``FIGURE``, and ``slow_grid()`` where its grid is stored in ``NAME.json``; ``NAME.js`` registers the
function that computes its points. A cell names it with hyphens: ``loss_scale.py`` is ``interactive: loss-scale``.
"""

import json
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = {
    path.stem.replace("_", "-"): import_module(f"{__name__}.{path.stem}")
    for path in sorted(FOLDER.glob("*.py"))
    if path.stem != "__init__"
}
FIGURES = {name: module.FIGURE for name, module in MODULES.items()}


def formula(name):
    """The script of one figure, which must register it by that name."""
    path = FOLDER / f"{name.replace('-', '_')}.js"
    if not path.is_file():
        raise FileNotFoundError(f"{path.name}: not found; it computes what the figure {name!r} shows")
    text = path.read_text(encoding="utf-8")
    if text.count(wanted := f"interactive.figure({json.dumps(name)}, ") != 1:
        raise ValueError(f"{path.name}: wanted {wanted}...) once, found it {text.count(wanted)} times")
    return text
