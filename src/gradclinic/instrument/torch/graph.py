"""What PyTorch's own graph of a loss tells: where gradients end, and what the model does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gradclinic.instrument.readings import NonFinite
from gradclinic.instrument.torch.measure import all_finite, floats, kind

# Nodes whose derivative is 0 everywhere, so that all before them is lost.
FLAT = ("Round", "Floor", "Ceil", "Trunc", "Sign", "Heaviside", "Sgn", "FloorDivide")


def operation(node: Any) -> str:
    """``"sqrt"`` for ``SqrtBackward0``."""
    text = node.name().rpartition("::")[2].partition("Backward")[0]
    return text[:1].lower() + text[1:]


def nodes(roots: Iterable[torch.Tensor]) -> Iterator[Any]:
    """All nodes of a graph, each once."""
    waiting = [t.grad_fn for t in roots if t.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        for parent, _ in node.next_functions:
            if parent is not None and parent not in seen:
                seen.add(parent)
                waiting.append(parent)


@dataclass
class Facts:
    """``foreign``: parameters that the model does not have; ``flat``: sequence number and name of operations whose
    derivative is 0; ``reentrant``: whether a reentrant checkpoint hides a part of the graph."""

    foreign: int = 0
    flat: list[tuple[int, str]] = field(default_factory=list)
    reentrant: bool = False


def facts(loss: torch.Tensor, known: Iterable[torch.Tensor]) -> Facts:
    """Walk the graph of a loss once."""
    ids, found = {id(t) for t in known}, Facts()
    for node in nodes([loss]):
        name = node.name()
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.foreign += isinstance(leaf, nn.Parameter) and id(leaf) not in ids
        elif name.startswith(FLAT):
            found.flat.append((node._sequence_nr(), operation(node)))
        elif name == "CheckpointFunctionBackward":
            found.reentrant = True
    return found


class Blame:
    """Hooks on every node of a graph that find the first one to make a nan or inf out of finite gradients."""

    place: Callable[[int], str]

    def __init__(self, loss: torch.Tensor, place: Callable[[int], str]) -> None:
        """``place``: sequence number of a node -> where in the model it was made."""
        self.place, self.found = place, None
        self._handles = [
            node.register_hook(self._look(node)) for node in nodes([loss]) if not hasattr(node, "variable")
        ]
        self.found: NonFinite | None = None

    def _look(self, node: Any) -> Callable:
        # The node's number and name are taken now: a hook that held the node would keep the graph alive.
        number, name = node._sequence_nr(), operation(node)

        def hook(inputs: tuple, outputs: tuple) -> None:
            if self.found is not None:
                return
            bad = [t for t in floats(inputs) if not all_finite(t)]
            if bad and all_finite(outputs):
                self.found = NonFinite("backward", self.place(number), kind(bad[0]), f"the derivative of {name}")

        return hook

    def detach(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
