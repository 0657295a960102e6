"""What grades is what is tested: two submissions of each assignment through the whole judge, sandbox included."""

import pytest
from answers import BOOK, NAMES, assignment, batch, reference, submission

from workshop.grading import judge
from workshop.release import Master


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_and_a_batch_of_wrong_answers(name):
    master = Master(BOOK, name).notebook
    best = judge.grade(master, submission(name, reference(name)), seed=7)
    assert (best.failed, best.status, best.skipped) == (set(), "ok", [])
    assert sum(best.points.values()) == sum(check.points for check in assignment(name).checks)
    wrong, loses = batch(name)
    assert judge.grade(master, submission(name, reference(name) | wrong), seed=7).failed == loses
