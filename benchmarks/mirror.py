"""Lose the whole machine at ten random moments, and compare with a run that kept it.

    python benchmarks/mirror.py [--moments 10] [--seed 1] [--folder DIR]

Runs the five jobs on drawn faces twice: once undisturbed, once with a mirror, where at
every moment all processes are killed and the workspace is deleted before the same command
is given again. Prints what was lost and what came back each time, then the SHA-256 of
every result of both.
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
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.processes import pipeline

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


def wait_for_commits(run: subprocess.Popen[bytes], workspace: Path, more: int) -> None:
    """Wait for so many commits beyond those that came back, or for the end."""
    first: int | None = None
    while run.poll() is None:
        time.sleep(0.05)
        if not (workspace / ".lowmem" / "journal.jsonl").exists():
            continue
        n_commits = sum(pipeline.committed_cycles(workspace, j) for j in pipeline.JOBS)
        first = n_commits if first is None else first
        if n_commits >= first + more:
            return


def lose_and_recover(
    workspace: Path, mirror: Path, moments: int, draw: random.Random
) -> None:
    """Lose the machine again and again, then let the run end."""
    words = ("--mirror", str(mirror))
    print(f"{'moment':>6} {'after':>7}  committed | durable | recovered by the next")
    for moment in range(1, moments + 1):
        run = start(workspace, *words)
        began = time.monotonic()
        wait_for_commits(run, workspace, draw.randint(1, 6))
        time.sleep(draw.uniform(0.0, 1.5))
        after_s = time.monotonic() - began
        kill_everything(run)
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
        print(f"{moment:>6} {after_s:>5.1f} s  {lost} | {kept} | {back}", flush=True)
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
