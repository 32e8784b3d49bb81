import numpy as np
import pandas as pd
import pytest
from pair_scores import MARGINS, NAMES, noise, pairs
from scipy.stats import kendalltau

from lfranker.ranking.along_training import (
    FURTHER,
    AlongTraining,
    Verdict,
    along_training,
    doubling,
    extrapolated,
)
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.leaderboard import rank
from lfranker.statistics.intervals import Chance, difference_interval, mean_squares

LENGTHS = (500, 1000, 2000)


def found(by_length: dict[int, np.ndarray], seed=11) -> AlongTraining:
    result = along_training({s: pairs(own) for s, own in by_length.items()}, MARGINS, seed)
    assert result is not None
    return result


def test_champion_at_each_length_is_that_of_the_leaderboard():
    rng = np.random.default_rng(0)
    scores = {s: 28 + noise(rng) for s in LENGTHS}
    result = found(scores)
    for steps, champion in zip(LENGTHS, result.champions, strict=True):
        psnr = scores[steps].mean(axis=(1, 2))
        means = pd.DataFrame({"psnr": psnr, "ssim": psnr / 100}, index=list(NAMES))
        expected = rank(means)
        assert champion == expected.champion
        own = result.mean_ranks[steps]
        assert own.to_dict() == expected.leaderboard["mean_rank"].loc[own.index].to_dict()
        np.testing.assert_allclose(result.scores["psnr"][steps], means["psnr"].loc[own.index])


def test_fields_of_one_site_count_each_in_the_champion_as_in_the_leaderboard():
    """`mse` is 3 better on the lone field of two sites, 2 worse on the three fields of another."""
    scores = np.full((2, 5, 1), 20.0)
    scores[1] += np.array([3.0, 3, -3, -3, -3])[:, None]
    sites = ["a", "b", "c", "c", "c"]
    table = pairs(scores, ("mae", "mse"), sites)
    result = along_training({1: table, 2: table}, MARGINS, 0)
    assert result is not None
    assert result.champions == ("mae", "mae")  # by sites mse would be 1 ahead


def test_tau_is_that_of_scipy():
    rng = np.random.default_rng(1)
    scores = {s: 28 + noise(rng) for s in LENGTHS}
    result = found(scores)
    for steps in LENGTHS[:-1]:
        one, last = scores[steps].mean(axis=(1, 2)), scores[2000].mean(axis=(1, 2))
        row = result.tau.loc[(steps, "psnr")]
        assert row["value"] == pytest.approx(kendalltau(one, last).statistic)
        assert -1 <= row["low"] <= row["high"] <= 1
    assert set(result.tau.index.get_level_values("metric")) == {"psnr", "ssim"}


def test_the_interval_of_tau_is_that_of_its_own_length():
    """A quarter of the steps has the order turned over, half of them has that of the end."""
    order = np.arange(len(NAMES), dtype=float)[:, None, None]
    rng = np.random.default_rng(8)
    of = {500: -order, 1000: order, 2000: order}
    tau = found({s: 28 + own + noise(rng, rest=0.01) for s, own in of.items()}).tau
    for metric in ("psnr", "ssim"):
        assert tau.loc[(500, metric), "high"] < 0 < tau.loc[(1000, metric), "low"]


@pytest.mark.parametrize(
    ("half", "end", "verdict"),
    [
        ("mae", {"mae": 0.0, "mse": -1.0}, Verdict.SETTLED),
        ("mse", {"mae": 0.0, "mse": -1.0}, Verdict.CHANGING),
        ("mse", {"mae": 0.0, "mse": -0.01}, Verdict.SETTLED),
    ],
)
def test_verdict_on_clear_cases(half, end, verdict):
    """Noise of .05 dB a field: over 12 fields .02, so that 1 is far beyond and .01 within .1."""
    rng = np.random.default_rng(2)
    small = [noise(rng, field=0.05, seed=0.01, rest=0.01) for _ in range(2)]
    at_half = np.array([0.0 if name == half else -2.0 for name in NAMES])[:, None, None]
    at_end = np.array([end.get(name, -2.0) for name in NAMES])[:, None, None]
    result = found({1000: 28 + at_half + small[0], 2000: 30 + at_end + small[1]})
    assert result.champions[0] == half
    assert result.verdict == verdict


def test_verdict_is_undecided_where_noise_hides_the_difference():
    rng = np.random.default_rng(3)
    base = np.zeros((7, 1, 1))
    half, end = base.copy(), base.copy()
    half[1], end[0] = 3, 3
    end[1] = 2.5
    result = found({1000: 28 + half + noise(rng), 2000: 30 + end + noise(rng, seed=0.2)})
    assert result.champions == ("mse", "mae")
    assert result.verdict == Verdict.UNDECIDED


