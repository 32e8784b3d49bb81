"""Command-line options, made from the fields of the settings' dataclasses."""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import Field
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args

import click
from mlflow.exceptions import MlflowException

from lfranker.datasets.clean_images import NO_CLEAN, NoClean
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.evaluation.criteria import BUNDLED
from lfranker.files import looked_for
from lfranker.noise.models import Range, parse_range
from lfranker.noise.parsing import parse_noise
from lfranker.options import Option, default_of, options
from lfranker.processes.failures import CommandError
from lfranker.processes.template import keep_imports
from lfranker.redaction import redacted
from lfranker.text import as_text, check_name, printable
from lfranker.tracking.models import is_model
from lfranker.tracking.registry import USUAL_NAME, checked_model_name
from lfranker.tracking.runs import refuse_given_run
from lfranker.tracking.store import check_server, hide_credentials, without_bars
from lfranker.training.config import TrainConfig
from lfranker.training.presets import PRESETS

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SETTINGS = (TrainConfig, DatasetConfig)  # what a preset has
# words that stood for an option that is left out when all had to be given; they still do
LEFT_OUT: Mapping[str, str] = {
    "losses": "preset",
    "clean": "simulated",
    "scans": "simulated",
    "noisy": "none",
    "target": "slowest",
    "white": "auto",
    "data": "none",
    "init": "none",
    "drunet": "none",
    "jobs": "auto",
    "refine": "none",
    "max_size": "all",
    "include": "none",
    "exclude": "none",
}
# MLflow passes parameters on under their own names: `--learning_rate` is `--learning-rate`
CONTEXT: Mapping[str, Any] = {
    "show_default": True,
    "token_normalize_func": lambda name: name.replace("_", "-"),
}


INTERRUPTED = 130  # exit code, as shells have it for Ctrl-C

# options that there were, and what is done in their place
CHANGES = "clean patches are no longer changed before they get noise (of no use where it was tried)"
RATING = (
    "people's ratings have an entry point of their own: `mlflow run . -e rate --env-manager local`"
)
FORMER: Mapping[str, str] = {
    **dict.fromkeys(("--zoom", "--blur", "--contrast", "--brightness"), CHANGES),
    **dict.fromkeys(("--contact-sheet", "--sheets", "--shown", "--repeated", "--ratings"), RATING),
}


