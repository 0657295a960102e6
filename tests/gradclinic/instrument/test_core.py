"""The arithmetic of one row, from the notes that both frameworks take, and the steps of a loop."""

from __future__ import annotations

import math

import pytest

from gradclinic.instrument.core import Bend, Call, Layer, Steps, broken, first_nonfinite, reading
from gradclinic.instrument.readings import LayerReading


def test_the_readings_of_an_activation_are_those_of_one_function():
    """A layer that a ReLU reads and then a tanh: shares of two functions have no common meaning."""
    relu = Bend("relu", dead=0.5, saturated=0.25, size=3.0, entries=9)
    tanh = Bend("tanh", dead=None, saturated=0.75, size=40.0, entries=16)
    again = Bend("relu", dead=0.3, saturated=0.35, size=4.0, entries=16)
    layer = Layer("fc", "Linear", [Call([2.0], 4, [0], bends=[relu, tanh]), Call([2.0], 4, [0], bends=[again])])
    found = reading(layer, batch=1)
    assert found.function == "relu"
    assert found.dead == pytest.approx(0.4)
    assert found.saturated == pytest.approx(0.3)
    assert found.activation == pytest.approx(1.0)  # sqrt(3^2 + 4^2) over sqrt(9 + 16)
    assert found.output == pytest.approx(1.0)  # sqrt(2^2 + 2^2) over sqrt(4 + 4)


def test_norms_are_taken_of_all_parts_and_the_scale_of_the_loss_is_divided_out():
    """Two weight matrices of 2 and 7 units, two calls, a batch of 4 and a loss that was multiplied by 8."""
    calls = [
        Call([1.0], 3, [2, 0], dtype="float16", deltas=[24.0], bad_deltas=[1]),
        Call([2.0], 2, [3], dtype="float32", deltas=[24.0, 32.0], bad_deltas=[0, 4]),
    ]
    layer = Layer(
        "fc", "Linear", calls,
        weights=[6.0, 8.0], matrices=[(6.0, 2), (8.0, 7)], gradients=[24.0, 32.0], bad_gradients=[5],
        changes=[0.3, 0.4], zeros=(3, 12), entries=25, surprises=[(8.0, 3), (10.0, 5)], shared_with=("other",),
        unread="why",
    )  # fmt: skip
    found = reading(layer, batch=4, scale=8.0)
    assert found.output == found.activation == pytest.approx(1.0)  # sqrt(1 + 4) over sqrt(3 + 2)
    assert found.steps == pytest.approx((6.0, 10.0))  # sqrt(4) * 24 / 8, sqrt(4) * 40 / 8
    assert found.delta == pytest.approx(math.sqrt((36 + 100) / 2))
    assert found.weight_gradient == pytest.approx(40 / 8)
    assert found.weight == pytest.approx(10.0)
    assert found.weight_scale == pytest.approx(10 / 3)  # over the root of 2 + 7 units
    assert found.update == pytest.approx(0.05)
    assert found.zero_gradient == pytest.approx(0.25)
    assert found.adam_rms == pytest.approx(1.5)  # sqrt((8 + 10) / (3 + 5))
    assert (found.nonfinite, found.nonfinite_gradient, found.calls) == (5, 10, 2)
    assert (found.matrix, found.frozen, found.gain) == (True, False, None)
    assert (found.dtype, found.shared_with, found.unread) == ("float16", ("other",), "why")


def test_what_a_layer_lacks_is_none():
    bare = reading(Layer("act", "ReLU", [Call([], 0, [])]), batch=4)
    assert {bare.activation, bare.output, bare.delta, bare.weight_gradient, bare.weight, bare.update} == {None}
    assert {bare.weight_scale, bare.dead, bare.saturated, bare.zero_gradient, bare.gain, bare.adam_rms} == {None}
    assert (bare.normalized_at, bare.function, bare.steps) == (None, None, ())
    assert (bare.nonfinite, bare.nonfinite_gradient) == (0, 0)
    assert reading(Layer("never", "Linear", []), batch=4).dtype == ""
    note = Call([], 0, [])  # of a call of which nothing more is known
    assert (note.deltas, note.bad_deltas, note.bends, note.followed) == ([], [], [], False)


def test_one_call_has_no_steps_and_steps_in_time_come_first():
    once = Layer("fc", "Linear", [Call([1.0], 1, [0], deltas=[3.0])])
    assert reading(once, batch=4).delta == pytest.approx(6.0)
    assert reading(once, batch=4).steps == ()
    once.steps = [1.0, 2.0]
    assert reading(once, batch=4, scale=2.0).steps == pytest.approx((1.0, 2.0))


def test_gains_are_read_of_weights_that_are_no_matrix():
    norm = Layer("norm", "LayerNorm", [], weights=[6.0], matrix=False, entries=9)
    assert reading(norm, batch=1).gain == pytest.approx(2.0)
    assert reading(Layer("norm", "LayerNorm", [], matrix=False, entries=9), batch=1).gain is None
    assert reading(Layer("norm", "LayerNorm", [], weights=[6.0], matrix=False), batch=1).gain is None


