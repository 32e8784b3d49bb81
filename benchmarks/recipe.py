"""Trials of training settings: one child run each, scored on scans, compared in a table.

    python -m benchmarks.recipe TRIALS.json --clean FOLDER --scans FOLDER [--jobs 2]

TRIALS.json: {"title": ..., "base": {"preset": "small", "steps": 2000}, "trials": {"wide": {"dim":
48}}}; names and values are those of `python -m entrypoints.train --help`. A trial that a parent of
the same title has finished is not run again. The table goes to standard output, as Markdown.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from lfranker.child_runs.jobs import training_job
from lfranker.processes.jobs import run_jobs
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.tracking.power_set import search
from lfranker.tracking.runs import (
    TrackedRun,
    create_child,
    end_run,
    is_open,
    log_file,
    own_run,
    set_tags,
    tracked,
)

TRIAL = "lfranker.trial"  # of a child: its title, name and settings
SHOWN = ("psnr", "psnr_fitted", "ssim", "repeatability", "high_frequency_ratio")
COSTS = ("seconds_per_step", "seconds_per_megapixel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path)
    parser.add_argument("--clean", type=Path, required=True)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(".lfranker"))
    asked = parser.parse_args()
    plan = json.loads(asked.trials.read_text())
    shared = {**plan["base"], "clean": asked.clean, "scans": asked.scans, "cache": asked.cache}
    trials = {name: {**shared, **changes} for name, changes in plan["trials"].items()}
    with terminate_as_interrupt(), own_run(f"recipe: {plan['title']}", "recipe") as parent:
        children = dict(_children(parent, plan["title"], trials))
        try:
            _run(children, trials, asked.jobs, asked.cache.resolve())
        finally:
            for run in children.values():
                if is_open(run):
                    end_run(run.run_id, "KILLED", "stopped before its end")
    sys.stdout.write(table({name: run.run_id for name, run in children.items()}))


def _children(
    parent: TrackedRun, title: str, trials: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, TrackedRun]]:
    done = {
        run.data.tags[TRIAL]: tracked(run)
        for run in search(f"tags.`{TRIAL}` != ''", [parent.experiment_id])
        if run.info.status == "FINISHED"
    }
    for name, settings in trials.items():
        key = json.dumps([title, name, settings], sort_keys=True, default=str)
        yield name, done.get(key) or create_child(parent, name, {TRIAL: key})


def _run(
    children: Mapping[str, TrackedRun],
    trials: Mapping[str, Mapping[str, Any]],
    at_once: int,
    cache: Path,
) -> None:
    by_id = {run.run_id: name for name, run in children.items()}
    jobs = [
        training_job(run.run_id, _words(trials[name]), trials[name].get("threads", 1), cache)
        for name, run in children.items()
        if is_open(run)
    ]
    for job, code in run_jobs(jobs, at_once):
        log_file(job.name, job.log, "logs")
        if code:
            end_run(job.name, "FAILED", f"exit code {code}, see logs")
        set_tags(job.name, {"lfranker.exit-code": str(code)})
        sys.stderr.write(table({by_id[job.name]: job.name}).splitlines()[-1] + "\n")


def _words(settings: Mapping[str, object]) -> list[str]:
    flags = (("--" + name.replace("_", "-"), str(value)) for name, value in settings.items())
    return ["entrypoints.train", *(word for flag in flags for word in flag)]


def table(runs: Mapping[str, str]) -> str:
    """Markdown, a row for each trial: its run's means over fields."""
    names = (*SHOWN, *COSTS)
    lines = [f"| trial | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for name, run_id in runs.items():
        found = MlflowClient().get_run(run_id).data.metrics
        cells = (f"{found[key]:.4g}" if key in found else "-" for key in names)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
