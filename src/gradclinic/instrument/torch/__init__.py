"""The instrument for any PyTorch module: one batch (:func:`probe`) or a training run (:class:`Watching`).

PyTorch's own means are used and nothing in the model is replaced: forward hooks see what each module hands on, tensor
hooks see the gradient that comes back to it, and a ``TorchFunctionMode`` sees the functions in between, so that
``torch.relu(x)`` inside a reader's ``forward`` counts like ``nn.ReLU``. Tensor hooks are set before an in-place
activation can overwrite the tensor; PyTorch then gives them the gradient of the value before it was overwritten.
"""

from gradclinic.instrument.torch.probe import probe
from gradclinic.instrument.torch.watch import Watching

__all__ = ["Watching", "probe"]
