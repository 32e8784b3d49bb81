"""Where the trainings of a power set run: refused early where they cannot, and the launcher."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lfranker.launching.config import LaunchConfig
from lfranker.launching.engine import Engine, EngineLauncher
from lfranker.launching.launcher import Launcher
from lfranker.launching.local import LocalLauncher
from lfranker.launching.ray_engine import RayEngine
from lfranker.launching.slurm import SlurmEngine, asks_for_gpu
from lfranker.planning.inputs import InputConfig, Inputs
from lfranker.tracking.runs import set_owners
from lfranker.tracking.store import require_server
from lfranker.training.config import TrainConfig
from lfranker.training.devices import gpu_count, places_of


def engine_for(launch: LaunchConfig, train: TrainConfig, device: str, cache: Path) -> Engine | None:
    """Return the engine that is asked for, None for this machine; `device`: of the trainings.

    A training gets the processors of its threads, and a GPU where it needs one, unless the user
    says otherwise. Raises ValueError where it cannot be used, before any work.
    """
    if not launch.engine:
        return None
    require_server(launch.launcher)
    engine = ENGINES[launch.engine](launch, train, device, cache)
    engine.check()
    return engine


def _ray(launch: LaunchConfig, train: TrainConfig, device: str, _: Path) -> RayEngine:
    usual = {"cpus": float(train.threads), "gpus": float(device == "cuda")}
    return RayEngine({**usual, **launch.ray}, launch.cluster, launch.max_jobs)


def _slurm(launch: LaunchConfig, train: TrainConfig, device: str, cache: Path) -> SlurmEngine:
    options = {"cpus-per-task": str(train.threads), **launch.slurm}
    if device == "cuda" and not asks_for_gpu(options):
        options["gpus"] = "1"
    folder = Path(options.pop("folder", cache / "slurm")).expanduser().resolve()
    return SlurmEngine(options, folder, launch.max_jobs)


ENGINES: Mapping[str, Callable[[LaunchConfig, TrainConfig, str, Path], Engine]] = {
    "slurm": _slurm,
    "ray": _ray,
}


def prepared_here(config: InputConfig, launch: LaunchConfig, device: str) -> InputConfig:
    """Return how this machine prepares inputs: it may have no GPU, where an engine's have."""
    if not launch.engine:
        return config
    return replace(config, device="auto" if device == "cuda" else "cpu")


def trained_on(inputs: Inputs, device: str) -> Inputs:
    """Return the inputs of trainings on this kind of device, which is a fact that is logged."""
    return replace(inputs, facts={**inputs.facts, "device": device})


def device_for(config: InputConfig, launch: LaunchConfig) -> str:
    """Return the kind of device of the trainings. Raises ValueError."""
    return launch.device(config.device, gpu_count() > 0)


def launcher_for(
    engine: Engine | None, launch: LaunchConfig, inputs: Inputs, jobs: int, stall_minutes: float
) -> Launcher:
    """Return what runs the trainings; `jobs`: at once on this machine."""
    if engine is None:
        return LocalLauncher(jobs, places_of(inputs.device), stall_minutes)
    return EngineLauncher(engine, set_owners, launch.retries, stall_minutes)
