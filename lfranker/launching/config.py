"""Which launcher runs the jobs of a power set, and what it is asked for."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from lfranker.launching.ray_engine import check_ray, parse_ray
from lfranker.launching.slurm import asks_for_gpu, parse_slurm
from lfranker.options import check, option

LOCAL = "local"


@dataclass(frozen=True)
class LaunchConfig:
    """Where trainings run."""

    launcher: str = option(
        LOCAL,
        "What runs the trainings. local: processes of this machine; slurm: jobs of a cluster, "
        "submitted from here; ray: tasks of a Ray cluster.",
        choices=(LOCAL, "slurm", "ray"),
    )
    slurm: Mapping[str, str] = option(
        dict,
        "Options of sbatch for each training, e.g. partition=gpu,time=4:00:00,mem=8G,gpus=1; one "
        "without a value: exclusive=true. And signal=90: seconds before the time limit at which it "
        "leaves a checkpoint; folder=PATH: for files of its jobs, which all nodes see. Left out: "
        "in the cache.",
        parse=parse_slurm,
    )
    ray: Mapping[str, float] = option(
        dict,
        "What each training asks of Ray, e.g. cpus=2,gpus=0.25. Left out: a processor for each of "
        "its threads, and a GPU where it needs one.",
        parse=parse_ray,
    )
    ray_address: str | None = option(
        None,
        "Address of the Ray cluster, such as 10.0.0.1:6379 or auto. Left out: that of RAY_ADDRESS, "
        "or a cluster of this machine alone, for as long as the command runs.",
    )
    max_jobs: int | None = option(
        None,
        "Trainings that an engine runs at once. Left out: as many as it likes.",
        minimum=1,
        maximum=100_000,
    )
    retries: int = option(
        2,
        "How often a training is tried again whose machine was lost or taken away; never on an "
        "error of its own.",
        minimum=0,
        maximum=100,
    )
    detach: bool = option(
        False,
        "Return once an engine has all trainings. The same command again waits for them and ranks.",
    )

    def __post_init__(self) -> None:
        """Raise ValueError where an option is out of bounds, or of another launcher."""
        check(self)
        of_one = {"slurm": self.slurm, "ray": self.ray, "ray_address": self.ray_address}
        for name, value in of_one.items():
            owner = name.partition("_")[0]
            if value and self.launcher != owner:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is of --launcher {owner}, and this is {self.launcher}")
        check_ray(self.ray)
        if self.detach and self.launcher == "ray" and not self.cluster:
            raise ValueError(
                "--detach needs a Ray cluster that outlives this command: name it by --ray-address"
            )
        for name, given in {"max_jobs": self.max_jobs, "detach": self.detach}.items():
            if given and self.launcher == LOCAL:
                flag = name.replace("_", "-")
                instead = "; --jobs is for this machine" * (name == "max_jobs")
                raise ValueError(f"--{flag} is of engines, and --launcher is {LOCAL}{instead}")

    @property
    def engine(self) -> str:
        """The name of the engine; "" where trainings are processes of this machine."""
        return "" if self.launcher == LOCAL else self.launcher

    @property
    def cluster(self) -> str | None:
        """The address of the Ray cluster that was there before; None where there is none."""
        return self.ray_address or os.environ.get("RAY_ADDRESS") or None

    def device(self, asked: str, gpu_here: bool) -> str:
        """Return the device of trainings, cpu or cuda. Raises ValueError where one GPU is named.

        An engine's machines may have GPUs where this one has none: those have one that is asked
        for, of the engine or by name.
        """
        if not self.engine:
            return "cuda" if asked.startswith("cuda") or (asked == "auto" and gpu_here) else "cpu"
        if ":" in asked:
            raise ValueError(
                f"--device {asked}: which GPU is whose, {self.engine} decides; allowed: auto, cpu, "
                f"cuda"
            )
        wanted = asks_for_gpu(self.slurm) or self.ray.get("gpus", 0) > 0
        return "cuda" if asked == "cuda" or (asked == "auto" and wanted) else "cpu"
