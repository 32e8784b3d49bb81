"""The settings that a command works with: a preset's, changed by its options."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lfranker.datasets.synthesis import SynthConfig, read_dataset
from lfranker.noise.parsing import blind_ranges, refuse_unused, with_noise
from lfranker.training.presets import PRESETS, Preset
from lfranker.training.trainer import TrainConfig


@dataclass(frozen=True)
class Settings:
    """A preset with what the command line changed."""

    preset: Preset
    train: TrainConfig
    synth: SynthConfig

    @property
    def used(self) -> dict[str, Any]:
        return {**asdict(self.synth), **asdict(self.train)}


def settings(preset: str, seed: int, changes: Mapping[str, Any]) -> Settings:
    """The preset's settings, `seed`, and every change that is not None."""
    chosen = PRESETS[preset]
    spread = with_noise(changes)
    given = {name: value for name, value in spread.items() if value is not None} | {"seed": seed}
    found = Settings(chosen, _changed(chosen.train, given), _changed(chosen.synth, given))
    if given.get("data") is None:  # otherwise the stored dataset says what its noise is
        refuse_unused(given, found.synth.noise)
        unless_told = blind_ranges(found.synth.ranges, given)
        found = replace(found, synth=_changed(found.synth, unless_told))
    return found


def _changed(config: Any, given: Mapping[str, Any]) -> Any:
    names = {item.name for item in fields(config)}
    return replace(config, **{k: v for k, v in given.items() if k in names})


def with_stored(chosen: Settings, data: Path, changes: Mapping[str, Any]) -> Settings:
    """`chosen` with the settings that the dataset in `data` was made with.

    Raises ValueError where the command line asks for others.
    """
    stored = read_dataset(data).config
    changes = with_noise(changes)
    for name, value in asdict(stored).items():
        asked = changes.get(name)
        if name != "seed" and asked is not None and asked != value:
            raise ValueError(
                f"--{name.replace('_', '-')} {asked}: the dataset in --data {data} was made with "
                f"{value}; leave the option out, or leave --data out and a new one is made"
            )
    return replace(chosen, synth=stored)
