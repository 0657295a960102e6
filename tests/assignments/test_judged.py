"""What grades is what is tested: two submissions of each assignment through the whole judge, sandbox included."""

import pytest
from answers import BOOK, ISOLATION, NAMES, assignment, batch, reference, submission

from workshop.grading import judge, server
from workshop.grading.assignment import Assignment
from workshop.grading.sandbox import Limits
from workshop.release import Master


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_and_a_batch_of_wrong_answers(name):
    master = Master(BOOK, name).notebook
    best = judge.grade(master, submission(name, reference(name)), seed=7, isolation=ISOLATION)
    assert (best.failed, best.status, best.skipped) == (set(), "ok", [])
    assert sum(best.points.values()) == sum(check.points for check in assignment(name).checks)
    wrong, loses = batch(name)
    assert judge.grade(master, submission(name, reference(name) | wrong), seed=7, isolation=ISOLATION).failed == loses


@pytest.mark.parametrize("name", NAMES)
def test_marks_do_not_depend_on_the_process(name, monkeypatch):
    """Two judges of their own, other hash seeds, another order: in one of them nothing has run before."""
    master = Master(BOOK, name).notebook
    wrong, _ = batch(name)
    task = {"master": Assignment(master).portable(), "seed": 7, "isolation": ISOLATION, "limits": vars(Limits())}
    handed_in = {"right": submission(name, reference(name)), "wrong": submission(name, reference(name) | wrong)}
    marks = []
    for seed, order in (("1", ["right", "wrong"]), ("2", ["wrong", "right"])):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        answers = {key: server.judge(task | {"key": key, "submission": handed_in[key]}) for key in order}
        server.dismiss()
        marks.append({key: answers[key]["items"] for key in sorted(answers)})
    assert marks[0] == marks[1]
