"""Winners are registered with what is theirs, and in ONNX too where that is possible."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from lfranker.evaluation.criteria import CHAMPION, Criterion
from lfranker.publishing import winners
from lfranker.publishing.promotion import Gate
from lfranker.ranking.leaderboard import rank
from lfranker.tracking.registry import Version, Winner

WINNER = Winner("mae", "run", 0, "m-1", (), {}, "")


def test_winners_are_exported_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[str] = []
    monkeypatch.setattr(winners, "add_onnx", exported.append)
    monkeypatch.setattr(winners, "has_package", lambda name: name == "onnx")
    assert winners._export(WINNER) == []
    assert exported == ["m-1"]
    monkeypatch.setattr(winners, "has_package", lambda name: False)
    (notice,) = winners._export(WINNER)
    assert "pip install onnx" in notice
    assert exported == ["m-1"]


def test_an_export_that_fails_is_said_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model_id: str) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(winners, "add_onnx", refuse)
    monkeypatch.setattr(winners, "has_package", lambda name: True)
    assert winners._export(WINNER) == ["mae has no network.onnx: RuntimeError: no such operator"]


def test_a_winner_is_registered_by_its_own_row_and_only_its_aliases_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registered = list[Winner]()

    def register(model: str, winner: Winner, *_: object) -> tuple[Version, list[str]]:
        registered.append(winner)
        return Version(model, "7", winner.run_id, True, ("best-psnr",)), ["champion stays"]

    monkeypatch.setattr(winners, "register", register)
    monkeypatch.setattr(winners, "_description", lambda *_: "")
    monkeypatch.setattr(winners, "_export", lambda _: [])
    monkeypatch.setattr(winners, "won_by", lambda _: {"mse": [CHAMPION, Criterion("psnr")]})
    board = pd.DataFrame(
        {"psnr": [20.0, 21.0], "ssim": [0.8, 0.9], "keypoints": [5.0, np.nan],
         "model": ["m-1", "m-2"], "run_id": ["r-1", "r-2"], "repeat": [0, 2]},
        index=["mae", "mse"],
    )  # fmt: skip
    scans = SimpleNamespace(simulated=False)
    gate = cast(Gate, SimpleNamespace(scans=scans, promote="auto", refusal=lambda *_: ""))
    told = winners.register_winners(board, rank(board[["psnr", "ssim"]]), "m", gate)
    assert told == ({"best-psnr": "7"}, ["champion stays"])
    (own,) = registered
    assert (own.name, own.run_id, own.model_id, own.repeat) == ("mse", "r-2", "m-2", 2)
    assert own.criteria == (CHAMPION, Criterion("psnr"))
    assert own.scores == {"psnr": 21.0, "ssim": 0.9}
