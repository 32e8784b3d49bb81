"""Pictures of a power set as its page finds them again."""

from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from odd_names import NAMES
from tracked import SCANS, make_parent

from lfranker.publishing.pictures import logged_pictures
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.runs import log_image

ID = ScanSetId(SCANS, simulated=False)


def captions(files: list[str]) -> list[str]:
    run_id = make_parent().info.run_id
    for file in files:
        log_image(run_id, np.zeros((8, 8), np.uint8), f"pictures/{ID.short}/{file}.png")
    pictures = logged_pictures(run_id, ID)
    assert all(jpeg.startswith(b"\xff\xd8") for jpeg in pictures.values())
    return list(pictures)


def test_some_of_the_strips_are_on_the_page_but_not_the_keypoints(store: Path) -> None:
    strips = [f"field_{number}-30us" for number in range(6)]
    found = captions([*strips, *(f"keypoints/{name}" for name in strips)])
    assert found == [f"field_{number}-30us" for number in (0, 2, 4)]


def test_strips_of_sample_groups_are_on_the_page(store: Path) -> None:
    """A sample group is a folder: its fields are named `batch_a/field_0`."""
    groups = ["batch_a/field_0-30us", "batch_a/field_1-30us", "batch_b/deep/field_0-30us"]
    found = captions([*groups, *(f"keypoints/{name}" for name in groups)])
    assert found == groups


def test_a_sample_group_may_be_called_keypoints(store: Path) -> None:
    groups = ["keypoints/a-30us", "keypoints/b-30us"]
    assert captions(groups) == groups


def test_strips_of_fields_of_any_name_are_on_the_page_under_it(store: Path) -> None:
    """MLflow cuts names at # and ?, and takes neither .. nor what a file system refuses."""
    for name in NAMES:
        (found,) = captions([f"{name}-30us"])
        if len(name) > 100:
            assert found.startswith(name[:10])
            assert found.endswith("…")
        else:
            assert found == f"{name}-30us"


def test_a_strip_of_an_earlier_version_that_cannot_be_fetched_is_left_out(store: Path) -> None:
    run_id, image = make_parent().info.run_id, np.zeros((8, 8), np.uint8)
    for name in ("a-30us", "b #3-30us"):
        MlflowClient().log_image(run_id, image, artifact_file=f"pictures/{ID.short}/{name}.png")
    assert list(logged_pictures(run_id, ID)) == ["a-30us"]
