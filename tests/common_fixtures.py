"""Fixtures of all tests, and what holds while any test runs."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import mlflow.models.utils
import mlflow.store.db.utils
import PIL.Image
import pytest
from copies import copy_store
from project import Project
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lfranker.evaluation import baselines
from lfranker.publishing import ranking_run, winners
from lfranker.report import plots
from lfranker.report.findings import Findings
from lfranker.tracking.store import NAME, make_store


@event.listens_for(Engine, "connect")
def _fast(connection: object, record: object) -> None:
    """Write no store through to the disk: it need not outlive a loss of power."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session", autouse=True)
def tables_are_looked_at_once() -> Iterator[None]:
    """Have MLflow read its tables' history once, and not for each test's copy of a store."""
    latest = mlflow.store.db.utils._get_latest_schema_revision()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.store.db.utils, "_get_latest_schema_revision", lambda: latest)
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_are_compiled_once() -> Iterator[None]:
    """Have SQLAlchemy compile MLflow's statements once, and not again for each test's store.

    Its cache belongs to an engine and goes by the engine's dialect; all stores here are SQLite.
    """
    make = mlflow.store.db.utils.create_sqlalchemy_engine
    first = make("sqlite://")
    first.connect().close()  # which tells the dialect of SQLite's version

    def sharing(uri: str) -> Engine:
        engine = make(uri)
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.store.db.utils, "create_sqlalchemy_engine", sharing)
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking store, which takes seconds to make: one for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    file = folder / "empty.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
        make_store()
    return file


@pytest.fixture
def new_store(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tracking store of its own, the default kind: sqlite with artifacts in ./mlruns."""
    root = (tmp_path / "mlruns" / "0").as_uri()
    copy_store(empty_store, tmp_path / "mlflow.db", root)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def store(new_store: Path) -> Path:
    """A store of its own whose experiment has our name, as after a first command."""
    with closing(sqlite3.connect(new_store / "mlflow.db")) as made:
        made.execute("UPDATE experiments SET name = ?", (NAME,))
        made.commit()
    return new_store


@pytest.fixture(scope="session", autouse=True)
def quick_pictures() -> Iterator[None]:
    """Have pictures compressed little: that saves a tenth of a power set's time."""
    save = PIL.Image.Image.save

    def quickly(picture: PIL.Image.Image, *words: Any, **options: Any) -> None:
        save(picture, *words, **{"compress_level": 1, **options})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PIL.Image.Image, "save", quickly)
        yield


@pytest.fixture(scope="session", autouse=True)
def untried() -> Iterator[None]:
    """Leave out MLflow's trial of each model that is logged, which only warns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.models.utils, "_validate_serving_input", lambda **_: None)
        yield


@pytest.fixture(autouse=True)
def few_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Winners are exported to ONNX in the tests of that alone: it takes seconds of each ranking."""
    monkeypatch.setattr(winners, "add_onnx", lambda model_id: None)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the plots of pages undrawn, where a test looks at something else: that takes long."""
    monkeypatch.setattr(plots, "_svg", lambda figure: "<svg/>")


def leave_unsaid(patch: pytest.MonkeyPatch) -> None:
    """Leave out what a ranking finds and says beside its note, tables and winners; its page."""
    patch.setattr(ranking_run, "find", lambda *_: Findings())
    patch.setattr(ranking_run, "sections", lambda *_: [])
    patch.setattr(ranking_run, "page_of", lambda _: "")


@pytest.fixture
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what a ranking finds and says beside its winners, its note, tables and page."""
    leave_unsaid(monkeypatch)
    monkeypatch.setattr(ranking_run, "write_note", lambda *_: None)
    monkeypatch.setattr(ranking_run, "texts_of", lambda *_: {})


@pytest.fixture(autouse=True)
def no_bm3d(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans are scored as where BM3D is not installed: tuning it takes minutes."""
    monkeypatch.setattr(baselines, "find_spec", lambda name: None)


@pytest.fixture(autouse=True)
def nothing_is_left_of_earlier_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not mlflow.is_tracking_uri_set(), "an earlier test left its address of a store"
    assert mlflow.active_run() is None, "an earlier test left its run open"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A power set that was run once, for all tests that look at it."""
    project = Project(tmp_path_factory.mktemp("project"), without=("bm3d",))
    project.powerset()
    return project


@pytest.fixture
def its_store(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.uri)
