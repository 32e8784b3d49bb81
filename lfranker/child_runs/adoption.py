"""Child runs of a power set: one for each training, new or taken up from an earlier command."""

from collections.abc import Sequence

from lfranker.child_runs.jobs import Child, entrant_of
from lfranker.evaluation.scoring import metrics_of
from lfranker.noise.noise_config import BLIND, OF_SCANS, mode_of
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import Task, training_fingerprint
from lfranker.ranking.entrants import parts_of
from lfranker.tracking.claims import claimed, refuse_if_busy, to_collect
from lfranker.tracking.power_set import Training, trainings_with
from lfranker.tracking.runs import (
    TrackedRun,
    create_child,
    end_run,
    log_settings,
    schedule,
    set_tags,
    several_at_a_time,
    take_up,
)
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import CURVE
from lfranker.training.numerics import SAFEGUARDS


def adopt(
    parent: TrackedRun,
    key: str,
    tasks: Sequence[Task],
    inputs: Inputs,
    take_over: bool,
    title: str = "{}",
    engine: str = "",
) -> list[Child]:
    """Return a child run for every task: those of earlier power sets that share the key, or new.

    Trainings that diverged with fewer safeguards than there are now are superseded by new runs.
    ``title`` is the form of their names. Raises ValueError where another process is still training
    one of them, unless `take_over`. Another command that adopts the same waits meanwhile.
    `engine`: whose jobs are taken up where the command that had them ended; "": of none.
    """
    planned = {(task.name, task.repeat) for task in tasks}
    children: list[Child] = []
    with claimed(parent.experiment_id, key) as renew:
        known = trainings_with(key, parent.experiment_id)
        renew()
        mine = [run for which, run in known.items() if which in planned]
        owners = to_collect(mine, engine)
        renew()
        if not take_over:
            refuse_if_busy(run for run in mine if run.run_id not in owners)

        def child_of(task: Task) -> Child:
            there = known.get((task.name, task.repeat))
            if there is not None and there.run_id in owners and _todo(there, inputs):
                return _collected(parent, task, inputs, there, title)
            return _child(parent, key, task, inputs, there, title)

        # thousands for an engine, each of which takes the server several requests
        for child in several_at_a_time(child_of, tasks) if engine else map(child_of, tasks):
            renew()
            children.append(child)
    return children


def _collected(
    parent: TrackedRun, task: Task, inputs: Inputs, known: Training, title: str
) -> Child:
    """A run that a job of an engine is at."""
    set_tags(known.run_id, {Tag.PARENT: parent.run_id})
    todo = "evaluate" if known.finished else "train"
    return Child(task, known, todo, inputs, form=title, owner=known.owner)


def _child(
    parent: TrackedRun, key: str, task: Task, inputs: Inputs, known: Training | None, title: str
) -> Child:
    """A new run for a task, or the one that is there."""
    if known is None or _lacked_safeguards(known):
        run, todo = _create(parent, task, inputs, key, title), "train"
        if known is not None:
            set_tags(known.run_id, {Tag.SUPERSEDED: run.run_id})
    else:
        take_up(known, parent)
        run, todo = known, _todo(known, inputs)
    noise, network = parts_of(inputs.noise)
    if noise:
        _name_noise(run, noise, inputs)
    if network:
        set_tags(run.run_id, {Tag.NETWORK: network})
    if todo == "train":
        schedule(run)
    elif known is not None and not known.finished:
        end_run(run.run_id, "FINISHED")
    begun = isinstance(run, Training) and CURVE in run.metrics
    return Child(task, run, todo, inputs, form=title, begun=begun)


def _name_noise(run: TrackedRun, label: str, inputs: Inputs) -> None:
    """The noise as a tag, and all of its parameters."""
    noise = inputs.settings.dataset.noise
    names = (*mode_of(noise.mode).uses, "gain", "offset")  # the last two are of all that is added
    uses = {name: getattr(noise, name) for name in names}
    if noise.mode in OF_SCANS:
        uses = {"blind_radius": inputs.data.blind_radius} if noise.mode == BLIND else {}
    set_tags(run.run_id, {Tag.NOISE: label})
    log_settings(run.run_id, {"noise": noise.mode, **uses})


def _lacked_safeguards(run: Training) -> bool:
    """Return whether it diverged without today's safeguards."""
    return run.outcome == "diverged" and run.safeguards < SAFEGUARDS


def _todo(run: Training, inputs: Inputs) -> str:
    """A run that has its model is trained, whatever ended it after that."""
    if run.outcome == "diverged" and run.finished:
        return ""
    if not run.model:
        return "train"
    return "" if run.is_scored(inputs.scans.digest, metrics_of(inputs.scans)) else "evaluate"


def _create(parent: TrackedRun, task: Task, inputs: Inputs, key: str, title: str) -> TrackedRun:
    tags = {
        Tag.POWERSET: key,
        Tag.LOSSES: task.name,
        Tag.REPEAT: str(task.repeat),
        Tag.TRAINING: training_fingerprint(key, task),
        Tag.PERCEPTUAL: inputs.facts["perceptual"] if "perceptual" in task.losses else "none",
    }
    name = entrant_of(task, inputs)
    numbered = str(name) if task.repeat == 0 else f"{name} #{task.repeat}"
    return create_child(parent, title.format(numbered), tags)
