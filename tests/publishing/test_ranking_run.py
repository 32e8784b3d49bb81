"""What a ranking is made of: every part gets what belongs to it, and its result is kept."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from recorder import Recorder

from lfranker.publishing.artifacts import texts_of
from lfranker.publishing.note_and_marks import mark_children, write_note
from lfranker.publishing.promotion import Gate, score_version
from lfranker.publishing.ranking_run import (
    CAPTIONS,
    add_findings,
    leaderboard_caption,
    rank_power_set,
)
from lfranker.publishing.report_page import Results, page_of
from lfranker.publishing.winners import register_winners
from lfranker.ranking.along_training import along_training
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.leaderboard import RankConfig, rank
from lfranker.rating.analysis import find_ratings, ratings_section
from lfranker.rating.workflow import ratings_of
from lfranker.report.findings import Findings, Scope, find
from lfranker.report.first_screen import filter_caveats, speed_caveats
from lfranker.report.html_page import Section
from lfranker.report.noise import find_noises
from lfranker.report.remarks import better_filters, caveats, remarks, shortcomings, site_caveats
from lfranker.report.sections import sections
from lfranker.report.tables import to_markdown
from lfranker.scans.scan_set import ScanSet, ScanSetId
from lfranker.tracking.follow_ups import checked, curve_of, refined
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.registry import Version
from lfranker.tracking.runs import log_texts
from lfranker.tracking.score_logging import score_run
from lfranker.tracking.scores import (
    by_sample,
    combined_gradient_shares,
    field_scores,
    field_scores_at,
    noisy_scans_and_images,
    read_scan_table,
    scores,
)

OWN, OTHER = ScanSetId("a" * 16, simulated=False), ScanSetId("b" * 16, simulated=True)
BOARD = pd.DataFrame(
    {"psnr": [30.0, 31.0], "ssim": [0.8, 0.9], "perceptual": "none", "run_id": ["r1", "r2"]},
    index=["mae", "mse"],
)
RANKING = rank(BOARD[["psnr", "ssim"]])
CONFIG = RankConfig({"psnr": 0.2, "visual": 0.7}, {"psnr": 3.0}, "always")


def power_set(**changes: Any) -> PowerSet:
    known = {
        "run_id": "parent",
        "expected": ["mae", "mse", "mae+mse"],
        "order": ("mse", "mae"),
        "seed": 7,
        "unreadable": ("one run cannot be read",),
        "settings": {"steps": "9", "vary_data": "True"},
        "loss_set": ("mae", "mse"),
        "stops": {"mae": "stop"},
        "saved": 0.25,
        "scan_set": lambda digest=None: OWN if digest is None else OTHER,
    }
    return cast(PowerSet, SimpleNamespace(**{**known, **changes}))


class Made:
    """All that the parts of a ranking give, each unlike any other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, leads: Sequence[str] = ()) -> None:
        self.power_set, self.record = power_set(), Recorder(monkeypatch)
        self.pairs, self.by_length, self.ratings = object(), object(), object()
        self.samples = {"tin": rank(BOARD[["psnr"]])}
        self.along, self.rows = object(), object()
        self.steps = [Findings(subsets=at) for at in range(3)]
        self.found = Findings(subsets=9, leads=cast(Any, dict.fromkeys(leads, None)))
        self.section, self.seen = Section("a?", ["A.", "B."]), Section("b?", ["C."])
        answers: dict[Any, Any] = {
            load_power_set: self.power_set,
            scores: BOARD,
            rank: RANKING,
            field_scores: self.pairs,
            by_sample: self.samples,
            find: self.steps[0],
            find_noises: self.steps[1],
            add_findings: self.steps[2],
            field_scores_at: self.by_length,
            along_training: self.along,
            ratings_of: self.ratings,
            find_ratings: SimpleNamespace(added_to=self.with_ratings),
            sections: [self.section],
            ratings_section: self.seen,
            register_winners: ({"champion": "3"}, ["it is version 3"]),
            to_markdown: "table",
            caveats: ["too short"],
            speed_caveats: ["noisy at a"],
            filter_caveats: ["no better"],
            better_filters: ["a filter is better"],
            read_scan_table: self.rows,
            noisy_scans_and_images: (["1", "2"], frozenset("2")),
            site_caveats: ["sites are assumed"],
            remarks: ["one is missing"],
            texts_of: {"a.csv": "a"},
            page_of: "page",
        }
        for function, answer in answers.items():
            self.record.replace(function, lambda _, answer=answer: answer)
        for function in (log_texts, write_note, mark_children):
            self.record.replace(function, lambda _: None)

    def with_ratings(self, findings: Findings) -> Findings:
        self.rated = findings
        return self.found

    def arguments(self, function: str) -> dict[str, Any]:
        (call,) = self.record.calls["", function]
        return vars(call)


