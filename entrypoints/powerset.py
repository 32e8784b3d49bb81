"""Train every non-empty subset of a set of losses, score all, rank them, register the winners."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import click
from tqdm import tqdm

from entrypoints import options as o
from lfranker.child_runs.console import Console
from lfranker.experiment.powerset import run_power_set
from lfranker.experiment.powerset_config import PowerSetConfig, one_noise
from lfranker.noise.parsing import Noises, all_noises, parse_component_set, parse_noises
from lfranker.options import changed, only, options
from lfranker.planning.noise_comparison import settings_on_each
from lfranker.planning.noisy_scans import with_usual_noise
from lfranker.planning.settings import preset_settings
from lfranker.planning.time_estimate import LONG, TimeEstimate, as_clock
from lfranker.training.config import parse_networks

OF_SETTINGS = tuple(name for kind in o.SETTINGS for name in options(kind))


@o.command
@o.preset_option
@o.field_options(PowerSetConfig, *OF_SETTINGS)
@o.seed_option
@click.option(
    "--noises",
    type=o.Parsed(parse_noises, "none"),
    help="Rank noises and losses jointly: several of what --noise takes, e.g. "
    "eq1,profile.json@2us.",
)
@click.option(
    "--noise-components",
    type=o.Parsed(parse_component_set, "none"),
    help="And the noise of every subset of these components, e.g. poisson,gaussian,correlation.",
)
@click.option(
    "--networks",
    type=o.Parsed(parse_networks, "none"),
    help="Rank networks and losses jointly, e.g. scunet,nafnet. The first, scunet if it is among "
    "them, has --steps, each other one so many that it takes as long, as measured once on this "
    "machine: on another one its steps, and so its weights, may differ.",
)
@o.yes_no_option("--dry-run", "Only show the plan and how long it would take.")
@o.yes_no_option("--yes", "Start without asking, even if it takes more than a day.")
@o.settings_options
def main(dry_run: bool, yes: bool, **given: Any) -> None:
    """Which loss should a denoiser be trained on? Trains one per subset, and ranks.

    With no options: the demo, on simulated scenes. With your data:

    mlflow run . -e powerset --env-manager local -P preset=small -P clean=FOLDER -P scans=FOLDER

    The same command again goes on where it was stopped, and keeps what is finished.
    """
    console = Console(click.echo, partial(tqdm.write, file=sys.stderr))
    try:
        config = power_set_config(**given)
        run_power_set(config, console, lambda plan: not dry_run and go_ahead(plan, yes))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def power_set_config(
    preset: str, seed: int, noises: Noises | None, noise_components: Sequence[str] | None,
    networks: Sequence[str] | None = None, **given: Any,
) -> PowerSetConfig:  # fmt: skip
    """Return the power set that is asked for. Raises ValueError naming an option."""
    changes = only(given, *o.SETTINGS)
    if not noises and not noise_components:
        sources = (given[name] for name in ("clean", "noisy", "scans", "target"))
        changes = with_usual_noise(changes, *sources)
    if networks and "network" in changes:
        raise ValueError(one_noise("network"))
    if noises or noise_components:
        if "noise" in changes:
            raise ValueError(one_noise("noise"))
        compared = all_noises(noises or {}, noise_components or ())
        on_each = settings_on_each(preset, compared, seed, networks or (), **changes)
        chosen = next(iter(on_each.values()))
    elif networks:
        on_each = settings_on_each(preset, {}, seed, networks, **changes)
        chosen = next(iter(on_each.values()))
    else:
        on_each, chosen = {}, preset_settings(preset, seed, given["data"], **changes)
    config = PowerSetConfig(chosen, noises=on_each)
    own = {k: v for k, v in only(given, PowerSetConfig).items() if k not in OF_SETTINGS}
    return changed(config, own)


def go_ahead(estimate: TimeEstimate, yes: bool) -> bool:
    """Ask where it takes long. Raises ValueError where nobody can be asked."""
    if yes or estimate.total <= LONG:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise ValueError(
            f"this takes about {as_clock(estimate.total)}, more than a day: pass --yes true "
            f"(-P yes=true) to start it, or less of --steps, --repeats or --max-size"
        )
    return click.confirm("That is more than a day. Start?")


if __name__ == "__main__":
    sys.exit(main())
