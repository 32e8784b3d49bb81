"""Pictures of a power set as its page finds them again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray
from odd_names import NAMES
from prepared import SPEEDS, make_scans
from recorder import Recorder
from scipy.ndimage import median_filter
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.arrays import Image
from lfranker.evaluation.baselines import BASELINES
from lfranker.evaluation.keypoints import Shared, shared
from lfranker.images.image_strips import comparison, glance
from lfranker.publishing import pictures
from lfranker.publishing.pictures import log_pictures, logged_glance, logged_pictures
from lfranker.registration.register import Transform
from lfranker.report.plots import match_figure
from lfranker.scans.scan_set import Pair, ScanSetId
from lfranker.tracking.models import load_network
from lfranker.tracking.runs import list_files, log_image
from lfranker.tracking.scores import scores as tracked_scores
from lfranker.tracking.tags import Tag

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


@pytest.mark.slow
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


def test_without_models_nothing_is_pictured(store: Path) -> None:
    parent, scans = make_parent("mae"), make_scans(store)
    make_child(parent, "mae", {"psnr": 30.0, "ssim": 0.5})
    assert log_pictures(power_set_of(parent), scans) == 0
    assert list_files(parent.info.run_id, "pictures") == []
    assert logged_glance(parent.info.run_id, scans.id) is None


class Blurred(nn.Module):
    """A network that tells which one it is by its brightness."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, image: Tensor) -> Tensor:
        return self.factor * image


def scored_power_set() -> Run:
    """`tv` wins at one speed alone; of the winners over all speeds one has no model."""
    parent = make_parent("mae,mse,ssim,tv")
    board = {
        "mae": {"psnr": 30.0, "ssim": 0.5, "repeatability": 0.1, "keypoints": 1.0},
        "mse": {"psnr": 29.0, "ssim": 0.9, "repeatability": 0.3, "keypoints": 2.0},
        "ssim": {"psnr": 20.0, "ssim": 0.4, "repeatability": 0.2, "keypoints": 9.0},
        "ssim+tv": {"psnr": 10.0, "ssim": 0.1, "repeatability": 0.0, "keypoints": 0.0},
    }
    for name, scores in board.items():
        scores["psnr/spd2"] = 99.0 if name == "ssim+tv" else scores["psnr"]
        make_child(parent, name, scores, **({} if name == "ssim" else {"model": f"m-{name}"}))
    for name, psnr in (("gaussian-1", 25.0), ("median-5", 26.0), ("noisy", 40.0)):
        run = make_child(parent, "", {"psnr": psnr}, baseline=name)
        MlflowClient().delete_tag(run.info.run_id, Tag.LOSSES)
    return parent


