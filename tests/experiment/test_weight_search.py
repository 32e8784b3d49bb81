"""A search for weights through the tracking store, with trainings that are made up."""

import math
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from recorder import Recorder
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.child_runs.jobs import Child
from lfranker.child_runs.running import TrainingRunner, closing
from lfranker.experiment.follow_ups import refine, winning_combined_loss
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import tasks
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.leaderboard import rank
from lfranker.ranking.weight_search import Trial, compare, split_sites
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.follow_ups import Plan, Search, read_plan, refined, search_run, searched
from lfranker.tracking.power_set import search
from lfranker.tracking.runs import find_run, get_run, set_tags, tracked
from lfranker.tracking.scores import field_scores
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig

pytestmark = pytest.mark.usefixtures("undrawn")

PLAN = tasks(["mae", "ssim"], 2, TrainConfig())
# Logarithms of the best weight of ssim, where is searched and where is judged: with the weight 1
# 1 dB is lost at both, and more on the way from one to the other.
BEST, OTHER = 1.0, -1.0
LUCK = 0.5  # dB, of the first repeat of all trials
PLACES = [f"f{at}" for at in range(10)]


def log_table(run_id: str, weight: float, level: float, seed: int) -> None:
    searched, _ = split_sites(PLACES, seed=0)
    best = np.array([BEST if place in searched else OTHER for place in PLACES])
    psnr = level + np.arange(10) - (math.log(weight) - best) ** 2
    psnr = psnr + LUCK * (seed == 0) * (weight != 1)
    psnr = psnr + 0.01 * np.random.default_rng([seed, round(1000 * weight)]).normal(size=10)
    table = pd.DataFrame({"psnr": psnr, "ssim": psnr / 100})
    table = table.assign(field=PLACES, speed="100ns", sample="")
    table["place"] = table["field"]
    path = f"scores/scans-{SCANS[:8]}.csv"
    MlflowClient().log_text(run_id, table.to_csv(index=False), path)


class MadeUp:
    """Stands in for `TrainingRunner`: each training's PSNR follows from its weights."""

    def __init__(self, fail_after: int = 1000) -> None:
        records = [SimpleNamespace(place=place) for place in PLACES]
        scans = SimpleNamespace(
            id=ScanSetId(SCANS, False),
            digest=SCANS,
            simulated=False,
            records=records,
            has_clean=True,
        )
        facts = dict.fromkeys(("data", "perceptual", "init", "device"), "none")
        settings = SimpleNamespace(train=TrainConfig())
        weights = {"mae": 1.0, "ssim": 1.0}
        made = {"scans": scans, "facts": facts, "settings": settings, "loss_weights": weights}
        made["noise"] = ""
        self.inputs = Inputs(**{item.name: made.get(item.name) for item in fields(Inputs)})
        self.at_once, self.engine, self.trained, self.fail_after = 2, "", [], fail_after
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def run(self, children: list[Child]) -> None:
        with closing(children):
            self._run(children)

    def _run(self, children: list[Child]) -> None:
        for child in children:
            if child.todo:
                if len(self.trained) == self.fail_after:
                    raise KeyboardInterrupt
                weight = child.inputs.loss_weights["ssim"]
                log_table(child.run.run_id, weight, 30.0, child.task.repeat)
                tags = {"model": "m", f"outcome.{SCANS[:8]}": "ok"}
                set_tags(child.run.run_id, {f"lfranker.{k}": v for k, v in tags.items()})
                MlflowClient().set_terminated(child.run.run_id, "FINISHED")
                self.trained.append((child.task.repeat, weight))


@pytest.fixture
def parent(store: Path) -> Run:
    parent = make_parent("mae,ssim")
    for repeat in (0, 1):
        for name, psnr in (("mae", 29.0), ("ssim", 28.0), ("mae+ssim", 30.0)):
            run = make_child(parent, name, {"psnr": psnr, "ssim": psnr / 100}, repeat=str(repeat))
            log_table(run.info.run_id, 1.0, psnr, repeat)
    return MlflowClient().get_run(parent.info.run_id)


def search_of(parent: Run) -> Run:
    return next(search("attributes.run_name = 'refine mae+ssim'", [parent.info.experiment_id]))


