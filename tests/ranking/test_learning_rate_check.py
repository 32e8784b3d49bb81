import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from tracked import SCANS, make_child, make_parent

from lfranker.publishing.ranking_run import rank_power_set
from lfranker.ranking.leaderboard import rank
from lfranker.ranking.learning_rate_check import (
    DEPENDS,
    HOLDS,
    UNKNOWN,
    RateCheck,
    _trial,
    check_winner,
    subsets_to_check,
)
from lfranker.report.decisions import learning_rate_sentence
from lfranker.tracking.follow_ups import note_keys
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import get_run, log_metrics, set_tags
from lfranker.tracking.tags import scan_set

SCORES = {"mae": 29.0, "mse": 28.0, "ssim": 27.0, "mae+mse": 30.0, "mae+ssim": 29.5}


def board(**scores: float) -> pd.DataFrame:
    named = {name.replace("_", "+"): value for name, value in scores.items()}
    return pd.DataFrame({"psnr": pd.Series(named), "outcome": "ok"})


def ranking(scores=SCORES, **outcomes):
    table = pd.DataFrame({"psnr": pd.Series(scores)})
    table["outcome"] = [outcomes.get(name, "ok") for name in table.index]
    return rank(table)


def test_what_is_in_the_top_set_of_every_criterion_is_checked_and_the_worst_single_loss():
    top = [["mae", "mae+mse", "ssim"], ["mae+mse", "mae", "mse"]]
    assert subsets_to_check(ranking(), top) == ["mae+mse", "mae", "ssim"]


def test_without_a_top_set_the_best_are_checked_and_never_what_failed():
    assert subsets_to_check(ranking(), []) == ["mae+mse", "mae+ssim", "mae", "mse", "ssim"]
    found = subsets_to_check(ranking(ssim="collapsed", mae="diverged"), [])
    assert found == ["mae+mse", "mae+ssim", "mse"]


def fields(luck: float = 0.02, repeats: int = 1, **psnr: float) -> pd.DataFrame:
    """Scores at eight places, after repeats that scatter by ``luck``."""
    rng = np.random.default_rng(0)
    rows = [
        (name.replace("_", "+"), repeat, f"p{place}", "100ns", seed + place + 0.02 * rng.normal())
        for name, value in psnr.items()
        for repeat in range(repeats)
        for seed in [value + luck * rng.normal()]
        for place in range(8)
    ]
    return pd.DataFrame(rows, columns=["name", "repeat", "place", "speed", "psnr"])


MARGINS = {"psnr": 0.1}


def checked(luck: float = 0.02, repeats: int = 3, **by_factor: dict[str, float]) -> RateCheck:
    factors = {"one": 1.0, "half": 0.5, "double": 2.0}
    given = {factors[name]: scores for name, scores in by_factor.items()}
    boards = {factor: board(**scores) for factor, scores in given.items()}
    tables = {f: fields(luck, repeats, **s) for f, s in given.items()}
    found = check_winner(boards, tables, MARGINS, seed=0)
    assert found is not None
    return found


FIRST = {"mae": 30, "mse": 29}


def test_a_winner_at_every_rate_does_not_depend_on_it():
    found = checked(one=FIRST, half={"mae": 30.5, "mse": 28}, double={"mae": 29, "mse": 27})
    assert (found.verdict, found.winner, found.repeats) == (HOLDS, "mae", 3)
    assert found.mean_ranks.loc["mae"].to_dict() == {"x0.5": 1, "x1": 1, "x2": 1}
    said = learning_rate_sentence(found)
    assert "trained 3 times at 0.5 and 2 times the learning rate too" in said
    assert "does not depend on the learning rate" in said


def test_where_another_one_may_be_better_by_the_margin_one_cannot_tell():
    close = {"mae": 30, "mse": 29.95}
    found = checked(one=close, half=close, double=close, luck=1.0, repeats=2)
    assert found.verdict == UNKNOWN
    assert learning_rate_sentence(found).endswith("one cannot tell.")


@pytest.mark.parametrize(
    ("half", "double", "where"),
    [({"mae": 29.0, "mse": 29.5}, {"mae": 29.0, "mse": 28.0}, {0.5: "mse"}),
     ({"mae": 29.0, "mse": 28.5}, {"mae": 20.0, "mse": 30.5}, {2.0: "mse"})],
)  # fmt: skip
def test_another_winner_beyond_the_intervals_is_said(half, double, where):
    found = checked(one=FIRST, half=half, double=double)
    assert (found.verdict, found.beaten_by) == (DEPENDS, where)
    assert "times the rate mse is significantly better" in learning_rate_sentence(found)


