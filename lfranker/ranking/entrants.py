"""Entrants of a ranking, and their scores of single pairs of scans.

An entrant is a subset of losses, and where noises or networks are compared its noise or network.
Intervals, effects and winners by sample are made of the scores of pairs. The label of a noise may
therefore be that of a network, "nafnet", or of both, "eq1,nafnet": what is said of noises holds of
these too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from lfranker.denoiser.networks import NETWORKS
from lfranker.evaluation.criteria import ALL_METRICS, Criterion
from lfranker.losses.names import LOSS_ORDER

MARK = " @ "


@dataclass(frozen=True)
class Entrant:
    """A subset of losses, trained on a noise, by a network.

    Its text, `mae+ssim` or `mae+ssim @ poisson+speckle`, names rows of tables; neither part has a
    blank in it.
    """

    losses: tuple[str, ...]  # as they are shown: "perceptual-random" with random weights
    noise: str = ""  # label of noise, network or both; "" where there is one for all

    @classmethod
    def parse(cls, text: str) -> "Entrant":
        losses, _, noise = text.partition(MARK)
        return cls(tuple(losses.split("+")), noise)

    def __str__(self) -> str:
        return f"{self.subset}{MARK}{self.noise}" if self.noise else self.subset

    @property
    def subset(self) -> str:
        """The losses alone, as text."""
        return "+".join(self.losses)

    @property
    def is_combined(self) -> bool:
        """True where it was trained on two losses or more."""
        return len(self.losses) > 1

    def on(self, noise: str) -> "Entrant":
        """The same losses on a noise; "" where there is one for all."""
        return Entrant(self.losses, noise)


def losses_of(name: str) -> str:
    """Return the subset of losses in the text of an entrant, as text."""
    return Entrant.parse(name).subset


def noise_of(name: str) -> str:
    """Return the label of the noise in the text of an entrant; "" where there is one for all."""
    return Entrant.parse(name).noise


def is_combined(name: str) -> bool:
    """Return whether the text of an entrant names two losses or more."""
    return Entrant.parse(name).is_combined


def noises_in(names: Iterable[str]) -> list[str]:
    """The noises of some entrants, each once, in the order in which they come."""
    return list(dict.fromkeys(noise for name in names if (noise := noise_of(name))))


def parts_of(label: str) -> tuple[str, str]:
    """Split a label into that of the noise and the network; "" where there is one for all."""
    noise, _, network = label.rpartition(",")
    return (noise, network) if network in NETWORKS else (label, "")


def joint_label(noise: str, network: str) -> str:
    """Return the label of which `parts_of` gives the parts."""
    return ",".join(filter(None, (noise, network)))


def compared(labels: Iterable[str], plural: str = "") -> str:
    """Name what labels stand for, with an "s" as ``plural``: "noise", or "network"."""
    parts = [parts_of(label) for label in labels]
    names = ("noise", any(noise for noise, _ in parts)), ("network", any(n for _, n in parts))
    return " and ".join(name + plural for name, there in names if there)


def counted(names: Iterable[object], subsets: str = "loss subsets") -> str:
    """Name entrants for a count of them: ``subsets`` where there is one noise and network."""
    kind = compared(noises_in(map(str, names)))
    several = "combinations of losses," if " and " in kind else "pairs of losses and"
    return f"{several} {kind}" if kind else subsets


def placed(noise: str) -> str:
    """A noise among the names whose order decides ties, where no loss is called so."""
    return f"@ {noise}"


def tie_key(name: str, order: Sequence[str] = LOSS_ORDER) -> tuple[int, list[int], int, str]:
    """Sort key of subsets: number of losses, then `order`; losses it does not name come last.

    A variant counts as the loss before the hyphen: "perceptual-random" as "perceptual". The same
    losses on several noises are sorted by the place of `placed` noises in `order`.
    """
    places, entrant = {loss: place for place, loss in enumerate(order)}, Entrant.parse(name)
    last = len(places)
    found = [places.get(loss_of(loss, order), last) for loss in entrant.losses]
    return len(found), found, places.get(placed(entrant.noise), last), name


def loss_of(shown: str, order: Sequence[str]) -> str:
    """The loss behind the name that it is shown under: "perceptual" of "perceptual-random"."""
    return next((loss for loss in order if shown == loss or shown.startswith(f"{loss}-")), shown)


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
        metrics = [metric for metric in ALL_METRICS if metric in rows]
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