def test_each_picture_shows_the_pair_the_best_filter_and_the_winners(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, made = scored_power_set(), make_scans(store)
    record, seen = Recorder(monkeypatch), {"m-mae": 1.0, "m-mse": 0.5}
    record.replace(load_network, lambda call: Blurred(seen[call.uri.removeprefix("models:/")]))
    record.replace(comparison, lambda _: PIL.Image.new("RGB", (8, 8)))
    record.replace(glance, lambda _: PIL.Image.new("RGB", (8, 8)))
    record.replace(match_figure, lambda _: PIL.Image.new("RGB", (8, 8)))
    record.replace(shared, lambda call: call)
    monkeypatch.setattr(pictures, "MOST_PAIRS", 3)  # every second field of two speeds
    assert log_pictures(power_set_of(parent), made) == 4
    run_id, short = parent.info.run_id, made.id.short
    names = [f"{field}-{speed}.png" for field in ("f", "h") for speed in ("spd2", "spd5")]
    assert list_files(run_id, f"pictures/{short}") == [f"pictures/{short}/{n}" for n in names]
    keypoints = f"pictures/{short}-keypoints"
    assert list_files(run_id, keypoints) == [f"{keypoints}/{name}" for name in names]
    assert list_files(run_id, f"pictures/{short}-glance") == [f"pictures/{short}-glance/h-spd2.png"]
    shown = [record for record in made.records if record.field != "g"]
    strips, figures = record.calls["", "comparison"], record.calls["", "match_figure"]
    for entry, strip, figure in zip(shown, strips, figures, strict=True):
        pair = made.read(entry)
        expected = {
            "noisy": pair.noisy,
            "median-5": BASELINES["median-5"](pair.noisy),
            "mse": np.clip(0.5 * pair.noisy, 0, 1),
            "mae": np.clip(pair.noisy, 0, 1),
            "clean": pair.clean,
        }
        check_panels(strip.panels, expected)
        assert figure.name == "mse"
        found = figure.shared
        np.testing.assert_array_equal(figure.output, found.output)
        np.testing.assert_allclose(found.output, expected["mse"], atol=1e-6)
        for clean in (figure.original, found.original):
            np.testing.assert_array_equal(clean, pair.original)
        assert found.transform == pair.transform
        np.testing.assert_array_equal(found.mask, pair.mask)
    (own,), pair = record.calls["", "glance"], made.read(shown[2])
    filtered = BASELINES["median-5"](pair.noisy)
    check_panels(
        own.panels,
        {
            f"noisy, {level(pair.noisy, pair)} dB": pair.noisy,
            f"median-5 (best filter), {level(filtered, pair)} dB": filtered,
            f"mse (champion), {level(0.5 * pair.noisy, pair)} dB": np.clip(0.5 * pair.noisy, 0, 1),
            "clean": pair.clean,
        },
    )


def level(image: Image, pair: Pair) -> str:
    """PSNR, dB."""
    return f"{peak_signal_noise_ratio(pair.clean, np.clip(image, 0, 1), data_range=1):.1f}"


def test_the_best_filter_is_shown_as_it_was_tuned(store: Path) -> None:
    """The sites f, g, h are of half 1, 2 and 1."""
    parent, made = make_parent("mae"), make_scans(store)
    make_child(parent, "mae", {"psnr": 40.0})
    for name, psnr in (("median-tuned", 30.0), ("gaussian-1", 29.0), ("bundled", 35.0)):
        run = make_child(parent, "", {"psnr": psnr}, baseline=name)
        MlflowClient().delete_tag(run.info.run_id, Tag.LOSSES)
        if name == "median-tuned":
            tuned = run.info.run_id
    sizes = {(1, "spd2"): 3, (2, "spd2"): 5, (1, "spd5"): 7}
    for (half, speed), size in sizes.items():
        MlflowClient().log_param(tuned, f"size px half {half} {speed}", str(size))
    newer = make_child(parent, "", {}, baseline="median-tuned")  # which failed
    MlflowClient().delete_tag(newer.info.run_id, Tag.LOSSES)
    for half, speed in ((half, speed) for half in (1, 2) for speed in SPEEDS):
        MlflowClient().log_param(newer.info.run_id, f"size px half {half} {speed}", "1")
    MlflowClient().set_terminated(newer.info.run_id, "FAILED")
    board = tracked_scores(power_set_of(parent), made.digest)
    assert pictures._best_of_all(board, made) == {}, "not all is known"
    MlflowClient().log_param(tuned, "size px half 2 spd5", "1")
    ((title, denoiser),) = pictures._best_of_all(board, made).items()
    assert title == "median-tuned (best filter)"
    for record, size in zip(made.records, (3, 7, 5, 1, 3, 7), strict=True):
        pair = made.read(record)
        expected = median_filter(pair.noisy, size, mode="reflect")
        np.testing.assert_array_equal(denoiser(pair), expected, err_msg=record.files)


def check_panels(panels: Mapping[str, Image], expected: Mapping[str, Image]) -> None:
    assert list(panels) == list(expected)
    for name, image in expected.items():
        np.testing.assert_allclose(panels[name], image, atol=1e-6, err_msg=name)


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

    def small(panels: dict[str, Image]) -> PIL.Image.Image:
        glances.append(list(panels))
        return PIL.Image.new("RGB", (8, 8))

    def nowhere(output: Image, clean: Image, moved: Transform, mask: NDArray[np.bool_]) -> Shared:
        sought.append(clean)
        nothing = np.zeros((0, 2))
        return Shared(nothing, nothing, np.zeros((0, 2), np.intp), np.zeros(0, np.bool_))

    monkeypatch.setattr(pictures, "load_network", lambda _: nn.Identity())
    monkeypatch.setattr(pictures, "glance", small)
    monkeypatch.setattr(pictures, "shared", nowhere)
    assert log_pictures(power_set_of(parent), scans) == len(made.records)
    (panels,) = glances
    assert [title.partition(",")[0] for title in panels] == ["noisy", "mse (champion)", "clean"]
    caption, _ = logged_glance(parent.info.run_id, scans.id) or ("", b"")
    assert caption.startswith("Field g at spd2, on one gray scale")
    assert all(np.array_equal(clean, taken) for clean in sought)
    assert len(sought) == len(made.records)