def test_a_change_must_be_significant_among_all_entrants_and_metrics():
    """A little less than what is significant of one lead of 6 in two metrics is no change."""
    end = 30 + noise(np.random.default_rng(4))
    end[2:] -= 5
    squares = mean_squares(end)
    among_all = difference_interval(0, 1, squares, Chance(squares, 11), 1 - 0.05 / 6 / 2)
    half_width = (among_all.high - among_all.low) / 2
    for at, verdict in ((0.99, Verdict.UNDECIDED), (1.01, Verdict.CHANGING)):
        own = end.copy()
        own[1] += squares.mean[0] - squares.mean[1] - at * half_width
        half = own.copy()
        half[1] += 3
        result = found({1000: half, 2000: own})
        assert result.champions == ("mse", "mae")
        assert result.verdict == verdict


def test_power_laws_of_one_exponent_are_followed_exactly():
    limits, sizes, exponent = np.array([30.0, 31, 32]), np.array([40.0, 90, 60]), 0.7
    at = np.array([*LENGTHS, FURTHER * LENGTHS[-1]], float)
    curves = limits[:, None] - sizes[:, None] * at**-exponent
    further, exponents = extrapolated(curves[:, :3])
    np.testing.assert_allclose(further, curves[:, 3], rtol=1e-12)
    np.testing.assert_allclose(exponents, exponent)


def test_each_resample_is_extrapolated_by_its_own_entrants():
    curves = (
        np.random.default_rng(5).normal(25, 1, (2, 5, 3)) * np.array([1.0, 0.01])[:, None, None]
    )
    together = extrapolated(curves)
    for at, own in enumerate(curves):
        for found, alone in zip(together, extrapolated(own), strict=True):
            np.testing.assert_allclose(found[at], alone, rtol=1e-12)


def test_curves_that_no_power_law_fits_stay_within_the_exponents():
    curves = np.array([[20.0, 20, 20], [20, 21, 23], [20, 21, 20.5]])
    further, exponents = extrapolated(curves)
    assert np.isfinite(further).all()
    assert further[0] == 20
    assert ((exponents >= 0.1 - 1e-12) & (exponents <= 2 + 1e-12)).all()
    # gains that grow are taken to shrink as slowly as allowed: 2 (q + q^2), q = 2^-0.1
    assert further[1] <= 23 + 2 * (2**-0.1 + 2**-0.2) + 1e-12


def test_later_champion_is_the_one_that_learns_slowly_and_goes_further():
    """The one that still gains 1.1 dB a doubling passes the other, which gains .02."""
    flat, rising = np.array([29.9, 29.95, 29.97]), np.array([27.0, 28.5, 29.6])
    rng = np.random.default_rng(4)
    shape = (2, 12, 3)
    scores = {
        steps: np.array([flat[at], rising[at]])[:, None, None]
        + noise(rng, shape, field=0.02, seed=0.01, rest=0.01)
        for at, steps in enumerate(LENGTHS)
    }
    result = along_training(
        {s: pairs(own, ("mse", "mae")) for s, own in scores.items()}, MARGINS, 0
    )
    assert result is not None
    assert result.champions == ("mse",) * 3
    assert result.later.index[0] == "mae"
    assert result.later.iloc[0] > 0.95
    # the last gain, 1.1, again by q + q^2 with q = 1.1 / 1.5, drawn a little to that of all
    assert result.forecasts["psnr"].loc["mae", "value"] == pytest.approx(31.0, abs=0.15)


@pytest.mark.parametrize(
    ("second", "shrinks"), [(1.0, True), (1.8, True), (1.9, False), (2.5, False)]
)
def test_without_gains_that_shrink_nothing_is_forecast(second: float, shrinks: bool):
    """All gain 2 dB and then `second`: 2 q with q = 2^-0.1 is 1.87."""
    rng = np.random.default_rng(9)
    shared = noise(rng)
    scores = {s: gain + 25 + shared for s, gain in zip(LENGTHS, (0, 2, 2 + second), strict=True)}
    result = found(scores)
    assert ("psnr" in result.forecasts) is shrinks
    assert result.later.empty is not shrinks


@pytest.mark.parametrize("speeding", ["psnr", "ssim"])
def test_metrics_are_forecast_each_for_itself(speeding: str):
    shared, by_length = noise(np.random.default_rng(9)), {}
    for steps, slow, fast in zip(LENGTHS, (0, 2, 3), (0, 1, 3), strict=True):
        gains = {"psnr": slow, "ssim": slow} | {speeding: fast}
        table = pairs(25 + shared).table
        moved = {metric: table[metric] + gain for metric, gain in gains.items()}
        by_length[steps] = PairScores(table.assign(**moved))
    result = along_training(by_length, MARGINS, 0)
    assert result is not None
    assert set(result.forecasts) == {"psnr", "ssim"} - {speeding}
    assert result.later.empty, "which takes all of them"


