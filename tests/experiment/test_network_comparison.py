"""A power set over losses and networks in this process: equal seconds, entrants, what is said."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from in_process import power_sets_in, scans_at_spd5
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from recorder import COMMANDS, everywhere

from lfranker.denoiser import networks
from lfranker.experiment.powerset import _after_training
from lfranker.losses.objective import Objective
from lfranker.planning import equal_seconds
from lfranker.planning.equal_seconds import _costing, at_equal_seconds
from lfranker.planning.inputs import Inputs
from lfranker.planning.noise_comparison import settings_on_each
from lfranker.planning.settings import preset_settings
from lfranker.ranking.entrants import compared, counted, joint_label, parts_of
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.runs import get_run
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig, parse_networks
from lfranker.training.trainer import build_network

pytest.importorskip("spandrel", reason="needs the extra networks")

SECONDS = {"scunet": 0.4, "nafnet": 0.1612}
WORDS = (
    "--preset smoke --losses mae,ssim --steps 8 --patches 24 --scans scans --cache cache "
    "--shorter true --depth 0,0,0,1,0,0,0 --include mae --log-every 20"
)


@dataclass(frozen=True)
class Whole:
    """SCUNet alone, then with NAFNet, and that again, as the commands left them."""

    alone: PowerSet
    joint: PowerSet
    output: str
    again: str
    timed: tuple[int, int]  # steps that were timed before the joint power set, and after both
    cache: Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("networks")
    timed: list[str] = []

    def seconds(objective: Objective, data: object, config: TrainConfig, device: object) -> float:
        timed.append(config.network)
        return SECONDS[config.network]

    with power_sets_in(folder, empty_store, timed=seconds):
        scans_at_spd5(3, 96, folder / "scans", 11)
        power_set(WORDS, ranked=False)
        alone = load_power_set()
        words = f"{WORDS} --networks nafnet,scunet --width 4 --repeats 2"
        timed.clear()
        output = power_set(words)
        joint, before = load_power_set(), timed.count("nafnet")
        again = power_set(words, ranked=False)
        counts = before, timed.count("nafnet")
        yield Whole(alone, joint, output, again, counts, folder / "cache")


def power_set(words: str, ranked: bool = True) -> str:
    with pytest.MonkeyPatch.context() as patch:
        if not ranked:
            everywhere(patch, _after_training, lambda *_: None)
        done = CliRunner().invoke(COMMANDS["powerset"], words.split())
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.mark.slow
def test_scunet_is_the_very_training_that_it_is_alone(whole: Whole) -> None:
    assert "2 of 8 trainings are finished already and kept" in whole.output
    for losses in ("mae", "mae+ssim"):
        own = whole.alone.trainings[losses, 0]
        assert whole.joint.trainings[f"{losses} @ scunet", 0].run_id == own.run_id


@pytest.mark.slow
def test_nafnet_has_so_many_steps_that_it_takes_as_long(whole: Whole) -> None:
    steps = {name: get_run(run.run_id).data for (name, _), run in whole.joint.trainings.items()}
    for name, data in steps.items():
        network = name.partition(" @ ")[2]
        # 0.1612 / 0.4 is 0.40 in two digits, and 8 / 0.40 is 20
        assert data.params["steps"] == {"scunet": "8", "nafnet": "20"}[network]
        assert (data.params["network"], data.tags[Tag.NETWORK]) == (network, network)
        assert ("width" in data.params) is (network == "nafnet")
        assert ("dim" in data.params) is (network == "scunet")
    assert "nafnet is trained for 20 steps in place of 8" in whole.output
    assert "each subset on 2 networks" in whole.output
    used = whole.joint.settings
    assert used["networks"] == "scunet,nafnet", "SCUNet is what the others are compared with"
    assert used["network_steps"] == "scunet=8,nafnet=20"
    assert used["network_paces"] == "scunet=1,nafnet=0.4"
    assert (used["steps"], used["dim"], used["width"]) == ("8", "16", "4")
    assert "network" not in used
    assert "noises" not in used


@pytest.mark.slow
def test_the_same_power_set_trains_nothing_again_and_measures_nothing_again(whole: Whole) -> None:
    assert "8 of 8 trainings are finished already and kept" in whole.again
    assert whole.timed[0] >= 4, "two subsets, each at least twice"
    assert whole.timed[1] == whole.timed[0]
    (kept,) = (whole.cache / "paces").iterdir()
    assert json.loads(kept.read_text())["paces"] == {"scunet": 1.0, "nafnet": 0.4}


@pytest.mark.slow
def test_models_are_networks_as_they_were_trained(whole: Whole) -> None:
    model = whole.joint.trainings["mae @ nafnet", 1].model
    config = preset_settings("smoke", network="nafnet", width=4, depth="0,0,0,1,0,0,0").train
    expected = build_network(config).state_dict()
    found = load_network(f"models:/{model}").state_dict()
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}
    assert any(not torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.slow
def test_the_page_and_the_note_compare_networks(whole: Whole) -> None:
    note = get_run(whole.joint.run_id).data.tags["mlflow.note.content"]
    page = load_text(f"runs:/{whole.joint.run_id}/ranking/ranking.html")
    for text in (note, page):
        assert "Which network is best?" in text
        assert "PSNR by network (" in text
        assert "The best network in PSNR, " in text
        assert "pairs of losses and network" in text
        assert "at equal seconds of training: scunet 8 steps, nafnet 20 steps" in text
    assert "<td>networks</td><td>scunet,nafnet</td>" in page
    assert "2 of each pair of subset and network" in page
    assert "by the length of the training" not in page, "their lengths are not the same"


@pytest.mark.slow
def test_a_winner_says_which_network_it_is(whole: Whole) -> None:
    version = MlflowClient().get_model_version_by_alias("lfranker", "champion")
    network = version.tags[Tag.NETWORK]
    assert Tag.NOISE not in version.tags
    title = {"scunet": "SCUNet", "nafnet": "NAFNet"}[network]
    assert version.description.startswith(f"{title} trained on **{version.tags[Tag.LOSSES]} @ ")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("powerset", "--network nafnet"),
        ("powerset", "--networks scunet,nafnet"),
        ("train", "--network dncnn"),
    ],
)
def test_a_missing_package_is_said_before_any_work(
    store: Path, monkeypatch: pytest.MonkeyPatch, command: str, options: str
) -> None:
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    done = CliRunner().invoke(COMMANDS[command], f"--preset smoke {options}".split())
    assert done.exit_code == 2
    assert "`pip install 'lfranker[networks]'`" in " ".join(done.output.split())
    assert not MlflowClient().search_runs(["0"]), "a refused command leaves no run"


def test_labels_have_parts() -> None:
    assert parts_of("eq1") == ("eq1", "")
    assert parts_of("") == ("", "")
    assert parts_of("nafnet") == ("", "nafnet")
    assert parts_of("fit@2us,dncnn") == ("fit@2us", "dncnn")
    for label in ("eq1", "nafnet", "fit@2us,dncnn"):
        assert joint_label(*parts_of(label)) == label
    assert compared(["eq1", "gamma"], "s") == "noises"
    assert compared(["eq1,scunet", "gamma,nafnet"]) == "noise and network"
    assert counted(["mae @ scunet"]) == "pairs of losses and network"
    assert counted(["mae @ eq1,scunet"]) == "combinations of losses, noise and network"


def test_networks_and_noises_are_crossed_and_settings_go_where_they_have_an_effect() -> None:
    noises = {"eq1": {"noise": "eq1"}, "gamma": {"noise": "gamma"}}
    each = settings_on_each("smoke", noises, 0, ("scunet", "nafnet"), width=8, alpha=(0.5, 0.5))
    assert list(each) == ["eq1,scunet", "eq1,nafnet", "gamma,scunet", "gamma,nafnet"]
    assert {own.train.network: own.train.width for own in each.values()} == {
        "scunet": 32,
        "nafnet": 8,
    }
    assert {own.dataset.noise.mode for own in each.values()} == {"eq1", "gamma"}
    assert each["eq1,nafnet"].dataset.noise.alpha == (0.5, 0.5)
    with pytest.raises(ValueError, match="no effect on any of the networks drunet, dncnn"):
        settings_on_each("smoke", {}, 0, ("drunet", "dncnn"), dim=32)


def test_a_noise_that_is_called_like_a_network_is_refused() -> None:
    noises = {"eq1": {"noise": "eq1"}, "nafnet": {"noise": "gamma"}}
    with pytest.raises(ValueError, match="called like the network 'nafnet'"):
        settings_on_each("smoke", noises)


def test_what_is_only_watched_is_not_timed_again() -> None:
    train = preset_settings("smoke").train
    watched = replace(train, log_every=7, checkpoint_seconds=1.0, shorter=not train.shorter)
    assert _costing(watched) == _costing(train)
    assert _costing(replace(train, batch=train.batch + 1)) != _costing(train)


def test_the_first_network_keeps_its_steps_though_another_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equal_seconds, "seconds_per_step", lambda *given: SECONDS[given[2].network])
    made: dict[str, Any] = dict.fromkeys([item.name for item in fields(Inputs)])
    made |= {"device": "cpu", "facts": {"perceptual": "none"}, "loss_weights": {"mae": 1.0}}
    made |= {"label": "perceptual", "notices": []}
    each = settings_on_each("smoke", {}, 0, ("scunet", "nafnet"), steps=80)
    both = [Inputs(**{**made, "settings": own, "noise": name}) for name, own in each.items()]
    found = at_equal_seconds(both, [("mae",)], tmp_path)
    assert [(own.noise, own.settings.train.steps, own.pace) for own in found] == [
        ("scunet", 80, 1.0), ("nafnet", 200, 0.4)
    ]  # fmt: skip


def test_two_networks_or_more_are_compared_scunet_first() -> None:
    assert parse_networks("nafnet, scunet,dncnn") == ("scunet", "nafnet", "dncnn")
    for text in ("nafnet", "nafnet,nafnet", "scunet,vgg", ""):
        with pytest.raises(ValueError, match="two or more of scunet, nafnet, drunet, dncnn"):
            parse_networks(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--network nafnet", "--network is of one noise and network"),
        ("--search staged", "--search does not go with --networks"),
        ("--launcher slurm", "--launcher does not go with --networks"),
        ("--init bundled", "--init does not go with --networks"),
        ("--refine 3", "--refine is of one noise and network"),
    ],
)
def test_what_goes_with_one_network_only_is_refused(
    store: Path, options: str, message: str
) -> None:
    words = f"--preset smoke --networks scunet,nafnet {options}".split()
    done = CliRunner().invoke(COMMANDS["powerset"], words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
