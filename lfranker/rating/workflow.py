"""Sheets for people to rate, and what they say: keys and ratings are artifacts of a power set."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import PIL.Image
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.baselines import BASELINES, Function, best_filter
from lfranker.evaluation.criteria import NOISY
from lfranker.ranking.leaderboard import rank
from lfranker.rating.ratings import (
    UNBLINDED,
    Rating,
    check_ratings,
    merged,
    parse_ratings,
    read_ratings,
    to_csv,
    unblinded,
    visual_scores,
)
from lfranker.rating.sheet_files import RATINGS, check_folder, write_sheets
from lfranker.rating.sheets import Key, SheetConfig, Shown, draw, plan_sheets, read_key
from lfranker.scans.preparation import ScanSet, read_scans
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.runs import (
    TrackedRun,
    list_files,
    list_folders,
    log_metrics,
    log_texts,
    read_texts,
)
from lfranker.tracking.scores import scores

FOLDER = "visual"  # among the artifacts: FOLDER/ID/KEY, FOLDER/ID/RATINGS
KEY = "key.json"


def make_sheets(
    parent_id: str | None, scans: str | None, cache: Path, folder: Path, config: SheetConfig
) -> Key:
    """Write blinded sheets of the best subsets into ``folder``, and their key to the power set.

    Shown are the first by mean rank among those that are ok and have a logged model; the noisy
    input and the best filter that needs no tuning, where they were scored. Raises ValueError.
    """
    check_folder(folder)
    power_set = load_power_set(parent_id)
    digest = power_set.scan_set(scans).digest
    prepared = _prepared(cache, digest, power_set)
    board = scores(power_set, digest)
    models = _best_models(board, power_set, config.shown)
    beside = [best_filter(board), NOISY if NOISY in board.index else None]
    filters = {name: BASELINES[name] for name in beside if name is not None}
    runs = board["run_id"].to_dict()
    shown = {name: Shown(str(runs[name]), name in filters) for name in [*models, *filters]}
    sheets = plan_sheets(prepared.records, list(shown), config, power_set.seed)
    key = Key(digest, shown, sheets)
    networks = {
        name: partial(denoise, load_network(f"models:/{model}")) for name, model in models.items()
    }
    # first: sheets without a key are worth nothing
    log_texts(power_set.run_id, {f"{FOLDER}/{key.id}/{KEY}": key.to_json()})
    write_sheets(folder, key, _drawn(key, prepared, {**networks, **filters}))
    return key


def take_ratings(parent_id: str | None, scans: str | None, path: Path) -> list[str]:
    """Keep the ratings in a file or folder with the power set, and log what they come to.

    Nothing is kept unless all is right: ValueError names file and line. The same ratings again
    change nothing; those of others are added. Returns what was done, in sentences.
    """
    read = read_ratings(path)
    power_set = load_power_set(parent_id)
    digest = power_set.scan_set(scans).digest
    keys = _keys(power_set)
    for rating in read:
        if rating.id not in keys:
            known = ", ".join(keys) or "none"
            raise ValueError(
                f"{rating.where}: {rating.sheet} is no sheet of power set {power_set.run_id}, "
                f"whose sets are: {known}"
            )
        if keys[rating.id].scans != digest:
            other = keys[rating.id].scans[:8]
            raise ValueError(
                f"{rating.where}: {rating.sheet} shows scans {other}, not {digest[:8]}: give "
                f"--scans {other}"
            )
    texts, said = {}, []
    for set_id in dict.fromkeys(rating.id for rating in read):
        new = [rating for rating in read if rating.id == set_id]
        check_ratings(new, keys[set_id])
        known_before = _stored(power_set, set_id)
        together = merged(known_before, new)
        texts[f"{FOLDER}/{set_id}/{RATINGS}"] = to_csv(together)
        added = len(together) - len(known_before)
        said.append(f"sheets {set_id}: {len(new)} ratings read, {added} of them new")
    log_texts(power_set.run_id, texts)
    _log_scores(power_set, digest)
    return said


def ratings_of(
    power_set: TrackedRun, scans: ScanSetId, runs: Iterable[str] | None = None
) -> pd.DataFrame:
    """All ratings on the scan set, as of `ratings.unblinded`; empty where there are none.

    ``runs``: of these alone, where networks were trained anew after some were rated.
    """
    found = [
        unblinded(_stored(power_set, set_id), key)
        for set_id, key in _keys(power_set).items()
        if key.scans == scans.digest
    ]
    shown = [rows for rows in found if not rows.empty]
    rows = pd.concat(shown, ignore_index=True) if shown else pd.DataFrame(columns=list(UNBLINDED))
    return rows if runs is None else rows[rows["run"].isin(set(runs))]


def _log_scores(power_set: PowerSet, digest: str) -> None:
    """Log scores of the runs still there; what they have already is not logged again."""
    runs = {run.run_id: run for run in power_set.members}
    rated = visual_scores(ratings_of(power_set, power_set.scan_set(digest), runs))
    for run_id, values in rated.items():
        prefix, known = runs[run_id].prefix(digest), runs[run_id].metrics
        named = {prefix + name: value for name, value in values.items()}
        if changed := {k: v for k, v in named.items() if known.get(k) != v}:
            log_metrics(run_id, changed)


def _prepared(cache: Path, digest: str, power_set: PowerSet) -> ScanSet:
    folder = cache / "scans" / digest[:16]
    try:
        found = read_scans(folder)
        if found.digest == digest:
            return found
        reason = f"{folder} holds scans {found.digest[:8]}"
    except ValueError as error:
        reason = str(error)
    raise ValueError(
        f"--cache {cache}: the scans {digest[:8]} that the power set was scored on are not there "
        f"({reason}); give the cache folder that it was made with, or prepare them again: "
        f"`mlflow run . -e evaluate --env-manager local -P parent={power_set.run_id} -P "
        f"scans=FOLDER`"
    )


def _best_models(board: pd.DataFrame, power_set: PowerSet, count: int) -> dict[str, str]:
    """Name -> ID of its logged model."""
    ordered = rank(board, power_set.expected, order=power_set.order).leaderboard
    fit = ordered[~ordered["baseline"] & ordered["outcome"].eq("ok")]
    models = {str(name): str(model) for name, model in fit["model"].fillna("").items() if model}
    if len(models) < 2:
        raise ValueError(
            f"power set {power_set.run_id} has {len(models)} subsets that are ok and have a "
            f"logged model; people can compare 2 or more"
        )
    return dict(list(models.items())[:count])


def _drawn(
    key: Key, scans: ScanSet, functions: dict[str, Function]
) -> Iterator[tuple[str, PIL.Image.Image]]:
    records = {(record.field, record.speed): record for record in scans.records}
    with tqdm(total=len(key.sheets) * len(key.shown), desc="denoising", disable=None) as bar:
        for name, sheet in key.named().items():
            pair = scans.read(records[sheet.field, sheet.speed])
            outputs: list[Image] = []
            for shown in sheet.panels:
                outputs.append(functions[shown](pair.noisy))
                bar.update()
            yield name, draw(name, pair, outputs)


def _keys(power_set: TrackedRun) -> dict[str, Key]:
    """Read the keys by the ID of their set, of all scans."""
    folders = list_folders(power_set.run_id, FOLDER)
    keys = (read_key(_text(power_set, f"{folder}/{KEY}")) for folder in folders)
    return {key.id: key for key in keys}


def _stored(power_set: TrackedRun, set_id: str) -> list[Rating]:
    folder = f"{FOLDER}/{set_id}"
    if f"{folder}/{RATINGS}" not in list_files(power_set.run_id, folder):
        return []
    return parse_ratings(_text(power_set, f"{folder}/{RATINGS}"), f"{folder}/{RATINGS}")


def _text(power_set: TrackedRun, path: str) -> str:
    (text,) = read_texts([(power_set, path)])
    if text is None:
        raise ValueError(f"{path} of run {power_set.run_id} cannot be read")
    return text
