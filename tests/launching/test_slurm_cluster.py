"""Power sets on a real Slurm, whose node sees neither the command's cache nor its inputs."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import slow_loss
from guarded_server import QUOTED, USER, door, free_port, guard, mlflow_server
from one_slurm import one_slurm, why_not
from power_sets_elsewhere import (
    LONG,
    LONGER,
    LONGEST,
    PAPER,
    THREE,
    TINY,
    Command,
    check_same,
    finish,
    inputs_sent,
    kill,
    make_inputs,
    secrets_in,
    worker_of,
)
from project import ROOT, SLOW, environment_without

from lfranker.launching.slurm import job_of
from lfranker.tracking.tags import Tag

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]
pytest.importorskip("submitit", reason="submitit is not installed: pip install lfranker[slurm]")


@dataclass(frozen=True)
class Site:
    """A cluster with a tracking server: what the tests of this file share."""

    folder: Path
    port: int
    config: Path
    inputs: dict[str, object]

    def command(self, name: str, port: int = 0, **options: object) -> Command:
        """A power set on the cluster."""
        asked = {**TINY, **self.inputs, **options}
        own = {"launcher": "slurm", "slurm": self.slurm_options(name)}
        asked = {**own, **asked, "cache": self.folder / "hidden" / name}
        return Command(
            name, f"http://127.0.0.1:{port or self.port}",
            {option.replace("_", "-"): value for option, value in asked.items()},
            {"SLURM_CONF": str(self.config), "LFRANKER_CACHE": str(self.folder / "node")},
        )  # fmt: skip

    def local(self, name: str, **options: object) -> Command:
        """The same on this machine."""
        command = self.command(name, **options)
        kept = {k: v for k, v in command.options.items() if k not in ("launcher", "slurm")}
        return replace(command, options={**kept, "cache": self.folder / "local" / name})

    def slurm(self, *words: str) -> list[str]:
        known = {**os.environ, "SLURM_CONF": str(self.config)}
        done = subprocess.run(words, env=known, capture_output=True, text=True, check=True)
        return done.stdout.split()

    def slurm_options(self, name: str) -> str:
        return f"folder={self.folder / 'jobs'},cpus=1,job-name={name}"

    def queue(self, name: str) -> list[str]:
        """Jobs of a power set that run or wait."""
        return self.slurm("squeue", "--noheader", "--array", "--format=%i", "--name", name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "hidden").mkdir()
    given = make_inputs(folder / "hidden" / "given")
    with (
        one_slurm(folder / "slurm", [folder / "hidden"]) as config,
        mlflow_server(folder, empty_store) as port,
    ):
        yield Site(folder, port, config, given)


def test_fifteen_subsets_are_as_those_of_this_machine_to_the_bit(site: Site) -> None:
    command = site.command("fifteen", losses=PAPER)
    command.run()
    names = set(command.trainings())
    assert len(names) == 15
    command.check_whole(names, 8, 2)
    (files,) = inputs_sent(command).values()
    assert len(files) == 4, "dataset, scans, perceptual weights and those to start from, once each"
    fetched = sorted((site.folder / "node" / "inputs").glob("*/"))
    assert {path.stem for path in fetched} == {Path(file).stem for file in files}
    local = site.local("fifteen here", losses=PAPER)
    local.run()
    check_same(command, local)


def test_slurm_takes_the_job_of_the_docs_and_refuses_a_partition_that_there_is_not(
    site: Site,
) -> None:
    site.slurm("sbatch", "--test-only", str(ROOT / "docs" / "scale" / "powerset.sbatch"))
    command = site.command("refused", losses="mae,mse", slurm="partition=gpu")
    with command.started() as process:
        said, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 2
    assert "--slurm: invalid partition specified: gpu" in said
    assert command.runs() == []


def test_killed_and_cancelled_trainings_go_on_and_ctrl_c_leaves_nothing(site: Site) -> None:
    command = site.command("killed", losses="mae,mse", **LONGER)
    with command.started() as process:
        first, second = command.wait_for(2, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST)
    assert process.returncode != 0
    assert site.queue("killed") == []
    ended = [run.info.status for run in command.runs()]
    assert "KILLED" in ended
    assert set(ended) <= {"KILLED", "FINISHED"}, "a training may have come to its end"

    with command.started() as process:
        first, second = command.wait_for(2, process)
        kill(worker_of(first.info.run_id))
        site.slurm("scancel", job_of(second.data.tags[Tag.OWNER]))
        said = finish(process)
    assert said.count("tried again (1 of 2)") == 2
    assert "CANCELLED; tried again" in said
    command.check_whole(THREE, 600, 20)
    for run in (first, second):
        assert "resuming after step" in command.log_of(run)


def test_a_command_that_ends_before_its_trainings_finds_them_again(site: Site) -> None:
    options = {"losses": "mae,mse", **LONG, "detach": "true"}
    command = site.command("collected", **options)
    said = command.run()
    assert "3 trainings are with slurm: the same command waits for them" in said
    assert len(site.queue("collected")) == 3
    with command.started() as process:
        command.wait_for(1, process)
        kill(process.pid)
    said = command.run()
    assert "left open by a killed process" in said
    command.check_whole(THREE, 200, 20)
    for run in command.trainings().values():
        assert "resuming" not in command.log_of(run), "it was begun once"


def test_a_time_limit_that_is_too_short_takes_several_jobs(site: Site) -> None:
    """A minute of each job's two is left for its training, whose steps take 0.04 s or more."""
    own = f"{site.slurm_options('limited')},time=2,signal=60"
    steps = int(60 / slow_loss.SECONDS)
    options = {**LONG, "steps": steps, "log_every": 500, "slurm": own}
    options |= {"checkpoint_seconds": 1000}  # so there is only the one that the signal asks for
    command = site.command("limited", losses="slow_loss:slow", **options)
    there = [environment_without(*SLOW)["PYTHONPATH"], str(Path(slow_loss.__file__).parent)]
    found = {**command.environment, "PYTHONPATH": os.pathsep.join(there)}
    command = replace(command, environment=found)
    command.run()
    command.check_whole({"slow_loss:slow"}, steps, 500)
    (run,) = command.trainings().values()
    assert "resuming after step" in command.log_of(run)


def test_a_server_that_is_away_for_a_minute_costs_nothing_and_no_password_is_kept(
    site: Site,
) -> None:
    front = free_port()
    command = site.command("away", front, losses="mae,mse", **LONG)
    login = f"http://{USER}:{QUOTED}@127.0.0.1:{front}"
    with replace(command, uri=login).started() as process:
        with door(guard(site.port), front):
            site.command("away").wait_for(2, process)
        time.sleep(60)
        assert process.poll() is None
        with door(guard(site.port), front):
            said = finish(process)
    site.command("away").check_whole(THREE, 200, 20)
    files = [
        path for path in site.folder.rglob("*") if path.is_file() and "slurm" not in path.parts
    ]
    texts = {str(file): file.read_bytes() for file in files} | {"printed": said.encode()}
    assert any(name.endswith("_submitted.pkl") for name in texts)
    assert secrets_in(texts) == []
