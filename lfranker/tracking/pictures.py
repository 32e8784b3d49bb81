"""Pictures of the best models beside each other, logged with their power set."""

from collections.abc import Callable
from functools import partial

from mlflow import MlflowClient
from mlflow.entities import Run
from tqdm import tqdm

from lfranker.figures import comparison
from lfranker.images import Image
from lfranker.inference import denoise
from lfranker.keypoints import shared
from lfranker.match_figure import match_figure
from lfranker.ranking import rank
from lfranker.scans import Pair, ScanSet
from lfranker.tracking.models import load_network
from lfranker.tracking.queries import expected, scores

TOP = 3  # models in a strip
MOST = 40  # about as many pairs are pictured, of fields evenly chosen: a second or two each

Function = Callable[[Image], Image]


def log_pictures(parent: Run, scans: ScanSet) -> int:
    """Log a strip and the matched keypoints for each field and speed; how many pairs that were.

    Noisy, the champion and the winners over all speeds, clean, a detail and the difference to the
    clean scan of each.
    """
    networks = _top(parent, scans.digest)
    if not networks:
        return 0
    fields = scans.fields[:: -(-len(scans.records) // MOST)]
    records = [record for record in scans.records if record.field in fields]
    for record in tqdm(records, "pictures", leave=False, unit="scan", disable=None):
        _log(parent.info.run_id, networks, scans.read(record), scans.digest)
    return len(records)


def _top(parent: Run, digest: str) -> dict[str, Function]:
    """Name -> denoiser: the champion, then the winners over all speeds; those with a model."""
    board = scores(parent, digest)
    ranking = rank(board, expected(parent))
    over_all = [name for criterion, name in ranking.winners.items() if "/" not in criterion]
    models = board["model"].to_dict()
    chosen = [name for name in dict.fromkeys([ranking.champion, *over_all]) if name is not None]
    named = [name for name in chosen if models.get(name)][:TOP]
    return {name: partial(denoise, load_network(f"models:/{models[name]}")) for name in named}


def _log(run_id: str, networks: dict[str, Function], pair: Pair, digest: str) -> None:
    client, folder = MlflowClient(), f"pictures/{digest[:8]}"
    file = f"{pair.field}-{pair.speed}.png"
    outputs = {name: network(pair.noisy) for name, network in networks.items()}
    panels = {"noisy": pair.noisy, **outputs, "clean": pair.clean}
    client.log_image(run_id, comparison(panels), artifact_file=f"{folder}/{file}")
    name, output = next(iter(outputs.items()))
    found = shared(output, pair.original, pair.transform, pair.mask)
    drawn = match_figure(name, output, pair.original, found)
    client.log_image(run_id, drawn, artifact_file=f"{folder}/keypoints/{file}")
