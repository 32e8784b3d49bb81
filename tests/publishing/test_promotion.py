"""Aliases are taken from versions of other power sets only for a reason."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from recorder import Recorder
from tracked import SCANS, make_child, name_model

from lfranker.evaluation.criteria import ALL_METRICS, CHAMPION
from lfranker.losses.names import LOSS_ORDER
from lfranker.publishing import promotion
from lfranker.publishing.promotion import Gate
from lfranker.publishing.ranking_run import Report, rank_power_set
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.leaderboard import RankConfig
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.power_set import PowerSet, find_training
from lfranker.tracking.registry import Version, Winner
from lfranker.tracking.runs import log_metrics, log_texts, own_run, set_tags
from lfranker.tracking.scores import read_table, score_file
from lfranker.tracking.tags import Tag, metrics_on, outcome_on, scan_set

pytestmark = pytest.mark.usefixtures("unsaid")  # the gate knows nothing of it


def power_set(key: str, kind: str = "real") -> Run:
    with own_run(f"powerset {key}", "powerset") as run:
        tags = {Tag.POWERSET: key, Tag.SCANS: SCANS, scan_set(SCANS): kind}
        set_tags(run.run_id, tags)
    return MlflowClient().get_run(run.run_id)


def log_fields(run: Run, psnr: float, kind: str = "real") -> None:
    luck = 0.02 * np.random.default_rng(int(1000 * psnr)).normal(size=8)
    table = pd.DataFrame({"psnr": psnr + np.arange(8) + luck, "ssim": 0.9 + luck / 100})
    table = table.assign(field=[f"f{n}" for n in table.index], speed="100ns", sample="")
    table["place"] = table["field"]
    path = score_file(ScanSetId(SCANS, kind == "simulated"))
    MlflowClient().log_text(run.info.run_id, table.to_csv(index=False), path)


def rank_one(key: str, psnr: float, *, fields: bool = True, **options: object) -> Report:
    """A power set of one trained subset, ranked."""
    kind = str(options.pop("kind", "real"))
    parent = power_set(key, kind)
    run = make_child(parent, "mae", {"psnr/100ns": psnr, "ssim/100ns": 0.9}, powerset=key)
    name_model(run)
    if fields:
        log_fields(run, psnr, kind)
    config = RankConfig(promote=str(options.pop("promote", "auto")))
    return rank_power_set(parent.info.run_id, "m", None, config, **options)  # type: ignore[arg-type]


def champion() -> str:
    return str(MlflowClient().get_model_version_by_alias("m", "champion").version)


@pytest.mark.parametrize(
    ("psnr", "holder"), [(21.0, "2"), (20.0, "1"), pytest.param(19.0, "1", marks=pytest.mark.slow)]
)
def test_only_a_better_one_takes_the_alias(store: Path, psnr: float, holder: str) -> None:
    rank_one("old", 20.0)
    report = rank_one("new", psnr)
    assert champion() == holder
    stays = [n for n in report.notices if "alias champion stays with version 1: " in n]
    assert len(stays) == (holder == "1")
    assert all("differences (95 %, all together): psnr" in notice for notice in stays)
    assert len(MlflowClient().search_model_versions("name = 'm'")) == 2, "registered all the same"


def refusal(
    monkeypatch: pytest.MonkeyPatch,
    levels: Mapping[tuple[str, int], float],
    repeat: int,
    promote: str = "auto",
    holder_of: str = "others",
    real: tuple[bool, bool] = (True, True),
    short: Collection[str] = (),
) -> str:
    """Why `mae` does not take the alias from a model of 20 dB, by names and repeats of 8 sites.

    ``short``: runs that are demonstrations.
    """
    monkeypatch.setattr(promotion, "is_demonstration", lambda run_id: run_id in short)
    luck = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            (name, own, name != "mae", f"f{n}", f"f{n}", level + n + 0.02 * luck.normal())
            for (name, own), level in levels.items()
            for n in range(8)
        ],
        columns=["name", "repeat", "baseline", "field", "place", "psnr"],
    ).assign(speed="100ns", sample="")
    rows["ssim"] = rows["psnr"] / 100
    sites = [f"f{n}" for n in range(8)]
    old = pd.DataFrame({"field": sites, "place": sites, "psnr": 20.0 + np.arange(8)})
    old = old.assign(speed="100ns", ssim=old["psnr"] / 100)
    monkeypatch.setattr(Gate, "_rows_of_holder", lambda *_: (old, ""))
    members = [SimpleNamespace(run_id="of family")]
    family = cast(PowerSet, SimpleNamespace(members=members, seed=0, order=LOSS_ORDER))
    scans = replace(FIRST, simulated=not real[0])
    gate = Gate(family, PairScores(rows), scans, promote)
    holder = Version("m", "1", f"of {holder_of}", real[1], ("champion",))
    winner = Winner("mae", "own", repeat, "m-1", (CHAMPION,), {}, "")
    return gate.refusal(winner, CHAMPION, holder)


@pytest.mark.parametrize(("psnr", "takes"), [(21.0, True), (19.0, False)])
def test_a_filter_that_is_better_does_not_speak_for_the_winner(
    monkeypatch: pytest.MonkeyPatch, psnr: float, takes: bool
) -> None:
    reason = refusal(monkeypatch, {("mae", 0): psnr, ("gaussian-1", 0): 30.0}, repeat=0)
    assert (reason == "") == takes


@pytest.mark.parametrize(
    ("changes", "takes"),
    [
        ({}, False),
        ({"promote": "always"}, True),
        ({"holder_of": "family"}, True),
        ({"real": (True, False)}, True),
        ({"real": (False, False)}, False),
        ({"short": ["of others"]}, True),
        ({"short": ["of others", "own"]}, False),
        ({"short": ["own"]}, False),
    ],
)
def test_a_worse_one_takes_the_alias_of_its_family_of_simulated_scans_of_a_demo_or_if_told_to(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], takes: bool
) -> None:
    assert (refusal(monkeypatch, {("mae", 0): 19.0}, 0, **changes) == "") == takes


@pytest.mark.parametrize(("repeat", "takes"), [(0, False), (1, True)])
def test_the_repeat_that_would_be_used_is_judged(
    monkeypatch: pytest.MonkeyPatch, repeat: int, takes: bool
) -> None:
    reason = refusal(monkeypatch, {("mae", 0): 19.0, ("mae", 1): 21.5}, repeat)
    assert (reason == "") == takes


@pytest.mark.slow
def test_winners_on_simulated_scans_are_judged_too(store: Path) -> None:
    assert set(rank_one("old", 20.0, kind="simulated").versions.values()) == {"1"}
    report = rank_one("new", 19.0, kind="simulated")
    assert champion() == "1"
    assert any("differences (95 %, all together): psnr" in notice for notice in report.notices)
    assert report.versions == {}, "it has taken none"


@pytest.mark.slow
@pytest.mark.parametrize(("promote", "holder"), [("always", "2"), ("never", "1")])
def test_always_and_never_do_not_look(store: Path, promote: str, holder: str) -> None:
    rank_one("old", 20.0)
    report = rank_one("new", {"always": 19.0, "never": 30.0}[promote], promote=promote)
    assert champion() == holder
    assert any("without aliases, as asked" in n for n in report.notices) == (promote == "never")


@pytest.mark.slow
def test_a_version_of_the_same_power_set_gives_way(store: Path) -> None:
    rank_one("same", 20.0)
    parent = power_set("same")
    run = make_child(parent, "mse", {"psnr/100ns": 20.01, "ssim/100ns": 0.91}, powerset="same")
    name_model(run)
    log_fields(run, 20.01)
    rank_power_set(parent.info.run_id, "m")
    assert champion() == "2"


@pytest.mark.slow
def test_the_one_in_use_is_scored_where_it_was_not(store: Path) -> None:
    rank_one("old", 20.0, fields=False)
    assert "was not scored on these scans" in " ".join(rank_one("new", 21.0).notices)
    assert champion() == "1"
    asked: list[str] = []

    def rescore(version: Version) -> None:
        asked.append(version.number)
        log_fields(MlflowClient().get_run(version.run_id), 20.0)

    rank_one("newer", 21.0, rescore=rescore)
    assert asked == ["1"], "once, whatever the number of aliases"
    assert champion() == "3"


@pytest.mark.slow
def test_scores_by_another_version_of_a_metric_are_not_compared(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder was scored by the first version of PSNR, the winner by the second."""
    rank_one("old", 20.0)
    monkeypatch.setitem(ALL_METRICS, "psnr", replace(ALL_METRICS["psnr"], version=2))
    assert "was not scored on these scans" in " ".join(rank_one("new", 21.0).notices)
    assert champion() == "1"

    def rescore(version: Version) -> None:
        run = MlflowClient().get_run(version.run_id)
        log_fields(run, 22.0)
        set_tags(run.info.run_id, {metrics_on(SCANS): '{"psnr": 2, "ssim": 1}'})

    report = rank_one("newer", 21.0, rescore=rescore)
    assert champion() == "1", "by its new scores it is the better one"
    assert any("differences (95 %, all together): psnr" in notice for notice in report.notices)


