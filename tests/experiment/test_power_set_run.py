"""A power set around its trainings: what its run says, what is estimated, and how it ends."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
from mlflow import MlflowClient
from prepared import make_scans
from recorder import Recorder
from trained import make_data

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.console import QUIET, Console
from lfranker.child_runs.running import Tally, TrainingRunner
from lfranker.experiment import launch, powerset
from lfranker.experiment.launch import prepared_here
from lfranker.experiment.powerset import (
    _after_training,
    _children,
    _conduct,
    _describe,
    _estimate,
)
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.experiment.scan_curve import CurveConfig
from lfranker.launching.config import LaunchConfig
from lfranker.losses.subsets import SubsetRule
from lfranker.planning.inputs import InputConfig, Inputs
from lfranker.planning.noise_comparison import keys_of, settings_logged
from lfranker.planning.plan import tasks
from lfranker.planning.settings import preset_settings
from lfranker.planning.time_estimate import (
    IMPORTS,
    STARTING,
    scoring_seconds,
    seconds_per_step,
)
from lfranker.processes.failures import CommandError, FailedTrainingsError
from lfranker.processes.jobs import copied
from lfranker.publishing.pictures import log_pictures
from lfranker.ranking.leaderboard import rank
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import TrackedRun, log_settings, own_run
from lfranker.tracking.score_logging import log_dataset, log_scans, log_trained_on, score_baselines
from lfranker.tracking.tags import Tag

SMOKE = preset_settings("smoke", steps=40)
RUN = TrackedRun("parent", "title", "experiment", "uri")


def made(**changes: Any) -> Inputs:
    known = {
        "settings": SMOKE, "label": "perceptual-random", "noise": "", "drawn": (), "init": None,
        "data": make_data(), "device": "cpu", "scans": "scans", "perceptual": None,
        "perceptual_choice": "random", "loss_weights": {"mae": 1.0, "perceptual": 0.5},
        "facts": {"data": "d", "perceptual": "p", "init": "none", "device": "cpu"}, "notices": [],
    }  # fmt: skip
    return Inputs(**{**known, **changes})


def config(**changes: Any) -> PowerSetConfig:
    return PowerSetConfig(SMOKE, losses=("mae", "perceptual"), **changes)


def test_a_rate_whose_double_would_be_refused_after_all_trainings_is_refused_at_once() -> None:
    high = preset_settings("smoke", learning_rate=6.0)
    assert PowerSetConfig(high).on_each == {"": high}
    with pytest.raises(ValueError, match="learning_rate is 12"):
        PowerSetConfig(high, check_learning_rate=True)


def test_the_run_says_what_the_power_set_is(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Recorder(monkeypatch)
    for function in (log_dataset, log_scans, log_trained_on):
        record.replace(function, lambda _: None)
    rule = SubsetRule(max_size=1)
    first, second, third = (make_data() for _ in range(3))
    inputs = [
        made(noise="eq1", drawn=(first, second)),
        made(noise="gamma", data=third, facts={**made().facts, "data": "other"}),
    ]
    with own_run("powerset", "powerset") as run:
        _describe(run.run_id, config(repeats=2, rule=rule), inputs, 3)
    found = MlflowClient().get_run(run.run_id).data
    key, noises = keys_of(inputs)
    own = {name: value for name, value in found.tags.items() if name.startswith("lfranker.")}
    assert own == {
        Tag.POWERSET: key,
        Tag.LOSS_SET: "mae,perceptual-random",
        Tag.REPEATS: "2",
        Tag.SUBSETS: rule.shown("perceptual-random").to_text(),
        Tag.NOISES: json.dumps(noises),
        Tag.ROLE: "powerset",
        Tag.OWNER: own[Tag.OWNER],
    }
    logged = settings_logged(inputs) | rule.shown("perceptual-random").settings()
    assert found.params == {
        **{name: str(value) for name, value in logged.items()},
        "jobs": "3",
        "losses": "mae,perceptual-random",
    }
    datasets = [(call.data, call.context) for call in record.calls["", "log_dataset"]]
    assert [data for data, _ in datasets] == [first, second, third]
    assert {context for _, context in datasets} == {"training"}
    (call,) = record.calls["", "log_trained_on"]
    assert list(vars(call).values()) == [run.run_id, [first, second, third]]
    (call,) = record.calls["", "log_scans"]
    assert list(vars(call).values()) == [run.run_id, "scans"]


@pytest.mark.parametrize(
    ("todo_and_owner", "handed_in"),
    [((("train", "slurm:1"), ("", "")), False), ((("train", "slurm:1"), ("train", "")), True)],
)
def test_a_detached_command_waits_where_an_engine_has_all_that_is_left(
    monkeypatch: pytest.MonkeyPatch, todo_and_owner: tuple[tuple[str, str], ...], handed_in: bool
) -> None:
    record, done = Recorder(monkeypatch), list[str]()
    children = [
        SimpleNamespace(todo=todo, owner=owner, begun=False) for todo, owner in todo_and_owner
    ]
    record.replace(_children, lambda _: children)
    for function in (_describe, log_settings):
        record.replace(function, lambda _: None)
    record.replace(_after_training, lambda _: done.append("ranked"))
    means = SimpleNamespace(
        engine="slurm", at_once=1, tally=SimpleNamespace(raise_if_failed=lambda: None),
        hand_in=lambda own: done.append(f"{len(own)} handed in"), run=lambda _: done.append("run"),
    )  # fmt: skip
    asked = config(launch=LaunchConfig(launcher="slurm", detach=True))
    _conduct(RUN, asked, [], [made()], cast("TrainingRunner", means), QUIET)
    assert done == (["2 handed in"] if handed_in else ["run", "ranked"])


@pytest.mark.parametrize(
    ("ray", "device", "expected"),
    [
        ({}, "cpu", {"cpus": 3.0, "gpus": 0.0}),
        ({}, "cuda", {"cpus": 3.0, "gpus": 1.0}),
        ({"gpus": 0.25}, "cuda", {"cpus": 3.0, "gpus": 0.25}),
        ({"cpus": 2.0}, "cpu", {"cpus": 2.0, "gpus": 0.0}),
    ],
)
def test_ray_is_asked_for_what_the_user_says_and_else_for_what_a_training_takes(
    monkeypatch: pytest.MonkeyPatch,
    ray: dict[str, float],
    device: str,
    expected: dict[str, float],
) -> None:
    asked = list[dict[str, float]]()
    monkeypatch.setattr(
        launch, "RayEngine",
        lambda options, *_: asked.append(options) or SimpleNamespace(check=lambda: None),
    )  # fmt: skip
    monkeypatch.setattr(launch, "require_server", lambda _: None)
    train = replace(SMOKE.train, threads=3)
    launch.engine_for(LaunchConfig(launcher="ray", ray=ray), train, device, Path("cache"))
    assert asked == [expected]


@pytest.mark.parametrize(
    ("launcher", "asked", "trained_on", "here"),
    [
        ("slurm", "cuda", "cuda", "auto"),
        ("slurm", "auto", "cpu", "cpu"),
        ("local", "cuda:1", "cuda", "cuda:1"),
    ],
)
def test_a_machine_without_a_gpu_prepares_for_an_engine_that_has_some(
    launcher: str, asked: str, trained_on: str, here: str
) -> None:
    own = prepared_here(InputConfig(device=asked), LaunchConfig(launcher=launcher), trained_on)
    assert own.device == here


def test_a_plan_is_estimated_from_steps_of_each_subset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """40 steps, with branches of 10 and 20, which add 6: scored are three lengths of each."""
    record = Recorder(monkeypatch)
    record.replace(seconds_per_step, lambda call: 0.5 if len(call.objective.terms) > 1 else 0.25)
    record.replace(scoring_seconds, lambda _: 7.0)
    are_copies = [False, True]
    record.replace(copied, lambda _: are_copies.pop(0))
    plan = tasks(("mae", "ssim"), 2, SMOKE.train)
    own = made(loss_weights={"mae": 1.0, "ssim": 1.0})
    found = _estimate(plan, own, jobs=3, more=5, noises=2)
    assert found.by_subset == {("mae",): 0.25, ("ssim",): 0.25, ("mae", "ssim"): 0.5}
    assert (found.timed, found.repeats, found.steps, found.jobs) == (3, 2, 40, 3)
    assert found.overhead == 3 * 7.0 + STARTING + IMPORTS
    assert (found.more, found.noises, found.in_branches) == (5, 2, 6)
    assert _estimate(plan, own, 3, 5, 2).overhead == 3 * 7.0 + STARTING


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, 0),
        ({"check_learning_rate": True}, 2 * (powerset.MOST_CHECKED + 1) * 3),
        ({"refine": 5}, 5 + 2),
        ({"curve": (1, 2, 4)}, 3 * 3),
        ({"check_learning_rate": True, "refine": 5}, 2 * (powerset.MOST_CHECKED + 1) * 3 + 7),
    ],
)
def test_trainings_after_the_ranking_are_counted(changes: dict[str, Any], more: int) -> None:
    assert powerset._more(config(repeats=3, **changes)) == more


def test_slow_scans_are_drawn_twice_at_least_for_which_a_training_without_is_missing() -> None:
    assert powerset._more(config(repeats=1, curve=(1, 2))) == 2 * 2 + 1


def test_what_follows_the_trainings_is_done_in_order_and_ranked_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, said, order = Recorder(monkeypatch), list[str](), list[str]()
    ranking = rank(pd.DataFrame({"psnr": [30.0]}, index=["mae"]))
    reports = [SimpleNamespace(ranking=ranking, number=number) for number in range(2)]
    answers = iter(reports)

    def noted(name: str, answer: Any) -> Any:
        def note(call: SimpleNamespace) -> Any:
            order.append(name)
            return answer(call)

        return note

    power_set = SimpleNamespace()
    record.replace(score_baselines, noted("baselines", lambda _: iter(["noisy scored"])))
    record.replace(load_power_set, lambda _: power_set)
    record.replace(log_pictures, noted("pictures", lambda _: 3))
    record.replace(powerset.rank, noted("rank", lambda _: next(answers)))
    record.replace(powerset.check_learning_rate, noted("check", lambda _: None))
    record.replace(powerset.refine, noted("refine", lambda _: None))
    record.replace(powerset.learn_from_scans, noted("curve", lambda _: None))
    own = config(
        check_learning_rate=True, refine=4, take_over=True, model_name="own", curve=(1, 3),
        curve_to=9, repeats=3,
    )  # fmt: skip
    inputs, console = made(), Console(print, said.append)
    means, plan = cast(TrainingRunner, object()), tasks(("mae",), 1, SMOKE.train)
    assert _after_training(RUN, own, plan, [inputs], means, console) is reports[1]
    assert order == ["baselines", "pictures", "rank", "check", "refine", "curve", "rank"]
    assert said == ["baseline noisy scored"]
    (call,) = record.calls["", "score_baselines"]
    key, _ = keys_of([inputs])
    assert list(vars(call).values()) == [RUN, [key], "scans", {}, {}]
    for call in record.calls["", "rank"]:
        assert (call.parent, call.model_name, call.config) == ("parent", "own", own.ranking)
        assert call.rescore.keywords == {"scans": "scans"}
        assert call.console is console
    (call,) = record.calls["", "log_pictures"]
    assert list(vars(call).values()) == [power_set, "scans"]
    (call,) = record.calls["", "check_learning_rate"]
    assert list(vars(call).values()) == [RUN, plan, reports[0], means, True]
    (call,) = record.calls["", "refine"]
    assert list(vars(call).values()) == [RUN, plan, ranking, means, 4, True]
    (call,) = record.calls["", "learn_from_scans"]
    curve = CurveConfig((1, 3), 9, draws=3)
    assert list(vars(call).values()) == [RUN, plan, ranking, means, own.inputs, curve, True]


class Failing:
    """Stands in for `TrainingRunner`: its trainings fail, and its inputs may be gone."""

    def __init__(self, gone: bool = False, **failures: tuple[str, str]) -> None:
        self.tally, self.gone, self.at_once = Tally({"a", "b"}, failures), gone, 2
        self.engine = ""
        self.ran: list[Any] = []

    def run(self, children: list[Any]) -> None:
        self.ran = children

    def check_inputs(self) -> None:
        if self.gone:
            raise CommandError("a folder was deleted")


def conduct(means: Failing, error: str = "") -> None:
    """Conduct a power set of three trainings, whose ranking gives an error, or none."""
    said = list[str]()
    children = [
        SimpleNamespace(todo=todo, begun=begun, task=SimpleNamespace(repeat=at))
        for at, todo, begun in ((1, "train", True), (0, "", True), (0, "train", False))
    ]

    def after(_: SimpleNamespace) -> Any:
        if error:
            raise RuntimeError(error)
        return "report"

    with pytest.MonkeyPatch.context() as patch:
        record = Recorder(patch)
        record.replace(_describe, lambda _: None)
        record.replace(adopt, lambda _: children)
        record.replace(_after_training, after)
        console = Console(said.append, said.append)
        try:
            found = powerset._conduct(
                RUN, config(), [], [made()], cast(TrainingRunner, means), console
            )
            assert cast(str, found) == "report"
        finally:
            assert said[:2] == [
                "1 of 3 trainings are finished already and kept",
                "1 of 3 trainings had begun before: each goes on from its last checkpoint, or from "
                "the start where it left none",
            ]
            assert [child.task.repeat for child in means.ran] == [0, 0, 1], "a repeat together"
            unranked = [f"no ranking: {error}"] if error and means.tally.failures else []
            assert said[2:] == unranked


def test_trainings_that_failed_are_named_once_the_others_are_ranked() -> None:
    conduct(Failing())
    failed = Failing(a=("mae (repeat 0)", "no memory"))
    with pytest.raises(FailedTrainingsError, match=r"1 of 2 trainings failed: mae .*: no memory"):
        conduct(failed)


def test_what_failed_before_comes_first_where_there_is_no_ranking() -> None:
    failed = Failing(a=("mae (repeat 0)", "no memory"))
    with pytest.raises(FailedTrainingsError, match="no memory"):
        conduct(failed, "nothing to rank")
    with pytest.raises(RuntimeError, match="nothing to rank"):
        conduct(Failing(), "nothing to rank")
    with pytest.raises(CommandError, match="a folder was deleted"):
        conduct(Failing(gone=True), "no such file")


def test_scans_of_too_few_sites_are_refused_before_a_search(tmp_path: Path) -> None:
    scans = make_scans(tmp_path)
    with pytest.raises(ValueError, match="refine"):
        powerset._check_refinable(replace(made(), scans=scans))
