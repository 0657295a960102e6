"""Reports in words, line by line."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gradclinic.instrument import text
from gradclinic.instrument.readings import Addition, Attention, LayerReading, NonFinite, Report, Watched

LAYER = LayerReading("a", "Linear", activation=1.0, delta=2.0, weight_gradient=0.5, weight=3.0)
REPORT = Report("PyTorch", (LAYER,), 4, loss=2.0, assumed=False)


def group(*values, quantity="delta"):
    return text.Row("", "", tuple(LayerReading("", "", **{quantity: value}) for value in values)).value(quantity)


def test_repeated_blocks_are_shown_by_their_median_and_shares_by_the_largest():
    assert group(1.0, 2.0, 30.0) == 2.0
    assert group(1.0, None, 3.0) == 2.0
    assert group(None) is None
    assert group(None, None) is None
    assert group(5.0) == 5.0
    assert group(1.0, math.inf, 2.0) == math.inf  # one bad layer is shown
    for share in ("dead", "saturated"):
        assert group(0.1, 0.9, 0.2, None, quantity=share) == 0.9
        assert group(None, None, quantity=share) is None


def test_what_stands_behind_the_kind_of_a_layer():
    for changes, kind in (
        ({}, "Linear"),
        ({"calls": 2}, "Linear x2"),
        ({"frozen": True}, "Linear frozen"),
        ({"delta": None, "unread": "compiled"}, "Linear not read"),
        ({"calls": 3, "frozen": True}, "Linear x3 frozen"),
    ):
        (row,) = text.rows([replace(LAYER, **changes)])
        assert (row.name, row.kind) == ("a", kind)


def layers(names):
    return [replace(LAYER, name=name) for name in names]


def shown(names, named=()):
    return ["..." if row is None else f"{row.name}: {row.kind}" for row in text.rows(layers(names), named)]


def test_forty_layers_have_a_row_each_and_of_more_repeated_blocks_share_one():
    names = [f"block2.{i}.fc" for i in range(40)]
    assert len(shown(names)) == 40
    assert shown([*names, "head"]) == ["block2.0–39.fc: Linear (40)", "head: Linear"]
    assert shown([*names, "head"], named=["block2.7.fc"]) == [
        "block2.0–39.fc: Linear (39)",
        "block2.7.fc: Linear",
        "head: Linear",
    ]
    others = ["".join(chr(97 + int(d)) for d in f"{i:02d}") for i in range(39)]
    assert shown([*others, "block.0", "block.1"])[-1] == "block.0–1: Linear (2)"
    assert len(shown([*others, "block.0", "block.1"])) == 40  # which need not be cut
    deep = [f"stage.3.block.{i}.fc" for i in range(41)]
    assert shown(deep) == ["stage.3.block.0–40.fc: Linear (41)"]


def test_of_a_table_that_is_still_too_long_the_ends_are_shown_and_what_a_cause_names():
    names = ["".join(chr(97 + int(d)) for d in f"{i:03d}") for i in range(100)]
    all_ = [f"{name}: Linear" for name in names]
    assert shown(names[:41]) == [*all_[:20], "...", *all_[21:41]]
    assert shown(names) == [*all_[:20], "...", *all_[80:]]
    assert shown(names, [names[50]]) == [*all_[:19], "...", all_[50], "...", *all_[81:]]
    assert shown(names, [names[3], names[50], names[60]]) == [*all_[:18], "...", all_[50], all_[60], "...", *all_[82:]]
    many = shown(names, names[30:60])  # at most half of the rows
    assert many == [*all_[:10], "...", *all_[30:50], "...", *all_[90:]]


def test_numbers_of_a_table():
    assert [text.cell(value) for value in (None, 1234.5, math.inf, math.nan)] == ["-", "1.23e+03", "inf", "nan"]
    assert [text.cell(value, share=True) for value in (None, 0.256)] == ["-", "0.26"]
    row = text.rows([replace(LAYER, function="tanh", update=1e-3, weight_scale=1.4, dead=0.5, saturated=0.25)])[0]
    assert text.cells(row) == (
        *("a", "Linear", "1.00e+00", "tanh", "2.00e+00", "5.00e-01", "1.00e-03", "1.40e+00", "0.50", "0.25"),
    )
    assert text.cells(text.rows([LAYER])[0])[3] == "-"
    assert text.cells(None) == ("...", *[""] * 9)


def test_words_stand_at_the_left_and_numbers_at_the_right():
    lines = str(
        Report("PyTorch", (LAYER, replace(LAYER, name="longer", kind="Conv2d", function="relu")), 4)
    ).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("layer"))
    assert lines[head : head + 4] == [
        "layer   kind    activation  function     delta     dC/dW  update  weight std*  dead  saturated",
        "a       Linear    1.00e+00  -         2.00e+00  5.00e-01       -            -     -          -",
        "longer  Conv2d    1.00e+00  relu      2.00e+00  5.00e-01       -            -     -          -",
        "* times the root of fan-in: 1.41 is He's scheme, 1 LeCun's",
    ]
    assert lines[0] == "PyTorch, 2 layers, batch of 4"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"assumed": True}, "update: for plain gradient descent at lr = 1, since neither lr nor optimizer was given"),
        ({"scale": 1024.0}, "the loss was scaled by 1024; gradients here are those of the loss itself"),
        ({"skipped": True}, "the loss scaler skipped this step, as it does while it looks for its scale"),
        (
            {"additions": (Addition("", 1.0, 9.0, 8.0), Addition("", 2.0, 9.0, 7.0), Addition("", 3.0, 9.0, 4.0))},
            "3 skip connections: rms of the stream 1 before the first, 4 after the last",
        ),
        (
            {"attentions": (Attention("", 5.0, 0.5), Attention("", 3.0, 0.25))},
            "2 attentions: largest score 5, least entropy 25%",
        ),
        ({"neighbours": (0.5, 0.1)}, "nearest neighbours share a label: 50% of the samples, by chance 10%"),
        ({"unused": tuple("abcdef")}, "the loss does not depend on: a, b, c, d, e, f"),
        ({"unused": tuple("abcdefgh")}, "the loss does not depend on: a, b, c, d, e, f and 2 more"),
        ({"notes": ("why",)}, "not read: why"),
    ],
)
def test_what_stands_below_the_table(changes, line):
    assert text.facts(REPORT) == []
    assert text.facts(replace(REPORT, **changes)) == [line]


def test_the_loss_in_words():
    assert text.loss_line(REPORT) == "loss 2"
    made = replace(REPORT, loss_guess=2.5, loss_after=1.5, lr=0.1)
    assert text.loss_line(made) == "loss 2 (guessing costs 2.5); 1.5 on the same batch after one step (lr 0.1)"
    assert text.loss_line(replace(made, loss_guess=None, optimizer="Adam", lr=None)) == (
        "loss 2; 1.5 on the same batch after one step (Adam)"
    )


def test_the_verdict_and_numbered_causes_in_lines_of_at_most_110_signs():
    assert text.judgement(REPORT) == ["verdict: healthy", "no cause stands out"]
    broken = replace(REPORT, first_nonfinite=NonFinite("loss", "", "nan"), foreign=2)
    lines = text.judgement(broken)
    assert lines[:2] == ["verdict: non-finite", "first nan in the loss"]
    assert lines[2].startswith("1. ")
    assert any(line.startswith("2. ") for line in lines)
    assert lines[3].startswith("   ")
    longest = []
    for width in range(1, 30):
        dead = replace(LAYER, name="x" * width, function="relu", dead=0.9)
        longest.append(max(map(len, text.judgement(replace(REPORT, layers=(dead,))))))
    assert max(longest) == text.WIDTH == 110


def test_layers_that_causes_point_at():
    dead = replace(LAYER, name="x", function="relu", dead=0.9)
    assert text.named(replace(REPORT, layers=(LAYER, dead))) == ["x"]


def watched(**more):
    later = Report("PyTorch", (replace(LAYER, delta=0.5, dead=0.1), replace(LAYER, name="b")), 4)
    return Watched((3, 5), (REPORT, later), 9, **more)


def test_the_head_of_a_run():
    assert text.run_head(Watched((0,), (REPORT,), 1)) == ["PyTorch, 1 steps, 1 sampled: 0 to 0"]
    assert text.run_head(watched()) == ["PyTorch, 9 steps, 2 sampled: 3 to 5"]
    assert text.run_head(watched(losses={5: 1.0, 3: 2.0, 4: 9.0}))[1:] == ["loss 2 at step 3, 1 at step 5"]
    assert text.run_head(watched(clipped=(2, 3)))[1:] == ["clipped by norm: 2 of 3 steps"]


def test_what_adam_expected_and_steps_that_were_skipped():
    quiet, loud = (Report("PyTorch", (replace(LAYER, adam_rms=a), LAYER), 4) for a in (1.0, 4.0))
    run = Watched((0, 1, 2), (quiet, replace(loud, skipped=True), quiet), 3)
    assert text.run_head(run)[1:] == [
        "gradient over what Adam expects (usually 1): median 1, largest 4 (a, step 1)",
        "skipped by the loss scaler: step 1",
    ]
    assert text.run_head(replace(run, reports=(replace(quiet, skipped=True),) * 3))[-1].endswith("step 0, 1, 2")


def test_where_the_verdict_changed():
    ill = replace(REPORT, first_nonfinite=NonFinite("loss", "", "nan"))
    run = Watched((0, 1, 2, 3), (REPORT, REPORT, ill, REPORT), 4)
    assert text.turns(run) == "verdict by step  0: healthy, 2: non-finite, 3: healthy"


def test_a_run_from_its_first_to_its_last_sampled_step():
    assert text.run_cells(watched()) == [
        ("layer", "activation", "delta", "update", "dead", "saturated"),
        ("a", "1.00e+00 -> 1.00e+00", "2.00e+00 -> 5.00e-01", "-", "- -> 1.00e-01", "-"),
        ("b", "- -> 1.00e+00", "- -> 2.00e+00", "-", "-", "-"),
    ]
    between = replace(REPORT, layers=(replace(LAYER, delta=9.0),))
    three = Watched((0, 1, 2), (REPORT, between, replace(REPORT, layers=(replace(LAYER, delta=0.5),))), 3)
    assert text.run_cells(three)[1][2] == "2.00e+00 -> 5.00e-01"
    long = [Report("PyTorch", tuple(layers("".join(chr(97 + int(d)) for d in f"{i:02d}") for i in range(60))), 4)] * 2
    cells = text.run_cells(Watched((0, 1), tuple(long), 2))
    assert len(cells) == 42
    assert cells[21] == ("...", "", "", "", "", "")


def test_a_run_in_words():
    noted = replace(REPORT, notes=("why",))
    run = Watched((0, 1), (noted, noted), 2, nonfinite_step=1, first_nonfinite=NonFinite("loss", "", "nan"))
    lines = text.run(run).splitlines()
    assert lines[0] == "PyTorch, 2 steps, 2 sampled: 0 to 1"
    assert lines[2].split() == ["layer", "activation", "delta", "update", "dead", "saturated"]
    assert lines[3].startswith("a      1.00e+00 -> ")
    assert lines.count("not read: why") == 1
    assert "first nan in the loss (step 1)" in lines
    assert lines[-1].startswith("no cause") or lines[-1].startswith("   ") or lines[-1][0].isdigit()


def test_a_comparison_by_factors():
    gone = replace(LAYER, name="gone", function="relu", dead=0.9)
    before = replace(REPORT, layers=(LAYER, gone, replace(LAYER, name="z", delta=0.0, weight=None)))
    after = Report(
        "PyTorch", (replace(LAYER, delta=6.0), replace(LAYER, name="z"), replace(LAYER, name="new")), 4, loss=1.0
    )
    after = replace(after, foreign=2, assumed=False)
    assert text.comparison(before, after).splitlines() == [
        "layer  activation x  delta x  weight_gradient x  weight x",
        "a                 1        3                  1         1",
        "z                 1        -                  1         -",
        "",
        "loss 2 -> 1",
        f"verdict {before.verdict} -> healthy",
        "no longer: dead units",
        "new: layers that the model does not know",
        "in one of the two only: gone, new",
    ]
    same = text.comparison(REPORT, REPORT).splitlines()
    assert same[-2:] == ["loss 2 -> 2", "verdict healthy -> healthy"]
    missing = replace(REPORT, layers=(replace(LAYER, delta=None),))
    assert text.comparison(REPORT, missing).splitlines()[1].split() == ["a", "1", "-", "1", "1"]


def test_a_long_comparison_leaves_out_the_middle():
    names = ["".join(chr(97 + int(d)) for d in f"{i:02d}") for i in range(60)]
    long = replace(REPORT, layers=tuple(layers(names)))
    lines = text.comparison(long, long).splitlines()
    assert lines[21] == "..."
    assert len(lines[:41]) == 41
    assert lines[42] == ""
