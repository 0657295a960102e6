"""The science behind the course: gradients, derivations and the instrument that measures them.

``import gradlab`` loads nothing else. A module is loaded when it is first used, ``gradlab.chain`` or
``from gradlab import chain``, and a framework only by the module that bears its name. The two functions for a reader's
own model, ``gradlab.probe`` and ``gradlab.watch``, stand at the top and are loaded in the same way.
"""

import importlib
import importlib.util

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the module of that name on first use (PEP 562)."""
    if name in ("probe", "watch"):
        return getattr(importlib.import_module(f"{__name__}.instrument"), name)
    if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
