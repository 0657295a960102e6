"""The instrument in a Hugging Face ``Trainer``."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback  # pyright: ignore[reportMissingImports]  # who uses it has it

from gradclinic.instrument.callbacks import Held


class Watch(Held, TrainerCallback):
    """``Trainer(..., callbacks=[watch := Watch()])``; afterwards ``print(watch.report)``.

    ``report.losses`` are the means that the ``Trainer`` logs (every ``logging_steps``). Where ``train()`` raises, call
    :meth:`close`.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Open the watch."""
        self.open(model)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Note the loss."""
        self.note((logs or {}).get("loss"))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close it."""
        self.close()
