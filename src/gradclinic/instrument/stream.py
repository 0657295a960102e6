"""Which outputs are added to which, and which normalisation reads them: topology by path, not by count."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from gradclinic.instrument.core import Call


@dataclass(slots=True)
class Node:
    """A value on its way: the call that made it, what it is a sum of, and whether it is a stream that was added to."""

    call: Call | None = None
    parents: list[Node] = field(default_factory=list)
    stream: bool = False
    claimed: bool = False


class Stream:
    """Follows values from the layers that made them, through sums and what leaves a sum a sum, to normalisations.

    Values are known by keys that the framework gives; a key must not be used again for another value.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._nodes: dict[Hashable, Node] = {}

    def made(self, key: Hashable, call: Call) -> None:
        """A layer returned this value."""
        before = self._nodes.get(key)
        self._nodes[key] = Node(call, [before] if before is not None else [], before is not None and before.stream)

    def kept(self, key: Hashable, out: Hashable, *, bent: bool = False) -> None:
        """``out`` is the value at ``key`` in another form: dropped out, moved, scaled, or ``bent`` by a function, after
        which its scale is another matter but a stream is still one."""
        node = self._nodes.get(key)
        if node is not None and key != out:
            self._nodes[out] = Node(None, [] if bent else [node], node.stream)

    def known(self, key: Hashable) -> bool:
        """Whether the value has been met."""
        return key in self._nodes

    def streams(self, key: Hashable) -> bool:
        """Whether the value is a sum, or one in another form."""
        node = self._nodes.get(key)
        return node is not None and node.stream

    def added(self, terms: tuple[Hashable, ...], out: Hashable) -> None:
        """``out`` is the sum of two values of one shape."""
        self._nodes[out] = Node(None, [self._nodes[t] for t in terms if t in self._nodes], True)

    def normalized(self, key: Hashable, rms: Any) -> None:
        """A normalisation reads this value: its rms is noted at every call that went into it since the last time."""
        waiting = [self._nodes[key]] if key in self._nodes else []
        while waiting:
            node = waiting.pop()
            if node.claimed:
                continue
            node.claimed = True
            if node.call is not None and node.call.normalized_at is None:
                node.call.normalized_at = rms
            waiting += node.parents
