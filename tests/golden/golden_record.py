"""Read all that a golden run left behind, in a form that is the same whenever the results are.

IDs become the names of their runs; times, durations, owners and absolute paths become words.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from PIL import Image

PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"
TIMED = re.compile(r"seconds|duration")  # metrics that only have to exist
DROPPED_TAGS = re.compile(r"mlflow\.(source\..*|user|log-model\.history|loggedImages)")
TEXTS = {".csv", ".json", ".jsonl", ".md", ".tex", ".txt", ".yaml", ".yml", ".html", ".svg"}
PICTURES = {".png", ".tif", ".tiff", ".jpg", ".webp"}
PROGRESS = re.compile(r"\d+%\|.*\|")  # bars of tqdm
SEPARATORS = (r"(?<=</td>)|(?<=</th>)", r"(?<=\|)", "(?<=&)", "(?<=,)")  # HTML, Markdown, TeX, CSV
TIMED_TITLE = re.compile(r"\(s\)|\(s/MP\)|^seconds")
LONGEST_LINE = 2000  # characters; a longer one (a picture in a page) is told by its digest

_REPLACED = [
    (r"data:[\w/+;.-]+,[A-Za-z0-9+/=%]{200,}", lambda m: f"<data {_digest(m[0].encode())}>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "<time>"),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", "<time>"),
    (r"\b\d{8}T\d{6}\b", "<time>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
    (r"(?<![\d.])1[789]\d{11}\b", "<milliseconds>"),
    (re.escape(gettempdir()) + r"/tmp\w{8}\b", "<temporary>"),
    (r"(\d+ d )?\b\d+:\d\d:\d\d\b", "<duration>"),
    (r" +[\d.e-]+ s a step", " <duration> a step"),
    (r"^\[\d+/\d+\]", "[n/m]"),
    (r"(<td>hours of [\w ,]+</td><td>)[\d.]+", r"\1<duration>"),
    (r'("seconds_per_\w+": )[\d.e-]+', r"\1<time>"),
]


class Names:
    """Stable names for what differs from run to run."""

    def __init__(self, runs: list[Run], models: list[LoggedModel], places: Mapping[str, str]):
        self.run_names = _run_names(runs)
        self._known = {run_id: f"<run {name}>" for run_id, name in self.run_names.items()}
        for model in models:
            owner = self.run_names.get(model.source_run_id or "", "?")
            self._known[model.model_id] = f"<model of {owner}>"
        self._known |= places
        longest = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest)))

    def text(self, text: str) -> str:
        """Return the text with names in place of IDs, paths, times and durations."""
        text = self._pattern.sub(lambda match: self._known[match[0]], text)
        for pattern, word in _REPLACED:
            text = re.sub(pattern, word, text, flags=re.MULTILINE)
        return text

    def lines(self, text: str) -> list[str]:
        """Return the lines of a text; of a long one its beginning and its digest."""
        kept = (line.rstrip() for line in text.splitlines() if not PROGRESS.search(line))
        lines = without_timed_columns(self.text("\n".join(kept)).splitlines())
        return [
            line if len(line) <= LONGEST_LINE else f"{line[:200]}... {_digest(line.encode())}"
            for line in lines
        ]


def without_timed_columns(lines: list[str]) -> list[str]:
    """Return the lines of a text with a word in the cells of its tables that are durations."""
    kept, timed, width = [], list[int](), 0
    for line in lines:
        if not line or "<table" in line or "\\begin{tab" in line:
            timed, width = [], 0
        separator = next((s for s in SEPARATORS if len(re.split(s, line)) > 2), "$")
        cells = re.split(separator, line)
        titled = [at for at, cell in enumerate(cells) if TIMED_TITLE.search(cell)]
        if titled:
            timed, width = titled, len(cells)
        elif len(cells) == width:
            cells = ["<time>" if at in timed else cell for at, cell in enumerate(cells)]
        kept.append("".join(cells))
    return kept


def _run_names(runs: list[Run]) -> dict[str, str]:
    """Name every run "parent / name", and "parent / name (2)" where that is taken."""
    by_id = {run.info.run_id: run for run in runs}
    counts, names = Counter[str](), dict[str, str]()

    def path(run: Run) -> str:
        name = run.data.tags.get(NAME, "")
        parent = by_id.get(run.data.tags.get(PARENT, ""))
        return f"{name_of(parent)} / {name}" if parent else name

    def name_of(run: Run) -> str:
        if run.info.run_id not in names:
            name = re.sub(r"models:/m-[0-9a-f]{32}", "models:/m-ID", path(run))
            counts[name] += 1
            names[run.info.run_id] = f"{name} ({counts[name]})" if counts[name] > 1 else name
        return names[run.info.run_id]

    for run in runs:
        name_of(run)
    return names


def record_store(client: MlflowClient, names: Names) -> dict[str, Any]:
    """Return all runs, logged models and registered models of a store."""
    runs, models = all_runs(client), all_models(client)
    return {
        "runs": {names.run_names[run.info.run_id]: _run(client, run, names) for run in runs},
        "logged models": {names.text(model.model_id): _model(model, names) for model in models},
        "registered models": {
            model.name: _registered(client, model.name, names)
            for model in client.search_registered_models()
        },
    }


def all_runs(client: MlflowClient) -> list[Run]:
    """Return all runs in the order in which they began."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def all_models(client: MlflowClient) -> list[LoggedModel]:
    """Return all logged models, oldest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    models = client.search_logged_models(experiments)
    return sorted(models, key=lambda model: model.creation_timestamp)


def _run(client: MlflowClient, run: Run, names: Names) -> dict[str, Any]:
    metrics = {name: _history(client, run.info.run_id, name) for name in sorted(run.data.metrics)}
    tags = {
        name: names.lines(value)
        for name, value in sorted(run.data.tags.items())
        if not DROPPED_TAGS.fullmatch(name)
    }
    owner = [name for name in tags if name.endswith(".owner")]
    datasets = [item.to_dictionary() for item in run.inputs.dataset_inputs]
    return {
        "status": run.info.status,
        "parameters": {k: names.text(v) for k, v in sorted(run.data.params.items())},
        "metrics": metrics,
        "tags": tags | {name: ["<owner>"] for name in owner},
        "datasets": [names.text(json.dumps(item, sort_keys=True)) for item in datasets],
        "artifacts": record_folder(local_path(run.info.artifact_uri), names),
    }


def _history(client: MlflowClient, run_id: str, name: str) -> str:
    points = client.get_metric_history(run_id, name)
    return ", ".join(f"{point.step}: {_value(name, point.value)}" for point in points)


def _value(metric: str, value: float) -> str:
    return "<time>" if TIMED.search(metric) else repr(value)


def _model(model: LoggedModel, names: Names) -> dict[str, Any]:
    return {
        "name": model.name,
        "status": str(model.status),
        "parameters": dict(sorted(model.params.items())),
        "metrics": {m.key: _value(m.key, m.value) for m in model.metrics or ()},
        "tags": {k: names.lines(v) for k, v in sorted(model.tags.items())
                 if not DROPPED_TAGS.fullmatch(k)},
        "artifacts": record_folder(local_path(model.artifact_location), names),
    }  # fmt: skip


def _registered(client: MlflowClient, name: str, names: Names) -> dict[str, Any]:
    model = client.get_registered_model(name)
    versions = client.search_model_versions(f"name = '{name}'")
    return {
        "aliases": {alias: str(number) for alias, number in sorted(model.aliases.items())},
        "tags": {k: names.lines(v) for k, v in sorted(model.tags.items())},
        "description": names.lines(model.description or ""),
        "versions": {
            str(version.version): {
                "run": names.text(version.run_id or ""),
                "source": names.text(version.source or ""),
                "description": names.lines(version.description or ""),
                "tags": {k: names.lines(v) for k, v in sorted(version.tags.items())},
            }
            for version in sorted(versions, key=lambda version: int(version.version))
        },
    }


def record_folder(folder: Path, names: Names) -> dict[str, Any]:
    """Return what is in each file below a folder, by its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found: dict[str, Any] = {}
    for path in files:
        name = names.text(path.relative_to(folder).as_posix())
        found[name] = record_file(path, names)
    return found


