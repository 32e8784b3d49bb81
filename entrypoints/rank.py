"""Rank the losses of a power set from its scores, and register the winners."""

import sys
from typing import Any

import click

from entrypoints import options as o
from lfranker.publishing.promotion import Rescore
from lfranker.publishing.ranking_run import CAPTIONS, Report, rank_power_set
from lfranker.ranking.config import RankConfig
from lfranker.report.tables import tables, to_markdown


@click.command()
@o.word_option("--parent", "latest", str, "Run ID of the power set; latest: the newest.")
@o.word_option("--scans", "own", str, "First digits of the digest of other scans it was scored on.")
@o.combine(o.model_name_option, o.equivalence_option, o.weights_option, o.promote_option)
def main(parent: str | None, scans: str | None, model_name: str, **asked: Any) -> None:
    """Leaderboards and winners of a power set, from what the tracking server holds.

    Can be run again at any time, on any machine that reaches the server. What people see in the
    pictures is asked by the entry point rate.
    """
    try:
        report(parent, model_name, RankConfig(**asked), scans)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def report(
    parent: str | None,
    model_name: str,
    config: RankConfig,
    scans: str | None = None,
    rescore: Rescore | None = None,
) -> Report:
    """Rank, write the result to the tracking server and show it."""
    result = rank_power_set(parent, model_name, scans, config, rescore)
    board = tables(result.ranking)["leaderboard"]
    click.echo(to_markdown(board, CAPTIONS["leaderboard"], simulated=result.simulated))
    for line in (*result.ranking.notes, *result.notices):
        click.echo(f"- {line}")
    for alias, version in sorted(result.versions.items()):
        click.echo(f"models:/{model_name}@{alias} is version {version}")
    click.echo(f"Tables and note are on run {result.parent}; look at them with `mlflow ui`.")
    return result


if __name__ == "__main__":
    sys.exit(main())
