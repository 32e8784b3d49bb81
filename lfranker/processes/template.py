"""A process that has imported a module and makes copies of itself, each of which does one job.

python -m lfranker.processes.template MODULE

To import torch and MLflow takes seconds of each process; a copy (`fork`) starts in milliseconds and
shares their memory. The template runs nothing but imports and the module's ``prepare``, which makes
what every job needs, so that a copy is as a new process is: no thread of Python, no device in use.
It reads requests, a line of JSON each, and answers which
process was made and with which code that ended. It ends when its starter is gone, and its copies
notice that (`lfranker.processes.jobs.orphaned`).
"""

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

PARENT_VARIABLE = "LFRANKER_PARENT_PID"
TO_IMPORT = 300.0  # seconds in which it must have begun a job: a busy disk is slow
KNOWS = sys.platform == "linux"  # elsewhere a copy of a process that has read frameworks is unsafe


@dataclass(frozen=True)
class Request:
    """A job for a copy: ``main(words)`` of the module."""

    words: tuple[str, ...]
    log: str  # of its output; what it held is gone
    environment: Mapping[str, str]  # added to


class Copy:
    """A copy of a template, to be asked and ended as a `subprocess.Popen`."""

    def __init__(self, template: "Template", pid: int) -> None:
        self.template, self.pid = template, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, None while it runs; negative codes are signals."""
        if self.returncode is None:
            self.returncode = self.template.code_of(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.02)
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Template:
    """A process that has imported ``module``, with this environment added to the caller's."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        # no session of the terminal: its Ctrl-C reaches the caller alone
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
        self.codes: dict[int, int] = {}
        self.begun: list[int] = []
        self.rest = b""
        self.ended = False

    def start(self, request: Request) -> Copy | None:
        """Return the copy that does it; None where no copy can be made, and a process is needed."""
        if not self._ask(request):
            return None
        deadline = time.monotonic() + TO_IMPORT
        while not self.begun and not self.ended and time.monotonic() < deadline:
            self._read(0.1)
        if self.begun:
            return Copy(self, self.begun.pop())
        self.close()
        return None

    def code_of(self, pid: int) -> int | None:
        """Return a copy's exit code, once; -9 where its template was killed and it is gone too."""
        self._read(0.0)
        if pid in self.codes:
            return self.codes.pop(pid)  # the number may be another's soon
        return -int(signal.SIGKILL) if self.ended and _is_gone(pid) else None

    def close(self) -> None:
        """End it; copies that run still take that for the end of their starter."""
        self.ended = True
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self.process.kill()
        self.process.wait()

    def _ask(self, request: Request) -> bool:
        if self.ended or self.process.stdin is None:
            return False
        try:
            self.process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.ended = True
        return not self.ended

    def _read(self, seconds: float) -> None:
        """Take in its answers, waiting for so long."""
        if self.ended or self.process.stdout is None:
            return
        answers = self.process.stdout
        while select.select([answers], [], [], seconds)[0]:
            seconds, text = 0.0, os.read(answers.fileno(), 65536)
            if not text:
                self.ended = True
                return
            *lines, self.rest = (self.rest + text).split(b"\n")
            for line in lines:
                pid, code = json.loads(line)
                if code is None:
                    self.codes.pop(pid, None)  # of an earlier process of this number
                    self.begun.append(pid)
                else:
                    self.codes[pid] = code


def _is_gone(pid: int) -> bool:
    """Return whether a process has ended, also where nobody has asked for its exit code."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def serve(module: str) -> None:
    """Make copies as they are asked for, until nobody can ask any more; in a copy, do the job."""
    answers = _own_output()
    gc.disable()
    imported = import_module(module)
    imported.prepare()
    keep_imports()
    sys.stdout.flush()  # else each copy would say it again
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # so that it wakes
    signal.set_wakeup_fd(wake)
    text = b""
    while True:
        ready, _, _ = select.select([sys.stdin.fileno(), awake], [], [])
        if awake in ready:
            os.read(awake, 65536)
            _tell_ended(answers)
        if sys.stdin.fileno() not in ready:
            continue
        read = os.read(sys.stdin.fileno(), 65536)
        if not read:
            return
        *lines, text = (text + read).split(b"\n")
        for line in lines:
            request = Request(**json.loads(line))
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (awake, wake, answers):
                    os.close(end)
                _become(request)
                gc.enable()
                sys.argv[1:] = request.words
                imported.main(request.words)
                return
            _tell(answers, pid, None)


def keep_imports() -> None:
    """Have no garbage looked for, also at the end, in what this process has imported.

    Of torch and MLflow that takes seconds, and writes to memory that copies share.
    """
    gc.freeze()
    atexit.register(gc.freeze)


def _own_output() -> int:
    """Return a file of the output, which goes nowhere from now on: no module says answers."""
    answers, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return answers


def _become(request: Request) -> None:
    """Make this copy what a new process would be: its session, output and environment."""
    os.setsid()
    log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(file, number)
    for file in (log, nothing):
        os.close(file)
    os.environ.update(request.environment)
    os.environ[PARENT_VARIABLE] = str(os.getppid())


def _tell_ended(answers: int) -> None:
    """Tell of all copies that have ended since."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(answers, pid, os.waitstatus_to_exitcode(status))


def _tell(answers: int, pid: int, code: int | None) -> None:
    os.write(answers, json.dumps([pid, code]).encode() + b"\n")


if __name__ == "__main__":
    serve(sys.argv[1])
