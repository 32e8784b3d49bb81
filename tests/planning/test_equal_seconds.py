"""Steps of one network that take as long as those of another: paces are measured once."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from lfranker.planning import equal_seconds
from lfranker.planning.equal_seconds import _paces, measured
from lfranker.planning.inputs import Inputs
from lfranker.planning.settings import preset_settings
from lfranker.training.config import TrainConfig

SMOKE = preset_settings("smoke")


def inputs(
    device: str = "cpu", patch: int = SMOKE.dataset.patch, perceptual: str = "none"
) -> Inputs:
    settings = replace(SMOKE, dataset=replace(SMOKE.dataset, patch=patch))
    facts = {"perceptual": perceptual}
    return cast("Inputs", SimpleNamespace(settings=settings, device=device, facts=facts))


def test_paces_are_measured_again_on_another_device_or_patch_and_not_on_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([(2.0, 1.0), (1.0, 3.0), (1.0, 5.0), (1.0, 7.0)])
    monkeypatch.setattr(
        equal_seconds, "measured", lambda own, _: dict(zip(own, next(seconds), strict=True))
    )

    def pace(**changes: object) -> float:
        both = dict.fromkeys(("scunet", "nafnet"), inputs(**changes))  # type: ignore[arg-type]
        found = _paces(both, [("mae",)], tmp_path)
        assert found["scunet"] == 1.0
        return found["nafnet"]

    assert pace() == pace() == 0.5
    assert pace(device="cuda") == 3.0
    assert pace(patch=56) == 5.0
    assert pace(perceptual="other") == 7.0
    assert (pace(), pace(device="cuda")) == (0.5, 3.0)


def test_networks_take_turns_and_each_is_timed_six_times_over_all_subsets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The median of each subset leaves a slow start out; of nafnet a step takes twice as long."""
    timed, threads = list[tuple[str, str]](), list[int]()

    def seconds(objective: str, data: object, train: TrainConfig, device: object) -> float:
        timed.append((train.network, objective))
        assert (data, device, threads[-1]) == ("data", "cpu", train.threads)
        start = 100.0 if timed.count(timed[-1]) == 1 else 0.0
        return start + {"mae": 1.0, "ssim": 4.0}[objective] * (1 + (train.network == "nafnet"))

    monkeypatch.setattr(equal_seconds, "seconds_per_step", seconds)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    both = {
        name: SimpleNamespace(
            settings=replace(SMOKE, train=replace(SMOKE.train, network=name, threads=len(name))),
            objective="+".join, data="data", device="cpu",
        )
        for name in ("scunet", "nafnet")
    }  # fmt: skip
    found = measured(cast("dict[str, Inputs]", both), [("mae",), ("ssim",)])
    assert found == {"scunet": 2.5, "nafnet": 5.0}
    turns = [(name, subset) for subset in ("mae", "ssim") for name in both]
    assert timed == turns * 3
