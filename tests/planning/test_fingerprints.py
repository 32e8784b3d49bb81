"""Names of datasets and keys of trainings stay what they were, so that finished work is found.

All digests were computed with the code of 0.1.0, when settings were fields of one flat dataclass.
"""

from dataclasses import replace

import pytest

from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.noise.parsing import parse_noise
from lfranker.options import changed
from lfranker.planning.plan import fingerprint, powerset_key
from lfranker.training.presets import PRESETS

FACTS = {"data": "d1", "perceptual": "p1", "init": "none", "device": "cpu", "preset": "x"}


def request(config: DatasetConfig) -> str:
    return fingerprint({"parameters": config.determining(), "sources": ["a"]})


@pytest.mark.parametrize(
    ("preset", "key", "name"),
    [
        ("smoke", "5fbf05f553048f67", "f87c750b80684cfb"),
        ("demo", "ef16504fbb3ea960", "2140857d4ed646cf"),
        ("small", "152b6b7e8030cde8", "d808b8e73032b6ec"),
        ("hour", "8db869d79e55c0e8", "43f5c7d7d07d8f4f"),
        ("night", "969bb145c327508c", "309bd11ee2859968"),
        ("paper", "941630a0d2b9ffc9", "f6ce4a823e8e5397"),
    ],
)
def test_presets_have_the_keys_and_names_that_they_had(preset: str, key: str, name: str) -> None:
    assert powerset_key(PRESETS[preset].train, FACTS, numerics=1) == key
    assert request(PRESETS[preset].dataset) == name


def test_other_settings_and_facts_have_the_key_that_they_had() -> None:
    config = replace(PRESETS["small"].train, seed=3, repeat=2, log_every=7)
    facts = {**FACTS, "loss_weights": "gradnorm", "loss_files": "f"}
    assert powerset_key(config, facts, numerics=1) == "6b21bd94211869c6"


@pytest.mark.parametrize(
    ("noise", "name"),
    [
        ("microscope@280ns", "477fd7d99ef38fcf"),
        ("gamma", "fe6dc359c4da8ced"),
        ("poisson+gaussian+lines+correlation", "7724da041ababc93"),
        ("sequential", "a92a0d3ec425a38d"),
    ],
)
def test_noises_have_the_names_that_they_had(noise: str, name: str) -> None:
    assert request(changed(DatasetConfig(), parse_noise(noise))) == name


def test_settings_that_came_later_enter_where_they_are_not_the_default() -> None:
    changes = {"seed": 5, "gain": (0.9, 1.1), "offset": (0.01, 0.02), "peak": (20.0, 80.0)}
    config = changed(DatasetConfig(), {**changes, "noise": "literal"})
    assert request(config) == "ff166ed81432cb54"
