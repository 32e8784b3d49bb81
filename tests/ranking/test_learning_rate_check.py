import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from tracked import SCANS, make_child, make_parent

from lfranker.publishing.ranking_run import rank_power_set
from lfranker.ranking.leaderboard import rank
from lfranker.ranking.learning_rate_check import check_winner, subsets_to_check
from lfranker.tracking.learning_rate_check import note_keys
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


def fields(luck=0.02, **psnr: float) -> pd.DataFrame:
    """Scores at eight places, that scatter by ``luck``."""
    rng = np.random.default_rng(0)
    rows = [
        (name.replace("_", "+"), f"p{place}", "100ns", value + place + luck * rng.normal())
        for name, value in psnr.items()
        for place in range(8)
    ]
    return pd.DataFrame(rows, columns=["name", "place", "speed", "psnr"])


def checked(luck: float = 0.02, **by_factor: dict[str, float]):
    factors = {"one": 1.0, "half": 0.5, "double": 2.0}
    given = {factors[name]: scores for name, scores in by_factor.items()}
    boards = {factor: board(**scores) for factor, scores in given.items()}
    found = check_winner(boards, {f: fields(luck, **s) for f, s in given.items()}, seed=0)
    assert found is not None
    return found


def test_a_winner_at_every_rate_does_not_hang_on_it():
    said, table = checked(
        one={"mae": 30, "mse": 29}, half={"mae": 30.5, "mse": 28}, double={"mae": 29, "mse": 27}
    )
    assert "not seen to hang" in said
    assert "at 0.5 times it is, too" in said
    assert table.loc["mae"].to_dict() == {"x0.5": 1, "x1": 1, "x2": 1}


@pytest.mark.parametrize(
    ("half", "double"),
    [({"mae": 29.0, "mse": 29.5}, {"mae": 29.0, "mse": 28.0}),
     ({"mae": 29.0, "mse": 28.5}, {"mae": 20.0, "mse": 30.5})],
)  # fmt: skip
def test_another_winner_beyond_the_interval_is_said(half, double):
    said, _ = checked(one={"mae": 30, "mse": 29}, half=half, double=double)
    assert "The winner hangs on the learning rate" in said
    assert "mse is, clearly (differences (95 %): psnr +" in said


def test_another_winner_within_the_interval_changes_nothing():
    said, table = checked(luck=1.0, one={"mae": 30, "mse": 29.9}, half={"mae": 30, "mse": 30.01})
    assert "at 0.5 times mse is, but not clearly" in said
    assert "not seen to hang" in said
    assert table.loc["mse", "x0.5"] == 1


def test_what_is_best_in_the_same_training_is_compared_whoever_is_the_champion():
    """The champion over all repeats may be another one; nothing here changes with the rate."""
    alike = {"mae": 29.9, "mse": 30.0}
    said, _ = checked(one=alike, half=alike, double=alike)
    assert "as it is mse is the best of them" in said
    assert "not seen to hang" in said


def test_what_diverged_at_a_rate_is_last_there_and_what_failed_is_left_out():
    boards = {1.0: board(mae=30, mse=29, ssim=28), 2.0: board(mae=31, mse=27, ssim=29)}
    tables = {1.0: fields(mae=30, mse=29, ssim=28), 2.0: fields(mae=31, mse=27, ssim=29)}
    boards[2.0].loc["mae", "outcome"] = "diverged"
    found = check_winner(boards, tables, 0)
    assert found is not None
    assert "at 2 times ssim is" in found[0]
    assert found[1].loc["mae", "x2"] == 3
    boards[2.0].loc["mae", "outcome"] = "failed"
    found = check_winner(boards, tables, 0)
    assert found is not None
    assert list(found[1].index) == ["mse", "ssim"]
    assert check_winner({f: b.loc[["mae", "mse"]] for f, b in boards.items()}, tables, 0) is None


def test_only_what_was_trained_at_every_rate_is_compared():
    said, table = checked(one={"mae": 30, "mse": 31, "ssim": 33}, double={"mae": 30, "mse": 31})
    assert list(table.index) == ["mse", "mae"]
    assert said.startswith("2 subsets")


def test_a_ranking_tells_what_the_server_knows_of_the_check(store):
    parent = make_parent("mae,mse")

    def train(name: str, psnr: float, **tags: str) -> None:
        run = make_child(parent, name, {"psnr": psnr}, **tags)
        table = fields(**{name.replace("+", "_"): psnr}).drop(columns="name")
        table = table.assign(field=table["place"], sample="")
        path = f"scores/scans-{SCANS[:8]}.csv"
        MlflowClient().log_text(run.info.run_id, table.to_csv(index=False), path)

    for name, psnr in (("mae", 30.0), ("mse", 29.0), ("mae+mse", 29.5)):
        train(name, psnr)
    before = rank_power_set(parent.info.run_id, "m", config=None)
    assert not any("learning rate" in sentence for sentence in before.notices)
    for factor, key in ((0.5, "half"), (2.0, "double")):
        train("mae", 29.0 + factor, powerset=key)
        train("mse", 30.0, powerset=key)
    note_keys(parent.info.run_id, {0.5: "half", 2.0: "double"})
    found = rank_power_set(parent.info.run_id, "m")
    assert found.ranking.champion == "mae"
    said = next(sentence for sentence in found.notices if "learning rate" in sentence)
    assert "at 0.5 times mse is, clearly" in said
    assert "at 2 times it is, too" in said
    assert "The winner hangs" in said
    assert found.found.learning_rate is not None
    assert list(found.found.learning_rate.index) == ["mae", "mse"]
    note = get_run(parent.info.run_id).data.tags["mlflow.note.content"]
    assert "The winner hangs on the learning rate" in note
    other = "f" * 16
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    for run in load_power_set(
        parent.info.run_id
    ).members:  # scored on other scans, as the half and double are not
        log_metrics(run.run_id, {f"{other[:8]}.psnr": 30.0})
    elsewhere = rank_power_set(parent.info.run_id, "m", other[:8])
    assert not any("learning rate" in sentence for sentence in elsewhere.notices)