def check_same(got: dict[str, Any], **expected: object) -> None:
    """The arguments are these very objects, or equal to them."""
    assert set(got) == set(expected)
    for name, value in expected.items():
        assert got[name] is value or got[name] == value, name


def test_each_part_of_a_ranking_gets_what_belongs_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch)
    own, names, order = made.power_set, ["mae", "mse", "mae+mse"], ("mse", "mae")
    rank_power_set("asked", "model", None, CONFIG, print)
    check_same(made.arguments("load_power_set"), run_id="asked")
    check_same(made.arguments("scores"), power_set=own, digest=OWN.digest)
    call = made.arguments("rank")
    assert (call["expected"], call["order"], call["weights"]) == (names, order, {"psnr": 3.0})
    assert call["scores"] is BOARD
    for function in (
        "field_scores",
        "read_scan_table",
        "noisy_scans_and_images",
    ):
        check_same(made.arguments(function), power_set=own, scans=OWN)
    check_same(made.arguments("field_scores_at"), power_set=own, scans=OWN, whole=made.pairs)
    check_same(made.arguments("by_sample"), pairs=made.pairs, weights={"psnr": 3.0}, order=order)
    margins = CONFIG.equivalence
    check_same(
        made.arguments("find"), pairs=made.pairs, ranking=RANKING, samples=made.samples,
        equivalence=margins, names=names, seed=7, order=order,
    )  # fmt: skip
    first, second, third = made.steps
    check_same(made.arguments("find_noises"), findings=first, pairs=made.pairs, names=names, seed=7)
    check_same(
        made.arguments("add_findings"), findings=second, power_set=own, ranking=RANKING,
        pairs=made.pairs, scans=OWN, equivalence=margins,
    )  # fmt: skip
    check_same(
        made.arguments("along_training"), by_length=made.by_length, equivalence=margins, seed=7,
        order=order,
    )  # fmt: skip
    assert made.rated == replace(third, along=made.along)
    ratings = made.arguments("ratings_of")
    assert (ratings["power_set"], ratings["scans"]) == (own, OWN)
    assert list(ratings["runs"]) == ["r1", "r2"]
    check_same(made.arguments("find_ratings"), rows=made.ratings, margin=0.7, seed=7)
    check_same(made.arguments("sections"), ranking=RANKING, findings=made.found)
    gate = Gate(own, cast(PairScores, made.pairs), OWN, "always", print)
    check_same(
        made.arguments("register_winners"), board=BOARD, ranking=RANKING, model="model", gate=gate
    )


def test_what_a_ranking_found_is_written_and_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch)
    report = rank_power_set("asked", "model", None, CONFIG)
    check_same(made.arguments("caveats"), settings=made.power_set.settings, loss_set="mae,mse")
    notices = ["one run cannot be read", "it is version 3"]
    seen = (
        "1 of the 2 noisy scans that are scored is among those trained on, without their clean "
        "ones: other scans may be denoised less well."
    )
    minded = [
        "noisy at a",
        "a filter is better",
        seen,
        "too short",
        "sites are assumed",
        "one is missing",
    ]
    said = [made.section, made.seen]
    call = made.arguments("texts_of")
    results = cast(Results, call["results"])
    assert call["versions"] == {"champion": "3"}
    there = [CAPTIONS[name] for name in ("table2", "table5")]  # no scores of single speeds
    first = leaderboard_caption(results.ranking)
    assert list(results.captioned) == [first, *there, "Sample group tin"]
    kept = {name: value for name, value in vars(results).items() if name != "captioned"}
    check_same(
        kept, power_set=made.power_set, board=BOARD, ranking=RANKING, pairs=made.pairs,
        findings=made.found, sections=said, caveats=minded, notices=notices, scans=OWN,
    )  # fmt: skip
    assert made.arguments("page_of")["results"] is results
    markdown = "\n\n".join(["table"] * len(results.captioned))
    files = {"a.csv": "a", "ranking.md": markdown, "ranking.html": "page"}
    check_same(
        made.arguments("log_texts"), run_id="parent",
        texts={f"ranking/{name}": text for name, text in files.items()},
    )  # fmt: skip
    check_same(
        made.arguments("write_note"), power_set=made.power_set, ranking=RANKING, simulated=False,
        findings=made.found, caveats=minded, sections=said, notices=notices,
    )  # fmt: skip
    check_same(made.arguments("mark_children"), power_set=made.power_set, ranking=RANKING)
    check_same(
        vars(report), parent="parent", ranking=RANKING, simulated=False,
        versions={"champion": "3"}, notices=("A.", "B.", "C.", *notices), findings=made.found,
        to_mind=tuple(minded), registration=tuple(notices),
    )  # fmt: skip


