import numpy as np
import pytest
from scipy.stats import wilcoxon

from lfranker.report.sentences import rank_sentence
from lfranker.statistics.rank_tests import significance

NAMES = ["mae", "mse", "ssim"]


def scores(gap, seed=0, blocks=12):
    """Each 1 unit of luck, mse `gap` above mae, ssim as far below."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, blocks)) + np.array([[0.0], [gap], [-gap]])


def test_friedmans_statistic_by_hand():
    """Ranks 1 2 3 in all of 4 blocks: chi2 = 12 * 4 / (3 * 4) * (1 + 0 + 1) = 8, p = exp(-4)."""
    values = np.array([[3.0] * 4, [2.0] * 4, [1.0] * 4])
    found = significance(NAMES, values)
    assert found.friedman == pytest.approx(np.exp(-4))
    assert found.mean_ranks.tolist() == [1, 2, 3]
    assert found.blocks == 4


def test_nemenyi_separates_beyond_the_critical_difference():
    """Demsar: CD = q sqrt(k (k + 1) / (6 n)), q = 2.343 for k = 3: 0.956 for 12 blocks."""
    critical = 2.343 * np.sqrt(3 * 4 / (6 * 12))
    for gap in np.linspace(0, 2, 9):
        found = significance(NAMES, scores(gap))
        for one in NAMES:
            for other in NAMES:
                apart = abs(found.mean_ranks[one] - found.mean_ranks[other])
                if abs(apart - critical) > 0.01:
                    assert (found.nemenyi.loc[one, other] < 0.05) == (apart > critical)


def test_wilcoxon_is_scipys_times_the_pairs_that_are_left():
    """Holm: the smallest of three p-values times 3, the next times 2, the largest as it is."""
    values = scores(0.6)
    found = significance(NAMES, values)
    pairs = [(0, 1), (0, 2), (1, 2)]
    raw = {pair: wilcoxon(values[pair[0]], values[pair[1]], zero_method="zsplit").pvalue
           for pair in pairs}  # fmt: skip
    worst = 0.0
    for factor, pair in zip((3, 2, 1), sorted(pairs, key=raw.get), strict=True):
        worst = max(worst, min(1, raw[pair] * factor))
        expected = found.wilcoxon.loc[NAMES[pair[0]], NAMES[pair[1]]]
        assert expected == pytest.approx(worst), pair


def test_sentences_claim_no_more_than_the_tests():
    apart, alike = (rank_sentence(significance(NAMES, scores(gap))) for gap in (3, 0))
    assert "the entrants differ" in apart
    assert "0 cannot be told from mse" in apart
    assert "no entrant can be told" in alike
    assert "too few" in rank_sentence(significance(NAMES[:2], scores(1)[:2]))
    same = significance(NAMES, np.ones((3, 5)))
    assert same.friedman == 1
    assert "no entrant" in rank_sentence(same)


def test_equal_models_are_found_to_differ_in_five_percent():
    """100 leaderboards of 3 equal models: 5, and 3 binomial standard errors of 2.2 more."""
    rng = np.random.default_rng(1)
    false = sum(significance(NAMES, rng.normal(size=(3, 12))).friedman < 0.05 for _ in range(100))
    assert false <= 5 + 3 * 2.2


@pytest.mark.parametrize("shape", [(1, 5), (3, 2), (3,)])
def test_too_little_is_refused(shape):
    with pytest.raises(ValueError, match="2 entrants x 3 blocks"):
        significance(NAMES, np.ones(shape))
