"""The time of a plan, from a few subsets that are timed."""

import itertools
from pathlib import Path

import pytest
from prepared import make_scans
from trained import CPU, TINY

from lfranker.planning import time_estimate
from lfranker.planning.time_estimate import (
    ALL_TIMED,
    TimeEstimate,
    as_clock,
    costs,
    scoring_seconds,
    to_time,
)

LOSSES = [f"l{n}" for n in range(6)]
SUBSETS = [s for size in range(1, 7) for s in itertools.combinations(LOSSES, size)]
SECONDS = {name: 0.01 * (n + 1) for n, name in enumerate(LOSSES)}
BASE = 0.2


def true(subset: tuple[str, ...]) -> float:
    return BASE + sum(SECONDS[name] for name in subset)


def test_few_subsets_are_all_timed_and_taken_as_they_are() -> None:
    few = SUBSETS[:ALL_TIMED]
    assert to_time(few) == few
    odd = {subset: float(n + 1) for n, subset in enumerate(few)}  # nothing that adds up
    assert costs(odd, few) == odd


def test_of_many_subsets_the_first_and_the_last_of_each_size_are_timed() -> None:
    chosen = to_time(SUBSETS)
    assert len(chosen) == len(set(chosen)) == 2 * 5 + 1
    assert {("l0",), ("l5",), ("l0", "l1"), ("l4", "l5"), tuple(LOSSES)} < set(chosen)
    combined = [subset for subset in SUBSETS if len(subset) > 1]
    assert set(to_time(combined)) == set(chosen) - {("l0",), ("l5",)}, "nothing beyond the plan"


def test_the_total_is_exact_where_losses_add_up_whichever_is_dear() -> None:
    for dear in LOSSES:
        seconds = {s: BASE + (3.0 if dear in s else 0.0) for s in SUBSETS}
        found = costs({s: seconds[s] for s in to_time(SUBSETS)}, SUBSETS)
        assert list(found) == SUBSETS
        assert sum(found.values()) == pytest.approx(sum(seconds.values()), rel=1e-9)
        assert all(found[subset] == seconds[subset] for subset in to_time(SUBSETS))
    pairs = costs({("l0", "l1"): 2.0, ("l4", "l5"): 4.0}, [("l0", "l1"), ("l0", "l5")])
    assert pairs == {("l0", "l1"): 2.0, ("l0", "l5"): 3.0}


def test_the_total_is_shared_by_the_jobs_but_not_below_one_training() -> None:
    found = {("mae",): 0.5, ("mae", "mse"): 1.0}
    assert TimeEstimate(found, 2, 1, 10, 1, 3.0).total == (5 + 3) + (10 + 3)
    assert TimeEstimate(found, 2, 4, 10, 2, 3.0).total == 4 * 21 / 2
    more = TimeEstimate(found, 2, 4, 10, 2, 3.0, more=6)  # each as dear as the dearest: 13
    assert more.total == (4 * 21 + 6 * 13) / 2
    assert more.longest == (4 * 26 + 6 * 13) / 2
    assert "up to 6 more after the ranking" in str(more)
    assert TimeEstimate(found, 2, 1, 10, 8, 3.0).total == 13.0
    branched = TimeEstimate(found, 2, 1, 10, 1, 3.0, in_branches=2)
    assert branched.total == (6 + 3) + (12 + 3)
    assert str(branched).startswith("2 trainings of 10 steps and 2 in shorter branches, 1 at once:")


def test_scoring_takes_as_long_as_all_pairs_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six pairs, each of which takes half a second."""
    now = itertools.count(step=0.5)
    monkeypatch.setattr(time_estimate, "perf_counter", lambda: next(now))
    assert scoring_seconds(TINY, make_scans(tmp_path), CPU) == 6 * 0.5


def test_a_small_plan_is_told_line_by_line() -> None:
    small = str(TimeEstimate({("mae",): 0.5, ("mae", "mse"): 1.0}, 2, 2, 10, 1, 3.0))
    assert small.splitlines()[0] == "4 trainings of 10 steps, 1 at once:"
    assert str(TimeEstimate({("mae",): 0.5}, 1, 1, 4, 1, 0.0)).startswith("1 training of 4 steps")
    assert "  mae+mse                            1.000 s a step" in small
    *_, time, rest = small.splitlines()
    assert time == "about 0:00:42 for all, if nothing is finished yet"  # 2 * (8 + 13)
    assert rest == "then filters are scored, and the losses are ranked"


def test_a_large_plan_is_told_by_size_and_how_far_off_it_may_be() -> None:
    found = costs({s: true(s) for s in to_time(SUBSETS)}, SUBSETS)
    estimate = TimeEstimate(found, 11, 1, 100, 2, 12.0)
    large = str(estimate).splitlines()
    assert large[0] == "63 trainings of 100 steps, 2 at once:"
    assert len(large) == 1 + 6 + 1 + 1 + 1
    # pairs: the two timed cost .03 and .11 more than the network, so do the others in the mean
    seconds = 15 * (100 * (BASE + 0.07) + 12)
    assert f"15 subsets of 2: about 0.270 s a step, {as_clock(seconds)} one after" in large[2]
    assert "11 subsets timed" in large[-3]
    assert f"about {as_clock(estimate.total)} for all, if nothing is finished yet; " in large[-2]
    slowest = (63 * (100 * true(tuple(LOSSES)) + 12)) / 2
    assert f"; {as_clock(slowest)} if all took as long as the slowest" in large[-2]


def test_each_noise_takes_the_time_of_all_subsets() -> None:
    found = {("mae",): 0.5, ("mae", "mse"): 1.0}
    estimate = TimeEstimate(found, 2, 2, 10, 1, 3.0, noises=3)
    assert estimate.total == 3 * TimeEstimate(found, 2, 2, 10, 1, 3.0).total
    assert str(estimate).startswith("12 trainings of 10 steps, 1 at once, each subset on 3 noises:")
    assert "noises" not in str(TimeEstimate(found, 2, 2, 10, 1, 3.0))
