"""Commands, servers and functions in processes of their own, which start in milliseconds.

They are copies of one process, which has imported torch, MLflow and the project: seconds of each
test that needs a process to kill, to stop or to talk to, and not a fresh interpreter.
"""

import atexit
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from project import FILTERS, ROOT, SLOW, UNSCORED, environment_without

from lfranker.child_runs import worker
from lfranker.evaluation.baselines import BASELINES, FAMILIES
from lfranker.evaluation.metrics import METRICS
from lfranker.processes import jobs, template
from lfranker.processes.template import Copy, Request, Template
from lfranker.publishing import winners
from lfranker.report import plots

TESTS = Path(__file__).parent


class Started:
    """A process that was started, and what it said."""

    def __init__(self, copy: Copy, log: Path) -> None:
        self._copy, self._log = copy, log
        self.pid = copy.pid

    @property
    def said(self) -> str:
        return self._log.read_text()

    def poll(self) -> int | None:
        return self._copy.poll()

    def wait(self, timeout: float) -> int:
        """Return its exit code once it has ended; it is an error if that takes longer."""
        try:
            return self._copy.wait(timeout)
        except TimeoutExpired:
            self.kill()
            raise AssertionError(f"it has not ended in {timeout} s; it said {self.said}") from None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and what it started in its session, if it is still there."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._copy.wait(60)


def start_command(
    module: str, words: Sequence[str], environment: Mapping[str, str], log: Path
) -> Started:
    """Run `python -m MODULE WORDS`; the module has a `main`. Without packages of `SLOW`.

    Its trainings are copies of its own: see `quick_power_sets`. No winner is exported to ONNX.
    """
    return _start("command", log, ROOT, environment, module, *words)


def start_mlflow(words: Sequence[str], environment: Mapping[str, str], log: Path) -> Started:
    """Run `mlflow WORDS` in the folder of its log; a tracking server is this process itself."""
    return _start("mlflow", log, log.parent, {**environment, **NO_JOBS}, *words)


def start_function(function: Any, *words: str, log: Path) -> Started:
    """Call a function of a module of the tests, with the environment and in the folder of now."""
    where = function.__module__, function.__name__
    return _start("function", log, Path.cwd(), os.environ, *where, *words)


NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@cache
def _template() -> Template:
    """Return the process that is copied; it ends with this one."""
    known = environment_without(*SLOW)
    paths = (known["PYTHONPATH"], str(ROOT), str(TESTS))
    made = Template(__name__, {**known, **NO_JOBS, "PYTHONPATH": os.pathsep.join(paths)})
    atexit.register(made.close)
    return made


def _start(
    kind: str, log: Path, folder: Path, environment: Mapping[str, str], *words: str
) -> Started:
    surroundings = str(folder), json.dumps(dict(environment))
    copy = _template().start(Request((kind, *surroundings, *words), str(log), {}))
    assert copy is not None, "no process can be copied"
    return Started(copy, log)


def prepare() -> None:
    """Import all that a copy may run."""
    worker.prepare()
    for module in ("entrypoints.powerset", "mlflow.cli", "mlflow.server.fastapi_app", "uvicorn"):
        import_module(module)


def main(words: Sequence[str]) -> None:
    """Do what this copy was made for."""
    kind, folder, environment, *own = words
    os.environ.clear()
    os.environ.update(json.loads(environment))
    os.chdir(folder)
    {"command": _command, "mlflow": _mlflow, "function": _function}[kind](*own)


def _function(module: str, name: str, *words: str) -> None:
    getattr(import_module(module), name)(*words)


def quick_power_sets() -> None:
    """Make trainings of this copy its own copies, of few filters and metrics, without plots.

    To be called before there is a thread, or a store is open.
    """
    FAMILIES.clear()
    for table, left_out in ((BASELINES, set(BASELINES) - set(FILTERS)), (METRICS, set(UNSCORED))):
        for name in left_out:
            del table[name]  # type: ignore[attr-defined]
    ready = _CopyOfThis()
    jobs.Template = lambda module, environment: ready  # type: ignore[assignment, misc]
    jobs.copied = lambda count: True
    plots._svg = lambda figure: "<svg/>"
    winners.add_onnx = lambda model_id: None


def _command(module: str, *words: str) -> None:
    quick_power_sets()
    sys.argv = [module, *words]
    sys.exit(import_module(module).main(list(words)))


class _CopyOfThis(Template):
    """A template that has not imported its module again: it is a copy of this process."""

    def __init__(self) -> None:
        self.process: Any = _Forked(partial(template.serve, worker.__name__))
        self.codes, self.begun, self.rest, self.ended = {}, [], b"", False


class _Forked:
    """A copy of this process that runs a function, as far as a template is asked of it."""

    def __init__(self, function: Any) -> None:
        (asked, ask), (told, tell) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            nothing = os.open(os.devnull, os.O_WRONLY)
            for file, number in ((asked, 0), (tell, 1), (nothing, 2)):
                os.dup2(file, number)
            for file in (asked, ask, told, tell, nothing):
                os.close(file)
            function()
            sys.exit()
        os.close(asked)
        os.close(tell)
        self.stdin, self.stdout = os.fdopen(ask, "wb"), os.fdopen(told, "rb")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        os.waitpid(self.pid, 0)


def _mlflow(*words: str) -> None:
    """Run `mlflow`; uvicorn of a tracking server takes this process, not one that it starts."""
    import mlflow.cli
    import mlflow.server
    import uvicorn

    def here(command: list[str], extra_env: Mapping[str, str], **_: object) -> None:
        os.environ.update(extra_env)
        uvicorn.main(command[command.index("uvicorn") + 1 :])

    mlflow.server._exec_cmd = here
    mlflow.cli.cli(words)


def copy_store(source: Path, file: Path, artifacts: str) -> None:
    """Copy a store that nothing was logged into, whose artifacts are to be elsewhere."""
    with closing(sqlite3.connect(source)) as empty, closing(sqlite3.connect(file)) as copy:
        empty.backup(copy)
        copy.execute("UPDATE experiments SET artifact_location = ?", (artifacts,))
        copy.commit()
