"""Options that several commands share, made from the settings' dataclasses.

MLproject always passes every flag, so an option that may be left out has a word as its default
("preset", "none", "latest"), which reads as None.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from entrypoints.help_texts import HELP
from lfranker.losses import parse_names
from lfranker.losses.subsets import parse_groups
from lfranker.noise.models import parse_range
from lfranker.noise.parsing import parse_component_set, parse_noise, parse_noises
from lfranker.noise.scan_correlation import parse_kernel
from lfranker.ranking.config import PROMOTIONS, RankConfig, parse_equivalence, parse_weights
from lfranker.text import as_text
from lfranker.training.config import parse_depth
from lfranker.training.loss_balancing import UNIT, parse_loss_weights
from lfranker.training.presets import PRESETS

Command = TypeVar("Command", bound=Callable[..., Any])
PRESET = "preset"


class Unless(click.ParamType[Any]):
    """A value, or a word that stands for None."""

    def __init__(self, word: str, parse: Callable[[str], Any]) -> None:
        self.word, self.parse = word, parse
        self.name = f"{getattr(parse, '__name__', 'value')}|{word}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value is None or value == self.word:
            return None
        try:
            return self.parse(value)
        except ValueError as error:
            return self.fail(f"{value!r}: {error}; allowed too: {self.word}", param, ctx)


class Parsed(click.ParamType[Any]):
    """What a function makes of the text; its ValueError is the message."""

    def __init__(self, parse: Callable[[str], Any]) -> None:
        self.parse, self.name = parse, "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def folder(text: str) -> Path:
    """An existing folder."""
    path = Path(text).expanduser()
    if not path.is_dir():
        raise ValueError("no such folder")
    return path.resolve()


def file(text: str) -> Path:
    """An existing file."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError("no such file")
    return path.resolve()


def existing(text: str) -> Path:
    """A file or folder that is there."""
    path = Path(text).expanduser()
    if not path.exists():
        raise ValueError("no such file or folder")
    return path.resolve()


def path(text: str) -> Path:
    """Where something is to be written."""
    return Path(text).expanduser().resolve()


def at_least_one(text: str) -> int:
    """A number of things, at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def word_option(flag: str, word: str, parse: Callable[[str], Any], text: str) -> Any:
    """An option whose default is a word that reads as None."""
    return click.option(flag, type=Unless(word, parse), default=word, show_default=True, help=text)


def yes_no_option(flag: str, text: str) -> Any:
    """`--flag` and `--flag true|false` alike: MLproject can only pass values."""
    return click.option(
        flag, type=click.BOOL, is_flag=False, flag_value="true", default=False,
        show_default=True, help=text,
    )  # fmt: skip


def settings_options(*kinds: type) -> Callable[[Command], Command]:
    """An option `--name` with default "preset" for every field of the settings' dataclasses."""

    def decorate(command: Command) -> Command:
        for kind in reversed(kinds):
            for item in reversed(fields(kind)):
                if item.name in HELP:
                    kind_of = item.type if isinstance(item.type, type) else parse_range
                    parse = _NAMED.get(item.name) or _PARSERS[kind_of]
                    flag = "--" + item.name.replace("_", "-")
                    command = word_option(flag, PRESET, parse, HELP[item.name])(command)
        return command

    return decorate


_PARSERS: Mapping[Any, Callable[[str], Any]] = {int: int, float: float, parse_range: parse_range}
_NAMED: Mapping[str, Callable[[str], Any]] = {
    "noise": parse_noise,
    "kernel": parse_kernel,
    "depth": parse_depth,
}

preset_option = click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="demo",
    show_default=True,
    help="Budget: " + "; ".join(f"{name}: {preset.title}" for name, preset in PRESETS.items()),
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Base of every random draw.",
)
clean_option = word_option(
    "--clean", "simulated", folder, "Folder of clean images; its sub-folders are sample groups."
)
scans_option = word_option(
    "--scans",
    "simulated",
    folder,
    "Folder of scans to score on: a sub-folder per scan speed, same file name = same field.",
)
target_option = word_option(
    "--target", "slowest", str, "Sub-folder of --scans that holds the clean scans."
)
data_option = word_option("--data", "none", folder, "Dataset made by synth; none: make one.")
init_option = word_option(
    "--init", "none", file, "Start from these weights (.pth, .safetensors), e.g. published ones."
)
perceptual_option = click.option(
    "--perceptual",
    default="auto",
    show_default=True,
    help="VGG19 weights of the perceptual loss: auto, imagenet, random, or a file; after `vgg16:` "
    "or `timm/NAME:`, those of VGG16 or of a network of timm.",
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where to train; auto: the GPU if there is one.",
)  # fmt: skip
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=".lfranker",
    show_default=True,
    help="Folder for datasets and registered scans, kept for the next time.",
)
keep_option = yes_no_option("--keep-checkpoints", "Keep checkpoints of finished trainings.")
model_name_option = click.option(
    "--model-name", default="lfranker", show_default=True, help="Name in the Model Registry."
)
equivalence_option = click.option(
    "--equivalence",
    type=Parsed(parse_equivalence),
    default=as_text(RankConfig().equivalence),
    show_default=True,
    help="Differences that do not matter, by criterion; how sure a ranking is, is said of these. "
    "Criteria that are not named keep their default.",
)
weights_option = click.option(
    "--weights",
    type=Parsed(parse_weights),
    default=as_text(RankConfig().weights),
    show_default=True,
    help="Of the criteria in the weighted score, which stands beside the mean rank; those that are "
    "not named do not count.",
)
loss_weights_option = click.option(
    "--loss-weights",
    type=Parsed(parse_loss_weights),
    default=UNIT,
    show_default=True,
    help="Weights of the terms of an objective: unit (1 each, the paper's); value or gradnorm, "
    "equal values or gradients at a light blur of noisy patches; or e.g. mae=1,ssim=0.1.",
)
promote_option = click.option(
    "--promote",
    type=click.Choice(PROMOTIONS),
    default=RankConfig().promote,
    show_default=True,
    help="When a winner takes an alias from another power set's version: auto: if it beats that "
    "one on the same scans beyond the interval; always; or never, and none is given at all.",
)


def combine(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order given."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


subset_options = combine(
    click.option(
        "--min-size", type=click.IntRange(1), default=1, show_default=True,
        help="Train no subset of fewer losses.",
    ),
    word_option("--max-size", "all", at_least_one, "Train no subset of more losses."),
    word_option(
        "--include", "none", parse_names, "Train only subsets with these losses, e.g. mae,ssim."
    ),
    word_option(
        "--exclude", "none", parse_groups,
        "Train no subset that holds all of one of these, e.g. mse+perceptual,mae+mse.",
    ),
)  # fmt: skip

noises_options = combine(
    word_option(
        "--noises", "none", parse_noises,
        "Rank noises and losses jointly: several of what --noise takes, e.g. eq1,profile.json@2us.",
    ),
    word_option(
        "--noise-components", "none", parse_component_set,
        "And the noise of every subset of these components, e.g. poisson,gaussian,correlation.",
    ),
)  # fmt: skip
