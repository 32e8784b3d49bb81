"""The time of a plan, from a few subsets that are timed."""

from itertools import combinations

import numpy as np
import pytest

from lfranker.experiment.time_estimate import ALL_TIMED, Costs, Estimate, as_clock, costs, to_time

LOSSES = [f"l{n}" for n in range(6)]
SUBSETS = [s for size in range(1, 7) for s in combinations(LOSSES, size)]
SECONDS = {name: 0.01 * (n + 1) for n, name in enumerate(LOSSES)}
BASE = 0.2


def true(subset: tuple[str, ...]) -> float:
    return BASE + sum(SECONDS[name] for name in subset)


def test_few_subsets_are_all_timed_and_taken_as_they_are() -> None:
    few = SUBSETS[:ALL_TIMED]
    assert to_time(few) == few
    odd = {subset: float(n + 1) for n, subset in enumerate(few)}  # nothing that adds up
    assert costs(odd, few) == Costs(odd, 0.0, ALL_TIMED)


def test_of_many_subsets_the_single_losses_the_largest_and_a_few_are_timed() -> None:
    chosen = to_time(SUBSETS)
    assert {(name,) for name in LOSSES} < set(chosen)
    assert tuple(LOSSES) in chosen
    assert len(chosen) == len(set(chosen)) <= len(LOSSES) + 5
    hybrids = [s for s in SUBSETS if len(s) > 1]
    assert {(name,) for name in LOSSES} < set(to_time(hybrids)), "though not in the plan"


def test_what_adds_up_is_found_exactly_for_subsets_that_were_not_timed() -> None:
    found = costs({s: true(s) for s in to_time(SUBSETS)}, SUBSETS)
    assert list(found.by_subset) == SUBSETS
    for subset in SUBSETS:
        assert found.by_subset[subset] == pytest.approx(true(subset), rel=1e-9)
    assert found.off == pytest.approx(0, abs=1e-9)


def test_noisy_timings_are_estimated_to_their_noise_and_that_is_said() -> None:
    rng = np.random.default_rng(0)
    timed = {s: true(s) * rng.uniform(0.95, 1.05) for s in to_time(SUBSETS)}
    found = costs(timed, SUBSETS)
    assert 0.005 < found.off < 0.1
    total = sum(map(true, SUBSETS))
    assert sum(found.by_subset.values()) == pytest.approx(total, rel=0.05)


def test_the_total_is_shared_by_the_jobs_but_not_below_one_training() -> None:
    found = Costs({("mae",): 0.5, ("mae", "mse"): 1.0}, 0.0, 2)
    assert Estimate(found, 1, 10, 1, 3.0).total == (5 + 3) + (10 + 3)
    assert Estimate(found, 4, 10, 2, 3.0).total == 4 * 21 / 2
    more = Estimate(found, 4, 10, 2, 3.0, more=6)  # each as dear as the dearest: 13
    assert more.total == (4 * 21 + 6 * 13) / 2
    assert "up to 6 more after the ranking" in str(more)
    assert Estimate(found, 1, 10, 8, 3.0).total == 13.0


def test_a_small_plan_is_told_line_by_line_and_a_large_one_by_size() -> None:
    small = str(Estimate(Costs({("mae",): 0.5, ("mae", "mse"): 1.0}, 0.0, 2), 2, 10, 1, 3.0))
    assert small.splitlines()[0] == "4 trainings of 10 steps, 1 at once:"
    assert "  mae+mse                            1.000 s a step" in small
    assert "about 0:00:42 in all" in small  # 2 * (8 + 13)
    estimate = Estimate(costs({s: true(s) for s in to_time(SUBSETS)}, SUBSETS), 1, 100, 2, 12.0)
    large = str(estimate).splitlines()
    assert large[0] == "63 trainings of 100 steps, 2 at once:"
    assert len(large) == 1 + 6 + 1 + 1
    # pairs: each loss is in 5 of 15; 100 steps
    seconds = 15 * (100 * BASE + 12) + 5 * 100 * sum(SECONDS.values())
    assert f"15 subsets of 2: 0.230 to 0.310 s a step, {as_clock(seconds)}" in large[2]
    assert f"about {as_clock(estimate.total)} in all" in large[-1]


def test_each_noise_takes_the_time_of_all_subsets() -> None:
    found = Costs({("mae",): 0.5, ("mae", "mse"): 1.0}, 0.0, 2)
    estimate = Estimate(found, 2, 10, 1, 3.0, noises=3)
    assert estimate.total == 3 * Estimate(found, 2, 10, 1, 3.0).total
    assert str(estimate).startswith("12 trainings of 10 steps, 1 at once, each subset on 3 noises:")
    assert "noises" not in str(Estimate(found, 2, 10, 1, 3.0))
