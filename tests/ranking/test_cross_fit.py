import numpy as np
import pandas as pd
import pytest

from lfranker.evaluation.criteria import CHAMPION, Criterion
from lfranker.ranking.contest import cross_fit
from lfranker.report.decisions import not_better

METRICS = ["psnr", "ssim", "repeatability"]


def table(scores: np.ndarray, names: list[str], metrics: list[str] = METRICS) -> pd.DataFrame:
    """Rows of scores (names, sites, metrics)."""
    sites = [f"p{at:02}" for at in range(scores.shape[1])]
    index = pd.MultiIndex.from_product([names, sites], names=["name", "place"])
    rows = pd.DataFrame(scores.reshape(-1, len(metrics)), index, metrics).reset_index()
    return rows.assign(field=rows["place"], speed="s", repeat=0)


def test_each_half_is_judged_by_the_winner_of_the_other():
    """Each of two is ahead on half of the sites by 2; on the other half it is behind by 1."""
    flat = np.zeros((2, 8, 1))
    old = table(flat[:1] + 0.001 * np.arange(8)[None, :, None], ["old"], ["psnr"])
    found = cross_fit(table(flat, ["mae", "mse"], ["psnr"]), old, Criterion("psnr"), 0, seed=3)
    assert found.chosen == ("mae",)
    low_sites = _first_half(seed=3)
    flat[0, low_sites], flat[1, low_sites] = 2, -1
    rest = [at for at in range(8) if at not in low_sites]
    flat[0, rest], flat[1, rest] = -1, 2
    found = cross_fit(table(flat, ["mae", "mse"], ["psnr"]), old, Criterion("psnr"), 0, seed=3)
    assert set(found.chosen) == {"mae", "mse"}
    assert found.verdict.intervals["psnr"].high < 0, "flattered by its own sites, it is behind"
    assert "(half of the sites chose mse)" in not_better("mae", found)


def _first_half(seed: int) -> list[int]:
    return [int(at) for at in np.random.default_rng(seed).permutation(8)[:4]]


def test_one_that_is_ahead_everywhere_is_better():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.1, (3, 8, 3))
    old = table(scores[2:], ["old"])
    scores[0] += 1
    found = cross_fit(table(scores[:2], ["mae", "mse"]), old, CHAMPION, 0, seed=0)
    assert found.chosen == ("mae",)
    assert found.verdict.better


def test_at_one_speed_only_that_one_counts():
    fast, slow = (table(np.zeros((1, 6, 3)) + at, ["mae"]).assign(speed=s)
                  for s, at in (("fast", 1.0), ("slow", -1.0)))  # fmt: skip
    old = pd.concat([table(np.zeros((1, 6, 3)), ["x"]).assign(speed=s) for s in ("fast", "slow")])
    rows = pd.concat([fast, slow])
    psnr = {s: cross_fit(rows, old, Criterion("psnr", s), 0, 0) for s in ("", "fast", "slow")}
    means = {speed: found.verdict.intervals["psnr"].low for speed, found in psnr.items()}
    assert means == {"": 0.0, "fast": 1.0, "slow": -1.0}


def test_what_the_one_in_use_has_no_scores_of_is_named():
    rows, old = table(np.ones((1, 6, 3)), ["mae"]), table(np.zeros((1, 6, 3)), ["old"])
    found = cross_fit(rows, old.drop(columns="repeatability"), CHAMPION, 0, 0)
    assert found.verdict.unjudged == ("repeatability",)
    assert not found.verdict.better
    assert "repeatability cannot be judged: fewer than 3 sites" in not_better("mae", found)
    elsewhere = old.assign(place="other " + old["place"])
    assert cross_fit(rows, elsewhere, CHAMPION, 0, 0).verdict.unjudged == tuple(METRICS)
    assert cross_fit(rows, old, Criterion("visual"), 0, 0).verdict.unjudged == ("visual",)


@pytest.mark.slow
def test_of_equal_challengers_at_most_5_percent_are_better():
    """Fifteen of them at twelve sites, three metrics with a correlation of .5 between them."""
    rng, trials, names = np.random.default_rng(5), 80, [f"m{at}" for at in range(15)]
    taken, metrics = 0, 3
    for trial in range(trials):
        scores = rng.normal(size=(16, 12, 1)) + rng.normal(size=(16, 12, metrics))
        own = METRICS[:metrics]
        rows, old = table(scores[:15], names, own), table(scores[15:], ["old"], own)
        taken += cross_fit(rows, old, CHAMPION, 0, trial).verdict.better
    assert taken / trials < 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
