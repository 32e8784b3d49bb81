"""A store is shared: what others have written into it neither stops a ranking nor gets into it."""

import pytest
from mlflow import MlflowClient
from tracked import make_child, make_parent, power_set_of

from lfranker.experiment.powerset import rank
from lfranker.ranking.leaderboard import rank as ranked
from lfranker.report.note import note
from lfranker.tracking.power_set import find_training, load_power_set, quoted, trainings_with
from lfranker.tracking.scores import scores
from lfranker.tracking.tags import Tag

SCORES = {"psnr": 30.0, "ssim": 0.9, "psnr/spd2": 30.0, "ssim/spd2": 0.9}
BAD = {
    "lfranker.repeat": "first",
    "lfranker.shorter": "a,b",
    "lfranker.safeguards": "",
    "lfranker.metrics.01234567": "[1]",
}


@pytest.mark.parametrize(("tag", "value"), BAD.items())
def test_a_run_with_a_tag_that_cannot_be_read_is_named_and_left_out(
    store: object, tag: str, value: str
) -> None:
    parent = make_parent("mae,ssim")
    make_child(parent, "ssim", SCORES)
    foreign = make_child(parent, "mae", SCORES)
    MlflowClient().set_tag(foreign.info.run_id, tag, value)
    power_set = power_set_of(parent)
    assert list(power_set.trainings) == [("ssim", 0)]
    (told,) = power_set.unreadable
    assert told == (
        f"run {foreign.info.run_id} (mae) has the tag {tag} = {value!r}, which cannot be read: it "
        f"is left out"
    )
    assert list(trainings_with("key", parent.info.experiment_id)) == [("ssim", 0)]
    with pytest.raises(ValueError, match=rf"{foreign.info.run_id} .*{tag} = "):
        find_training(foreign.info.run_id)


def test_a_ranking_says_which_runs_it_could_not_read(store: object) -> None:
    parent = make_parent("mae,ssim", kind="simulated")
    for losses in ("mae", "ssim", "mae+ssim"):
        make_child(parent, losses, SCORES)
    foreign = make_child(parent, "mae", SCORES)
    MlflowClient().set_tag(foreign.info.run_id, "lfranker.repeat", "first")
    result = rank(parent.info.run_id)
    assert any(foreign.info.run_id in notice for notice in result.notices)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (Tag.NOISES, "{"),
        (Tag.NOISES, "[]"),
        (Tag.REPEATS, "two"),
        (Tag.SUBSETS, "[]"),
        (Tag.LEARNING_RATES, "fast=key"),
    ],
)
def test_a_power_set_with_a_tag_that_cannot_be_read_is_named(
    store: object, tag: Tag, value: str
) -> None:
    parent = make_parent("mae,ssim")
    make_child(parent, "mae", SCORES)
    MlflowClient().set_tag(parent.info.run_id, str(tag), value)
    with pytest.raises(ValueError, match=rf"^run {parent.info.run_id} \(.*has the tag {tag} = "):
        load_power_set(parent.info.run_id)


@pytest.mark.parametrize("key", ["it's", 'the "best"'])
def test_quotes_in_a_tag_of_others_do_not_break_a_filter(store: object, key: str) -> None:
    parent = make_parent("mae,ssim", key=key)
    make_child(parent, "mae", SCORES, powerset=key)
    make_child(parent, "ssim", SCORES, powerset="another")
    assert list(power_set_of(parent).trainings) == [("mae", 0)]


def test_a_text_with_quotes_of_both_kinds_is_refused_for_a_filter() -> None:
    with pytest.raises(ValueError, match="quotes of both kinds"):
        quoted("""it's "best" """)


def test_html_in_a_name_is_text_in_the_note(store: object) -> None:
    parent = make_parent("mae,ssim")
    for losses in ("mae", "<img src=x onerror=alert(1)>"):
        make_child(parent, losses, SCORES)
    board = scores(power_set_of(parent), "0123456789abcdef")
    text = note(ranked(board), notices=["field <script>alert(1)</script> is left out"])
    assert "<" not in text
    assert "&lt;script>" in text
