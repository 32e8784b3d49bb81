"""The best parameter of a classical denoiser, found on other fields than it is scored on.

Sites are split into two halves; what is best on one is used on the other, separately for every
scan speed. A filter tuned on the field that it is scored on would be flattered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.evaluation.baselines import Family
from lfranker.evaluation.metrics import psnr
from lfranker.evaluation.reference_free import noise_by_speed, noise_removed, tried
from lfranker.noise.scan_noise import MeasuredNoise
from lfranker.scans.scan_set import Pair, Record, ScanSet

PAIRS = 4  # of each half and speed on which every value is tried

Key = tuple[int, str]  # half, speed


@dataclass(frozen=True)
class Tuned:
    """A denoiser of pairs: the family with what is best for the other half at the same speed."""

    family: Family
    half: Mapping[str, int]  # of each place
    best: Mapping[Key, float]  # for the half that is denoised

    def __call__(self, pair: Pair) -> Image:
        return self.family.function(pair.noisy, self.best[self.half[pair.place], pair.speed])

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters chosen, by half and speed."""
        return {_parameter(self.family, key): f"{value:g}" for key, value in self.best.items()}


def tune(name: str, family: Family, scans: ScanSet) -> Tuned:
    """Tune by PSNR, or by how much noise is removed where there is no clean scan.

    Raises ValueError where all scans show one site: there are no other fields.
    """
    sites = scans.sites
    if len(sites) < 2:
        raise ValueError(f"{name}: all scans show one site, there is no other to tune on")
    half, best = _halves(sites), {}
    for speed in tqdm(scans.speeds, f"tuning {name}", leave=False, disable=None):
        for side in (0, 1):
            others = [record for record in scans.records if half[record.place] != side]
            same = [record for record in others if record.speed == speed]
            best[side, speed] = best_value(family, scans, spread(same or others))
    return Tuned(family, half, best)


def as_tuned(family: Family, scans: ScanSet, parameters: Mapping[str, str]) -> Tuned | None:
    """Return the filter as it was tuned on these scans before; None where that is not known.

    ``parameters``: as `Tuned.parameters`.
    """
    keys = [(side, speed) for speed in scans.speeds for side in (0, 1)]
    texts = {key: parameters.get(_parameter(family, key), "") for key in keys}
    if not all(texts.values()):
        return None
    return Tuned(family, _halves(scans.sites), {key: float(text) for key, text in texts.items()})


def _halves(sites: Sequence[str]) -> dict[str, int]:
    return {site: number % 2 for number, site in enumerate(sites)}


def _parameter(family: Family, key: Key) -> str:
    half, speed = key
    return f"{family.parameter}, half {half + 1}, {speed}".replace(",", "")


def spread(records: Sequence[Record]) -> list[Record]:
    """Choose at most PAIRS of them, evenly."""
    at = np.linspace(0, len(records) - 1, min(PAIRS, len(records))).astype(int)
    return [records[int(number)] for number in at]


def best_value(family: Family, scans: ScanSet, records: Sequence[Record]) -> float:
    """The family's parameter with the highest mean score on these pairs."""
    scores, noise = np.zeros(len(family.values)), noise_by_speed(scans)
    for pair in map(scans.read, records):
        for number, value in enumerate(family.values):
            scores[number] += _score(pair, _with(family, value), noise)
    return family.values[int(np.argmax(scores))]


def _with(family: Family, value: float) -> Callable[[Pair], Image]:
    return lambda pair: family.function(pair.noisy, value)


def _score(
    pair: Pair, denoiser: Callable[[Pair], Image], noise: Mapping[str, MeasuredNoise]
) -> float:
    output = np.clip(denoiser(pair), 0, 1)
    if pair.speed in noise:
        return noise_removed(output, tried(pair, denoiser, noise[pair.speed]))
    return psnr(output, pair.clean, pair.mask)
