"""Search for better weights of the losses that won, after a power set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import optuna
from mlflow.entities import Run

from entrypoints.children import Child, Means, adopt
from lfranker.balance import described
from lfranker.experiment import Task, powerset_key
from lfranker.ranking import Ranking
from lfranker.refine import Weights, best, propose
from lfranker.tracking.field_scores import field_scores
from lfranker.tracking.queries import gather
from lfranker.tracking.refinement import (
    Search,
    known_trials,
    mark_trial,
    search_run,
    searched,
)


def refine(
    run: Run, plan: Sequence[Task], ranking: Ranking, means: Means, trials: int, take_over: bool
) -> None:
    """Train the winner with other weights, as children of a run of their own; `rank` compares."""
    name = winning_hybrid(ranking)
    if name is None:
        means.say("no weights to refine: no subset of two losses or more could win")
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # one line for each study made
    tasks = [task for task in plan if task.name == name]
    own = {loss: means.inputs.loss_weights[loss] for loss in tasks[0].losses}
    with search_run(run, name, own) as of:
        attempts = _Attempts(run, of, tasks, means, take_over)
        attempts.train(known_trials(of), tasks[:1])
        while len(tried := attempts.found().tried) <= trials:
            count = min(means.at_once, trials + 1 - len(tried))
            new = propose(tried, tasks[0].losses, means.inputs.settings.train.seed, count)
            attempts.train(dict(enumerate(new, len(tried))), tasks[:1])
        chosen = best(tried)
        if chosen:
            attempts.train({chosen: tried[chosen].weights}, tasks)


def winning_hybrid(ranking: Ranking) -> str | None:
    """The champion, or where that is a single loss the best subset of several."""
    board = ranking.leaderboard
    able = board.index[board["outcome"].eq("ok") & ~board["baseline"]]
    return next((str(name) for name in able if "+" in str(name)), None)


@dataclass(frozen=True)
class _Attempts:
    """A search with what its trainings need."""

    parent: Run
    of: Run
    tasks: Sequence[Task]  # of the winner: its repeats
    means: Means
    take_over: bool

    def found(self) -> Search:
        """What is known now."""
        scans, seed = self.means.inputs.scans, self.means.inputs.settings.train.seed
        which = scans.digest, scans.simulated
        return searched(self.of, field_scores(gather(self.parent), *which), seed, which)

    def train(self, weights: Mapping[int, Weights], tasks: Sequence[Task]) -> None:
        """The trials with these numbers and weights."""
        children: list[Child] = []
        for number, chosen in weights.items():
            children += self._adopted(number, chosen, tasks)
        self.means.run(children)

    def _adopted(self, number: int, weights: Weights, tasks: Sequence[Task]) -> list[Child]:
        inputs = self.means.inputs
        facts = {**inputs.facts, "loss_weights": described(weights)}
        inputs = replace(inputs, facts=facts, loss_weights={**inputs.loss_weights, **weights})
        key = powerset_key(inputs.settings.train, facts)
        title = f"{{}} ({', '.join(f'{loss} {weight:g}' for loss, weight in weights.items())})"
        children = adopt(self.of, tasks, inputs, self.take_over, key, title)
        for child in children:
            mark_trial(child.run, self.of, number, weights)
        return children
