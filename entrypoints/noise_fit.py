"""Measure the noise of a microscope on its scans."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from entrypoints import options as o
from lfranker.noise.parsing import carried, parse_dwell_times
from lfranker.noise.profile import Profile, write_profile
from lfranker.noise.profile_measurement import Measurement, exposures_of, fit_pairs, fit_singles
from lfranker.planning.inputs import InputConfig
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.report.numbers import joined
from lfranker.report.plots import noise_level_plot
from lfranker.scans.preparation import prepare_scans
from lfranker.tracking.runs import log_metrics, log_settings, log_texts, own_run, set_tags
from lfranker.tracking.tags import Tag

ALONE = "none"  # as target


@o.command
@click.option("--scans", type=o.Parsed(o.existing), required=True,
              help="Folder of scans: a sub-folder per scan speed, same file name = same field; "
              "with --target none also a flat folder, or a file.")  # fmt: skip
@click.option("--target", type=o.Parsed(str, "slowest"),
              help="Sub-folder of --scans that holds the clean scans; none: there are no clean "
              "ones. Left out: the slowest.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="profile.json",
              help="Profile to write, for -P noise=FILE.")  # fmt: skip
@click.option("--carry", type=o.Parsed(parse_dwell_times, "none"),
              help="Dwell times to add to the profile, derived from what is measured, e.g. "
              "280ns,2us.")  # fmt: skip
@o.field_option(InputConfig, "white")
@o.seed_option
@o.field_option(InputConfig, "cache")
def main(
    scans: Path, target: str | None, out: Path, carry: dict[str, float] | None,
    white: int | None, seed: int, cache: Path,
) -> None:  # fmt: skip
    """Fit a microscope's noise to its own scans, and write it as a profile to train with.

    Shot noise, read-out noise, correlation along the fast axis, line offsets, and how brightness
    differs between noisy and clean scan, at every scan speed and with 95 % intervals.
    """
    try:
        with terminate_as_interrupt(), own_run(f"noise-fit {scans.name}", "noise-fit") as run:
            found = _measure(scans, target, white, cache, seed)
            profile = found.profile
            if carry:
                derived = carried(profile, carry).speeds
                profile = replace(profile, speeds={**derived, **profile.speeds})
            write_profile(profile, out)
            _log(run.run_id, found, profile, out)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{_words(found)}\n{out}: train with -P noise={out}; run {run.run_id}")


def _measure(
    scans: Path, target: str | None, white: int | None, cache: Path, seed: int
) -> Measurement:
    if target == ALONE:
        found = fit_singles(scans, seed, white)
        _tell(found.notices)
        return found
    if not scans.is_dir():
        raise ValueError(f"--scans {scans}: a file has no clean scan; give --target none with it")
    prepared = prepare_scans(scans, target, cache.resolve() / "scans", white)
    _tell(prepared.notices)
    return fit_pairs(prepared, exposures_of(scans), seed)


def _tell(notices: Sequence[str]) -> None:
    for notice in notices:
        click.echo(f"note: {notice}", err=True)


def _log(run_id: str, found: Measurement, profile: Profile, out: Path) -> None:
    texts = {
        "noise/estimates.csv": found.estimates().to_csv(index=False),
        "noise/levels.csv": found.levels().to_csv(index=False),
        "noise/profile.json": out.read_text(encoding="utf-8"),
    }
    if found.made:
        texts["noise/checks.csv"] = found.checks().to_csv(index=False)
    for speed, fit in found.fits.items():
        texts[f"noise/{speed}.svg"] = noise_level_plot(fit, found.made.get(speed), speed)
    log_texts(run_id, texts)
    log_settings(run_id, {**profile.origin, "used_speeds": ", ".join(profile.speeds)})
    metrics = {
        f"{name}/{speed}": estimate.value
        for speed, fit in found.fits.items()
        for name, estimate in fit.estimates.items()
    }
    log_metrics(run_id, metrics)
    set_tags(run_id, {Tag.NOTE: f"```\n{_words(found)}\n```"})


def _asides(found: Measurement) -> Iterator[str]:
    """Say the counts of each speed, and which intervals say nothing."""
    for speed, noise in found.profile.speeds.items():
        yield f"{speed}: {1 / noise['gamma']:.3g} counts at full brightness"
    for speed, fit in found.fits.items():
        held = [
            name for name, own in fit.estimates.items() if own.low == own.value == own.high == 0
        ]
        if held:
            yield (
                f"{speed}: {joined(held)} stayed at 0, the least that is allowed, in every draw of "
                f"the bootstrap, so that the interval does not say how far off that may be"
            )


def _words(found: Measurement) -> str:
    table = found.estimates().to_string(index=False, float_format="{:.5f}".format)
    lines = "\n".join([table, found.profile.units, *_asides(found)])
    checks = found.checks()
    if checks.empty:
        return lines
    agree, total = int(checks["agrees"].sum()), len(checks)
    return (
        f"{lines}\nnoise made from it agrees in {agree} of {total} variances and lags of the scans "
        f"that it was fitted to"
    )


if __name__ == "__main__":
    sys.exit(main())
