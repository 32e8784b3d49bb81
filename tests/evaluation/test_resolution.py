import math

import numpy as np
import pytest

from lfranker.arrays import hann_window
from lfranker.evaluation.resolution import frc, high_frequency_ratio

SHAPE = (256, 320)
FULL = np.ones(SHAPE, bool)


def white(seed, shape=SHAPE):
    return np.random.default_rng(seed).normal(0, 0.1, shape)


def band(image, cutoff):
    """Without everything above `cutoff` cycles per px."""
    rows, columns = np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1])
    radius = np.hypot(rows[:, None], columns[None])
    return np.fft.irfft2(np.fft.rfft2(image) * (radius <= cutoff), image.shape)


def pair_up_to(cutoff):
    """Two images that agree below `cutoff` and have nothing in common above it."""
    common = band(white(0), cutoff)
    return tuple(
        (0.5 + common + white(s) - band(white(s), cutoff)).astype(np.float32) for s in (1, 2)
    )


@pytest.mark.parametrize("cutoff", [0.1, 0.2, 0.35])
def test_frc_is_where_two_images_stop_to_agree(cutoff):
    """To two rings: one by chance, one since a Hann window spreads an element over neighbours."""
    output, clean = pair_up_to(cutoff)
    assert frc(output, clean, FULL) == pytest.approx(cutoff, abs=2 / min(SHAPE))


def test_frc_of_an_image_with_itself_is_the_highest_frequency():
    image = white(0).astype(np.float32) + np.float32(0.5)
    assert frc(image, image, FULL) == 0.5
    # strength is another matter
    assert frc(image, 0.3 * image, FULL) == 0.5


def test_frc_is_linear_between_rings():
    """Waves down and across: the correlation is 1 to ring 6, 0.5 in ring 7 and 0.1 in ring 8."""
    side = 32
    correlation = [1.0] * 6 + [0.5, 0.1]
    place = (np.arange(side) + 0.5) / side
    waves = [np.sin(2 * np.pi * ring * place) for ring in range(1, 9)]
    clean = sum(wave[:, None] + 0 * wave for wave in waves)
    output = sum(
        c * wave[:, None] + math.sqrt(1 - c**2) * wave
        for c, wave in zip(correlation, waves, strict=True)
    )
    window = hann_window((side, side))
    seen = frc(output / window, clean / window, np.ones((side, side), bool))
    assert seen == pytest.approx((7 + (0.5 - 1 / 7) / (0.5 - 0.1)) / side, rel=1e-6)


def test_frc_of_unrelated_images_is_next_to_nothing():
    """The first ring below 1/7, the chance of which is a half for each ring."""
    first, second = (0.5 + white(s) for s in (1, 2))
    assert frc(first.astype(np.float32), second.astype(np.float32), FULL) < 0.05


@pytest.mark.slow
def test_frc_threshold_is_a_correlation_of_one_seventh():
    """Common part c and own parts 1: the correlation is c^2 / (c^2 + 1), at every frequency.

    Below 0.25 the two are the same, since rings of few elements cross any threshold by chance; a
    ring above holds over 3200, half of them independent: a standard error of 0.025.
    """
    shape = (2048, 2048)
    common, low, mask = white(0, shape), band(white(3, shape), 0.25), np.ones(shape, bool)
    ends = []
    for correlation in (1 / 7 + 0.12, 1 / 7 - 0.12):
        strength = math.sqrt(correlation / (1 - correlation))
        own = [strength * common + white(s, shape) for s in (1, 2)]
        first, second = (0.5 + low + image - band(image, 0.25) for image in own)
        ends.append(frc(first.astype(np.float32), second.astype(np.float32), mask))
    assert ends == [0.5, pytest.approx(0.25, abs=2 / 2048)]


def test_high_frequency_ratio_by_construction():
    """Half the amplitude above 0.3 cycles per px: a quarter of the power there."""
    clean = white(0)
    fine = clean - band(clean, 0.2)
    output = clean - 0.5 * fine
    ratio = high_frequency_ratio(
        (0.5 + output).astype(np.float32), (0.5 + clean).astype(np.float32), FULL
    )
    assert ratio == pytest.approx(0.25, rel=1e-3)
    same = np.float32(0.5) + clean.astype(np.float32)
    assert high_frequency_ratio(same, same, FULL) == 1
    flat = np.full(SHAPE, 0.5, np.float32)
    assert high_frequency_ratio(flat, same, FULL) == 0
    assert math.isnan(high_frequency_ratio(same, flat, FULL))


def test_both_measures_look_only_at_what_the_mask_covers():
    output, clean = pair_up_to(0.2)
    mask = FULL.copy()
    mask[:7] = mask[:, -11:] = False
    expected = [
        measure(output[7:, :-11], clean[7:, :-11], mask[7:, :-11])
        for measure in (frc, high_frequency_ratio)
    ]
    output[:7], output[:, -11:] = 1, 0
    assert [m(output, clean, mask) for m in (frc, high_frequency_ratio)] == expected
