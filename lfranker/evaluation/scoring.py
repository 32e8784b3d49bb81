"""Score a denoiser, learned or classical, on registered pairs."""

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

import numpy as np
import pandas as pd

from lfranker.arrays import Image, correlation
from lfranker.evaluation.criteria import Criterion
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.reference_free import REFERENCE_FREE, tried
from lfranker.noise.scan_noise import MeasuredNoise
from lfranker.scans.scan_set import Pair, ScanSet

BLACK = 0.5 / 255  # a mean below it rounds to 0 in the 8 bits that microscopes write
FLAT = 1e-3  # standard deviation; rounding to 8 bits alone makes 1.1e-3
NO_NOISE: Mapping[str, MeasuredNoise] = {}
UNRELATED = 0.1  # correlation with the input; noise of 3 times the structure's size leaves 0.3


Denoiser = Callable[[Pair], Image]


def metrics_of(scans: ScanSet) -> Mapping[str, Metric]:
    """Return the metrics that scans are scored by: others where none of them is clean."""
    return METRICS if scans.has_clean else REFERENCE_FREE


def of_noisy(function: Callable[[Image], Image]) -> Denoiser:
    """A denoiser that sees the noisy scan and nothing else."""
    return lambda pair: function(pair.noisy)


def score(
    denoiser: Denoiser,
    scans: Iterable[Pair],
    metrics: Mapping[str, Metric] = METRICS,
    on_output: Callable[[Pair, Image], None] = lambda *_: None,
    noise: Mapping[str, MeasuredNoise] = NO_NOISE,
) -> pd.DataFrame:
    """A row for each pair: field, speed, groups, every metric, and what ``outcome`` looks at.

    The output is clipped to [0, 1] first. ``seconds`` are those of the denoiser alone. An output
    with values that are not finite has ``finite`` False and NaN for every score. ``on_output``
    gets each pair with what the denoiser made of it, not clipped. ``noise`` by speed is what
    metrics without a clean scan need: see `reference_free.noise_by_speed`.
    """
    rows = [_row(denoiser, pair, metrics, on_output, noise.get(pair.speed)) for pair in scans]
    if not rows:
        raise ValueError("no pairs to score")
    return pd.DataFrame(rows)


def _row(
    denoiser: Denoiser,
    pair: Pair,
    metrics: Mapping[str, Metric],
    on_output: Callable[[Pair, Image], None],
    noise: MeasuredNoise | None,
) -> dict[str, str | float | bool]:
    start = perf_counter()
    raw = denoiser(pair)
    seconds = perf_counter() - start
    if raw.shape != pair.noisy.shape:
        raise ValueError(
            f"{pair.field} at {pair.speed}: the denoiser made {raw.shape} of {pair.noisy.shape}"
        )
    on_output(pair, raw)
    finite = bool(np.isfinite(raw).all())
    output = np.clip(raw, 0, 1).astype(np.float32)
    nan = float("nan")
    judged = tried(pair, denoiser, noise) if noise and finite else pair
    return {
        "field": pair.field,
        "speed": pair.speed,
        "place": pair.place,
        "sample": pair.sample,
        **{
            name: item.function(output, judged) if finite else nan for name, item in metrics.items()
        },
        "seconds": seconds,
        "megapixels": output.size / 1e6,
        "output_mean": float(output.mean(dtype=np.float64)),
        "output_std": float(output.std(dtype=np.float64)),
        "input_correlation": correlation(output, pair.noisy) if finite else nan,
        "finite": finite,
    }


def summarise(table: pd.DataFrame, metrics: Mapping[str, Metric] = METRICS) -> dict[str, float]:
    """Means over fields per speed ("psnr/spd2"), and the mean of those ("psnr").

    A mean over a value that is not finite is left out: the mean of the others would be over
    other pairs than those of the models it is compared with. "seconds_per_megapixel" is that of
    all pairs together.
    """
    summary = {"seconds_per_megapixel": float(table["seconds"].sum() / table["megapixels"].sum())}
    for name in metrics:
        per_speed = {
            str(speed): float(group[name].to_numpy(np.float64).mean())
            for speed, group in table.groupby("speed", sort=False)
        }
        summary[name] = float(np.mean(list(per_speed.values())))
        summary |= {str(Criterion(name, speed)): mean for speed, mean in per_speed.items()}
    return {name: value for name, value in summary.items() if np.isfinite(value)}


def outcome(table: pd.DataFrame) -> str:
    """'collapsed' where any output is non-finite, black, flat or unrelated to its input, or 'ok'.

    One pair is enough: a denoiser that loses a field has no place in a ranking, however well it
    does on the others.
    """
    alive = (
        table["finite"]
        & (table["output_mean"] >= BLACK)
        & (table["output_std"] >= FLAT)
        & (table["input_correlation"] >= UNRELATED)
    )
    return "ok" if alive.all() else "collapsed"
