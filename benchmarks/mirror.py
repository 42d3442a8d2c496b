"""Lose the whole machine at ten random moments, and compare with a run that kept it.

    python benchmarks/mirror.py [--moments 10] [--seed 1] [--folder DIR]

Runs the five jobs on drawn faces twice: once undisturbed, once with a mirror, where at
every moment all processes are killed and the workspace is deleted before the same command
is given again. The moments are shared out among the five jobs, at least one in each from
five on; where in a job is drawn by chance. Prints in which job each fell, what was lost
and what came back, then the SHA-256 of every result of both.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from lowmem.base.errors import LowmemError
from lowmem.base.workspace import Workspace
from lowmem.history.recorded import read_records
from lowmem.protocol.records import AttemptBegun, CycleEnded, JobEnded
from lowmem.report.read import read_report
from tests.processes import pipeline

if TYPE_CHECKING:
    from lowmem.protocol.records import AnyRecord

PATIENCE_S = 900
# In a process of its own, as `lowmem` does it: only that one loads fsspec.
RECOVER = """
import sys
from lowmem.base.workspace import Workspace
from lowmem.mirror.recover import recover
from lowmem.mirror.remote import Remote
space = Workspace.at(sys.argv[1])
recover(Remote.open(sys.argv[2], space.root.name), space, sys.argv[2])
"""


def command(workspace: Path, *more: str) -> list[str]:
    """Return the line that runs the five jobs at their smallest."""
    line = [sys.executable, "-m", "lowmem", "run", "all", "--quiet"]
    for job, options in pipeline.OPTIONS.items():
        for name, value in zip(options[::2], options[1::2], strict=True):
            line += ["--set", f"{job}.{name.removeprefix('--')}={value}"]
    return [
        *line,
        *("--workspace", str(workspace), "--ram-budget", "2G", "--device", "cpu"),
        *("--set", "generate.count=600", "--cycle-steps", "4", *more),
    ]


def start(workspace: Path, *more: str) -> subprocess.Popen[bytes]:
    """Begin a run."""
    return subprocess.Popen(command(workspace, *more), stderr=subprocess.PIPE)


def finish(run: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a run, which must be a good one."""
    _, err = run.communicate(timeout=PATIENCE_S)
    if run.returncode:
        raise SystemExit(err.decode())


