"""Numbers that stand beside a ranking's scores."""

import numpy as np
import pandas as pd

from lfranker.ranking.entrants import PairScores
from lfranker.ranking.leaderboard import rank
from lfranker.ranking.leads import BETWEEN
from lfranker.report.findings import Scope, find

WORTH = {"mae": 28.0, "mse": 29.0, "mae+mse": 30.0, "noisy": 24.0}


def test_the_noisiest_speed_is_that_of_the_noisiest_scans_whatever_it_is_called() -> None:
    """The networks have higher scores where the noisy input has lower ones."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            (name, 0, name == "noisy", f"f{at}", speed, f"f{at}", "", psnr + more + rng.normal())
            for name, psnr in WORTH.items()
            for speed, more in (("spd2", 0.0), ("spd5", -5.0 if name == "noisy" else 5.0))
            for at in range(4)
        ],
        columns=["name", "repeat", "baseline", "field", "speed", "place", "sample", "psnr"],
    )
    pairs, names = PairScores(rows), [name for name in WORTH if name != "noisy"]
    found = find(pairs, rank(pairs.means()), {}, {"psnr": 0.1}, names, seed=0)
    combined = found.of("psnr").combined
    assert combined is not None
    assert list(combined.table.index) == ["spd5", "spd2", BETWEEN]


def test_no_interval_goes_beyond_what_a_score_can_be() -> None:
    """At three sites, that differ: half of an interval is several standard deviations."""
    shares, metrics = {"mae": (0.99, 0.7, 0.95), "mse": (0.02, 0.3, 0.1)}, ["ssim", "repeatability"]
    rows = pd.DataFrame(
        [
            (name, 0, False, f"f{at}", "spd2", f"p{at}", "", 30 * share, 2 * share - 1, share)
            for name, own in shares.items()
            for at, share in enumerate(own)
        ],
        columns=[
            "name", "repeat", "baseline", "field", "speed", "place", "sample", "psnr", *metrics
        ],
    )  # fmt: skip
    pairs, margins = PairScores(rows), dict.fromkeys(["psnr", *metrics], 0.01)
    found = find(pairs, rank(pairs.means()), {}, margins, list(shares), seed=0)
    ends = {
        metric: (table.loc["mse", "low"], table.loc["mae", "high"])
        for metric, table in found.intervals.items()
    }
    assert (ends["ssim"], ends["repeatability"]) == ((-1, 1), (0, 1))
    assert ends["psnr"][0] < 0 < 30 < ends["psnr"][1], "which has no limits"


def test_a_baseline_that_is_ahead_of_all_is_no_champion_of_a_resample() -> None:
    worth = {"mae": 28.0, "mse": 29.0, "noisy": 40.0}
    rows = pd.DataFrame(
        [
            (name, 0, name == "noisy", f"f{at}", "spd2", f"p{at % 4}", "", psnr + at)
            for name, psnr in worth.items()
            for at in range(8)
        ],
        columns=["name", "repeat", "baseline", "field", "speed", "place", "sample", "psnr"],
    )
    pairs = PairScores(rows)
    found = find(pairs, rank(pairs.means()), {}, {"psnr": 0.1}, ["mae", "mse"], seed=0)
    assert found.scope == Scope(sites=4, repeats=1)
    assert found.stability is not None
    assert found.stability.champion == "mse"
    assert found.stability.shares.to_dict() == {"mse": 1.0}


def test_ties_in_resamplings_are_broken_as_in_the_ranking() -> None:
    rows = pd.DataFrame(
        [
            (name, 0, False, f"f{at}", "spd2", f"p{at}", "", 28.0 + at)
            for name in ("mae", "mse")
            for at in range(4)
        ],
        columns=["name", "repeat", "baseline", "field", "speed", "place", "sample", "psnr"],
    )
    pairs = PairScores(rows)
    for order in (("mae", "mse"), ("mse", "mae")):
        board = rank(pairs.means(), order=order)
        found = find(pairs, board, {}, {"psnr": 0.1}, ["mae", "mse"], seed=0, order=order)
        assert board.champion == order[0]
        assert found.stability is not None
        assert found.stability.shares.to_dict() == {order[0]: 1.0}
