"""What ``gradclinic.watch`` costs: time of a training step under observation over that of the bare step, in one run.

    python benchmarks/watch.py

Ten layers of width 256, batch 128. Bare and watched steps are timed in turns, one thread, so that a busy machine slows
both alike; the median of the turns counts.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ratios import store
from torch import nn
from torch.nn import functional

import gradclinic
from gradclinic.tf_net import keras, tf

WIDTH, DEPTH, BATCH, STEPS, TURNS = 256, 10, 128, 50, 15


def torch_steps() -> tuple[nn.Module, Callable[[], None]]:
    """A PyTorch model and a function that trains it for ``STEPS`` steps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    parts = [part for _ in range(DEPTH - 1) for part in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    model = nn.Sequential(*parts, nn.Linear(WIDTH, 10))
    for part in model[::2]:
        nn.init.kaiming_normal_(part.weight)  # PyTorch's default vanishes, and subnormal numbers are slow
    x, y = torch.randn(BATCH, WIDTH), torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def train() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return model, train


def keras_steps() -> tuple[keras.Model, Callable[[], None]]:
    """The same in Keras, by ``fit``."""
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(WIDTH, "relu", kernel_initializer="he_normal") for _ in range(DEPTH - 1)]
    model = keras.Sequential([keras.Input((WIDTH,)), *hidden, keras.layers.Dense(10)])
    model.compile(keras.optimizers.SGD(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(BATCH * STEPS, WIDTH)).astype("float32"), rng.integers(0, 10, BATCH * STEPS)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    return model, lambda: model.fit(batches, shuffle=False, verbose=0)


def ratio(make: Callable[[], tuple[Any, Callable[[], None]]], every: int) -> float:
    """Median over the turns of watched over bare; the watched model is a second one, warm as the first."""
    (_, bare), (model, watched) = make(), make()
    ratios = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(gradclinic.watch(model, every=every))
        for turn in range(TURNS + 1):
            seconds = []
            for run in (bare, watched):
                start = time.process_time()
                run()
                seconds.append(time.process_time() - start)
            if turn:  # the first turn compiles and warms up
                ratios.append(seconds[1] / seconds[0])
    return float(np.median(ratios))


def measure() -> dict[str, float]:
    """Ratio of a watched to a bare step, by framework and by how often a step is sampled."""
    ratios = {
        f"{name}, every {every} steps": ratio(make, every)
        for name, make in {"PyTorch": torch_steps, "Keras, fit": keras_steps}.items()
        for every in (10, 100)
    }
    return {"bare": 1.0} | ratios


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    found = measure()
    store({"a training step watched, ten layers of width 256, batch 128": found})
    for name, value in found.items():
        print(f"{name:28} {value:.3f}")
