"""Power sets on a real Ray cluster, whose nodes see neither the command's cache nor its inputs."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from guarded_server import QUOTED, USER, door, free_port, guard, mlflow_server
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
from some_ray import SomeRay, some_ray, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@dataclass(frozen=True)
class Site:
    """A cluster with a tracking server: what the tests of this file share."""

    folder: Path
    port: int
    ray: SomeRay
    inputs: dict[str, object]

    def command(self, name: str, port: int = 0, **options: object) -> Command:
        """A power set on the cluster."""
        asked = {**TINY, **self.inputs, "launcher": "ray", "ray-address": self.ray.address}
        asked |= {option.replace("_", "-"): value for option, value in options.items()}
        asked["cache"] = self.folder / "hidden" / name
        return Command(name, f"http://127.0.0.1:{port or self.port}", asked, {})

    def local(self, name: str, **options: object) -> Command:
        """The same on this machine."""
        command = self.command(name, **options)
        kept = {k: v for k, v in command.options.items() if k not in ("launcher", "ray-address")}
        return replace(command, options={**kept, "cache": self.folder / "local" / name})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "hidden").mkdir()
    given = make_inputs(folder / "hidden" / "given")
    with (
        some_ray(folder / "r", [folder / "hidden"]) as ray,
        mlflow_server(folder, empty_store) as port,
    ):
        yield Site(folder, port, ray, given)


def test_fifteen_subsets_are_as_those_of_this_machine_to_the_bit(site: Site) -> None:
    command = site.command("fifteen", losses=PAPER)
    command.run()
    names = set(command.trainings())
    assert len(names) == 15
    command.check_whole(names, 8, 2)
    (files,) = inputs_sent(command).values()
    assert len(files) == 4, "dataset, scans, perceptual weights and those to start from, once each"
    for node in ("one", "two"):
        fetched = (site.folder / "r" / f"cache-{node}" / "inputs").glob("*/")
        assert {path.stem for path in fetched} == {Path(file).stem for file in files}
    local = site.local("fifteen here", losses=PAPER)
    local.run()
    check_same(command, local)


def test_killed_trainings_and_those_of_a_dead_node_go_on(site: Site) -> None:
    command = site.command("killed", losses="mae,mse", **LONGER)
    with command.started() as process:
        command.wait_for(2, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST)
    assert process.returncode != 0
    assert {run.info.status for run in command.runs()} == {"KILLED"}

    with command.started() as process:
        first, _ = command.wait_for(2, process)
        kill(worker_of(first.info.run_id))
        time.sleep(5)
        command.wait_for(2, process)
        site.ray.kill("two")
        site.ray.add_worker("three")
        said = finish(process)
    assert said.count("tried again (1 of 2)") == 2
    command.check_whole(THREE, 600, 20)
    assert "resuming after step" in command.log_of(first)


def test_a_command_that_ends_before_its_trainings_finds_them_again(site: Site) -> None:
    command = site.command("collected", losses="mae,mse", detach="true", **LONG)
    said = command.run()
    assert "3 trainings are with ray: the same command waits for them" in said
    with command.started() as process:
        command.wait_for(1, process)
        kill(process.pid)
    said = command.run()
    assert "left open by a killed process" in said
    command.check_whole(THREE, 200, 20)
    for run in command.trainings().values():
        assert "resuming" not in command.log_of(run), "it was begun once"


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
    texts = {"printed": said.encode()}
    for folder in (site.folder, site.ray.temporary):
        texts |= {str(f): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    assert any("raylet" in name for name in texts)
    assert secrets_in(texts) == []
