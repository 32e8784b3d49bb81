import time

import numpy as np
import pandas as pd
import pytest

from lfranker.evaluation.metrics import METRICS, psnr, ssim
from lfranker.evaluation.scoring import of_noisy, outcome, score, summarise
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair

SHAPE = (40, 50)


def pair(field="a", speed="spd2", seed=0, place="", sample=""):
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    clean = (0.5 + 0.3 * np.sin(y / 5) * np.cos(x / 7)).astype(np.float32)
    noisy = np.clip(clean + rng.normal(0, 0.1, SHAPE), 0, 1).astype(np.float32)
    return Pair(field, speed, noisy, clean, np.ones(SHAPE, bool), clean, Transform(), place, sample)


def score_of(function, pairs):
    return score(of_noisy(function), pairs)


def test_a_row_per_pair_with_the_scores_of_the_clipped_output():
    pairs = [
        pair("a", "spd2", 0, "p", "s"),
        pair("b", "spd2", 1, "p", "t"),
        pair("a", "spd3", 2, "q", "s"),
    ]
    kept = []
    double = of_noisy(lambda image: image * 2)
    table = score(double, iter(pairs), on_output=lambda *both: kept.append(both))
    assert table["field"].tolist() == ["a", "b", "a"]
    assert table["speed"].tolist() == ["spd2", "spd2", "spd3"]
    assert table["place"].tolist() == ["p", "p", "q"]
    assert table["sample"].tolist() == ["s", "t", "s"]
    assert [own for own, _ in kept] == pairs
    assert np.array_equal(kept[1][1], pairs[1].noisy * 2)  # not clipped
    for row, item in zip(table.itertuples(), pairs, strict=True):
        output = np.clip(item.noisy * 2, 0, 1)
        assert row.psnr == psnr(output, item.clean, item.mask)
        assert row.ssim == ssim(output, item.clean, item.mask)
        assert row.output_std == pytest.approx(output.std(), rel=1e-5)
        assert row.output_mean == pytest.approx(output.mean(), rel=1e-5)
        expected = np.corrcoef(output.ravel(), item.noisy.ravel())[0, 1]
        assert row.input_correlation == pytest.approx(expected, abs=1e-6)
        assert row.megapixels == 40 * 50 / 1e6
        assert row.finite


def test_seconds_are_those_of_the_denoiser():
    def slow(image):
        time.sleep(0.05)
        return image

    def lazily():
        time.sleep(0.3)
        yield pair()

    seconds = score_of(slow, lazily())["seconds"][0]
    assert 0.05 <= seconds < 0.2


def test_one_value_that_is_not_finite_spoils_every_score():
    def broken(image):
        output = image.copy()
        output[3, 4] = np.inf
        return output

    table = score_of(broken, [pair()])
    assert not table["finite"][0]
    assert table[["psnr", "ssim", "keypoints", "input_correlation"]].isna().all(axis=None)
    assert outcome(table) == "collapsed"


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="no pairs"):
        score_of(lambda image: image, [])
    with pytest.raises(ValueError, match=r"a at spd2.*\(39, 50\).*\(40, 50\)"):
        score_of(lambda image: image[1:], [pair()])


PAPERS = {name: METRICS[name] for name in ("psnr", "ssim", "keypoints")}


def table(**columns):
    rows = {"speed": ["x", "x", "y"], "seconds": [1.0, 2.0, 3.0], "megapixels": [1.0, 1.0, 2.0]}
    scores = {"psnr": [20.0, 30.0, 40.0], "ssim": [0.5, 0.7, 0.8], "keypoints": [1.0, 2.0, 9.0]}
    return pd.DataFrame(rows | scores | columns)


def test_the_summary_is_the_mean_over_speeds_of_the_means_over_fields():
    summary = summarise(table(), PAPERS)
    assert summary.pop("seconds_per_megapixel") == 1.5  # 6 s of 4 megapixels
    assert summary == pytest.approx(
        {
            "psnr": 32.5, "psnr/x": 25.0, "psnr/y": 40.0,
            "ssim": 0.7, "ssim/x": 0.6, "ssim/y": 0.8,
            "keypoints": 5.25, "keypoints/x": 1.5, "keypoints/y": 9.0,
        }
    )  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_means_over_what_is_not_finite_are_left_out(value):
    summary = summarise(table(psnr=[20.0, value, 40.0]), PAPERS)
    assert "psnr" not in summary
    assert "psnr/x" not in summary
    assert summary["psnr/y"] == 40
    assert summary["ssim"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("denoiser", "expected"),
    [
        (lambda image: image, "ok"),
        (lambda image: np.full_like(image, 0.5), "collapsed"),
        (lambda image: np.zeros_like(image), "collapsed"),
        (lambda image: image * 0.003, "collapsed"),  # black in 8 bits, though not constant
        (lambda image: 0.5 + image * 0.003, "collapsed"),
        (lambda image: 1 - image, "collapsed"),
        (lambda image: np.random.default_rng(9).random(SHAPE, np.float32), "collapsed"),
        (lambda image: np.where(np.indices(SHAPE)[0] == 5, np.nan, image), "collapsed"),
        (lambda image: 0.5 + 0.1 * image, "ok"),
    ],
)
def test_outcome(denoiser, expected):
    assert outcome(score_of(denoiser, [pair()])) == expected


@pytest.mark.parametrize(
    "change",
    [{"finite": False}, {"output_mean": 1e-3}, {"output_std": 9e-4}, {"input_correlation": 0.09}],
)
def test_one_lost_field_is_enough_whatever_the_reason(change):
    good = score_of(lambda image: image, [pair(), pair("b")])
    assert outcome(good) == "ok"
    bad = good.copy()
    for name, value in change.items():
        bad.loc[1, name] = value
    assert outcome(bad) == "collapsed"
    assert outcome(good.assign(input_correlation=np.nan)) == "collapsed"
