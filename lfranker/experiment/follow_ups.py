"""Two kinds of further trainings that follow a power set where they are asked for.

The top set and the worst single loss are trained at other learning rates, and the weights of the
best combined loss are searched for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import optuna

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.jobs import Child
from lfranker.child_runs.running import TrainingRunner, closing
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import Task, powerset_key
from lfranker.publishing.ranking_run import Report
from lfranker.ranking.entrants import PairScores, is_combined
from lfranker.ranking.leaderboard import Ranking
from lfranker.ranking.learning_rate_check import FACTORS, subsets_to_check
from lfranker.ranking.weight_search import Weights, best, propose
from lfranker.tracking.follow_ups import (
    Plan,
    Search,
    note_keys,
    read_plan,
    search_run,
    searched,
    write_plan,
)
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import TrackedRun
from lfranker.tracking.scores import field_scores
from lfranker.training.loss_balancing import described


def check_learning_rate(
    run: TrackedRun, plan: Sequence[Task], result: Report, runner: TrainingRunner, take_over: bool
) -> None:
    """Train them in all repeats as children of the power set; `rank` compares them."""
    names = subsets_to_check(result.ranking, list(result.findings.top_sets.values()))
    own = [task for task in plan if task.name in names]
    config, keys = runner.inputs.settings.train, dict[float, str]()
    children: list[Child] = []
    with closing(children):
        for factor in FACTORS:
            rate = config.learning_rate * factor
            keys[factor] = powerset_key(replace(config, learning_rate=rate), runner.inputs.facts)
            # nothing is asked of their length: no branches
            tasks = [
                replace(t, config=replace(t.config, learning_rate=rate, shorter=False)) for t in own
            ]
            title = f"{{}} (learning rate x{factor:g})"
            children += adopt(
                run, keys[factor], tasks, runner.inputs, take_over, title, runner.engine
            )
        factors = " and ".join(f"{factor:g}" for factor in FACTORS)
        rates = f"{factors} times {config.learning_rate:g}"
        runner.say(f"checking the learning rate: {', '.join(names)} at {rates}")
        if all(task.repeat == 0 for task in own):
            runner.say("one training each does not show whether the winner depends on it")
        runner.run(children)
    note_keys(run.run_id, keys)


def refine(
    run: TrackedRun,
    plan: Sequence[Task],
    ranking: Ranking,
    runner: TrainingRunner,
    trials: int,
    take_over: bool,
) -> None:
    """Train the winner with other weights, as children of a run of their own; `rank` compares."""
    name = winning_combined_loss(ranking)
    if name is None:
        runner.say("no weights to refine: no subset of two losses or more could win")
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # one line for each study made
    # nothing is asked of their length: no branches
    tasks = [
        replace(task, config=replace(task.config, shorter=False))
        for task in plan
        if task.name == name
    ]
    inputs = runner.inputs
    own = {loss: inputs.loss_weights[loss] for loss in tasks[0].losses}
    places, seed = [record.place for record in inputs.scans.records], inputs.settings.train.seed
    power_set = load_power_set(run.run_id)
    with search_run(power_set, name, own, inputs.scans.digest, places, seed) as of:
        attempts = _Attempts(run.run_id, of, tasks, runner, take_over)
        attempts.train([weights for weights, _ in attempts.plan().tried], tasks[:1])
        found = attempts.found()
        if found is None:
            runner.say(f"no weights to refine: {name} lacks scores of its fields")
        while found is not None and (left := trials - len(found.plan.tried)) > 0:
            new = propose(found.tried, tasks[0].losses, seed, min(runner.at_once, left))
            if not new:
                runner.say("no new weights are left to try")
                break
            attempts.note(new)
            attempts.train(new, tasks[:1])
            found = attempts.found()
        if found is not None and (chosen := best(found.tried)):
            attempts.train([found.tried[chosen].weights], tasks)


def winning_combined_loss(ranking: Ranking) -> str | None:
    """The champion, or where that is a single loss the best subset of several."""
    board = ranking.leaderboard
    able = board.index[board["outcome"].eq("ok") & ~board["baseline"]]
    return next((str(name) for name in able if is_combined(str(name))), None)


@dataclass(frozen=True)
class _Attempts:
    """A search with what its trainings need."""

    power_set_id: str
    of: TrackedRun
    tasks: Sequence[Task]  # of the winner: its repeats
    runner: TrainingRunner
    take_over: bool

    def plan(self) -> Plan:
        """Read the plan that is kept with the search."""
        plan = read_plan(self.of)
        if plan is None:
            raise ValueError(f"run {self.of.run_id} has lost the plan of its search")
        return plan

    def found(self) -> Search | None:
        """Read what is known now."""
        simulated = self.runner.inputs.scans.simulated
        return searched(self.plan(), self.of.experiment_id, self._pairs, simulated)

    @cached_property
    def _pairs(self) -> PairScores:
        """Scores of the power set, read once: what a search trains is not in it."""
        return field_scores(load_power_set(self.power_set_id), self.runner.inputs.scans.id)

    def note(self, new: Sequence[Weights]) -> None:
        """Keep what is to be tried, before it is: a search that is stopped goes on with it."""
        plan = self.plan()
        tried = [*plan.tried, *((weights, self._key(self._inputs(weights))) for weights in new)]
        write_plan(self.of, replace(plan, tried=tried))

    def train(self, weights: Sequence[Weights], tasks: Sequence[Task]) -> None:
        """Train what is left to do for these weights."""
        children: list[Child] = []
        with closing(children):
            for chosen in weights:
                inputs = self._inputs(chosen)
                title = ", ".join(f"{loss} {weight:g}" for loss, weight in chosen.items())
                children += adopt(
                    self.of, self._key(inputs), tasks, inputs, self.take_over, f"{{}} ({title})",
                    self.runner.engine,
                )  # fmt: skip
            self.runner.run(children)

    def _inputs(self, weights: Weights) -> Inputs:
        """Inputs of the power set, but for the weights."""
        inputs = self.runner.inputs
        facts = {**inputs.facts, "loss_weights": described(weights)}
        return replace(inputs, facts=facts, loss_weights={**inputs.loss_weights, **weights})

    def _key(self, inputs: Inputs) -> str:
        return powerset_key(inputs.settings.train, inputs.facts)