def kill_everything(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL to supervisor, worker and mirror; wait until they have gone."""
    tree = [psutil.Process(run.pid)]
    with suppress(psutil.Error):
        tree += tree[0].children(recursive=True)
    for process in tree:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    run.communicate()
    psutil.wait_procs(tree, timeout=30)


def standing(workspace: Path) -> dict[str, tuple[int, int]]:
    """Return committed and durable cycles of each job."""
    report = read_report(Workspace.at(workspace), is_live=False)
    return {
        name: (len(job.committed), job.durable or 0)
        for name, job in report.jobs.items()
    }


def text_of(found: dict[str, tuple[int, int]], place: int) -> str:
    """Return committed (0) or durable (1) cycles of each job as text."""
    return " ".join(f"{job}:{counts[place]}" for job, counts in found.items()) or "-"


def bytes_of(value: object) -> bytes:
    """Return an array with its type and shape, or bytes, as bytes."""
    if not isinstance(value, np.ndarray):
        return bytes(value)
    head = f"{value.dtype} {value.shape}".encode()
    is_text = value.dtype.kind in "OUT"
    return head + (str(value.tolist()).encode() if is_text else value.tobytes())


def digest(workspace: Path, job: str) -> str:
    """Return one SHA-256 over all that a job's results hold."""
    whole = hashlib.sha256()
    for name in pipeline.RESULTS[job]:
        for key, value in sorted(pipeline.contents(workspace / name).items()):
            whole.update(f"{name}/{key}".encode())
            whole.update(bytes_of(value))
    return whole.hexdigest()


def targets(moments: int) -> list[str]:
    """Return the job in which each moment is to fall, in the jobs' order."""
    jobs = pipeline.JOBS
    return sorted((jobs[n % len(jobs)] for n in range(moments)), key=jobs.index)


def records_of(workspace: Path) -> list[AnyRecord]:
    """Return the journal's records; none while it is being written for the first time."""
    with suppress(LowmemError):
        return list(read_records(Workspace.at(workspace).journal))
    return []


def running_job(records: list[AnyRecord]) -> str:
    """Return the job at which a worker is, by the journal; empty if there is none."""
    for record in reversed(records):
        if isinstance(record, JobEnded):
            return ""
        if isinstance(record, AttemptBegun):
            return record.job
    return ""


def wait_for(
    run: subprocess.Popen[bytes], workspace: Path, job: str, n_commits: int
) -> None:
    """Wait until a job, or a later one, is at work and has committed so often in this run."""
    jobs, before = pipeline.JOBS, None
    give_up_at = time.monotonic() + PATIENCE_S
    while run.poll() is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
        records = records_of(workspace)
        now = running_job(records)
        if not now or jobs.index(now) < jobs.index(job):
            continue
        count = sum(isinstance(r, CycleEnded) and r.job == now for r in records)
        before = (now, count) if before is None else before
        if before[0] != now or count >= before[1] + n_commits:
            return


def lose_and_recover(
    workspace: Path, mirror: Path, moments: int, draw: random.Random
) -> None:
    """Lose the machine again and again, then let the run end."""
    words = ("--mirror", str(mirror))
    head = "committed | durable | recovered by the next"
    print(f"{'moment':>6} {'in':>9} {'after':>7}  {head}")
    fell: Counter[str] = Counter()
    for moment, job in enumerate(targets(moments), start=1):
        run = start(workspace, *words)
        began = time.monotonic()
        # Once in each job before its first commit can be far.
        wait_for(run, workspace, job, draw.randint(0, 2) if fell[job] else 0)
        time.sleep(draw.uniform(0.0, 0.3))
        after_s = time.monotonic() - began
        kill_everything(run)
        where = running_job(records_of(workspace)) or "between"
        fell[where] += 1
        before = standing(workspace)
        shutil.rmtree(workspace, ignore_errors=True)
        subprocess.run(
            [
                sys.executable,
                "-c",
                RECOVER,
                str(workspace),
                str(mirror),
            ],
            check=True,
        )
        after = standing(workspace)
        shutil.rmtree(workspace, ignore_errors=True)
        lost, kept, back = text_of(before, 0), text_of(before, 1), text_of(after, 0)
        print(
            f"{moment:>6} {where:>9} {after_s:>5.1f} s  {lost} | {kept} | {back}",
            flush=True,
        )
    print("moments:", ", ".join(f"{job} {n}" for job, n in fell.items()))
    run = start(workspace, *words)
    finish(run)


def main() -> int:
    """Compare a run that lost its machine with one that did not."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--moments", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--folder", type=Path, default=None)
    given = arguments.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="lowmem-mirror-"))
    whole, lost = folder / "whole", folder / "lost"
    began = time.monotonic()
    finish(start(whole))
    print(f"undisturbed: {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    draw = random.Random(given.seed)  # noqa: S311 - moments, no secret
    lose_and_recover(lost, folder / "mirror", given.moments, draw)
    print(f"lost {given.moments} times: {time.monotonic() - began:.0f} s")
    n_bytes = sum(f.stat().st_size for f in (folder / "mirror").rglob("*.*"))
    n_files = sum(f.is_file() for f in (folder / "mirror").rglob("*"))
    print(f"the mirror: {n_files} files, {n_bytes / 1e6:.1f} MB")
    differing = 0
    print(f"\n{'job':<9} {'same':<5} SHA-256 of its results")
    for job in pipeline.JOBS:
        one, two = digest(whole, job), digest(lost, job)
        differing += one != two
        print(f"{job:<9} {'yes' if one == two else 'NO':<5} {one}")
        if one != two:
            print(f"{'':<15} {two}")
    if given.folder is None:
        shutil.rmtree(folder)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
