"""Options of launchers that do not go together are refused by name."""

import pytest

from lfranker.launching.config import LaunchConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"launcher": "moon"}, "allowed are local, slurm, ray"),
        ({"slurm": {"time": "5"}}, "--slurm is of --launcher slurm, and this is local"),
        ({"launcher": "slurm", "ray": {"cpus": 2.0}}, "--ray is of --launcher ray, and this is"),
        ({"ray_address": "auto"}, "--ray-address is of --launcher ray, and this is local"),
        ({"launcher": "ray", "ray": {"disks": 2.0}}, "disks is not known; allowed are cpus"),
        ({"launcher": "ray", "ray": {"gpus": -1.0}}, "gpus is -1; allowed are 0 to 1024"),
        ({"launcher": "ray", "detach": True}, "name it by --ray-address"),
        ({"max_jobs": 3}, "--max-jobs is of engines, .*--jobs is for this machine"),
        ({"detach": True}, "--detach is of engines"),
        ({"launcher": "slurm", "retries": -1}, "retries is -1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ValueError, match=message):
        LaunchConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("launcher", "asked", "options", "gpu_here", "device"),
    [
        ("local", "auto", {}, True, "cuda"),
        ("local", "auto", {}, False, "cpu"),
        ("local", "cuda:1", {}, True, "cuda"),
        ("slurm", "auto", {}, True, "cpu"),
        ("slurm", "auto", {"gpus": "1"}, False, "cuda"),
        ("slurm", "auto", {"gres": "gpu:1"}, False, "cuda"),
        ("slurm", "auto", {"gpus": "0"}, True, "cpu"),
        ("slurm", "cpu", {"gpus": "1"}, False, "cpu"),
        ("slurm", "cuda", {}, False, "cuda"),
    ],
)
def test_an_engines_machines_may_have_gpus_where_this_one_has_none(
    launcher: str, asked: str, options: dict[str, str], gpu_here: bool, device: str
) -> None:
    assert LaunchConfig(launcher=launcher, slurm=options).device(asked, gpu_here) == device


def test_a_share_of_a_gpu_is_one() -> None:
    assert LaunchConfig(launcher="ray", ray={"gpus": 0.25}).device("auto", False) == "cuda"
    assert LaunchConfig(launcher="ray", ray={"cpus": 2.0}).device("auto", True) == "cpu"


def test_no_gpu_of_an_engine_is_named() -> None:
    with pytest.raises(ValueError, match="slurm decides"):
        LaunchConfig(launcher="slurm").device("cuda:1", False)
