"""Names under which runs keep things: every tag and what it means, and how scores are named.

Tags are on runs and on versions of registered models. MLflow's charts stand in sections, one for
all metrics whose names are alike up to their last slash, in the order of the alphabet: keypoints,
psnr, repeatability and ssim; then scores on other scans; then the curves of training; then what is
not ranked but only reported.
"""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum

from lfranker.evaluation.criteria import ALL_METRICS, Criterion, scored


class Tag(StrEnum):
    # on every run
    ROLE = "lfranker.role"  # powerset, child, train, synth, evaluate, noise-fit, dry-run, refused
    OWNER = "lfranker.owner"  # who is responsible for it, see `launching.owners`
    REASON = "lfranker.reason"  # why it failed or was stopped

    # on a training or a baseline, and on its power set
    POWERSET = "lfranker.powerset"  # key of those that belong together; `rank` selects by it
    LOSSES = "lfranker.losses"  # the subset, "mae+ssim"; on a model's version too
    NOISE = "lfranker.noise"  # label of the noise, where several are compared; on a version too
    REPEAT = "lfranker.repeat"  # which of the paired repeats, from 0
    TRAINING = "lfranker.training"  # fingerprint of all that determines the weights
    PERCEPTUAL = "lfranker.perceptual"  # digest of the perceptual network's weights, or none
    MODEL = "lfranker.model"  # ID of the logged model: there is one once the training is over
    SHORTER = "lfranker.shorter"  # steps of its branches whose weights are kept, "500,1000"
    COLLAPSED = "lfranker.collapsed"  # steps of the last branch whose output was nearly constant
    STOPPED = "lfranker.stopped"  # JSON: why it was stopped early, see `ranking.along_training`
    BASELINE = "lfranker.baseline"  # name of the filter, in place of LOSSES
    SCORING = "lfranker.scoring"  # digest of the first scan set, whose scores have plain names
    OUTCOME = "lfranker.outcome"  # ok, collapsed or diverged; see `outcome_on` for one scan set

    OWN_SCANS = "lfranker.own-scans"  # fields whose slow scans it learns from, for the curve
    SAFEGUARDS = "lfranker.safeguards"  # that it diverged with: see `training.numerics`
    SUPERSEDED = "lfranker.superseded"  # ID of the run that trains the same again
    METRICS = "lfranker.metrics"  # JSON, metric -> version, of one scan set: see `metrics_on`

    # on a power set
    LOSS_SET = "lfranker.loss-set"  # all losses, "mae,ssim", as they are shown
    REPEATS = "lfranker.repeats"  # how many were asked for
    SUBSETS = "lfranker.subsets"  # which subsets were asked for: `SubsetRule.to_text`
    NETWORK = "lfranker.network"  # likewise the network
    NOISES = "lfranker.noises"  # JSON, label -> key of the noises, networks or both compared
    SCANS = "lfranker.scans"  # digest of its own scan set; see `scan_set` for every one
    LEARNING_RATES = "lfranker.learning-rates"  # factor=key of the check at other learning rates
    CURVE = "lfranker.curve"  # numbers of own slow scans that the champion was trained with too
    SEARCH = "lfranker.refined"  # ID of the newest search for weights
    CHAMPION = "lfranker.champion"  # what won, or none

    # on a search for weights
    SEARCH_OF = "lfranker.refines"  # key of its power set, the subset and the scans

    # on a model's version
    SIMULATED = "lfranker.simulated"  # true or false: the scans that it was ranked on

    # MLflow's own
    NOTE = "mlflow.note.content"
    PARENT = "mlflow.parentRunId"
    NAME = "mlflow.runName"


VIEW = "mlflow.sharedViewState."  # and a key, on an experiment: a view of its runs
WON = "winner"  # on a training: the criteria it won; short, as it is a column of MLflow's table
WINNER = "lfranker.winner."
SCAN_SET = f"{Tag.SCANS}."
OUTCOME_ON = f"{Tag.OUTCOME}."
METRICS_ON = f"{Tag.METRICS}."
USED = "lfranker.used."


