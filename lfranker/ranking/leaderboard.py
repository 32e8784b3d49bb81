"""Scores in, leaderboard and winners out, and the options of a ranking.

Entrants are loss subsets ("mae+ssim"); baselines (the noisy input, filters) stand beside them and
never win. A criterion is a column of scores: a metric over all scan speeds ("psnr", the mean of the
speeds' means) or at one speed ("psnr/spd2"). Directions are normalised in one place, `_usable`;
what failed, collapsed, diverged or is not a finite number comes last and never wins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import (
    CHAMPION_METRICS,
    DIRECTIONS,
    NOISY,
    QUALITY,
    VISUAL,
    Criterion,
    criteria_of,
)
from lfranker.losses.names import LOSS_ORDER
from lfranker.options import check, option
from lfranker.ranking.entrants import tie_key
from lfranker.text import listed, parse_values

EQUIVALENCE: Mapping[str, float] = MappingProxyType(
    {
        "psnr": 0.1,
        "ssim": 0.005,
        "repeatability": 0.01,
        "noise_removed": 0.003,
        "ssim_estimated": 0.005,
    }
)


def parse_equivalence(text: str) -> dict[str, float]:
    """Read `psnr=0.2` as `parse_values` does; metrics that it does not name keep their default."""
    return {**EQUIVALENCE, **parse_values(text, DIRECTIONS)}


def parse_weights(text: str) -> dict[str, float]:
    """Read `psnr=1,ssim=2` as `parse_values` does; at least one weight must be above 0."""
    values = parse_values(text, DIRECTIONS)
    if not any(values.values()):
        raise ValueError("at least one weight must be above 0")
    return values


@dataclass(frozen=True)
class RankConfig:
    """Options of a ranking."""

    equivalence: Mapping[str, float] = option(
        lambda: dict(EQUIVALENCE),  # each in its unit; by convention, not by measurement
        "Differences that do not matter, by criterion; how sure a ranking is, is said of these. "
        "Criteria that are not named keep their default.",
        parse=parse_equivalence,
    )
    weights: Mapping[str, float] = option(
        lambda: dict.fromkeys(CHAMPION_METRICS, 1.0),
        "Of the criteria in the weighted score, which stands beside the mean rank; those that are "
        "not named do not count.",
        parse=parse_weights,
    )
    promote: str = option(
        "auto",
        "When a winner takes an alias from another power set's version: auto: if it beats that one "
        "on the same scans beyond the interval; always; or never, and none is given at all.",
        choices=("auto", "always", "never"),
    )

    def __post_init__(self) -> None:
        check(self)


COLUMNS = ("mean_rank", "weighted", "outcome", "baseline", "worse_than_noisy")  # beside scores


@dataclass(frozen=True)
class Ranking:
    """Winners of a ranking.

    leaderboard: a row per entrant, best mean rank first (those that cannot be champion after those
        that can), then the baselines as given. The columns of the scores and `mean_rank`,
        `rank/<criterion>` (1 is best, ties averaged), `weighted` (see `weighted_score`,
        over all speeds), `outcome`, `baseline` and `worse_than_noisy`
        (those of QUALITY, over all speeds, that are below the noisy input's, as "psnr, ssim").
    winners: the best entrant of every criterion in which not all are alike.
    judged: the criteria of which `mean_rank` is the mean.
    tied: entrants with the champion's mean rank, before which it comes by `tie_key`.
    gaps: entrants that are ok and lack a finite score, with the criteria in which they do.
    better_baselines: the metrics of QUALITY in which baselines are above the champion, with these
        baselines, the best first.
    """

    leaderboard: pd.DataFrame
    winners: dict[Criterion, str]
    champion: str | None
    champion_mean_rank: float  # nan without a champion
    judged: tuple[Criterion, ...]
    missing: tuple[str, ...]  # of those expected
    tied: tuple[str, ...]
    gaps: Mapping[str, tuple[str, ...]]
    better_baselines: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]
    directions: Mapping[str, bool]

    def __post_init__(self) -> None:
        if missing := [column for column in COLUMNS if column not in self.leaderboard]:
            raise ValueError(f"the leaderboard lacks the columns {', '.join(missing)}")


def rank(
    scores: pd.DataFrame,
    expected: Sequence[str] = (),
    *,
    directions: Mapping[str, bool] = DIRECTIONS,
    order: Sequence[str] = LOSS_ORDER,
    weights: Mapping[str, float] = MappingProxyType(dict.fromkeys(CHAMPION_METRICS, 1.0)),
) -> Ranking:
    """Rank the entrants of `scores` (index: names; columns: criteria, `outcome`, `baseline`, ...).

    The champion has the lowest mean rank over PSNR, SSIM and, where it was measured,
    repeatability, each at every speed (over all speeds where none is told apart). Ties, here and
    for each winner, go to fewer losses, then to `order` (see `tie_key`). `expected` names the
    entrants that should be there. A missing `outcome` reads "ok", a missing mean over speeds is
    computed.
    """
    board = _complete(scores, directions)
    baselines = board.index[board["baseline"]]
    # Entrants in order of precedence: everywhere below, the first of equals wins.
    names = sorted(board.index[~board["baseline"]], key=lambda name: tie_key(name, order))
    usable = _usable(board.loc[[*names, *baselines]], directions)
    entrants = usable.loc[names]
    ranks = _ranks(entrants)
    criteria = criteria_of(usable, directions)
    judged = _judged(criteria)
    columns = list(map(str, judged))
    mean_rank = ranks[columns].mean(axis=1)
    fit = entrants[columns].notna().all(axis=1)
    best = mean_rank[fit].min()
    rivals = [str(name) for name in entrants.index[fit & mean_rank.eq(best)]]

    board["mean_rank"] = mean_rank
    board["weighted"] = weighted_score(entrants, weights)
    board["worse_than_noisy"] = _worse_than_noisy(usable, names)
    board = board.join(ranks.rename(columns={str(c): c.rank_column for c in criteria}))
    board = board.loc[[*_places(mean_rank, fit), *_by_score(usable.loc[baselines], judged)]]
    missing = tuple(name for name in expected if name not in entrants.index)
    return Ranking(
        leaderboard=board,
        winners={
            criterion: str(entrants[str(criterion)].idxmax())
            for criterion in criteria
            if _tells_apart(entrants[str(criterion)])
        },
        champion=rivals[0] if rivals else None,
        champion_mean_rank=float(best),
        judged=tuple(judged),
        missing=missing,
        tied=tuple(rivals[1:]),
        gaps=_gaps(usable.loc[[name for name in names if board["outcome"][name] == "ok"]]),
        better_baselines=_better(usable.loc[baselines], usable.loc[rivals]),
        order=tuple(order),
        directions=dict(directions),
    )


def _by_score(baselines: pd.DataFrame, judged: Sequence[Criterion]) -> list[str]:
    """Return baselines, the one with the best mean in the first metric that decides first."""
    if not judged:
        return list(map(str, baselines.index))
    columns = [str(criterion) for criterion in judged if criterion.metric == judged[0].metric]
    means = baselines[columns].mean(axis=1, skipna=False)
    return list(map(str, means.sort_values(ascending=False, kind="stable").index))


def _tells_apart(scores: pd.Series) -> bool:
    """Return whether not all have one score, as all have where none keeps a keypoint."""
    known = scores.dropna()
    return len(known) < 2 or known.nunique() > 1


def _complete(scores: pd.DataFrame, directions: Mapping[str, bool]) -> pd.DataFrame:
    """The scores with numbers as floats, `outcome`, `baseline` and every mean over speeds."""
    twice = scores.index[scores.index.duplicated()].unique()
    if len(twice):
        raise ValueError(f"scores: one row per entrant is allowed, more given for {listed(twice)}")
    criteria = criteria_of(scores, directions)
    board = scores.astype(dict.fromkeys(map(str, criteria), float)).copy()  # consolidated
    for metric in directions:
        speeds = [str(c) for c in criteria if c.metric == metric and c.speed]
        if speeds:
            mean = board[speeds].mean(axis=1, skipna=False)
            board[metric] = board[metric].fillna(mean) if metric in board else mean
    ok = pd.Series("ok", index=board.index)
    board["outcome"] = board["outcome"].fillna(ok) if "outcome" in board else ok
    board["baseline"] = board["baseline"].eq(True) if "baseline" in board else False
    return board


def _usable(board: pd.DataFrame, directions: Mapping[str, bool]) -> pd.DataFrame:
    """Criteria, higher always better; nan where a row may not win. Only those an entrant has."""
    criteria = criteria_of(board, directions)
    signs = [1.0 if directions[criterion.metric] else -1.0 for criterion in criteria]
    values = board[list(map(str, criteria))] * signs
    values = values.where(np.isfinite(values)).where(board["outcome"].eq("ok"), axis=0)
    return values.loc[:, values[~board["baseline"]].notna().any()]


def _ranks(entrants: pd.DataFrame) -> pd.DataFrame:
    """1 is best. Who was not shown to people has no rank by their eyes, rather than the last."""
    ranks = entrants.rank(ascending=False, method="average", na_option="bottom")
    for column in _rated(entrants):
        ranks[column] = ranks[column].where(entrants[column].notna())
    return ranks


def _rated(usable: pd.DataFrame) -> list[str]:
    return [name for name in map(str, usable) if Criterion.parse(name).metric == VISUAL]


def _judged(criteria: Sequence[Criterion]) -> list[Criterion]:
    chosen: list[Criterion] = []
    for metric in CHAMPION_METRICS:
        own = [criterion for criterion in criteria if criterion.metric == metric]
        chosen += [criterion for criterion in own if criterion.speed] or own
    return chosen


def _places(mean_rank: pd.Series, fit: pd.Series) -> pd.Index:
    """Names, best mean rank first; those that cannot be champion after those that can."""
    places = pd.DataFrame({"unfit": ~fit, "mean_rank": mean_rank})
    return places.sort_values(["unfit", "mean_rank"], kind="stable").index


def _worse_than_noisy(usable: pd.DataFrame, entrants: list[str]) -> pd.Series:
    marks: pd.Series = pd.Series("", index=usable.index)
    if NOISY not in usable.index.difference(entrants):
        return marks
    for metric in QUALITY:
        if metric in usable:
            worse = usable[metric].loc[entrants].lt(usable[metric][NOISY])
            for name in worse.index[worse]:
                marks[name] = f"{marks[name]}, {metric}".strip(", ")
    return marks


def _gaps(usable: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Nobody must have been shown to people: a rating that is not there is no gap."""
    gaps = usable.drop(columns=_rated(usable)).isna()
    return {str(name): tuple(gaps.columns[gap]) for name, gap in gaps.iterrows() if gap.any()}


def _better(baselines: pd.DataFrame, rivals: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    better = {}
    for metric in QUALITY:
        if len(rivals) and metric in rivals:
            values = baselines[metric].sort_values(ascending=False, kind="stable")
            better[metric] = tuple(map(str, values.index[values > rivals[metric].iloc[0]]))
    return {metric: names for metric, names in better.items() if names}


def weighted_score(scores: pd.DataFrame, weights: Mapping[str, float]) -> pd.Series:
    """Weighted mean of each row's criteria, each scaled to 0 (worst row) to 1 (best).

    ``scores`` are better when higher; ``weights`` name columns, and those that are not there do
    not count. NaN for a row with a gap, and for all where no weight is left; a column without
    differences counts as 1. Unlike the mean rank it knows how far apart rows are, and depends on
    how bad the worst of them is.
    """
    used = {name: weight for name, weight in weights.items() if weight and name in scores}
    columns = scores[list(used)]
    spread = columns.max() - columns.min()
    scaled = (columns - columns.min()) / spread.where(spread > 0)
    scaled.loc[:, ~(spread > 0)] = 1.0
    parts = scaled.where(columns.notna()).mul(pd.Series(used, dtype=float))
    total = sum(used.values()) or float("nan")
    return parts.sum(axis=1, skipna=False) / total
