"""The five jobs at their smallest, for tests that kill them and compare results."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import psutil
import zarr

ROWS = 2200
JOBS = ("ingest", "train", "encode", "analyze", "generate")
# Small enough for seconds, large enough for several cycles of every job.
OPTIONS = {
    "ingest": ["--source", f"faces:{ROWS}", "--size", "32"],
    "train": ["--epochs", "2", "--batch-size", "64", "--latent-dim", "8"],
    "encode": [],
    "analyze": [],
    "generate": ["--count", "600"],
}
RESULTS = {
    "ingest": ["images.zarr", "ingest-report.csv"],
    "train": ["model"],
    "encode": ["latents.zarr"],
    "analyze": ["analysis.zarr", "analysis"],
    "generate": ["generated"],
}
DEADLINE_S = 180


def command(job: str, workspace: Path, *more: str) -> list[str]:
    """Return the command line of one job."""
    line = [sys.executable, "-m", "lowmem", "run", job, "--workspace", str(workspace)]
    return [*line, "--ram-budget", "2G", "--quiet", *OPTIONS.get(job, []), *more]


def run(job: str, workspace: Path, *more: str) -> None:
    """Run one job to its end."""
    done = subprocess.run(
        command(job, workspace, *more),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def committed_cycles(workspace: Path, job: str) -> int:
    """Return how many commits of a job the journal holds."""
    journal = workspace / ".lowmem" / "journal.jsonl"
    if not journal.exists():
        return 0
    bodies = [
        json.loads(line)["body"]
        for line in journal.read_text().splitlines(keepends=True)
        if line.endswith("}\n")
    ]
    return sum(
        body["type"] == "CycleEnded"
        and body["job"] == job
        and body["outcome"] == "committed"
        for body in bodies
    )


def start_and_wait_for_commits(
    job: str, workspace: Path, at_least: int, *more: str
) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """Start a job that commits at every point; return supervisor and worker mid-way."""
    supervisor = subprocess.Popen(
        command(job, workspace, *more, "--cycle-steps", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    give_up_at = time.monotonic() + DEADLINE_S
    before = committed_cycles(workspace, job)
    while committed_cycles(workspace, job) < before + at_least:
        assert supervisor.poll() is None, supervisor.stderr.read().decode()
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    return supervisor, worker_of(supervisor.pid)


def worker_of(supervisor_pid: int) -> psutil.Process:
    """Return the worker of a supervisor."""
    for child in psutil.Process(supervisor_pid).children():
        with suppress(psutil.Error):
            if "lowmem.worker" in child.cmdline():
                return child
    raise AssertionError("the supervisor has no worker")


def kill(pid: int) -> None:
    """Send SIGKILL."""
    os.kill(pid, signal.SIGKILL)


def copy_results(source: Path, target: Path, jobs: tuple[str, ...]) -> None:
    """Copy the results of some jobs into another workspace."""
    target.mkdir()
    for job in jobs:
        for name in RESULTS[job]:
            item = source / name
            if item.is_dir():
                shutil.copytree(item, target / name)
            else:
                shutil.copy(item, target / name)


def contents(path: Path) -> dict[str, object]:
    """Return everything a result holds, by name, in a form that can be compared.

    Arrays, weights and texts as they are; of pictures the bytes.
    """
    if path.suffix == ".zarr":
        return _zarr_contents(path)
    if path.is_dir():
        found: dict[str, object] = {}
        for item in sorted(path.iterdir()):
            found |= {f"{item.name}/{k}": v for k, v in contents(item).items()}
        return found
    if path.suffix == ".keras":
        return _keras_contents(path)
    return {"": path.read_bytes()}


def _zarr_contents(path: Path) -> dict[str, object]:
    group = zarr.open_group(path, mode="r")
    return {name: array[:] for name, array in _arrays(group)}


def _arrays(group: zarr.Group) -> list[tuple[str, zarr.Array]]:
    found = list(group.arrays())
    for name, inner in group.groups():
        found += [(f"{name}/{key}", array) for key, array in _arrays(inner)]
    return found


def _keras_contents(path: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    with zipfile.ZipFile(path) as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
        found["config"] = archive.read("config.json")

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    weights.visititems(visit)
    return found


def assert_same(left: Path, right: Path, job: str) -> None:
    """Assert that two workspaces hold the same results of a job, to the bit."""
    for name in RESULTS[job]:
        one, two = contents(left / name), contents(right / name)
        assert one.keys() == two.keys()
        assert one, f"{name} is empty"
        for key in one:
            if isinstance(one[key], np.ndarray):
                np.testing.assert_array_equal(
                    one[key], two[key], err_msg=f"{name} {key}"
                )
            else:
                assert one[key] == two[key], f"{name} {key} differs"
