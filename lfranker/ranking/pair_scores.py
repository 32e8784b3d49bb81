"""Scores of single pairs of scans: what intervals, effects and winners by sample are made of."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from lfranker.evaluation.criteria import Criterion
from lfranker.evaluation.metrics import METRICS

GROUPS = ("field", "speed", "place", "sample")  # of a pair; "" where there is none
COLUMNS = ("name", "repeat", "baseline", *GROUPS)


@dataclass(frozen=True)
class PairScores:
    """A row per entrant or baseline, repeat, field and speed; and a column per metric.

    name: text of the entrant, or the baseline's name; repeat: from 0; baseline: whether it is one;
    field, speed, place (the site) and sample: text. Raises ValueError where a column is missing.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        if missing := [column for column in COLUMNS if column not in self.table]:
            raise ValueError(
                f"scores of pairs lack the columns {', '.join(missing)}; there are "
                f"{', '.join(map(str, self.table.columns))}"
            )

    @classmethod
    def none(cls) -> "PairScores":
        """Return the scores of a power set without tables of its fields."""
        return cls(pd.DataFrame({column: pd.Series(dtype=object) for column in COLUMNS}))

    @property
    def empty(self) -> bool:
        return self.table.empty

    @property
    def entrants(self) -> pd.DataFrame:
        """The rows of all but the baselines."""
        return self.table[~self.table["baseline"].astype(bool)]

    def of(self, name: str, repeat: int | None = None) -> pd.DataFrame:
        """Return the rows of one entrant, or those of one of its repeats."""
        rows = self.table[self.table["name"] == name]
        return rows if repeat is None else rows[rows["repeat"] == repeat]

    def means(self) -> pd.DataFrame:
        """Return means over fields and repeats by speed, a row per name, for `leaderboard.rank`.

        A mean is NaN where one of its scores is: a mean over the others would not compare.
        """
        rows = self.table
        metrics = [metric for metric in METRICS if metric in rows]
        long = rows.melt(["name", "speed"], metrics, "metric").groupby(["name", "metric", "speed"])
        mean = long["value"].agg(lambda values: float(values.mean(skipna=False)))
        means = pd.DataFrame({"mean": mean})["mean"].unstack([1, 2])
        means.columns = pd.Index([str(Criterion(*map(str, column))) for column in means.columns])
        return means.assign(baseline=rows.groupby("name")["baseline"].first())

    def by_sample(self) -> Iterator[tuple[str, "PairScores"]]:
        """Yield the scores of each sample group, where there are at least two groups."""
        if not self.empty and self.table["sample"].nunique() > 1:
            for sample, rows in self.table.groupby("sample"):
                yield str(sample), PairScores(rows)
