"""What may be stopped early, by hand and by the rate at which the best is lost."""

import numpy as np
import pytest
from pair_scores import MARGINS, NAMES, noise, pairs

from lfranker.ranking.along_training import LEVEL, Stop, to_stop
from lfranker.ranking.entrants import PairScores

THREE = ("mae", "mse", "ssim")
WOBBLE = np.random.default_rng(1).normal(0, 1e-4, (3, 8, 2))  # no two cells are the same


def constant(*psnr: float, also: dict[str, tuple[float, ...]] | None = None) -> PairScores:
    """Nearly the same scores of three entrants at 8 sites in 2 repeats."""
    own = pairs(np.array(psnr)[:, None, None] + WOBBLE, THREE)
    table = own.table.copy()
    for metric, values in (also or {}).items():
        table[metric] = table["name"].map(dict(zip(THREE, values, strict=True)))
    return PairScores(table)


def stops(before: PairScores, now: PairScores, steps: int = 1000) -> dict[str, Stop]:
    return to_stop({250: before, 500: now}, steps, MARGINS, seed=0)


def test_one_that_cannot_come_up_even_if_it_gains_as_much_again_is_stopped() -> None:
    # ssim gains .3 a doubling and is 1 behind; mse gains 1.2
    result = stops(constant(29.5, 27.8, 28.7), constant(30.0, 29.0, 29.0))
    assert list(result) == ["ssim"]
    (stop,) = result.values()
    assert (stop.after, stop.leaders) == (500, {"psnr": "mae", "ssim": "mae"})
    assert stop.behind["psnr"] == pytest.approx(0.7, abs=0.01)
    assert stop.behind["ssim"] == pytest.approx(0.007, abs=0.0001)


def test_each_doubling_to_come_may_bring_as_much_as_the_last() -> None:
    before, now = constant(29.5, 28.7, 28.7), constant(30.0, 29.0, 29.0)
    assert set(stops(before, now)) == {"mse", "ssim"}
    assert not stops(before, now, steps=4000), "three times .3 is most of 1"


def test_the_leader_may_lose_as_much_again() -> None:
    now = constant(30.0, 29.0, 29.0)
    assert set(stops(constant(30.3, 29.0, 29.0), now)) == {"mse", "ssim"}
    assert not stops(constant(30.95, 29.0, 29.0), now)


def test_one_that_loses_is_not_thought_to_gain() -> None:
    result = stops(constant(29.5, 29.8, 28.0), constant(30.0, 29.2, 28.9))
    assert result["mse"].behind["psnr"] == pytest.approx(0.8, abs=0.01)


def test_who_is_good_in_one_criterion_goes_on() -> None:
    lesser = {"ssim": (0.9, 0.8, 0.899)}
    same = constant(30.0, 28.9, 28.9, also=lesser)
    assert set(stops(same, same)) == {"mse"}, "ssim is 1.1 dB behind, but only .001 in SSIM"


def test_differences_within_the_margin_or_of_few_sites_stop_nobody() -> None:
    assert not stops(constant(30.0, 29.95, 29.92), constant(30.0, 29.95, 29.92))
    rng = np.random.default_rng(2)
    noisy = 29.0 - np.array([0, 1, 1])[:, None, None] + rng.normal(0, 2, (3, 8, 2))
    assert not stops(pairs(noisy, THREE), pairs(noisy, THREE))


def test_one_length_tells_nothing() -> None:
    assert to_stop({500: constant(30.0, 20.0, 20.0)}, 1000, MARGINS, seed=0) == {}


@pytest.mark.slow
def test_what_would_be_the_best_is_stopped_at_most_as_rarely_as_promised() -> None:
    """Power laws that cross, since some learn fast and others go further; fields and repeats."""
    boards, lost, stopped = 150, 0, 0
    for seed in range(boards):
        rng = np.random.default_rng(seed)
        ends = 32 - rng.gamma(1.0, 1.0, len(NAMES))
        speed, rise = rng.uniform(0.2, 1.0, len(NAMES)), rng.uniform(1.0, 6.0, len(NAMES))
        own = noise(rng)
        truth = {s: ends - rise * (s / 250) ** -speed for s in (500, 1000, 2000)}
        known = {
            s: pairs(truth[s][:, None, None] + own + rng.normal(0, 0.05, own.shape))
            for s in (500, 1000)
        }
        gone = set(to_stop(known, 2000, MARGINS, seed))
        best = NAMES[int(np.argmax(truth[2000] + own.mean(axis=(1, 2))))]
        lost += best in gone
        stopped += len(gone)
    assert lost <= LEVEL * boards
    assert stopped / (boards * len(NAMES)) > 0.05, "it stops some, where they are far behind"
