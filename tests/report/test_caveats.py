from dataclasses import asdict

import pytest

from lfranker.report.caveats import caveats
from lfranker.training.presets import PRESETS

LOSSES = "mae,mse,ssim,perceptual"


def words(preset: str, **changes: object) -> dict[str, str]:
    settings = asdict(PRESETS[preset].train) | changes
    return {name: str(value) for name, value in settings.items()}


@pytest.mark.parametrize(
    ("preset", "shown"),
    [("smoke", 1), ("demo", 1), ("small", 0), ("hour", 0), ("night", 0), ("paper", 0)],
)
def test_presets_meant_to_show_something_say_so(preset: str, shown: int) -> None:
    said = list(caveats(words(preset), LOSSES))
    assert len(said) == shown
    assert all("demonstrates the machinery" in text for text in said)


def test_what_the_user_changed_is_judged_not_the_presets_name() -> None:
    (brief,) = caveats(words("small", steps=100), LOSSES)
    assert "saw 800 patches" in brief
    assert "wide" not in brief
    (narrow,) = caveats(words("paper", dim=16), LOSSES)
    assert "16 channels" in narrow
    assert "patches" not in narrow
    assert not list(caveats(words("demo", steps=20_000, batch=2, dim=32), LOSSES))


def test_random_perceptual_weights_are_said_and_unknown_settings_not_judged() -> None:
    (said,) = caveats(words("small"), "mae,perceptual-random")
    assert "random weights" in said
    assert not list(caveats({}, LOSSES))
