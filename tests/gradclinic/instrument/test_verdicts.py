"""From the deltas of all layers to one word: which layers count, which ends are compared, and where the word turns."""

from __future__ import annotations

import math

import pytest

from gradclinic.instrument import verdicts
from gradclinic.instrument.readings import LayerReading


def rows(*deltas, **more):
    """A layer for each delta, the input's first."""
    fixed = {"weight_gradient": 0.1, "weight": 2.0} | more
    return [LayerReading(f"l{i}", "Linear", delta=delta, **fixed) for i, delta in enumerate(deltas)]


def layer(name="x", kind="Linear", **more):
    return LayerReading(name, kind, **({"delta": 1.0, "weight_gradient": 0.1, "weight": 2.0} | more))


NOTHING = {"delta": 0.0, "weight_gradient": 0.0}


def test_a_gradient_is_zero_by_design_only_before_a_zero_that_learns():
    silent, other = layer("silent", **NOTHING), layer("other", **NOTHING)
    for change, wanted in (
        ({"weight": 0.0}, {"silent"}),
        ({"weight": 1e-9}, set()),  # not a zero
        ({"weight": 0.0, "weight_gradient": 0.0}, set()),  # does not learn
        ({"weight": 0.0, "weight_gradient": None}, set()),
        ({"weight": 0.0, "frozen": True}, set()),
    ):
        layers = [silent, layer("read"), layer("head", **change), other]
        assert verdicts.zero_by_design(layers) == wanted, change
    last = [silent, layer("branch", weight=0.0), other, layer("head", weight=0.0)]
    assert verdicts.zero_by_design(last) == {"silent", "other"}


def test_compared_are_matrices_through_which_a_gradient_flows():
    table, norm = layer("table", "Embedding"), layer("norm", "LayerNorm", matrix=False)
    unread, dense = layer("unread", delta=None), layer("dense")
    assert verdicts.compared([table, norm, unread, dense]) == [dense]
    assert verdicts.compared([table, norm, unread]) == [table]  # nothing else is there
    silent, head = layer("silent", **NOTHING), layer("head", weight=0.0)
    assert verdicts.compared([silent, dense, head]) == [dense, head]


def test_a_small_gain_counts_where_it_scales_a_branch_and_learns():
    def gain(value, kind="LayerScale", **more):
        return layer(kind, kind, matrix=False, gain=value, **more)

    assert verdicts.smallest_gain([]) == 1.0
    assert verdicts.smallest_gain([layer(), gain(0.01), gain(1e-4), gain(1.0)]) == 1e-4
    assert verdicts.smallest_gain([gain(verdicts.SMALL)]) == 1.0  # an ordinary size
    assert verdicts.smallest_gain([gain(0.0)]) == 1.0  # nothing comes through: no factor to allow for
    assert verdicts.smallest_gain([gain(0.01, frozen=True)]) == 1.0
    assert verdicts.smallest_gain([gain(0.01, "LayerNorm")]) == 1.0


def test_an_end_is_one_layer_in_eight():
    assert verdicts.ends([]) == ([], [])
    for count, wanted in ((1, 1), (15, 1), (16, 2), (24, 3)):
        first, last = verdicts.ends(rows(*map(float, range(1, count + 1))))
        assert first == [float(i) for i in range(1, wanted + 1)]
        assert last == [float(i) for i in range(count - wanted + 1, count + 1)]


def test_where_a_stream_is_normalised_its_writers_are_the_path():
    """Compared is delta times what the normalisation takes in; layers inside a branch are left out."""
    writers = [layer(delta=d, normalized_at=s) for d, s in ((2.0, 3.0), (5.0, 2.0))]
    inside, head = layer(delta=100.0), layer(delta=7.0)
    assert verdicts.ends([inside, writers[0], inside, writers[1], head]) == ([6.0], [7.0])
    assert verdicts.ends([inside, writers[0], inside, writers[1]]) == ([6.0], [10.0])
    assert verdicts.ends([inside, writers[0], head]) == ([100.0], [7.0])  # one normalisation makes no stream


