import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from lfranker.ranking.contest import Contest
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import rank
from lfranker.ranking.winner_stability import (
    RESAMPLES,
    Stability,
    stability,
    stability_of,
    without_undistinguished,
)
from lfranker.report.decisions import (
    regret_sentence,
    stability_clause,
    stability_sentence,
    undistinguished_sentence,
)


def table(scores, repeats=1, **more):
    """Rows of {name: psnr of each site}, or of each repeat at each site; ssim is a hundredth."""
    return pd.DataFrame(
        {"name": name, "field": f"f{at}", "place": f"p{at}", "speed": "s", "repeat": repeat,
         "psnr": value, "ssim": value / 100, **more}
        for name, values in scores.items()
        for at, each in enumerate(values)
        for repeat, value in enumerate(np.broadcast_to(each, repeats))
    )  # fmt: skip


def found(scores, seed=0, repeats=1, **more) -> Stability:
    result = stability(table(scores, repeats, **more), seed)
    assert result is not None
    return result


def test_one_that_is_better_everywhere_is_always_chosen_and_never_regretted():
    own = found({"mae": [20.0] * 6, "mse": [21.0] * 6, "ssim": [18.0] * 6})
    assert (own.sites, own.repeats, own.champion, own.share_of("mse")) == (6, 1, "mse", 1.0)
    assert own.shares.to_dict() == {"mse": 1.0}
    assert own.regret.loc["psnr/s"].to_dict() == {
        "regret": 0, "regret_95": 0, "random": pytest.approx((1 + 0 + 3) / 3)
    }  # fmt: skip
    assert stability_clause(own) == "chosen in 100 of 100 re-samplings of 6 sites"
    assert "each time by all 2 criteria. Chosen were: mse 100 %." in stability_sentence(own)
    assert "0 dB in PSNR (a subset drawn at random: 1.33 dB)" in regret_sentence(own)


def test_the_luck_of_one_site_shows_by_hand():
    """A is ahead at the first of three sites only, by far; drawn are two with replacement.

    A wins where the first is among them, 1 - (2/3)^2 of the draws. The best of the sites that were
    not drawn is then B, by 1; otherwise A, by 10 at the first and 1 behind at one of the others:
    at both of these, (1 of 2 draws), or at the first alone where the others were drawn each.
    """
    own = found({"a": [30.0, 19, 19], "b": [20.0, 20, 20]})
    share = 5 / 9
    assert own.shares["a"] == pytest.approx(share, abs=5 * np.sqrt(share * 4 / 9 / RESAMPLES))
    first, single, double = 5 / 9, 2 / 9, 2 / 9  # b chosen: others each drawn once, or one twice
    regret = first * 1 + single * 10 + double * (10 - 1) / 2
    assert own.regret.loc["psnr/s", "regret"] == pytest.approx(regret, abs=0.4)


def test_repeats_are_drawn_with_the_sites_by_hand():
    """One of two repeats is drawn: each subset is ahead in one of them."""
    own = found({"a": [[22.0, 19]] * 5, "b": [[20.0, 20]] * 5}, repeats=2)
    assert own.shares["a"] == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(RESAMPLES))
    assert "5 sites and 2 repeats" in stability_clause(own)


def test_fields_of_one_site_are_drawn_together():
    rows = table({"a": [22.0] * 9, "b": [20.0] * 9})
    rows["place"] = rows["field"].where(rows["field"].isin(["f0", "f1"]), "same")
    own = stability(rows, 0)
    assert own is not None
    assert own.sites == 3
    rows["place"] = rows["field"].where(rows["field"].isin(["f0"]), "same")
    assert stability(rows, seed=0) is None
    assert stability(table({"a": [1.0] * 9}), seed=0) is None


def test_what_the_order_of_losses_decides_is_no_choice_of_the_data():
    """By hand: a is first in one criterion and b in the other, so that both have mean rank 1.5."""
    rows = table({"a": [21.0] * 5, "b": [20.0] * 5})
    rows["ssim"] = rows["name"].map({"a": 0.1, "b": 0.2})
    own = stability(rows, seed=0)
    assert own is not None
    assert (own.shares.to_dict(), dict(own.tied)) == ({"a": 1.0}, {"a": 1.0, "b": 0.0})
    assert stability_clause(own) == (
        "chosen in 100 of 100 re-samplings of 5 sites, 100 of them ties decided by rule, not by "
        "scores"
    )
    assert not any(found({"a": [21.0] * 5, "b": [20.0] * 5}).tied.values())


def test_rivals_are_named_where_the_champion_is_seldom_chosen():
    shares = pd.Series({"mae": 0.4, "mse": 0.3, "ssim": 0.2, "mae+mse": 0.1})
    own = Stability(6, 3, 1000, ("psnr/s",), shares, "mae", pd.DataFrame())
    assert own.in_question == ("mae", "mse", "ssim")
    assert stability_clause(own).endswith("remain in question: mse (30 of 100), ssim (20 of 100)")
    assert "chosen in 0 of 100" in stability_clause(own, "perceptual")