def scan_set(digest: str) -> str:
    """Return the tag of a power set that says of a scan set whether it is real or simulated."""
    return f"{SCAN_SET}{digest}"


def outcome_on(digest: str) -> str:
    """Return the tag that says what came of a training on one scan set."""
    return f"{OUTCOME_ON}{digest[:8]}"


def metrics_on(digest: str) -> str:
    """Return the tag that says which versions of the metrics made the scores on one scan set."""
    return f"{METRICS_ON}{digest[:8]}"


def winner_of(criterion: str) -> str:
    """Return the tag of a power set that names the winner in a criterion."""
    return f"{WINNER}{criterion}"


def used_tag(parameter: str) -> str:
    """Return the tag with the value that was used, where the parameter has another one."""
    return f"{USED}{parameter}"


UNRANKED = "unranked/"
OTHER_SCANS = "tested on "  # and the first digits of their digest


def metric_name(score: str) -> str:
    """Return MLflow's name of a score: `psnr/spd2`, but `unranked/frc/spd2`."""
    metric = ALL_METRICS.get(Criterion.parse(score).metric)
    return UNRANKED + score if metric and not metric.ranked else score


def front(digest: str) -> str:
    """Return what the scores on scans other than the run's first have in front of their names."""
    return f"{OTHER_SCANS}{digest[:8]}/"


def scores_in(metrics: Mapping[str, float], other: str = "") -> dict[str, float]:
    """Return the scores among a run's metrics under their plain names, as tables have them.

    ``other``: digest of the scans where they are not the run's first. Names of earlier versions,
    `frc` and `1a2b3c4d.psnr`, are read too; today's names count where a run has both.
    """
    fronts = (f"{other[:8]}.", front(other)) if other else ("",)
    found: dict[str, float] = {}
    for before in fronts:
        own = {k.removeprefix(before): v for k, v in metrics.items() if k.startswith(before)}
        found |= {name: own[name] for name in scored(own)}
        unranked = {k.removeprefix(UNRANKED): v for k, v in own.items() if k.startswith(UNRANKED)}
        found |= {name: unranked[name] for name in scored(unranked)}
    return found


LONGEST_PART = 120  # characters of a file's name; file systems take 255
PLAIN = re.compile(r"[A-Za-z0-9_\-. ]")
ENDS = re.compile(r"^[. ]|[. ]$")  # `..` among them
ESCAPED = re.compile(r"(?:=[0-9A-F]{2})+")
CUT = "=="  # before the digest of a name that was too long


def artifact_name(name: str) -> str:
    """Return a name of an artifact for a user's name, which `/` parts: another one for each name.

    Every server and file system takes it: what is no plain letter or sign becomes its bytes, `=23`
    for `#`. What is too long is cut, and ends in a digest.
    """
    return "/".join(map(_part, name.split("/")))


def name_of(artifact: str) -> str:
    """Return the user's name of an artifact; with an ellipsis where it was cut."""
    whole = re.sub(f"{CUT}[0-9a-f]{{16}}", "\N{HORIZONTAL ELLIPSIS}", artifact)
    return ESCAPED.sub(
        lambda found: bytes.fromhex(found[0].replace("=", "")).decode("utf-8", "replace"), whole
    )


def _part(name: str) -> str:
    escaped = "".join(c if PLAIN.fullmatch(c) else _bytes(c) for c in name)
    escaped = ENDS.sub(lambda found: _bytes(found[0]), escaped)
    if len(escaped) <= LONGEST_PART:
        return escaped
    stem, dot, suffix = escaped.rpartition(".")
    if len(suffix) > 5:
        stem, dot, suffix = escaped, "", ""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    kept = re.sub("=[0-9A-F]?$", "", stem[:80])
    return f"{kept}{CUT}{digest}{dot}{suffix}"


def _bytes(character: str) -> str:
    return "".join(f"={byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
