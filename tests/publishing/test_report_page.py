"""Facts on the page of a ranking."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
from mlflow import MlflowClient
from recorder import Recorder
from tracked import make_child, make_parent

from lfranker.evaluation.criteria import Criterion
from lfranker.publishing.pictures import logged_glance, logged_pictures
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.publishing.report_page import PACKAGES, Results, _facts, _plot, missing, page_of
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.ranking.leads import BaselineLead, Leads
from lfranker.report.findings import Findings, Scope
from lfranker.report.first_screen import against, answer
from lfranker.report.html_page import Page, Section, to_html
from lfranker.report.plots import standing_plot
from lfranker.report.sentences import scope_sentence
from lfranker.report.tables import standings, tables
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.pages import how_to_open


@pytest.mark.slow
def test_the_page_says_how_long_all_trainings_took(store: Path) -> None:
    parent, client = make_parent("mae"), MlflowClient()
    for repeat, hours in enumerate((1.5, 0.75)):
        run = make_child(parent, "mae", {"psnr": 20.0, "ssim": 0.5}, repeat=str(repeat))
        end = run.info.start_time + round(3_600_000 * hours)
        client.set_terminated(run.info.run_id, end_time=end)
    rank_power_set(parent.info.run_id, "lfranker")
    path = client.download_artifacts(parent.info.run_id, "ranking/ranking.html")
    _, _, after = Path(path).read_text().partition("hours from the first start to the last end")
    assert "1.50" in after[:60], "they ran beside each other"


COMPLETE = pd.DataFrame(
    {
        "psnr": [30.0, 31.0, 20.0],
        "ssim": [0.8, 0.9, 0.5],
        "visual": 3.0,
        "model": ["m-1", "m-2", None],
        "outcome": ["ok", "ok", "baseline"],
        "baseline": [False, False, True],
    },
    index=["mae", "mse", "noisy"],
)
RUNS = {
    ("mae", 0): SimpleNamespace(period=(1_800_000, 5_400_000), unfinished=False),
    ("mae", 1): SimpleNamespace(period=(3_600_000, 7_200_000), unfinished=False),
    ("mse", 0): SimpleNamespace(period=(0, 9_000_000), unfinished=True),  # it mostly waited
    ("tv", 0): SimpleNamespace(period=(0, 9_000_000), unfinished=False),  # of another command
    # of a curve over own slow scans
    ("mae", 2): SimpleNamespace(period=(0, 9_000_000), unfinished=False),
}
POWER_SET: Mapping[str, Any] = {
    "run_id": "parent",
    "title": "mine",
    "noises": {},
    "repeats_seen": 2,
    "learning_rates": {2.0: "key"},
    "expected": ["mae", "mse"],
    "trainings": RUNS,
    "loss_set": ("mae", "mse", "ssim"),
    "rule": "max_size=1",
    "settings": {"steps": "9", "batch": "2", "weight/mae": "1"},
}
REAL, SIMULATED = (ScanSetId("0123456789abcdef", simulated) for simulated in (False, True))


def results(
    board: pd.DataFrame = COMPLETE,
    ranking: Ranking | None = None,
    scans: ScanSetId = REAL,
    pairs: object = SimpleNamespace(empty=False),
    **changes: Any,
) -> Results:
    """Results that lack nothing, but for what is changed of the power set."""
    return Results(
        power_set=cast(Any, SimpleNamespace(**{**POWER_SET, **changes})),
        board=board,
        ranking=ranking or rank(COMPLETE, ["mae", "mse"]),
        pairs=cast(Any, pairs),
        findings=Findings(),
        sections=[Section("own?", ["Own."])],
        captioned={"Caption": tables(rank(COMPLETE))["leaderboard"]},
        caveats=["first", "second", "third", "fourth"],
        notices=["notice"],
        scans=scans,
    )


def changed(column: str, **values: object) -> pd.DataFrame:
    table = COMPLETE.astype(object).copy()
    for name, value in values.items():
        table.loc[name, column] = value
    return table


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ranking": rank(COMPLETE, ["mae", "mse", "ssim", "tv"])},
         "Trainings of 2 subsets: run the same power set again."),
        ({"repeats_seen": 1}, "Repeats, without which nothing is said of the losses themselves"),
        ({"pairs": SimpleNamespace(empty=True)}, "Scores of single fields, without which"),
        ({"board": changed("model", mae="")}, "Logged models of 1 subsets, which cannot be reg"),
        ({"board": changed("model", mae=None, mse=None)}, "Logged models of 2 subsets, which"),
        ({"board": COMPLETE.drop(index="noisy")}, "Baselines to compare with, the noisy input"),
        ({"learning_rates": {}}, "A check whether the winner depends on the learning rate"),
        ({"board": COMPLETE.drop(columns="visual")}, "People's eyes: `rate -P contact_sheet="),
        ({"board": COMPLETE.rename(index={"mae": "perceptual-random"})}, "ImageNet's weights in"),
        ({"scans": SIMULATED}, "Real scans: these are simulated."),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_and_nothing_else(changes: dict[str, Any], sentence: str) -> None:
    assert missing(results()) == []
    (said,) = missing(results(**changes))
    assert said.startswith(sentence)


def test_no_check_of_the_learning_rate_is_missed_where_noises_are_compared() -> None:
    assert missing(results(learning_rates={}, noises={"eq1": "key"})) == []


def test_the_facts_are_those_of_the_power_set(monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder(monkeypatch).replace(how_to_open, lambda call: f"page of {call.run_id}")
    grid = _facts(results())
    assert grid.words
    assert dict(map(tuple, grid.rows)) == {
        **{f"{name} version": version(name) for name in PACKAGES},
        "power set run": "parent",
        "its page in MLflow": "page of parent",
        "losses": "mae,mse,ssim",
        "subsets": "2 of 7, max_size=1",
        "trainings": "2, 2 of each subset",
        "hours from the first start to the last end": "1.50",
        "scans": "0123456789abcdef (real)",
        "batch": "2",
        "steps": "9",
    }
    grid = _facts(results(expected=[], rule="", noises={"eq1": "a", "gamma": "b"}))
    rows = dict(map(tuple, grid.rows))
    assert rows["noises"] == "eq1, gamma"
    assert rows["subsets"] == "0 of 7"
    assert rows["trainings"] == "3, 2 of each pair of subset and noise", "it does not say which"
    assert dict(map(tuple, _facts(results(scans=SIMULATED)).rows))["scans"].endswith("(simulated)")


def test_the_page_is_put_together_from_what_belongs_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Recorder(monkeypatch)
    strip, pictures = ("caption", b"jpeg"), {"f at spd2": b"jpeg"}
    record.replace(to_html, lambda _: "html")
    record.replace(how_to_open, lambda _: "page")
    record.replace(logged_glance, lambda _: strip)
    record.replace(logged_pictures, lambda _: pictures)
    given = results(scans=SIMULATED)
    ranking, findings = given.ranking, given.findings
    assert page_of(given) == "html"
    page = record.at("to_html", "page")
    assert isinstance(page, Page)
    assert page == Page(
        title="Simulated scans: mine",
        answer=answer(ranking, findings),
        scope=scope_sentence(findings.scope),
        caveats=["first", "second", "third"],
        against=against(ranking, findings),
        strip=strip,
        plot=None,
        standings=standings(ranking, {}),
        sections=page.sections,
    )
    first, own, looks, every, facts, lacks = page.sections
    assert first == Section("What else should be kept in mind?", ["fourth", "notice"])
    assert own == given.sections[0]
    assert looks == Section("What do the denoised scans look like?", pictures=pictures)
    assert list(every.grids) == ["Simulated scans: Caption"]
    assert len(every.grids["Simulated scans: Caption"].rows) == 3
    assert facts == Section("What was run?", grids={"": _facts(given)})
    assert lacks == Section("What is missing?", ["Real scans: these are simulated."])
    for function in ("logged_glance", "logged_pictures"):
        (call,) = record.calls["", function]
        assert (call.run_id, call.scans) == ("parent", SIMULATED)
    page_of(results(title=""))
    assert record.calls["", "to_html"][1].page.title == "power set"


def test_the_plot_has_the_criteria_that_decide_and_the_best_filters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, table = Recorder(monkeypatch), pd.DataFrame({"mean": [0.0, -1.0]}, ["mse", "mae"])
    record.replace(standing_plot, lambda _: "<svg>")
    lead = BaselineLead("median", 25.0, 2.0, 1.0, 3.0)
    findings = Findings(
        scope=Scope(2, 3),
        margins={"psnr": 0.1, "ssim": 0.001, "frc": 0.5},
        leads={"psnr": Leads(None, lead), "ssim": Leads(lead, None)},
    )
    shown = {"psnr": table, "ssim": table + 1, "frc": table + 2}
    monkeypatch.setattr(Findings, "intervals", shown)
    ranking = rank(COMPLETE)
    assert ranking.judged == (Criterion("psnr"), Criterion("ssim"))
    drawn = _plot(ranking, findings)
    assert drawn is not None
    caption, svg = drawn
    assert svg == "<svg>"
    assert caption.startswith("Mean scores less that of the best subset, with 95 % intervals")
    (call,) = record.calls["", "standing_plot"]
    assert list(call.tables) == list(call.margins) == ["PSNR (dB)", "SSIM"]
    assert call.tables["SSIM"].equals(table + 1)
    assert call.margins == {"PSNR (dB)": 0.1, "SSIM": 0.001}
    assert call.names == ["mse", "mae"], "best first, and no filter"
    assert call.filters == {"PSNR (dB)": 25.0}
    monkeypatch.setattr(Findings, "intervals", {"frc": table})
    assert _plot(ranking, findings) is None
