"""The names of the files that evidence is written to; scripts of others read them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lfranker.publishing.artifacts import evidence_tables
from lfranker.ranking.along_training import AlongTraining, Verdict
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.ranking.learning_rate_check import RateCheck
from lfranker.ranking.weight_search import Outcome
from lfranker.report.findings import Findings, find

LOSSES = {"mae": 20.0, "mse": 22.0, "mae+mse": 23.0}
TABLE = pd.DataFrame({"value": [1.0]})
ALONG = AlongTraining(
    (50, 100), ("mae", "mae"), Verdict.SETTLED, TABLE, TABLE, {"psnr": TABLE}, {"psnr": TABLE},
    pd.Series({"mae": 1.0}), 1,
)  # fmt: skip


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


def found_in(
    rows: pd.DataFrame, margins: dict[str, float], samples: Mapping[str, Ranking] | None = None
) -> Findings:
    ranking = rank(rows.groupby("name")[["psnr", "ssim"]].mean())
    return find(PairScores(rows), ranking, samples or {}, margins, list(LOSSES), 0)


def test_each_table_has_its_file(rows: pd.DataFrame) -> None:
    means = rows.groupby("name")[["psnr", "ssim"]].mean()
    samples = {"gold / tin": rank(means)}
    found = found_in(rows, {"psnr": 0.1, "ssim": 0.001}, samples)
    found = replace(
        found.with_evidence("visual", Evidence(intervals=TABLE)),
        shares=TABLE,
        learning_rate=RateCheck("", 1, {1.0: "mae"}, TABLE),
        raters=TABLE,
        rater_agreement=TABLE,
        search=Outcome("mae+mse", 3, {"mse": 2.0}, TABLE),
        search_trials=TABLE,
        along=ALONG,
    )
    metrics = ("attribution", "intervals", "beats")
    assert list(evidence_tables(found)) == [
        "samples/gold / tin",
        *(f"{table}-psnr" for table in metrics),
        *(f"{table}-ssim" for table in metrics),
        "combined-psnr", "combined-ssim", "champion-shares", "regret", "lengths",
        "lengths-tau", "lengths-psnr", "forecast-psnr", "agreement", "shares",
        "learning-rate", "visual-raters", "visual-agreement", "intervals-visual", "refine",
        "refine-trials",
    ]  # fmt: skip


def test_tables_are_those_that_were_found(rows: pd.DataFrame) -> None:
    found = found_in(rows, {"psnr": 0.1})
    own, tables = found.evidence["psnr"], evidence_tables(found)
    assert own.combined is not None
    assert tables["intervals-psnr"] is own.intervals
    assert tables["attribution-psnr"] is own.effects
    assert tables["beats-psnr"] is own.beats
    assert tables["combined-psnr"].equals(own.combined.table)


def test_noises_and_components_have_files_of_their_own() -> None:
    own = Evidence(noises=TABLE, best_by_noise=TABLE + 1, component_effects=TABLE + 2)
    tables = evidence_tables(Findings(evidence={"psnr": own}))
    assert {name: table["value"].item() for name, table in tables.items()} == {
        "noises-psnr": 1,
        "noises-best-psnr": 2,
        "noise-components-psnr": 3,
    }


def test_the_top_set_is_empty_where_it_is_not_known(rows: pd.DataFrame) -> None:
    few = rows[rows["place"] < "f2"]
    found = found_in(few, {"psnr": 0.1})
    assert found.evidence["psnr"].top_set == ()
    assert (found.top_sets, found.intervals) == ({}, {})
    whole = found_in(rows, {"psnr": 0.1})
    assert whole.top_sets == {"psnr": ("mae+mse",)}
