"""Options of launchers that do not go together are refused by name."""

import pytest

from lfranker.launching.config import LaunchConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"launcher": "moon"}, "allowed are local, slurm"),
        ({"slurm": {"time": "5"}}, "--slurm is of --launcher slurm, and this is local"),
        ({"max_jobs": 3}, "--max-jobs is of engines, .*--jobs is for this machine"),
        ({"detach": True}, "--detach is of engines"),
        ({"launcher": "slurm", "retries": -1}, "retries is -1"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], message: str) -> None:
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
        ("slurm", "cpu", {"gpus": "1"}, False, "cpu"),
        ("slurm", "cuda", {}, False, "cuda"),
    ],
)
def test_an_engines_machines_may_have_gpus_where_this_one_has_none(
    launcher: str, asked: str, options: dict[str, str], gpu_here: bool, device: str
) -> None:
    assert LaunchConfig(launcher=launcher, slurm=options).device(asked, gpu_here) == device


def test_no_gpu_of_an_engine_is_named() -> None:
    with pytest.raises(ValueError, match="slurm decides"):
        LaunchConfig(launcher="slurm").device("cuda:1", False)
