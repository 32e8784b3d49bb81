from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from leaderboards import leaderboard

from lfranker.statistics.intervals import Chance, MeanSquares, mean_squares
from lfranker.statistics.true_means import chances_of_beating, chances_of_being_best, true_means


def chances(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, MeanSquares]:
    squares = mean_squares(scores)
    means = true_means(squares, Chance(squares, seed=0), seed=0)
    return chances_of_being_best(squares, means), chances_of_beating(squares, means), squares


def test_chances_add_up_and_of_two_models_are_the_same():
    scores = leaderboard(np.random.default_rng(6), [0.5, 0.0], repeats=5)
    best, beating, _ = chances(scores)
    assert best.sum() == pytest.approx(1)
    assert best.tolist() == pytest.approx(beating[[0, 1], [1, 0]].tolist())
    assert np.diag(beating).tolist() == [0.5, 0.5]


def test_far_apart_models_have_chances_of_one_and_none():
    best, beating, _ = chances(leaderboard(np.random.default_rng(0), [0.0, 90.0, 45.0, 40.0]))
    assert best.tolist() == [0, 1, 0, 0]
    assert beating[1].tolist() == [1, 0.5, 1, 1]


def test_models_without_any_error_are_known_though_sums_round():
    """Differences that are the same at every site and repeat leave rounding, of either sign."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        sites = rng.normal(20, 3, (7, 1)) * np.ones(3)
        best, beating, _ = chances(np.array([1.1, 3.3, 2.7])[:, None, None] + sites)
        assert best.tolist() == [0, 1, 0]
        assert beating[1].tolist() == [1, 0.5, 1]


def test_identical_models_have_the_same_chance():
    alone = leaderboard(np.random.default_rng(7), [0.0, 0.3])
    best, beating, _ = chances(np.repeat(alone, [4, 1], axis=0))
    assert np.ptp(best[:4]) == 0
    assert np.all(beating[:4, :4] == 0.5)
    best, _, _ = chances(np.repeat(alone[:1], 5, axis=0))
    assert best.tolist() == [0.2] * 5


def test_means_are_drawn_towards_each_other_where_they_scatter_as_errors_do():
    """The first and the last of equal models are nearer to each other than they were measured."""
    scores = leaderboard(np.random.default_rng(3), [0.0] * 12)
    squares = mean_squares(scores)
    means = true_means(squares, Chance(squares, seed=0), seed=0)
    assert np.ptp(means.mean(axis=0)) < 0.7 * np.ptp(squares.mean)
    far = leaderboard(np.random.default_rng(3), list(100.0 * np.arange(12)))
    squares = mean_squares(far)
    means = true_means(squares, Chance(squares, seed=0), seed=0)
    assert np.ptp(means.mean(axis=0)) == pytest.approx(np.ptp(squares.mean), rel=0.01)


def with_standard_errors_of_1(means: Sequence[float], sites: int) -> np.ndarray:
    """Scores of models whose errors have the variance 1 to the bit, and no correlation."""
    drawn = np.random.default_rng(0).normal(size=(sites, len(means)))
    # each orthogonal to the others, and with the mean 0
    apart = np.linalg.qr(np.column_stack([np.ones(sites), drawn]))[0].T[1:]
    of_sites = np.sqrt(sites * (sites - 1)) * apart
    return np.asarray((np.asarray(means)[:, None] + of_sites)[:, :, None])


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_means_are_drawn_towards_each_other_by_bayes_rule(spread: float) -> None:
    """The share that is kept, tau^2 / (tau^2 + 1), by an integral over tau of the stated prior."""
    measured = spread * np.array([2.0, 1, 1, -1, -1, -2])
    taus = np.geomspace(0.02, 100, 2000)
    variance = taus**2 + 1
    likelihood = variance**-2.5 * np.exp(-np.sum(measured**2) / 2 / variance)  # 5 contrasts
    weights = likelihood * (0.1 + taus) / (1 + taus) ** 2
    squares = mean_squares(with_standard_errors_of_1(measured, 400))
    means = true_means(squares, Chance(squares, seed=0), seed=0)
    kept = (means.mean(axis=0) @ measured) / (measured @ measured)
    assert kept == pytest.approx(np.average(taus**2 / variance, weights=weights), abs=0.02)


def test_few_sites_leave_open_how_large_errors_are() -> None:
    """Five standard errors are many where they are known; by 4 sites they are not."""
    few, many = (chances(with_standard_errors_of_1([0, 5], n))[0][1] for n in (4, 400))
    assert 0.8 < few < 0.93
    assert many > 0.98


def test_models_with_the_same_errors_are_told_apart_by_less_than_others() -> None:
    """Three models err alike at each site, and three each for itself."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(6, 400, 1))
    own[:3] = rng.normal(size=(1, 400, 1)) + 0.05 * own[:3]
    found = own + (np.array([0.05, 0, 0, 0.05, 0, 0]) - own.mean(axis=(1, 2)))[:, None, None]
    _, beating, _ = chances(found)
    assert beating[0, 1] > 0.95
    assert beating[3, 4] < 0.8


SPREADS = (0.3, 1.0, 3.0)  # standard errors


@pytest.mark.slow
@pytest.mark.parametrize("models", [7, 15])
def test_the_chance_of_the_best_is_right_on_average(models):
    """200 leaderboards at each spread; a share's binomial standard error is 0.035 at most.

    0.05 on average over the spreads, and their standard error of 0.02 twice.
    """
    rng = np.random.default_rng(4)
    off = []
    for spread in SPREADS:
        found = []
        for _ in range(200):
            # fields of 1, repeats of 0.5 and the rest of 1, over 12 fields and 3 repeats
            error = np.sqrt(1 / 12 + 0.25 / 3 + 1 / 36)
            truth = spread * error * rng.normal(size=models)
            scores = leaderboard(rng, truth, repeats=3, fields=12, of_repeats=0.5)
            best = chances(scores)[0]
            found.append((best.max(), np.argmax(truth) == np.argmax(best)))
        said, true = np.mean(found, axis=0)
        off.append(abs(said - true))
    assert np.mean(off) < 0.05 + 0.04


def test_squares_that_rounding_left_below_0_count_as_0() -> None:
    rng = np.random.default_rng(0)
    squares = mean_squares(rng.normal(20, 1, (3, 6, 1)) + np.zeros((3, 6, 2)))
    nothing = -1e-15 * np.eye(3)
    below = replace(squares, field=nothing, repeat=nothing, rest=2 * nothing)
    assert np.isfinite(true_means(below, Chance(below, 0), 0)).all()
