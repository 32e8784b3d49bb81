"""Names of experiments and runs that nobody has named."""

import multiprocessing
import os
import sys
from pathlib import Path
from types import ModuleType

import mlflow
import pytest
from copies import start_function
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.tracking.runs import get_run, name_given_run, own_run, system_metrics
from lfranker.tracking.store import make_store
from lfranker.tracking.tags import Tag


@pytest.fixture
def store(new_store: Path) -> Path:
    """A store whose experiment nobody has named."""
    return new_store


def experiment_of(run_id: str) -> str:
    return str(MlflowClient().get_experiment(get_run(run_id).info.experiment_id).name)


def own_run_is_in() -> str:
    with own_run("powerset demo", "powerset") as run:
        pass
    return experiment_of(run.run_id)


def given_run(monkeypatch: pytest.MonkeyPatch, name: str | None = None) -> Run:
    """Make a run as `mlflow run` does for the process that it starts."""
    client = MlflowClient()
    tags = {"mlflow.source.name": "lfranker", "mlflow.project.entryPoint": "rank"}
    run = client.create_run("0", tags=tags, run_name=name)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    return run


def test_the_experiment_is_named_lfranker_unless_the_user_names_one(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_run_is_in() == "lfranker"
    assert own_run_is_in() == "lfranker"
    assert [e.name for e in MlflowClient().search_experiments()] == ["lfranker"]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert own_run_is_in() == "mine"


def eight_at_once() -> None:
    """Have eight processes make a run at once, and print their exit codes."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(8)

    def first() -> None:
        start.wait()
        with own_run("first", "train"):
            pass

    processes = [context.Process(target=first) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    sys.stdout.write(str([process.exitcode for process in processes]))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no locks of this kind")
def test_eight_processes_may_be_the_first_to_use_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On MLflow's own, most of them end with `table already exists` or `database is locked`."""
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    done = start_function(eight_at_once, log=tmp_path / "said.txt")
    assert done.wait(600) == 0, done.said
    assert done.said.splitlines()[-1] == str([0] * 8), done.said
    runs = MlflowClient(uri).search_runs(["0"])
    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["mlflow.db"]


@pytest.mark.slow
def test_a_store_is_made_once_and_others_are_left_to_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "deep" / "my store.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    make_store()
    assert [path.name for path in database.parent.iterdir()] == ["my store.db"]
    made = database.stat().st_mtime_ns
    make_store()
    assert database.stat().st_mtime_ns == made
    for other in ("http://localhost:1", "sqlite://", "sqlite:///:memory:"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
        make_store()


def test_an_experiment_with_other_runs_keeps_its_name(store: Path) -> None:
    foreign = MlflowClient().create_run("0", run_name="of another tool")
    assert own_run_is_in() == "lfranker"
    assert experiment_of(foreign.info.run_id) == "Default"


def test_an_experiment_of_a_server_keeps_its_name(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may use it."""
    monkeypatch.setattr("lfranker.tracking.store.LOCAL", ())
    assert own_run_is_in() == "lfranker"
    assert MlflowClient().get_experiment("0").name == "Default"


def test_runs_that_mlflow_run_makes_are_with_the_others(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before it too, which commands of earlier versions did not mark."""
    with monkeypatch.context() as earlier:
        earlier_run = given_run(earlier)
    with monkeypatch.context() as mlflow_run:
        run = given_run(mlflow_run)
        with own_run("powerset demo", "powerset") as taken:
            assert taken.run_id == run.info.run_id
    assert experiment_of(run.info.run_id) == experiment_of(earlier_run.info.run_id) == "lfranker"
    assert own_run_is_in() == "lfranker"
    assert len(MlflowClient().search_experiments()) == 1


def test_an_experiment_that_was_deleted_is_not_used(store: Path) -> None:
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("lfranker"))
    with pytest.raises(ValueError, match="was deleted: restore it"):
        own_run_is_in()


@pytest.mark.parametrize(
    ("name", "after"), [(None, "denoise a.tif"), ("night of my own", "night of my own")]
)
def test_a_run_that_mlflow_run_made_says_what_it_did_unless_it_is_named(
    store: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, after: str
) -> None:
    run = given_run(monkeypatch, name)
    name_given_run("denoise", "denoise")
    name_given_run("denoise a.tif", "denoise")
    found = get_run(run.info.run_id)
    assert found.info.run_name == after
    assert found.data.tags[Tag.ROLE] == "denoise"
    assert found.data.tags[Tag.OWNER]
    assert found.info.status == "RUNNING", "`mlflow run` ends it"


def test_a_process_without_a_run_names_none(store: Path) -> None:
    name_given_run("denoise a.tif", "denoise")
    assert not MlflowClient().search_runs(["0"])


def test_the_load_of_the_machine_is_logged_where_it_can_be_measured(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfranker.tracking.runs.find_spec", lambda _: None)
    assert system_metrics() is None
    monkeypatch.setattr("lfranker.tracking.runs.find_spec", lambda _: ModuleType("psutil"))
    assert system_metrics() is True
    asked = []
    start = mlflow.start_run

    def started(**options: object) -> object:
        asked.append(options.pop("log_system_metrics"))
        return start(**options)  # type: ignore[arg-type]

    monkeypatch.setattr(mlflow, "start_run", started)
    own_run_is_in()
    assert asked == [True]
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    assert system_metrics() is None, "the user's own word counts"
