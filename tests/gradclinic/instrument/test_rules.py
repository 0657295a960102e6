"""Each rule alone: what it asks of a report, what it says, and which of two causes comes first."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from test_causes import NORM, between_norms, one, report, rows, stream, tensor

from gradclinic.instrument import causes
from gradclinic.instrument.readings import Addition, Attention, LayerReading, NonFinite, Watched


def layer(kind="Linear", name="x", **more):
    return LayerReading(name, kind, **({"activation": 1.0, "delta": 1.0, "weight": 2.0, "weight_gradient": 0.1} | more))


def signs(*args, **more):
    return causes._Signs(report(*args, **more))


def said(made, key):
    """The evidence for a cause of a report, ``None`` where it is not named."""
    return next((cause.evidence for cause in made.causes if cause.key == key), None)


def scores(made, key):
    """The scores of all causes of that key, before the first of each key is taken."""
    found = causes._Signs(made)
    return [score for rule in causes.RULES for score, cause in rule(found) if cause.key == key]


# ------------------------------------------------------------------------------------ what is read off a report


def test_layers_in_a_row_are_counted_between_normalisations():
    dense, norm, table = layer(), NORM, layer("Embedding")
    act, read = layer("ReLU", matrix=False), layer(normalized_at=1.0)
    for layers, wanted in (
        ([], 0),
        ([dense] * 4, 4),
        ([table, dense, act, dense], 2),
        ([dense, norm, dense, dense, norm, dense], 2),
        ([dense, dense, dense, norm, dense], 3),  # the longest, not the last
        ([dense, read, dense, dense], 2),  # the layer that a normalisation reads is the last of its row
        ([read, read, read], 1),
    ):
        assert causes.longest_run(layers) == wanted


def test_signs_are_of_the_layers_with_a_matrix_that_is_no_table():
    table, norm = layer("Embedding", weight_scale=50.0), layer("LayerNorm", matrix=False, weight_scale=70.0)
    found = signs((table, norm, *rows(4, weight_scale=3.0, update=0.2), layer(weight_scale=90.0, update=0.2)))
    assert [x.name for x in found.weights] == ["l0", "l1", "l2", "l3", "x"]
    assert found.hidden == found.weights[:-1]
    assert found.scale == 3.0


def test_the_function_is_the_one_that_most_layers_have():
    assert signs().function == "linear"
    three = (layer(function="relu"), layer(function="tanh"), layer(function="tanh"))
    assert signs(three).function == "tanh"


def test_a_network_is_normalised_where_hardly_a_layer_is_without():
    assert signs(between_norms()).normalized
    assert not signs().normalized
    assert signs((NORM, *rows(5))).normalized
    assert not signs((NORM, *rows(6))).normalized
    assert signs(tuple(layer(normalized_at=1.0) for _ in range(9))).normalized
    batch = between_norms("BatchNorm1d")
    assert signs(batch).batch_norm
    assert not signs(between_norms()).batch_norm
    assert not signs(batch + between_norms()).batch_norm  # half of them
    assert signs(batch + batch + between_norms()).batch_norm


def test_a_chain_has_at_most_one_skip_and_no_normalisation():
    assert signs().plain
    assert signs(additions=stream(2.0, 1)).plain
    assert not signs(additions=stream(2.0, 2)).plain
    assert signs(additions=(Addition("", 0.0, 1.0, 1.0), *stream(2.0, 1))).plain  # nothing is no stream
    assert not signs(between_norms()).plain


def test_powers_of_ten_from_end_to_end():
    table = layer("Embedding", delta=1e9)
    found = signs((table, *rows(5, 10.0)))
    assert found.gap == pytest.approx(4.0)
    layers = tuple(dataclasses.replace(x, activation=10.0**i) for i, x in enumerate(rows(5)))
    assert signs(layers).forward == pytest.approx(3.0)  # of the four hidden ones
    broken = dataclasses.replace(layers[3], nonfinite=1)
    assert signs((*layers[:2], broken, layers[4])).forward == pytest.approx(1.0)
    assert signs((NORM, *layers)).forward == 0.0  # a normalisation takes the scale away
    assert signs(layers).ill
    assert not signs(layers[:3]).ill
    assert signs(rows(8, 3.0)).ill
    assert not signs().ill


def test_the_scale_against_the_level():
    for function, level in (("relu", math.sqrt(2)), ("tanh", 1.0), ("linear", 1.0)):
        found = signs(rows(function=function, weight_scale=0.5))
        assert found.critical == pytest.approx(level)
        assert found.ratio == pytest.approx(0.5 / level)
    assert signs(rows(function="sigmoid")).critical is None
    assert signs(rows(function="sigmoid")).ratio is None
    layers = tuple(
        dataclasses.replace(x, weight_scale=s) for x, s in zip(rows(5), (0.0, 2.0, 4.0, 6.0, 9.0), strict=True)
    )
    assert signs(layers).scale == 4.0  # a layer at 0 is no part of it, nor is the last
    assert signs(rows(weight_scale=None)).scale is None


def test_shares_and_steps():
    bounded = tuple(layer(function="tanh", saturated=s) for s in (0.1, 0.5, 0.9))
    relu = layer(function="relu", saturated=1.0, dead=0.4)
    assert signs((*bounded, relu, relu)).saturated == 0.5
    assert signs((*bounded, relu, relu, relu)).saturated == 0.0  # not the rule
    assert signs(()).saturated == 0.0
    assert signs((relu, layer(dead=0.2))).dead == 0.4
    assert signs().dead == 0.0
    assert signs((layer(update=0.1), layer(update=0.3), layer(update=9.0, frozen=True))).update == pytest.approx(0.2)
    assert signs().stream_growth == 1.0
    broken = Addition("", 1.0, 1.0, math.inf)
    assert signs(additions=(*stream(8.0, 3), broken)).stream_growth == pytest.approx(8.0)


# ------------------------------------------------------------------------------------ rule by rule


def test_data_that_are_not_finite_are_counted():
    for where in ("inputs", "targets"):
        made = report(**{where: (tensor(nonfinite=3),)}, outputs=(tensor(name="out"),))
        assert said(made, "data") == "3 of 640 entries of x are nan or inf"
        assert scores(made, "data") == [100]
    assert said(report(inputs=(tensor(),)), "data") is None


def test_labels_that_are_alike():
    def labels(**more):
        return report(targets=(tensor(**({"name": "y", "shape": (16,), "classes": 2, "majority": 0.97} | more)),))

    assert said(labels(), "targets") == "97% of y have the same label"
    assert said(labels(shape=(15,)), "targets") is None  # so few may be alike by chance
    assert said(labels(majority=None), "targets") is None
    assert said(labels(nonfinite=1), "targets") is None


def test_targets_on_another_scale_than_the_output():
    def far(rms, *outputs):
        made = tuple(tensor(name="out", rms=size) for size in outputs)
        return said(report(targets=(tensor(name="y", rms=rms),), outputs=made), "targets")

    assert far(50.0, 1.0, 0.1) == "y has rms 50, the model's output 1"  # the largest output counts
    assert far(50.0, 0.1, 2.0) is None
    assert far(10.0, 0.1) is None  # a small number is no scale
    assert far(10.1, 0.1) is not None
    assert far(50.0) is None


@pytest.mark.parametrize(
    ("batch", "agree", "told"),
    [
        (100, 0.18, True),
        (100, 0.20, False),
        (10**4, 0.139, True),
        (10**4, 0.141, False),
        (64, 0.1, True),
        (63, 0.1, False),
    ],
)
def test_neighbours_agree_no_more_than_by_chance(batch, agree, told):
    """Three standard deviations of a share of 0.1: 0.09 among 100 samples, 0.040 among the 512 that are looked at."""
    made = dataclasses.replace(report(neighbours=(agree, 0.1)), batch=batch)
    assert (said(made, "targets") is not None) == told


def origin(stage, activation=3.0, name="log (Log)"):
    layers = (*rows(activation=activation), layer(activation=1e9, nonfinite=1), layer(activation=math.inf))
    return report(layers, first_nonfinite=NonFinite(stage, name, "nan"))


def test_an_operation_is_blamed_where_numbers_were_ordinary_before():
    (cause,) = [cause for cause in origin("forward").causes if cause.key == "operation"]
    assert cause.evidence.endswith("activations before it reach 3")
    assert cause.layers == ("log",)
    for stage, activation, score in (
        ("forward", 9999.0, [92]),
        ("forward", 1e4, []),
        ("loss", 1e4, [40]),
        ("forward", 1.1e4, []),  # numbers grew until they left: the growth is the cause
        ("loss", 9999.0, [92]),
        ("loss", 1.1e4, [40]),
        ("backward", 1.1e4, [40]),
        ("input", 1.0, []),
        ("target", 1.0, []),
        ("parameter", 1.0, []),
    ):
        assert scores(origin(stage, activation), "operation") == score, (stage, activation)
    assert said(origin("parameter"), "parameters").endswith("an earlier step broke them")
    assert scores(origin("parameter"), "parameters") == [95]
    nothing = report((), first_nonfinite=NonFinite("loss", "", "nan"))
    assert said(nothing, "operation").endswith("activations before it reach 0")


CUT = {"delta": None, "weight_gradient": None}
ZERO = {"delta": 0.0, "weight_gradient": 0.0}


def cut(*changes, cuts=("3 (Round): round", "", "5 (Sign): sign", "7 (Other): detach")):
    """A layer for each change; the others are read."""
    return report(tuple(layer(name=f"l{i}", **change) for i, change in enumerate(changes)), cuts=cuts)


def test_a_cut_names_the_last_layer_that_no_gradient_reaches_and_two_places():
    (cause,) = cut(CUT, ZERO, {}, {}).causes
    assert cause.evidence == (
        "no gradient reaches 2 of 4 layers, the last of them l1; it ends at 3 (Round): round, 5 (Sign): sign"
    )
    assert cause.layers == ("l1", "3 (Round): round")
    assert scores(cut(CUT, ZERO, {}, {}), "cut") == [91]
    assert cut({}, {}, {}).causes == ()
    assert said(cut(CUT, {}, cuts=()), "cut") is None
    assert said(cut(CUT, CUT, CUT), "cut") is None  # nothing is reached at all
    assert said(cut({"matrix": False} | CUT, {}), "cut") is None
    assert said(cut({"frozen": True} | CUT, {}), "cut") is None
    assert said(cut({"weight": 1.0} | ZERO, {"weight": 0.0}), "cut") is None  # zero by design


def test_a_last_layer_that_is_reached_is_not_behind_the_cut():
    """Its inputs are all 0, so that its own weights have no gradient; its delta shows that it is reached."""
    made = cut(CUT, CUT, {"delta": 1.0, "weight_gradient": 0.0})
    assert said(made, "cut").startswith("no gradient reaches 2 of 3 layers, the last of them l1")


def test_a_weight_of_zero_that_nothing_will_move():
    stuck = {"weight": 0.0} | ZERO
    made = report((layer(), layer(name="a", **stuck), layer(name="b", **stuck)))
    (cause,) = [cause for cause in made.causes if cause.key == "zero"]
    assert (cause.evidence, cause.layers) == ("the weights of a are all 0 and so is their gradient", ("a", "b"))
    assert scores(made, "zero") == [87]
    assert scores(report(foreign=2), "foreign") == [89]
    for other in ({"weight": 1.0} | ZERO, {"weight": 0.0}, {"matrix": False} | stuck, {"frozen": True} | stuck):
        assert said(report((layer(), layer(**other))), "zero") is None
    assert said(report((layer(), layer(**stuck), layer(weight=0.0))), "zero") is None  # zero by design


def test_a_softmax_before_a_loss_that_takes_logits():
    probable, labels = (tensor(name="out", probabilities=True),), (tensor(name="y", classes=3, shape=(64,)),)
    assert said(report(outputs=probable, targets=labels, loss_guess=1.0), "softmax") is not None
    assert said(report(outputs=(tensor(),), targets=labels, loss_guess=1.0), "softmax") is None
    assert said(report(outputs=probable, targets=labels), "softmax") is None
    assert said(report(outputs=probable, loss_guess=1.0), "softmax") is None


@pytest.mark.parametrize(
    ("scale", "factor", "saturated", "key", "score"),
    [
        (0.39, 0.25, 0.0, "init-small", [85]),
        (0.39, 1.0, 0.0, "init-small", []),  # healthy: so be it
        (0.41, 0.25, 0.0, "init-small", [45]),  # small for a sigmoid, as published laws are
        (2.99, 0.25, 0.0, "init-small", [45]),
        (3.01, 0.25, 0.0, "init-small", []),
        (2.99, 4.0, 0.0, "init-small", []),  # exploding
        (6.1, 1.0, 0.31, "init-large", [85]),
        (5.9, 1.0, 0.31, "init-large", []),
        (6.1, 1.0, 0.3, "init-large", []),
    ],
)
def test_the_scale_of_weights_under_a_sigmoid(scale, factor, saturated, key, score):
    layers = rows(function="sigmoid", factor=factor, weight_scale=scale, saturated=saturated)
    assert scores(report(layers), key) == score
    assert scores(report(layers, additions=stream(1.0, 2)), key) == []  # no chain
    assert scores(report(tuple(dataclasses.replace(x, function="relu6") for x in layers)), key) == []


def chain(count, factor, scale, forward=1.0, **more):
    """Layers of ReLU at so many times the level; delta grows by ``factor`` towards the input, activations by
    ``forward`` towards the output."""
    made = rows(count, factor, function="relu", weight_scale=scale * math.sqrt(2), **more)
    return report(tuple(dataclasses.replace(x, activation=forward**i) for i, x in enumerate(made)))


@pytest.mark.parametrize(
    ("made", "key", "score"),
    [
        (chain(9, 0.5, 0.5), "init-small", [91]),  # 8 layers at half: 10^-2.4, as seen
        (chain(9, 0.5, 0.9), "init-small", [40]),  # 10^-0.37 does not explain 10^-2.4
        (chain(9, 1.0, 0.5), "init-small", []),
        (chain(9, 0.7, 0.2), "init-small", [91]),  # one decade and scales far below: ill without a verdict
        (chain(9, 0.7, 0.31), "init-small", []),
        (chain(9, 0.8, 0.2), "init-small", []),
        (chain(9, 1.0, 0.5, forward=0.5), "init-small", [91]),  # seen on the way forward
        (chain(9, 1.0, 0.5, forward=0.6), "init-small", []),  # 1.6 decades: healthy
        (chain(3, 0.01, 0.5), "init-small", [40]),
        (chain(2, 1e-4, 0.1), "init-small", []),  # too few to be a chain
        (chain(9, 2.0, 2.0), "init-large", [84]),
        (chain(9, 2.0, 1.1), "init-large", [40]),
        (chain(9, 1.0, 2.0), "init-large", []),
        (chain(9, 1.0, 2.0, forward=2.0), "init-large", [84]),
        (chain(9, 1.0, 2.0, forward=1.8), "init-large", []),  # 1.8 decades: healthy
        (chain(9, 0.5, 2.0), "init-large", []),  # ill in the other way
        (chain(2, 1e4, 10.0), "init-large", []),
    ],
)
def test_the_scale_of_weights_in_a_chain(made, key, score):
    """Named where it is off the level and the network is ill; strongly, where it explains what is seen."""
    assert scores(made, key) == score


def test_a_chain_of_large_weights_under_tanh_saturates():
    def made(scale, saturated, factor=0.5):
        return report(rows(9, factor, function="tanh", weight_scale=scale, saturated=saturated))

    assert scores(made(2.0, 0.25), "init-large") == [84]
    assert said(made(2.0, 0.25), "init-large").endswith("and 25% of the entries are saturated")
    assert scores(made(2.0, 0.19), "init-large") == []
    assert scores(made(1.5, 0.25), "init-large") == []
    assert scores(made(2.0, 0.2), "init-large") == []
    assert scores(made(2.0, 0.25, 1.0), "init-large") == []  # not ill
    words = said(chain(9, 2.0, 2.0), "init-large")
    assert words.endswith("delta grows by 10^2.4 towards the input, activations by 10^-0.0 forward")
    assert said(chain(9, 0.5, 0.5), "init-small").endswith("and delta changes by 10^-2.4 towards the input")


def odd(scale, at=3, count=8, **more):
    layers = list(rows(count))
    layers[at] = dataclasses.replace(layers[at], weight_scale=scale, **more)
    return report(tuple(layers))


def test_one_layer_on_another_scale_than_all_others():
    (cause,) = odd(1.4e-3, output=0.1).causes
    assert (cause.key, cause.layers) == ("init-small", ("l3",))
    assert cause.evidence == "l3 has 0.0014/sqrt(fan-in), 0.001 times the median layer"
    (cause,) = odd(1.4e3, output=0.1).causes
    assert (cause.key, cause.layers) == ("init-large", ("l3",))
    assert odd(1.4e3, output=9.0).causes != ()
    assert odd(1.4e-3, output=0.21).causes == ()  # held by its bias: its output is of the usual size
    assert odd(1.4e-3, output=0.19).causes != ()
    assert odd(1.4e-3, output=None).causes != ()
    louder = odd(1.4e-3, output=1.0)
    louder = dataclasses.replace(
        louder,
        layers=tuple(dataclasses.replace(x, output=x.output * 10 if x.name != "l3" else 1.0) for x in louder.layers),
    )
    assert louder.causes != ()  # 1 is a tenth of what is usual there
    assert odd(1.4e-3, at=7, output=0.1).causes == ()  # the last layer is no hidden one
    assert odd(0.0, output=0.1).causes == ()
    assert odd(math.inf, output=0.1).causes == ()
    assert odd(1.4e3, at=1, count=4, output=0.1).causes != ()
    assert scores(odd(1.4e3, at=1, count=3, output=0.1), "init-large") == []  # which of two is the odd one?


def test_recurrent_layers_have_limits_of_their_own():
    def cell(kind="LSTM", **more):
        return report((*rows(2), layer(kind, "cell", weight_gradient=0.1, **more), *rows(2)))

    assert said(cell(weight_scale=0.05), "init-small").startswith("the weights of cell have 0.05/sqrt(fan-in)")
    assert scores(cell(weight_scale=4.0, saturated=0.4), "init-large") == [84]
    assert said(cell(weight_scale=4.0, saturated=0.4), "init-large").endswith("and saturate 40% of its gates")
    assert scores(cell(weight_scale=4.0, saturated=0.2), "init-large") == []
    assert scores(cell(weight_scale=4.0), "init-large") == []
    assert scores(cell("Linear", weight_scale=0.05), "init-small") == []
    assert scores(cell(weight_scale=0.05), "init-small") == [84]
    assert scores(cell(weight_scale=0.0), "init-small") == []


def test_a_scale_that_a_normalisation_hides():
    assert said(report(between_norms(weight_scale=4.0)), "init-large").endswith("relative steps become small")
    assert scores(report(between_norms(weight_scale=4.0)), "init-large") == [46]
    assert scores(report(between_norms(weight_scale=0.01)), "init-small") == [46]
    assert said(report(between_norms(weight_scale=0.01)), "init-small").endswith("relative steps become large")
    assert scores(report(rows(weight_scale=4.0)), "init-large") == []
    assert scores(report(between_norms(weight_scale=None)), "init-large") == []


def saturated(function="tanh", scale=1.0, share=0.5, factor=1.0, **more):
    return report(rows(function=function, weight_scale=scale, saturated=share, factor=factor), **more)


def test_saturation_is_a_cause_where_nothing_else_brought_it_about():
    """Large weights or inputs come first, then what they do."""
    assert scores(saturated(), "saturation") == [82]
    assert scores(saturated(share=0.29), "saturation") == []
    assert scores(saturated(scale=1.6), "saturation") == [60]
    assert scores(saturated(scale=1.5), "saturation") == [82]
    assert scores(saturated("sigmoid", 6.0), "saturation") == [82]
    assert scores(saturated("sigmoid", 6.5), "saturation") == [60]
    assert scores(saturated("sigmoid", 5.5), "saturation") == [82]
    assert scores(saturated("sigmoid", None), "saturation") == [82]
    for size, score in ((11.0, 60), (10.0, 82)):
        assert scores(saturated(inputs=(tensor(rms=size), tensor(rms=0.1))), "saturation") == [score]


def test_a_sigmoid_loses_a_factor_in_every_layer():
    def made(function="sigmoid", factor=0.25, count=8, **more):
        return report(rows(count, factor, function=function, weight_scale=1.0, saturated=0.1), **more)

    assert scores(made(), "saturation") == [75]
    assert "measured a factor of 0.25 per layer, 7 times, with 10% of the entries saturated" in said(
        made(), "saturation"
    )
    assert scores(made("tanh"), "saturation") == []  # whose slope reaches 1
    assert scores(made("relu"), "saturation") == []
    assert scores(made(factor=1.0), "saturation") == []
    assert scores(made(additions=stream(1.0, 2)), "saturation") == []
    assert scores(made(factor=1e-2, count=3), "saturation") == [75]
    assert scores(made(factor=1e-4, count=2), "saturation") == []


def test_dead_units():
    def made(*shares, factor=1.0):
        layers = rows(len(shares), factor, function="relu")
        return report(tuple(dataclasses.replace(x, dead=share) for x, share in zip(layers, shares, strict=True)))

    (cause,) = made(0.1, 0.8, 0.6, None, 0.4, 0.0).causes
    assert cause.layers == ("l1",)
    assert cause.evidence == (
        "80% of the units of l1 are off for every sample (2 of 5 layers have more than half of theirs dead)"
    )
    assert scores(made(0.1, 0.8, 0.6, None, 0.4, 0.0), "dead-units") == [pytest.approx(50 + 44 * 0.8)]
    typical = [0.6] * 8
    assert scores(made(*typical), "dead-units") == []
    assert scores(made(*typical, factor=0.3), "dead-units") == [pytest.approx(50 + 44 * 0.6)]  # and it vanishes
    assert scores(made(*[0.4] * 8, factor=0.3), "dead-units") == []


@pytest.mark.parametrize(
    ("reading", "score"),
    [
        ({}, []),
        ({"rms": 5.1}, [62]),
        ({"rms": 10.1}, [83]),
        ({"rms": 10.0}, [62]),
        ({"column_spread": 31.0}, [83]),
        ({"mean": 3.1, "rms": 3.11}, [62]),  # far from 0, and hardly anything else
        ({"mean": -3.1, "rms": 3.11}, [62]),
        ({"mean": 3.0, "rms": 3.2}, []),
        ({"mean": 2.9, "rms": 2.91}, []),
        ({"rms": 50.0, "nonfinite": 1}, []),
        ({"rms": 50.0, "shape": (64,)}, []),
        ({"rms": 0.0, "column_spread": 31.0}, []),
        ({"rms": 50.0, "classes": 9, "dtype": "int64"}, []),  # tokens
        ({"rms": 50.0, "classes": 9, "dtype": "uint8", "shape": (64, 8)}, []),
        ({"rms": 50.0, "classes": 9, "dtype": "uint8", "shape": (64, 8, 8)}, [83]),  # pixels
    ],
)
def test_inputs_that_are_not_normalised(reading, score):
    assert scores(report(inputs=(tensor(**reading),)), "normalization") == score


def test_the_words_for_inputs():
    made = report(inputs=(tensor(rms=20.0, mean=1.5, column_spread=40.0),))
    assert said(made, "normalization") == "x has mean 1.5, rms 20, its largest column 40 times the median one"
    assert said(report(inputs=(tensor(rms=20.0),)), "normalization") == "x has mean 0, rms 20"


def test_a_missing_normalisation_is_named_where_a_deep_network_is_far_from_level():
    plain = {"weight_scale": None}
    assert scores(report(rows(8, 10 ** (2.1 / 7), **plain)), "normalization") == [48]
    assert scores(report(rows(8, 10 ** (1.9 / 7), **plain)), "normalization") == []
    assert scores(report(rows(8, 10 ** (-2.1 / 7), **plain)), "normalization") == [48]
    assert scores(chain(9, 1.0, 1.0, forward=2.0), "normalization") == [48]
    words = said(report(rows(8, 2.0, **plain)), "normalization")
    assert words.startswith("8 weight layers in a row without one: activations change by 10^")


def test_batch_statistics_of_a_few_samples():
    layers = (*rows(), dataclasses.replace(NORM, kind="BatchNorm1d"))
    made = dataclasses.replace(report(layers), batch=4)
    assert scores(made, "batch") == [30]
    assert said(made, "batch") == "1 layers normalise over a batch of 4: what is read here says little"
    assert scores(dataclasses.replace(report((*rows(), NORM)), batch=4), "batch") == []


def test_branches_as_large_as_the_stream():
    made = report(additions=stream(27.0, 3))
    assert scores(made, "residual") == [90]
    assert "its rms grows 27 times, 3 per block" in said(made, "residual")
    assert scores(report(additions=stream(1e3, 2)), "residual") == []
    assert scores(report(between_norms(), additions=stream(27.0, 3)), "residual") == []


def test_attention():
    def made(*pairs):
        return report(attentions=tuple(Attention(f"a{i}", *pair) for i, pair in enumerate(pairs)))

    both = made((10.0, 0.2), (60.0, 0.3))
    assert scores(both, "attention") == [86]
    assert said(both, "attention") == "scores of a1 reach 60, the entropy is 30% of the largest"
    assert scores(made((60.0, 0.6)), "attention") == []  # large, but it looks around
    assert scores(made((60.0, 0.49)), "attention") == [86]
    narrow = made((10.0, 0.2), (9.0, 0.05))
    assert scores(narrow, "attention") == [70]
    assert said(narrow, "attention") == "in a1 the entropy of the weights is 5% of the largest"


@pytest.mark.parametrize(
    ("update", "after", "score"),
    [
        (0.01, 1.5, [60]),
        (0.01, 2.1, [75]),
        (0.01, 1.9, [60]),
        (0.01, math.nan, [75]),
        (0.01, math.inf, [75]),
        (2e-3, 2.1, [40]),  # a small step cannot be too large
        (4e-3, 2.1, [75]),
        (0.4, 0.9, [50]),
        (0.2, 0.9, []),
        (0.4, None, [50]),
        (None, 2.1, []),
    ],
)
def test_a_step_that_was_too_large(update, after, score):
    made = report(rows(update=update), assumed=False, loss=1.0, loss_after=after)
    assert scores(made, "step") == score
    assert scores(dataclasses.replace(made, assumed=True), "step") == []


def test_the_words_for_a_step():
    made = report(rows(update=0.01), assumed=False, loss=1.0, loss_after=1.5)
    assert said(made, "step").startswith(
        "after one step the loss of the same batch is 1.5 instead of 1; one step changes"
    )
    broken = report(rows(update=0.4), assumed=False, loss=math.nan, loss_after=1.5)
    assert scores(broken, "step") == [50]  # a loss that was no number cannot rise


def test_a_long_way_back_through_time():
    def made(gap, kind="LSTM"):
        return report(one(3, kind=kind, steps=tuple(np.logspace(0, gap, 10))))

    assert scores(made(2.1), "recurrence") == [65]
    assert scores(made(-2.1), "recurrence") == [65]
    assert scores(made(1.9), "recurrence") == []
    assert said(made(-3), "recurrence") == "in l3 delta changes by 10^3.0 over 10 steps, last to first"


def test_gradients_below_the_precision():
    def made(share=0.3, dtype="float16", dead=0.0, **more):
        layers = list(rows(dtype=dtype, zero_gradient=0.1))
        layers[3] = dataclasses.replace(layers[3], zero_gradient=share, dead=dead, function="relu")
        return report(tuple(layers), **more)

    assert scores(made(), "precision") == [70]
    assert said(made(), "precision") == "30% of the weight gradient of l3 is exactly 0 in float16"
    assert scores(made(dtype="bfloat16"), "precision") == [70]
    assert scores(made(dtype="float32"), "precision") == []
    assert scores(made(dead=0.49), "precision") == [70]
    assert scores(made(dead=0.51), "precision") == []  # off, not too small
    assert scores(made(cuts=("3: round",)), "precision") == []
    assert scores(made(share=None), "precision") == []


def test_depth_is_the_last_word():
    def made(count, factor, **more):
        return report(rows(count, factor, weight_scale=None, function="relu"), **more)

    assert scores(made(8, 3.0), "depth") == [20]
    assert said(made(8, 0.25), "depth") == "a factor of 0.25 per layer, 7 times"
    assert scores(made(8, 1.0), "depth") == []
    assert scores(made(4, 11.0), "depth") == [20]
    assert scores(made(3, 1e-2), "depth") == []
    assert scores(made(8, 3.0, additions=stream(1.0, 2)), "depth") == []
    for decades, score in ((1.5, [20]), (0.9, [])):  # behind a first layer whose gradient is exactly 0
        silent, *others = rows(8, 10 ** (-decades / 6))
        assert scores(report((dataclasses.replace(silent, delta=0.0), *others)), "depth") == score


def test_causes_come_in_the_order_of_their_certainty():
    """What is certain, then what explains, then what goes with it; a single layer before all of them."""
    nan, three = (tensor(nonfinite=1),), stream(27.0, 3)
    made = report(one(3, weight_scale=140.0, output=9.0), inputs=nan, additions=three, foreign=2)
    assert [cause.key for cause in made.causes] == ["data", "init-large", "residual", "foreign"]
    made = report(
        one(3, kind="LSTM", steps=tuple(np.logspace(0, 3, 10)), dead=0.9, function="relu"),
        inputs=(tensor(rms=7.0),),
        attentions=(Attention("a", 60.0, 0.3),),
    )
    assert [cause.key for cause in made.causes] == ["dead-units", "attention", "recurrence", "normalization"]


# ------------------------------------------------------------------------------------ runs


def run(*updates, losses=(), nonfinite=None, **more):
    made = tuple(report(rows(update=u, **more), assumed=False) for u in updates)
    steps = tuple(range(0, 10 * len(made), 10))
    return Watched(steps, made, steps[-1] + 1, dict(enumerate(losses)), nonfinite)


def run_said(made):
    return [(cause.key, cause.evidence) for cause in causes._run_steps(made)]


def test_a_run_whose_steps_were_too_large():
    ((key, words),) = run_said(run(0.01, 0.2, 0.01, losses=(1.0, 5.0, 2.1)))
    assert key == "step"
    assert words == "at step 10 the weights changed by 0.2 of their size, and the loss went from 1 to 2.1"
    assert run_said(run(0.01, 0.2, 0.01, losses=(1.0, 5.0, 1.9))) == []  # it came back
    assert run_said(run(0.01, 0.2, 0.01, losses=(1.0,))) == []
    assert run_said(run(0.01, 0.09, 0.01, losses=(1.0, 2.1))) == []
    ((_, words),) = run_said(run(0.01, 0.2, 0.01, nonfinite=17))
    assert words.endswith("something was not finite at step 17")
    assert run_said(run(0.01, 0.2, 0.01, nonfinite=0)) == []  # broken before the first step
    ((_, words),) = run_said(run(0.01, 0.2, 0.01, losses=(1.0, math.nan)))
    assert words.endswith("the loss went from 1 to nan")


def test_large_steps_are_named_where_they_last():
    ((_, words),) = run_said(run(0.2, 0.3, 0.01))
    assert words == "at step 10 the weights changed by 0.3 of their size, in the median of 3 steps by 0.2"
    assert run_said(run(0.01, 0.3, 0.01)) == []
    assert run_said(run(0.3)) == []  # one step does not last
    assert len(run_said(run(1.1))) == 1
    assert run_said(run(0.3, 0.3, 0.3, factor=10.0)) == []  # exploding from the start: not the steps' fault


def test_weights_that_do_not_move_at_all():
    assert run_said(run(0.0, 0.0, 0.0)) == [
        ("still", "in 3 sampled steps no weight changed: does the optimizer hold them?")
    ]
    assert run_said(run(0.0, 0.0)) == []
    assert run_said(run(0.0, 1e-9, 0.0)) == []
    assert run_said(run(None, None, None)) == []  # no step was read


def test_steps_of_frozen_layers_and_skipped_steps_do_not_count():
    still = dataclasses.replace(layer(update=5.0), frozen=True)
    norm = dataclasses.replace(NORM, update=5.0)
    made = report((*rows(update=0.01), *[still] * 9, *[norm] * 9), assumed=False)
    assert run_said(Watched((0, 1), (made, made), 2)) == []
    large = dataclasses.replace(report(rows(update=5.0), assumed=False), skipped=True)
    small = report(rows(update=0.01), assumed=False)
    assert run_said(Watched((0, 1, 2), (large, small, small), 3)) == []


def test_units_that_died_in_training():
    def made(before, after):
        first, last = (report(one(3, function="relu", dead=share)) for share in (before, after))
        return list(causes._run_dead(Watched((0, 7, 20), (first, first, last), 21)))

    ((cause),) = made(0.1, 0.8)
    assert cause.evidence == "l3: 10% dead at step 0, 80% at step 20"
    assert cause.layers == ("l3",)
    assert made(0.31, 0.8) == made(0.3, 0.8) == []
    assert made(0.29, 0.69) == []


def test_of_a_run_the_first_ill_report_speaks():
    fine = report()
    ill = report(rows(40, 0.85, function="relu", weight_scale=0.5))
    later = report(rows(40, 1.2, function="relu", weight_scale=5.0))
    found = Watched((0, 1, 2), (fine, ill, later), 3).causes
    assert [cause.key for cause in found] == [cause.key for cause in ill.causes]
    warned = report(inputs=(tensor(rms=50.0),))
    assert [cause.key for cause in Watched((0, 1), (fine, warned), 2).causes] == ["normalization"]
