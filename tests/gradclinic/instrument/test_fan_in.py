"""The fan-in that a weight is read with is the number of inputs that one output unit sums: counted, not looked up.

With all weights 1 and an input of ones, an inner output is that number.
"""

import keras
import numpy as np
import pytest
import torch
from torch import nn

from gradclinic.instrument.keras.measure import units_of as keras_units
from gradclinic.instrument.torch.rows import units_of as torch_units

SIDE = 9  # the middle of so many places sees the whole kernel


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(4, 6, bias=False),
        nn.Conv1d(4, 6, 3, bias=False),
        nn.Conv1d(4, 6, 3, groups=2, bias=False),
        nn.ConvTranspose1d(4, 6, 3, bias=False),
        nn.ConvTranspose1d(4, 6, 3, groups=2, bias=False),
    ],
    ids=lambda layer: str(layer),
)
def test_fan_in_of_a_torch_layer_is_what_one_output_sums(layer):
    nn.init.ones_(layer.weight)
    x = torch.ones(1, 4) if isinstance(layer, nn.Linear) else torch.ones(1, 4, SIDE)
    out = layer(x)
    summed = out.flatten()[0] if isinstance(layer, nn.Linear) else out[0, 0, out.shape[-1] // 2]
    assert layer.weight.numel() / torch_units(layer, layer.weight, layer.weight.shape, 4) == summed.item()


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dense(6, use_bias=False, kernel_initializer="ones"),
        keras.layers.Conv2D(6, 3, use_bias=False, kernel_initializer="ones"),
        keras.layers.Conv2D(6, 3, groups=2, use_bias=False, kernel_initializer="ones"),
        keras.layers.Conv2DTranspose(6, 3, use_bias=False, kernel_initializer="ones"),
        keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, depthwise_initializer="ones"),
    ],
    ids=["dense", "convolution", "groups", "transposed", "depthwise"],
)
def test_fan_in_of_a_keras_layer_is_what_one_output_sums(layer):
    dense = isinstance(layer, keras.layers.Dense)
    out = np.asarray(layer(np.ones((1, 4) if dense else (1, SIDE, SIDE, 4), "float32")))
    summed = out[0, 0] if dense else out[0, out.shape[1] // 2, out.shape[2] // 2, 0]
    (kernel,) = layer.weights
    assert np.prod(kernel.shape) / keras_units(layer, kernel) == summed
