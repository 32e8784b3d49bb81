import numpy as np
import pytest

from lfranker.statistics.concordance import kendall_tau_of
from lfranker.statistics.intervals import Interval
from lfranker.statistics.rank_agreement import tau_interval

BOARDS = 100


def scores(rng, truth, sites=12, repeats=3):
    """Scores of the true means (2, models): noise that both conditions share, and their own."""

    def noise(field, seed, rest):
        shape = (truth.shape[1], sites, repeats)
        by_field = rng.normal(0, field, (*shape[:2], 1))
        by_repeat = rng.normal(0, seed if repeats > 1 else 0, (shape[0], 1, repeats))
        return by_field + by_repeat + rng.normal(0, rest, shape)

    shared = noise(0.25, 0.08, 0.08)
    return np.stack([own[:, None, None] + shared + noise(0.1, 0.05, 0.05) for own in truth])


def test_interval_holds_the_estimate_of_clear_rankings_and_narrows():
    rng = np.random.default_rng(0)
    same = np.linspace(0, 5, 8)
    ends = tau_interval(scores(rng, np.stack([same, same])), np.ones(12), seed=0)
    assert ends.low > 0.8
    assert ends.high == pytest.approx(1)
    ends = tau_interval(scores(rng, np.stack([same, -same])), np.ones(12), seed=0)
    assert ends.high < -0.8


def test_models_that_do_not_differ_tell_nothing():
    rng = np.random.default_rng(1)
    ends = tau_interval(scores(rng, np.zeros((2, 7))), np.ones(12), seed=0)
    assert ends.low < -0.3
    assert ends.high > 0.3
    equal = np.broadcast_to(np.arange(12.0)[:, None], (2, 7, 12, 3))
    ends = tau_interval(equal, np.ones(12), seed=0)  # not even noise
    assert ends.low < 0 < ends.high


def test_interval_always_holds_what_was_measured():
    """With as much noise as spread, the model alone leaves some of 30 boards out, by up to .5."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        truth = np.stack([rng.normal(0, spread, 15) for spread in (0.1, 0.03)])
        measured = scores(rng, truth, sites=7, repeats=1)
        ends = tau_interval(measured, np.ones(7), seed=0)
        means = measured.mean(axis=(-2, -1))
        assert ends.low <= float(kendall_tau_of(means[0], means[1])) + 1e-12
        assert ends.high >= float(kendall_tau_of(means[0], means[1])) - 1e-12


def test_sites_count_by_their_weights() -> None:
    """Half of the sites rank the models alike; the others the other way round, twice as clearly."""
    order = np.linspace(-1, 1, 7)[:, None, None]
    found = np.random.default_rng(0).normal(0, 0.02, (2, 7, 12, 2)) + order
    found[1, :, 6:] -= 3 * order
    assert tau_interval(found, np.repeat([9.0, 1.0], 6), 0) == Interval(1, 1)
    assert tau_interval(found, np.ones(12), 0) == Interval(-1, -1)


def test_few_models_tell_nothing():
    rng = np.random.default_rng(2)
    ends = tau_interval(scores(rng, np.zeros((2, 3))), np.ones(12), seed=0)
    assert (ends.low, ends.high) == (-1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("models", "sites", "repeats"), [(7, 12, 3), (15, 6, 2), (15, 12, 1)])
@pytest.mark.parametrize(("spread", "correlation"), [(0.05, 0), (0.3, 0.9)])
def test_coverage(models, sites, repeats, spread, correlation):
    """95 % less 3 standard errors of 100 boards: .885."""
    rng = np.random.default_rng(models + sites)
    covered = 0
    for _ in range(BOARDS):
        one, other = rng.normal(0, spread, (2, models))
        truth = np.stack([one, correlation * one + np.sqrt(1 - correlation**2) * other])
        ends = tau_interval(scores(rng, truth, sites, repeats), np.ones(sites), seed=0)
        tau = float(kendall_tau_of(truth[0], truth[1]))
        covered += ends.low - 1e-9 <= tau <= ends.high + 1e-9
    assert covered / BOARDS >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / BOARDS)
