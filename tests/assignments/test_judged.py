"""What grades is what is tested: two submissions of each assignment through the whole judge, sandbox included.

Two judges of their own, other hash seeds, every order turned round: where nothing has run before in one, everything has
in the other.
"""

import os

import pytest
from answers import BOOK, ISOLATION, NAMES, assignment, batch, reference, submission

from workshop.grading import server
from workshop.grading.assignment import Assignment
from workshop.grading.sandbox import Limits
from workshop.release import Master


def tasks(name):
    """Return the reference and a batch of wrong answers, each as a task of a judge."""
    portable = Assignment(Master(BOOK, name).notebook).portable()
    wrong, _ = batch(name)
    handed_in = {"right": submission(name, reference(name)), "wrong": submission(name, reference(name) | wrong)}
    common = {"master": portable, "seed": 7, "isolation": ISOLATION, "limits": vars(Limits())}
    return [common | {"key": f"{name}, {key}", "submission": notebook} for key, notebook in handed_in.items()]


@pytest.fixture(scope="module")
def judged():
    """Return the answers of each judge by key."""
    asked = [task for name in NAMES for task in tasks(name)]
    answers = []
    for hash_seed, order in (("1", asked), ("2", asked[::-1])):
        before = os.environ.get("PYTHONHASHSEED")
        os.environ["PYTHONHASHSEED"] = hash_seed
        try:
            server.dismiss()
            answers.append({task["key"]: server.judge(task) for task in order})
        finally:
            server.dismiss()
            if before is None:
                del os.environ["PYTHONHASHSEED"]
            else:
                os.environ["PYTHONHASHSEED"] = before
    return answers


def failed(answer):
    """Return the checks that did not earn everything."""
    return {check for check, item in answer["items"].items() if item["points"] < item["max_points"]}


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_and_a_batch_of_wrong_answers(name, judged):
    best, wrong = judged[0][f"{name}, right"], judged[0][f"{name}, wrong"]
    assert (failed(best), best["status"], best["skipped"]) == (set(), "ok", [])
    points = sum(item["points"] for item in best["items"].values())
    assert points == sum(check.points for check in assignment(name).checks)
    _, loses = batch(name)
    assert failed(wrong) == loses


@pytest.mark.parametrize("name", NAMES)
def test_marks_do_not_depend_on_the_process(name, judged):
    for key in (f"{name}, right", f"{name}, wrong"):
        assert judged[0][key]["items"] == judged[1][key]["items"]
