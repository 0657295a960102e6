"""The tables of how often the instrument was right count what was stored."""

from workshop.sphinx.instrument_results import by_fault, healthy, planted


def test_readings_of_networks_that_learn_are_counted():
    zoo = {
        "a, start": {"verdict": "healthy", "causes": 0, "learning": True},
        "a, trained": {"verdict": "healthy", "causes": 2, "learning": True},
        "b, deep, start": {"verdict": "vanishing", "causes": 1, "learning": True},
        "b, deep, trained": {"verdict": "exploding", "causes": 9, "learning": False},
    }
    assert [count for _, count in healthy(zoo)] == ["2", "1", "1", "3", "a, trained; b, deep, start"]
    assert healthy({"a, start": zoo["a, start"]})[-1] == ("causes named, each of them wrong", "0")


def test_planted_faults_are_counted():
    faults = {"cut in a": "located", "cut in b": "missed", "nan in a": "found", "nan in b": "located"}
    assert [count for _, count in planted(faults)] == ["4", "2", "3 (75%)", "2 (50%)"]
    assert by_fault(faults) == [("cut", "1 of 2", "b"), ("nan", "2 of 2", "none")]
