"""What a run counts is what happened: each cycle once, each reading of its moment."""

from __future__ import annotations

import signal

import pytest

from lowmem.report.read import read_report
from lowmem.report.status import text_from_statuses
from tests.processes.lowmem_runs import (
    attempts,
    incidents,
    job_file,
    run,
    running,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Its worker hangs after its first commit is durable, before anybody hears of it.
HELD = """
import gc, pathlib, time, lowmem

@lowmem.job(unit="rows")
def held(ctx):
    'Hang in the clean-up after a commit.'
    kept = ctx.workspace.checkpoints("held")
    sign = ctx.workspace.root / "sign"

    def hang(phase, info):
        if list(kept.glob("gen-*")) and not sign.exists():
            sign.touch()
            time.sleep(600)

    gc.callbacks.append(hang)
    block = bytearray(64 * 2**20)
    for row in range(ctx.state.get("rows", 0), 2):
        time.sleep(0.1)
        yield lowmem.CommitPoint(items=1, state={"rows": row + 1})
    (ctx.staging / "held.txt").write_text("2")
    return lowmem.Result(publish=["held.txt"])
"""

# Aborts as C++ does for want of memory; a child that has given all back keeps the
# worker's end from being noticed for a while.
ABORTS = """
import os, sys, time, lowmem

@lowmem.job(settings=({"block": 1},))
def aborts(ctx):
    'Abort beside a large block.'
    block = [bytearray(300 * 2**20)]
    told, tell = os.pipe()
    if os.fork() == 0:
        block.clear()
        os.write(tell, b"!")
        time.sleep(0.5)
        os._exit(0)
    os.read(told, 1)
    time.sleep(0.3)
    print("terminate: std::bad_alloc", file=sys.stderr, flush=True)
    os.abort()
    yield
"""


def test_a_cycle_committed_before_a_kill_is_listed_once_with_its_time_and_its_memory(
    tmp_path,
):
    job, space = job_file(tmp_path, HELD), tmp_path / "w"
    with running(job, space, cycle_steps=1) as live:
        until((space / "sign").exists)
        # Two demands at once, of which no one is taken for the other's echo.
        live.process.send_signal(signal.SIGINT)
        live.process.send_signal(signal.SIGTERM)
        ended = live.end()
    assert ended.status == 75, ended
    (cycle,) = read_report(live.space, is_live=False).jobs["held"].cycles
    assert (cycle.index, cycle.outcome, cycle.items) == (0, "committed", 1)
    assert cycle.commit_seconds is None
    assert cycle.ram_peak_bytes is not None
    assert cycle.ram_peak_bytes > 64 * 2**20
    # And nothing is said to begin anew.
    report = read_report(live.space, is_live=False)
    assert "Nothing was committed" not in text_from_statuses(report)
    assert run(job, space, cycle_steps=1).status == 0
    assert attempts(space)[-1].next_cycle == 1
    cycles = read_report(live.space, is_live=False).jobs["held"].cycles
    assert [(c.index, c.outcome) for c in cycles] == [
        (index, "committed") for index in range(3)
    ]
    assert cycles[0] == cycle


def test_a_worker_that_dies_for_memory_is_told_with_what_it_held_and_not_what_was_left(
    tmp_path,
):
    space = tmp_path / "w"
    ended = run(job_file(tmp_path, ABORTS), space, "--ram-budget", "1GiB")
    assert ended.status == 73, ended
    (event,) = incidents(space)
    assert event.verdict == "ram_limit"
    assert event.ram_bytes is not None
    assert event.ram_bytes > 300 * 2**20
    told = float(ended.paragraph.partition("stopped (ram_limit) at ")[2].split()[0])
    assert told == round(event.ram_bytes / 2**20, 1)
