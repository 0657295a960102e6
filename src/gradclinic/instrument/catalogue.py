"""The table of causes and the table of thresholds, and what is known of activation functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gradclinic import activations

# Activations that are constant on one side, so that a unit can be off for every sample of a batch.
ONE_SIDED = frozenset({"relu", "relu6", "threshold", "hardtanh", "hardsigmoid", "hardswish"})
RECURRENT = ("LSTM", "GRU", "RNN")  # parts of the names of recurrent layers
BOUNDED = frozenset({"sigmoid", "tanh", "softsign", "hardsigmoid", "hardtanh"})
# Largest slopes, for the share of saturated entries.
LARGEST_SLOPES = {name: activation.max_slope for name, activation in activations.ACTIVATIONS.items()} | {
    "hardsigmoid": 1 / 6,
    "hardswish": 1.5,
    "mish": 1.0885,
}
SLOPE_SHARE = 0.05  # a unit is saturated where its slope is below this share of the activation's largest, as in measure
LEVELLED = {"linear", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu"}  # functions with a critical sigma_w


class Kind(NamedTuple):
    """A cause as it stands in the table: what it is called and the chapter to read."""

    title: str
    page: str


KINDS = {
    "data": Kind("data that are not finite", "reproduce/measuring"),
    "parameters": Kind("weights that are not finite", "reproduce/measuring"),
    "operation": Kind("an operation outside its domain", "reproduce/measuring"),
    "foreign": Kind("layers that the model does not know", "practice/your-own-model"),
    "cut": Kind("a gradient that is cut", "why/backpropagation"),
    "zero": Kind("weights that can never move", "remedies/initialization"),
    "softmax": Kind("a softmax before a loss that has one", "practice/your-own-model"),
    "targets": Kind("targets that say nothing", "reproduce/measuring"),
    "init-small": Kind("initial weights too small", "remedies/initialization"),
    "init-large": Kind("initial weights too large", "remedies/initialization"),
    "saturation": Kind("a saturating activation", "remedies/activations"),
    "dead-units": Kind("dead units", "remedies/activations"),
    "normalization": Kind("missing normalisation", "remedies/batch-normalization"),
    "batch": Kind("batch statistics of a few samples", "remedies/batch-normalization"),
    "residual": Kind("residual branches that are not scaled", "remedies/residual"),
    "attention": Kind("attention that looks at one place", "today/attention-logits"),
    "step": Kind("step too large", "why/descent"),
    "still": Kind("weights that do not move", "why/descent"),
    "recurrence": Kind("a long way back through time", "remedies/lstm"),
    "precision": Kind("gradients below the precision", "beyond/mixed-precision"),
    "depth": Kind("a product of many factors", "why/jacobians"),
}


@dataclass(frozen=True)
class Limit:
    """A threshold: its value, and why it is not another one."""

    value: float
    reason: str


LIMITS = {
    "saturated share": Limit(0.3, "a unit Gaussian saturates 3 % of a tanh and nothing of a sigmoid"),
    "dead share": Limit(0.7, "half of a ReLU's units are off for one sample, hardly any for a whole batch"),
    "scale against critical, small": Limit(0.95, "0.95 to the 20th is 0.36: it takes depth to matter"),
    "scale against critical, large": Limit(1.05, "1.05 to the 20th is 2.7: it takes depth to matter"),
    "scale for a sigmoid, small": Limit(0.4, "below it each layer loses a factor of ten"),
    "scale for a sigmoid, large": Limit(6.0, "a slope of 1/4 needs 4 to keep level, at which units saturate"),
    "one layer against the others": Limit(50.0, "published schemes differ within a net by 1.4 times the root of depth"),
    "scale under normalisation": Limit(3.0, "twice He's 1.41; normalisation hides the scale and steps become small"),
    "scale under normalisation, small": Limit(0.08, "GPT-2's 0.02 at width 64 has 0.16; steps of Adam become large"),
    "scale under batch normalisation, small": Limit(0.15, "a tenth of He's, which convolutions are drawn by"),
    "scale of a recurrent layer, small": Limit(
        0.1, "published laws lie between 0.58 and 1.9; 0.02 at width 48 is 0.14"
    ),
    "scale of a recurrent layer, large": Limit(3.0, "the largest published law, uniform to 0.1 at width 1024, is 1.85"),
    "input rms": Limit(5.0, "standardised inputs have 1, pixels of 0 to 1 have 0.5"),
    "column spread": Limit(30.0, "columns of one unit differ by less"),
    "layers without normalisation": Limit(5, "a block of attention has four weight layers between two norms"),
    "stream growth": Limit(
        10.0, "k branches as large as the stream multiply it by 2^(k/2); branches of unit size by k"
    ),
    "growth per block": Limit(1.1, "additive growth falls below it after ten blocks"),
    "rise of the loss, plain": Limit(1e-3, "a step down the slope of its own batch that is small enough falls"),
    "rise of the loss, optimizer": Limit(0.05, "momentum, noise in the model and codes that change over"),
    "update, one step": Limit(0.3, "1e-3 is ordinary; a third of the weight cannot be a linearisation"),
    "update, in a run": Limit(0.1, "1e-3 is ordinary; held over a run a tenth forgets the weights in ten steps"),
    "update, all of a weight": Limit(1.0, "a weight that is replaced in one step keeps nothing of its initialisation"),
    "zero share of a gradient": Limit(0.2, "half precision cuts off at 6e-8"),
    "target against output": Limit(30.0, "an output layer starts within a factor of 3 of its inputs"),
    "majority": Limit(0.95, "a constant guess is then right"),
    "attention score": Limit(50.0, "exp(-50) is below the precision of float32"),
    "attention entropy": Limit(0.1, "a fresh attention spreads over nearly all places"),
    "batch for statistics": Limit(4, "the variance of a variance from n samples is 2/(n-1)"),
    "time steps": Limit(8, "shorter sequences are no long way"),
}


def limit(name: str) -> float:
    """The value of one threshold of :data:`LIMITS`."""
    return LIMITS[name].value
