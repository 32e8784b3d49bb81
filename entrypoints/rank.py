"""Rank the losses of a power set from its scores, and register the winners."""

import sys
from typing import Any

import click

from entrypoints import options as o
from lfranker.child_runs.console import Console
from lfranker.experiment.powerset import rank
from lfranker.ranking.leaderboard import RankConfig
from lfranker.tracking.runs import name_given_run, title_of


@o.command
@o.parent_option
@o.digest_option
@o.model_name_option
@o.field_options(RankConfig)
def main(parent: str | None, scans: str | None, model_name: str, **given: Any) -> None:
    """Leaderboards and winners of a power set, from what the tracking server holds.

    Can be run again at any time, on any machine that reaches the server. What people see in the
    pictures is asked by the entry point rate.
    """
    name_given_run("rank", "rank")
    try:
        done = rank(parent, model_name, RankConfig(**given), scans, console=Console(click.echo))
        name_given_run(f"rank {title_of(done.parent)}", "rank")
    except ValueError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
