"""The instrument in ``model.fit``, where a context around it is in the way."""

from __future__ import annotations

import sys
from typing import Any

from gradclinic.instrument.callbacks import Held

if "keras" in sys.modules:  # the reader's, on whichever backend: watch() says which one it reads
    import keras
else:
    from gradclinic.tf_net import keras


class Watch(Held, keras.callbacks.Callback):
    """``model.fit(..., callbacks=[watch := Watch()])``; afterwards ``print(watch.report)``.

    Where ``fit`` raises, call :meth:`close`.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """``every`` and ``tell`` as in :func:`gradclinic.watch`."""
        keras.callbacks.Callback.__init__(self)
        Held.__init__(self, *args, **keywords)

    def on_train_begin(self, logs: Any = None) -> None:
        """Open the watch; ``fit`` has made its function by now, and takes the one with the readings instead."""
        self.open(self.model)
        model: Any = self.model
        model.make_train_function(force=True)

    def on_train_end(self, logs: Any = None) -> None:
        """Close it."""
        self.close()
