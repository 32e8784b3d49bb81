"""Small text files of many runs, fetched from wherever their artifacts lie."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

DOWNLOADS = 8  # at a time


def read_texts(files: Sequence[tuple[Run, str]]) -> Iterator[str | None]:
    """The text of each file, a run and a path in its artifacts; None where there is none.

    One request each: MLflow's own `load_text` makes three of a server, asking what the path is and
    what the server can do, which for thousands of runs takes longer than all the rest.
    """
    repositories: dict[str, ArtifactRepository] = {}
    with TemporaryDirectory() as folder, ThreadPoolExecutor(DOWNLOADS) as pool:

        def fetch(number: int, root: str, path: str) -> str | None:
            local = Path(folder) / str(number)
            try:
                repositories[root]._download_file(path, str(local))
            except (MlflowException, OSError) as error:
                if _missing(error):
                    return None
                raise
            text = local.read_text()
            local.unlink()
            return text

        places = [_place(run, path) for run, path in files]
        for root in {root for root, _ in places}:
            repositories[root] = get_artifact_repository(root)
        yield from pool.map(fetch, range(len(places)), *zip(*places, strict=True))


def _missing(error: MlflowException | OSError) -> bool:
    """There is no such file; whatever else goes wrong must not pass for that."""
    if isinstance(error, MlflowException):
        return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))
    answer = getattr(error, "response", None)  # of requests
    return isinstance(error, FileNotFoundError) or getattr(answer, "status_code", None) == 404


def _place(run: Run, path: str) -> tuple[str, str]:
    """The folder that a run's artifacts share with those of its siblings, and a path in it."""
    root, mark, rest = run.info.artifact_uri.partition(f"/{run.info.run_id}/")
    return (root, f"{run.info.run_id}/{rest}/{path}") if mark else (run.info.artifact_uri, path)
