"""Winners are exported to ONNX where that is possible, and are winners where it is not."""

import pytest

from lfranker.publishing import winners
from lfranker.tracking.registry import Winner

WINNER = Winner("mae", "run", 0, "m-1", (), {}, "")


def test_winners_are_exported_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[str] = []
    monkeypatch.setattr(winners, "add_onnx", exported.append)
    monkeypatch.setattr(winners, "has_package", lambda name: name == "onnx")
    assert winners._export(WINNER) == []
    assert exported == ["m-1"]
    monkeypatch.setattr(winners, "has_package", lambda name: False)
    (notice,) = winners._export(WINNER)
    assert "pip install 'lfranker[onnx]'" in notice
    assert exported == ["m-1"]


def test_an_export_that_fails_is_said_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model_id: str) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(winners, "add_onnx", refuse)
    monkeypatch.setattr(winners, "has_package", lambda name: True)
    assert winners._export(WINNER) == ["mae has no network.onnx: RuntimeError: no such operator"]