@pytest.mark.parametrize(("lead", "verdict"), [(0.01, DEPENDS), (0.0, DEPENDS), (-0.01, UNKNOWN)])
def test_one_that_is_better_at_a_rate_must_be_worse_in_no_metric(lead: float, verdict: str) -> None:
    """``lead``: that of mse over mae at half the rate in ssim; in psnr it is 1 dB."""
    given = {0.5: ({"mae": 29.0, "mse": 30.0}, 0.5 + lead), 1.0: (FIRST, 0.4)}
    tables = {}
    for factor, (psnr, of_mse) in given.items():
        ssim = fields(0.02, 3, mae=50.0, mse=100 * of_mse)["psnr"] / 100
        tables[factor] = fields(0.02, 3, **psnr).assign(ssim=ssim)
    boards = {f: board(**psnr).assign(ssim=[0.5, of_mse]) for f, (psnr, of_mse) in given.items()}
    found = check_winner(boards, tables, MARGINS, seed=0)
    assert found is not None
    assert (found.winner, found.verdict) == ("mae", verdict)


def test_one_training_each_cannot_tell():
    found = checked(one=FIRST, half={"mae": 29, "mse": 35}, double=FIRST, repeats=1)
    assert (found.verdict, found.winners[0.5]) == (UNKNOWN, "mse")
    said = learning_rate_sentence(found)
    assert "one cannot tell from one training each" in said
    assert "at 0.5 times the rate mse has the best mean rank" in said


def test_one_that_is_ahead_at_every_rate_does_not_make_it_depend():
    """By its mean ranks mae was the winner; by its scores of fields mse is, at all rates alike."""
    alike = {"mae": 29.0, "mse": 30.0}
    boards = {1.0: board(**FIRST), 2.0: board(**alike)}
    found = check_winner(boards, dict.fromkeys(boards, fields(repeats=3, **alike)), MARGINS, 0)
    assert found is not None
    assert (found.winner, found.verdict) == ("mae", UNKNOWN)


def test_one_that_is_better_at_a_rate_must_be_so_among_all_subsets_rates_and_metrics():
    """The first of two leads of mse over mae would make the winner depend in one metric alone."""
    names, rates = ["mae", "mse", "ssim", "mae+mse", "mae+ssim"], [0.5, 1.0, 2.0]
    sizes = [names, rates, range(3), [f"p{at}" for at in range(12)]]
    index = pd.MultiIndex.from_product(sizes, names=["name", "factor", "repeat", "place"])
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.3, (5, 3, 3, 1)) + rng.normal(0, 0.3, (5, 3, 3, 12))
    rows = pd.DataFrame({"psnr": 25 + scores.ravel()}, index).reset_index().assign(speed="s")
    rows.loc[rows["name"].eq("mae"), "psnr"] += 5
    trial = _trial(rows, "psnr", 0)
    assert trial is not None
    lead = trial.lead("mse", "mae", 0.5)
    assert lead is not None
    alone, among_all = (trial.interval(lead, 1 - level) for level in (0.05 / 8, 0.05 / 8 / 2))
    widths = (alone.high - alone.low) / 2, (among_all.high - among_all.low) / 2
    for at, verdict in ((0.5, UNKNOWN), (1.5, DEPENDS)):
        ahead = widths[0] + at * (widths[1] - widths[0])
        moved = rows["psnr"] + (ahead - trial.squares.value(lead)) * (
            rows["name"].eq("mse") & rows["factor"].eq(0.5)
        )
        tables = dict(iter(rows.assign(psnr=moved, ssim=moved / 100).groupby("factor")))
        boards = {f: own.groupby("name")[["psnr", "ssim"]].mean() for f, own in tables.items()}
        found = check_winner(
            {f: own.assign(outcome="ok") for f, own in boards.items()},
            {f: own.drop(columns="factor") for f, own in tables.items()},
            MARGINS,
            seed=0,
        )
        assert found is not None
        assert (found.winner, found.winners[0.5], found.verdict) == ("mae", "mse", verdict)


