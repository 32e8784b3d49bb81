import pandas as pd
import pytest
from tracked import make_child, make_parent

from lfranker.learning_rate import check_winner, subsets_to_check
from lfranker.ranking import rank
from lfranker.tracking.learning_rates import note_keys
from lfranker.tracking.queries import find_run
from lfranker.tracking.ranker import rank_power_set

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


def test_a_winner_at_every_rate_does_not_hang_on_it():
    """Of all six trainings mae at 0.5 is the best one, 30.5 dB."""
    boards = {1.0: board(mae=30, mse=29), 0.5: board(mae=30.5, mse=28), 2.0: board(mae=29, mse=27)}
    said, table = check_winner(boards, "mae")
    assert "does not hang" in said
    assert "together mae at 0.5 times the learning rate" in said
    assert table.loc["mae"].to_dict() == {"x0.5": 1, "x1": 1, "x2": 1, "best": 0.5}
    assert table["best"].to_dict() == {"mae": 0.5, "mse": 1}


@pytest.mark.parametrize(
    ("half", "double"),
    [({"mae": 29.0, "mse": 29.5}, {"mae": 29.0, "mse": 28.0}),
     ({"mae": 29.0, "mse": 28.5}, {"mae": 20.0, "mse": 30.5})],
)  # fmt: skip
def test_another_winner_at_one_rate_is_said(half, double):
    said, _ = check_winner(
        {1.0: board(mae=30, mse=29), 0.5: board(**half), 2.0: board(**double)}, "mae"
    )
    assert "The winner hangs on the learning rate" in said


def test_what_diverged_at_a_rate_is_last_there():
    double = board(mae=31, mse=27)
    double.loc["mae", "outcome"] = "diverged"
    said, table = check_winner({1.0: board(mae=30, mse=29), 2.0: double}, "mae")
    assert "mse at 2 times" in said
    assert table.loc["mae", "x2"] == 2


def test_only_what_was_trained_at_every_rate_is_compared():
    boards = {1.0: board(mae=30, mse=31, ssim=33), 2.0: board(mae=30, mse=31)}
    said, table = check_winner(boards, "mse")
    assert list(table.index) == ["mse", "mae"]
    assert said.startswith("2 subsets")
    assert "does not hang" in said


def test_a_ranking_tells_what_the_server_knows_of_the_check(store):
    parent = make_parent("mae,mse")
    values = {"psnr": 30.0, "ssim": 0.9, "repeatability": 0.5}
    for name, more in (("mae", 1.0), ("mse", 0.0), ("mae+mse", 0.5)):
        make_child(parent, name, {k: v + more / 100 for k, v in values.items()})
    before = rank_power_set(parent.info.run_id, "m", config=None)
    assert not any("learning rate" in sentence for sentence in before.notices)
    for factor, key in ((0.5, "half"), (2.0, "double")):
        for name, more in (("mae", factor), ("mse", 1.0)):
            scores = {k: v + more / 100 for k, v in values.items()}
            make_child(parent, name, scores, powerset=key)
    note_keys(parent.info.run_id, {0.5: "half", 2.0: "double"})
    found = rank_power_set(parent.info.run_id, "m")
    assert found.ranking.champion == "mae"
    said = next(sentence for sentence in found.notices if "learning rate" in sentence)
    assert "mse at 0.5 times" in said
    assert "mae at 2 times" in said
    assert "The winner hangs" in said
    assert list(found.found.tables["learning-rate"].index) == ["mae", "mse"]
    note = find_run(parent.info.run_id).data.tags["mlflow.note.content"]
    assert "The winner hangs on the learning rate" in note
