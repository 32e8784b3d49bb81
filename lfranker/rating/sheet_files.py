"""Files for raters: a folder with the sheets, a table to fill in, and instructions."""

import csv
from collections.abc import Iterable
from pathlib import Path

import PIL.Image

from lfranker.files import new_folder
from lfranker.rating.sheets import LETTERS, Key

RATINGS = "ratings.csv"
COLUMNS = ("sheet", "panel", "rater", "rating")
SCALE = (1, 2, 3, 4, 5)  # 5 is best

INSTRUCTIONS = """\
How good are these pictures?

Each sheet shows one field of view: the noisy scan, the clean scan of the same field, and panels
A, B, C ... of the noisy scan denoised in different ways. Below each picture is the part of it that
is framed, enlarged.

Rate every panel of every sheet by how well you could work with it in place of the clean scan:

    5  as good as the clean scan
    4  slightly worse
    3  usable
    2  hardly usable
    1  useless

Mind what you would look for in your work: edges, small detail, texture, noise that is left, things
that are not in the clean scan. Panels may be equally good. The order differs from sheet to sheet.

1. Copy {ratings} and write your name (always the same) into the column `rater` of every row, and
   1, 2, 3, 4 or 5 into the column `rating`. Rate all panels and leave the other columns alone.
2. Look at the sheets one after the other, at full size, and do not talk with other raters before
   all have finished.
"""


def check_folder(folder: Path) -> None:
    """Raise ValueError where sheets would be written over something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; a new or an empty folder is allowed")


def write_sheets(folder: Path, key: Key, pictures: Iterable[tuple[str, PIL.Image.Image]]) -> None:
    """All or nothing: ``pictures`` by name of the sheet, and the table with an empty rating.

    The key is not written. Raises ValueError where the folder has files in it.
    """
    check_folder(folder)
    with new_folder(folder) as draft:
        for name, picture in pictures:
            picture.save(draft / f"{name}.png")
        with (draft / RATINGS).open("w", newline="") as out:
            table = csv.writer(out)
            table.writerow(COLUMNS)
            for name, sheet in key.named().items():
                table.writerows((name, LETTERS[at], "", "") for at in range(len(sheet.panels)))
        (draft / "INSTRUCTIONS.txt").write_text(INSTRUCTIONS.format(ratings=RATINGS))
