"""Pictures and tables of fields of any name, through a real `mlflow server`."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from guarded_server import mlflow_server
from odd_names import NAMES
from tracked import SCANS, make_parent

from lfranker.publishing.pictures import logged_pictures
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.runs import (
    download,
    find_run,
    list_files_below,
    log_image,
    log_texts,
    read_texts,
)
from lfranker.tracking.tags import artifact_name, name_of

pytestmark = pytest.mark.slow
ID = ScanSetId(SCANS, simulated=False)
NOT_UTF8 = os.fsdecode(b"k\xf6rnung")
ALL = (*NAMES, NOT_UTF8)
CUT = [name for name in ALL if len(name) > 100]


@pytest.fixture
def served(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server that alone reaches the artifacts; MLflow here points to it."""
    settings = {"HTTP_REQUEST_MAX_RETRIES": "1", "HTTP_REQUEST_TIMEOUT": "60"}
    with mlflow_server(tmp_path, empty_store) as port:
        settings["TRACKING_URI"] = f"http://127.0.0.1:{port}"
        for name, value in settings.items():
            monkeypatch.setenv(f"MLFLOW_{name}", value)
        yield tmp_path


def test_pictures_and_tables_of_any_name_come_back_from_a_server(
    served: Path, tmp_path: Path
) -> None:
    run = find_run(make_parent().info.run_id)
    assert run.artifact_uri.startswith("mlflow-artifacts:"), "not by way of the file system"
    tables = {f"samples/{name}.csv": f"table {number}" for number, name in enumerate(ALL)}
    for number, name in enumerate(ALL):
        picture = np.full((8, 8), 10 + number, np.uint8)
        log_image(run.run_id, picture, f"pictures/{ID.short}/{name}-30us.png")
    log_texts(run.run_id, tables)

    folder = f"pictures/{ID.short}/"
    files = list_files_below(run.run_id, folder.rstrip("/"))
    expected = {artifact_name(f"{folder}{name}-30us.png"): at for at, name in enumerate(ALL)}
    assert sorted(files) == sorted(expected)
    for file in files:
        with PIL.Image.open(download(run.run_id, file, tmp_path / "fetched")) as picture:
            assert np.unique(np.asarray(picture)).tolist() == [10 + expected[file]], file
    shown = {name_of(file.removeprefix(folder)) for file in files}
    whole = {f"{name}-30us.png" for name in ALL if name not in {*CUT, NOT_UTF8}}
    assert whole <= shown
    assert len(logged_pictures(run.run_id, ID)) > 1

    below = list_files_below(run.run_id, "samples")
    assert sorted(below) == sorted(map(artifact_name, tables))
    texts = read_texts([(run, artifact_name(name)) for name in tables])
    assert list(texts) == list(tables.values())

    stored = [path for path in (served / "artifacts").rglob("*") if path.is_file()]
    assert len(stored) == 2 * len(ALL)
    assert all(f"/{run.run_id}/artifacts/" in str(path) for path in stored)
    assert all(str(path).isascii() for path in stored)
