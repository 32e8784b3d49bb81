"""Scores without a clean scan against those with it, on scans of which the clean one is known."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.ndimage import correlate, gaussian_filter, median_filter
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_tv_chambolle

from lfranker.arrays import Image
from lfranker.evaluation.reference_free import (
    REFERENCE_FREE,
    Trial,
    noise_removed,
    ssim_estimated,
    tried,
    whiteness,
)
from lfranker.evaluation.scoring import of_noisy, outcome, score, summarise
from lfranker.noise.scan_correlation import autocorrelation
from lfranker.noise.scan_noise import MeasuredNoise
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair

SIDE, DRAWS = 160, 12
TAPS = (0.85, 0.35, 0.12)
UNIT = tuple(np.array(TAPS) / np.sqrt(TAPS[0] ** 2 + 2 * 0.1369))
NOISE = MeasuredNoise(0.012, 0.02, 0.01, 0.01, autocorrelation(UNIT, 4), UNIT)
Filter = Callable[[Image], Image]
FILTERS: dict[str, Filter] = {
    "as it is": lambda image: image,
    "blurred": lambda image: gaussian_filter(image, 1.5),
    "blurred too much": lambda image: gaussian_filter(image, 5),
    "median": lambda image: median_filter(image, 5),
    "total variation": lambda image: denoise_tv_chambolle(image, 0.1).astype(np.float32),
    "constant": lambda image: np.full_like(image, 0.5),
    "too dark": lambda image: gaussian_filter(image, 1.5) - np.float32(0.05),
}


def clean() -> Image:
    """Blobs with edges, away from both ends of the scale."""
    blobs = gaussian_filter(np.random.default_rng(5).standard_normal((SIDE, SIDE)), 5)
    return (0.4 + 0.1 * np.tanh(30 * blobs) + 0.4 * blobs).astype(np.float32)


CLEAN = clean()


def pair(seed: int) -> Pair:
    noisy = CLEAN + NOISE.draw(CLEAN, np.random.default_rng(seed))
    nothing = np.full_like(CLEAN, np.nan)
    everywhere = np.ones(CLEAN.shape, np.bool_)
    return Pair(f"f{seed}", "fast", noisy, nothing, everywhere, nothing, Transform())


def outputs(filter_: Filter) -> list[tuple[Image, Trial]]:
    denoiser, pairs = of_noisy(filter_), map(pair, range(DRAWS))
    return [
        (np.clip(denoiser(own), 0, 1).astype(np.float32), tried(own, denoiser, NOISE))
        for own in pairs
    ]


@pytest.mark.parametrize("name", FILTERS)
def test_the_noise_that_is_removed_is_told_without_the_clean_scan(name: str) -> None:
    scored = outputs(FILTERS[name])
    estimated = np.array([noise_removed(*each) for each in scored])
    strength = NOISE.variance(CLEAN).mean()
    true = np.array([1 - np.mean((output - CLEAN) ** 2) / strength for output, _ in scored])
    error = (estimated - true).std(ddof=1) / np.sqrt(DRAWS)
    # the variance is taken from a median of the scan, which is off by a hundredth of it
    assert abs((estimated - true).mean()) < 4 * error + 0.01 * abs(1 - true.mean()) + 0.01


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "as it is"])
def test_structure_is_told_without_the_clean_scan(name: str) -> None:
    """The structure term is computed anew here, from the clean scan."""
    distance = np.arange(-5, 6)
    row = np.exp(-(distance**2) / (2 * 1.5**2))
    window = np.outer(row, row) / row.sum() ** 2
    scored = outputs(FILTERS[name])
    estimated = np.array([ssim_estimated(*each) for each in scored])
    true = []
    for output, trial in scored:
        first, second = output.astype(np.float64), trial.pilot.astype(np.float64)

        def variance(values: np.ndarray) -> np.ndarray:
            return correlate(values**2, window) - correlate(values, window) ** 2

        structure = gaussian_filter(variance(first) + variance(second), 4)
        true.append(1 - (variance(first - CLEAN) / (structure + 0.03**2))[5:-5, 5:-5].mean())
    off = estimated - np.array(true)
    # what it divides by still shares some noise with the estimate: 0.02 where much noise is left
    assert abs(off.mean()) < 4 * off.std(ddof=1) / np.sqrt(DRAWS) + 0.02


@pytest.mark.slow
def test_they_rank_filters_as_the_clean_scan_does() -> None:
    """Filters that are far apart; two of them are as far from the clean scan as the noisy one."""
    found = {name: outputs(filter_) for name, filter_ in FILTERS.items()}
    squares = {n: np.mean([np.mean((o - CLEAN) ** 2) for o, _ in own]) for n, own in found.items()}
    removed = {n: np.mean([noise_removed(*each) for each in own]) for n, own in found.items()}
    assert sorted(removed, key=removed.__getitem__) == sorted(squares, key=lambda n: -squares[n])
    similar = {
        n: np.mean(
            [
                structural_similarity(
                    o, CLEAN, data_range=1, gaussian_weights=True, use_sample_covariance=False
                )
                for o, _ in own
            ]
        )
        for n, own in found.items()
    }
    structure = {n: np.mean([ssim_estimated(*each) for each in own]) for n, own in found.items()}
    assert max(structure, key=structure.__getitem__) == max(similar, key=similar.__getitem__)
    assert structure["blurred too much"] < structure["blurred"]
    assert structure["as it is"] < structure["blurred"]
    assert structure["constant"] < structure["blurred"]


def test_what_is_taken_away_is_white_where_it_is_the_noise() -> None:
    own = pair(0)
    trial = tried(own, of_noisy(lambda image: image), NOISE)
    # the standard error of each of its nine statistics is below 2 / 160
    assert whiteness(CLEAN, trial) < 0.05
    assert whiteness(own.noisy, trial) == pytest.approx(  # no residual: 0 but for the variance
        np.sqrt((1 + np.sum(np.square(NOISE.autocorrelation(3)))) / 8)
    )
    assert whiteness(gaussian_filter(own.noisy, 5), trial) > 0.1


def test_saturated_parts_do_not_count() -> None:
    own = pair(0)
    bright = own.noisy.copy()
    bright[:, :80] = 1.0
    half = Pair(**{**vars(own), "noisy": bright})
    trial = tried(half, of_noisy(lambda image: image), NOISE)
    assert not trial.used[:, :80].any()
    assert trial.used[:, 96:].all()
    spoilt = bright.copy()
    spoilt[:, :80] = 0.0
    assert noise_removed(spoilt, trial) == noise_removed(bright, trial)
    everything = Pair(**{**vars(own), "noisy": np.ones_like(own.noisy)})
    trial = tried(everything, of_noisy(lambda image: image), NOISE)
    for function in (noise_removed, ssim_estimated, whiteness):
        assert np.isnan(function(everything.noisy, trial))


def test_a_denoiser_gets_the_same_noise_as_all_others_and_each_field_its_own() -> None:
    seen: list[Image] = []

    def watching(own: Pair) -> Image:
        seen.append(own.noisy)
        return own.noisy

    first, again, other = (tried(pair(seed), watching, NOISE) for seed in (0, 0, 1))
    assert np.array_equal(first.probe, again.probe)
    assert not np.array_equal(first.probe, other.probe)
    assert np.array_equal(seen[0], (first.noisy + np.float32(0.1) * first.probe))


def test_scores_of_scans_without_clean_ones_are_these() -> None:
    denoiser = of_noisy(FILTERS["median"])
    pairs = [pair(0), pair(1)]
    table = score(denoiser, pairs, REFERENCE_FREE, noise={"fast": NOISE})
    for row, own in zip(table.itertuples(), pairs, strict=True):
        output = denoiser(own)
        trial = tried(own, denoiser, NOISE)
        assert row.noise_removed == noise_removed(output, trial)
        assert row.ssim_estimated == ssim_estimated(output, trial)
        assert row.whiteness == whiteness(output, trial)
    assert outcome(table) == "ok"
    summary = summarise(table, REFERENCE_FREE)
    assert summary["noise_removed"] == pytest.approx(table["noise_removed"].mean())
    with pytest.raises(TypeError, match="f0 at fast: scored without a measured noise"):
        score(denoiser, [pair(0)], REFERENCE_FREE)


def test_what_a_mean_over_a_window_leaves_of_the_noise() -> None:
    """By the covariance matrix of a row: rows are independent of each other."""
    window = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    matrix = toeplitz([1.0, *NOISE.autocorrelation(4)])
    expected = (window @ matrix @ window) * (window @ window)
    assert NOISE.left_by(window) == pytest.approx(expected)
