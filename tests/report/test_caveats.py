from dataclasses import asdict

import pandas as pd
import pytest

from lfranker.report.remarks import caveats, site_caveats
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
    further = {**words("small", steps=100), "initial_weights": "bd5f65b04ee118d5"}
    (started,) = caveats(further, LOSSES)
    assert started.startswith("The networks started from given weights.")
    assert "wide" not in brief
    (few,) = caveats(words("small", batch=1), LOSSES)
    assert "saw 8,000 patches" in few
    (narrow,) = caveats(words("paper", dim=16), LOSSES)
    assert "16 channels" in narrow
    assert "patches" not in narrow
    least = {**words("small"), "network_steps": "scunet=2000,nafnet=100"}
    assert [said for said in caveats(least, LOSSES) if "saw as few as 800 patches, fewer" in said]
    assert [
        said for said in caveats({**words("small"), "width": "8"}, LOSSES) if "8 channels" in said
    ]

    assert not list(caveats(words("demo", steps=20_000, batch=2, dim=32), LOSSES))


def test_random_perceptual_weights_are_said_and_unknown_settings_not_judged() -> None:
    (said,) = caveats(words("small"), "mae,perceptual-random")
    assert "random weights" in said
    assert not list(caveats({}, LOSSES))


def said_of(**sources: str) -> str:
    """Sentences on fields called as the keywords, each at two speeds, all of other places."""
    rows = [(name, name[0], source) for name, source in sources.items()] * 2
    return " ".join(site_caveats(pd.DataFrame(rows, columns=["field", "place", "site_source"])))


def test_sites_that_are_assumed_are_said() -> None:
    said = said_of(a="assumed", b="assumed", c="assumed")
    assert said.startswith("No stage positions: each of the 3 fields is counted as a site of its")
    assert "intervals are too narrow" in said
    assert "sites.csv" in said
    some = said_of(a="assumed", b="stage position", c="assumed", d="image overlap")
    assert "No stage positions of 3 of the 4 fields: each of the 2 fields whose images" in some
    folders = said_of(a1="sub-folder", a2="sub-folder", b="sub-folder")
    assert "the fields of one sub-folder are counted as one site, 2 in all" in folders
    assert "too wide" in folders


def test_nothing_is_said_of_sites_that_are_known_or_that_an_old_run_does_not_tell() -> None:
    assert not said_of(a="sites.csv", b="sites.csv")
    assert not said_of(a="stage position", b="image overlap", c="simulated", d="assumed")
    assert not list(site_caveats(pd.DataFrame({"field": ["a", "b"], "place": ["a", "b"]})))
    assert not list(site_caveats(pd.DataFrame()))
