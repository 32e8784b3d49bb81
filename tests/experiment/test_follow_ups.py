"""The check of the learning rate: which trainings it makes, and what it says."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from recorder import Recorder

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.running import TrainingRunner, closing
from lfranker.experiment.follow_ups import check_learning_rate
from lfranker.planning.plan import powerset_key, tasks
from lfranker.publishing.ranking_run import Report
from lfranker.ranking.learning_rate_check import subsets_to_check
from lfranker.tracking.follow_ups import note_keys
from lfranker.tracking.runs import TrackedRun
from lfranker.training.config import TrainConfig

RUN = TrackedRun("parent", "title", "experiment", "uri")
CONFIG = TrainConfig(learning_rate=0.004, steps=40)
FACTS = {"data": "d", "perceptual": "p", "init": "none", "device": "cpu"}


@pytest.mark.parametrize(("repeats", "told"), [(1, True), (2, False)])
def test_the_subsets_are_trained_at_half_and_at_twice_the_rate(
    monkeypatch: pytest.MonkeyPatch, repeats: int, told: bool
) -> None:
    record, said, ran = Recorder(monkeypatch), list[str](), list[list[object]]()
    record.replace(subsets_to_check, lambda _: ["mae", "mae+mse"])
    record.replace(adopt, lambda call: [f"{call.key} {task.name}" for task in call.tasks])
    record.replace(note_keys, lambda _: None)
    record.replace(closing, lambda _: monkeypatch.context())
    inputs = SimpleNamespace(settings=SimpleNamespace(train=CONFIG), facts=FACTS)
    means = SimpleNamespace(inputs=inputs, say=said.append, run=ran.append, engine="slurm")
    findings = SimpleNamespace(top_sets={"psnr": ("mae",), "ssim": ("mae+mse",)})
    result = cast(Report, SimpleNamespace(ranking="ranking", findings=findings))
    plan = tasks(["mae", "mse"], repeats, CONFIG)
    check_learning_rate(RUN, plan, result, cast(TrainingRunner, means), take_over=True)
    (call,) = record.calls["", "subsets_to_check"]
    assert list(vars(call).values()) == ["ranking", [("mae",), ("mae+mse",)]]
    rates = {0.5: 0.002, 2.0: 0.008}
    keys = {f: powerset_key(replace(CONFIG, learning_rate=r), FACTS) for f, r in rates.items()}
    assert len(set(keys.values())) == 2
    adopted = record.calls["", "adopt"]
    for call, (factor, rate) in zip(adopted, rates.items(), strict=True):
        assert vars(call) == {
            "parent": RUN,
            "key": keys[factor],
            "tasks": [
                replace(task, config=replace(task.config, learning_rate=rate, shorter=False))
                for task in plan
                if task.name != "mse"
            ],
            "inputs": inputs,
            "take_over": True,
            "title": "{} (learning rate x" + f"{factor:g})",
            "engine": "slurm",
        }
    assert ran == [[f"{key} {t.name}" for key in keys.values() for t in adopted[0].tasks]]
    (call,) = record.calls["", "note_keys"]
    assert vars(call) == {"parent_id": "parent", "keys": keys}
    checking = "checking the learning rate: mae, mae+mse at 0.5 and 2 times 0.004"
    warning = "one training each does not show whether the winner depends on it"
    assert said == [checking, *([warning] if told else [])]
