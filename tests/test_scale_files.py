"""The files of docs/scale: what they name exists."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml
from recorder import COMMANDS

from lfranker import __version__
from lfranker.launching.ray_engine import parse_ray
from lfranker.launching.slurm import parse_slurm

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "scale"


def options_in(line: str) -> dict[str, str]:
    """Return the options of a power set's command, with what they are given."""
    words = shlex.split(line.replace("\\\n", " "))
    assert words[words.index("-m") + 1] == "entrypoints.powerset"
    given = words[words.index("entrypoints.powerset") + 1 :]
    known = {flag for parameter in COMMANDS["powerset"].params for flag in parameter.opts}
    flags = [word for word in given if word.startswith("--")]
    assert set(flags) <= known
    return {flag: given[given.index(flag) + 1] for flag in flags if flag != "--yes"}


def test_the_ray_job_gives_a_command_that_there_is_and_asks_for_machines_that_can_run_it() -> None:
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    options = options_in(job["spec"]["entrypoint"])
    assert options["--launcher"] == "ray"
    asked = parse_ray(options["--ray"])
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    (worker,) = workers["template"]["spec"]["containers"]
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    limits = worker["resources"]["limits"]
    assert int(limits["cpu"]) / asked["cpus"] == int(limits["nvidia.com/gpu"]) / asked["gpus"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for container in (head, worker):
        assert container["image"].endswith(f"/lfranker:{__version__}")
        names = {variable["name"] for variable in container["env"]}
        assert names == {"MLFLOW_TRACKING_URI", "LFRANKER_CACHE"}, "passwords come from the secret"
        assert container["envFrom"][0]["secretRef"]["name"] == "mlflow"


def test_the_pods_of_the_ray_job_are_pods_and_its_fields_those_of_kuberay() -> None:
    """By the schema of Kubernetes; those of KubeRay are as its types of version 1.3 were read."""
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    assert set(job) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(job["spec"]) == {
        "entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec",
    }  # fmt: skip
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == {"headGroupSpec", "workerGroupSpecs"}
    (workers,) = cluster["workerGroupSpecs"]
    assert set(cluster["headGroupSpec"]) == {"rayStartParams", "template"}
    assert set(workers) == {
        "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template",
    }  # fmt: skip
    for group in (cluster["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **group["template"]}
        kubernetes_validate.validate(pod, "1.31", strict=True)


def test_the_image_has_what_the_ray_job_needs() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (extra,) = re.findall(r"pip install --no-cache-dir '\.\[(\w+)\]'", text)
    assert extra == "ray"
    assert extra in extras
    assert f"lfranker:{__version__} ." in text


def test_the_job_of_slurm_is_a_script_with_a_command_that_there_is() -> None:
    file = FOLDER / "powerset.sbatch"
    subprocess.run(["bash", "-n", str(file)], check=True)
    options = options_in(file.read_text().partition("exec ")[2])
    assert options["--launcher"] == "slurm"
    assert parse_slurm(options["--slurm"]) == {"time": "4:00:00", "mem": "8G"}
