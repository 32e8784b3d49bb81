"""The settings that a power set or a training works with: a preset's, with changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfranker.datasets.patch_dataset import DatasetConfig, read_dataset
from lfranker.denoiser.networks import require
from lfranker.noise.parsing import blind_ranges, refuse_unused, with_noise
from lfranker.options import changed, flat, options
from lfranker.training.config import TrainConfig, unused_by
from lfranker.training.presets import PRESETS, Preset


@dataclass(frozen=True)
class Settings:
    """A preset with the settings of training and dataset that are used in place of its own."""

    preset: Preset
    train: TrainConfig
    dataset: DatasetConfig

    @property
    def used(self) -> dict[str, Any]:
        """All of them by name, as they are logged; not what is None, which the data decide."""
        used = {**flat(self.dataset), **self.train.used}
        return {name: value for name, value in used.items() if value is not None}


def preset_settings(
    preset: str, seed: int = 0, data: Path | None = None, **changes: Any
) -> Settings:
    """The preset's settings, `seed`, and every change that is not None.

    `changes`: options of TrainConfig, DatasetConfig and its NoiseConfig, by name; "noise" is what
    the option of that name reads. `data`: a dataset that was made before, whose settings are then
    taken. Raises ValueError naming an option that contradicts it, or that has no effect.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset is called {preset!r}; allowed are {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    known = {**options(TrainConfig), **options(DatasetConfig)}
    if unknown := [name for name in changes if name not in known]:
        raise ValueError(f"no setting is called {unknown[0]}; allowed are {', '.join(known)}")
    spread = {name: value for name, value in with_noise(changes).items() if value is not None}
    train = changed(chosen.train, {**spread, "seed": seed})
    _check_network(spread, train.network)
    if data is not None:
        return Settings(chosen, train, _stored(data, spread))
    dataset = changed(chosen.dataset, {**spread, "seed": seed})
    refuse_unused(spread, dataset.noise.mode)
    return Settings(chosen, train, changed(dataset, blind_ranges(dataset.noise, spread)))


def _check_network(given: Mapping[str, Any], network: str) -> None:
    """Raise ValueError where a network's package is missing, or a setting has no effect on it."""
    require(network)
    for name in unused_by(network):
        if name in given:
            raise ValueError(f"--{name.replace('_', '-')} has no effect on network {network}")


def _stored(data: Path, changes: Mapping[str, Any]) -> DatasetConfig:
    """The settings that the dataset in `data` was made with.

    Raises ValueError where others are asked for.
    """
    config = read_dataset(data).config
    for name, value in flat(config).items():
        asked = changes.get(name)
        if name != "seed" and asked is not None and asked != value:
            raise ValueError(
                f"--{name.replace('_', '-')} {asked}: the dataset in --data {data} was made with "
                f"{value}; leave the option out, or leave --data out and a new one is made"
            )
    return config
