"""How far rankings without clean scans agree with those against slow scans.

    python -m benchmarks.reference_free --parent RUN [--against psnr ssim psnr_fitted]

RUN is a power set that was scored on pairs of fast and slow scans, and then on its fast scans alone
(`evaluate -P parent=RUN -P scans=FAST -P target=none`); the fields and speeds of both sets have the
same names.

Prints Kendall's tau between each criterion without clean scans and each of those with them, over
the subsets, its 95 % interval over sites and repeats (not of mean ranks, which are no means of
scores), and how far below the best subset the one lies that the criterion chooses. Then tau between
a criterion in one repeat and the scores against slow scans in another, beside the tau of these
scores themselves between repeats. Masked prediction is another criterion, tried here alone: every
fourth line is replaced by the mean of its neighbours, and the output compared with what it was.
"best of half" is the mean rank of those criteria whose tau is highest on half of the sites, judged
on the other half. Beside the subsets stand entrants that must not win: the noisy scan, a blur of 6
px, a constant, and those of the power set that collapsed. Last line: the tau with PSNR of the mean
rank that decides the champion without clean scans.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.stats import kendalltau, rankdata
from tqdm import tqdm

from lfranker.arrays import Floats, Image
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.criteria import ALL_METRICS, CHAMPION_METRICS
from lfranker.evaluation.reference_free import REFERENCE_FREE, noise_by_speed
from lfranker.evaluation.scoring import of_noisy, score
from lfranker.scans.scan_set import ScanSet, read_scans
from lfranker.statistics.rank_agreement import tau_interval
from lfranker.statistics.score_array import cube_of
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.scores import field_scores

KEYS = ["name", "repeat", "place", "field", "speed"]
MASKED = "masked_prediction"
MEAN_RANK = "mean_rank"
EVERY = 4  # lines: one of so many is hidden
SEED = 0
DEGENERATE: dict[str, Callable[[Image], Image]] = {
    "the noisy scan": lambda image: image,
    "blurred by 6 px": lambda image: gaussian_filter(image, 6.0),
    "constant": lambda image: np.full_like(image, image.mean()),
}


@dataclass(frozen=True)
class Agreement:
    """How far one criterion agrees with another over the subsets."""

    criterion: str
    against: str
    tau: float
    low: float
    high: float
    loss: float  # in the other criterion, of the subset that this one chooses


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", required=True)
    parser.add_argument("--cache", type=Path, default=Path(".lfranker"))
    parser.add_argument("--against", nargs="+", default=["psnr", "psnr_fitted", "ssim"])
    asked = parser.parse_args()
    power_set = load_power_set(asked.parent)
    sets = [read_scans(path.parent) for path in sorted(asked.cache.rglob("scans.json"))]
    scored = [own for own in sets if not field_scores(power_set, own.id).empty]
    pairs, alone = (
        next(own for own in scored if own.has_clean == clean) for clean in (True, False)
    )
    rows = _rows(power_set, pairs, alone)
    names = list(dict.fromkeys(rows["name"]))
    free = [*REFERENCE_FREE, MASKED]
    say(f"{len(names)} subsets, {rows['repeat'].nunique()} repeats, "
          f"{rows['place'].nunique()} sites")  # fmt: skip
    combined = [name for name in CHAMPION_METRICS if name in REFERENCE_FREE]
    rows[MEAN_RANK] = _mean_ranks(rows, combined)
    table = [
        _agreement(rows, criterion, other)
        for criterion in [*free, MEAN_RANK]
        for other in asked.against
    ]
    shown = pd.DataFrame([vars(row) for row in table]).set_index(["criterion", "against"])
    say(shown.round(4).to_string())
    for other in asked.against:
        taus = (f"{one} {_between_repeats(rows, one, other):.2f}" for one in [*free, other])
        say(f"of other trainings, with {other}: {', '.join(taus)}")
    for other in asked.against:
        chosen, tau = _best_of_half(rows, free, other)
        say(f"best of half for {other}: {chosen}, tau {tau:.2f}")
    _degenerate(rows, alone, combined)
    say(f"ratio reference_free {_agreement(rows, MEAN_RANK, 'psnr').tau:.3f}")


def _rows(power_set: PowerSet, pairs: ScanSet, alone: ScanSet) -> pd.DataFrame:
    """A row per subset, repeat, field and speed with the scores of both kinds, higher is better."""
    with_clean = field_scores(power_set, pairs.id).entrants
    without = field_scores(power_set, alone.id).entrants.drop(columns=["place", "sample"])
    keys = [key for key in KEYS if key != "place"]
    rows = with_clean.merge(without.drop(columns="baseline"), on=keys, validate="1:1")
    masked = _masked(power_set, alone)
    rows = rows.merge(masked, on=keys, validate="1:1")
    for name in rows.columns.intersection(list(ALL_METRICS)):
        if ALL_METRICS[str(name)].higher_is_better is False:
            rows[name] = -rows[name]
    return rows


def _masked(power_set: PowerSet, scans: ScanSet) -> pd.DataFrame:
    """Minus the mean square of what is predicted for hidden lines less what was there."""
    rows = []
    for (name, repeat), training in tqdm(power_set.trainings.items(), MASKED, disable=None):
        if not training.model:
            continue
        network = load_network(f"models:/{training.model}")
        for pair in scans:
            hidden = np.arange(1, len(pair.noisy) - 1, EVERY)
            seen = pair.noisy.copy()
            seen[hidden] = (pair.noisy[hidden - 1] + pair.noisy[hidden + 1]) / 2
            output = denoise(network, seen)
            error = float(np.mean((output[hidden] - pair.noisy[hidden]) ** 2))
            rows.append((name, repeat, pair.field, pair.speed, -error))
    return pd.DataFrame(rows, columns=["name", "repeat", "field", "speed", MASKED])


def _mean_ranks(rows: pd.DataFrame, criteria: Sequence[str]) -> Floats:
    """Minus each subset's mean rank over criteria, at every row of it."""
    means = rows.groupby("name")[list(criteria)].mean()
    ranks = -means.rank(ascending=False).mean(axis=1)
    return rows["name"].map(ranks).to_numpy(np.float64)


