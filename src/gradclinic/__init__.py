"""The science behind the course: gradients, derivations and the instrument that measures them.

``import gradclinic`` loads nothing else. A module is loaded when it is first used, ``gradclinic.chain`` or
``from gradclinic import chain``, and a framework only by the module that bears its name. The two functions for a
reader's own model, ``gradclinic.probe`` and ``gradclinic.watch``, stand at the top and are loaded in the same way.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradclinic.instrument import Report, Watched, probe, watch

__version__ = "0.2.0"

INSTRUMENT = ("Report", "Watched", "probe", "watch")
MODULES = (
    "activations",
    "chain",
    "clip",
    "course",
    "gated",
    "init",
    "instrument",
    "measure",
    "numpy_net",
    "plots",
    "precision",
    "pretrain",
    "resnet",
    "spec",
    "tf_net",
    "theory",
    "torch_net",
    "transformer",
)

__all__ = ["Report", "Watched", "__version__", "probe", "watch"]


def __getattr__(name: str) -> object:
    """Import the module of that name, or the instrument that has it, on first use (PEP 562)."""
    if name in INSTRUMENT:
        return getattr(importlib.import_module(f"{__name__}.instrument"), name)
    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is here and what can be loaded, for completion."""
    return sorted({*globals(), *MODULES, *INSTRUMENT})
