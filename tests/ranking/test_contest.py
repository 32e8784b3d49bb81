import numpy as np
import pandas as pd
import pytest

from lfranker.evaluation.criteria import Criterion
from lfranker.ranking.contest import contest_of
from lfranker.ranking.leaderboard import rank


def table(scores, speeds=("s",), **more):
    """Rows of {name: psnr of each site}; ssim is a hundredth of it."""
    return pd.DataFrame(
        {"name": name, "field": f"f{at}", "place": f"p{at}", "speed": speed, "repeat": 0,
         "psnr": value, "ssim": value / 100, **more}
        for name, values in scores.items()
        for at, value in enumerate(values)
        for speed in speeds
    )  # fmt: skip


def test_ties_go_to_fewer_losses():
    contest = contest_of(table({"mae+mse": [20.0] * 4, "mse": [20.0] * 4}))
    assert contest is not None
    assert contest.names[contest.winner()] == "mse"


@pytest.mark.parametrize("seed", range(5))
def test_the_champion_is_that_of_the_ranking(seed):
    """With sites of one and of three fields, and two repeats."""
    rng = np.random.default_rng(seed)
    sites = ["p0"] * 3 + ["p1", "p2", "p3"]
    rows = pd.DataFrame(
        {"name": name, "field": f"f{at}", "place": site, "speed": speed, "repeat": repeat,
         "psnr": rng.normal(), "ssim": rng.normal(), "repeatability": rng.normal()}
        for name in ("mae", "mse", "ssim", "mae+mse")
        for at, site in enumerate(sites)
        for speed in ("a", "b")
        for repeat in (0, 1)
    )  # fmt: skip
    metrics = ["psnr", "ssim", "repeatability"]
    means = rows.pivot_table(metrics, "name", "speed")
    means.columns = ["/".join(column) for column in means.columns]
    contest, ranking = contest_of(rows), rank(means)
    assert contest is not None
    assert contest.names[contest.winner()] == ranking.champion
    for criterion in (Criterion("ssim"), Criterion("psnr", "b")):
        own = contest_of(rows, criterion)
        assert own is not None
        assert own.names[own.winner()] == ranking.winners[criterion]


def test_sites_that_are_left_out_do_not_decide():
    contest = contest_of(table({"a": [30.0, 20, 20], "b": [20.0, 21, 21]}))
    assert contest is not None
    assert [contest.names[contest.winner(without)] for without in ([], [0])] == ["a", "b"]


def test_what_has_no_finite_score_somewhere_is_left_out():
    """A site where one of ten cannot be judged; and an entrant that can be at one site only."""
    scores = table({"a": [22.0] * 10 + [np.inf], "b": [20.0] * 11}, ("s", "t"))
    contest = contest_of(scores)
    assert contest is not None
    assert (contest.names, len(contest.sites)) == (("a", "b"), 10)
    hopeless = table({"c": [np.nan] * 4 + [99.0]}, ("s", "t"))
    contest = contest_of(pd.concat([scores, hopeless]))
    assert contest is not None
    assert (contest.names, len(contest.sites)) == (("a", "b"), 10)


def test_without_metrics_or_rows_there_is_none():
    scores = table({"a": [1.0] * 3})
    assert contest_of(scores.drop(columns=["psnr", "ssim"])) is None
    assert contest_of(scores, Criterion("psnr", "t")) is None
    assert contest_of(scores, Criterion("repeatability")) is None
