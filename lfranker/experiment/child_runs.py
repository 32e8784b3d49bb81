"""The trainings of a power set as child runs and processes: made, watched, and cleaned up."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from tqdm import tqdm

from lfranker.experiment.inputs import Inputs
from lfranker.experiment.plan import Task, training_fingerprint
from lfranker.noise.noise_config import mode_of
from lfranker.processes import Job, last_words, run_jobs
from lfranker.ranking.entrant import entrant
from lfranker.tracking.power_set import DIVERGED_WITH, OUTCOME, SUPERSEDED, gather, trainings
from lfranker.tracking.runs import OPEN, TAG, create_child, end_run, log_settings, set_tags, take_up
from lfranker.tracking.score_logging import scored
from lfranker.tracking.stale_runs import refuse_if_busy
from lfranker.tracking.training_run import PROGRESS_VARIABLE
from lfranker.training.loss_balancing import described
from lfranker.training.numerics import SAFEGUARDS

Say = Callable[[str], None]


@dataclass(frozen=True)
class Child:
    """A task with its run, and what is still to be done for it: "train", "evaluate" or nothing."""

    task: Task
    run: Run
    todo: str
    inputs: Inputs

    @property
    def title(self) -> str:
        return f"{entrant(self.task.name, self.inputs.noise)} (repeat {self.task.repeat})"


def adopt(
    parent: Run,
    tasks: Sequence[Task],
    inputs: Inputs,
    take_over: bool,
    key: str | None = None,
    title: str = "{}",
) -> list[Child]:
    """A child run for every task: those of earlier power sets that share the key, else new ones.

    Trainings that diverged with fewer safeguards than there are now are superseded by new runs.
    `key`: another one than the parent's own; its runs have their names by `title`. Raises
    ValueError where another process is still training one of them, unless `take_over`.
    """
    known = trainings(gather(parent, key))
    planned = {(task.name, task.repeat) for task in tasks}
    if not take_over:
        refuse_if_busy(run for key, run in known.items() if key in planned)
    children = list[Child]()
    for task in tasks:
        run = known.get((task.name, task.repeat))
        if run is None or _lacked_safeguards(run):
            key, old = key or parent.data.tags[TAG + "powerset"], run
            run, todo = _create(parent, task, inputs, key, title), "train"
            if old is not None:
                set_tags(old.info.run_id, {SUPERSEDED: run.info.run_id})
        else:
            take_up(run, parent)
            todo = _todo(run, inputs)
        if inputs.noise:
            _name_noise(run, inputs)
        child = Child(task, run, todo, inputs)
        if child.todo == "train":
            MlflowClient().update_run(run.info.run_id, status="SCHEDULED")
        elif run.info.status != "FINISHED":
            MlflowClient().set_terminated(run.info.run_id, "FINISHED")
        children.append(child)
    return children


def _name_noise(run: Run, inputs: Inputs) -> None:
    """The noise as a tag, and all of its parameters."""
    synth = inputs.settings.synth
    names = (*mode_of(synth.noise).uses, "gain", "offset")  # the last two in every mode
    uses = {name: getattr(synth, name) for name in names}
    set_tags(run.info.run_id, {TAG + "noise": inputs.noise})
    log_settings(run, {"noise": synth.noise, **uses})


def _lacked_safeguards(run: Run) -> bool:
    """Whether it diverged where it might not today; runs before the tag had the first ones."""
    tags = run.data.tags
    return tags.get(OUTCOME) == "diverged" and int(tags.get(DIVERGED_WITH, 1)) < SAFEGUARDS


def _todo(run: Run, inputs: Inputs) -> str:
    """A run that has its model is trained, whatever ended it after that."""
    tags = run.data.tags
    if tags.get(OUTCOME) == "diverged" and run.info.status == "FINISHED":
        return ""
    if TAG + "model" not in tags:
        return "train"
    return "" if scored(run, inputs.scans.digest) else "evaluate"


def _create(parent: Run, task: Task, inputs: Inputs, key: str, title: str) -> Run:
    tags = {
        TAG + "powerset": key,
        TAG + "losses": task.name,
        TAG + "repeat": str(task.repeat),
        TAG + "training": training_fingerprint(key, task),
        TAG + "perceptual": inputs.facts["perceptual"] if "perceptual" in task.losses else "none",
    }
    name = entrant(task.name, inputs.noise)
    numbered = name if task.repeat == 0 else f"{name} #{task.repeat}"
    return create_child(parent, title.format(numbered), tags)


def job_of(child: Child, arguments: Sequence[str], cache: Path) -> Job:
    """The process that does what is left to do for a child."""
    inputs = child.inputs
    run_id, scans = child.run.info.run_id, ["--scans", str(inputs.scans.folder)]
    python = [sys.executable, "-m"]
    log = cache / "logs" / f"{run_id}.txt"
    threads = str(child.task.config.threads)
    environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if child.todo == "evaluate":
        return Job(
            run_id, [*python, "entrypoints.evaluate", "--run", run_id, *scans], log, environment
        )
    settings = [
        word
        for name, value in asdict(child.task.config).items()
        for word in ("--" + name.replace("_", "-"), str(value))
    ]
    weights = described({name: inputs.loss_weights[name] for name in child.task.losses})
    command = [*python, "entrypoints.train", "--losses", "+".join(child.task.losses)]
    command += ["--loss-weights", weights, "--data", str(inputs.data.folder), *settings]
    environment |= {
        "MLFLOW_RUN_ID": run_id,
        PROGRESS_VARIABLE: str(_progress_file(cache, run_id)),
    }
    return Job(run_id, [*command, *scans, *arguments], log, environment)


@dataclass(frozen=True)
class Means:
    """What trainings are run with."""

    inputs: Inputs
    at_once: int
    cost: dict[str, float]  # s a step by name of the subset
    arguments: Sequence[str]  # beside the settings
    cache: Path
    say: Say

    def run(self, children: Sequence[Child]) -> None:
        """Do what is left to do for them."""
        todo = [child for child in children if child.todo]
        jobs = [job_of(child, self.arguments, self.cache) for child in todo]
        run_all(children, jobs, self.at_once, self.cost, self.say)


def _progress_file(cache: Path, run_id: str) -> Path:
    return cache / "logs" / f"{run_id}.steps"


def run_all(
    children: Sequence[Child], jobs: Sequence[Job], at_once: int, cost: dict[str, float], say: Say
) -> None:
    """Run the jobs, show progress weighted by cost, and leave no run open whatever happens.

    `cost`: seconds a step by name of the subset.
    """
    by_id = {child.run.info.run_id: child for child in children}
    work = {i: cost.get(c.task.name, 1.0) * c.task.config.steps for i, c in by_id.items()}
    total = sum(work[job.name] for job in jobs)
    logs = {job.name: job.log for job in jobs}
    for log in logs.values():
        log.with_suffix(".steps").unlink(missing_ok=True)
    with (
        closing(children),
        tqdm(total=total, desc="power set", disable=None, bar_format=BAR, smoothing=0.1) as bar,
    ):
        done: set[str] = set()

        def poll() -> None:
            current = sum(
                work[i] if i in done else _steps(log) * cost.get(by_id[i].task.name, 1.0)
                for i, log in logs.items()
            )
            bar.update(min(current, total) - bar.n)

        for number, (job, code) in enumerate(run_jobs(jobs, at_once, poll), 1):
            done.add(job.name)
            poll()
            say(f"[{number}/{len(jobs)}] {_close(by_id[job.name], job, code)}")


BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} to go"


def _steps(log: Path) -> int:
    file = log.with_suffix(".steps")
    text = file.read_text() if file.exists() else ""
    return int(text) if text.isdigit() else 0


def _close(child: Child, job: Job, code: int) -> str:
    """Give a child its final status from its process's exit code; returns a line about it."""
    client, run_id = MlflowClient(), child.run.info.run_id
    if job.log.exists():
        client.log_artifact(run_id, str(job.log), "logs")
    if code != 0 and child.todo == "evaluate":
        # the training it belongs to is as good as before
        set_tags(run_id, {TAG + "reason": f"scoring: exit code {code}: {last_words(job.log, 15)}"})
        return f"{child.title}: scoring failed with exit code {code}: {last_words(job.log)}"
    if code != 0:
        end_run(run_id, "FAILED", f"exit code {code}: {last_words(job.log, 15)}")
        return f"{child.title} FAILED with exit code {code}: {last_words(job.log)}"
    run = client.get_run(run_id)
    if run.info.status in OPEN:
        client.set_terminated(run_id, "FINISHED")
    psnr, ssim = (run.data.metrics.get(name, float("nan")) for name in ("psnr", "ssim"))
    outcome = run.data.tags.get(TAG + "outcome", "")
    return f"{child.title} {outcome}: PSNR {psnr:.2f} dB, SSIM {ssim:.4f}"


@contextmanager
def closing(children: Sequence[Child]) -> Iterator[None]:
    """No run of a child, also of one added within, is open afterwards."""
    try:
        yield
    finally:
        for child in children:
            if MlflowClient().get_run(child.run.info.run_id).info.status in OPEN:
                end_run(child.run.info.run_id, "KILLED", "the power set was stopped")
