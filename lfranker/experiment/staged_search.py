"""A power set in stages: what cannot come up to the best any more is not trained to the end.

All trainings pause when their branch of a quarter of the steps is scored, and again at half. These
branches are what trainings planned for so many steps would have come to, so that each stage is a
fair ranking; the trainings go on from their checkpoints, and to the bit as if they had not paused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from lfranker.child_runs.jobs import Child
from lfranker.child_runs.running import TrainingRunner
from lfranker.ranking.along_training import Stop, to_stop
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.runs import end_run, schedule, set_tags
from lfranker.tracking.scores import branch_scores
from lfranker.tracking.tags import Tag


def run_staged(
    parent: str, children: Sequence[Child], runner: TrainingRunner, equivalence: Mapping[str, float]
) -> None:
    """Do what is left to do for them, but for those that are stopped at the end of a stage.

    ``parent``: ID of the power set's run; ``equivalence``: differences that do not matter.
    """
    branches = runner.inputs.settings.train.branches
    for at, length in enumerate(branches, start=1):
        runner.say(f"stage {at} of {len(branches) + 1}: trainings of {length:,} steps")
        going = [child for child in children if child.todo == "train"]
        scored = _scored(load_power_set(parent), runner, length)
        runner.run([_next(c, length) for c in going if c.run.run_id not in scored])
        over = _decide(parent, going, runner, length, equivalence)
        # the jobs that there were have ended
        children = [replace(c, owner="") for c in children if c.run.run_id not in over]
    runner.run([_next(child, 0) if child.todo == "train" else child for child in children])


def _next(child: Child, until: int) -> Child:
    """Return a child that waits for its next stage, unless it is at it."""
    if not child.owner:
        schedule(child.run)
    return replace(child, until=until)


def _scored(power_set: PowerSet, runner: TrainingRunner, length: int) -> set[str]:
    """Return the IDs of the runs whose branch of this length is scored."""
    pairs = branch_scores(power_set, runner.inputs.scans.id).get(length)
    if pairs is None:
        return set()
    names = set(zip(pairs.table["name"], pairs.table["repeat"], strict=True))
    return {run.run_id for key, run in power_set.trainings.items() if key in names}


def _decide(
    parent: str,
    going: Sequence[Child],
    runner: TrainingRunner,
    length: int,
    equivalence: Mapping[str, float],
) -> set[str]:
    """End the runs of the entrants that need not go on, all their repeats.

    Returns the IDs of the runs that are over: these, and those that diverged.
    """
    power_set = load_power_set(parent)
    pairs = branch_scores(power_set, runner.inputs.scans.id)
    lengths = [steps for steps in runner.inputs.settings.train.branches if steps <= length]
    known = {steps: pairs[steps] for steps in lengths if steps in pairs}
    stops = to_stop(
        known, power_set.steps, equivalence, power_set.seed, power_set.order
    ) | _collapsed(power_set, length)
    open_ones = {child.run.run_id for child in going}
    over = set[str]()
    for (name, _), run in power_set.trainings.items():
        if run.run_id not in open_ones:
            continue
        if run.outcome == "diverged":
            over.add(run.run_id)
        elif name in stops:
            set_tags(run.run_id, {Tag.STOPPED: json.dumps(asdict(stops[name]))})
            end_run(run.run_id, "KILLED", f"stopped after {length:,} steps by the staged search")
            over.add(run.run_id)
            runner.say(f"{run.title}: stopped, {_why(stops[name])}")
    return over


def _why(stop: Stop) -> str:
    if not stop.leaders:
        return "the output of a repeat is nearly constant"
    return "it cannot come up to the best as far as can be told"


def _collapsed(power_set: PowerSet, length: int) -> dict[str, Stop]:
    """Return the entrants of which a branch of this length gave a nearly constant output."""
    return {
        name: Stop(length, {}, {})
        for (name, _), run in power_set.trainings.items()
        if run.collapsed_at == length
    }
