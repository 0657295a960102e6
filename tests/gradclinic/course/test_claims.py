"""The ledger: every verdict is the one that its experiment gives, and no other verdict would pass."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradclinic import activations
from gradclinic.course import claims
from gradclinic.course.claims import LEDGER, SOURCES, VERDICTS, Case, Claim, Sentence, judge, sentences
from gradclinic.course.claims.claim import entry
from gradclinic.course.claims.words import ASIDE, HEDGES, UNIVERSAL, read, whole_clauses

HELD, FAILED = Case("here", True, "1"), Case("there", False, "0")
SENTENCES = {name: value for name, value in vars(sentences).items() if isinstance(value, Sentence)}


@pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim.id)
def test_the_verdict_is_what_is_measured_and_every_other_verdict_fails(claim):
    cases = claim.check()
    assert len(cases) >= (3 if claim.verdict == "true" else 2), "a true needs three situations, another verdict two"
    assert len({case.situation for case in cases}) == len(cases)
    assert all(case.measured for case in cases)
    for other in set(VERDICTS) - {claim.verdict}:
        with pytest.raises(AssertionError, match=f"{claim.id}: the ledger says {other}, the experiment says"):
            replace(claim, verdict=other).check()
    held, tried = claim.held
    with pytest.raises(AssertionError, match=f"the ledger says held in {held + 1} of {tried}, it held in {held}"):
        replace(claim, held=(held + 1, tried)).check()


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


@pytest.mark.parametrize(
    ("sentence", "kind", "words"),
    [
        ("最后乘积的结果可能趋于0", "hedged", ("可能",)),
        ("梯度值是不可能超过 0.25 的", "universal", ("不可能",)),  # not the hedge 可能 inside it
        ("这时候很可能是大多数参数都不变了", "hedged", ("很可能",)),
        ("也可以在一定程度上限制梯度爆炸的发生", "hedged", ("可以", "一定程度")),
        ("可以看出,梯度变大", "plain", ()),  # what the author sees is no hedge
        ("因此我们可以得到|w|<1/4", "plain", ()),
        ("跨层连接的分支 X 的梯度始终为 1", "universal", ("始终",)),
        ("无论怎么训练w0都不会怎么变化", "universal", ("无论", "不会")),
        ("很可能会遇到无论怎么训练损失函数都不变化的情况", "hedged", ("很可能",)),  # a hedge comes first
        ("无论是梯度消失还是梯度爆炸,都是源于网络结构太深", "plain", ()),  # two named things, not every situation
        ("残差学习相比原始特征的直接学习更加容易", "plain", ()),  # "easier" is not "easily"
        ("就很容易出现梯度消失的问题", "hedged", ("容易",)),
        ("也就是梯度消失", "plain", ()),
        ("选择过小的话会导致梯度消失", "plain", ()),
        ("∂f2/∂x=(∂f2/∂f1)x", "universal", ("=",)),
        ("ReLU-like slopes are at most 1", "universal", ("are",)),
        ("gated networks cannot explode", "universal", ("cannot",)),
        ("it can often be so, in any case", "hedged", ("can", "often")),
        ("it will be likely to stay the same for any layer", "hedged", ("likely",)),
        ("unlikely ways are all the same", "universal", ("are", "all", "the same")),
        ("this analysis scans many companies", "plain", ()),  # words are whole: no is, can or any inside others
        ("transformers need warm-up", "plain", ()),
    ],
)
def test_hedges_and_universal_words_are_read(sentence, kind, words):
    assert read(sentence) == (kind, words)


def test_no_word_stands_in_two_lists():
    listed = [*HEDGES, *UNIVERSAL, *ASIDE]
    assert len(set(listed)) == len(listed)
    assert all(read(word).kind == "hedged" for word in HEDGES)
    assert all(read(word).kind == "universal" for word in UNIVERSAL)
    assert all(read(word).kind == "plain" for word in ASIDE)


@pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim.id)
def test_whether_a_sentence_claims_no_exception_is_read_from_the_quotation_itself(claim):
    if claim.said:
        assert claim.said in SENTENCES.values()
        assert claim.reading == read(claim.part or claim.said.chinese)
        assert not claim.part or whole_clauses(claim.part, claim.said.chinese)
    if claim.override is None:
        assert claim.universal == (claim.reading.kind == "universal")
    else:
        assert claim.override != (claim.reading.kind == "universal"), "an override that changes nothing"
        assert len(claim.reason) > 20
    if claim.verdict == "false" and claim.held[0]:
        assert claim.universal, "what claims some exception is conditional where it holds somewhere"


def test_every_sentence_is_settled_and_belongs_to_its_source():
    used = {claim.said for claim in LEDGER}
    parts = {"S0_BELOW", "S0_ABOVE", "S3_VANISHING"}  # of sentences that stand together
    assert {name for name, sentence in SENTENCES.items() if sentence not in used} <= parts
    names = {sentence: name for name, sentence in SENTENCES.items()}
    for claim in LEDGER:
        assert not claim.said or names[claim.said].startswith(claim.source)
        assert bool(claim.said) or claim.source in ("paper", "belief") or claim.mark


def test_a_part_cuts_no_clause():
    quote = "如果连乘的因子大部分小于1,最后乘积的结果可能趋于0,也就是梯度消失."
    assert whole_clauses("最后乘积的结果可能趋于0", quote)
    assert whole_clauses("最后乘积的结果可能趋于0,也就是梯度消失.", quote)
    assert whole_clauses("如果连乘的因子大部分小于1 … 也就是梯度消失", quote)
    for cut in ("趋于0", "最后乘积的结果", "", "最后 … 也就是梯度消失", "not in it"):
        assert not whole_clauses(cut, quote)
    said = Sentence(quote, "")
    with pytest.raises(ValueError, match="part: got '趋于0', wanted a run of whole clauses"):
        Claim("S0-x", "S0", "x", "false", "y", "why/x", lambda: [FAILED], said=said, part="趋于0")


@pytest.mark.parametrize("fields", [{"override": True}, {"override": False}, {"reason": "because"}])
def test_an_override_needs_a_reason_and_a_reason_an_override(fields):
    with pytest.raises(ValueError, match="an override and its reason stand together"):
        Claim("S0-x", "S0", "x", "false", "y", "why/x", lambda: [FAILED], **fields)


@pytest.mark.parametrize("source", [source for source in SOURCES if source != "belief"])
def test_a_word_of_ours_makes_no_sentence_of_a_source_universal(source):
    fields = ("y", "why/x", lambda: [HELD, FAILED])
    with pytest.raises(ValueError, match=f"{source}-x: is is a word of ours"):
        Claim(f"{source}-x", source, "this is so", "false", *fields)
    said = Sentence("梯度变大一点点", "the gradient grows a little")
    assert not Claim(f"{source}-x", source, "this is so", "conditional", *fields, said=said).universal
    own = Sentence("梯度始终变大", "the gradient always grows")
    assert Claim(f"{source}-x", source, "this may be so", "false", *fields, said=own).universal
    stated = {"override": True, "reason": "its title says so"}
    assert Claim(f"{source}-x", source, "this may be so", "false", *fields, **stated).universal
    assert not Claim(f"{source}-x", source, "this may be so", "conditional", *fields).universal
    assert Claim("belief-x", "belief", "this is so", "false", *fields).universal


def test_every_word_that_ends_a_sentence_of_a_source_stands_in_its_quotation():
    for claim in LEDGER:
        if claim.source != "belief" and claim.universal and claim.override is None:
            assert claim.reading.words, claim.id
            assert all(word in claim.quote for word in claim.reading.words), claim.id


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
    text = path.read_text(encoding="utf-8")
    assert literal_verdicts(text) == []
    assert len(text.splitlines()) <= 500


def test_the_check_of_literal_verdicts_can_fail():
    assert literal_verdicts("x = Case('here', True, '1')") == [1]
    assert literal_verdicts("x = Case('here', x > 0, '1')") == []


@pytest.mark.parametrize(
    ("name", "derivative", "ids"),
    [
        (
            "sigmoid",
            lambda right: lambda z: 2 * right(z),
            ["S0-max-slope", "S0-chain-formula", "S0-small-weights-vanish", "S3-gradient-below-quarter"],
        ),
        ("relu", lambda right: lambda z: 0 * z + 1, ["S0-relu-slope-one", "S1-relu-left-side", "S2-masked-weights"]),
        ("relu", lambda right: lambda z: 0 * z, ["S1-relu-right-side"]),
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