def test_two_lengths_have_no_forecast_and_one_has_nothing():
    rng = np.random.default_rng(5)
    scores = {s: 28 + noise(rng) for s in LENGTHS}
    result = found({s: scores[s] for s in LENGTHS[1:]})
    assert result.forecasts == {}
    assert result.later.empty
    assert along_training({2000: pairs(scores[2000])}, MARGINS, 0) is None
    assert along_training({}, MARGINS, 0) is None
    few = {s: pairs(own[:, :2]) for s, own in scores.items()}
    assert along_training(few, MARGINS, 0) is None


def test_entrants_sites_and_repeats_that_a_length_lacks_are_left_out():
    rng = np.random.default_rng(6)
    scores = {s: 28 + noise(rng) for s in LENGTHS}
    gone = scores[500].copy()
    gone[2, 3, 0] = np.nan
    tables = {500: pairs(gone), 1000: pairs(scores[1000]), 2000: pairs(scores[2000])}
    result = along_training(tables, MARGINS, 0)
    assert result is not None
    assert "ssim" not in result.mean_ranks.index
    assert len(result.mean_ranks) == 6


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [((75, 150, 300), [75, 150, 300]), ((75, 300), [300]), ((75, 151, 301), [75, 151, 301])],
)
def test_lengths_are_halves_of_each_other(lengths: tuple[int, ...], expected: list[int]) -> None:
    """A quarter is no half: verdicts and power laws are of doublings."""
    assert doubling(lengths) == expected


def test_a_metric_that_a_length_lacks_is_left_out():
    """Shorter trainings may have been scored before there was such a metric."""
    rng = np.random.default_rng(6)
    tables = {s: pairs(28 + noise(rng)).table.assign(ssim=0.5) for s in LENGTHS}
    without = {s: PairScores(own.drop(columns="ssim")) for s, own in tables.items()}
    one = {s: PairScores(own) for s, own in tables.items()} | {500: without[500]}
    found, expected = (along_training(own, MARGINS, 0) for own in (one, without))
    assert found is not None
    assert expected is not None
    pd.testing.assert_frame_equal(found.mean_ranks, expected.mean_ranks)
    assert set(found.scores) == {"psnr"}


def test_the_same_seed_gives_the_same():
    rng = np.random.default_rng(7)
    levels = zip(LENGTHS, (25, 28, 29), strict=True)
    scores = {steps: level + noise(rng) for steps, level in levels}
    one, two = found(scores, seed=3), found(scores, seed=3)
    assert not one.later.empty
    pd.testing.assert_frame_equal(one.tau, two.tau)
    pd.testing.assert_series_equal(one.later, two.later)


BOARDS = 60


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_a_wrong_verdict_is_rare(spread):
    """Settled, though the two differ by more than the margin; changing, though it is not worse.

    5 % each of all leaderboards, and 3 standard errors of 60 of them.
    """
    rng = np.random.default_rng(int(100 * spread))
    wrong = {Verdict.SETTLED: 0, Verdict.CHANGING: 0}
    for _ in range(BOARDS):
        truth = [rng.normal(0, spread, 7) for _ in range(2)]
        scores = [28 + own[:, None, None] + noise(rng) for own in truth]
        result = found(dict(zip(LENGTHS[1:], scores, strict=True)))
        half, end = (truth[1][NAMES.index(name)] for name in result.champions)
        if result.verdict == Verdict.SETTLED:
            wrong[Verdict.SETTLED] += abs(half - end) > MARGINS["psnr"]
        elif result.verdict == Verdict.CHANGING:
            wrong[Verdict.CHANGING] += half >= end
    most = 0.05 * BOARDS + 3 * np.sqrt(0.05 * 0.95 * BOARDS)
    assert max(wrong.values()) <= most


@pytest.mark.slow
def test_forecasts_cover():
    """Curves with exponents from .3 to 1, of which the gap to the limit differs threefold."""
    rng = np.random.default_rng(11)
    covered, count = 0, 0
    for _ in range(BOARDS):
        exponents, limits = rng.uniform(0.3, 1.0, 7), 30 + rng.normal(0, 0.5, 7)
        gaps = rng.uniform(1, 3, 7)  # below the limit after 500 steps
        at = np.array([*LENGTHS, FURTHER * LENGTHS[-1]]) / LENGTHS[0]
        curves = limits[:, None] - gaps[:, None] * at ** -exponents[:, None]
        shared = noise(rng) + rng.normal(0, 0.5, (12, 1))  # the same fields at every length
        scores = {
            steps: curves[:, [n], None] + shared + noise(rng, field=0.05, seed=0.03, rest=0.03)
            for n, steps in enumerate(LENGTHS)
        }
        table = found(scores).forecasts["psnr"].loc[list(NAMES)]
        covered += int(((table["low"] <= curves[:, 3]) & (curves[:, 3] <= table["high"])).sum())
        count += 7
    assert covered / count >= 0.9