def test_a_normalisation_is_noted_by_its_root_mean_square_over_calls():
    calls = [Call([1.0], 1, [0], normalized_at=at) for at in (1.0, None, 7.0)]
    assert reading(Layer("fc", "Linear", calls), batch=1).normalized_at == pytest.approx(5.0)


def test_gates_are_read_where_no_activation_follows():
    calls = [Call([1.0], 1, [0], gates=share) for share in (0.2, None, 0.4)]
    assert reading(Layer("rnn", "LSTM", calls), batch=1).saturated == pytest.approx(0.3)
    calls[0].bends = [Bend("tanh", None, 0.9, 1.0, 1)]
    assert reading(Layer("rnn", "LSTM", calls), batch=1).saturated == pytest.approx(0.9)


def test_slopes_at_what_is_not_finite_say_nothing():
    call = Call([math.inf], 1, [1], bends=[Bend("relu", 0.5, 0.5, math.inf, 1)], gates=0.5)
    found = reading(Layer("fc", "Linear", [call]), batch=1)
    assert (found.dead, found.saturated, found.activation) == (None, None, math.inf)
    call.bends = []
    assert reading(Layer("fc", "Linear", [call]), batch=1).saturated is None


@pytest.mark.parametrize(
    ("weights", "changes", "frozen", "wanted"),
    [
        ([2.0], [1.0], False, 0.5),
        ([2.0], [1.0], True, None),
        ([2.0], None, False, None),
        ([], [1.0], False, None),
        ([0.0], [1.0], False, math.inf),
        ([0.0], [0.0], False, 0.0),
    ],
)
def test_an_update_is_measured_against_the_weight(weights, changes, frozen, wanted):
    layer = Layer("fc", "Linear", [], weights=weights, changes=changes, frozen=frozen)
    assert reading(layer, batch=1).update == wanted


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, False),
        ({"weights": [1.0, math.nan]}, True),
        ({"bad_gradients": [0, 1]}, True),
        ({"calls": [Call([1.0], 1, [0, 2])]}, True),
        ({"calls": [Call([1.0], 1, [0], bad_deltas=[0, 1])]}, True),
    ],
)
def test_a_step_is_broken_by_anything_that_is_not_finite(changed, wanted):
    fixed = {"weights": [1.0], "bad_gradients": [0], "calls": [Call([1.0], 1, [0], bad_deltas=[0])]}
    layers = [Layer(name, "Linear", **fixed) for name in "ab"]
    for key, value in changed.items():
        setattr(layers[1], key, value)
    assert broken(layers) is wanted


def whole(name, **changed):
    return LayerReading(name, "Linear", **({"weight": 1.0, "output": 1.0, "delta": 1.0} | changed))


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ({}, {}, None),
        ({}, {"weight": math.nan}, ("parameter", "b", "nan")),
        ({"weight": math.inf}, {"nonfinite_gradient": 1}, ("parameter", "a", "inf")),
        ({"weight": None}, {}, None),
        ({"nonfinite": 1, "output": math.inf}, {}, None),  # a mask of -inf: the gradient is whole
        ({"nonfinite": 1, "output": math.inf}, {"nonfinite_gradient": 1}, ("forward", "a", "inf")),
        ({"nonfinite": 1, "output": None}, {"nonfinite_gradient": 1}, ("forward", "a", "nan")),
        (
            {"nonfinite_gradient": 1, "delta": math.nan},
            {"nonfinite_gradient": 1, "delta": math.inf},
            ("backward", "b", "inf"),  # the backward pass begins at the output
        ),
        ({"nonfinite_gradient": 1, "delta": math.nan}, {}, ("backward", "a", "nan")),
    ],
)
def test_where_numbers_first_left_the_finite_ones(first, second, wanted):
    found = first_nonfinite([whole("a", **first), whole("b", **second)])
    assert (None if found is None else (found.stage, found.name, found.kind)) == wanted


def test_steps_of_a_loop():
    """One step in three is read; what lies between two beginnings is one step."""
    steps = Steps(every=3)
    read = []
    for _ in range(7):
        assert steps.begins()
        assert not steps.begins()  # a second forward pass of the same step
        assert not steps.back
        steps.returned()
        assert steps.back
        read.append(steps.due)
        steps.close()
    assert read == [True, False, False, True, False, False, True]
    assert (steps.count, steps.open, steps.back) == (7, False, False)
    steps.alarm = True
    assert steps.due


def test_a_loop_that_moves_other_weights_in_turn_is_read_for_as_many_steps():
    steps = Steps(every=10, count=11)
    assert not steps.due
    steps.widen()
    assert [Steps(10, count, width=steps.width).due for count in range(9, 14)] == [False, True, True, False, False]
    steps.count = 13
    steps.widen()
    assert steps.width == 4
    steps.count = 12
    steps.widen()
    assert steps.width == 4  # never narrower
    steps.count = 14
    steps.widen()
    assert steps.width == 4  # nor wider than four
