from pathlib import Path

import numpy as np
import pytest

from lfranker.datasets.clean_images import simulated_clean
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.noise.noise_config import NoiseConfig
from lfranker.noise.parsing import all_noises, fei_profile, label_of, parse_noise, parse_noises
from lfranker.noise.profile import write_profile
from lfranker.options import changed
from lfranker.planning.settings import preset_settings


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "my fit (1).json"
    write_profile(fei_profile(), path)
    return path


def test_a_list_of_noises_has_a_short_label_for_each(profile: Path) -> None:
    found = parse_noises(f"eq1, gaussian+poisson,microscope@280ns,{profile},{profile}@2us")
    assert list(found) == [
        "eq1", "poisson+gaussian", "microscope@280ns", "my-fit--1-", "my-fit--1-@2us",
    ]  # fmt: skip
    assert found["eq1"] == {"noise": "eq1"}
    assert found["my-fit--1-@2us"] == parse_noise(f"{profile}@2us")
    assert found["my-fit--1-"]["peak"] == fei_profile().settings()["peak"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eq1,eq1", "two noises are called 'eq1'"),
        ("poisson+gaussian,gaussian+poisson", r"two noises are called 'poisson\+gaussian'"),
        ("eq1,white", "noise 'white': 'white' is neither a mode nor a file"),
        ("eq1,,gamma", "noise ''"),
        ("eq1,correlation", "noise 'correlation': .*add one or more"),
    ],
)
def test_bad_lists_name_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_noises(text)


def test_a_profile_is_not_called_like_another_noise(tmp_path: Path) -> None:
    for name in ("eq1", "poisson+speckle"):
        with pytest.raises(ValueError, match="called like the noise"):
            label_of(str(tmp_path / f"{name}.json"))
    assert label_of("fits/quanta.v2.json@2us") == "quanta.v2@2us"


def test_listed_noises_come_first_and_none_comes_twice() -> None:
    listed = parse_noises("eq1,gaussian")
    found = all_noises(listed, ("poisson", "gaussian", "correlation"))
    assert list(found) == [
        "eq1", "gaussian", "poisson", "poisson+gaussian", "poisson+correlation",
        "gaussian+correlation", "poisson+gaussian+correlation",
    ]  # fmt: skip
    assert found["poisson"] == {"noise": "poisson"}
    for noises, components, said in (
        ({}, ("poisson",), "only poisson"),
        (parse_noises("eq1"), (), "only eq1"),
        ({}, ("correlation",), "none"),
    ):
        with pytest.raises(ValueError, match=f"two noises or more, there is {said}"):
            all_noises(noises, components)


def noisy(config: DatasetConfig, noise: str) -> DatasetConfig:
    return changed(config, {"noise": noise, "correlation": (0.0, 0.4)})


def test_datasets_of_different_noise_share_their_clean_patches(tmp_path: Path) -> None:
    images = simulated_clean(2, 96, seed=0)
    base = DatasetConfig(patch=32, patches=40, seed=3)
    noises = ("eq1", "poisson", "gaussian+lines+correlation", "microscope", "gamma")
    made = [
        synthesise(
            images, tmp_path / str(at), changed(base, {"noise": noise, "correlation": (0.0, 0.4)})
        )
        for at, noise in enumerate(noises)
    ]
    for other in made[1:]:
        np.testing.assert_array_equal(other.clean, made[0].clean)
        np.testing.assert_array_equal(other.train, made[0].train)
    assert len({data.noisy.tobytes() for data in made}) == len({d.digest for d in made}) == 5


def test_a_component_whose_own_range_is_zero_gets_a_blind_one() -> None:
    def noisy(**changes: object) -> NoiseConfig:
        return preset_settings("smoke", **changes).dataset.noise

    chosen = noisy(noise={"noise": "poisson+lines+correlation"})
    assert (chosen.line_offset, chosen.correlation) == ((0.0, 0.02), (0.0, 0.5))
    assert chosen.peak == (20.0, 200.0), "the preset's own"
    assert noisy(noise={"noise": "poisson"}).correlation == (0.0, 0.0)
    asked = noisy(noise={"noise": "gaussian+correlation"}, correlation=(0.1, 0.2))
    assert (asked.correlation, asked.sigma) == ((0.1, 0.2), (0.0, 0.03))
    with pytest.raises(ValueError, match=r"--line-offset 0 leaves nothing of a component of noise"):
        noisy(noise={"noise": "poisson+lines"}, line_offset=(0.0, 0.0))
    with pytest.raises(ValueError, match=r"--sigma has no effect on noise 'poisson'"):
        noisy(noise={"noise": "poisson"}, sigma=(0.1, 0.1))
    assert noisy(noise={"noise": "eq1"}) == noisy(), "nothing else changes"