def trials(parent: Run) -> list[Run]:
    below = f"tags.`{Tag.PARENT}` = '{search_of(parent).info.run_id}'"
    return list(search(below, [parent.info.experiment_id]))


def test_a_search_finds_better_weights_and_trains_them_in_every_repeat(parent: Run) -> None:
    means = MadeUp()
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", means), 8, take_over=False)
    repeats = [repeat for repeat, _ in means.trained]
    assert repeats.count(0) == 8
    assert repeats.count(1) == 1
    chosen = next(weight for repeat, weight in means.trained if repeat == 1)
    assert chosen == min(
        (w for r, w in means.trained if r == 0), key=lambda w: abs(math.log(w) - BEST)
    )
    children = trials(parent)
    assert len(children) == 9
    assert search_of(parent).data.tags[Tag.PARENT] == parent.info.run_id, (
        "nested below the power set"
    )
    assert {run.losses for run in power_set_of(parent).members} == {
        "mae", "ssim", "mae+ssim"
    }, "trials are no entrants"  # fmt: skip
    assert len(power_set_of(parent).members) == 6


@pytest.mark.slow
def test_a_power_set_is_searched_as_it_is_now_and_not_as_it_was_when_its_run_began(
    parent: Run,
) -> None:
    """A third repeat of one subset, that an earlier command trained, makes none incomplete."""
    make_child(parent, "mae", {"psnr": 29.0}, repeat="2")
    set_tags(parent.info.run_id, {Tag.REPEATS: "2"})
    assert Tag.REPEATS not in parent.data.tags
    means = MadeUp()
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", means), 2, take_over=False)
    assert [repeat for repeat, _ in means.trained].count(0) == 2


@pytest.mark.slow
def test_the_ranking_tells_what_came_of_it_on_places_not_searched_on(parent: Run) -> None:
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", MadeUp()), 8, take_over=False)
    report = rank_power_set(parent.info.run_id, "m")
    said = next(sentence for sentence in report.notices if "weightings tried" in sentence)
    assert said.startswith("Of 9 weightings tried for mae+ssim, mae=1, ssim=")
    assert "it is worse than the weighting that won (one training each): PSNR -" in said
    listed, search = report.findings.search_trials, report.findings.search
    assert listed is not None
    assert search is not None
    compared = search.comparison
    assert len(listed) == 9
    assert listed.loc[0, "weight/ssim"] == 1
    (chosen,) = listed.loc[listed["chosen"], "weight/ssim"]
    found = compared.loc["psnr"]
    truth = 1 - (math.log(chosen) - OTHER) ** 2
    # of the second repeat alone, which did not choose: LUCK lifts the first one's judged places
    assert found["difference"] == pytest.approx(truth, abs=5 * 0.01 * math.sqrt(2 / 5))
    assert found["low"] < truth < found["high"] < 0


def test_a_search_counts_on_the_scans_that_it_was_made_on_alone(parent: Run) -> None:
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", MadeUp()), 1, take_over=False)
    power_set, own = power_set_of(parent), ScanSetId(SCANS, False)
    pairs = field_scores(power_set, own)
    assert refined(power_set, pairs, own) is not None
    assert refined(power_set, pairs, ScanSetId("fedcba9876543210", False)) is None


def test_what_won_is_compared_with_trials_by_its_first_repeat() -> None:
    """Trials are trained once: of three places the first alone is searched on."""
    rows = pd.concat([one_training(0, 30.0), one_training(1, 32.0)])
    pairs = PairScores(rows.assign(name="mae+ssim", baseline=False, sample=""))
    plan = Plan("mae+ssim", {"mae": 1.0, "ssim": 1.0}, SCANS, ["a"], ["b", "c"])
    found = searched(plan, "0", pairs, False)
    assert found is not None
    assert found.tried == [Trial(plan.own, {"psnr": 30.0, "ssim": 0.5})]


def one_training(repeat: int, psnr: float) -> pd.DataFrame:
    """Scores of three fields, of which the last two are judged."""
    table = pd.DataFrame({"place": ["a", "b", "c"], "field": ["a", "b", "c"], "speed": "spd2"})
    return table.assign(psnr=psnr + np.array([0.0, 1.0, 3.0]), ssim=0.5, repeat=repeat)


