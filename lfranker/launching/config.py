"""Which launcher runs the jobs of a power set, and what it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

from lfranker.launching.slurm import asks_for_gpu, parse_slurm
from lfranker.options import check, option

LOCAL = "local"


@dataclass(frozen=True)
class LaunchConfig:
    """Where trainings run."""

    launcher: str = option(
        LOCAL,
        "What runs the trainings. local: processes of this machine; slurm: jobs of a cluster, "
        "submitted from here.",
        choices=(LOCAL, "slurm"),
    )
    slurm: Mapping[str, str] = option(
        dict,
        "Options of sbatch for each training, e.g. partition=gpu,time=4:00:00,mem=8G,gpus=1; and "
        "signal=90: seconds before the time limit at which it leaves a checkpoint; folder=PATH: "
        "for files of its jobs, which all nodes see. Left out: in the cache.",
        parse=parse_slurm,
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
        if self.slurm and self.launcher != "slurm":
            raise ValueError(f"--slurm is of --launcher slurm, and this is {self.launcher}")
        for name, value in {"max_jobs": self.max_jobs, "detach": self.detach}.items():
            if value and self.launcher == LOCAL:
                flag = name.replace("_", "-")
                instead = "; --jobs is for this machine" * (name == "max_jobs")
                raise ValueError(f"--{flag} is of engines, and --launcher is {LOCAL}{instead}")

    @property
    def engine(self) -> str:
        """The name of the engine; "" where trainings are processes of this machine."""
        return "" if self.launcher == LOCAL else self.launcher

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
        return (
            "cuda" if asked == "cuda" or (asked == "auto" and asks_for_gpu(self.slurm)) else "cpu"
        )