def test_the_seed_decides_the_draws():
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(20, 1, 12) for name in ("mae", "mse", "ssim")}
    first, again, other = (found(scores, seed).shares for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_repeatability_counts_where_it_is_measured():
    rows = table({"a": [20.0] * 4, "b": [19.9] * 4})
    rows["repeatability"] = rows["name"].map({"a": 0.1, "b": 0.9})
    own = stability(rows, seed=0)
    assert own is not None
    assert own.criteria == ("psnr/s", "ssim/s", "repeatability/s")
    assert own.shares.to_dict() == {"a": 1.0}
    assert own.regret.loc["repeatability/s", "regret"] == pytest.approx(0.8)


def ranks(*ends: tuple[int, int]) -> Evidence:
    return Evidence(intervals=pd.DataFrame(ends, columns=["best_rank", "worst_rank"]))


ALIKE, APART = ranks((1, 3), (1, 3), (1, 3)), ranks((1, 2), (1, 3), (2, 3))
SCORES = pd.DataFrame(
    {"psnr": [30.0, 29, 28], "ssim": [0.7, 0.9, 0.6], "repeatability": [0.5, 0.6, 0.4]},
    index=["mae", "mse", "mae+mse"],
)


def test_a_criterion_without_differences_may_decide_the_champion():
    """By hand: mse has ranks 2, 1, 1, mae 1, 2, 2; without SSIM and repeatability mae is first."""
    ranking = rank(SCORES)
    evidence = {"psnr": APART, "ssim": ALIKE, "repeatability": ALIKE, "keypoints": ALIKE}
    own = without_undistinguished(ranking, evidence)
    assert own is not None
    assert (own.metrics, own.champion) == (("ssim", "repeatability"), "mae")
    assert own.mean_ranks.loc["mse"].to_list() == [pytest.approx(4 / 3), 2.0]
    said = undistinguished_sentence(own, "mse")
    assert "the champion is mae (mean rank 1.00) instead of mse (2.00)" in said


def test_ties_without_it_go_to_fewer_losses_and_no_criterion_may_be_left():
    ranking = rank(SCORES)
    own = without_undistinguished(ranking, {"repeatability": ALIKE, "psnr": APART})
    assert own is not None
    assert own.champion == "mae", "1 and 2 as mse has, which comes later"
    said = undistinguished_sentence(own, "mse")
    assert said.endswith("without it, mae and mse have the same mean rank, 1.50.")
    none = without_undistinguished(ranking, dict.fromkeys(SCORES, ALIKE))
    assert none is not None
    assert none.champion is None
    assert "nothing but chance" in undistinguished_sentence(none, "mse")
    assert without_undistinguished(ranking, {"psnr": APART, "ssim": Evidence()}) is None


def simulated(rng: np.random.Generator, truth: np.ndarray, sites: int, repeats: int) -> Contest:
    """Scores of models with true means (models, criteria), crossed with sites and repeats."""
    count, criteria = truth.shape
    scores = truth[:, None, None, :] + rng.normal(0, 0.5, (count, sites, 1, criteria))
    scores = scores + rng.normal(0, 0.2, (count, 1, repeats, criteria)) * (repeats > 1)
    scores = scores + rng.normal(0, 0.3, (count, sites, repeats, criteria))
    names, places, columns = (tuple(map(str, range(n))) for n in (count, sites, criteria))
    return Contest(names, places, columns, scores, np.ones(sites))


def best(truth: np.ndarray) -> str:
    return str(rankdata(-truth, axis=0).mean(axis=1).argmin())


@pytest.mark.slow
@pytest.mark.parametrize(("models", "repeats", "spread"), [(7, 2, 0.3), (15, 3, 1.0), (7, 1, 0.3)])
def test_the_share_is_about_the_chance_of_being_truly_the_best(models, repeats, spread):
    rng, trials, shares, right = np.random.default_rng(2), 200, [], []
    for _ in range(trials):
        common = rng.normal(0, 0.8 * spread, (models, 1))
        truth = common + rng.normal(0, 0.6 * spread, (models, 3))
        own = stability_of(simulated(rng, truth, 12, repeats), 0)
        shares.append(own.share_of(own.champion))
        right.append(own.champion == best(truth))
    error = np.sqrt(np.mean(right) * (1 - np.mean(right)) / trials)
    assert np.mean(shares) == pytest.approx(np.mean(right), abs=0.05 + 3 * error)


@pytest.mark.slow
def test_of_equal_ones_the_luckiest_has_a_share_of_a_third():
    rng, truth = np.random.default_rng(3), np.zeros((15, 3))
    owns = [stability_of(simulated(rng, truth, 12, 3), 0) for _ in range(60)]
    # shares scatter by .12
    mean = np.mean([own.share_of(own.champion) for own in owns])
    assert mean == pytest.approx(1 / 3, abs=5 * 0.12 / np.sqrt(60))


@pytest.mark.slow
def test_without_a_criterion_that_tells_nothing_the_best_is_found_more_often():
    """Two criteria that agree, with differences; a third in which all models are equal."""
    rng, trials, right = np.random.default_rng(4), 100, np.zeros(2)
    for _ in range(trials):
        truth = np.repeat(rng.normal(0, 0.5, (7, 1)), 3, axis=1)
        truth[:, 2] = 0
        means = simulated(rng, truth, 12, 2).scores.mean(axis=(1, 2))
        ranking = rank(pd.DataFrame(means, columns=list(SCORES)).rename(str))
        own = without_undistinguished(ranking, {"repeatability": ALIKE})
        assert own is not None
        right += [name == best(truth[:, :2]) for name in (ranking.champion, own.champion)]
    whole, without = right / trials
    assert without - whole > 0.05, (whole, without)  # .19 in 4,000 trials
