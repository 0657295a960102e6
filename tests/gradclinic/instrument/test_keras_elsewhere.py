"""A Keras model on another backend than TensorFlow, where TensorFlow is not installed: refused in words that help."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

ASK = """
import sys

sys.modules["tensorflow"] = None  # an import of it fails as where it is not installed
import keras
import numpy as np

import gradclinic
from gradclinic.instrument.callbacks.keras import Watch

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
x, y = np.ones((8, 4), "float32"), np.zeros(8, int)


def in_fit():
    callback = Watch()
    callback.set_model(model)
    callback.on_train_begin()


for ask in (lambda: gradclinic.probe(model, x, y), lambda: gradclinic.watch(model), in_fit):
    try:
        ask()
    except ValueError as refusal:
        print(refusal)
    else:
        raise AssertionError("not refused")
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])  # numpy itself asks for TensorFlow or JAX
def test_a_keras_model_on_another_backend_is_refused_with_the_way_out(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3
    assert len(set(said)) == 1
    assert said[0].startswith(f"model: got a Keras model on the {backend} backend")
    assert "KERAS_BACKEND=tensorflow" in said[0]
    assert ".keras" in said[0]
