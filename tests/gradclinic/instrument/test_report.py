"""Reports are plain data: what they refuse, print, and hand over."""

from __future__ import annotations

import dataclasses
import json
import math
import sys

import numpy as np
import pytest

from gradclinic.instrument import tensors
from gradclinic.instrument.readings import Addition, Cause, LayerReading, NonFinite, Report, Watched
from gradclinic.instrument.tensors import read_tensor


def layers(factor=1.0, count=6, **more):
    """Layers whose delta grows by ``factor`` per layer towards the input."""
    return tuple(
        LayerReading(
            f"layer {i}", "Linear", activation=1.0, delta=factor ** (count - i), weight_gradient=0.1, weight=2.0, **more
        )
        for i in range(1, count + 1)
    )


def keys(made):
    return [cause.key for cause in made.causes]


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "healthy"), (0.1, "vanishing"), (10.0, "exploding"), (math.nan, "non-finite")]
)
def test_the_verdict_is_that_of_measure(factor, verdict):
    made = Report("PyTorch", layers(factor), 8)
    assert made.verdict == verdict
    assert made.profile.verdict == verdict
    np.testing.assert_allclose(made.delta, made.profile.delta)


def test_layers_without_weights_or_gradient_do_not_count_for_the_verdict():
    norm = LayerReading("norm", "BatchNorm1d", delta=1e9, matrix=False)
    frozen = LayerReading("stem", "Linear", frozen=True)
    made = Report("PyTorch", (norm, frozen, *layers()), 8)
    assert made.verdict == "healthy"
    assert made.profile.names == tuple(f"layer {i}" for i in range(1, 7))
    assert math.isnan(made.delta[1])
    with pytest.raises(ValueError, match="model: got no layer through which a gradient flows"):
        _ = Report("PyTorch", (frozen,), 8).profile


def test_anything_not_finite_decides():
    made = Report("PyTorch", layers(), 8, first_nonfinite=NonFinite("forward", "log (Log)", "inf", "log"))
    assert made.verdict == "non-finite"
    assert "first inf in the forward pass, at log (Log), made by log" in str(made)


def test_a_layer_is_found_by_name():
    made = Report("PyTorch", layers(), 8)
    assert made["layer 3"].name == "layer 3"
    with pytest.raises(KeyError, match="got 'layer 9', wanted one of layer 1, layer 2"):
        made["layer 9"]


def test_json_takes_what_is_not_finite():
    made = Report("PyTorch", layers(math.inf), 8, loss=math.nan)
    data = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert data["loss"] == "nan"
    assert data["layers"][0]["delta"] == "inf"
    assert data["layers"][0]["dead"] is None
    assert data["verdict"] == "non-finite"


def test_a_frame_has_one_row_per_layer():
    frame = Report("PyTorch", layers(0.5), 8).to_frame()
    assert list(frame.index) == [f"layer {i}" for i in range(1, 7)]
    np.testing.assert_allclose(frame["delta"], 0.5 ** np.arange(5, -1, -1))


def test_without_pandas_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame needs pandas, which is not installed; to_dict gives the same"):
        Report("PyTorch", layers(), 8).to_frame()


def test_repeated_blocks_share_a_row_and_named_layers_have_their_own():
    names = [f"encoder.{block}.{part}" for block in range(250) for part in ("q", "k", "v", "out")]
    rows = tuple(
        LayerReading(
            n, "Linear", activation=1.0, delta=1.0, weight_gradient=0.1, weight=2.0, weight_scale=1.0, function="relu"
        )
        for n in names
    )
    odd = tuple(dataclasses.replace(r, weight_scale=1e-4) if r.name == "encoder.120.v" else r for r in rows)
    lines = str(Report("PyTorch", odd, 8)).splitlines()
    assert len(lines) <= 40
    assert any(line.startswith("encoder.0–249.q ") and "Linear (250)" in line for line in lines)
    assert any(line.startswith("encoder.120.v ") and "1.00e-04" in line for line in lines)
    different = tuple(LayerReading("part" + "abcdefgh"[i % 8] * (i + 1), "Linear", delta=1.0) for i in range(100))
    text = str(Report("PyTorch", different, 8))
    assert sum(line.startswith("part") for line in text.splitlines()) == 40
    assert "\n..." in text