class Command(click.Command):
    """A command that ends in one line where it cannot go on, and knows its former options."""

    served = True  # it needs the tracking server from its start
    after_stop = "what is finished is kept, and the same command goes on with what is left"

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if not gc.isenabled():  # as `entrypoints` has left it
            keep_imports()
            gc.enable()
        return super().main(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            with _without_secrets():
                return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if reason := FORMER.get(error.option_name):
                raise click.UsageError(f"{error.option_name}: {reason}", ctx) from error
            nearest = get_close_matches(error.option_name, error.possibilities or (), 1)
            raise click.NoSuchOption(error.option_name, None, nearest, ctx) from error

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _ending_refused():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            hide_credentials()
            without_bars()
            if self.served:
                check_server()
            with _ending_refused(), _without_secrets():
                return super().invoke(ctx)
        except CommandError as error:
            click.echo(redacted(str(error)), err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo(f"stopped: {self.after_stop}", err=True)
            ctx.exit(INTERRUPTED)
        except MlflowException as error:
            if not str(error).startswith("API request to"):
                raise
            click.echo(
                redacted(f"the tracking server fails, the same command goes on later: {error}"),
                err=True,
            )
            ctx.exit(1)


@contextmanager
def _ending_refused() -> Iterator[None]:
    """Where the command is refused, have the run that `mlflow run` made for it say why."""
    try:
        yield
    except click.UsageError as error:
        if "MLFLOW_RUN_ID" in os.environ:
            with suppress(CommandError):  # no server: why the command is refused matters more
                hide_credentials()
                check_server()
                refuse_given_run(error.format_message())
        raise


class LocalCommand(Command):
    """A command that may do without the tracking server."""

    served = False
    after_stop = "images that were written are whole; --overwrite does all of them again"


@contextmanager
def _without_secrets() -> Iterator[None]:
    """Errors of the command line that are raised within have no passwords in them."""
    try:
        yield
    except click.ClickException as error:
        shown = redacted(error.format_message())
        if shown == error.format_message():
            raise
        raise click.UsageError(shown) from None


def command(main: Callable[..., Any], kind: type[Command] = Command) -> click.Command:
    """The command of an entry point: underscores and hyphens in its options are alike."""
    return click.command(cls=kind, context_settings=dict(CONTEXT))(main)


def local_command(main: Callable[..., Any]) -> click.Command:
    """The command of an entry point that may do without the tracking server."""
    return command(main, LocalCommand)


class Parsed(click.ParamType[Any]):
    """Value that a function parses; its ValueError is the message. A word may mean None."""

    def __init__(
        self, parse: Callable[[str], Any], left_out: str | None = None, name: str = "text"
    ) -> None:
        self.parse, self.left_out, self.name = parse, left_out, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if value == self.left_out:
            return None
        try:
            return self.parse(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def existing(text: str) -> Path:
    """Return the path of a file or folder that is there. Raises ValueError."""
    path = Path(text).expanduser()
    check_name(path)
    if not path.exists():
        raise ValueError(f"no such file or folder: {printable(text)}{looked_for(path)}")
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"neither a file nor a folder: {printable(text)}")
    return path.resolve()


def folder(text: str) -> Path:
    """Return the path of a folder that is there. Raises ValueError."""
    path = existing(text)
    if not path.is_dir():
        raise ValueError(f"{text} is not a folder")
    return path


def clean_folder(text: str) -> Path | NoClean:
    """Return the path of a folder that is there, or that there is none. Raises ValueError."""
    return NO_CLEAN if text == str(NO_CLEAN) else folder(text)


def file(text: str) -> Path:
    """Return the path of a file that is there. Raises ValueError."""
    path = existing(text)
    if not path.is_file():
        raise ValueError(f"{text} is not a file")
    return path


def whole_number(text: str) -> int:
    """Return a whole number. Raises ValueError saying what is allowed."""
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"{text!r}; allowed is a whole number") from error


def number(text: str) -> float:
    """Return a number. Raises ValueError saying what is allowed."""
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{text!r}; allowed is a number") from error


def weights(text: str) -> Path:
    """Return the file of weights, or the address of a model. Raises ValueError."""
    return Path(text) if is_model(text) else file(text)


def at_least_one(text: str) -> int:
    """Return a number of things. Raises ValueError where it is none, or below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r}; allowed is a whole number of at least 1")
    return int(text)


def path(text: str) -> Path:
    """Return the whole path of something to write."""
    return Path(text).expanduser().resolve()


def writable_folder(text: str) -> Path:
    """Return the path of a folder that is there now, and can be written. Raises ValueError."""
    folder = path(text)
    check_name(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{folder} cannot be written")
    return folder


MODEL_SCHEMES = ("models", "runs", "file", "s3", "gs", "wasbs", "abfss", "dbfs", "mlflow-artifacts")


def model_address(text: str) -> str:
    """Return where a model is. Raises ValueError where no model can be there."""
    if text == BUNDLED:
        return text
    scheme, there, _ = text.partition(":/")
    if there and scheme not in MODEL_SCHEMES and not Path(text).exists():
        raise ValueError(
            f"{text}: no address of a model; allowed are models:/NAME@ALIAS, models:/NAME/VERSION, "
            f"runs:/RUN/PATH, a model's folder and {BUNDLED}"
        )
    return text


_BY_NAME: Mapping[str, Callable[[str], Any]] = {  # what must be there; and what lies further up
    "clean": clean_folder,
    "noisy": folder,
    "scans": folder,
    "data": folder,
    "init": weights,
    "drunet": file,
    "noise": parse_noise,
    "cache": writable_folder,
}
_BY_TYPE: Mapping[Any, tuple[Callable[[str], Any], str]] = {  # and what helps calls it
    int: (whole_number, "integer"),
    float: (number, "float"),
    str: (str, "text"),
    Path: (path, "path"),
    Range: (parse_range, "low:high"),
}


def _type_of(name: str, item: Field[Any], known: Option, left_out: str | None) -> Parsed:
    """Return what reads an option's text and refuses what is out of bounds."""
    kind = get_args(item.type)[0] if isinstance(item.type, UnionType) else item.type
    by_type, called = _BY_TYPE.get(kind, (str, "text"))
    parse = _BY_NAME.get(name) or known.parse or by_type

    def read(text: str) -> Any:
        value = parse(text)
        if not isinstance(value, dict):  # as noises and weights are, which have no bounds
            known.check(name, value)
        return value

    return Parsed(read, left_out, "text" if known.parse else called)


def field_option(kind: type, name: str, *, preset: bool = False, **changes: Any) -> Any:
    """An option for a field of settings, with its help, its bounds and its default.

    `preset`: None where it is left out, and the preset has the value.
    """
    item, known = options(kind)[name]
    flag, default = "--" + name.replace("_", "-"), None if preset else default_of(item)
    if isinstance(default, dict):
        default = as_text(default)
    if item.type is bool:
        return yes_no_option(flag, known.help, None if preset else bool(default))
    word = LEFT_OUT.get(name) if default in (None, ()) else None
    parsed = _type_of(name, item, known, "preset" if preset else word)
    bounds = f" [{known.allowed}]" * bool(known.allowed)
    told = {"type": parsed, "default": default, "help": known.help + bounds}
    return click.option(flag, **{**told, "show_default": default not in (None, ()), **changes})


def field_options(
    kind: type, *without: str, preset: bool = False
) -> Callable[[Decorated], Decorated]:
    """Options for all fields of settings and of the settings in them, but for some."""
    return combine(
        *(field_option(kind, name, preset=preset) for name in options(kind) if name not in without)
    )


def yes_no_option(flag: str, text: str, default: bool | None = False) -> Any:
    """`--flag` and `--flag true|false` alike: `mlflow run` can only pass values."""
    return click.option(
        flag, type=click.BOOL, is_flag=False, flag_value="true", default=default, help=text
    )


def combine(*decorators: Callable[[Decorated], Decorated]) -> Callable[[Decorated], Decorated]:
    """Several options as one decorator, in the order given."""

    def decorate(command: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


preset_option = click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="demo",
    help="Budget: " + "; ".join(f"{name}: {preset.title}" for name, preset in PRESETS.items()),
)
seed_option = field_option(TrainConfig, "seed")
train_options = field_options(TrainConfig, "seed", "repeat", preset=True)
dataset_options = field_options(DatasetConfig, "seed", preset=True)
settings_options = combine(train_options, dataset_options)

parent_option = click.option(
    "--parent",
    type=Parsed(str, "latest"),
    help="Run ID of the power set; latest, or left out: the newest.",
)
digest_option = click.option(
    "--scans",
    type=Parsed(str, "own"),
    help="First digits of the digest of other scans it was scored on; own, or left out: its own.",
)
model_name_option = click.option(
    "--model-name",
    type=Parsed(checked_model_name),
    default=USUAL_NAME,
    help="Name in the Model Registry.",
)
trust_code_option = yes_no_option(
    "--trust-code",
    "Load a registered model that lfranker did not log, by running the code in its folder.",
)