def record_file(path: Path, names: Names) -> Any:
    """Return a text's lines, a picture's pixels as a digest, the digest of weights."""
    if path.suffix in PICTURES:
        return picture_digest(path)
    if path.suffix in TEXTS or path.name == "MLmodel":
        return names.lines(path.read_text(encoding="utf-8"))
    if path.suffix in (".safetensors", ".npy"):
        return _digest(path.read_bytes())
    return "(is there)"


def picture_digest(path: Path) -> str:
    """Return size, mode and digest of a picture's pixels."""
    with Image.open(path) as image:
        pixels = np.asarray(image)
        return f"{pixels.dtype} {pixels.shape} {_digest(np.ascontiguousarray(pixels).tobytes())}"


def tiff_tags(path: Path, names: Names) -> dict[str, Any]:
    """Return all tags of a TIFF but those that say where its pixels lie."""
    with Image.open(path) as image:
        tags = getattr(image, "tag_v2", {})
        return {str(k): names.text(str(v)) for k, v in sorted(tags.items()) if k not in (273, 279)}


def local_path(uri: str) -> Path:
    """Return the folder that a file URI, or a path, names."""
    parsed = urlparse(uri)
    return Path(url2pathname(parsed.path)) if parsed.scheme == "file" else Path(uri)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