def test_the_readings_of_a_tensor():
    reading = read_tensor("x", np.array([[3.0, 0.0, 1.0], [-3.0, 0.0, 1.0]]))
    assert (reading.mean, reading.low, reading.high, reading.constant) == (pytest.approx(1 / 3), -3.0, 3.0, 2)
    assert reading.rms == pytest.approx(math.sqrt(20 / 6))
    assert reading.column_spread == pytest.approx(1.5)
    reading = read_tensor("y", np.array([0, 0, 0, 2]))
    assert (reading.classes, reading.majority) == (2, 0.75)
    reading = read_tensor("x", np.array([[np.nan, 1.0], [np.inf, 2.0]]))
    assert reading.nonfinite == 2
    assert "2 ENTRIES NOT FINITE" in str(reading)
    assert read_tensor("x", np.array([[1e200, 1e200]])).rms == pytest.approx(1e200)
    assert math.isnan(read_tensor("x", np.zeros((0, 3))).low)


def test_neighbours_follow_the_labels_or_do_not():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 200)
    x = 5 * np.eye(4)[y] + 0.1 * rng.normal(size=(200, 4))
    agree, chance = tensors.neighbour_agreement(x, y)
    assert agree == 1.0
    assert 0.2 < chance < 0.35
    agree, chance = tensors.neighbour_agreement(x, rng.permutation(y))
    assert agree < 0.45
    assert tensors.neighbour_agreement(x[:10], y[:10]) is None
    assert tensors.neighbour_agreement(np.full_like(x, np.nan), y) is None
    assert tensors.neighbour_agreement(x, np.zeros(200, int)) is None


def test_each_cause_names_a_chapter_of_the_book(real):
    ill = [
        Report("PyTorch", layers(0.3, 8, weight_scale=0.4, function="relu", dead=0.9, saturated=0.9), 8),
        Report(
            "PyTorch",
            layers(3.0, 8, weight_scale=4.0, function="relu"),
            8,
            lr=1.0,
            assumed=False,
            loss_after=1e9,
            loss=1.0,
        ),
        Report("PyTorch", layers(0.3, 8, weight_scale=1.0, function="sigmoid", saturated=0.0), 8),
        Report("PyTorch", layers(), 8, additions=(Addition("", 2.0**i, 2.0**i, 2.0 ** (i + 1)) for i in range(5))),
    ]
    pages = {cause.page for made in ill for cause in made.causes}
    assert len(pages) >= 4
    written = {str(path.relative_to(real.root / "book").with_suffix("")) for path in (real.root / "book").rglob("*.md")}
    assert pages <= written


def test_a_healthy_network_has_no_causes():
    made = Report("PyTorch", layers(1.1, 10, weight_scale=1.41, function="relu", dead=0.1, saturated=0.5), 8)
    assert made.causes == ()
    assert str(made).endswith("no cause stands out")


def test_a_run_over_time():
    runs = [Report("Keras", layers(f), 8, loss=loss) for f, loss in ((1.0, 2.0), (0.5, 1.0), (0.1, 0.5))]
    run = Watched((0, 10, 20), tuple(runs), 25, {0: 2.0, 10: 1.0, 20: 0.5})
    assert run.verdict == "vanishing"
    assert run.column("delta").shape == (3, 6)
    assert run.trend["layer 1"] == pytest.approx(-5.0)
    assert run.trend["layer 6"] == pytest.approx(0.0)
    frame = run.to_frame()
    assert len(frame) == 18
    assert list(frame.columns[:2]) == ["step", "name"]
    json.dumps(run.to_dict(), allow_nan=False)
    text = str(run)
    assert "25 steps, 3 sampled: 0 to 20" in text
    assert "loss 2 at step 0, 0.5 at step 20" in text
    assert "verdict by step  0: healthy, 20: vanishing" in text
    with pytest.raises(ValueError, match="watch: got no training step"):
        Watched((), (), 0)


def test_a_run_names_a_step_that_was_too_large_and_units_that_died():
    fine = Report("PyTorch", layers(update=0.5, function="relu", dead=0.0), 8)
    later = Report("PyTorch", layers(update=0.5, function="relu", dead=0.9), 8)
    run = Watched((0, 10), (fine, later), 11, {0: 1.0, 10: 50.0})
    assert keys(run)[:2] == ["step", "dead-units"]
    assert isinstance(run.causes[0], Cause)
    broken = Watched((0, 10), (fine, fine), 11, nonfinite_step=7, first_nonfinite=NonFinite("forward", "a", "nan"))
    assert broken.verdict == "non-finite"
    assert keys(broken)[0] == "step"
    assert "first nan in the forward pass, at a (step 7)" in str(broken)
