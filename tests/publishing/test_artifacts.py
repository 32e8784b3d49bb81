"""The names of the files that evidence is written to; scripts of others read them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from lfranker.publishing.artifacts import evidence_tables, texts_of
from lfranker.publishing.report_page import Results
from lfranker.ranking.along_training import AlongTraining, Verdict
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.ranking.learning_rate_check import RateCheck
from lfranker.ranking.own_scans import ScanCurve
from lfranker.ranking.weight_search import Outcome
from lfranker.report.findings import Findings, find
from lfranker.report.html_page import Section
from lfranker.report.remarks import remarks
from lfranker.report.tables import tables, to_csv
from lfranker.scans.scan_set import ScanSetId

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
        own_scans=ScanCurve("mae", (1, 2), 4, 2, 3, 3, {"psnr": TABLE, "ssim": TABLE}),
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
        "learning-rate", "own-scans-psnr", "own-scans-ssim", "visual-raters",
        "visual-agreement", "intervals-visual", "refine", "refine-trials",
    ]  # fmt: skip


def results(rows: pd.DataFrame, simulated: bool) -> Results:
    means = rows.groupby("name")[["psnr", "ssim"]].mean()
    ranking = rank(means, [*LOSSES, "tv"])
    found = found_in(rows, {"psnr": 0.1, "ssim": 0.001})
    return Results(
        power_set=cast(Any, None),
        board=means,
        ranking=ranking,
        pairs=PairScores(rows),
        findings=found,
        sections=[Section("a?", ["A.", "B."]), Section("b?"), Section("c?", ["C."])],
        captioned={"Own caption": tables(ranking)["leaderboard"]},
        caveats=[],
        notices=[],
        scans=ScanSetId("0123456789abcdef", simulated),
    )


@pytest.mark.parametrize(
    ("simulated", "before", "kind"), [(False, "", ""), (True, "synthetic-", "Simulated scans: ")]
)
def test_files_hold_the_whole_ranking(
    rows: pd.DataFrame, simulated: bool, before: str, kind: str
) -> None:
    own = results(rows, simulated)
    texts = texts_of(own, {"champion": "3"})
    evidence = evidence_tables(own.findings)
    paper = tables(own.ranking)
    assert set(texts) == {
        *(f"{before}{name}.csv" for name in paper),
        *(f"{name}.csv" for name in evidence),
        "tables.tex",
        "ranking.json",
    }
    assert texts[f"{before}leaderboard.csv"] == to_csv(paper["leaderboard"])
    assert texts["intervals-psnr.csv"] == evidence["intervals-psnr"].to_csv()
    assert f"{kind}Own caption" in texts["tables.tex"]
    assert ("Simulated" in texts["tables.tex"]) == simulated
    summary = json.loads(texts["ranking.json"])
    board, listed = summary.pop("leaderboard"), summary.pop("tables")
    assert summary == {
        "champion": "mae+mse",
        "champion_mean_rank": 1.0,
        "winners": {"psnr": "mae+mse", "ssim": "mae+mse"},
        "missing": ["tv"],
        "notes": remarks(own.ranking),
        "versions": {"champion": "3"},
        "simulated": simulated,
        "scans": "0123456789abcdef",
        "evidence": ["A.", "B.", "C."],
        "top": {"psnr": ["mae+mse"], "ssim": ["mae+mse"]},
    }
    assert list(board) == list(own.ranking.leaderboard.index)
    assert board["mse"]["psnr"] == own.board["psnr"]["mse"], "to the last digit"
    assert set(listed) == set(evidence)
    compared = evidence["intervals-psnr"]
    assert [row["mean"] for row in listed["intervals-psnr"]] == pytest.approx(
        list(compared["mean"])
    )
    assert listed["intervals-psnr"][0][str(compared.index.name)] == compared.index[0]


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
