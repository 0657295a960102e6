"""Some eighty architectures as people train them, written small: each as published, at its default initialisation.

``ZOO`` maps a name to a function that draws ``(model, x, y, loss)``; ``loss`` is ``None`` for softmax cross-entropy.
Every task can be learnt from its inputs. What is not written here comes from torchvision and timm where they are
installed (:func:`installed`).
"""

from architectures import convolutional, others, transformers
from architectures.installed import installed
from architectures.tasks import ZOO, Made

__all__ = ["ZOO", "Made", "convolutional", "installed", "others", "transformers"]