def test_a_ranking_on_other_scans_has_a_folder_of_its_own_and_no_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Made(monkeypatch, leads=["psnr"])
    report = rank_power_set(None, "model", "bbbb")
    assert report.simulated
    assert set(made.arguments("log_texts")["texts"]) == {
        f"ranking-{OTHER.short}/{name}" for name in ("a.csv", "ranking.md", "ranking.html")
    }
    assert {call.simulated for call in made.record.calls["", "to_markdown"]} == {True}
    assert made.arguments("field_scores")["scans"] == OTHER
    results = made.arguments("texts_of")["results"]
    assert results.caveats[1] == "no better", "by intervals, where there are some"
    assert not {"write_note", "mark_children"} & {name for _, name in made.record.calls}


def test_findings_get_what_the_server_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    record, own, pairs, rows = Recorder(monkeypatch), power_set(), object(), object()
    shares = pd.DataFrame({"mae": [0.25, np.nan], "mse": [0.75, np.nan], "tv": np.nan},
                          index=["mae+mse", "mae+tv"])  # fmt: skip
    seeds = list[int]()

    def result(seed: int) -> tuple[str, object]:
        seeds.append(seed)
        return "outcome", rows

    record.replace(combined_gradient_shares, lambda _: shares)
    record.replace(refined, lambda _: SimpleNamespace(result=result))
    record.replace(checked, lambda _: "checked")
    record.replace(curve_of, lambda _: "curve")
    record.replace(shortcomings, lambda _: ["train for 9 steps"])
    before = Findings(scope=Scope(2, 3), subsets=5)
    found = add_findings(before, own, RANKING, cast(PairScores, pairs), OTHER, {"psnr": 0.1})
    known = found.shares
    assert known is not None
    assert known.to_dict("index") == {"mae+mse": {"mae": 0.25, "mse": 0.75}}
    assert known.index.name == "losses"
    expected = replace(
        before, scope=Scope(2, 3, True), shares=known, unmeasured=1,
        learning_rate=cast(Any, "checked"), too_short=True, stops=own.stops, saved=0.25,
        own_scans=cast(Any, "curve"),
        search=cast(Any, "outcome"), search_trials=cast(Any, rows),
    )  # fmt: skip
    check_same(vars(found), **vars(expected))
    assert seeds == [7]
    (call,) = record.calls["", "combined_gradient_shares"]
    assert call.names == list(RANKING.leaderboard.index)
    (call,) = record.calls["", "refined"]
    check_same(vars(call), power_set=own, pairs=pairs, scans=OTHER)
    (call,) = record.calls["", "checked"]
    check_same(vars(call), power_set=own, scans=OTHER, margins={"psnr": 0.1})
    (call,) = record.calls["", "curve_of"]
    check_same(vars(call), power_set=own, scans=OTHER, margins={"psnr": 0.1})


def test_findings_stay_empty_where_the_server_knows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = Recorder(monkeypatch)
    record.replace(combined_gradient_shares, lambda _: pd.DataFrame(index=["mae+mse"]))
    for function in (refined, checked, curve_of):
        record.replace(function, lambda _: None)
    own = power_set(settings={}, stops={}, saved=0.0)
    found = add_findings(Findings(), own, RANKING, PairScores.none(), OWN, {})
    assert (found.shares, found.unmeasured, found.scope, found.too_short) == (None, 1, None, False)
    assert (found.search, found.search_trials, found.learning_rate) == (None, None, None)
    assert found.own_scans is None


def test_a_version_is_scored_by_its_own_model_in_its_own_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, scans = Recorder(monkeypatch), cast(ScanSet, object())
    record.replace(load_network, lambda _: None)
    record.replace(score_run, lambda _: "ok")
    score_version(Version("m", "4", "its run", True, ()), scans)
    assert record.at("load_network", "uri") == "models:/m/4"
    assert record.at("score_run", "run_id") == "its run"
    assert record.at("score_run", "scans") is scans