def test_a_network_of_a_few_layers_may_differ_by_one_more_power_of_ten():
    assert [verdicts.wanted_gap(rows(*[1.0] * count)) for count in (1, 5, 6, 50)] == [3.0, 3.0, 2.0, 2.0]


@pytest.mark.parametrize(("count", "decades"), [(8, 2), (4, 3)])
def test_the_word_turns_at_so_many_powers_of_ten(count, decades):
    for more, word in ((1.01, "exploding"), (0.99, "healthy")):
        assert verdicts.judge(rows(more * 10.0**decades, *[1.0] * (count - 1))) == word
        back = "vanishing" if word == "exploding" else word
        assert verdicts.judge(rows(1 / more / 10.0**decades, *[1.0] * (count - 1))) == back


def test_just_so_many_powers_of_ten_are_healthy_and_the_size_of_the_loss_does_not_matter():
    for first, word in ((1e-2, "healthy"), (1e2, "healthy"), (0.5e-2, "vanishing"), (2e2, "exploding")):
        for scale in (1.0, 2.0**-30, 2.0**30) if word != "healthy" else (1.0,):
            assert verdicts.judge(rows(first * scale, *[scale] * 7)) == word


def test_a_small_branch_is_allowed_its_own_factor():
    scaled = layer("scale", "LayerScale", matrix=False, gain=1e-2)
    assert verdicts.judge([*rows(1e-3, *[1.0] * 7), scaled]) == "healthy"
    assert verdicts.judge([*rows(0.9e-4, *[1.0] * 7), scaled]) == "vanishing"
    assert verdicts.judge([*rows(101.0, *[1.0] * 7), scaled]) == "exploding"


def test_the_largest_at_the_input_against_the_median_at_the_output():
    """Of the eighth at each end (here two and three layers): one small or one large delta inside a branch decides
    nothing."""
    assert verdicts.judge(rows(1e-9, *[1.0] * 15)) == "healthy"
    assert verdicts.judge(rows(1e-9, 1e-9, *[1.0] * 14)) == "vanishing"
    assert verdicts.judge(rows(1e9, *[1.0] * 15)) == "healthy"
    assert verdicts.judge(rows(1e9, 1e9, *[1.0] * 14)) == "exploding"
    assert verdicts.judge(rows(*[1.0] * 22, 1e9, 1.0)) == "healthy"
    assert verdicts.judge(rows(*[1.0] * 22, 1e9, 1e9)) == "vanishing"
    assert verdicts.judge(rows(*[1.0] * 14, 1e9, 1.0)) == "healthy"  # of two the smaller one


@pytest.mark.parametrize(
    ("deltas", "word"),
    [
        ([0.0] + [1.0] * 7, "vanishing"),
        ([1.0] * 7 + [0.0], "exploding"),
        ([0.0] * 8, "vanishing"),
        ([0.0, 1e9] + [1.0] * 14, "healthy"),  # one of the two at the input is silent
        ([1.0] * 3 + [math.nan] + [1.0] * 4, "non-finite"),
        ([math.inf] * 8, "non-finite"),
    ],
)
def test_zero_and_what_is_not_finite(deltas, word):
    assert verdicts.judge(rows(*deltas)) == word


def test_where_nothing_can_be_compared_a_gradient_of_any_weight_is_enough():
    gone = layer(delta=None, weight_gradient=None)
    assert verdicts.judge([]) == "vanishing"
    assert verdicts.judge([gone]) == "vanishing"
    assert verdicts.judge([gone, layer(delta=None, weight_gradient=0.0)]) == "vanishing"
    assert verdicts.judge([gone, layer(delta=None, weight_gradient=1e-9)]) == "healthy"
    assert verdicts.judge([layer(delta=None, weight_gradient=None, unread="compiled")]) == "healthy"
