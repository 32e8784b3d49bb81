"""Claims: of several commands that take up the same trainings at once, one does, then the next.

A store on this machine is claimed by a lock on a file beside it, which ends with its process. A
server has no locks. There a claim is a tag of the experiment that is free, is written, and a while
later still names who wrote it (Fischer's algorithm): whoever reads and writes within that while
sees that it was overwritten. A claim that does not change for a minute was left by a process that
is gone.

Runs that a killed process left open are ended, and those that another still works on are refused.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lfranker.launching.owners import engine_of, gone, own_name
from lfranker.processes.failures import CommandError
from lfranker.tracking.power_set import Training, search
from lfranker.tracking.runs import OPEN, TrackedRun, abandoned, end_run, get_run
from lfranker.tracking.tags import Tag

try:
    import fcntl
except ImportError:  # Windows, where stores on this machine are claimed as those of a server
    fcntl = None  # type: ignore[assignment]

LOCK = ".lfranker.lock"
CLAIM = "lfranker.claim."  # and the key, on an experiment
SETTLE = 2.0  # seconds between writing a claim and reading it again, at least
PAUSE = 0.5
RENEWED = 10.0  # seconds
STALE = 60.0
LONGEST = 600.0

Renew = Callable[[], None]


@contextmanager
def claimed(experiment: str, key: str) -> Iterator[Renew]:
    """Nobody else takes up trainings with this key while the block runs.

    Call what is yielded now and then: a claim that is not renewed is taken for left behind. Raises
    CommandError where another has it for ten minutes.
    """
    folder = _folder()
    claim = _by_tag(experiment, CLAIM + key) if folder is None else _by_lock(folder / LOCK)
    with claim as renew:
        yield renew


def _folder() -> Path | None:
    """Return the folder of a store that is one of files, and can be locked."""
    uri = mlflow.get_tracking_uri()
    parts = urlsplit(uri)
    if fcntl is None or uri == "databricks" or parts.scheme not in ("", "file", "sqlite"):
        return None
    if parts.scheme == "sqlite":
        return Path(unquote(parts.path.removeprefix("/"))).absolute().parent
    return Path(unquote(parts.path)).absolute()


@contextmanager
def _by_lock(file: Path) -> Iterator[Renew]:
    file.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with file.open("a") as lock:
        while not _locked(lock.fileno()):
            _give_up_after(begun, str(file))
            time.sleep(PAUSE)
        yield lambda: None


def _locked(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _by_tag(experiment: str, tag: str) -> Iterator[Renew]:
    client, mine = MlflowClient(), secrets.token_hex(8)
    _take(client, experiment, tag, mine)
    written = time.monotonic()

    def renew() -> None:
        nonlocal written
        if time.monotonic() - written > RENEWED:
            if not _holder(client, experiment, tag).startswith(mine):
                raise CommandError(
                    "this command was away from the server for so long that another took up the "
                    "same trainings: wait for it, then give the same command again"
                )
            written = time.monotonic()
            client.set_experiment_tag(experiment, tag, f"{mine} {written:.0f}")

    try:
        yield renew
    finally:
        if _holder(client, experiment, tag).startswith(mine):
            client.set_experiment_tag(experiment, tag, "")


def _take(client: MlflowClient, experiment: str, tag: str, mine: str) -> None:
    begun = since = time.monotonic()
    seen = ""
    while True:
        _give_up_after(begun, f"the tag {tag} of experiment {experiment}")
        asked = time.monotonic()
        holder = _holder(client, experiment, tag)
        # a server that was away lets nobody renew a claim
        if holder != seen or time.monotonic() - asked > RENEWED:
            seen, since = holder, time.monotonic()
        free = not holder or time.monotonic() - since > STALE
        if free and _written(client, experiment, tag, mine, holder):
            # where the server is slow, another may take as long to write what it decided to
            time.sleep(max(SETTLE, 4 * (time.monotonic() - asked)))
            if _holder(client, experiment, tag) == mine:
                return
        time.sleep(PAUSE)


def _written(client: MlflowClient, experiment: str, tag: str, mine: str, holder: str) -> bool:
    """Write a claim; False where another than ``holder`` has written one at that very moment.

    A server that is asked for the same new tag twice at once makes it once, and fails once.
    """
    try:
        client.set_experiment_tag(experiment, tag, mine)
    except MlflowException:
        now = _holder(client, experiment, tag)
        if now in ("", holder):
            raise
        return now == mine  # written all the same, where the answer was lost
    return True


def _holder(client: MlflowClient, experiment: str, tag: str) -> str:
    return str(client.get_experiment(experiment).tags.get(tag, ""))


def _give_up_after(begun: float, what: str) -> None:
    if time.monotonic() - begun > LONGEST:
        raise CommandError(
            f"another command has been taking up the same trainings for {LONGEST / 60:g} minutes "
            f"({what}): end it, or wait for it"
        )


def other_owner(run_id: str) -> str:
    """Return the engine's job that has a run, another than this one; "" where none has it."""
    owner = str(get_run(run_id).data.tags.get(Tag.OWNER, ""))
    return owner if engine_of(owner) and owner != own_name() and not gone(owner) else ""


def to_collect(runs: Iterable[Training], engine: str) -> dict[str, str]:
    """Return who does what is left to do for runs, by their IDs: jobs of an engine, alive.

    That is where the command that waited for them has ended. Those that another command waits for
    are left out.
    """
    waited: dict[str, bool] = {}
    found: dict[str, str] = {}
    for run in runs:
        if not engine or engine_of(run.owner) != engine or gone(run.owner):
            continue
        if run.parent_id not in waited:
            waited[run.parent_id] = _is_going_on(run.parent_id)
        if not waited[run.parent_id]:
            found[run.run_id] = run.owner
    return found


def _is_going_on(run_id: str) -> bool:
    """Return whether a command's run is open, and its process not known to be gone."""
    try:
        run = get_run(run_id)
    except ValueError:  # deleted
        return False
    status = run.info.status
    return status in OPEN and not abandoned(status, run.data.tags.get(Tag.OWNER, ""))


def still_open(runs: Collection[TrackedRun]) -> list[TrackedRun]:
    """Return those of the runs that have no final status yet, by two questions for all of them."""
    left = {
        run.info.run_id
        for experiment in {run.experiment_id for run in runs}
        for status in OPEN
        for run in search(f"attributes.status = '{status}'", [experiment])
    }
    return [run for run in runs if run.run_id in left]


def sweep(experiment: str) -> list[str]:
    """End what was left open in an experiment by who is gone; the runs' names."""
    swept = []
    for status in OPEN:
        for run in search(f"attributes.status = '{status}'", [experiment]):
            # only runs of lfranker's own: others in the experiment have no owner tag
            tags = run.data.tags
            if Tag.ROLE in tags and abandoned(run.info.status, tags.get(Tag.OWNER, "")):
                end_run(run.info.run_id, "KILLED", "its process ended without a word")
                swept.append(str(run.info.run_name))
    return swept


def refuse_if_busy(runs: Iterable[Training]) -> None:
    """Raise ValueError naming the first run that is open and not known to be abandoned."""
    for run in runs:
        if run.status in OPEN and not run.abandoned:
            raise ValueError(
                f"{run.title} (run {run.run_id}) is being trained by process "
                f"{run.owner}: wait for it or end that process. If you "
                f"know that it is gone (another machine, a container that is no more): "
                f"--take-over true"
            )
