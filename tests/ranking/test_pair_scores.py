import pandas as pd
import pytest

from lfranker.ranking.entrants import COLUMNS, PairScores

ROWS = pd.DataFrame(
    [("mae", 0, False, "f1", "spd2", "s1", "tin", 20.0),
     ("mae", 1, False, "f1", "spd2", "s1", "tin", 21.0),
     ("noisy", 0, True, "f2", "spd2", "s2", "gold", 10.0)],
    columns=[*COLUMNS, "psnr"],
)  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(ValueError, match=f"lack the columns {column}; there are "):
        PairScores(ROWS.drop(columns=column))


def test_rows_of_an_entrant_and_of_one_of_its_repeats() -> None:
    pairs = PairScores(ROWS)
    assert pairs.of("mae")["psnr"].tolist() == [20.0, 21.0]
    assert pairs.of("mae", 1)["psnr"].tolist() == [21.0]
    assert pairs.of("mse").empty
    assert PairScores.none().of("mae").empty
    assert PairScores.none().empty


def test_sample_groups_are_given_where_there_are_two() -> None:
    groups = dict(PairScores(ROWS).by_sample())
    assert {sample: len(own.table) for sample, own in groups.items()} == {"gold": 1, "tin": 2}
    assert dict(PairScores(ROWS[ROWS["sample"] == "tin"]).by_sample()) == {}
    assert dict(PairScores.none().by_sample()) == {}
