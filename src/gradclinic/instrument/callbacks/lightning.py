"""The instrument in a Lightning ``Trainer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from lightning.pytorch import Callback  # pyright: ignore[reportMissingImports]  # who uses it has it
except ImportError:  # the same library under its older name
    from pytorch_lightning import Callback  # pyright: ignore[reportMissingImports]

from gradclinic.instrument.callbacks import Held
from gradclinic.instrument.readings import Report
from gradclinic.instrument.writers import Logged


class Watch(Held, Callback):
    """``Trainer(callbacks=[watch := Watch()])``; afterwards ``print(watch.report)``.

    Without ``tell`` the readings also go to the trainer's loggers, where it has any. The module may call its parts
    without a ``forward`` of its own.
    """

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the watch."""

        def log(step: int, report: Report) -> None:
            for logger in trainer.loggers:
                Logged(logger.log_metrics)(step, report)

        self.open(pl_module, self.tell or log)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Note the loss."""
        self.note(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Close it."""
        self.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Close it where training raised."""
        self.close()
