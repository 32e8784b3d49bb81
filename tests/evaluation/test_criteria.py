"""Criteria as text and as aliases, made and read."""

import pytest

from lfranker.evaluation.criteria import CHAMPION, Criterion, deciding_metrics, scored


@pytest.mark.parametrize(
    ("text", "alias", "criterion"),
    [
        ("psnr", "best-psnr", Criterion("psnr")),
        ("psnr/spd2", "best-psnr-spd2", Criterion("psnr", "spd2")),
        ("ms_ssim/1.5us", "best-ms_ssim-1-5us", Criterion("ms_ssim", "1.5us")),
    ],
)
def test_criteria_are_read_as_they_are_written(text: str, alias: str, criterion: Criterion) -> None:
    assert (str(criterion), criterion.alias) == (text, alias)
    assert (Criterion.parse(text), Criterion.from_alias(alias)) == (criterion, criterion)


def test_only_winners_of_criteria_have_an_alias_that_begins_with_best() -> None:
    assert CHAMPION.alias == "champion"
    assert Criterion.from_alias("champion") is None
    assert Criterion.from_alias("production") is None


def test_scores_are_told_from_curves_costs_and_scores_of_other_scans() -> None:
    names = ["psnr", "psnr/1.5us", "visual", "frc/spd2", "train/psnr", "1a2b3c4d.psnr", "mean_rank"]
    assert scored(dict.fromkeys(names, 0.0)) == ["psnr", "psnr/1.5us", "visual", "frc/spd2"]


def test_a_champion_is_decided_by_the_metrics_of_such_scans() -> None:
    with_clean = ("psnr", "ssim", "repeatability")
    assert deciding_metrics(["name", "psnr", "frc"]) == with_clean
    assert deciding_metrics([]) == with_clean
    assert deciding_metrics(["name", "whiteness"]) == ("noise_removed", "ssim_estimated")
