"""The table in a folder of scans by which its user says which fields are of one site."""

import csv
import io
from collections.abc import Collection
from pathlib import Path

from lfranker.images.image_file import SUFFIXES
from lfranker.text import listed

SITE_TABLE = "sites.csv"
COLUMNS = ["field", "site"]


def read_site_table(
    folder: Path, fields: Collection[str], known: Collection[str]
) -> dict[str, str] | None:
    """Return the site of each of ``fields`` by the table in ``folder``; None where there is none.

    Fields are named as their scans are, below the speed, with or without suffix. ``known`` are all
    fields of the folder, also those that are not scored. Raises ValueError that names the row, or
    the fields that the table lacks.
    """
    path = folder / SITE_TABLE
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
        delimiter = ";" if ";" in text.partition("\n")[0] else ","  # of Excel, by country
        table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [[cell.strip() for cell in row] for row in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table of comma-separated text ({error})") from error
    if not rows or rows[0] != COLUMNS:
        found = ",".join(rows[0]) if rows else "nothing"
        raise ValueError(f"{path}, row 1: found {found!r}; allowed is the heading 'field,site'")
    sites: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if any(row):
            field, site = _entry(f"{path}, row {number}", row, known)
            if field in sites:
                raise ValueError(f"{path}, row {number}: {field!r} has a row already")
            sites[field] = site
    if missing := [field for field in fields if field not in sites]:
        raise ValueError(
            f"{path}: {len(missing)} of {len(fields)} fields have no row: {listed(missing)}; every "
            f"field needs a site, and one that lies alone a site of its own"
        )
    return sites


def _entry(where: str, row: list[str], known: Collection[str]) -> tuple[str, str]:
    if len(row) != len(COLUMNS) or not all(row):
        raise ValueError(f"{where}: found {','.join(row)!r}; allowed is a field and its site")
    field, site = row
    named = field.replace("\\", "/")
    suffix = Path(named).suffix
    if named not in known and suffix.lower() in SUFFIXES:
        named = named.removesuffix(suffix)
    if named not in known:
        raise ValueError(
            f"{where}: no scan shows the field {field!r}; allowed are {listed(known, 400)}"
        )
    return named, site
