from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from lfranker.ranking.leads import BETWEEN, SHRINKS, Advantage, combined_advantage
from lfranker.report.sentences import advantage_sentences

NAMES = ("mae", "mse", "mae+mse")


def said(found: Advantage) -> str:
    return " ".join(advantage_sentences("psnr", found))


def rows(
    fast: float, slow: float, places: int = 10, names: tuple[str, ...] = NAMES
) -> pd.DataFrame:
    """A combined loss is ahead by `fast` and `slow` at these speeds, and by some luck."""
    rng = np.random.default_rng(0)
    made = []
    for place in range(places):
        for speed, ahead in (("fast", fast), ("slow", slow)):
            for name in names:
                psnr = 20 + place + ahead * ("+" in name) + 0.01 * rng.normal()
                made.append((name, f"p{place}", speed, 0, psnr))
    return pd.DataFrame(made, columns=["name", "place", "speed", "repeat", "psnr"])


def test_the_advantage_at_each_speed_and_between_them_is_found():
    found = combined_advantage(rows(1.0, 0.2), "psnr", ["fast", "slow"], seed=0)
    assert found is not None
    assert list(found.table.index) == ["fast", "slow", BETWEEN]
    for row, truth in zip(found.table.itertuples(), (1.0, 0.2, 0.8), strict=True):
        # 0.01 of luck in the combined loss and the mean of two: 0.004 at ten places, 0.006
        # between speeds
        assert row.value == pytest.approx(truth, abs=5 * 0.006)
        assert 2 * 0.004 < row.high - row.low < 6 * 0.006
        assert row.low < row.value < row.high
    assert "noisier scans want combined losses more" in said(found)


@pytest.mark.parametrize(
    ("slow", "words"), [(-0.5, "not significantly different"), (0.9, "want combined losses less")]
)
def test_no_difference_and_a_reversed_one_are_called_so(slow, words):
    found = combined_advantage(rows(-0.5, slow), "psnr", ["fast", "slow"], seed=0)
    assert found is not None
    assert words in said(found)


def test_means_of_single_losses_and_combined_ones_are_compared_not_their_best():
    """By hand: singles 20 and 24, combined 23: 1 above the mean, 1 below the best."""
    made = [
        (name, f"p{place}", "s", 0, value)
        for name, value in {"mae": 20.0, "mse": 24.0, "mae+mse": 23.0}.items()
        for place in range(3)
    ]
    table = pd.DataFrame(made, columns=["name", "place", "speed", "repeat", "psnr"])
    found = combined_advantage(table, "psnr", ["s"], seed=0)
    assert found is not None
    assert found.table.to_numpy().tolist() == [[1, 1, 1]]
    assert "one scan speed does not show" in said(found)


def test_between_speeds_what_was_scored_at_one_of_them_only_is_left_out():
    """mse+ssim is 9 ahead of all where alone it was scored; of the others, 0.8 are left."""
    both = rows(1.0, 0.2)
    extra = both[(both["name"] == "mae") & (both["speed"] == "fast")]
    extra = extra.assign(name="mse+ssim", psnr=extra["psnr"] + 9)
    found = combined_advantage(pd.concat([extra, both]), "psnr", ["fast", "slow"], seed=0)
    assert found is not None
    assert found.table.loc["fast", "value"] == pytest.approx(5, abs=0.03)
    assert found.table.loc[BETWEEN, "value"] == pytest.approx(0.8, abs=0.03)


def test_without_combined_losses_or_with_two_places_nothing_is_said():
    assert combined_advantage(rows(1, 1, names=("mae", "mse")), "psnr", ["fast"], 0) is None
    assert combined_advantage(rows(1, 1, places=2), "psnr", ["fast"], 0) is None


@pytest.mark.parametrize(("fast", "slow"), [(-0.3, -1.0), (0.3, 1.0), (0.0, -1.0)])
def test_where_differences_merely_shrink_nothing_is_concluded(fast, slow):
    found = combined_advantage(rows(fast, slow), "psnr", ["fast", "slow"], seed=0)
    assert found is not None
    assert found.verdict == SHRINKS
    assert "scans want" not in said(found)


def test_a_loss_that_is_good_by_itself_explains_the_lead():
    """Subsets with ssim, of all 15 of four losses, are 1 better, and nothing else matters.

    It is in 7 of 11 combined ones, and 1 of 4 single ones: a lead of 7 / 11 - 1 / 4.
    """
    losses = ("mae", "mse", "ssim", "perceptual")
    names = ["+".join(s) for n in range(1, 5) for s in combinations(losses, n)]
    table = rows(0, 0, names=tuple(names))
    table["psnr"] += table["name"].str.contains("ssim")
    found = combined_advantage(table, "psnr", ["fast"], seed=0)
    assert found is not None
    assert (found.combined, found.single) == (11, 4)
    assert found.table.loc["fast", "value"] == pytest.approx(7 / 11 - 1 / 4, abs=0.02)
    ssim = found.composition.loc["ssim"]
    assert ssim[["in_combined", "in_single"]].to_list() == [7, 1]
    assert ssim["value"] == pytest.approx(1, abs=0.02)
    assert found.own is not None
    value, low, high = found.own
    assert value == pytest.approx(0, abs=0.02)
    assert low < 0 < high
    assert "is in 7 of 11 combined and 1 of 4 single ones" in " ".join(
        advantage_sentences("psnr", found)
    )


def test_with_two_losses_their_own_effects_and_the_lead_are_not_told_apart():
    found = combined_advantage(rows(1.0, 0.2), "psnr", ["fast", "slow"], seed=0)
    assert found is not None
    assert found.own is None


@pytest.mark.slow
def test_combined_losses_that_are_behind_are_never_wanted_more_where_all_shrinks():
    """All differences are .3 as large on the noisy scans."""
    rng, names = np.random.default_rng(4), []
    for count in range(1, 5):
        names += ["+".join(s) for s in combinations(("mae", "mse", "ssim", "perceptual"), count)]
    index = pd.MultiIndex.from_product([names, range(12)], names=["name", "place"])
    wrong, trials = 0, 40
    for _ in range(trials):
        truth = rng.normal(0, 0.1, 15) - np.array([float("+" in name) for name in names])
        parts = []
        for speed, size in (("fast", 0.3), ("slow", 1.0)):
            scores = size * truth[:, None] + rng.normal(0, 0.1, (15, 12))
            part = pd.DataFrame({"psnr": scores.ravel()}, index).reset_index()
            parts.append(part.assign(speed=speed, repeat=0))
        found = combined_advantage(pd.concat(parts), "psnr", ["fast", "slow"], 0)
        assert found is not None
        assert found.table.loc[BETWEEN, "low"] > 0
        wrong += found.verdict != SHRINKS
    assert wrong == 0
