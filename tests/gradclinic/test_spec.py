from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from gradclinic.spec import MLP, RNN, Parameters, check_parameters


def drawn(spec, *lead):
    """Parameters of the shapes that belong to ``spec``."""
    sizes = list(zip(spec.widths[1:], spec.widths, strict=False))
    normal = [np.ones((*lead, n)) for n in spec.widths[1:-1]] if spec.normalization else []
    weights = [np.ones((*lead, *size)) for size in sizes]
    biases = [np.ones((*lead, n)) for n, _ in sizes]
    return Parameters(tuple(weights), tuple(biases), tuple(normal), tuple(normal))


def test_a_network_is_plain_data():
    spec = MLP([64, 30, 30, 10], "relu")
    assert spec == MLP((64, 30, 30, 10), "relu")
    assert hash(spec) == hash(MLP((64, 30, 30, 10), "relu"))
    assert spec.depth == 3
    assert spec.names == ("layer 1", "layer 2", "layer 3")
    assert MLP((2, 1)) == MLP((2, 1), "sigmoid", True, None, False, 1.0)  # what is meant where nothing is said
    assert RNN(1, 2, 3) == RNN(1, 2, 3, "tanh")
    for record, field in ((spec, "bias"), (RNN(1, 2, 3), "hidden"), (drawn(spec), "weights")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, field, None)


def test_skips_only_where_the_width_is_kept_and_never_at_the_output():
    spec = MLP((8, 8, 8, 4, 4, 4), residual=True)
    assert [spec.skips(layer) for layer in range(1, 6)] == [True, True, False, True, False]
    assert not any(MLP((8, 8, 8)).skips(layer) for layer in (1, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"widths": (3,)}, ValueError, r"widths: got \(3,\), wanted at least"),
        ({"widths": (3, 0)}, ValueError, r"widths\[1\]: got 0, wanted a positive integer"),
        ({"widths": (3, 2.5)}, TypeError, r"widths\[1\]: got 2.5 of type float"),
        ({"widths": (3, True)}, TypeError, r"widths\[1\]: got True"),
        ({"widths": 3}, TypeError, "widths: got 3, wanted a sequence"),
        ({"widths": (3, 2), "activation": "swishish"}, ValueError, "activation: got 'swishish', wanted one of"),
        ({"widths": (3, 2), "normalization": "weight"}, ValueError, "normalization: got 'weight'"),
        ({"widths": (3, 2), "branch_scale": np.inf}, ValueError, "branch_scale: got inf"),
    ],
)
def test_what_is_no_network_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        MLP(**arguments)


def test_what_is_no_recurrent_network_is_refused():
    with pytest.raises(ValueError, match="hidden: got 0"):
        RNN(1, 0, 1)
    with pytest.raises(ValueError, match="activation: got 'cubic'"):
        RNN(1, 2, 1, "cubic")


def test_parameters_know_the_size_of_their_ensemble():
    def params(*lead):
        return Parameters((np.ones((*lead, 2, 3)),), (np.ones((*lead, 2)),))

    assert params().members is None
    assert params(7).members == 7
    check_parameters(MLP((3, 2)), params(7), (7,))
    with pytest.raises(ValueError, match=r"params: got ensemble axes \(7,\), wanted those of the model, \(5,\)"):
        check_parameters(MLP((3, 2)), params(7), (5,))
    with pytest.raises(ValueError, match=r"params: got ensemble axes \(2, 7\), wanted none or one"):
        _ = params(2, 7).members


@pytest.mark.parametrize("lead", [(), (7,)])
@pytest.mark.parametrize("field", ["weights", "biases", "gains", "shifts"])
def test_every_array_of_every_layer_is_looked_at(field, lead):
    """Arrays that are one unit too long, one at a time, first to last."""
    spec = MLP((3, 4, 5, 6, 2), normalization="batch")
    params = drawn(spec, *lead)
    check_parameters(spec, params)
    arrays = getattr(params, field)
    assert len(arrays) == (4 if field in ("weights", "biases") else 3)
    for at, array in enumerate(arrays):
        longer = np.ones((*array.shape[:-1], array.shape[-1] + 1))
        broken = replace(params, **{field: (*arrays[:at], longer, *arrays[at + 1 :])})
        with pytest.raises(ValueError, match=rf"params.{field}\[{at}\]: got shape .*{array.shape[-1] + 1},?\), wanted"):
            check_parameters(spec, broken)
    with pytest.raises(ValueError, match=f"params.{field}: got {len(arrays) - 1} arrays, wanted {len(arrays)}"):
        check_parameters(spec, replace(params, **{field: arrays[1:]}))
