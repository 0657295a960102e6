"""Readings are plain data: what they say where nothing is known, what is derived from them, and in which words."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from gradclinic.instrument import tensors
from gradclinic.instrument.readings import (
    Addition,
    Attention,
    Cause,
    LayerReading,
    NonFinite,
    Report,
    TensorReading,
    Watched,
    decades,
    median,
)
from gradclinic.instrument.tensors import ENTRIES, neighbour_agreement, read_tensor, sampled

LAYER = LayerReading("a", "Linear", delta=2.0, weight_gradient=0.5, weight=3.0)
TENSOR = TensorReading("x", (4, 2), "float32", 0.25, 1.0, -1.0, 2.0)
REPORT = Report("PyTorch", (LAYER,), 4)


@pytest.mark.parametrize(
    "record",
    [
        LAYER,
        TENSOR,
        Addition("", 1.0, 1.0, 1.0),
        Attention("", 1.0, 1.0),
        NonFinite("loss", "", "nan"),
        Cause("", "", "", ""),
        REPORT,
        Watched((0,), (REPORT,), 1),
    ],
)
def test_a_reading_cannot_be_changed(record):
    with pytest.raises(FrozenInstanceError):
        setattr(record, next(iter(vars(record))), None)


def test_of_a_layer_of_which_nothing_is_known():
    bare = LayerReading("a", "Linear")
    assert (bare.nonfinite, bare.nonfinite_gradient, bare.calls, bare.matrix, bare.frozen) == (0, 0, 1, True, False)
    made = Report("PyTorch", (), 4)
    assert (made.lr, made.assumed, made.foreign, made.skipped) == (1.0, True, 0, False)
    assert math.isnan(made.loss)
    assert not TENSOR.probabilities
    assert TENSOR.nonfinite == 0


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "read"),
        ({"frozen": True}, "frozen"),
        ({"frozen": True, "delta": None, "unread": "compiled"}, "frozen"),
        ({"delta": None, "unread": "compiled"}, "not read"),
        ({"unread": "in part"}, "read"),
        ({"delta": None}, "read"),
        ({"weight_gradient": None}, "read"),
        ({"delta": None, "weight_gradient": None}, "cut"),
        ({"weight_gradient": 0.0}, "zero"),
        ({"delta": 0.0}, "read"),  # the weight's own gradient decides
        ({"weight_gradient": None, "delta": 0.0}, "zero"),
    ],
)
def test_what_is_known_of_a_gradient(changes, state):
    assert replace(LAYER, **changes).state == state


def test_deltas_are_compared_at_the_scale_that_a_normalisation_takes_away():
    assert LAYER.judged == 2.0
    assert replace(LAYER, normalized_at=3.0).judged == 6.0
    assert replace(LAYER, normalized_at=3.0, delta=None).judged is None
    assert replace(LAYER, kind="BatchNorm2d").normalizes
    assert not LAYER.normalizes


def test_a_tensor_in_words():
    assert str(TENSOR) == "x: (4, 2) float32, mean 0.25, rms 1, -1 to 2"
    assert str(replace(TENSOR, column_spread=10.0)) == str(TENSOR)
    assert str(replace(TENSOR, column_spread=10.5)).endswith("largest column 10.5 times the median one")
    assert str(replace(TENSOR, constant=2)).endswith(", 2 constant columns")
    assert str(replace(TENSOR, constant=0)) == str(TENSOR)
    assert "ENTRIES" not in str(TENSOR)
    labels = replace(TENSOR, classes=3, low=0.0, high=2.0)
    assert str(labels) == "x: (4, 2) float32, 0 to 2, 3 values"
    assert str(replace(labels, majority=0.5)) == "x: (4, 2) float32, 0 to 2, 3 values, most frequent 50%"


def test_where_numbers_left_the_finite_ones_in_words():
    for stage, words in {
        "input": "in the input a",
        "target": "in the target a",
        "parameter": "in the parameter a",
        "forward": "in the forward pass, at a",
        "loss": "in the loss",
        "backward": "in the backward pass, at a",
    }.items():
        assert str(NonFinite(stage, "a", "inf")) == f"first inf {words}"
    assert str(NonFinite("loss", "", "nan", "log")) == "first nan in the loss, made by log"
    assert str(Cause("still", "title", "evidence", "why/descent")) == "title: evidence (read why/descent)"


def test_a_report_is_shown_where_its_name_is_typed_and_saved_as_it_is(tmp_path):
    run = Watched((0,), (REPORT,), 1)
    assert repr(REPORT) == str(REPORT)
    assert repr(run) == str(run)
    text = REPORT.save(tmp_path / "report.json").read_text()
    assert text.splitlines()[1] == ' "verdict": "healthy",'
    assert json.loads(text) == REPORT.to_dict()


def test_causes_are_silenced_once_each():
    assert REPORT.silence("step", "data", "step").silence("data", "still").silenced == ("step", "data", "still")


def test_columns_and_the_profile_of_a_report():
    norm, blind = replace(LAYER, name="n", matrix=False), replace(LAYER, name="b", delta=None)
    made = Report("PyTorch", (LAYER, norm, blind, replace(LAYER, name="c", weight_gradient=None)), 4, loss=7.0)
    np.testing.assert_array_equal(made.delta, [2.0, 2.0, math.nan, 2.0])
    np.testing.assert_array_equal(made.weight_gradient, [0.5, 0.5, 0.5, math.nan])
    assert made.profile.names == ("a", "c")
    assert made.profile.weight.tolist() == [0.5, 0.0]
    assert made.profile.loss == 7.0
    assert (made.names, made.kinds) == (("a", "n", "b", "c"), ("Linear",) * 4)


def test_a_run_is_the_table_of_its_reports():
    later = Report("PyTorch", (replace(LAYER, delta=0.02), replace(LAYER, name="b", delta=None)), 4)
    run = Watched((0, 5), (REPORT, later), 6, clipped=(3, 4))
    assert run.names == ("a", "b")
    np.testing.assert_array_equal(run.column("delta"), [[2.0, math.nan], [0.02, math.nan]])
    assert run.trend["a"] == pytest.approx(-2.0)
    assert math.isnan(run.trend["b"])
    assert run.clipped_share == 0.75
    assert Watched((0,), (REPORT,), 1).clipped_share is None
    ill = replace(REPORT, first_nonfinite=NonFinite("loss", "", "nan"))
    assert Watched((0, 1, 2), (REPORT, REPORT, ill), 3).verdict == "non-finite"
    assert Watched((0, 1, 2), (REPORT, ill, REPORT), 3).verdict == "healthy"
    assert Watched((0,), (REPORT,), 1, nonfinite_step=0).verdict == "non-finite"
    frame = run.to_frame()
    assert frame["step"].tolist() == [0, 5, 5]
    assert frame["name"].tolist() == ["a", "a", "b"]
    assert run.to_dict()["reports"][1]["layers"][1]["delta"] is None
    assert run.to_dict()["trend"]["b"] == "nan"


def test_numbers_of_numpy_become_plain_ones():
    made = replace(REPORT, layers=(replace(LAYER, delta=np.float64(2.0), calls=np.int64(3)),), loss=np.float32("inf"))
    data = made.to_dict()
    assert type(data["layers"][0]["delta"]) is float
    assert type(data["layers"][0]["calls"]) is int
    assert data["loss"] == "inf"


def test_medians_and_powers_of_ten_are_of_what_was_measured():
    assert median([None, 3.0, math.inf, 1.0, math.nan, 10.0]) == 3.0
    assert median([None, math.nan]) is None
    assert median([0.0]) == 0.0
    assert decades([0.0, math.inf, 1e3, 5.0, 10.0, math.nan, 0.0]) == pytest.approx(2.0)
    assert decades([1e3, 10.0]) == pytest.approx(2.0)
    assert decades([1e3]) == decades([]) == decades([0.0, 1e3]) == 0.0


# ------------------------------------------------------------------------------------ tensors


def test_of_a_large_tensor_every_nth_entry_is_looked_at():
    for small in (np.zeros(ENTRIES), np.zeros((2, 3)), np.array(1.0)):
        assert sampled(small) is small
    assert ENTRIES == 2**20
    line = np.arange(2**20 + 1)
    np.testing.assert_array_equal(sampled(line), line[::2, None])
    wide = np.arange(2**21).reshape(4, 2, -1)
    np.testing.assert_array_equal(sampled(wide), wide.reshape(4, -1)[:, ::2])
    tall = np.arange(3 * 2**20 + 3, dtype=np.int32).reshape(-1, 3)  # more samples than are looked at
    np.testing.assert_array_equal(sampled(tall), tall.reshape(-1, 1)[::4])


def test_scales_do_not_leave_the_range_of_numbers():
    for size in (1e-200, 0.5, 1e200):
        x = size * np.array([[1.0, 2.0, 2.0], [-1.0, 2.0, -2.0]])
        reading = read_tensor("x", x)
        assert reading.rms == pytest.approx(size * math.sqrt(3))
        assert reading.column_spread == pytest.approx(1.0)
        assert (reading.low, reading.high) == (-2 * size, 2 * size)
        assert reading.constant == 1
    nothing = read_tensor("x", np.zeros((2, 3)))
    assert (nothing.rms, nothing.mean, nothing.column_spread, nothing.constant) == (0.0, 0.0, 0.0, 3)


def test_the_largest_column_against_the_median_of_those_that_are_not_all_zero():
    x = np.array([[0.0, 0.0, 0.0, 1.0, 2.0, 30.0], [0.0, 0.0, 0.0, -1.0, -2.0, -30.0]])
    assert read_tensor("x", x).column_spread == pytest.approx(15.0)


def test_columns_are_read_of_several_whole_samples():
    for x in (np.array([[1.0, 2.0]]), np.array([1.0, 2.0]), np.array([[1.0, np.nan], [1.0, 2.0]]), np.zeros((2, 0))):
        reading = read_tensor("x", x)
        assert (reading.constant, reading.column_spread, reading.probabilities) == (None, None, False)
    assert read_tensor("x", np.array([[1.0, 2.0], [1.0, 3.0]])).constant == 1
    assert read_tensor("x", np.ones((2, 3, 4))).constant == 12


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([[0.2, 0.8], [1.0, 0.0]], True),
        ([[0.2, 0.8009], [1.0, 0.0]], True),
        ([[0.2, 0.8011], [1.0, 0.0]], False),
        ([[0.2, 0.7989], [1.0, 0.0]], False),
        ([[-0.2, 1.2], [1.0, 0.0]], False),
        ([[1.0], [1.0]], False),
        ([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]], True),
        ([[[0.2], [0.8]], [[1.0], [0.0]]], False),
    ],
)
def test_rows_of_probabilities(rows, wanted):
    assert read_tensor("x", np.array(rows)).probabilities is wanted


def test_labels_and_complex_numbers():
    for kind in ("int64", "uint8", "bool"):
        reading = read_tensor("y", np.array([0, 1, 1, 1], kind))
        assert (reading.classes, reading.majority, reading.dtype) == (2, 0.75, kind)
    assert read_tensor("y", np.zeros(0, int)).classes is None
    assert read_tensor("y", np.array([1.0, 1.0])).classes is None
    assert read_tensor("z", np.array([3 + 4j])).rms == pytest.approx(5.0)
    part = read_tensor("x", np.ones((2, 3)), shape=(200, 3))
    assert part.shape == (200, 3)
    assert read_tensor("x", np.array([1.0, np.nan, np.inf])).nonfinite == 2


def clusters(samples, classes, width=4, seed=0):
    """Samples near one point for each class, in turn."""
    y = np.arange(samples) % classes
    points = 10 * np.random.default_rng(seed).normal(size=(classes, width))
    return points[y] + 0.01 * np.random.default_rng(seed + 1).normal(size=(samples, width)), y


def test_how_many_samples_a_comparison_of_neighbours_needs():
    for samples, classes, told in ((32, 2, True), (31, 2, False), (32, 8, True), (35, 9, False), (32, 1, False)):
        assert (neighbour_agreement(*clusters(samples, classes)) is not None) == told, (samples, classes)
    x, y = clusters(40, 4)
    assert neighbour_agreement(x, y) == (1.0, pytest.approx(0.25))
    assert neighbour_agreement(x.astype(int), y) is None
    assert neighbour_agreement(x[:, 0], y) is None
    assert neighbour_agreement(x, y[:39]) is None
    assert neighbour_agreement(x, np.stack([y, y], axis=1)) is None
    uneven = np.repeat([0, 1], [30, 10])
    assert neighbour_agreement(x, uneven)[1] == pytest.approx(0.75**2 + 0.25**2)


def test_the_first_samples_are_compared():
    assert tensors.NEIGHBOURS == 512
    x, y = clusters(600, 4)
    x[512:] = np.nan
    assert neighbour_agreement(x, y) == (1.0, pytest.approx(0.25))


def test_of_large_samples_every_nth_entry_is_compared():
    """10,000 entries: every third. Noise in all others drowns what a comparison of more of them would find."""
    x = 1e3 * np.random.default_rng(2).normal(size=(40, 10_000))
    x[:, ::3], y = clusters(40, 4, 3334)
    assert neighbour_agreement(x, y)[0] == 1.0


def test_images_are_compared_wherever_in_the_image_a_thing_is():
    """Waves of two frequencies, each somewhere else: neighbours of the pictures know nothing, of the spectra all."""
    rng = np.random.default_rng(3)
    y = np.arange(60) % 2
    place, at = rng.uniform(0, 2 * np.pi, (60, 1)), np.arange(16)
    wave = np.cos(2 * np.pi * np.where(y, 3, 5)[:, None] * at / 16 + place)
    assert neighbour_agreement(wave[:, None, :] * np.ones((1, 4, 1)), y)[0] == 1.0
    assert neighbour_agreement(wave[:, :, None] * np.ones((1, 1, 4)), y)[0] == 1.0
