"""Assignments as software: every answer loses exactly what it should.

The checks run on the judge's own trusted side and every value crosses its wire. Only the process around the student's
functions is missing: it would import the frameworks anew for each of a hundred answers. test_judged.py has it.
"""

import pytest
from answers import BOOK, NAMES, Here, assignment, looks_at, lost, mutants, mutated, reference, submission

from workshop.grading import judge
from workshop.release import Master, problems, stale

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings cost a student nothing, so they cost nothing here
SEED = 20


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_there_are_enough():
    kinds = [kind for name in NAMES for kind in Master(BOOK, name).kinds()]
    assert len(NAMES) >= 4
    assert kinds.count("hidden check") >= 10
    assert kinds.count("answer") >= len(NAMES)


def test_masters_are_fit_for_release_and_in_step(name):
    assert problems(Master(BOOK, name)) == []
    assert stale(Master(BOOK, name)) == ""


def test_every_assignment_has_both_frameworks_and_a_written_answer(name):
    solutions = "\n".join(reference(name).values())
    assert "import torch" in solutions
    assert "import tf" in solutions
    assert assignment(name).written


def test_the_table_at_the_top_adds_up(name):
    whole = assignment(name)
    rows = [line.split("|") for line in Master(BOOK, name).text.splitlines() if line.startswith("| ")]
    stated = sum(int(row[-2]) for row in rows if row[1].strip().isdigit() and row[-2].strip().isdigit())
    assert stated == sum(check.points for check in whole.checks) + sum(whole.written.values())


def test_every_check_looks_at_one_cell(name):
    """So an error in one task costs that task alone, and mutants of several tasks may share a submission."""
    assert all(len(cells) == 1 for cells in looks_at(name).values())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_reference_earns_everything(name, seed):
    assert lost(name, reference(name), seed=seed) == {}


def test_a_solved_notebook_runs_from_top_to_bottom(name, capsys):
    """What a student sees: one namespace, the public tests in between, no grading package, no output."""
    space = {"__name__": "__main__"}
    for cell in submission(name, reference(name)).cells:
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", []):
            exec(compile(cell.source, f"<{name}>", "exec"), space)
    assert capsys.readouterr().out == ""


def test_the_stub_earns_nothing(name):
    assert set(lost(name, {}, seed=SEED)) == {check.grade_id for check in assignment(name).checks}


def test_right_answers_earn_everything(name):
    right = mutants(name).RIGHT
    assert len(right) >= 2
    for label, sources in right.items():
        assert lost(name, reference(name) | sources, seed=SEED, only=set(sources)) == {}, label
    assert set().union(*right.values()) == set(reference(name)), "every task has been solved in another way"


def test_wrong_answers_lose_exactly_what_they_should(name):
    surprises = {}
    for label, (cell, old, new, loses) in mutants(name).WRONG.items():
        found = lost(name, reference(name) | {cell: mutated(name, cell, old, new)}, seed=SEED, only={cell})
        if set(found) != loses:
            surprises[label] = {"also lost": {c: found[c] for c in set(found) - loses}, "kept": loses - set(found)}
    assert surprises == {}


def test_every_check_is_killed_by_a_wrong_answer(name):
    killed = set().union(*(loses for _, _, _, loses in mutants(name).WRONG.values()))
    assert killed == {check.grade_id for check in assignment(name).checks}


def test_a_threshold_a_little_off_costs_a_part_of_the_point():
    """One healthy network in six has an update above 0.02; steps that are too large have one above 4."""
    cell = mutated("clinic", "diagnose", '["update"].max() > 0.3', '["update"].max() > 0.02')
    side = judge.trusted(assignment("clinic"))
    student = Here("clinic", reference("clinic") | {"diagnose": cell})
    space = side.bound(student)
    step = next(check for check in assignment("clinic").checks if check.grade_id == "diagnose-step")
    points = [side.check(step, space, student, seed).points for seed in range(8)]
    assert set(points) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert 0.2 < sum(points) / 8 < 0.9
