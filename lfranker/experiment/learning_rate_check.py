"""Train the top set and the worst single loss at other learning rates, after a power set."""

from collections.abc import Sequence
from dataclasses import replace

from lfranker.experiment.child_runs import Child, Means, adopt, closing
from lfranker.experiment.plan import Task, powerset_key
from lfranker.publishing.ranking_run import Report
from lfranker.ranking.learning_rate_check import FACTORS, subsets_to_check
from lfranker.tracking.learning_rate_check import note_keys
from lfranker.tracking.runs import TrackedRun


def check_learning_rate(
    run: TrackedRun, plan: Sequence[Task], result: Report, means: Means, take_over: bool
) -> None:
    """Train them in all repeats as children of the power set; `rank` compares them."""
    names = subsets_to_check(result.ranking, list(result.findings.top_sets.values()))
    own = [task for task in plan if task.name in names]
    config, keys = means.inputs.settings.train, dict[float, str]()
    children: list[Child] = []
    with closing(children):
        for factor in FACTORS:
            rate = config.learning_rate * factor
            keys[factor] = powerset_key(replace(config, learning_rate=rate), means.inputs.facts)
            # nothing is asked of their length: no branches
            tasks = [
                replace(t, config=replace(t.config, learning_rate=rate, shorter=False)) for t in own
            ]
            title = f"{{}} (learning rate x{factor:g})"
            children += adopt(run, keys[factor], tasks, means.inputs, take_over, title)
        factors = " and ".join(f"{factor:g}" for factor in FACTORS)
        rates = f"{factors} times {config.learning_rate:g}"
        means.say(f"checking the learning rate: {', '.join(names)} at {rates}")
        if all(task.repeat == 0 for task in own):
            means.say("one training each does not show whether the winner depends on it")
        means.run(children)
    note_keys(run.run_id, keys)
