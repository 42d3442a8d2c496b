"""The supervisor stays as small as plans take it to be, while a job runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from lowmem.memory.proc import field_bytes
from lowmem.memory.process_tree import anonymous_bytes
from lowmem.supervisor.order import SUPERVISOR_BYTES
from tests.processes.lowmem_runs import COUNTING, job_file, running, until
from tests.processes.test_live_display import TELLING, Terminal, running_in

pytestmark = [pytest.mark.process, pytest.mark.memory, pytest.mark.slow]

MIB = 2**20
COMPILED = 3 * MIB if sys.dont_write_bytecode else 0


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_bytes()


def test_the_supervisor_takes_less_than_it_is_planned_to_while_a_job_runs(tmp_path):
    job = job_file(tmp_path, COUNTING)
    words = ("--rows", 400, "--pause", 0.005)
    with running(job, tmp_path / "w", *words, cycle_steps=20) as live:
        live.wait_for_commits(3)
        most = 0
        for _ in range(20):
            most = max(most, anonymous_bytes(live.process.pid))
            time.sleep(0.02)
        resident = field_bytes(status_of(live.process.pid), b"VmRSS:")
        mapped = Path(f"/proc/{live.process.pid}/maps").read_text()
    # Some more where the modules had to be compiled first.
    assert most < SUPERVISOR_BYTES + COMPILED, f"{most / MIB:.1f} MiB"
    # All that the kernel calls resident, the interpreter's own file-backed pages too.
    assert resident < 25 * MIB + COMPILED, f"{resident / MIB:.1f} MiB"
    assert "numpy" not in mapped
    assert "tensorflow" not in mapped
    # That of `lowmem doctor` alone; its compiled part would be mapped.
    assert "psutil" not in mapped
    assert "psutil" in Path(psutil._psplatform.cext.__file__).name


def test_with_a_terminal_to_draw_on_it_is_no_larger(tmp_path):
    job, terminal = job_file(tmp_path, TELLING), Terminal(80)
    words = ("--rows", 4000, "--pause", 0.02, "--cycle-steps", 20)
    with running_in(terminal, job, tmp_path / "w", *words) as live:
        until(lambda: sum("%  " in line for line in terminal.lines) > 3)
        live.wait_for_commits(3)
        most = anonymous_bytes(live.process.pid)
        resident = field_bytes(status_of(live.process.pid), b"VmRSS:")
    terminal.close()
    assert most < SUPERVISOR_BYTES + COMPILED, f"{most / MIB:.1f} MiB"
    assert resident < 25 * MIB + COMPILED, f"{resident / MIB:.1f} MiB"
