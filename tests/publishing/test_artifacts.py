"""The names of the files that evidence is written to; scripts of others read them."""

import numpy as np
import pandas as pd
import pytest

from lfranker.publishing.artifacts import evidence_tables
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import rank
from lfranker.ranking.pair_scores import PairScores
from lfranker.report.findings import Found, report_fields

LOSSES = {"mae": 20.0, "mse": 22.0, "mae+mse": 23.0}
TABLE = pd.DataFrame({"value": [1.0]})


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        [
            {"name": name, "repeat": 0, "baseline": False, "field": f"f{at}", "speed": "spd2",
             "place": f"f{at}", "sample": "", "psnr": worth + rng.normal(0, 0.1)}
            for name, worth in LOSSES.items()
            for at in range(6)
        ]
    )  # fmt: skip
    return table.assign(ssim=table["psnr"] / 40)


def test_each_table_has_its_file(rows: pd.DataFrame) -> None:
    means = rows.groupby("name")[["psnr", "ssim"]].mean()
    samples = {"gold / tin": rank(means)}
    found = report_fields(PairScores(rows), samples, {"psnr": 0.1, "ssim": 0.001}, list(LOSSES), 0)
    found.evidence["visual"] = Evidence(intervals=TABLE)
    found.shares = found.learning_rate = found.raters = found.rater_agreement = TABLE
    found.search = found.search_trials = TABLE
    metrics = ("attribution", "intervals", "beats")
    assert list(evidence_tables(found)) == [
        "samples/gold - tin",
        *(f"{table}-psnr" for table in metrics),
        *(f"{table}-ssim" for table in metrics),
        "hybrids-psnr", "hybrids-ssim", "champion-shares", "regret", "agreement", "shares",
        "learning-rate", "visual-raters", "visual-agreement", "intervals-visual", "refine",
        "refine-trials",
    ]  # fmt: skip


def test_tables_are_those_that_were_found(rows: pd.DataFrame) -> None:
    found = report_fields(PairScores(rows), {}, {"psnr": 0.1}, list(LOSSES), 0)
    own, tables = found.evidence["psnr"], evidence_tables(found)
    assert own.hybrids is not None
    assert tables["intervals-psnr"] is own.intervals
    assert tables["attribution-psnr"] is own.effects
    assert tables["beats-psnr"] is own.beats
    assert tables["hybrids-psnr"].equals(own.hybrids.table)


def test_noises_and_components_have_files_of_their_own() -> None:
    own = Evidence(noises=TABLE, best_by_noise=TABLE + 1, component_effects=TABLE + 2)
    tables = evidence_tables(Found(evidence={"psnr": own}))
    assert {name: table["value"].item() for name, table in tables.items()} == {
        "noises-psnr": 1,
        "noises-best-psnr": 2,
        "noise-components-psnr": 3,
    }


def test_the_top_set_is_empty_where_it_is_not_known(rows: pd.DataFrame) -> None:
    few = rows[rows["place"] < "f2"]
    found = report_fields(PairScores(few), {}, {"psnr": 0.1}, list(LOSSES), 0)
    assert found.evidence["psnr"].top_set == ()
    assert (found.top_sets, found.intervals) == ({}, {})
    whole = report_fields(PairScores(rows), {}, {"psnr": 0.1}, list(LOSSES), 0)
    assert whole.top_sets == {"psnr": ("mae+mse",)}
