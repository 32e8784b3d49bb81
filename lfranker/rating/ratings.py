"""Ratings of blinded sheets: read, checked, and put beside what the panels showed."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import VISUAL, Criterion
from lfranker.rating.sheet_files import COLUMNS, SCALE
from lfranker.rating.sheets import LETTERS, Key
from lfranker.text import listed

UNBLINDED = (
    "name", "run", "baseline", "field", "speed", "place", "again", "set", "rater", VISUAL,
)  # fmt: skip
SHEET = re.compile(r"sheet-([0-9a-f]{8})-\d{2,}")


@dataclass(frozen=True)
class Rating:
    """Rating of a panel by a rater."""

    sheet: str
    panel: str
    rater: str
    rating: int  # one of SCALE
    where: str = field(default="", compare=False)  # file and line, for messages

    @property
    def id(self) -> str:
        """ID of the set of sheets."""
        found = SHEET.fullmatch(self.sheet)
        if found is None:
            raise ValueError(f"{self.where}: no sheet is called {self.sheet!r}")
        return found[1]


def read_ratings(path: Path) -> list[Rating]:
    """Read a CSV, or all in a folder. Raises ValueError naming file and line.

    Commas or semicolons, as spreadsheets write them. No rater may rate a panel twice.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no file NAME.csv in this folder")
    ratings = [rating for file in files for rating in parse_ratings(_text(file), str(file))]
    seen: dict[tuple[str, str, str], Rating] = {}
    for rating in ratings:
        other = seen.setdefault((rating.rater, rating.sheet, rating.panel), rating)
        if other is not rating:
            raise ValueError(
                f"{rating.where}: {rating.rater!r} rates panel {rating.panel} of {rating.sheet} a "
                f"second time, after {other.where}"
            )
    return ratings


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not a CSV in UTF-8 ({error})") from error


def parse_ratings(text: str, file: str) -> list[Rating]:
    """Parse the text of one table, called ``file`` in messages. Raises ValueError."""
    head = text.partition("\n")[0]
    lines = csv.DictReader(text.splitlines(), delimiter=";" if ";" in head else ",")
    names = [name.strip() for name in lines.fieldnames or ()]
    if sorted(names) != sorted(COLUMNS):
        raise ValueError(f"{file}: columns {', '.join(names)}; allowed are {', '.join(COLUMNS)}")
    lines.fieldnames = names
    ratings = [_rating(row, f"{file}, line {lines.line_num}") for row in lines]
    if not ratings:
        raise ValueError(f"{file}: no ratings in it")
    return ratings


def _rating(row: Mapping[str | None, str | None], where: str) -> Rating:
    cells = {name: (row[name] or "").strip() for name in COLUMNS}
    if None in row:
        raise ValueError(f"{where}: more cells than columns")
    for name, value in cells.items():
        if not value:
            raise ValueError(f"{where}: {name} is empty; every panel has to be rated, by a name")
    if not SHEET.fullmatch(cells["sheet"]):
        raise ValueError(f"{where}: there is no sheet {cells['sheet']!r}")
    if cells["rating"] not in map(str, SCALE):
        allowed = ", ".join(map(str, SCALE))
        raise ValueError(f"{where}: rating {cells['rating']!r}; allowed are {allowed}")
    return Rating(cells["sheet"], cells["panel"], cells["rater"], int(cells["rating"]), where)


def check_ratings(ratings: Iterable[Rating], key: Key) -> None:
    """Raise ValueError on a sheet or panel that the key does not have, or that a rater left out.

    A mean over some of the sheets would not compare: they differ in how hard they are.
    """
    panels = {
        (name, letter)
        for name, sheet in key.named().items()
        for letter in LETTERS[: len(sheet.panels)]
    }
    rated: dict[str, dict[tuple[str, str], Rating]] = {}
    for rating in ratings:
        at = rating.sheet, rating.panel
        if at not in panels:
            raise ValueError(f"{rating.where}: there is no panel {at[1]!r} of sheet {at[0]!r}")
        rated.setdefault(rating.rater, {})[at] = rating
    for rater, own in rated.items():
        gaps = [f"{panel} of {sheet}" for sheet, panel in sorted(panels - set(own))]
        if gaps:
            file = next(iter(own.values())).where.rpartition(", line")[0]
            raise ValueError(
                f"{file}: {rater!r} has not rated {len(gaps)} of {len(panels)} panels: "
                f"{listed(gaps)}"
            )


def merged(known: Sequence[Rating], new: Sequence[Rating]) -> list[Rating]:
    """Merge both, each rating once. Raises ValueError where a rating is not as it was before.

    Ratings are not changed once it is known what the panels show.
    """
    before = {(r.rater, r.sheet, r.panel): r for r in known}
    for rating in new:
        other = before.setdefault((rating.rater, rating.sheet, rating.panel), rating)
        if other != rating:
            raise ValueError(
                f"{rating.where}: {rating.rater!r} rated panel {rating.panel} of {rating.sheet} "
                f"with {other.rating} before, which stays; another person needs another name"
            )
    return [before[at] for at in sorted(before)]


def to_csv(ratings: Iterable[Rating]) -> str:
    """Write it as `read_ratings` reads it."""
    rows = [(r.sheet, r.panel, r.rater, r.rating) for r in ratings]
    return str(pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False))


def unblinded(ratings: Iterable[Rating], key: Key) -> pd.DataFrame:
    """A row per rating with UNBLINDED's columns: the rating, `visual`, and what it was given to.

    `again`: the second showing on another sheet; `set`: ID of the sheets.
    """
    sheets = key.named()
    rows = []
    for rating in ratings:
        sheet = sheets[rating.sheet]
        name = sheet.panels[LETTERS.index(rating.panel)]
        shown = name, key.shown[name].run, key.shown[name].baseline
        where = sheet.field, sheet.speed, sheet.place, sheet.again, key.id
        rows.append((*shown, *where, rating.rater, float(rating.rating)))
    return pd.DataFrame(rows, columns=list(UNBLINDED))


def visual_scores(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Run -> `visual/SPEED`, means over raters and sheets, and `visual`, the mean of those.

    What a rater says of a panel shown twice counts once, as the mean.
    """
    once = rows.groupby(["run", "speed", "set", "rater", "field"])[VISUAL].mean()
    by_speed = once.groupby(level=["run", "speed"]).mean().unstack()
    scores = {}
    for run, row in by_speed.iterrows():
        known = {
            str(Criterion(VISUAL, str(speed))): float(value)
            for speed, value in row.dropna().items()
        }
        scores[str(run)] = {VISUAL: float(np.mean(list(known.values()))), **known}
    return scores