def test_all_that_was_tried_is_listed_with_its_means_on_both_halves() -> None:
    plan = Plan("mae+ssim", {"mae": 1.0, "ssim": 1.0}, SCANS, ["a"], ["b", "c"])
    rows = [one_training(0, psnr) for psnr in (30.0, 29.0)]
    tried = [
        Trial({"mae": 1.0, "ssim": 1.0}, {"psnr": 30.0, "ssim": 0.5}),
        Trial({"mae": 1.0, "ssim": 4.0}, None),
    ]
    outcome, listed = Search(plan, tried, rows).result(seed=0)
    assert (outcome.name, outcome.tried, outcome.weights) == ("mae+ssim", 2, None)
    assert outcome.comparison.empty
    assert list(outcome.comparison) == ["difference", "low", "high"]
    assert listed.index.name == "trial"
    assert listed.fillna(0).to_dict("records") == [
        {"weight/mae": 1.0, "weight/ssim": 1.0, "psnr/searched": 30.0, "ssim/searched": 0.5,
         "psnr/judged": 32.0, "ssim/judged": 0.5, "chosen": True},
        {"weight/mae": 1.0, "weight/ssim": 4.0, "psnr/searched": 0.0, "ssim/searched": 0.0,
         "psnr/judged": 31.0, "ssim/judged": 0.5, "chosen": False},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("repeats", "judges", "unseen"), [((0, 1, 2), (1, 2), True), ((0,), (0,), False)]
)
def test_repeats_that_did_not_choose_judge_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch, repeats: tuple[int, ...], judges: tuple[int, ...], unseen: bool
) -> None:
    """The old weights have a repeat more, which the new ones lack."""
    record = Recorder(monkeypatch)
    record.replace(compare, lambda _: pd.DataFrame({"difference": [1.0]}, index=["psnr"]))
    plan = Plan("mae+ssim", {}, SCANS, ["a"], ["b", "c"])
    old = pd.concat([one_training(repeat, 30.0) for repeat in (*repeats, 9)])
    new = pd.concat([one_training(repeat, 31.0) for repeat in repeats])
    weights = {"mae": 1.0, "ssim": 4.0}
    tried = [Trial({}, {"psnr": 30.0}), Trial(weights, {"psnr": 31.0})]
    outcome, listed = Search(plan, tried, [old, new]).result(seed=5)
    assert (outcome.weights, outcome.repeats, outcome.unseen) == (weights, len(judges), unseen)
    assert outcome.comparison.index.name == "criterion"
    (call,) = record.calls["", "compare"]
    assert (tuple(call.new["repeat"].unique()), tuple(call.old["repeat"].unique())) == (
        judges,
        judges,
    )
    assert (call.new["psnr"].max(), call.old["psnr"].max()) == (34.0, 33.0)
    assert (call.sites, call.seed) == (["b", "c"], 5)
    assert list(listed["chosen"]) == [False, True]


def test_what_cannot_be_refined_is_said(parent: Run) -> None:
    means = MadeUp()
    single = rank(pd.DataFrame({"psnr": pd.Series({"mae": 30.0, "mse": 29.0})}))
    refine(tracked(parent), PLAN, single, cast("TrainingRunner", means), 3, take_over=False)
    assert means.said == ["no weights to refine: no subset of two losses or more could win"]
    for run in power_set_of(parent).members:
        if run.losses == "mae+ssim":
            MlflowClient().delete_run(run.run_id)
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", means), 3, take_over=False)
    assert means.said[1:] == ["no weights to refine: mae+ssim lacks scores of its fields"]
    assert means.trained == []


def test_a_trial_is_named_by_its_weights_and_has_no_branches(parent: Run) -> None:
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", MadeUp()), 1, take_over=False)
    plan = read_plan(tracked(search_of(parent)))
    assert plan is not None
    ((weights, key),) = plan.tried
    assert (plan.name, plan.own, plan.scans) == ("mae+ssim", {"mae": 1.0, "ssim": 1.0}, SCANS)
    assert (plan.searched, plan.judged) == split_sites(PLACES, seed=0)
    (run,) = [run for run in trials(parent) if run.data.tags[Tag.REPEAT] == "0"]
    assert run.data.tags[Tag.POWERSET] == key
    assert run.info.run_name == f"mae+ssim (mae 1, ssim {weights['ssim']:g})"


