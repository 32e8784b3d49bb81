"""What is left to do for the trainings of a power set."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from child_inputs import PLAN, adopted, inputs, status
from mlflow import MlflowClient
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.child_runs.adoption import adopt
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.launching.owners import own_name
from lfranker.noise.noise_config import NoiseConfig, mode_of
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import tasks, training_fingerprint
from lfranker.tracking import claims, runs
from lfranker.tracking.runs import set_tags, tracked
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig
from lfranker.training.numerics import SAFEGUARDS

SCORED = {f"outcome.{SCANS[:8]}": "ok"}


@pytest.mark.parametrize(
    ("ended", "tags", "todo", "becomes"),
    [
        ("FINISHED", {"model": "m", **SCORED}, "", "FINISHED"),
        ("FINISHED", {"model": "m"}, "evaluate", "FINISHED"),
        ("KILLED", {"model": "m"}, "evaluate", "FINISHED"),  # stopped while it was scored
        ("FAILED", {"model": "m"}, "evaluate", "FINISHED"),  # scoring failed
        ("KILLED", {"model": "m", **SCORED}, "", "FINISHED"),
        ("KILLED", {}, "train", "SCHEDULED"),
        ("FAILED", {}, "train", "SCHEDULED"),
        ("FINISHED", {"outcome": "diverged", "safeguards": str(SAFEGUARDS)}, "", "FINISHED"),
    ],
)
def test_a_run_with_a_model_is_never_trained_again(
    store: Path, ended: str, tags: dict[str, str], todo: str, becomes: str
) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {}, **tags)
    MlflowClient().set_terminated(run.info.run_id, ended)
    child = adopted(parent)
    assert child.run.run_id == run.info.run_id
    assert child.todo == todo
    assert not child.begun
    assert status(tracked(run)) == becomes


def test_a_training_that_had_logged_a_point_has_begun(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {"train/loss": 0.5})
    MlflowClient().set_terminated(run.info.run_id, "KILLED")
    child = adopted(parent)
    assert (child.todo, child.begun) == ("train", True)


def test_what_diverged_with_fewer_safeguards_is_trained_again_in_a_run_of_its_own(
    store: Path,
) -> None:
    parent = make_parent("mae")
    old = make_child(parent, "mae", {}, outcome="diverged")
    new = adopted(parent)
    assert new.todo == "train"
    assert new.run.run_id != old.info.run_id, "its curves and checkpoints are left behind"
    MlflowClient().set_terminated(new.run.run_id, "KILLED")
    again = adopted(parent)
    assert (again.run.run_id, again.todo) == (new.run.run_id, "train"), "and resumed"
    tags = {"outcome": "diverged", "safeguards": str(SAFEGUARDS)}
    set_tags(new.run.run_id, {f"lfranker.{name}": value for name, value in tags.items()})
    MlflowClient().set_terminated(new.run.run_id, "FINISHED")
    kept = adopted(parent)
    assert (kept.run.run_id, kept.todo) == (new.run.run_id, ""), "once is enough"
    children = [run.run_id for run in power_set_of(parent).members]
    assert children == [new.run.run_id], "only the newer one is ranked"


def test_what_ended_well_with_fewer_safeguards_is_kept(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {}, model="m", **SCORED)
    kept = adopted(parent)
    assert (kept.run.run_id, kept.todo) == (run.info.run_id, "")


def noted(**versions: int) -> dict[str, str]:
    """Tags of a run that was scored by these metrics."""
    return {"model": "m", **SCORED, f"metrics.{SCANS[:8]}": json.dumps(versions)}


@pytest.mark.parametrize(
    ("tags", "todo"),
    [
        ({"model": "m", **SCORED}, ""),  # before metrics were noted, by those of that time
        (noted(**dict.fromkeys(METRICS, 1)), ""),
        (noted(**dict.fromkeys(METRICS, 1), gone=3), ""),
        (noted(**{**dict.fromkeys(METRICS, 1), "ssim": 2}), "evaluate"),
        (noted(psnr=1, ssim=1), "evaluate"),
    ],
)
def test_runs_are_scored_again_by_metrics_that_they_were_not_scored_by(
    store: Path, tags: dict[str, str], todo: str
) -> None:
    parent = make_parent("mae")
    make_child(parent, "mae", {}, **tags)
    assert adopted(parent).todo == todo


@pytest.mark.parametrize("tags", [{"model": "m", **SCORED}, noted(**dict.fromkeys(METRICS, 1))])
@pytest.mark.parametrize(
    ("name", "changed"),
    [("new", METRICS["ssim"]), ("ssim", replace(METRICS["ssim"], version=2))],
)
def test_a_new_metric_or_version_reaches_runs_that_are_scored_already(
    store: Path, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], name: str, changed: Metric
) -> None:
    parent = make_parent("mae")
    make_child(parent, "mae", {}, **tags)
    monkeypatch.setitem(METRICS, name, changed)
    assert adopted(parent).todo == "evaluate"


def test_a_new_training_is_owned_by_who_makes_it(store: Path) -> None:
    child = adopted(make_parent("mae"))
    assert child.todo == "train"
    assert status(child.run) == "SCHEDULED"
    assert Tag.OWNER in MlflowClient().get_run(child.run.run_id).data.tags


def test_what_another_machine_left_open_is_taken_over_only_on_demand(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {})
    MlflowClient().update_run(run.info.run_id, status="RUNNING")
    set_tags(run.info.run_id, {Tag.OWNER: "elsewhere:7"})
    with pytest.raises(ValueError, match="elsewhere:7"):
        adopted(parent)
    assert adopted(parent, take_over=True).todo == "train"


@pytest.mark.parametrize(
    ("engine", "status_before", "waiting", "collected"),
    [
        ("slurm", "RUNNING", False, True),
        ("slurm", "SCHEDULED", False, True),
        ("slurm", "KILLED", False, True),  # its machine was taken away, and it waits for another
        ("", "RUNNING", False, False),
        ("slurm", "RUNNING", True, False),
    ],
)
def test_jobs_whose_command_has_ended_are_taken_up_by_the_next(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    status_before: str,
    waiting: bool,
    collected: bool,
) -> None:
    monkeypatch.setattr(claims, "gone", lambda owner: False)
    monkeypatch.setattr(runs, "gone", lambda owner: False)
    earlier, parent = make_parent("mae"), make_parent("mae")
    if waiting:
        MlflowClient().update_run(earlier.info.run_id, status="RUNNING")
    run = make_child(earlier, "mae", {})
    MlflowClient().update_run(run.info.run_id, status=status_before)
    set_tags(run.info.run_id, {Tag.OWNER: "slurm:7_0@one"})
    if not collected:
        with pytest.raises(ValueError, match="slurm:7_0@one"):
            adopt(tracked(parent), "key", PLAN, inputs(), False, engine=engine)
        return
    (child,) = adopt(tracked(parent), "key", PLAN, inputs(), False, engine=engine)
    assert (child.run.run_id, child.owner, child.todo) == (
        run.info.run_id, "slurm:7_0@one", "train",
    )  # fmt: skip
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags[Tag.PARENT] == parent.info.run_id
    assert tags[Tag.OWNER] == "slurm:7_0@one"
    assert status(child.run) == status_before


def test_a_new_training_has_the_tags_by_which_it_is_found_again(store: Path) -> None:
    parent, config = make_parent("mae,perceptual", key="own key"), TrainConfig()
    facts = {"perceptual": "digest of weights"}
    noise = NoiseConfig(mode="microscope", peak=(50.0, 60.0), sigma=(0.1, 0.2))
    settings = SimpleNamespace(dataset=SimpleNamespace(noise=noise))
    made = SimpleNamespace(
        scans=SimpleNamespace(digest=SCANS, has_clean=True),
        facts=facts,
        noise="mine",
        settings=settings,
    )
    plan = tasks(["mae", "perceptual"], 2, config)
    children = adopt(tracked(parent), "key of mine", plan, cast("Inputs", made), False, "{} tried")
    runs = {child.run.title: MlflowClient().get_run(child.run.run_id) for child in children}
    names = ["mae", "perceptual", "mae+perceptual"]
    shown = [f"{name} @ mine" for name in names]
    assert list(runs) == [
        *(f"{name} tried" for name in shown),
        *(f"{name} #1 tried" for name in shown),
    ]
    titles = [f"{name} tried (repeat 1)" for name in shown[-2:]]
    assert [child.title for child in children[-2:]] == titles
    run = runs["perceptual @ mine #1 tried"].data
    assert {tag: value for tag, value in run.tags.items() if "user" not in tag} == {
        Tag.PARENT: parent.info.run_id,
        Tag.NAME: "perceptual @ mine #1 tried",
        Tag.ROLE: "child",
        Tag.OWNER: own_name(),
        Tag.POWERSET: "key of mine",
        Tag.LOSSES: "perceptual",
        Tag.REPEAT: "1",
        Tag.TRAINING: training_fingerprint("key of mine", plan[4]),
        Tag.PERCEPTUAL: "digest of weights",
        Tag.NOISE: "mine",
    }
    ranges = {"peak": (50.0, 60.0), "sigma": (0.1, 0.2), "gain": (1.0, 1.0), "offset": (0.0, 0.0)}
    assert run.params.items() >= {name: str(value) for name, value in ranges.items()}.items()
    assert set(run.params) == {"noise", *mode_of("microscope").uses, "gain", "offset"}
    assert run.params["noise"] == "microscope"
    assert runs["mae @ mine tried"].data.tags[Tag.PERCEPTUAL] == "none"
