"""A real SLURM of one node, on this machine, for one test module.

Three daemons of Debian's packages `munge` and `slurm-wlm`, on free ports, with all that
they write below one folder; they are ended by their process ids.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.processes.lowmem_runs import is_running, until

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
# seconds
_PATIENCE_S = 60.0


def what_is_missing() -> str:
    """Return why no SLURM can be started here; empty if one can."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)"
    if os.getuid() != 0:
        return "SLURM's daemons are started as root here"
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        return f"this machine's name, {socket.gethostname()}, has no address"
    return ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A SLURM that runs."""

    folder: Path

    def ask(self, program: str, *words: object) -> str:
        """Run one of SLURM's commands and return what it prints."""
        done = subprocess.run(
            [program, *map(str, words)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        assert done.returncode == 0, done
        return done.stdout.strip()

    @property
    def environment(self) -> dict[str, str]:
        """What its commands need."""
        return os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def submit(self, script: str, *words: object) -> str:
        """Queue a batch script and return the number of its job."""
        path = self.folder / "job.sh"
        path.write_text(script)
        return self.ask("sbatch", "--parsable", *words, path)

    def facts(self, job: str) -> dict[str, str]:
        """Return what SLURM tells of a job, or of a task ARRAY_TASK."""
        text = self.ask("scontrol", "show", "job", job, "--oneliner").splitlines()[0]
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait_for_end(self, job: str, *, patience_s: float) -> dict[str, str]:
        """Wait until a job has ended for good, and return what SLURM tells of it."""
        over = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"}
        until(
            lambda: self.facts(job)["JobState"] in over,
            patience_s=patience_s,
            pause_s=0.5,
        )
        return self.facts(job)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a SLURM below ``folder``; it is ended with the block."""
    for name in ("state", "spool", "log"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    (folder / "slurm.conf").write_text(_configuration(folder))
    slurm = Cluster(folder)
    try:
        _start_munge(folder)
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([daemon], env=slurm.environment, check=True, timeout=30)
        until(
            lambda: slurm.ask("sinfo", "--noheader", "--format", "%T") == "idle",
            patience_s=_PATIENCE_S,
            pause_s=0.2,
        )
        yield slurm
    finally:
        _end(folder)


def _start_munge(folder: Path) -> None:
    line = ["munged", "--force", f"--socket={folder}/munge.socket"]
    line += [f"--key-file={folder}/munge.key", f"--pid-file={folder}/munged.pid"]
    line += [f"--seed-file={folder}/munge.seed", f"--log-file={folder}/log/munged.log"]
    subprocess.run(line, check=True, timeout=30)


def _end(folder: Path) -> None:
    """End the daemons, and wait until they have gone."""
    pids = [
        int(path.read_text())
        for name in ("slurmd", "slurmctld", "munged")
        if (path := folder / f"{name}.pid").exists()
    ]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(map(is_running, pids)), patience_s=_PATIENCE_S)


def _configuration(folder: Path) -> str:
    host = socket.gethostname().split(".")[0]
    controller, node = _free_ports()
    facts = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge.socket",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "SlurmctldLogFile": folder / "log" / "slurmctld.log",
        "SlurmdLogFile": folder / "log" / "slurmd.log",
        "SlurmctldPort": controller,
        "SlurmdPort": node,
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SchedulerParameters": "sched_interval=1,bf_interval=1",
        "ReturnToService": 2,
        "JobRequeue": 1,
        "KillWait": 20,
        "MpiDefault": "none",
    }
    lines = [f"{name}={value}" for name, value in facts.items()]
    lines += [
        f"NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN",
        f"PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP",
    ]
    return "\n".join(lines) + "\n"


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