@pytest.mark.slow
def test_a_search_that_is_there_already_is_not_made_again_but_goes_on(parent: Run) -> None:
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", MadeUp()), 6, take_over=False)
    again = MadeUp()
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", again), 6, take_over=False)
    assert again.trained == [], "all is there already"
    more = MadeUp()
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", more), 7, take_over=False)
    assert [r for r, _ in more.trained].count(0) == 1


@pytest.mark.slow
def test_an_interrupted_search_goes_on_as_it_would_have(parent: Run) -> None:
    """Up to 6 trials, stopped in the fourth; tests/ranking has what the whole search tries."""
    stopped = MadeUp(fail_after=3)
    with pytest.raises(KeyboardInterrupt):
        refine(
            tracked(parent), PLAN, ranking(), cast("TrainingRunner", stopped), 6, take_over=False
        )
    of = search_of(parent)
    assert of.info.status == "KILLED"
    assert all(run.info.status in ("FINISHED", "KILLED") for run in trials(parent))
    planned = [weights["ssim"] for weights, _ in read_plan(tracked(of)).tried]
    assert len(planned) == 4, "noted before it is trained"
    resumed = MadeUp()
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", resumed), 6, take_over=False)
    trained = [w for r, w in (*stopped.trained, *resumed.trained) if r == 0]
    assert trained[:4] == planned
    assert len(trained) == len(set(trained)) == 6


@pytest.mark.slow
def test_two_searches_share_trainings_and_neither_loses_any(parent: Run) -> None:
    """With other weights of its own the second proposes the same first weights."""
    one, two = MadeUp(), MadeUp()
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", one), 4, take_over=False)
    other = make_parent("mae,ssim")
    set_tags(other.info.run_id, {Tag.POWERSET: "other"})
    other = get_run(other.info.run_id)
    for repeat in (0, 1):
        run = make_child(other, "mae+ssim", {"psnr": 30.0}, powerset="other", repeat=str(repeat))
        log_table(run.info.run_id, 1.0, 30.0, repeat)
    two.inputs.loss_weights["ssim"] = 0.77
    refine(tracked(other), PLAN, ranking(), cast("TrainingRunner", two), 4, take_over=False)
    assert len(two.trained) < 4, "trained already for the first search"
    for power_set in (parent, other):
        plan = read_plan(find_run(power_set_of(power_set).search_id))
        found = searched(
            plan,
            power_set.info.experiment_id,
            field_scores(power_set_of(power_set), ScanSetId(SCANS, False)),
            False,
        )
        assert len(found.tried) == 5
        assert all(trial.values for trial in found.tried)


@pytest.mark.slow
def test_without_scores_of_the_winner_the_ranking_goes_on_without_the_search(parent: Run) -> None:
    refine(tracked(parent), PLAN, ranking(), cast("TrainingRunner", MadeUp()), 2, take_over=False)
    for run in power_set_of(parent).members:
        if run.losses == "mae+ssim":
            MlflowClient().delete_run(run.run_id)
    report = rank_power_set(parent.info.run_id, "m")
    assert not any("weightings tried" in sentence for sentence in report.notices)


def ranking():
    psnr = {"mae": 30.0, "ssim": 27.0, "mae+ssim": 29.0}
    return rank(pd.DataFrame({"psnr": pd.Series(psnr)}))


@pytest.mark.slow
def test_a_search_goes_on_on_the_scans_that_it_was_begun_on_alone(parent: Run) -> None:
    runs = []
    for scans in ("a" * 64, "b" * 64, "a" * 64):
        weights = {"mae": 1.0, "ssim": 1.0}
        with search_run(power_set_of(parent), "mae+ssim", weights, scans, list("abcdef"), 0) as run:
            assert read_plan(run).scans == scans
        runs.append(run.run_id)
    assert runs[0] == runs[2] != runs[1]


def test_the_best_subset_of_several_is_refined_and_never_a_single_loss() -> None:
    assert ranking().champion == "mae"
    assert winning_combined_loss(ranking()) == "mae+ssim"
    single = rank(pd.DataFrame({"psnr": pd.Series({"mae": 30.0, "mse": 29.0})}))
    assert winning_combined_loss(single) is None
