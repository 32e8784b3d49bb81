"""Pictures of a power set as its page finds them again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray
from odd_names import NAMES
from prepared import make_scans
from torch import nn
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.arrays import Image
from lfranker.evaluation.keypoints import Shared
from lfranker.publishing import pictures
from lfranker.publishing.pictures import log_pictures, logged_glance, logged_pictures
from lfranker.scans.registration import Transform
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


def test_the_champion_is_pictured_first_and_the_glance_is_at_the_fastest_scan(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best in PSNR is another one; keypoints are matched with the clean scan as it was taken."""
    parent, made = make_parent("mae,mse"), make_scans(store)
    scores = {"mae": (30.0, 0.5, 0.1), "mse": (29.0, 0.9, 0.3)}
    for name, own in scores.items():
        metrics = dict(zip(("psnr", "ssim", "repeatability"), own, strict=True))
        make_child(parent, name, metrics, model=name)
    taken = np.random.default_rng(1).random((48, 48), dtype=np.float32)
    for field in made.fields:
        np.save(made.folder / f"{field}.npy", taken)
    scans = replace(made, records=tuple(reversed(made.records)))
    glances, sought = list[list[str]](), list[Image]()

    def glance(panels: dict[str, Image]) -> PIL.Image.Image:
        glances.append(list(panels))
        return PIL.Image.new("RGB", (8, 8))

    def shared(output: Image, clean: Image, moved: Transform, mask: NDArray[np.bool_]) -> Shared:
        sought.append(clean)
        nothing = np.zeros((0, 2))
        return Shared(nothing, nothing, np.zeros((0, 2), np.intp), np.zeros(0, np.bool_))

    monkeypatch.setattr(pictures, "load_network", lambda _: nn.Identity())
    monkeypatch.setattr(pictures, "glance", glance)
    monkeypatch.setattr(pictures, "shared", shared)
    assert log_pictures(power_set_of(parent), scans) == len(made.records)
    (panels,) = glances
    assert panels == ["noisy", "mse (champion)", "clean"]
    caption, _ = logged_glance(parent.info.run_id, scans.id) or ("", b"")
    assert caption.startswith("Field g at spd2, the fastest scans")
    assert all(np.array_equal(clean, taken) for clean in sought)
    assert len(sought) == len(made.records)