def test_what_diverged_at_a_rate_is_last_there_and_what_failed_is_left_out():
    given = {1.0: {"mae": 30, "mse": 29, "ssim": 28}, 2.0: {"mae": 31, "mse": 27, "ssim": 29}}
    boards = {factor: board(**scores) for factor, scores in given.items()}
    tables = {factor: fields(repeats=2, **scores) for factor, scores in given.items()}
    boards[2.0].loc["mae", "outcome"] = "diverged"
    found = check_winner(boards, tables, MARGINS, 0)
    assert found is not None
    assert (found.verdict, found.beaten_by, found.winners[2.0]) == (DEPENDS, {2.0: ""}, "ssim")
    assert "at 2 times the rate mae fails" in learning_rate_sentence(found)
    assert found.mean_ranks.loc["mae", "x2"] == 3
    boards[2.0].loc["mae", "outcome"] = "failed"
    found = check_winner(boards, tables, MARGINS, 0)
    assert found is not None
    assert list(found.mean_ranks.index) == ["mse", "ssim"]
    left = {factor: own.loc[["mae", "mse"]] for factor, own in boards.items()}
    assert check_winner(left, tables, MARGINS, 0) is None


def test_only_what_was_trained_at_every_rate_is_compared():
    found = checked(one={"mae": 30, "mse": 31, "ssim": 33}, double={"mae": 30, "mse": 31})
    assert list(found.mean_ranks.index) == ["mse", "mae"]


@pytest.mark.slow
def test_without_an_effect_of_the_rate_at_most_5_percent_depend_on_it():
    """Five subsets of truly different scores, trained three times at each rate."""
    rng, trials, luck, wrong = np.random.default_rng(6), 30, 0.5, 0
    names = ["mae", "mse", "ssim", "mae+mse", "mae+ssim"]
    index = pd.MultiIndex.from_product(
        [names, range(3), [f"p{at}" for at in range(12)]], names=["name", "repeat", "place"]
    )
    for _ in range(trials):
        truth = rng.normal(0, 0.5, (5, 1, 1)) + rng.normal(0, 2, 12)
        tables, boards = {}, {}
        for factor in (0.5, 1.0, 2.0):
            scores = truth + rng.normal(0, luck, (5, 3, 1)) + rng.normal(0, 0.2, (5, 3, 12))
            rows = pd.DataFrame({"psnr": scores.ravel()}, index).reset_index().assign(speed="s")
            tables[factor] = rows.assign(ssim=rows["psnr"] + rng.normal(0, 0.2, len(rows)))
            boards[factor] = tables[factor].groupby("name")[["psnr", "ssim"]].mean()
            boards[factor]["outcome"] = "ok"
        found = check_winner(boards, tables, MARGINS, 0)
        assert found is not None
        wrong += found.verdict == DEPENDS
    assert wrong / trials < 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


@pytest.mark.slow
def test_a_ranking_tells_what_the_server_knows_of_the_check(store):
    parent = make_parent("mae,mse")

    def train(name: str, psnr: float, repeat: int, **tags: str) -> None:
        run = make_child(parent, name, {"psnr": psnr}, repeat=str(repeat), **tags)
        table = fields(**{name.replace("+", "_"): psnr}).drop(columns=["name", "repeat"])
        table = table.assign(field=table["place"], sample="")
        path = f"scores/scans-{SCANS[:8]}.csv"
        MlflowClient().log_text(run.info.run_id, table.to_csv(index=False), path)

    for repeat in range(2):
        for name, psnr in (("mae", 30.0), ("mse", 29.0), ("mae+mse", 29.5)):
            train(name, psnr + 0.01 * repeat, repeat)
    before = rank_power_set(parent.info.run_id, "m", config=None)
    assert not any("learning rate" in sentence for sentence in before.notices)
    for factor, key in ((0.5, "half"), (2.0, "double")):
        for repeat in range(2):
            train("mae", 29.0 + factor + 0.01 * repeat, repeat, powerset=key)
            train("mse", 30.0, repeat, powerset=key)
    note_keys(parent.info.run_id, {0.5: "half", 2.0: "double"})
    found = rank_power_set(parent.info.run_id, "m")
    assert found.ranking.champion == "mae"
    said = next(sentence for sentence in found.notices if "learning rate" in sentence)
    assert "trained 2 times at 0.5 and 2 times" in said
    assert "at 2 times the rate mae has the best mean rank" in said
    assert "depends on the learning rate: at 0.5 times the rate mse is significantly" in said
    assert found.findings.learning_rate is not None
    assert list(found.findings.learning_rate.mean_ranks.index) == ["mae", "mse"]
    note = get_run(parent.info.run_id).data.tags["mlflow.note.content"]
    assert "The winner depends on the learning rate" in note
    other = "f" * 16
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    for run in load_power_set(
        parent.info.run_id
    ).members:  # scored on other scans, as the half and double are not
        log_metrics(run.run_id, {f"{other[:8]}.psnr": 30.0})
    elsewhere = rank_power_set(parent.info.run_id, "m", other[:8])
    assert not any("learning rate" in sentence for sentence in elsewhere.notices)
