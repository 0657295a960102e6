"""``gradclinic.watch`` for those whose loop is somebody else's: callbacks for Hugging Face, Lightning and Keras::

    from gradclinic.instrument.callbacks.hugging_face import Watch     # Trainer(..., callbacks=[Watch()])
    from gradclinic.instrument.callbacks.lightning import Watch        # Trainer(callbacks=[Watch()])
    from gradclinic.instrument.callbacks.keras import Watch            # model.fit(..., callbacks=[Watch()])

Each of them opens a watch when training begins and closes it when training ends. ``report`` is there meanwhile and
afterwards. Each room imports only its own library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradclinic.instrument.readings import Report, Watched

Tell = Callable[[int, Report], None]

__all__ = ["Held", "Tell"]


class Held:
    """A watch that a trainer opens and closes; what the three callbacks have in common.

    ``every`` and ``tell`` as in :func:`gradclinic.watch`. Steps are counted from 0 and are backward passes, of which a
    trainer that accumulates gradients makes several for each step of its own.
    """

    every: int
    tell: Tell | None

    def __init__(self, every: int = 10, tell: Tell | None = None) -> None:
        """Nothing is watched before training begins."""
        self.every, self.tell = every, tell
        self._watching: Any = None
        self._report: Watched | None = None

    def open(self, model: Any, tell: Tell | None = None) -> None:
        """Begin to watch ``model``; a watch that a training run which raised has left open is closed first."""
        from gradclinic.instrument import watch

        self.close()
        self._report = None
        self._watching = watch(model, every=self.every, tell=tell or self.tell).__enter__()

    def close(self) -> None:
        """Take every hook off and keep the report; without effect where nothing is watched.

        To be called by hand where training raised and its library does not tell callbacks so (Hugging Face, Keras).
        """
        if self._watching is None:
            return
        watching, self._watching = self._watching, None
        watching.__exit__(None, None, None)
        if watching.steps:
            self._report = watching.report

    def note(self, loss: Any) -> None:
        """Hand the loss of the current step to the watch."""
        if self._watching is not None and loss is not None:
            self._watching.loss(loss)

    @property
    def report(self) -> Watched:
        """What was seen so far, or in the last run. ``ValueError`` before the first training step."""
        if self._watching is not None:
            return self._watching.report
        if self._report is None:
            raise ValueError("report: got no training step yet, wanted at least one")
        return self._report
