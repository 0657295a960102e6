"""The stored column of *Your own model*'s comparison: what transformers' DebugUnderflowOverflow says, read again."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import gradclinic
from gradclinic.course import data

PAGE = Path(__file__).parents[2] / "book/practice/your-own-model.md"
TITLE = "# @title The network, the seven faults, and how each tool is read"


def the_page():
    """Names of the cell in which the faults are planted and the tools are read."""
    text = PAGE.read_text(encoding="utf-8")
    cell = next(cell for cell in re.findall(r"```\{code-cell\}[^\n]*\n(.*?)\n```", text, re.S) if TITLE in cell)
    names = {"np": np, "torch": torch, "nn": nn, "F": functional, "warnings": warnings, "gradclinic": gradclinic}
    threads = torch.get_num_threads()
    names["digits"] = data.digits(n_train=400)
    exec(cell.partition(TITLE)[2], names)
    torch.set_num_threads(threads)
    return names


def test_every_fault_has_its_stored_word():
    page = the_page()
    assert page["STORED"].keys() == page["FAULTS"].keys()
    assert not any(place and not alarm for alarm, place in page["STORED"].values())


def test_what_is_stored_is_what_the_library_says(capsys):
    pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
    from transformers.debug_utils import DebugUnderflowOverflow

    page = the_page()
    for fault, make in page["FAULTS"].items():
        model, alarm = make(), False
        DebugUnderflowOverflow(model)
        capsys.readouterr()
        try:
            page["loop"](model)
        except ValueError as stopped:
            alarm = "inf/nan detected" in str(stopped)
        modules = [name for name, _ in model.named_modules() if name]
        frames = [line.split() for line in capsys.readouterr().out.splitlines()]
        named = [words[0] for words in frames if len(words) == 2 and words[0] in modules]
        place = alarm and any(name.startswith(page["PLACES"]) for name in named[-1:])
        assert (alarm, place) == page["STORED"][fault], (fault, named[-1:])