def test_one_that_is_scored_anew_is_judged_by_its_new_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, asked = Recorder(monkeypatch), list[Version]()
    record.replace(find_training, lambda _: SimpleNamespace(outdated=lambda *_: True))
    record.replace(read_table, lambda _: "new" if asked else "old")
    holder = Version("m", "1", "of others", True, ("champion",))
    gate = Gate(cast(PowerSet, None), PairScores.none(), FIRST, "auto", asked.append)
    assert gate._rows_of_holder(holder, ("psnr",)) == ("new", "")
    assert asked == [holder]


def test_one_that_cannot_be_scored_stays_and_the_reason_is_told(store: Path) -> None:
    rank_one("old", 20.0, fields=False)

    def rescore(version: Version) -> None:
        raise RuntimeError("not a network")

    report = rank_one("new", 21.0, rescore=rescore)
    assert champion() == "1"
    assert any("RuntimeError: not a network" in notice for notice in report.notices)


FIRST, SECOND = ScanSetId(SCANS, simulated=False), ScanSetId("fedcba9876543210", simulated=False)
SIMULATED = ScanSetId("5" * 16, simulated=True)
SITES, FIELDS, SPEEDS = range(6), range(2), ("100ns", "1us")
LUCK = 0.06  # dB: four standard errors of a difference over 24 pairs
Levels = Mapping[ScanSetId, Sequence[float]]  # PSNR of each repeat


