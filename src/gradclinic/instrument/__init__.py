"""``gradclinic.probe`` and ``gradclinic.watch``: the instrument for a reader's own model, in PyTorch or Keras.

Which framework a model belongs to is read off its class, so that the other one is never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from gradclinic.instrument.readings import Report, Watched

__all__ = ["Report", "Watched", "probe", "watch"]


def _framework(model: object) -> str:
    """``"torch"`` or ``"keras"``, by where the classes that ``model`` inherits from were defined.

    ``ValueError`` for a Keras model on another backend than TensorFlow. Keras has been imported by then, and says which
    it is on; TensorFlow, which may not be installed there, is not.
    """
    origins = {(base.__module__.partition(".")[0], base.__name__) for base in type(model).__mro__}
    if ("keras", "Model") in origins:
        backend = sys.modules["keras"].backend.backend()
        if backend != "tensorflow":
            raise ValueError(
                f"model: got a Keras model on the {backend} backend, which the instrument does not read: its Keras part"
                " takes gradients with TensorFlow; wanted one on the tensorflow backend (KERAS_BACKEND=tensorflow in"
                " the environment before Keras is imported; a model saved as .keras loads there, weights included), or"
                " a plain torch.nn.Module"
            )
        return "keras"
    if ("torch", "Module") in origins:
        return "torch"
    raise TypeError(f"model: got {type(model).__name__}, wanted a torch.nn.Module or a keras.Model")


def probe(
    model: Any,
    x: Any,
    y: Any = None,
    loss: Callable[[Any, Any], Any] | None = None,
    *,
    lr: float | None = None,
    optimizer: Any = None,
) -> Report:
    """Send one batch through ``model``, forward and backward, and report on every layer.

    ``model``: any ``torch.nn.Module`` or ``keras.Model``. ``x``, ``y``: arrays or tensors, or tuples, lists and dicts
    of them, as the model and the loss take them. ``loss(output, y)``: the batch mean as a scalar of the framework;
    ``None`` means the loss that a Keras model was compiled with, else softmax cross-entropy on logits for integer
    ``y`` and half the squared error per sample for float ``y``. ``lr`` or ``optimizer``: what a step would be; the
    optimizer is copied, never stepped. Without either, updates are given for plain gradient descent at ``lr = 1``.

    A PyTorch module runs in the mode it is in, a Keras model with ``training=True``. Afterwards mode, hooks, gradients,
    buffers, parameters, random states and the optimizer are as before. Raises ``TypeError`` and ``ValueError`` naming
    the argument, also for a Keras model on another backend than TensorFlow; an exception in the model or the loss
    passes through.

    >>> import torch
    >>> import gradclinic
    >>> model = torch.nn.Sequential()
    >>> for _ in range(10):
    ...     _ = model.extend([torch.nn.Linear(8, 8), torch.nn.Sigmoid()])
    >>> x, y = torch.randn(32, 8), torch.zeros(32, dtype=torch.long)
    >>> report = gradclinic.probe(model, x, y)
    >>> report.verdict, len(report.layers)
    ('vanishing', 10)
    """
    if _framework(model) == "torch":
        from gradclinic import torch_net
        from gradclinic.instrument import torch as torch_probe

        return torch_probe.probe(model, x, y, loss, fallback=torch_net.loss_function, lr=lr, optimizer=optimizer)
    from gradclinic import tf_net
    from gradclinic.instrument import keras as keras_probe

    return keras_probe.probe(model, x, y, loss, fallback=tf_net.loss_function, lr=lr, optimizer=optimizer)


def watch(
    model: Any,
    every: int = 10,
    optimizer: Any = None,
    lr: float | None = None,
    tell: Callable[[int, Report], None] | None = None,
) -> Any:
    """Watch a training run: a context manager around the reader's own loop, or around ``model.fit``::

        with gradclinic.watch(model) as run:
            for x, y in batches:
                ...                         # the loop as it was
                run.loss(value)             # optional
        print(run.report)

    A step is one backward pass through the model (in Keras one ``train_step``, however many tapes it has: the two
    losses of a GAN are two steps in PyTorch and one in Keras, where delta counts what came back from both); steps 0,
    ``every``, ``2 every``, ... are read layer by layer, and the step after numbers first stopped being finite.
    ``update`` is what really happened to the weights until the next forward pass; with ``optimizer``, what its own
    next step did (needed where gradients are accumulated over several backward passes); with ``lr``, what plain
    gradient descent of that step size would do.

    ``tell(step, report)`` is called for each sampled step as soon as it is over: ``tell=lambda step, report:
    print(report.verdict)``, or one of :mod:`gradclinic.instrument.writers`.

    PyTorch: hooks, on sampled steps only. A model that is compiled as a whole shows weights, their gradients and
    updates, no activations and no delta; shards (FSDP) have neither gradients nor updates here; where several processes
    train together (DDP), weight gradients are the averages that the optimizer is given, delta is this process's.
    Keras: ``fit``, ``train_on_batch`` and loops with a ``GradientTape`` run eagerly; a loop inside the reader's own
    ``tf.function`` is compiled once and cannot be read, unless ``tf.config.run_functions_eagerly(True)``.

    In PyTorch a hook never raises into the reader's loop: what cannot be read stands in ``report.notes``. What a
    ``GradScaler`` multiplies the loss by is divided out, and a step that it skips is no fault of the run. Where Keras
    scales a loss (``LossScaleOptimizer``) delta and weight gradients are those of the scaled loss; ratios, verdict and
    ``update`` are not affected.

    Raises ``TypeError`` and ``ValueError`` naming the argument; ``run.report`` raises ``ValueError`` where no step ran.

    >>> import torch
    >>> import gradclinic
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
    ... )
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> x, y = torch.randn(32, 8), torch.zeros(32, dtype=torch.long)
    >>> with gradclinic.watch(model, every=5) as run:
    ...     for _ in range(20):
    ...         optimizer.zero_grad()
    ...         loss = torch.nn.functional.cross_entropy(model(x), y)
    ...         loss.backward()
    ...         optimizer.step()
    ...         run.loss(loss)
    >>> run.report.steps, run.report.verdict
    ((0, 5, 10, 15), 'healthy')
    """
    if isinstance(every, bool) or not isinstance(every, int):
        raise TypeError(f"every: got {every!r}, wanted a positive integer")
    if tell is not None and not callable(tell):
        raise TypeError(f"tell: got {type(tell).__name__}, wanted a function tell(step, report)")
    if every < 1:
        raise ValueError(f"every: got {every}, wanted a positive integer")
    if _framework(model) == "torch":
        from gradclinic.instrument import torch as torch_probe

        return torch_probe.Watching(model, every, optimizer, lr, tell=tell)
    from gradclinic.instrument import keras as keras_probe

    return keras_probe.Watching(model, every, optimizer, lr, tell=tell)
