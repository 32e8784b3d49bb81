"""Branches of a training, as if it had been planned for fewer steps: weights and scores in its run.

A branch leaves the training with its whole state and decays early. Its weights are those that a
training planned for so many steps would have come to.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.evaluation.scoring import Denoiser, score, summarise
from lfranker.scans.preparation import ScanSet
from lfranker.tracking.models import save_weights
from lfranker.tracking.power_set import parse_member, parse_shorter, settings_of
from lfranker.tracking.runs import (
    download,
    get_run,
    log_file,
    log_metrics,
    log_texts,
    set_tags,
)
from lfranker.tracking.score_logging import score_run
from lfranker.tracking.scores import score_file
from lfranker.tracking.tags import Tag
from lfranker.training.checkpoints import read_weights

FOLDER = "branches"  # among the artifacts
BY_STEPS = "steps/"  # in front of a metric whose step is the number of steps planned for


def kept_branches(run_id: str) -> tuple[int, ...]:
    """Return the steps of the branches whose weights are kept in the run, fewest first."""
    return parse_shorter(get_run(run_id).data.tags.get(Tag.SHORTER, ""))


def keep_branch(run_id: str, steps: int, network: nn.Module) -> None:
    """Keep the weights of a branch; the tag comes last, so that what it names is whole."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / _name(steps)
        save_weights(network, path)
        log_file(run_id, path, FOLDER)
    kept = sorted({*kept_branches(run_id), steps})
    set_tags(run_id, {Tag.SHORTER: ",".join(map(str, kept))})


def branch_networks(run_id: str, like: nn.Module) -> Iterator[tuple[int, nn.Module]]:
    """Yield steps and network of each branch that is kept; `like` is a network of its shape."""
    for steps in kept_branches(run_id):
        network = deepcopy(like)
        with TemporaryDirectory() as folder:
            path = download(run_id, f"{FOLDER}/{_name(steps)}", Path(folder))
            network.load_state_dict(read_weights(path))
        yield steps, network


def score_with_branches(
    run_id: str, network: nn.Module, scans: ScanSet, denoiser: Callable[[nn.Module], Denoiser]
) -> str:
    """Score a training, whose network is `network`, and its branches; returns its own outcome.

    The branches come first: a training that has scores has those of its branches.
    """
    for steps, branch in branch_networks(run_id, network):
        table = score(denoiser(branch), scans)
        log_texts(run_id, {score_file(scans.id, steps): table.to_csv(index=False)})
        _log_by_steps(run_id, scans, summarise(table), steps)
    result = score_run(run_id, denoiser(network), scans)
    if kept_branches(run_id):
        run = get_run(run_id)
        means, steps = parse_member(run).scores(scans.digest), int(settings_of(run)["steps"])
        _log_by_steps(run_id, scans, means, steps)
    return result


def _log_by_steps(run_id: str, scans: ScanSet, means: Mapping[str, float], steps: int) -> None:
    """Log the scores that count as points of curves over the number of steps planned for."""
    prefix = parse_member(get_run(run_id)).prefix(scans.digest) + BY_STEPS
    counted = {prefix + metric: means[metric] for metric in CHAMPION_METRICS if metric in means}
    log_metrics(run_id, counted, steps)


def _name(steps: int) -> str:
    return f"steps-{steps}.safetensors"
