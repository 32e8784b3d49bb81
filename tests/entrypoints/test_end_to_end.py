"""The commands of the README, as a user types them, with the smallest preset."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from copies import start_mlflow
from guarded_server import free_port, wait_for_answer
from project import Project

from entrypoints.denoise import main as denoise_entry
from entrypoints.powerset import main as powerset_entry
from lfranker.denoiser.tiling import denoise
from lfranker.images.image_file import read_image, write_image
from lfranker.simulation.scans import simulate_scans, simulated_fields
from lfranker.tracking.models import load_network
from lfranker.tracking.tags import Tag

SUBSETS = ["mae", "mae+ssim", "ssim"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("its_store")]


def test_all_subsets_are_trained_scored_ranked_and_registered(project: Project) -> None:
    children = project.children()
    assert sorted(children) == SUBSETS
    for run in children.values():
        assert run.info.status == "FINISHED"
        assert {"psnr", "ssim", "keypoints", "psnr/spd2", "train/loss", "val/psnr"} <= set(
            run.data.metrics
        )
        files = {f.path for f in project.client.list_artifacts(run.info.run_id)}
        assert {"scores", "pictures", "images", "logs"} <= files
        assert "checkpoints" not in files, "only the final model stays"
    parent = project.parent()
    assert parent.data.tags[Tag.CHAMPION] in SUBSETS
    assert "demonstrates the machinery" in parent.data.tags["mlflow.note.content"]
    digest = parent.data.tags[Tag.SCANS][:8]
    for folder in (f"pictures/{digest}", f"pictures/{digest}-keypoints"):
        found = project.client.list_artifacts(parent.info.run_id, folder)
        assert sum(item.path.endswith(".png") for item in found) >= 3, "one for each speed"
    champion = project.client.get_model_version_by_alias("lfranker", "champion")
    assert champion.run_id in {run.info.run_id for run in children.values()}
    assert champion.tags[Tag.SIMULATED] == "true"
    model = champion.source.removeprefix("models:/")
    stored = project.client.list_logged_model_artifacts(model, "artifacts")
    assert "network.onnx" in {Path(file.path).name for file in stored}


def test_the_same_command_keeps_what_is_finished(project: Project) -> None:
    before = {name: run.info.end_time for name, run in project.children().items()}
    again = project.call(powerset_entry, preset="smoke", cache=project.folder / "cache")
    assert again.exit_code == 0, again.output
    assert "3 of 3 trainings are finished already" in again.output
    assert {name: run.info.end_time for name, run in project.children().items()} == before


FRESH_PROCESS = """
import sys
import mlflow, numpy as np, torch
model = mlflow.pyfunc.load_model("models:/lfranker@champion")
scan = np.random.default_rng(0).random((1, 1, 70, 90), dtype=np.float32)
denoised = model.predict(scan)
assert (denoised.shape, denoised.dtype) == (scan.shape, scan.dtype)
assert isinstance(model.unwrap_python_model().network, torch.nn.Module)
assert "skimage" not in sys.modules and "lfranker.tracking" not in sys.modules
print(float(denoised.min()) >= 0 and float(denoised.max()) <= 1)
"""


def test_the_champion_loads_without_pickle_in_a_fresh_process_and_folder(
    project: Project, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", FRESH_PROCESS],
        env={**project.environment, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("True")


def test_the_champion_is_served(project: Project) -> None:
    port = free_port()
    words = ["models", "serve", "-m", "models:/lfranker@champion", "--env-manager", "local"]
    server = start_mlflow(
        [*words, "--port", str(port)], project.environment, project.folder / "served.txt"
    )
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/ping", server)
        scan = np.random.default_rng(0).random((1, 1, 40, 56), dtype=np.float32)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"inputs": scan.tolist()}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            served = np.array(json.load(answer)["predictions"], np.float32)
    finally:
        server.kill()
    network = load_network("models:/lfranker@champion")
    np.testing.assert_allclose(served[0, 0], denoise(network, scan[0, 0]), atol=1e-5)


def test_denoise_keeps_depth_and_names_what_it_cannot_read(
    project: Project, tmp_path: Path
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    image = np.random.default_rng(0).random((65, 80), dtype=np.float32)
    write_image(scans / "eight.png", image, np.dtype(np.uint8), 255)
    write_image(scans / "sixteen.tif", image, np.dtype(np.uint16), 65535)
    (scans / "broken.png").write_bytes(b"not a picture")
    done = project.run("denoise", input=scans, output=out)
    assert done.returncode != 0
    assert "broken.png" in done.stderr
    assert "files: the network that comes with lfranker, since the champion of" in done.stderr
    assert names_of(project, "denoise")[0] == "denoise scans with bundled"
    for name, kind in (("eight.png", np.uint8), ("sixteen.tif", np.uint16)):
        after = read_image(out / name)
        assert (after.dtype, after.pixels.shape) == (np.dtype(kind), image.shape)
        assert np.abs(after.pixels - read_image(scans / name).pixels).mean() > 0.01
    again = project.call(denoise_entry, input=scans / "eight.png", output=out / "eight.png")
    assert again.exit_code != 0
    assert "exists" in again.output
    named = project.call(
        denoise_entry, input=scans / "eight.png", output=out / "by-champion.png",
        model="models:/lfranker@champion",
    )  # fmt: skip
    assert named.exit_code == 0, named.output
    assert "a demonstration, trained for 5 steps and ranked on simulated scans" in named.output
    by_network, by_champion = (read_image(out / f"{name}.png") for name in ("eight", "by-champion"))
    assert not np.array_equal(by_network.pixels, by_champion.pixels)


def names_of(project: Project, role: str) -> list[str]:
    """Return the names of the runs with this role, newest first."""
    experiment = project.parent().info.experiment_id
    runs = project.client.search_runs([experiment], f"tags.`{Tag.ROLE}` = '{role}'")
    return [str(run.info.run_name) for run in runs]


def test_new_scans_are_scored_beside_the_old_ones_and_ranked(
    project: Project, tmp_path: Path
) -> None:
    simulate_scans(simulated_fields(1, 128, seed=5), tmp_path / "scans", seed=5)
    done = project.run(
        "evaluate", parent="latest", scans=tmp_path / "scans", cache=tmp_path / "cache"
    )
    assert done.returncode == 0, done.stderr
    digest = done.stdout.strip().split()[-1]
    run = project.children()["mae"]
    assert run.data.metrics[f"tested on {digest}/psnr"] != run.data.metrics["psnr"]
    tables = project.client.list_artifacts(run.info.run_id, "scores")
    whole = [table.path for table in tables if "-at-" not in table.path]
    assert len(whole) == 2
    branches = [path.replace(".csv", f"-at-{steps}.csv") for path in whole for steps in (1, 2)]
    assert sorted(whole + branches) == [table.path for table in tables]
    ranked = project.run("rank", scans=digest)
    assert ranked.returncode == 0, ranked.stderr
    assert "workflowType=machine_learning" in ranked.stdout.strip().splitlines()[-1]
    assert names_of(project, "rank") == [f"rank {project.parent().info.run_name}"]
    parent = project.parent().info.run_id
    assert project.client.list_artifacts(parent, f"ranking-{digest}")
