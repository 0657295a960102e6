from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from gradclinic.course import clinic
from gradclinic.course.clinic import CAUSES, FIELDS, Settings

# One change that removes the cause, and others that work by another way.
RIGHT = {
    "init-small": [("weight_scale", math.sqrt(2)), ("normalization", "batch"), ("residual", True)],
    "init-large": [("weight_scale", math.sqrt(2))],
    "saturation": [("activation", "tanh"), ("activation", "relu"), ("normalization", "batch")],
    "dead-units": [("bias", 0.0), ("normalization", "batch")],
    "normalization": [("standardize", True), ("normalization", "batch")],
    "residual": [("branch_scale", 0.2), ("normalization", "batch")],
    "step": [("lr", 0.05), ("loss_scale", 0.01)],  # for plain gradient descent the loss's scale is the step
    "data, shifted": [("cleaning", "realign")],
    "data, with gaps": [("cleaning", "drop"), ("cleaning", "zero")],
}
# Changes that hide the symptom, or treat another disease.
WRONG = {
    "init-small": [("lr", 0.5), ("optimizer", "adam"), ("clip_norm", 1.0), ("loss_scale", 100.0)],
    "init-large": [("clip_norm", 1.0), ("lr", 1e-3), ("optimizer", "adam"), ("loss_scale", 0.01)],
    "saturation": [("lr", 1.0), ("optimizer", "adam"), ("loss_scale", 100.0)],
    "dead-units": [("lr", 1.0), ("optimizer", "adam"), ("activation", "leaky_relu")],
    "normalization": [("lr", 1e-3), ("clip_norm", 1.0), ("loss_scale", 0.01), ("optimizer", "adam")],
    "residual": [("clip_norm", 1.0), ("lr", 1e-3), ("loss_scale", 0.01)],
    "step": [("clip_norm", 1.0), ("clip_norm", 0.01), ("normalization", "batch"), ("optimizer", "adam"), ("l2", 0.01)],
    "data, shifted": [("clip_norm", 1.0), ("lr", 0.01), ("normalization", "batch"), ("cleaning", "drop")],
    "data, with gaps": [("clip_norm", 1.0), ("lr", 0.01), ("normalization", "batch"), ("cleaning", "realign")],
}


def patient(kind: str, seed: int) -> clinic.Case:
    """The first case of that kind in the wards from ``seed`` on."""
    cause, _, variant = kind.partition(", ")
    for ward in range(seed, seed + 40):
        for number in range(1, 9):
            case = clinic.case(number, ward)
            if case.fault.cause == cause and (not variant or (case.fault.gaps > 0) == (variant == "with gaps")):
                return case
    raise AssertionError(kind)


def test_every_ward_has_all_eight_causes_in_an_order_of_its_own():
    orders = [tuple(clinic.case(n, seed).fault.cause for n in range(1, 9)) for seed in range(6)]
    assert all(sorted(order) == sorted(CAUSES) for order in orders)
    assert len(set(orders)) == 6
    assert clinic.case(3, 4) == clinic.case(3, 4)
    assert clinic.case(3, 4) != clinic.case(3, 5)


def test_what_is_wrong_shows_neither_in_the_repr_nor_on_the_chart():
    for number in range(1, 9):
        case = clinic.case(number, 3)
        assert repr(case) == f"Case(number={number}, seed=3)"
        assert case.chart.splitlines()[-1] == f"verdict: {case.report.verdict}"
        assert all(cause.title not in case.chart and cause.evidence not in case.chart for cause in case.report.causes)
        assert "weight std*" in case.chart
        assert max(map(len, case.chart.splitlines())) <= 78
        rows = [line.split() for line in case.chart.splitlines() if line[:5].strip().isdigit()]
        assert [int(row[0]) for row in rows] == list(range(1, len(case.widths)))
        assert [row[2] for row in rows] == [f"{delta:.2e}" for delta in case.report.delta]
        assert "update" in case.chart


@pytest.mark.parametrize("seed", range(6))
def test_the_instrument_names_the_cause_first(seed):
    for number in range(1, 9):
        case = clinic.case(number, seed)
        found = case.report.causes[0].key
        assert ("data" if found == "targets" else found) == case.fault.cause, (number, case.report)


def test_a_diagnosis_is_answered_with_what_the_chart_shows(capsys):
    case = patient("init-large", 0)
    assert clinic.diagnose(case, "init-large") is True
    assert clinic.diagnose(case, "residual") is False
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 78
    yes, no = said.replace("\n   ", " ").splitlines()
    assert ": yes; weight std* is" in yes
    assert no.endswith("not scaled: no; there are no skip connections")
    for kind in RIGHT:
        case = patient(kind, 0)
        assert [clinic.diagnose(case, cause) for cause in CAUSES].count(True) == 1
    with pytest.raises(ValueError, match="cause: got 'bad luck', wanted one of init-small"):
        clinic.diagnose(case, "bad luck")


