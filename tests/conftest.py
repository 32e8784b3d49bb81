import gc
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch: the workers share the processors
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import mlflow
import PIL.Image
import pytest
from mlflow import MlflowClient
from project import Project
from sqlalchemy import event
from sqlalchemy.engine import Engine
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from lfranker.evaluation import baselines
from lfranker.processes.jobs import available_cores
from lfranker.publishing import winners

gc.disable()  # until all tests are imported, which makes no garbage
GOLDEN = Path(__file__).parent / "golden"
# files whose tests look at one power set: another worker would have to make it again
OF_ONE_PROJECT = {"test_browser", "test_end_to_end"}
MOST_WORKERS = 4


class Scheduling(LoadFileScheduling):
    """Gives the tests of a file to one worker, as `--dist loadfile`; the slow files first."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "project" if PurePath(file).stem in OF_ONE_PROJECT else file


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers take seconds to start and a gigabyte each: none for files or tests that are named."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return min(available_cores() + 1, MOST_WORKERS) if whole else 0  # one may be waiting


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    config.option.loadscopereorder = False  # keep the order of the collection
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Look for garbage in what tests make, and not in all that is imported: that takes longer."""
    gc.freeze()
    gc.enable()


@event.listens_for(Engine, "connect")
def _fast(connection: object, record: object) -> None:
    """Write no store through to the disk: it need not outlive a loss of power."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking store, which takes seconds to make."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def store(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tracking store of its own, the default kind: sqlite with artifacts in ./mlruns."""
    root = (tmp_path / "mlruns" / "0").as_uri()
    with (
        closing(sqlite3.connect(empty_store)) as source,
        closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy,
    ):
        source.backup(copy)
        copy.execute("UPDATE experiments SET artifact_location = ?", (root,))
        copy.commit()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def quick_pictures() -> Iterator[None]:
    """Have pictures compressed little: that saves a tenth of a power set's time."""
    save = PIL.Image.Image.save

    def quickly(picture: PIL.Image.Image, *words: Any, **options: Any) -> None:
        save(picture, *words, **{"compress_level": 1, **options})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PIL.Image.Image, "save", quickly)
        yield


@pytest.fixture(autouse=True)
def few_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Winners are exported to ONNX in the tests of that alone: it takes seconds of each ranking."""
    monkeypatch.setattr(winners, "add_onnx", lambda model_id: None)


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
