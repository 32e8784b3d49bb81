"""Winners as versions of a registered model, and the choice of the version for a scan.

Aliases say what each version won; for a scan it is the winner at the scan's own speed.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lfranker.evaluation.criteria import BUNDLED, CHAMPION, Criterion
from lfranker.microscopes.reading import ScanMetadata
from lfranker.microscopes.scan_speed import (
    exposure_name,
    known_order,
    nearest_speed,
    vendor_speed_name,
)
from lfranker.ranking.entrants import Entrant, parts_of
from lfranker.tracking.store import is_unknown
from lfranker.tracking.tags import Tag, used_tag
from lfranker.training.presets import PRESETS

USUAL_NAME = "lfranker"
NOT_IN_NAMES = re.compile(r"""[/:@'"`%#?<>\\\x00-\x1f]""")
LONGEST_NAME = 250  # characters
# Why an alias stays with the version that holds it, empty where it does not.
Refusal = Callable[["Winner", Criterion, "Version"], str]


def checked_model_name(name: str) -> str:
    """Return the name of a registered model. Raises ValueError where it cannot be one.

    MLflow refuses some of these late; others would end an address or a text in a filter.
    """
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(
            f"model_name is {name!r}; allowed are 1 to {LONGEST_NAME} characters, spaces within"
        )
    if found := NOT_IN_NAMES.search(name):
        raise ValueError(f"model_name is {name!r}; {found[0]!r} is not allowed in it")
    return name


@dataclass(frozen=True)
class Version:
    """A version of a registered model, as the rest of lfranker knows it."""

    model: str
    number: str
    run_id: str  # of the training; "" where it does not say
    ranked_on_real_scans: bool
    aliases: tuple[str, ...]

    @property
    def uri(self) -> str:
        return f"models:/{self.model}/{self.number}"


@dataclass(frozen=True)
class Winner:
    """An entrant that won something, as it is to be registered."""

    name: str
    run_id: str
    repeat: int
    model_id: str
    criteria: tuple[Criterion, ...]  # that it won, CHAMPION among them
    scores: Mapping[str, float]
    description: str


def register(
    model: str, winner: Winner, simulated: bool, promote: bool, refusal: Refusal
) -> tuple[Version, list[str]]:
    """Register a winner (once per run) and give it its aliases; returns notices too.

    What was ranked on real scans is not touched by a ranking on simulated ones: neither such a
    version of the same run nor an alias that another such version holds. No alias is given unless
    ``promote``, and none is taken from another version where there is a ``refusal``.
    """
    client = MlflowClient()
    _ensure(client, checked_model_name(model))
    version = _existing(client, model, winner.run_id)
    if simulated and version is not None and _parsed(version).ranked_on_real_scans:
        return _parsed(version), [
            f"{winner.name} is version {version.version} already, ranked on real scans: this "
            f"ranking on simulated ones changes nothing there"
        ]
    tags = _tags(winner, simulated)
    if version is None:
        version = client.create_model_version(
            model, f"models:/{winner.model_id}", winner.run_id, tags, model_id=winner.model_id
        )
    _describe(client, version, tags, winner.description)
    notices = [] if promote else [f"{winner.name} is registered without aliases, as asked"]
    for criterion in winner.criteria if promote else ():
        alias, holder = criterion.alias, _holder(client, model, criterion.alias)
        if holder is not None and holder.number != str(version.version):
            why = "it was ranked on real scans, and this ranking is on simulated ones"
            if not simulated or not holder.ranked_on_real_scans:
                why = refusal(winner, criterion, holder)
            if why:
                notices.append(
                    f"the registered model's alias {alias} stays with version "
                    f"{holder.number}: {why}"
                )
                continue
        client.set_registered_model_alias(model, alias, version.version)
    return _parsed(client.get_model_version(model, version.version)), notices


def _parsed(version: ModelVersion) -> Version:
    real = version.tags.get(Tag.SIMULATED) == "false"
    aliases = tuple(version.aliases)
    return Version(version.name, str(version.version), version.run_id or "", real, aliases)


def _tags(winner: Winner, simulated: bool) -> dict[str, str]:
    """Return the tags of a version: scores, losses, noise and network."""
    entrant = Entrant.parse(winner.name)
    tags = {key.replace("/", "."): f"{value:.6g}" for key, value in winner.scores.items()}
    tags |= {Tag.LOSSES: entrant.subset, Tag.SIMULATED: str(simulated).lower()}
    noise, network = parts_of(entrant.noise)
    tags |= {Tag.NOISE: noise} if noise else {}
    tags |= {Tag.NETWORK: network} if network else {}
    return tags


def _describe(
    client: MlflowClient, version: ModelVersion, tags: Mapping[str, str], description: str
) -> None:
    """Give a version the tags of this ranking, in place of an earlier one's, and a description."""
    name, number = version.name, version.version
    for stale in set(version.tags) - set(tags):
        client.delete_model_version_tag(name, number, stale)
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, number, key, value)
    client.update_model_version(name, number, description)


