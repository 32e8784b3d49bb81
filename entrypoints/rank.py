"""Rank the losses of a power set from its scores, and register the winners."""

import sys
from pathlib import Path
from typing import Any

import click

from entrypoints import options as o
from lfranker.publishing.promotion import Rescore
from lfranker.publishing.ranking_run import CAPTIONS, Report, rank_power_set
from lfranker.ranking.config import RankConfig
from lfranker.rating.sheets import SheetConfig
from lfranker.rating.workflow import make_sheets, take_ratings
from lfranker.report.tables import tables, to_markdown


def sheet_option(flag: str, text: str) -> Any:
    """An option for a field of SheetConfig."""
    default = getattr(SheetConfig, flag.removeprefix("--"))
    return click.option(flag, type=int, default=default, show_default=True, help=text)


@click.command()
@o.word_option("--parent", "latest", str, "Run ID of the power set; latest: the newest.")
@o.word_option("--scans", "own", str, "First digits of the digest of other scans it was scored on.")
@o.combine(o.model_name_option, o.equivalence_option, o.weights_option, o.promote_option)
@o.word_option("--contact-sheet", "none", o.path,
               "Write blinded sheets for people to rate to this folder; do not rank.")  # fmt: skip
@sheet_option("--sheets", "Sheets, each of another field and speed.")
@sheet_option("--shown", "Subsets of losses on every sheet, the first by mean rank.")
@sheet_option("--repeated", "Sheets that are shown twice, to see how sure raters are.")
@o.word_option("--ratings", "none", o.existing,
               "A filled-in ratings.csv, or a folder of them: the criterion visual.")  # fmt: skip
@o.cache_option
def main(
    parent: str | None, scans: str | None, model_name: str, contact_sheet: Path | None,
    sheets: int, shown: int, repeated: int, ratings: Path | None, cache: Path, **asked: Any,
) -> None:  # fmt: skip
    """Leaderboards and winners of a power set, from what the tracking server holds.

    Can be run again at any time, on any machine that reaches the server. With --contact-sheet it
    asks for people's eyes instead, and needs the scans in --cache.
    """
    if contact_sheet is not None and ratings is not None:
        raise click.UsageError("give --contact-sheet first, and --ratings when they are rated")
    try:
        if contact_sheet is not None:
            config = SheetConfig(sheets, shown, repeated)
            key = make_sheets(parent, scans, cache.resolve(), contact_sheet, config)
            click.echo(
                f"{len(key.sheets)} sheets, {key.id}, are in {contact_sheet}: give that folder to "
                f"raters, then rank with --ratings."
            )
            return
        for said in take_ratings(parent, scans, ratings) if ratings is not None else ():
            click.echo(said)
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
