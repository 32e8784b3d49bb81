"""Names of losses and of their combinations, always in the order of LOSSES."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from lfranker.losses.spec import LOSSES, PERCEPTUAL_RANDOM


def _checked(names: Sequence[str], text: str) -> tuple[str, ...]:
    allowed = ", ".join(LOSSES)
    unknown = [name for name in names if name not in LOSSES]
    if unknown or not names:
        what = f"unknown loss {', '.join(map(repr, unknown))}" if unknown else "no loss"
        raise ValueError(f"losses {text!r}: {what}; allowed are {allowed}")
    if len(set(names)) < len(names):
        raise ValueError(f"losses {text!r}: each may be named once; allowed are {allowed}")
    return tuple(name for name in LOSSES if name in names)


def parse_losses(text: str) -> tuple[str, ...]:
    """``"ssim,mae"`` to ``("mae", "ssim")``."""
    return _checked([part.strip() for part in text.split(",") if part.strip()], text)


def subset_name(losses: Iterable[str], *, perceptual: str = "perceptual") -> str:
    """``("ssim", "mae")`` to ``"mae+ssim"``; ``perceptual`` is shown under the name given."""
    names = list(losses)
    ordered = _checked(names, "+".join(names))
    return "+".join(perceptual if name == "perceptual" else name for name in ordered)


def parse_subset(name: str) -> tuple[str, ...]:
    """``"mae+ssim"`` to ``("mae", "ssim")``; ``perceptual-random`` is read as ``perceptual``."""
    parts = [part.strip() for part in name.split("+")]
    return _checked(["perceptual" if p == PERCEPTUAL_RANDOM else p for p in parts], name)


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All 2^n - 1 combinations that are not empty, by size, then by the order of LOSSES."""
    return non_empty(_checked(names, ",".join(names)))


def non_empty(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All 2^n - 1 combinations of any names, by size, then by the order given."""
    return [s for size in range(1, len(names) + 1) for s in combinations(names, size)]
