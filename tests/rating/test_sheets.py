from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from lfranker.images.image_strips import GAP, TITLE
from lfranker.rating.sheet_files import write_sheets
from lfranker.rating.sheets import (
    Key,
    Sheet,
    SheetConfig,
    Shown,
    choose,
    draw,
    plan_sheets,
    read_key,
)
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair, Record

NAMES = ("mae", "mse", "ssim", "mae+ssim", "noisy")
RECORDS = [
    Record(f"{place}{field}", speed, Transform(), "", "", place)
    for place in "abcdef"
    for field in range(4 if place == "a" else 1)
    for speed in ("spd2", "spd3", "spd5")
]
KEY = Key(
    "0123",
    {name: Shown(f"run {name}", name == "noisy") for name in NAMES},
    (
        Sheet("a0", "spd2", "a", False, NAMES),
        Sheet("a0", "spd2", "a", True, (*NAMES[1:], NAMES[0])),
    ),
)


def test_sheets_are_spread_over_speeds_and_places():
    chosen = choose(RECORDS, 6, np.random.default_rng(0))
    assert Counter(record.speed for record in chosen) == {"spd2": 2, "spd3": 2, "spd5": 2}
    assert {record.place for record in chosen} == set("abcdef"), "not four of the fields of a"
    assert len({(r.field, r.speed) for r in choose(RECORDS, 99, np.random.default_rng(0))}) == 27


@pytest.mark.parametrize("seed", range(5))
def test_each_speed_is_shown_before_other_places_are(seed: int) -> None:
    """Only one of three places was scanned at three speeds."""
    at = [("a", "spd2"), ("a", "spd3"), ("a", "spd5"), ("b", "spd2"), ("c", "spd2")]
    records = [Record(place, speed, Transform(), "", "", place) for place, speed in at]
    chosen = choose(records, 3, np.random.default_rng(seed))
    assert {record.speed for record in chosen} == {"spd2", "spd3", "spd5"}


def test_every_sheet_shows_all_in_an_order_of_its_own_and_a_repeated_one_under_other_letters():
    config = SheetConfig(sheets=9, repeated=2)
    sheets = plan_sheets(RECORDS, NAMES, config, seed=3)
    assert len(sheets) == 11
    assert all(sorted(sheet.panels) == sorted(NAMES) for sheet in sheets)
    assert len({sheet.panels for sheet in sheets}) > 6  # of 120 orders, so nearly always 10 or 11
    for first, again in zip(sheets, sheets[9:], strict=False):
        assert (again.field, again.speed, again.again) == (first.field, first.speed, True)
        assert not any(a == b for a, b in zip(first.panels, again.panels, strict=True))
    assert not any(sheet.again for sheet in sheets[:9])


def test_a_seed_gives_the_same_sheets_and_another_one_others():
    first, same, other = (plan_sheets(RECORDS, NAMES, SheetConfig(), seed) for seed in (1, 1, 2))
    assert first == same != other


def test_every_letter_shows_every_name_about_equally_often():
    config = SheetConfig(sheets=1, repeated=0)
    at_a = Counter(plan_sheets(RECORDS, NAMES, config, seed)[0].panels[0] for seed in range(1000))
    deviation = (1000 * 0.2 * 0.8) ** 0.5
    assert all(abs(at_a[name] - 200) < 4 * deviation for name in NAMES)


def test_the_key_is_read_back_and_its_id_tells_it_from_others():
    assert read_key(KEY.to_json()) == KEY
    assert read_key(KEY.to_json()).id == KEY.id
    swapped = Key(KEY.scans, KEY.shown, KEY.sheets[::-1])
    assert swapped.id != KEY.id
    assert list(KEY.named()) == [f"sheet-{KEY.id}-01", f"sheet-{KEY.id}-02"]


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"shown": 1}, {"shown": 25}, {"sheets": 0}, {"repeated": 10}, {"repeated": -1}):
        name, value = next(iter(wrong.items()))
        with pytest.raises(ValueError, match=rf"{name} (is )?{value}"):
            SheetConfig(**wrong)
    with pytest.raises(ValueError, match="1 to compare"):
        plan_sheets(RECORDS, NAMES[:1], SheetConfig(), 0)


def test_panels_are_drawn_in_the_order_of_their_letters_between_the_references():
    levels = [at / 255 for at in range(8)]
    noisy, clean, *outputs = (np.full((384, 384), level, np.float32) for level in levels)
    mask = np.ones(clean.shape, bool)
    pair = Pair("f", "spd2", noisy, clean, mask, clean, Transform())
    canvas = np.asarray(draw("sheet", pair, outputs))
    height = TITLE + 384 + GAP + 384 + GAP
    middles = canvas[2 * TITLE + 300 :: height, GAP + 300 :: 384 + GAP, 0]
    assert middles.tolist() == [[0, 2, 3, 4, 1], [0, 5, 6, 7, 1]]


def picture() -> Pillow.Image:
    return Pillow.new("RGB", (4, 4))


def test_the_folder_holds_sheets_table_and_instructions_and_nothing_of_the_key(tmp_path: Path):
    folder = tmp_path / "new" / "sheets"
    write_sheets(folder, KEY, ((name, picture()) for name in KEY.named()))
    one, two = KEY.named()
    assert {file.name for file in folder.iterdir()} == {
        f"{one}.png", f"{two}.png", "ratings.csv", "INSTRUCTIONS.txt"
    }  # fmt: skip
    lines = (folder / "ratings.csv").read_text().splitlines()
    assert lines == [
        "sheet,panel,rater,rating",
        *(f"{sheet},{letter},," for sheet in (one, two) for letter in "ABCDE"),
    ]
    told = b"".join(file.read_bytes() for file in folder.iterdir())
    assert not any(name.encode() in told for name in NAMES if name != "noisy")
    assert [file.name for file in folder.parent.iterdir()] == ["sheets"]


def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="full"):
        write_sheets(tmp_path / "full", KEY, [])

    def failing():
        yield "sheet", picture()
        raise RuntimeError("no more")

    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="no more"):
        write_sheets(tmp_path / "empty", KEY, failing())
    assert {path.name for path in tmp_path.rglob("*")} == {"full", "empty", "mine.txt"}
    write_sheets(tmp_path / "empty", KEY, [("sheet", picture())])
    assert (tmp_path / "empty" / "sheet.png").exists()
