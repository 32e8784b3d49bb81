"""Several noises on the command line: what is refused, before any work, and what is planned."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from entrypoints.powerset import main
from lfranker.noise.parsing import fei_profile
from lfranker.noise.profile import write_profile
from lfranker.planning import inputs as preparation
from lfranker.tracking.tags import Tag


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--noises", "eq1,white"], "noise 'white': 'white' is neither a mode nor a file"),
        (["--noises", "eq1,eq1"], "two noises are called 'eq1'"),
        (["--noises", "eq1,correlation"], "correlation filters other noise"),
        (["--noise-components", "poisson,read-out"], "unknown 'read-out'; allowed are poisson"),
        (["--noises", "eq1"], "two noises or more, there is only eq1; --noise takes one"),
        (["--noise-components", "correlation"], "two noises or more, there is none"),
        (
            ["--noises", "eq1,gamma", "--noise", "mix"],
            "--noise is of one noise and network",
        ),
        (["--noises", "eq1,gamma", "--data", "."], "--data is of one noise"),
        (["--noise-components", "poisson,gaussian", "--refine", "3"], "--refine is of one noise"),
        (["--noises", "eq1,gamma", "--check-learning-rate"], "--check-learning-rate is of one"),
        (["--noises", "eq1,gamma", "--sigma", "0.1"], "--sigma has no effect on any of the noises"),
        (["--noises", "poisson,lines", "--line-offset", "0"], "--line-offset 0 leaves nothing of"),
    ],
)
def test_bad_noises_are_refused_before_data_are_made(
    store: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr(preparation, "dataset", lambda *_: pytest.fail("data were made"))
    done = CliRunner().invoke(main, ["--preset", "smoke", *options])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_two_names_of_one_noise_are_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write_profile(fei_profile(), store / f"{name}.json")
    monkeypatch.setattr(preparation, "dataset", lambda *_: pytest.fail("data were made"))
    options = ["--preset", "smoke", "--noises", f"{store}/a.json,{store}/b.json"]
    done = CliRunner().invoke(main, options)
    assert "the noises a and b are the same" in " ".join(done.output.split())


@pytest.mark.slow
def test_a_plan_counts_the_noises_and_makes_a_dataset_for_each(store: Path) -> None:
    options = ["--preset", "smoke", "--patches", "24", "--device", "cpu", "--dry-run", "true"]
    options += ["--noises", "eq1,poisson-gaussian", "--noise-components", "poisson,lines"]
    options += ["--repeats", "2", "--sigma", "0.02", "--cache", str(store / "cache")]
    options += ["--loss-weights", "value"]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    # 3 subsets, 5 noises, 2 repeats
    assert "30 trainings of 5 steps" in done.output
    assert "each subset on 5 noises" in done.output
    for noise in ("eq1", "poisson-gaussian", "poisson", "lines", "poisson+lines"):
        assert f"weights of the losses on {noise}: mae 1, ssim " in done.output
        assert f"\n{noise}: to be trained on " in done.output
    assert done.output.count("to be scored on simulated scans of ") == 1
    made = [preparation.read_dataset(p) for p in (store / "cache" / "datasets").iterdir()]
    assert {data.config.noise.mode for data in made} == {
        "eq1", "microscope", "poisson", "lines", "poisson+lines",
    }  # fmt: skip
    assert len({data.clean.tobytes() for data in made}) == 1, "all share their clean patches"
    sigmas = {data.config.noise.mode: data.config.noise.sigma for data in made}
    assert sigmas["microscope"] == (0.02, 0.02)
    assert sigmas["eq1"] == (0.0, 0.03), "an option without effect does not make another dataset"
    (run,) = MlflowClient().search_runs(["0"])
    assert run.data.tags[Tag.ROLE] == "dry-run"
    assert run.info.run_name == "plan of powerset smoke"
