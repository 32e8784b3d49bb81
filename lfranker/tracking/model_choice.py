"""Choice of the registered model for a scan: the winner at the scan's own speed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lfranker.evaluation.criteria import CHAMPION, Criterion
from lfranker.microscopes.reading import ScanMetadata
from lfranker.microscopes.scan_speed import (
    exposure_name,
    known_order,
    nearest_speed,
    vendor_speed_name,
)
from lfranker.tracking.tags import Tag


@dataclass(frozen=True)
class Choice:
    uri: str  # of a fixed version, or of whatever the user named
    model: str  # in words
    reason: str


def choose_model(name: str, criterion: str, scan: ScanMetadata) -> Choice:
    """Choose from model ``name`` the winner in ``criterion`` at the nearest scan speed.

    The champion where the scan does not say how fast it was taken, or no winner is known for any
    speed that can be compared with it. Raises ValueError where nothing is registered.
    """
    try:
        aliases = dict(MlflowClient().get_registered_model(name).aliases)
    except MlflowException as error:
        raise ValueError(
            f"no registered model {name!r}: rank a power set first, or name a model by its URI"
        ) from error
    winners = _by_speed(_as_real_as_the_champion(name, aliases), criterion)
    said = [speed for speed in (exposure_name(scan), vendor_speed_name(scan)) if speed]
    for speed in said:
        comparable = [other for other in winners if known_order([speed, other])]
        if speed in winners or comparable:
            nearest = speed if speed in winners else nearest_speed(speed, comparable)
            how = "" if nearest == speed else f", nearest to {nearest}"
            return _version(name, winners[nearest], f"scanned at {speed}{how}")
    known = ", ".join(winners) or "none"
    why = f"winners are known at {known}" if said else "the file does not say its scan speed"
    reason = f"scanned at {said[0]}, {why}" if said else why
    return _version(name, CHAMPION.alias, reason)


def named_model(uri: str) -> Choice:
    """The model that the user named; an alias or version is resolved, so that it can be noted."""
    found = re.fullmatch(r"models:/([^/@]+)(?:@([^/]+)|/(\d+))", uri)
    if found is None:
        return Choice(uri, uri, "as asked")
    name, alias, number = found.groups()
    if alias is not None:
        return _version(name, alias, "as asked")
    try:
        version = MlflowClient().get_model_version(name, number)
    except MlflowException as error:
        raise ValueError(f"no model at {uri!r}: {error}") from error
    return _choice(version, "as asked")


def _as_real_as_the_champion(name: str, aliases: dict[str, str]) -> dict[str, str]:
    """Leave out winners on simulated scans, once the champion is one on real scans."""
    client = MlflowClient()
    kinds = {
        number: client.get_model_version(name, number).tags.get(Tag.SIMULATED)
        for number in set(aliases.values())
    }
    if kinds.get(aliases.get(CHAMPION.alias, "")) != "false":
        return aliases
    return {alias: number for alias, number in aliases.items() if kinds[number] == "false"}


def _by_speed(aliases: Iterable[str], metric: str) -> dict[str, str]:
    """Return the aliases of the winners in a metric, by the speed at which they won."""
    won = {alias: Criterion.from_alias(alias) for alias in aliases}
    return {c.speed: alias for alias, c in won.items() if c and c.metric == metric and c.speed}


def _version(name: str, alias: str, reason: str) -> Choice:
    try:
        version = MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        raise ValueError(
            f"no model at 'models:/{name}@{alias}': rank a power set first, or name a model by "
            f"its URI ({error})"
        ) from error
    return _choice(version, reason, alias)


def _choice(version: ModelVersion, reason: str, alias: str | None = None) -> Choice:
    uri = f"models:/{version.name}/{version.version}"
    facts = [
        *([f"alias {alias}"] if alias else []),
        *([f"losses {losses}"] if (losses := version.tags.get(Tag.LOSSES)) else []),
        *([f"noise {noise}"] if (noise := version.tags.get(Tag.NOISE)) else []),
        *([f"run {version.run_id}"] if version.run_id else []),
    ]
    return Choice(uri, f"{uri} ({', '.join(facts)})" if facts else uri, reason)
