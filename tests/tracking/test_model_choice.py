"""Which registered model is taken for a scan."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from tracked import make_child, make_parent, name_model

from lfranker.denoiser.bundled import WEIGHTS, bundled_network, denoise_bundled
from lfranker.evaluation.criteria import BUNDLED
from lfranker.microscopes.reading import ScanMetadata
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.tracking.models import load_network, load_onnx, model_id_of, weights_of
from lfranker.tracking.registry import choose_model, named_model
from lfranker.tracking.tags import Tag

pytestmark = pytest.mark.usefixtures("unsaid")


def exposed(seconds):
    return ScanMetadata(exposure=seconds)


@pytest.fixture
def registered(store: Path) -> dict[str, str]:
    """Version by speed: mae wins at 100 ns and over all, mse at 1.5 us and at spd5."""
    parent = make_parent("mae,mse")
    scores = {"mae": (30, 20, 20), "mse": (20, 22, 22)}
    for name, (fast, slow, zeiss) in scores.items():
        metrics = {"psnr/100ns": fast, "psnr/1.5us": slow, "psnr/spd5": zeiss, "psnr": fast}
        run = make_child(parent, name, {**metrics, "ssim": fast / 100})
        name_model(run)
    rank_power_set(parent.info.run_id, "lfranker")
    client = MlflowClient()
    aliases = ("best-psnr-100ns", "best-psnr-1-5us", "best-psnr-spd5", "champion")
    return {a: client.get_model_version_by_alias("lfranker", a).version for a in aliases}


def test_the_winner_at_the_scans_own_or_nearest_speed(registered: dict[str, str]) -> None:
    cases = [
        (exposed(100e-9), "best-psnr-100ns", "scanned at 100ns"),
        (exposed(300e-9), "best-psnr-100ns", "scanned at 300ns, nearest to 100ns"),
        (exposed(500e-9), "best-psnr-1-5us", "scanned at 500ns, nearest to 1.5us"),
        (exposed(1.5e-6), "best-psnr-1-5us", "scanned at 1.5us"),
        (ScanMetadata(scan_speed="7"), "best-psnr-spd5", "scanned at spd7, nearest to spd5"),
    ]
    for scan, alias, reason in cases:
        choice = choose_model("lfranker", "psnr", scan)
        assert choice.uri == f"models:/lfranker/{registered[alias]}", scan
        assert choice.reason == reason
        assert alias in choice.model
    assert registered["best-psnr-100ns"] != registered["best-psnr-1-5us"]


def test_the_champion_where_speeds_say_nothing(registered: dict[str, str]) -> None:
    champion = f"models:/lfranker/{registered['champion']}"
    silent = choose_model("lfranker", "psnr", ScanMetadata())
    assert (silent.uri, silent.reason) == (champion, "the file does not say its scan speed")
    other = choose_model("lfranker", "ssim", exposed(100e-9))
    assert (other.uri, other.reason) == (
        champion, "scanned at 100ns, winners are known at none"
    )  # fmt: skip
    word = choose_model("lfranker", "psnr", ScanMetadata(scan_speed="Slow3"))
    assert word.uri == champion
    assert word.reason == "scanned at Slow3, winners are known at 1.5us, 100ns, spd5"


def test_winners_on_simulated_scans_do_not_count_beside_a_real_champion(
    registered: dict[str, str],
) -> None:
    client, slow = MlflowClient(), registered["best-psnr-1-5us"]
    client.set_model_version_tag("lfranker", slow, Tag.SIMULATED, "true")
    choice = choose_model("lfranker", "psnr", exposed(1.5e-6))
    assert choice.uri == f"models:/lfranker/{registered['best-psnr-100ns']}"
    assert choice.reason == "scanned at 1.5us, nearest to 100ns"
    client.set_model_version_tag("lfranker", registered["champion"], Tag.SIMULATED, "true")
    choice = choose_model("lfranker", "psnr", exposed(1.5e-6))
    assert choice.uri == BUNDLED
    assert choice.reason == "since the champion of 'lfranker' was ranked on simulated scans"


def test_without_a_ranking_there_is_what_comes_with_lfranker_but_no_model_of_another_name(
    store: Path,
) -> None:
    nothing = choose_model("lfranker", "psnr", exposed(100e-9))
    assert (nothing.uri, nothing.reason) == (BUNDLED, "since no model 'lfranker' is registered yet")
    with pytest.raises(ValueError, match="no registered model 'own': rank a power set first"):
        choose_model("own", "psnr", exposed(100e-9))


@pytest.mark.slow
def test_winners_on_simulated_scans_step_back_behind_what_comes_with_lfranker_and_a_real_champion(
    store: Path,
) -> None:
    """The demo leaves a winner at spd3; then a power set on real scans at 100 ns is ranked."""
    scan = ScanMetadata(scan_speed="3")
    nothing = choose_model("lfranker", "psnr", scan)
    assert (nothing.uri, nothing.caution) == ("bundled", "")
    assert nothing.reason == "since no model 'lfranker' is registered yet"
    chosen = []
    for losses, kind, speed in (("mae", "simulated", "spd3"), ("mse", "real", "100ns")):
        parent = make_parent(losses, kind)
        run = make_child(parent, losses, {f"psnr/{speed}": 20.0, f"ssim/{speed}": 0.2})
        name_model(run)
        rank_power_set(parent.info.run_id, "lfranker")
        chosen.append(choose_model("lfranker", "psnr", scan))
    demo, real = chosen
    assert (demo.uri, demo.model) == ("bundled", "the network that comes with lfranker")
    assert demo.reason == "since the champion of 'lfranker' was ranked on simulated scans"
    own = MlflowClient().search_model_versions(f"run_id = '{run.info.run_id}'")
    assert real.uri == f"models:/lfranker/{own[0].version}"
    assert real.reason == "scanned at spd3, winners are known at 100ns"


def test_what_comes_with_lfranker_may_be_named_and_is_loaded_scored_and_started_from(
    tmp_path: Path,
) -> None:
    assert named_model("bundled").uri == "bundled"
    assert load_network("bundled") is bundled_network()
    assert model_id_of("bundled") == ""
    assert weights_of("bundled", tmp_path) == WEIGHTS
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="not kept in ONNX: engine=torch"):
        load_onnx("bundled", 1)
    scan = np.random.default_rng(0).random((40, 56), dtype=np.float32)
    with torch.inference_mode():
        by_hand = bundled_network()(torch.from_numpy(scan)[None, None])[0, 0].clip(0, 1)
    np.testing.assert_allclose(denoise_bundled(scan), by_hand, atol=1e-5)


def test_a_server_that_fails_is_no_empty_registry(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: MlflowClient, name: str) -> None:
        raise MlflowException("away", error_code=TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(MlflowClient, "get_registered_model", fails)
    with pytest.raises(ValueError, match="rank a power set first"):
        choose_model("lfranker", "psnr", ScanMetadata())


def test_a_named_model_is_told_by_its_version(registered: dict[str, str]) -> None:
    choice = named_model("models:/lfranker@champion")
    assert choice.uri == f"models:/lfranker/{registered['champion']}"
    assert "alias champion, losses mae, run " in choice.model
    assert named_model(choice.uri).uri == choice.uri
    assert named_model("some/folder").model == "some/folder"


@pytest.mark.parametrize(
    ("kind", "steps", "words"),
    [
        (
            "simulated",
            "200",
            "a demonstration, trained for 200 steps and ranked on simulated scans",
        ),
        ("real", "5", "a demonstration, trained for 5 steps: "),
        ("simulated", "8000", ""),
        ("real", None, ""),
    ],
)
def test_a_model_of_a_demo_is_called_so(
    store: Path, kind: str, steps: str | None, words: str
) -> None:
    parent = make_parent("mae", kind)
    run = make_child(parent, "mae", {"psnr": 20.0, "ssim": 0.2})
    if steps is not None:
        MlflowClient().log_param(run.info.run_id, "steps", steps)
    name_model(run)
    rank_power_set(parent.info.run_id, "lfranker")
    MlflowClient().log_param(run.info.run_id, "initial_weights", "none")
    choice = named_model("models:/lfranker@champion")
    assert choice.caution.startswith(words)
    assert bool(choice.caution) == bool(words)
    if kind == "real":
        taken = choose_model("lfranker", "psnr", ScanMetadata())
        assert taken.caution == ""
        assert taken.uri == (BUNDLED if steps else choice.uri), "better than a demonstration"
        assert not steps or taken.reason == f"since {choice.uri} is {words[:-2]}"


def test_few_steps_from_the_weights_of_another_training_are_no_demo(store: Path) -> None:
    parent = make_parent("mae", "real")
    run = make_child(parent, "mae", {"psnr": 20.0, "ssim": 0.2})
    for name, value in {"steps": "50", "initial_weights": "0123456789abcdef"}.items():
        MlflowClient().log_param(run.info.run_id, name, value)
    name_model(run)
    rank_power_set(parent.info.run_id, "lfranker")
    assert named_model("models:/lfranker@champion").caution == ""


def test_nothing_registered_says_what_to_do(store: Path) -> None:
    with pytest.raises(ValueError, match="'mine': rank a power set first"):
        choose_model("mine", "psnr", ScanMetadata())
    for uri in ("models:/lfranker@champion", "models:/lfranker/3"):
        with pytest.raises(ValueError, match="no model at 'models:/lfranker"):
            named_model(uri)
