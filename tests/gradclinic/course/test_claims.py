"""The ledger: every verdict is the one that its experiment gives, and no other verdict would pass."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradclinic import activations
from gradclinic.course import claims
from gradclinic.course.claims import LEDGER, SOURCES, VERDICTS, Case, Claim, judge
from gradclinic.course.claims.claim import entry

HELD, FAILED = Case("here", True, "1"), Case("there", False, "0")


@pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim.id)
def test_the_verdict_is_what_is_measured_and_every_other_verdict_fails(claim):
    cases = claim.check()
    assert len(cases) >= 2, "a verdict rests on at least two situations"
    assert len({case.situation for case in cases}) == len(cases)
    assert all(case.measured for case in cases)
    for other in set(VERDICTS) - {claim.verdict}:
        with pytest.raises(AssertionError, match=f"{claim.id}: the ledger says {other}, the experiment says"):
            replace(claim, verdict=other).check()


@pytest.mark.parametrize(
    ("cases", "universal", "verdict"),
    [
        ([HELD, HELD], False, "true"),
        ([HELD, HELD], True, "true"),
        ([HELD, FAILED], False, "conditional"),
        ([HELD, FAILED], True, "false"),
        ([FAILED, FAILED], False, "false"),
        ([FAILED], True, "false"),
    ],
)
def test_the_verdict_follows_from_the_situations(cases, universal, verdict):
    assert judge(cases, universal=universal) == verdict


def test_nothing_tried_gives_no_verdict():
    with pytest.raises(ValueError, match="cases: got none"):
        judge([])


def test_a_failing_check_says_what_was_measured():
    claims_ = []
    entry(claims_, "S0-x", statement="x", verdict="true", why="y", page="why/x")(lambda: [HELD, FAILED])
    with pytest.raises(AssertionError, match=r"S0-x: .* conditional\n  holds: here: 1\n  fails: there: 0"):
        claims_[0].check()


def test_an_experiment_runs_once_also_for_copies():
    runs = []
    claim = Claim("S0-x", "S0", "x", "false", "y", "why/x", lambda: runs.append(1) or [FAILED])
    claim.check()
    replace(claim, why="z").check()
    assert runs == [1]


@pytest.mark.parametrize(("field", "value"), [("source", "S9"), ("verdict", "maybe")])
def test_a_claim_of_no_known_kind_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}: got '{value}', wanted one of"):
        replace(LEDGER[0], **{field: value})


def test_identifiers_are_unique_and_name_their_source():
    assert len({claim.id for claim in LEDGER}) == len(LEDGER)
    assert [claim.source for claim in LEDGER] == sorted((c.source for c in LEDGER), key=SOURCES.index)
    for claim in LEDGER:
        assert claim.id.startswith(f"{claim.source}-")
        assert claim.id.replace("-", "").isalnum()
        assert "\n" not in claim.why
        assert len(claim.why) < 130
        assert claim.source == "belief" or claim.quote or claim.mark


def test_importing_the_ledger_loads_nothing_heavy():
    code = (
        "import sys, gradclinic.course.claims; names = {m.partition('.')[0] for m in sys.modules}; "
        "assert not names & {'torch', 'tensorflow', 'keras', 'matplotlib'}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def literal_verdicts(source):
    """Lines on which a situation is said to hold or to fail without anything having been computed."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Case"
        for argument in node.args[1:2]
        if not any(isinstance(part, ast.Name) for part in ast.walk(argument))
    ]


@pytest.mark.parametrize("path", sorted(Path(claims.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_whether_a_sentence_holds_is_always_computed(path):
    assert literal_verdicts(path.read_text(encoding="utf-8")) == []


def test_the_check_of_literal_verdicts_can_fail():
    assert literal_verdicts("x = Case('here', True, '1')") == [1]
    assert literal_verdicts("x = Case('here', x > 0, '1')") == []


@pytest.mark.parametrize(
    ("name", "derivative", "ids"),
    [
        (
            "sigmoid",
            lambda right: lambda z: 2 * right(z),
            ["S0-max-slope", "S0-chain-formula", "S0-small-weights-vanish", "S4-final-table"],
        ),
        ("relu", lambda right: lambda z: 0 * z + 1, ["S0-relu-slope-one", "S1-relu-left-side"]),
    ],
)
def test_a_wrong_slope_in_the_library_is_caught(monkeypatch, name, derivative, ids):
    right = activations.ACTIVATIONS[name]
    monkeypatch.setitem(activations.ACTIVATIONS, name, replace(right, derivative=derivative(right.derivative)))
    by_id = {claim.id: claim for claim in LEDGER}
    for key in ids:
        claim = by_id[key]
        found = judge(tuple(claim.experiment()), universal=claim.universal)
        assert found != claim.verdict, key