@pytest.mark.parametrize("kind", RIGHT)
def test_nothing_heals_by_itself_and_the_right_change_does(kind):
    case = patient(kind, 0)
    assert not clinic.untreated(case).cured
    for name, value in RIGHT[kind]:
        outcome = clinic.repair(case, **{name: value})
        assert outcome.cured, outcome
        assert np.median(outcome.accuracy) >= clinic.ACCURACY
        assert outcome.report.verdict == "healthy"


@pytest.mark.parametrize("kind", WRONG)
def test_a_change_that_hides_the_symptom_does_not_pass(kind):
    case = patient(kind, 0)
    for name, value in WRONG[kind]:
        outcome = clinic.repair(case, **{name: value})
        assert not outcome.cured, outcome
        assert "not cured" in str(outcome)


def test_a_small_clip_trains_the_case_of_the_large_step_and_is_still_refused():
    outcome = clinic.repair(patient("step", 0), clip_norm=0.01)
    assert np.median(outcome.accuracy) > 0.8
    assert outcome.clipped > 0.5
    assert not outcome.cured
    assert outcome.why.endswith("a bandage.")


def test_the_scale_of_the_loss_and_the_step_are_one_thing_for_plain_descent():
    case = patient("step", 0)
    scaled, stepped = clinic.repair(case, loss_scale=0.01), clinic.repair(case, lr=0.01 * case.settings.lr)
    np.testing.assert_allclose(scaled.accuracy, stepped.accuracy, atol=0.02)


def test_an_outcome_is_the_same_twice_and_plain_data():
    case = patient("step", 0)
    first, again = (clinic.repair(case, lr=0.05).to_dict() for _ in range(2))
    assert json.loads(json.dumps(first)) == again
    assert set(first) == {"cured", "why", "change", "verdicts", "accuracy", "clipped"}
    assert first["verdicts"] == ["healthy"] * clinic.SEEDS
    assert first["change"] == ["lr", case.settings.lr, 0.05]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({}, TypeError, r"change: got 0 fields \(none\), wanted exactly one"),
        ({"lr": 0.1, "bias": 0.0}, TypeError, r"change: got 2 fields \(lr, bias\), wanted exactly one"),
        ({"depth": 3}, TypeError, "change: got 'depth', wanted one of weight_scale"),
        ({"l2": 0.0}, ValueError, "l2: got 0.0, which it already is"),
        ({"lr": -1.0}, ValueError, "lr: got -1.0, wanted a finite number > 0"),
        ({"clip_norm": 0}, ValueError, "clip_norm: got 0, wanted a finite number > 0"),
        ({"lr": "small"}, TypeError, "lr: got 'small' of type str, wanted a number"),
        ({"activation": "step"}, ValueError, "activation: got 'step', wanted one of 'linear'"),
        ({"cleaning": "soap"}, ValueError, "cleaning: got 'soap', wanted one of None, 'drop', 'zero', 'realign'"),
    ],
)
def test_repair_refuses(change, error, words):
    with pytest.raises(error, match=words):
        clinic.repair(clinic.case(1), **change)


@pytest.mark.parametrize(
    ("number", "seed", "words"),
    [(0, 0, "number: got 0, wanted an integer from 1 to 8"), (1, -1, "seed: got -1"), ("2", 0, "number: got '2'")],
)
def test_case_refuses(number, seed, words):
    with pytest.raises(ValueError, match=words):
        clinic.case(number, seed)


def test_the_fields_are_those_of_the_settings_and_the_default_is_well():
    assert tuple(f.name for f in dataclasses.fields(Settings)) == FIELDS
    case = patient("step", 0)
    healthy = clinic.untreated(dataclasses.replace(case, settings=Settings()))
    assert healthy.cured
    assert healthy.change is None


def test_the_same_change_is_examined_once(monkeypatch):
    """A class's right answers are mostly the same number, and the judge of the course trains for each of them."""
    trained = []
    real = clinic._train
    monkeypatch.setattr(clinic, "_train", lambda *arguments: trained.append(1) or real(*arguments))
    clinic._examine.cache_clear()
    ill = patient("step", 3)
    first = clinic.repair(ill, lr=0.05)
    assert clinic.repair(dataclasses.replace(ill), lr=np.float64(0.05)) is first
    assert len(trained) == 1
    assert clinic.repair(ill, lr=0.04) is not first
    assert clinic.repair(dataclasses.replace(ill, widths=(64, 32, 10)), lr=0.05) is not first
    assert len(trained) == 3
