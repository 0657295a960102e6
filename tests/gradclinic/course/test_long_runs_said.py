"""Numbers that pages say in words of the stored runs, without a cell that prints them."""

from __future__ import annotations

import numpy as np
import pytest

from gradclinic.course import long_runs

OF_THE_STEP = ("clipping", "regularization", "adaptive-optimizers", "muon", "gradient-penalty")


def reads(run):
    """The first stored step at which the median of five networks exceeds 0.85."""
    return run.steps[np.argmax(np.median(run.accuracy, axis=1) > 0.85)]


def test_pretraining_is_five_times_as_fast_as_scale_with_offset():
    runs = {
        53: long_runs.entry("pretraining", "A"),
        267: long_runs.variant("A scaled, centred on digits"),
        356: long_runs.variant("A shuffled, centred"),
        683: long_runs.entry("initialization", "A"),
        2000: long_runs.variant("A shuffled"),
    }
    assert [reads(run.long) for run in runs.values()] == list(runs)


@pytest.mark.parametrize("remedy", ["clipping", "regularization", "gradient-penalty"])
def test_where_all_rates_guess_the_three_smallest_went_on(remedy):
    went_on = ~np.isnan(long_runs.entry(remedy, "A").by_rate[long_runs.LONG]).all(axis=1)
    assert list(went_on) == 3 * [True] + 6 * [False]
    assert not np.isnan(long_runs.entry("none", "A").by_rate[long_runs.LONG]).any()


def test_the_profile_said_who_reads_in_42_of_45_rows_and_in_34_of_35_without_those_of_the_step():
    table = long_runs.table()
    del table["relu", "B"]
    kept = {case: (row.verdict == "healthy") == (row.long.final > 0.85) for case, row in table.items()}
    others = [keeps for (remedy, _), keeps in kept.items() if remedy not in OF_THE_STEP]
    assert (sum(kept.values()), len(kept), sum(others), len(others)) == (42, 45, 34, 35)


def test_the_loss_of_the_gate_in_b_is_still_falling():
    loss = np.median(long_runs.table()["highway", "B"].long.loss, axis=1)
    assert np.all(loss[-3:] < 0.75 * loss[-4:-1])


def test_the_same_skips_arrive_earlier_at_the_rate_for_200_steps():
    row = long_runs.entry("residual-normalized", "B")
    assert (reads(row.short), reads(row.long)) == (133, 267)
