"""Notebooks as the judge holds them: nbformat's shape without nbformat, which takes a second of a judge's start."""

from __future__ import annotations

from typing import Any


class Node(dict):
    """A dict whose keys are attributes too, like `nbformat.NotebookNode`."""

    def __getattr__(self, name: str) -> Any:
        """Return the value of a key."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    __setattr__ = dict.__setitem__


def node(data: Any) -> Any:
    """Return JSON's data, or a notebook of nbformat's, as fresh nodes all the way down."""
    if isinstance(data, dict):
        return Node({key: node(value) for key, value in data.items()})
    return [node(value) for value in data] if isinstance(data, list) else data


def notebook(cells: list[Node], metadata: dict | None = None) -> Node:
    """Return a notebook. Format 4.4 has no cell ids, so the same cells give the same bytes."""
    cells = [{key: value for key, value in part.items() if key != "id"} for part in cells]
    return node({"cells": cells, "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 4})


def cell(kind: str, source: str, metadata: dict | None = None, more: dict | None = None) -> Node:
    """Return a cell; kind: `code` or `markdown`; more: other keys, attachments for one."""
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return node({"cell_type": kind, "metadata": metadata or {}, "source": source} | extra | (more or {}))