def log_scores(run: Run, scans: ScanSetId, level: float, luck: np.random.Generator) -> None:
    """Scores of two fields at each of six sites, at two speeds, none like another."""
    rows = [
        {"field": f"{site}-{field}", "place": f"site {site}", "sample": "", "speed": speed,
         "psnr": level + site + 0.3 * field + 4 * number + 0.05 * luck.normal(),
         "ssim": 0.5 + level / 100 + site / 500 + 0.05 * number + 0.0005 * luck.normal()}
        for site in SITES for field in FIELDS for number, speed in enumerate(SPEEDS)
    ]  # fmt: skip
    table, run_id = pd.DataFrame(rows), run.info.run_id
    log_texts(run_id, {score_file(scans): table.to_csv(index=False)})
    means = {
        f"{metric}/{speed}": value
        for metric in ("psnr", "ssim")
        for speed, value in table.groupby("speed")[metric].mean().items()
    }
    prefix = find_training(run_id).prefix(scans.digest)
    log_metrics(run_id, {prefix + name: float(value) for name, value in means.items()})
    set_tags(run_id, {outcome_on(scans.digest): "ok"})


def trained(key: str, levels: Levels) -> str:
    """A power set of two repeats and two subsets, of which `mae` is 3 dB better than `mse`."""
    with own_run(f"powerset {key}", "powerset") as parent:
        kinds = {scan_set(s.digest): "simulated" if s.simulated else "real" for s in levels}
        first = next(iter(levels)).digest
        tags = {Tag.POWERSET: key, Tag.LOSS_SET: "mae,mse", Tag.REPEATS: "2", Tag.SCANS: first}
        set_tags(parent.run_id, {**{str(tag): value for tag, value in tags.items()}, **kinds})
    luck = np.random.default_rng(sum(key.encode()))
    for losses, less in {"mae": 0.0, "mse": 3.0}.items():
        for repeat in range(2):
            made = {"powerset": key, "scoring": first, "repeat": str(repeat)}
            run = make_child(MlflowClient().get_run(parent.run_id), losses, {}, **made)
            for scans, values in levels.items():
                log_scores(run, scans, values[repeat] - less, luck)
            if (losses, repeat) == ("mae", 0):
                name_model(run)
    return parent.run_id


