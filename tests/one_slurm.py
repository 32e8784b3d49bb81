"""A real Slurm of one node on this machine, started by root of the packages slurm-wlm and munge.

Its node does not see some folders: it has an empty file system of its own in their place.
"""

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "unshare")
CORES = 2
TO_START = 180.0  # s
MUNGE_KEY, MUNGE_SOCKET = Path("/etc/munge/munge.key"), Path("/run/munge")
CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=cred_expire=10
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=1,sched_interval=5
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Return why there can be no Slurm here; "" where it can."""
    if "LFRANKER_CLUSTERS" not in os.environ:
        return "clusters take many minutes: they are run with LFRANKER_CLUSTERS=1"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"Slurm is not installed (packages slurm-wlm and munge): no {', '.join(missing)}"
    if os.geteuid() != 0:
        return "Slurm's daemons are started by root"
    alone = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if alone.returncode == 0 else "no process may have a file system of its own here"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def one_slurm(folder: Path, hidden: Sequence[Path] = ()) -> Iterator[Path]:
    """Start a Slurm whose node does not see the hidden folders; yields its configuration."""
    config = folder / "slurm.conf"
    (folder / "state").mkdir(parents=True)
    (folder / "spool").mkdir()
    ports = {"controller": free_port(), "node": free_port()}
    host = socket.gethostname().partition(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20  # MB
    config.write_text(CONFIG.format(host=host, folder=folder, cores=CORES, memory=memory, **ports))
    try:
        started = _start_munge()
    except (OSError, LookupError, subprocess.CalledProcessError) as error:
        pytest.skip(f"munge does not start here: {error}")
    known = {**os.environ, "SLURM_CONF": str(config)}
    mounts = [f"mount -t tmpfs none {shlex.quote(str(path))}" for path in hidden]
    node = " && ".join(["mount --make-rprivate /", *mounts, "exec slurmd -D"])
    with (folder / "daemons.txt").open("wb") as log:
        daemons = [
            subprocess.Popen(words, env=known, stdout=log, stderr=log, start_new_session=True)
            for words in (["slurmctld", "-D"], ["unshare", "--mount", "sh", "-c", node])
        ]
    try:
        _wait_for_node(known, folder)
        yield config
    finally:
        subprocess.run(["scancel", "--quiet", "--me"], env=known, check=False)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(60)
        if started:
            subprocess.run(["munged", "--stop"], capture_output=True, check=False)


def _start_munge() -> bool:
    """Start the daemon that vouches for users; returns whether it did not run before."""
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
        return False
    if not MUNGE_KEY.exists():
        MUNGE_KEY.write_bytes(os.urandom(1024))
        shutil.chown(MUNGE_KEY, "munge")
        MUNGE_KEY.chmod(0o400)
    MUNGE_SOCKET.mkdir(exist_ok=True)
    shutil.chown(MUNGE_SOCKET, "munge")
    subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", shutil.which("munged") or ""], check=True)
    return True


def _wait_for_node(known: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + TO_START
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=known, capture_output=True, check=False
        )
        if asked.stdout.strip() == b"idle":
            return
        time.sleep(0.5)
    logs = [file.read_text() for file in sorted(folder.glob("*.log"))]
    pytest.skip("\n".join(["Slurm does not start here: its node did not become idle", *logs]))
