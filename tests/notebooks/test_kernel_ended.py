"""A notebook's kernel that is killed: its run commits, stops, and says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lowmem.base.workspace import Workspace
from lowmem.protocol.records import CycleEnded, JobEnded
from lowmem.supervisor.lock import is_held
from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    committed_cycles,
    job_file,
    kill,
    records,
    run,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Whoever runs the tests by `nohup` ignores a terminal's end, and hands that on.
KERNEL = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from lowmem.inline.terminal import show
show([sys.executable, "-m", "lowmem", "run", *sys.argv[1:]])
"""


def ended(space):
    found = [r for r in records(space) if isinstance(r, JobEnded | CycleEnded)]
    # What it has written last is not yet its end: it holds the workspace for a moment.
    return (
        found and isinstance(found[-1], JobEnded) and not is_held(Workspace.at(space))
    )


def test_a_run_whose_kernel_was_killed_stops_at_a_commit_and_goes_on_later(tmp_path):
    job, space = job_file(tmp_path, COUNTING), tmp_path / "work"
    # Rows for so long that none is the last before a slow machine has seen two commits.
    more = ["--rows", "90"]
    words = [job, "--workspace", space, "--cycle-steps", "1", "--pause", "0.3", *more]
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL, *map(str, words)],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    journal = Workspace.at(space).journal
    until(lambda: journal.exists() and len(committed_cycles(records(space))) >= 2)
    kill(kernel.pid)
    kernel.wait()
    until(lambda: ended(space))
    assert records(space)[-1].state == "stopped"
    assert records(space)[-1].exit_code == 75
    assert run(job, space, *more, cycle_steps=1).status == 0
    assert_counted(space, n_rows=90)
