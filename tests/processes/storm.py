"""Kill a job again and again, at moments drawn by chance, until it is done.

A storm starts `lowmem run JOB`, waits for a moment (while it starts, works, commits,
publishes, or its mirror's process writes), and sends SIGKILL to its worker, its
supervisor, its mirror's process or several of them; then the same command again. What is compared afterwards is every published byte, the last state of
the training, and the journal.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import generation_path, generations, read_manifest
from lowmem.repair.check import verify
from lowmem.report.read import read_report
from tests.processes import pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np

MOMENTS = ("start", "work", "commit", "publish", "upload")
TARGETS = ("worker", "supervisor", "both", "mirror", "all")
# How often each moment is drawn: commits and uploads are short and matter most. The last
# one, and the last two targets, only where there is a mirror.
_SHARES = (0.12, 0.22, 0.3, 0.08, 0.28)
_N_WITHOUT_MIRROR = 4, 3
# seconds
_START_S = 1.5
_WORK_S = 2.0
_COMMIT_S = 0.004
_POLL_S = 0.0002


@dataclass(slots=True)
class Storm:
    """One job in one workspace, being killed.

    Attributes
    ----------
    words
        The command, without `--quiet` and such.
    kills
        How many of each target and moment were sent.
    mirror
        Folder of the workspace's generations, if it has a mirror.
    """

    job: str
    workspace: Path
    words: Sequence[str]
    draw: np.random.Generator
    mirror: Path | None = None
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    commands: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _fragments: set[str] = field(default_factory=set)

    def run(self, n_kills: int) -> None:
        """Kill so often, or until the job is done; then let it end."""
        while sum(self.kills.values()) < n_kills:
            moment, target = self._drawn()
            self._start()
            if self._wait_for(moment):
                # By then it may be over: what counts is what was killed.
                is_upload = self._is_uploading()
                now = "work" if moment == "upload" and not is_upload else moment
                if self._kill(target):
                    self.kills[target, now] += 1
            if self._has_ended_well():
                return
        while not self._has_ended_well():
            self._start()
            self._process.wait(pipeline.DEADLINE_S)

    def _drawn(self) -> tuple[str, str]:
        """Return a moment and a target."""
        n_moments, n_targets = len(MOMENTS), len(TARGETS)
        if self.mirror is None:
            n_moments, n_targets = _N_WITHOUT_MIRROR
        shares = [share / sum(_SHARES[:n_moments]) for share in _SHARES[:n_moments]]
        moment = self.draw.choice(MOMENTS[:n_moments], p=shares)
        return str(moment), str(self.draw.choice(TARGETS[:n_targets]))

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._collect()
        self.commands += 1
        if self.mirror is not None and self.mirror.is_dir():
            # What killed uploads have left is no upload.
            self._fragments = {entry.name for entry in os.scandir(self.mirror)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lowmem", "run", self.job, *self.words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _has_ended_well(self) -> bool:
        if self._process is None or self._process.poll() is None:
            return False
        status = self._process.returncode
        said = self._collect()
        # 70: three workers killed in a row without a commit between them.
        assert status in {0, -9, 70}, said
        return status == 0

    def _collect(self) -> str:
        """Close what the last command left open, and return what it said."""
        if self._process is None:
            return ""
        stream, self._process = self._process.stderr, None
        with stream:
            return stream.read().decode()

    # --- moments ------------------------------------------------------------------

    def _wait_for(self, moment: str) -> bool:
        """Wait for a moment; return False if the command ended before."""
        if moment == "start":
            return self._pause(self.draw.uniform(0, _START_S))
        if moment == "publish":
            results = [self.workspace / name for name in pipeline.RESULTS[self.job]]
            seen = self._until(lambda: any(path.exists() for path in results))
            return seen and self._pause(self.draw.uniform(0, _COMMIT_S))
        return self._until(self._is_at_work) and self._wait_at_work(moment)

    def _wait_at_work(self, moment: str) -> bool:
        if moment == "upload":
            return self._until(self._is_uploading)
        if moment == "work":
            return self._pause(self.draw.uniform(0, _WORK_S))
        seen = all(self._sees_a_commit() for _ in range(self.draw.integers(1, 4)))
        return seen and self._pause(self.draw.uniform(0, _COMMIT_S))

    def _sees_a_commit(self) -> bool:
        """Wait for the next commit's temporary folder."""
        temporary = Workspace.at(self.workspace).checkpoints(self.job) / "tmp"
        is_between = self._until(lambda: not temporary.exists())
        return is_between and self._until(temporary.exists)

    def _is_uploading(self) -> bool:
        """Whether an archive that was begun since this storm's start has no marker yet."""
        if self.mirror is None or not self.mirror.is_dir():
            return False
        names = {entry.name for entry in os.scandir(self.mirror)}
        unmarked = {
            n for n in names if n.endswith(".lowmem") and f"{n}.ok" not in names
        }
        return bool(unmarked - self._fragments)

    def _is_at_work(self) -> bool:
        """Whether a worker is ready, by the journal of the newest command."""
        journal = self._journal()
        return journal.rfind(b'"AttemptBegun"') > max(
            journal.rfind(b'"Incident"'), journal.rfind(b'"RunBegun"')
        )

    def _journal(self) -> bytes:
        with suppress(FileNotFoundError):
            return (self.workspace / ".lowmem" / "journal.jsonl").read_bytes()
        return b""

    def _until(self, condition: Callable[[], object]) -> bool:
        give_up_at = time.monotonic() + pipeline.DEADLINE_S
        while not condition():
            if self._process.poll() is not None:
                return False
            assert time.monotonic() < give_up_at, "waited too long"
            time.sleep(_POLL_S)
        return True

    def _pause(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is None

    # --- kills --------------------------------------------------------------------

    def _kill(self, target: str) -> bool:
        """Send SIGKILL; return whether anything was there to be killed."""
        supervisor = self._process.pid
        worker, helper = self._child("lowmem.worker"), self._child("lowmem.mirror")
        victims = {
            "worker": [worker],
            "supervisor": [supervisor],
            "both": [supervisor, worker],
            "mirror": [helper],
            "all": [supervisor, worker, helper],
        }[target]
        present = [pid for pid in victims if pid is not None]
        for victim in self.draw.permutation(present):
            with suppress(ProcessLookupError):
                pipeline.kill(int(victim))
        if supervisor in present:
            self._process.wait()
        return bool(present)

    def _child(self, module: str) -> int | None:
        """Return the process of a module that the supervisor has started."""
        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children():
                with suppress(psutil.Error):
                    if module in child.cmdline():
                        return child.pid
        return None


def sums(workspace: Path) -> dict[str, str]:
    """Return the SHA-256 of every published file and of the training's last state."""
    space = Workspace.at(workspace)
    files = [
        file
        for names in pipeline.RESULTS.values()
        for name in names
        for file in [space.root / name, *(space.root / name).rglob("*")]
        if file.is_file()
    ]
    found = {file.relative_to(workspace).as_posix(): file for file in files}
    folder = space.checkpoints("train")
    for generation in generations(folder):
        manifest = read_manifest(generation_path(folder, generation))
        if manifest is not None and manifest.phase == "running":
            state = generation_path(folder, generation) / "state.npz"
            found["training: weights, optimiser, generators"] = state
    return {name: _sha256(file) for name, file in found.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def audit(workspace: Path, reference: Path) -> list[str]:
    """Return what differs between two workspaces, and what is wrong in the first."""
    wrong = []
    one, two = sums(workspace), sums(reference)
    wrong += [f"{name} is only in one" for name in one.keys() ^ two.keys()]
    wrong += [f"{n} differs" for n in one.keys() & two.keys() if one[n] != two[n]]
    wrong += [f"verify: {f.path} {f.problem}" for f in _findings(workspace)]
    jobs, expected = jobs_of(workspace), jobs_of(reference)
    for name, job in jobs.items():
        indices = [cycle.index for cycle in job.committed]
        if indices != list(range(len(indices))):
            wrong.append(f"{name}: its commits are {indices}")
        if job.items != expected[name].items:
            wrong.append(f"{name}: {job.items} items, not {expected[name].items}")
        if job.state != "done":
            wrong.append(f"{name} is {job.state}")
    return wrong


def _findings(workspace: Path):
    return verify(Workspace.at(workspace)).findings


def jobs_of(workspace: Path):
    """Return what the report tells of each job."""
    return read_report(Workspace.at(workspace), is_live=False).jobs


def as_json(kills: Counter[tuple[str, str]]) -> str:
    """Return counts as JSON."""
    return json.dumps({" ".join(key): n for key, n in kills.items()})
