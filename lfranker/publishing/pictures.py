"""Pictures of the best models beside each other, logged with their power set."""

import io
from collections.abc import Collection
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import PIL.Image
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.baseline_tuning import as_tuned
from lfranker.evaluation.baselines import BASELINES, Function, best_filter, families
from lfranker.evaluation.keypoints import shared
from lfranker.evaluation.metrics import psnr
from lfranker.evaluation.scoring import Denoiser, of_noisy
from lfranker.images.image_strips import INSET_ZOOM, comparison, glance, strip
from lfranker.microscopes.scan_speed import speed_key
from lfranker.ranking.leaderboard import rank
from lfranker.report.plots import match_figure
from lfranker.scans.preparation import Pair, ScanSet
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, settings_used
from lfranker.tracking.runs import NOT_FETCHED, download, list_files_below, log_image
from lfranker.tracking.scores import scores
from lfranker.tracking.tags import name_of

TOP = 3  # models in a strip
SHOWN = 3  # strips on the page of the ranking
FORMER_KEYPOINTS = "keypoints"  # folder among the strips, of matched keypoints in earlier versions
MOST_PAIRS = 40  # about as many pairs are pictured, of fields evenly chosen: a second or two each


def log_pictures(power_set: PowerSet, scans: ScanSet) -> int:
    """Log a strip and the matched keypoints for each field and speed; how many pairs that were.

    Noisy, the best filter that needs no tuning, the champion and the winners over all speeds,
    clean, a detail and the difference to the clean scan of each; without clean scans neither
    differences nor keypoints.
    """
    board = scores(power_set, scans.digest)
    networks, untuned = _top(board, power_set), best_filter(board)
    if not networks:
        return 0
    filters = {untuned: BASELINES[untuned]} if untuned else {}
    fields = scans.fields[:: -(-len(scans.records) // MOST_PAIRS)]
    records = [record for record in scans.records if record.field in fields]
    glanced = min(
        (record for record in records if record.field == fields[len(fields) // 2]),
        key=lambda record: speed_key(record.speed),
    )
    rival = _best_of_all(board, scans) or {
        f"{name} (best filter without tuning)": of_noisy(function)
        for name, function in filters.items()
    }
    _log_glance(power_set.run_id, networks, rival, scans.read(glanced), scans.id)
    for record in tqdm(records, "pictures", leave=False, unit="scan", disable=None):
        _log(power_set.run_id, networks, filters, scans.read(record), scans.id)
    return len(records)


def logged_pictures(run_id: str, scans: ScanSetId) -> dict[str, bytes]:
    """A few of the strips that were logged with a power set, as JPEG by caption."""
    folder = f"pictures/{scans.short}"
    found = list_files_below(run_id, folder)  # that of a sample group lies in a folder of its own
    files = [
        file
        for file in found
        if not NOT_FETCHED.search(file) and not _shows_keypoints(file, folder, found)
    ]
    shown = files[:: -(-len(files) // SHOWN)] if files else []
    return {
        name_of(file.removeprefix(f"{folder}/").removesuffix(".png")): _jpeg(run_id, file)
        for file in shown
    }


def logged_glance(run_id: str, scans: ScanSetId) -> tuple[str, bytes] | None:
    """The strip that `log_pictures` logged for the first screen, with its caption; or None."""
    files = list_files_below(run_id, _glances(scans))
    if not files:
        return None
    name = name_of(files[0].removeprefix(f"{_glances(scans)}/").removesuffix(".png"))
    field, _, speed = name.rpartition("-")
    caption = (
        f"Field {field} at {speed}, on one gray scale, with the PSNR of each where there is a "
        f"clean scan; the filter has the best mean over all scans. Insets: the framed detail, "
        f"{INSET_ZOOM} times as large, not interpolated."
    )
    return caption, _jpeg(run_id, files[0])


def _shows_keypoints(file: str, folder: str, strips: Collection[str]) -> bool:
    """Return whether a picture is one of keypoints, beside its strip, as earlier versions had it.

    A group of fields may be called so too.
    """
    former = f"{folder}/{FORMER_KEYPOINTS}/"
    return file.startswith(former) and f"{folder}/{file.removeprefix(former)}" in strips


def _keypoints(scans: ScanSetId) -> str:
    return f"pictures/{scans.short}-keypoints"


def _glances(scans: ScanSetId) -> str:
    return f"pictures/{scans.short}-glance"


def _jpeg(run_id: str, file: str) -> bytes:
    with TemporaryDirectory() as where:
        path = download(run_id, file, Path(where))
        with PIL.Image.open(path) as picture, io.BytesIO() as out:
            picture.convert("RGB").save(out, "JPEG", quality=85)
            return out.getvalue()


def _top(board: pd.DataFrame, power_set: PowerSet) -> dict[str, Function]:
    """Name -> denoiser: the champion, then the winners over all speeds; those with a model."""
    ranking = rank(board, power_set.expected, order=power_set.order)
    over_all = [name for criterion, name in ranking.winners.items() if not criterion.speed]
    models = board["model"].to_dict()
    chosen = [name for name in dict.fromkeys([ranking.champion, *over_all]) if name is not None]
    named = [name for name in chosen if models.get(name)][:TOP]
    return {name: partial(denoise, load_network(f"models:/{models[name]}")) for name in named}


def _log_glance(
    run_id: str,
    networks: dict[str, Function],
    rival: dict[str, Denoiser],
    pair: Pair,
    scans: ScanSetId,
) -> None:
    name, network = next(iter(networks.items()))
    made = {
        "noisy": pair.noisy,
        **{own: denoiser(pair) for own, denoiser in rival.items()},
        f"{name} (champion)": network(pair.noisy),
    }
    panels = {f"{title}{_scored(image, pair)}": image for title, image in made.items()}
    panels |= pair.references
    log_image(run_id, glance(panels), f"{_glances(scans)}/{pair.field}-{pair.speed}.png")


def _scored(image: Image, pair: Pair) -> str:
    """Write the PSNR of an image of this pair, where there is a clean one: ", 30.1 dB"."""
    if not pair.references:
        return ""
    return f", {psnr(np.clip(image, 0, 1), pair.clean, pair.mask):.1f} dB"


def _best_of_all(board: pd.DataFrame, scans: ScanSet) -> dict[str, Denoiser]:
    """Return the best of all filters, tuned as it was scored; {} where that is not known."""
    best = best_filter(board, map(str, board.index[board["baseline"].eq(True)]))
    if best is None:
        return {}
    if best in BASELINES:
        return {f"{best} (best filter)": of_noisy(BASELINES[best])}
    family = families().get(best)
    if family is None:
        return {}
    tuned = as_tuned(family, scans, settings_used(str(board.at[best, "run_id"])))
    return {f"{best} (best filter)": tuned} if tuned else {}


def _log(
    run_id: str,
    networks: dict[str, Function],
    filters: dict[str, Function],
    pair: Pair,
    scans: ScanSetId,
) -> None:
    folder = f"pictures/{scans.short}"
    file = f"{pair.field}-{pair.speed}.png"
    outputs = {name: network(pair.noisy) for name, network in networks.items()}
    filtered = {name: function(pair.noisy) for name, function in filters.items()}
    panels = {"noisy": pair.noisy, **filtered, **outputs, **pair.references}
    if not pair.references:
        log_image(run_id, strip(panels), f"{folder}/{file}")
        return
    log_image(run_id, comparison(panels), f"{folder}/{file}")
    name, output = next(iter(outputs.items()))
    found = shared(output, pair.original, pair.transform, pair.mask)
    drawn = match_figure(name, output, pair.original, found)
    log_image(run_id, drawn, f"{_keypoints(scans)}/{file}")
