"""Subsets of a set of losses that a power set trains: all, or those that a rule keeps.

The rule, not the list, is stored with the power set: ten losses have 1,023 subsets.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from math import comb

from lfranker.losses import parse_names, tells_enough
from lfranker.options import check, option

MOST_SUBSETS = 20_000  # subsets of one power set
LONGEST = 6_000  # characters; MLflow cuts a tag at 8,000


def parse_groups(text: str) -> tuple[tuple[str, ...], ...]:
    """`mse+perceptual,mae+mse` as subsets. Raises ValueError naming an unknown loss."""
    return tuple(parse_names(part, "+") for part in text.split(","))


@dataclass(frozen=True)
class SubsetRule:
    """Rule for which subsets of a set of losses are trained; names are those of that set."""

    min_size: int = option(1, "Train no subset of fewer losses.", minimum=1)
    max_size: int | None = option(None, "Train no subset of more losses.", minimum=1)
    include: tuple[str, ...] = option(
        (), "Train only subsets with these losses, e.g. mae,ssim.", parse=parse_names
    )
    exclude: tuple[tuple[str, ...], ...] = option(
        (),  # "mse+perceptual" leaves out that subset and all that hold both
        "Train no subset that holds all of one of these, e.g. mse+perceptual,mae+mse.",
        parse=parse_groups,
    )

    def __post_init__(self) -> None:
        check(self)

    def subsets(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Return those kept of all that tell a network enough, by size, then by the order given.

        Raises ValueError where none is, where there are more than MOST_SUBSETS, and where the rule
        names what is not in the set.
        """
        self._check(names)
        others = [name for name in names if name not in self.include]
        sizes = self._sizes(len(names))
        count = sum(comb(len(others), size - len(self.include)) for size in sizes)
        if count > MOST_SUBSETS:
            raise ValueError(
                f"{len(names)} losses have {count:,} subsets of {sizes[0]} to {sizes[-1]}; at most "
                f"{MOST_SUBSETS:,} are trained: fewer losses, a smaller max_size, or include some"
            )
        places = {name: place for place, name in enumerate(names)}
        kept = (
            tuple(sorted((*self.include, *rest), key=places.__getitem__))
            for size in sizes
            for rest in combinations(others, size - len(self.include))
        )
        found = [
            subset
            for subset in kept
            if tells_enough(subset) and not any(map(set(subset).issuperset, self.exclude))
        ]
        if not found:
            rule = f" with {self}" if str(self) else ": none of them can be trained on alone"
            raise ValueError(f"no subset of {', '.join(names)} is left{rule}")
        return sorted(found, key=lambda s: (len(s), [places[name] for name in s]))

    def _sizes(self, count: int) -> range:
        return range(
            max(self.min_size, len(self.include), 1), min(self.max_size or count, count) + 1
        )

    def _check(self, names: Sequence[str]) -> None:
        given = {"include": self.include, "exclude": [n for group in self.exclude for n in group]}
        for part, losses in given.items():
            unknown = [name for name in losses if name not in names]
            if unknown:
                raise ValueError(
                    f"{part}: {', '.join(unknown)} not in the set; allowed are {', '.join(names)}"
                )
        if self.max_size is not None and self.max_size < self.min_size:
            raise ValueError(f"max_size is {self.max_size}, below min_size, {self.min_size}")

    def settings(self) -> dict[str, str]:
        """Return the rule as values of its options."""
        return {
            "min_size": str(self.min_size),
            "max_size": str(self.max_size or "all"),
            "include": ",".join(self.include) or "none",
            "exclude": ",".join("+".join(group) for group in self.exclude) or "none",
        }

    def __str__(self) -> str:
        changed = self.settings().items() - ALL.settings().items()
        return " ".join(f"{k}={v}" for k, v in self.settings().items() if (k, v) in changed)

    def shown(self, perceptual: str) -> "SubsetRule":
        """The same with the perceptual loss under this name."""

        def named(losses: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(perceptual if name == "perceptual" else name for name in losses)

        return replace(self, include=named(self.include), exclude=tuple(map(named, self.exclude)))

    def to_text(self) -> str:
        """Return text for `from_text`. Raises ValueError where it is too long for a run."""
        text = json.dumps(asdict(self))
        if len(text) > LONGEST:
            raise ValueError(f"include and exclude are too long: {len(text):,} of {LONGEST:,}")
        return text


ALL = SubsetRule()


def from_text(text: str) -> SubsetRule:
    """The rule that `to_text` wrote."""
    stored = json.loads(text)
    include, exclude = tuple(stored["include"]), tuple(map(tuple, stored["exclude"]))
    return SubsetRule(stored["min_size"], stored["max_size"], include, exclude)
