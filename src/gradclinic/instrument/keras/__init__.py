"""The instrument for any Keras model on TensorFlow: one batch (:func:`probe`) or a training run (:class:`Watching`).

Keras has no hooks. While a batch is being measured, each layer of the model gets an instance attribute ``call`` that
shadows its method and notes what the layer returns; activations that a layer carries itself (``Dense(8, "tanh")``)
are wrapped in the same way, so that delta is taken before them. The gradient of every note is then asked of the same
``GradientTape`` as the gradient of the weights. All of it works on symbolic tensors too, which is how a compiled
training step can be measured without running it twice.
"""

from gradclinic.instrument.keras.probe import probe
from gradclinic.instrument.keras.watch import Watching

__all__ = ["Watching", "probe"]
