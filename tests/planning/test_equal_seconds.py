"""Steps of one network that take as long as those of another: paces are measured once."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lfranker.planning import equal_seconds
from lfranker.planning.equal_seconds import _paces
from lfranker.planning.inputs import Inputs
from lfranker.planning.settings import preset_settings

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
