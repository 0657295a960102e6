from __future__ import annotations

import json

import numpy as np
import pytest

from gradclinic.course import long_runs, remedies
from gradclinic.course.long_runs import __main__ as command
from gradclinic.course.long_runs import matrix, storing


def test_every_row_of_the_matrix_is_stored_with_its_command_and_versions():
    data = long_runs.stored("matrix")
    assert list(data["runs"]) == list(matrix.tasks())
    assert data["command"] == "python -m gradclinic.course.long_runs matrix"
    assert {"python", "numpy", "torch"} <= set(data["versions"])


@pytest.mark.parametrize(("patient", "remedy"), [key.split(" ") for key in long_runs.stored("matrix")["runs"]])
def test_a_stored_row_is_whole(patient, remedy):
    found = long_runs.entry(remedy, patient)
    for budget, curve in ((long_runs.SHORT, found.short), (long_runs.LONG, found.long)):
        assert curve.steps[0] == 0
        assert curve.steps[-1] == budget
        assert np.all(np.diff(curve.steps) > 0)
        assert curve.loss.shape == curve.accuracy.shape == (len(curve.steps), remedies.SEEDS)
        assert np.all((curve.accuracy >= 0) & (curve.accuracy <= 1))
        at = np.argmin(np.abs(np.log(found.rates / curve.rate)))
        np.testing.assert_array_equal(found.by_rate[budget][at], curve.accuracy[-1])
    np.testing.assert_allclose(found.rates, remedies.LEARNING_RATES, rtol=1e-3)
    np.testing.assert_array_equal(found.short.accuracy[0], found.long.accuracy[0])


@pytest.mark.parametrize(
    ("patient", "remedy", "steps"),
    [("A", "residual-scaled", 17), ("A", "batch-normalization", 18), ("B", "residual", 17)],
)
def test_a_row_can_be_repeated_at_a_small_budget(patient, remedy, steps):
    stored = long_runs.curve(remedy, patient)
    end = list(stored.steps).index(steps) + 1
    treatment = remedies.treat(patient, remedy)
    loss, accuracy, _ = matrix.follow(treatment, [stored.rate], stored.steps[:end].tolist())
    np.testing.assert_allclose(loss[:, 0], stored.loss[:end], rtol=0.02)
    np.testing.assert_allclose(accuracy[:, 0], stored.accuracy[:end], atol=0.02)


def test_the_rate_of_a_stored_row_is_chosen_on_digits_that_do_not_count(monkeypatch):
    """The first rate reads more of the validation digits, the second more of the test digits."""
    loss, accuracy, validation = np.zeros((3, len(matrix.STEPS), 2, 5))
    validation[:, 0], accuracy[:, 1] = 0.9, 0.8
    monkeypatch.setattr(matrix, "follow", lambda treatment, rates, steps: (loss, accuracy, validation))
    found = matrix.compared(None, [0.1, 1.0])
    assert [best["rate"] for best in found["best"].values()] == [0.1, 0.1]


def test_a_rate_beside_the_best_gets_a_second_chance(monkeypatch):
    """Of five rates two went on; to the left of the better one each is better than the one before, but the last."""
    rates, ends = [0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.7, 0.6, 0.5, 0.1]
    asked = []

    def follow(treatment, rates_now, steps, finalists=2):
        asked.append(rates_now)
        seen = np.zeros((3, len(steps), len(rates_now), 5))
        for number, rate in enumerate(rates_now):
            goes_on = len(asked) > 1 or rate in (0.4, 0.5)
            seen[:, -1, number] = ends[rates.index(rate)] if goes_on else np.nan
        return tuple(seen)

    monkeypatch.setattr(matrix, "follow", follow)
    found = matrix.compared(None, rates)
    assert asked == [rates, [0.3], [0.2], [0.1]]
    assert found["best"]["2000"]["rate"] == 0.2
    assert found["accuracy_by_rate"]["2000"] == [[end] * 5 for end in ends]


def test_both_neighbours_of_the_best_are_asked_for_and_none_beyond_the_ends():
    nothing = np.full(5, np.nan)
    assert matrix.untried(np.array([nothing, np.ones(5), nothing, nothing])) == [0, 2]
    assert matrix.untried(np.array([np.ones(5), np.zeros(5), nothing])) == []


def test_readings_before_training_are_those_of_the_library():
    found = long_runs.entry("residual", "B")
    profile = remedies.profile(remedies.treat("B", "residual"))
    assert found.verdict == profile.verdict
    assert found.powers == pytest.approx(np.median(np.log10(profile.delta[:, 0] / profile.delta[:, -1])), rel=1e-3)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"topic: got 'weather', wanted one of .*matrix"):
        long_runs.stored("weather")
    with pytest.raises(ValueError, match="remedy: got 'prayer'"):
        long_runs.curve("prayer", "A")
    with pytest.raises(ValueError, match="patient: got 'C'"):
        long_runs.curve("none", "C")
    with pytest.raises(ValueError, match="budget: got 300, wanted 200 or 2000"):
        long_runs.curve("none", "A", 300)


class Topic:
    """A topic of the command whose runs count how often they are made."""

    ABOUT = "two numbers"

    def __init__(self):
        self.made = []

    def tasks(self):
        return {key: lambda key=key: self.run(key) for key in ("one", "two")}

    def run(self, key):
        self.made.append(key)
        if key == "two" and len(self.made) < 3:
            raise KeyboardInterrupt
        return {"values": storing.rounded(np.array([1 / 3, np.nan]))}


def test_the_command_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    topic = Topic()
    monkeypatch.setattr(storing, "FOLDER", tmp_path)
    monkeypatch.setattr(command.importlib, "import_module", lambda name: topic)
    monkeypatch.setattr(command, "TOPICS", ("numbers",))
    with pytest.raises(KeyboardInterrupt):
        command.main(["numbers"])
    assert list(storing.read("numbers")) == ["one"]
    command.main(["numbers"])
    assert topic.made == ["one", "two", "two"]
    assert json.loads((tmp_path / "numbers.json").read_text("utf-8"))["runs"]["two"] == {"values": [0.3333, None]}
    command.main(["numbers", "--only", "one", "--again"])
    assert topic.made == ["one", "two", "two", "one"]
    assert "1/1  one" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]


def test_the_command_refuses_what_it_does_not_know(capsys):
    with pytest.raises(SystemExit):
        command.main(["weather"])
    assert "topic: got weather" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="'A prayer' is no run of matrix"):
        command.main(["matrix", "--only", "A prayer"])
