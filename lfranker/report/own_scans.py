"""What the curve over slow scans of one's own says: would more of them help, and by how much?"""

from collections.abc import Iterator

import numpy as np

from lfranker.evaluation.criteria import ALL_METRICS
from lfranker.ranking.own_scans import ScanCurve
from lfranker.report.html_page import Grid
from lfranker.report.numbers import estimate, joined, number
from lfranker.report.tables import in_words
from lfranker.statistics.learning_curve import LEAST_DRAWS, LEAST_SITES, RATIOS, Forecast


def scan_sentences(curve: ScanCurve) -> Iterator[str]:
    """Say what was trained, what slow scans bring, and what more of them would bring."""
    counts = joined(f"{count}" for count in curve.counts)
    if not curve.tables:
        yield (
            f"{curve.losses} was to be trained with {counts} own slow scans as well, but "
            f"{curve.draws} draws of them have scores after every number, at {curve.sites} sites: "
            f"it takes {LEAST_DRAWS} draws and {LEAST_SITES} sites to say what more would bring."
        )
        return
    yield (
        f"{curve.losses} was trained with {counts} own slow scans among the clean images as well, "
        f"drawn {curve.draws} times from different sites, and compared with the same training "
        f"without them on {curve.fields} fields of {curve.sites} other sites."
    )
    for metric in curve.tables:
        yield _forecast_sentence(curve, metric)
    yield (
        f"This is an extrapolation by power laws: each doubling of the number brings "
        f"{RATIOS[0]:.2g} to {RATIOS[-1]:.2g} times what the doubling before brought, and "
        f"{curve.counts[-1]} are not worse than {curve.counts[0]} by what matters. Intervals "
        f"(95 %) are over which scans were drawn, the trainings and the law; where they are of "
        f"fields like these, over sites too."
    )


def _forecast_sentence(curve: ScanCurve, metric: str) -> str:
    found, unit = curve.forecast(metric), ALL_METRICS[metric].unit
    title, most = in_words(metric), curve.counts[-1]
    if curve.is_told(metric):
        said = f"{curve.target} scans would bring about {_plus_minus(found, unit)} in {title}"
    else:
        said = (
            f"What {curve.target} scans would bring in {title} cannot be told within "
            f"{number(curve.tolerances[metric], unit)} from so few scans and draws: it may be "
            f"{_ends(found, unit)}"
        )
    table = curve.tables[metric]
    measured = float(table["measured"].loc[most])
    like = table.loc[curve.target, ["like_low", "like_high"]].to_numpy(np.float64).tolist()
    further = curve.further[metric]
    more = estimate(further.value, further.low, further.high, unit, signed=True)
    return (
        f"{said} at the fields scored, where {most} brought {number(measured, unit)}; at fields "
        f"like these it may be {_ends(Forecast(curve.target, found.value, *like), unit)}, and "
        f"there {curve.target} would bring {more} more than {most}."
    )


def _plus_minus(found: Forecast, unit: str) -> str:
    """Write "1.2 ± 0.3 dB", the half-width rounded up to the last digit that is shown."""
    places = max(0, 1 - int(np.floor(np.log10(max(found.half_width, 1e-9)))))
    half = np.ceil(found.half_width * 10**places - 1e-9) / 10**places
    return f"{found.value:.{places}f} ± {half:.{places}f} {unit}".rstrip()


def _ends(found: Forecast, unit: str) -> str:
    places = max(0, 1 - int(np.floor(np.log10(max(found.half_width, 1e-9)))))
    return f"{found.low:.{places}f} to {found.high:.{places}f} {unit}".rstrip()


def scan_table(curve: ScanCurve, metric: str) -> Grid:
    """Tabulate measured gains, and the law's at the fields scored and at all like them."""
    digits = ALL_METRICS[metric].digits
    rows = []
    for count, row in zip(
        curve.tables[metric].index, curve.tables[metric].to_numpy(np.float64).tolist(), strict=True
    ):
        measured, value, low, high, like_low, like_high = (f"{cell:+.{digits}f}" for cell in row)
        shown = "-" if np.isnan(row[0]) else measured
        these, like = f"{low} to {high}", f"{like_low} to {like_high}"
        rows.append([f"{count}", shown, value, these, like])
    heads = ["Scans", "measured", "by the law", "95 %, these fields", "95 %, fields like these"]
    return Grid(heads, rows)
