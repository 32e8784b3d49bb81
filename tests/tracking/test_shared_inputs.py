"""Inputs that travel through the artifact store."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tracked import make_parent

from lfranker.files import sha256_of
from lfranker.tracking import shared_inputs
from lfranker.tracking.runs import TrackedRun, list_files, tracked
from lfranker.tracking.shared_inputs import SharedInput, at_hand, share


@pytest.fixture
def run(store: Path) -> TrackedRun:
    return tracked(make_parent())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"weights")
    return file


def sent(run: TrackedRun, file: Path) -> SharedInput:
    return share(run, file, sha256_of(file), file.parent / "drafts")


def same(shared: SharedInput) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and sha256_of(path) == shared.digest


def test_an_input_is_logged_once_in_an_experiment(run: TrackedRun, weights: Path) -> None:
    first = sent(run, weights)
    later = tracked(make_parent())
    assert sent(later, weights) == first
    assert list_files(later.run_id, "inputs") == []
    assert len(list_files(run.run_id, "inputs")) == 1
    MlflowClient().delete_run(run.run_id)
    assert sent(later, weights).run == later.run_id, "that of a deleted run may be gone"
    assert list(Path(weights.parent / "drafts").iterdir()) == []


def test_it_is_taken_where_it_lies_or_fetched_once(
    run: TrackedRun, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, cache, fetched = sent(run, weights), tmp_path / "node", list[str]()
    assert at_hand(shared, cache, same(shared)) == weights
    weights.write_bytes(b"others")  # at this place, on another machine
    fetch = shared_inputs._fetch

    def counted(one: SharedInput, folder: Path) -> None:
        fetched.append(one.digest)
        fetch(one, folder)

    monkeypatch.setattr(shared_inputs, "_fetch", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: at_hand(shared, cache, same(shared)), range(4)))
    assert {path.read_bytes() for path in found} == {b"weights"}
    assert found[0].suffix == ".pth", "by which weights are read"
    assert fetched == [shared.digest]
    found[0].write_bytes(b"damaged")
    assert at_hand(shared, cache, same(shared)).read_bytes() == b"weights"
    assert len(fetched) == 2


def test_a_folder_keeps_its_files_and_what_is_damaged_is_named(
    run: TrackedRun, tmp_path: Path
) -> None:
    folder = tmp_path / "dataset"
    (folder / "within").mkdir(parents=True)
    (folder / "within" / "patches.npy").write_bytes(b"patches")
    shared = share(run, folder, "d" * 64, tmp_path / "drafts")
    shutil.rmtree(folder)
    place = at_hand(shared, tmp_path / "node", lambda path: (path / "within").exists())
    assert (place / "within" / "patches.npy").read_bytes() == b"patches"
    with pytest.raises(ValueError, match=r"dataset: .* is damaged; delete the tag lfranker.input"):
        at_hand(shared, tmp_path / "other", lambda path: False)
