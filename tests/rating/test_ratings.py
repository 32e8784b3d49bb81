from pathlib import Path

import pandas as pd
import pytest

from lfranker.rating.ratings import (
    Rating,
    check_ratings,
    merged,
    parse_ratings,
    read_ratings,
    to_csv,
    unblinded,
    visual_scores,
)
from lfranker.rating.sheets import Key, Sheet, Shown

SHOWN = {"mae": Shown("r1", False), "noisy": Shown("r2", True)}
KEY = Key(
    "0123",
    SHOWN,
    (
        Sheet("f", "spd2", "p", False, ("mae", "noisy")),
        Sheet("g", "spd5", "q", False, ("noisy", "mae")),
        Sheet("f", "spd2", "p", True, ("noisy", "mae")),
    ),
)
ONE, TWO, AGAIN = KEY.named()
HEAD = "sheet,panel,rater,rating\n"


def filled(rater: str, ratings: str, head: str = HEAD) -> str:
    """Ratings of panels A and B of the three sheets, in this order."""
    rows = [(sheet, panel) for sheet in (ONE, TWO, AGAIN) for panel in "AB"]
    return head + "".join(
        f"{sheet},{panel},{rater},{rating}\n"
        for (sheet, panel), rating in zip(rows, ratings, strict=True)
    )


def test_a_table_is_read_as_a_spreadsheet_writes_it(tmp_path: Path):
    plain = tmp_path / "a.csv"
    plain.write_text(filled("anna", "512345"))
    read = read_ratings(plain)
    assert [(r.sheet, r.panel, r.rater, r.rating) for r in read[:2]] == [
        (ONE, "A", "anna", 5),
        (ONE, "B", "anna", 1),
    ]
    assert all(rating.id == KEY.id for rating in read)
    other = tmp_path / "b.csv"
    text = "\ufeff" + filled(" anna ", "512345").replace(",", ";").replace("\n", "\r\n")
    other.write_bytes(text.encode())
    assert read_ratings(other) == read
    assert parse_ratings(to_csv(read), "stored") == read


def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path):
    file = tmp_path / "a.csv"
    for wrong, message in (
        (f"{ONE},A,anna,6\n", "line 3: rating '6'; allowed are 1, 2, 3, 4, 5"),
        (f"{ONE},A,anna,0\n", "line 3: rating '0'"),
        (f"{ONE},A,anna,2.5\n", "line 3: rating '2.5'"),
        (f"{ONE},A,anna,\n", "line 3: rating is empty"),
        (f"{ONE},A,,3\n", "line 3: rater is empty"),
        ("sheet-1,A,anna,3\n", "line 3: there is no sheet 'sheet-1'"),
        (f"{ONE},A,anna,3,4\n", "line 3: more cells"),
        (f"{ONE},B,anna,3\n", "line 3: 'anna' rates panel B of .* second time, after .*line 2"),
    ):
        file.write_text(f"{HEAD}{ONE},B,anna,3\n{wrong}")
        with pytest.raises(ValueError, match=f"a.csv, {message}"):
            read_ratings(file)
    for text, message in (("sheet,rating\n", "columns sheet, rating"), (HEAD, "no ratings")):
        file.write_text(text)
        with pytest.raises(ValueError, match=f"a.csv: {message}"):
            read_ratings(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"a\.csv: not a CSV"):
        read_ratings(file)
    with pytest.raises(ValueError, match=r"no file NAME\.csv"):
        read_ratings(_empty(tmp_path))


def _empty(where: Path) -> Path:
    (where / "empty").mkdir()
    return where / "empty"


def test_a_folder_is_read_whole_and_a_rater_may_rate_a_panel_in_one_file_only(tmp_path: Path):
    (tmp_path / "a.csv").write_text(filled("anna", "512345"))
    (tmp_path / "b.csv").write_text(filled("ben", "111111"))
    assert len(read_ratings(tmp_path)) == 12
    (tmp_path / "b.csv").write_text(filled("anna", "512345"))
    with pytest.raises(ValueError, match=r"b\.csv, line 2: 'anna' .*a\.csv, line 2"):
        read_ratings(tmp_path)


def test_unknown_panels_and_sheets_and_what_was_left_out_are_named():
    whole = parse_ratings(filled("anna", "512345"), "a.csv")
    check_ratings(whole, KEY)
    for sheet, panel in ((ONE, "C"), (f"sheet-{KEY.id}-04", "A"), (ONE, "a")):
        wrong = Rating(sheet, panel, "anna", 3, "a.csv, line 9")
        with pytest.raises(ValueError, match=f"a.csv, line 9: there is no panel '{panel}'"):
            check_ratings([*whole, wrong], KEY)
    with pytest.raises(ValueError, match=f"a.csv: 'anna' has not rated 1 of 6 panels: B of {TWO}"):
        check_ratings([*whole[:3], *whole[4:]], KEY)


def test_ratings_add_up_and_are_not_changed_afterwards():
    anna, ben = (parse_ratings(filled(name, "512345"), "f") for name in ("anna", "ben"))
    assert merged(anna, anna) == sorted(anna, key=lambda r: (r.rater, r.sheet, r.panel))
    assert len(merged(anna, ben)) == 12
    again = parse_ratings(filled("anna", "512345"), "again.csv")
    assert merged(anna, again) == merged(anna, anna), "the same, read once more"
    other = parse_ratings(filled("anna", "412345"), "new.csv")
    with pytest.raises(ValueError, match=r"new\.csv, line 2: 'anna' .* with 5 before"):
        merged(anna, other)


def test_every_rating_goes_to_what_the_panel_showed():
    rows = unblinded(parse_ratings(filled("anna", "512345"), "f"), KEY)
    assert list(zip(rows["name"], rows["visual"], strict=True)) == [
        ("mae", 5), ("noisy", 1), ("noisy", 2), ("mae", 3), ("noisy", 4), ("mae", 5)
    ]  # fmt: skip
    assert rows["again"].tolist() == [False] * 4 + [True] * 2
    assert rows["field"].tolist() == ["f", "f", "g", "g", "f", "f"]
    assert rows["speed"].tolist() == [*["spd2"] * 2, *["spd5"] * 2, *["spd2"] * 2]
    assert rows["place"].tolist() == ["p", "p", "q", "q", "p", "p"]
    assert set(rows["rater"]) == {"anna"}
    assert set(rows["set"]) == {KEY.id}
    assert set(zip(rows["run"], rows["baseline"], strict=True)) == {("r1", False), ("r2", True)}


def test_scores_are_means_over_raters_and_sheets_with_a_second_showing_counted_once():
    rows = [
        row
        for rater, ratings in (("anna", "512345"), ("ben", "321111"))
        for row in [unblinded(parse_ratings(filled(rater, ratings), "f"), KEY)]
    ]
    scores = visual_scores(pd.concat(rows))
    # mae at spd2: anna (5 + 5) / 2, ben (3 + 1) / 2; at spd5: 3 and 1
    assert scores["r1"] == {"visual/spd2": 3.5, "visual/spd5": 2.0, "visual": 2.75}
    # noisy at spd2: anna (1 + 4) / 2, ben (2 + 1) / 2; at spd5: 2 and 1
    assert scores["r2"] == {"visual/spd2": 2.0, "visual/spd5": 1.5, "visual": 1.75}
