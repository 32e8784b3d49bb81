"""Pictures of a power set for people to rate, and what they say of them."""

import sys
from pathlib import Path

import click

from entrypoints import options as o
from lfranker.planning.inputs import InputConfig
from lfranker.rating.sheets import SheetConfig
from lfranker.rating.workflow import make_sheets, take_ratings
from lfranker.tracking.runs import name_given_run


@o.command
@o.parent_option
@o.digest_option
@click.option("--contact-sheet", type=o.Parsed(o.path, "none"),
              help="Write blinded sheets for people to rate to this folder.")  # fmt: skip
@o.field_options(SheetConfig)
@click.option("--ratings", type=o.Parsed(o.existing, "none"),
              help="Take in a filled-in ratings.csv, or a folder of them.")  # fmt: skip
@o.field_option(InputConfig, "cache")
def main(
    parent: str | None, scans: str | None, contact_sheet: Path | None,
    sheets: int, shown: int, repeated: int, ratings: Path | None, cache: Path,
) -> None:  # fmt: skip
    """Ask people which denoised scans look best.

    First --contact-sheet, which needs the scans in --cache; then, when the sheets are rated,
    --ratings. The next ranking has the criterion visual.
    """
    if (contact_sheet is None) == (ratings is None):
        raise click.UsageError("give --contact-sheet first, and --ratings when they are rated")
    done = "make sheets" if ratings is None else f"take in {ratings.name}"
    name_given_run(f"rate: {done}", "rate")
    try:
        if contact_sheet is not None:
            config = SheetConfig(sheets, shown, repeated)
            key = make_sheets(parent, scans, cache.resolve(), contact_sheet, config)
            click.echo(
                f"{len(key.sheets)} sheets, {key.id}, are in {contact_sheet}: give that folder to "
                f"raters, then take in what they say with --ratings."
            )
        if ratings is not None:
            for line in take_ratings(parent, scans, ratings):
                click.echo(line)
            click.echo("Rank again to see what the ratings come to: the entry point rank.")
    except ValueError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
