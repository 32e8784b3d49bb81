"""What is read of trainings at other learning rates, with stand-ins for the tracking server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking import follow_ups
from lfranker.tracking.follow_ups import checked
from lfranker.tracking.power_set import PowerSet

OWN, OTHER = ScanSetId("aa" * 8, simulated=False), ScanSetId("bb" * 8, simulated=False)
MARGINS = {"psnr": 0.1}


@dataclass(frozen=True)
class Scored:
    """A training with its PSNR on the scans."""

    run_id: str
    psnr: float
    digest: str = OWN.digest
    metrics: Mapping[str, float] = field(default_factory=dict)

    def scores(self, digest: str) -> dict[str, float]:
        return {"psnr": self.psnr} if digest == self.digest else {}

    def outcome_on(self, digest: str) -> str:
        return "ok" if digest == self.digest else ""


def runs(name: str, *psnr: float, scans: ScanSetId = OWN) -> dict[tuple[str, int], Scored]:
    ids = {(name, at): f"{name} {at} {value}" for at, value in enumerate(psnr)}
    return {key: Scored(ids[key], psnr[key[1]], scans.digest) for key in ids}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Trainings at other rates by key; and, once it was called, what the check got."""
    asked: dict[str, Any] = {}
    keys = {
        "half": {**runs("mae", 29.0, 29.2, 29.9), **runs("mse", 31.0, 31.2)},
        "double": {**runs("mae", 27.0, 27.4), **runs("mse", 26.0)},
    }

    def check(boards: object, fields: object, margins: object, seed: int) -> str:
        asked.update(boards=boards, fields=fields, margins=margins, seed=seed)
        return "found"

    def trained(key: str, experiment: str) -> dict[tuple[str, int], Scored]:
        assert experiment == "7"
        return keys[key]

    def table(run: Scored, scans: ScanSetId) -> pd.DataFrame | None:
        own = pd.DataFrame({"field": ["a"], "psnr": [run.psnr], "scans": [scans.digest]})
        return None if run.run_id.startswith("mse 1") else own

    monkeypatch.setattr(follow_ups, "trainings_with", trained)
    monkeypatch.setattr(follow_ups, "read_table", table)
    monkeypatch.setattr(follow_ups, "check_winner", check)
    return asked


def power_set(factors: Mapping[float, str], repeats: int = 2) -> PowerSet:
    own = {**runs("mae", 30.0, 30.4, 33.0), **runs("mse", 28.0, 28.2, 33.0)}
    known = SimpleNamespace(
        learning_rates=factors, trainings=own, experiment_id="7", repeats_seen=repeats, seed=5
    )
    return cast(PowerSet, known)


def test_repeats_that_were_trained_at_every_rate_are_compared(asked: dict[str, Any]) -> None:
    """By hand: means of two repeats; mse lacks its second one at the double rate."""
    found = cast(str, checked(power_set({0.5: "half", 2.0: "double"}), OWN, MARGINS))
    assert found == "found"
    assert (asked["margins"], asked["seed"]) == (MARGINS, 5)
    psnr = {factor: board["psnr"].round(6).to_dict() for factor, board in asked["boards"].items()}
    assert psnr[1.0] == {"mae": 30.2, "mse": 28.1}
    assert psnr[0.5] == {"mae": 29.1, "mse": 31.1}
    assert psnr[2.0]["mae"] == 27.2
    outcomes = asked["boards"][2.0]["outcome"].to_dict()
    assert outcomes == {"mae": "ok", "mse": "incomplete"}
    rows = asked["fields"][0.5]
    assert rows[["name", "repeat", "psnr"]].to_numpy().tolist() == [
        ["mae", 0, 29.0], ["mae", 1, 29.2], ["mse", 0, 31.0]
    ]  # fmt: skip
    assert set(rows["scans"]) == {OWN.digest}
    assert list(asked["fields"]) == list(asked["boards"]) == [1.0, 0.5, 2.0]


def test_repeats_that_are_not_asked_for_are_left_out(asked: dict[str, Any]) -> None:
    checked(power_set({0.5: "half"}, repeats=1), OWN, MARGINS)
    assert asked["boards"][0.5]["psnr"].to_dict() == {"mae": 29.0, "mse": 31.0}
    assert asked["boards"][1.0]["psnr"].to_dict() == {"mae": 30.0, "mse": 28.0}


def test_there_is_no_check_on_scans_that_it_was_not_made_on(asked: dict[str, Any]) -> None:
    assert checked(power_set({}), OWN, MARGINS) is None
    there = power_set({0.5: "half"})
    cast(dict[Any, Any], there.trainings).update(runs("mae", 30.0, 30.4, scans=OTHER))
    assert checked(there, OTHER, MARGINS) is None
    assert not asked