def _agreement(rows: pd.DataFrame, criterion: str, other: str) -> Agreement:
    cubes = [cube_of(rows, name) for name in (criterion, other)]
    assert cubes[0] is not None
    assert cubes[1] is not None
    one, two = (cube.scores for cube in cubes if cube is not None)
    means = [scores.mean(axis=(1, 2)) for scores in (one, two)]
    stacked = np.stack([one / (one.std() or 1), two / two.std()])
    unknown = criterion == MEAN_RANK  # it is the same at every site
    interval = None if unknown else tau_interval(stacked, np.ones(one.shape[1]), SEED)
    low, high = (interval.low, interval.high) if interval else (np.nan, np.nan)
    loss = float(means[1].max() - means[1][int(np.argmax(means[0]))])
    tau = float(kendalltau(*means).statistic)
    return Agreement(criterion, other, tau, low, high, loss)


def _between_repeats(rows: pd.DataFrame, one: str, other: str) -> float:
    """Mean tau between one criterion in a repeat and the other in another one."""
    means = rows.groupby(["repeat", "name"])[list({one, other})].mean()
    taus = [
        kendalltau(means.loc[a, one], means.loc[b, other]).statistic
        for a, b in itertools.permutations(means.index.unique("repeat"), 2)
    ]
    return float(np.mean(taus))


def _best_of_half(rows: pd.DataFrame, criteria: Sequence[str], other: str) -> tuple[str, float]:
    """Which mean ranks agree best on one half of the sites, and their mean tau on the others."""
    places = np.array(sorted(set(rows["place"])))
    drawn = np.random.default_rng(SEED).permutation(len(places))
    halves = [set(places[drawn[side::2]]) for side in (0, 1)]
    means = [
        rows[rows["place"].isin(half)].groupby("name")[[*criteria, other]].mean() for half in halves
    ]
    combinations = [
        combination
        for size in range(1, len(criteria) + 1)
        for combination in itertools.combinations(criteria, size)
    ]

    def tau(table: pd.DataFrame, combination: Sequence[str]) -> float:
        ranks = np.mean([rankdata(table[name]) for name in combination], axis=0)
        return float(kendalltau(ranks, table[other]).statistic)

    chosen = [max(combinations, key=lambda c: tau(table, c)) for table in means]
    judged = [tau(means[1 - at], combination) for at, combination in enumerate(chosen)]
    return " and ".join("+".join(c) for c in dict.fromkeys(chosen)), float(np.mean(judged))


def _degenerate(rows: pd.DataFrame, scans: ScanSet, criteria: Sequence[str]) -> None:
    """Print the place that each entrant that must not win has among the subsets."""
    noise = noise_by_speed(scans)
    subsets = rows.groupby("name")[list(criteria)].mean()
    for name, function in DEGENERATE.items():
        table = score(of_noisy(function), scans, REFERENCE_FREE, noise=noise)
        own = table[list(criteria)].mean()
        places = {m: 1 + int((subsets[m] > own[m]).sum()) for m in criteria}
        shown = ", ".join(f"{m} {own[m]:.3f}: place {places[m]}" for m in criteria)
        say(f"{name}: {shown} of {1 + len(subsets)}")


if __name__ == "__main__":
    sys.exit(main())