def _ensure(client: MlflowClient, model: str) -> None:
    try:
        client.get_registered_model(model)
    except MlflowException as error:
        if not is_unknown(error):
            raise
        client.create_registered_model(
            model, description="Denoisers for SEM images, one version per winner of a ranking."
        )


def _existing(client: MlflowClient, model: str, run_id: str) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{model}' AND run_id = '{run_id}'")
    return found[0] if found else None


def _holder(client: MlflowClient, model: str, alias: str) -> Version | None:
    try:
        return _parsed(client.get_model_version_by_alias(model, alias))
    except MlflowException as error:
        if not is_unknown(error):
            raise  # a server that fails has not said that nobody holds it
        return None


@dataclass(frozen=True)
class Choice:
    uri: str  # of a fixed version, or of whatever the user named
    model: str  # in words
    reason: str
    caution: str = ""  # what it is not made for


def choose_model(name: str, criterion: str, scan: ScanMetadata) -> Choice:
    """Choose from model ``name`` the winner in ``criterion`` at the nearest scan speed.

    The champion where the scan does not say how fast it was taken, or no winner is known for any
    speed that can be compared with it. The network that comes with the package where the winner is
    a demonstration, the champion was ranked on simulated scans, or nothing has the usual name.
    Raises ValueError where nothing has another name.
    """
    winner = _winner(name, criterion, scan)
    if not winner.caution:
        return winner
    return bundled(f"since {winner.uri} is {winner.caution.partition(':')[0]}")


def _winner(name: str, criterion: str, scan: ScanMetadata) -> Choice:
    try:
        aliases = dict(MlflowClient().get_registered_model(name).aliases)
    except MlflowException as error:
        if name == USUAL_NAME and is_unknown(error):
            return bundled(f"since no model {name!r} is registered yet")
        raise ValueError(
            f"no registered model {name!r}: rank a power set first, or name a model by its URI"
        ) from error
    if (champion := aliases.get(CHAMPION.alias)) and _ranked_on_simulated(name, champion):
        return bundled(f"since the champion of {name!r} was ranked on simulated scans")
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


def bundled(reason: str) -> Choice:
    """Choose the network that comes with the package."""
    return Choice(BUNDLED, "the network that comes with lfranker", reason)


def _ranked_on_simulated(name: str, number: str) -> bool:
    return MlflowClient().get_model_version(name, number).tags.get(Tag.SIMULATED) == "true"


def named_model(uri: str) -> Choice:
    """The model that the user named; an alias or version is resolved, so that it can be noted."""
    if uri == BUNDLED:
        return bundled("as asked")
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
        *([f"network {network}"] if (network := version.tags.get(Tag.NETWORK)) else []),
        *([f"run {version.run_id}"] if version.run_id else []),
    ]
    caution = _caution(version)
    return Choice(uri, f"{uri} ({', '.join(facts)})" if facts else uri, reason, caution)


def _caution(version: ModelVersion) -> str:
    """Say of a model that it is a demonstration, by the steps of its training; else nothing."""
    if not version.run_id or not is_demonstration(version.run_id):
        return ""
    steps = _steps(version.run_id)
    simulated = version.tags.get(Tag.SIMULATED) == "true"
    return (
        f"a demonstration, trained for {steps} step{'s' * (steps != 1)}"
        f"{' and ranked on simulated scans' * simulated}: expect blur and wrong brightness on "
        f"scans of your own; train one with -P preset=small -P clean=FOLDER -P scans=FOLDER"
    )


def is_demonstration(run_id: str) -> bool:
    """Return whether a run has trained, from nothing, no longer than those of the preset demo."""
    steps = _steps(run_id)
    return steps is not None and steps <= PRESETS["demo"].train.steps


def _steps(run_id: str) -> int | None:
    """Return how long a run has trained, as it was used, from nothing.

    None where it began with weights of another training, or where it is not known any more.
    """
    try:
        run = MlflowClient().get_run(run_id)
    except MlflowException:  # deleted, or on another server
        return None
    if run.data.params.get("initial_weights", "none") != "none":
        return None
    text = run.data.tags.get(used_tag("steps"), run.data.params.get("steps", ""))
    return int(text) if text.isdecimal() else None