def rank_on(parent: str, scans: ScanSetId) -> tuple[str, list[str]]:
    """Rank on one of the scan sets; the version of the champion and why aliases stayed."""
    report = rank_power_set(parent, "m", scans.digest[:8])
    stays = [text for text in report.notices if "alias champion stays with version" in text]
    return champion(), stays


def psnr_difference(notice: str) -> float:
    """Return the middle of the interval that is told."""
    found = re.search(r"psnr (\S+) to ([^,;\s]+)", notice)
    assert found is not None, notice
    return (float(found[1]) + float(found[2])) / 2


@pytest.mark.slow
def test_the_gate_reads_the_scans_that_are_ranked_on_and_no_others(store: Path) -> None:
    """The new one is 2 dB better on the first scans, and 3 dB worse on the second."""
    old = trained("old", {FIRST: (20, 20), SECOND: (24, 24)})
    new = trained("new", {FIRST: (22, 22), SECOND: (21, 21)})
    assert rank_on(old, FIRST) == ("1", [])
    version, (notice,) = rank_on(new, SECOND)
    assert version == "1"
    assert psnr_difference(notice) == pytest.approx(-3, abs=LUCK)
    assert rank_on(new, FIRST) == ("2", [])
    assert rank_on(old, SECOND) == ("1", []), "3 dB better there"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("levels", "holder", "difference"),
    [((19.5, 35), "1", -0.5), ((21, 12), "2", None)],
)
def test_the_gate_reads_the_repeat_whose_model_would_take_the_alias(
    store: Path, levels: tuple[float, float], holder: str, difference: float | None
) -> None:
    """The other repeats, of the new one and of the holder, say the opposite."""
    old = trained("old", {FIRST: (20, 27)})
    new = trained("new", {FIRST: levels})
    rank_on(old, FIRST)
    version, stays = rank_on(new, FIRST)
    assert version == holder
    assert len(stays) == (difference is not None)
    if difference is not None:
        assert psnr_difference(stays[0]) == pytest.approx(difference, abs=LUCK)


@pytest.mark.slow
def test_one_that_was_ranked_on_simulated_scans_gives_way_on_real_ones_only(store: Path) -> None:
    """The holder is better on both scan sets."""
    old = trained("old", {SIMULATED: (20, 20), FIRST: (30, 30)})
    new = trained("new", {FIRST: (22, 22), SIMULATED: (19, 19)})
    assert rank_on(old, SIMULATED) == ("1", [])
    version, (notice,) = rank_on(new, SIMULATED)
    assert version == "1"
    assert psnr_difference(notice) == pytest.approx(-1, abs=LUCK)
    assert rank_on(new, FIRST) == ("2", [])
    version, (notice,) = rank_on(old, SIMULATED)
    assert version == "2"
    assert "it was ranked on real scans, and this ranking is on simulated ones" in notice
    assert rank_on(old, FIRST) == ("1", [])


@pytest.mark.slow
def test_a_holder_without_scores_on_the_scans_that_are_ranked_on_is_scored_there(
    store: Path,
) -> None:
    old = trained("old", {SECOND: (20, 20)})
    new = trained("new", {FIRST: (22, 22), SECOND: (15, 15)})
    rank_on(old, SECOND)
    version, (notice,) = rank_on(new, FIRST)
    assert version == "1"
    assert "was not scored on these scans" in notice
