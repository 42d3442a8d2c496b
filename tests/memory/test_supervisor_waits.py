"""A disk that takes its time and a terminal that takes nothing stop no watch."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import (
    PATIENCE_S,
    attempts,
    incidents,
    is_running,
    job_file,
    until,
)

pytestmark = [
    pytest.mark.process,
    pytest.mark.memory,
    pytest.mark.slow,
    pytest.mark.alone,
]

BUDGET_MIB = 320
# Shared memory in two children: no limit of the kernel's stops it, only the watch.
SHARED = """
import mmap, os, pathlib, time, lowmem

def fill(mib):
    held = mmap.mmap(-1, mib * 2**20)
    for place in range(0, len(held), 4096): held[place] = 1
    return held

@lowmem.job(name="hog", settings=({"mib": 400}, {"mib": 10}))
def hog(ctx):
    mib = ctx.settings["mib"]
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            time.sleep(WAIT if mib > 100 else 0)
            held = fill(mib // 2)
            filled = ctx.workspace.root / f"filled-{os.getpid()}"
            filled.touch()
            if mib > 100: time.sleep(60)
            os._exit(0)
        children.append(pid)
    (ctx.workspace.root / f"pids-{mib}").write_text(" ".join(map(str, children)))
    if mib > 100:
        for line in range(LINES): print(f"{line:0100}")
    for pid in children: os.waitpid(pid, 0)
    yield lowmem.CommitPoint(items=1)
"""
SLOW_DISK = """
import os, sys, time

fsync = os.fsync

def slow_fsync(stream):
    # In the supervisor alone: a job's own commits may take what they take.
    if "lowmem.supervisor.attempt" in sys.modules:
        time.sleep(0.25)
    fsync(stream)

os.fsync = slow_fsync
"""


def hog_under_watch(tmp_path, *, wait_s, n_lines, environment=None):
    source = SHARED.replace("WAIT", str(wait_s)).replace("LINES", str(n_lines))
    job = job_file(tmp_path, source)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "lowmem", "run", str(job)),
            *("--workspace", str(tmp_path / "w")),
            *("--ram-budget", f"{BUDGET_MIB}MiB"),
        ],
        cwd=tmp_path,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def assert_held(space):
    (incident,) = incidents(space)
    assert incident.verdict == "ram_limit"
    assert [a.settings for a in attempts(space)] == [{"mib": 400}, {"mib": 10}]
    found = read_report(Workspace.at(space), is_live=False).jobs["hog"]
    # Both a check of what was in use, and that something was.
    assert incident.ram_bytes > 0.9 * BUDGET_MIB * 2**20
    assert incident.ram_bytes <= found.ram_peak_bytes <= BUDGET_MIB * 2**20


def test_a_job_that_hogs_while_a_record_waits_for_the_disk_stays_in_its_budget(
    tmp_path,
):
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(SLOW_DISK))
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    running = hog_under_watch(
        tmp_path, wait_s=0, n_lines=0, environment={"PYTHONPATH": path}
    )
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, said
    assert_held(tmp_path / "w")


def test_a_job_that_hogs_while_the_terminal_is_paused_stays_in_its_budget(tmp_path):
    space = tmp_path / "w"
    # More than all pipes between the job and the terminal hold.
    running = hog_under_watch(tmp_path, wait_s=2.0, n_lines=5000)
    pids = space / "pids-400"

    def is_decided():
        children = (
            [int(pid) for pid in pids.read_text().split()] if pids.exists() else []
        )
        return children and not any(
            is_running(pid) and not (space / f"filled-{pid}").exists()
            for pid in children
        )

    until(lambda: is_decided() or running.poll() is not None)
    # Nobody has read a line so far.
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, said
    assert_held(space)
    assert said.count(b"hog: 0") > 100
