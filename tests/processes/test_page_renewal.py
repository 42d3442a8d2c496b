"""The report page of a job that runs: renewed between cycles, and nothing else for it."""

from __future__ import annotations

import re
import signal

import pytest

from lowmem.protocol.records import CycleEnded
from tests.processes.lowmem_runs import (
    COUNTING,
    PATIENCE_S,
    assert_counted,
    attempts,
    committed_cycles,
    incidents,
    job_file,
    records,
    run,
    running,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# What supervises, with a page after every cycle.
EAGER = """
import runpy, sys
from lowmem.supervisor import page_renewal
page_renewal._SHORTEST_PAUSE_S = page_renewal._PAUSE_SHARE = 0
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
# As one whose page takes long.
SLOW = EAGER.replace(
    "sys.argv =",
    "import pathlib, time\n"
    "page_renewal.PageRenewal.renew = lambda page: ("
    "pathlib.Path('making').touch(), time.sleep(2))\n"
    "sys.argv =",
)
# As one whose page takes 150 MiB, for long enough to be read.
LARGE = EAGER.replace(
    "sys.argv =",
    "import subprocess\n"
    "TAKES = 'import time; held = bytearray(150 << 20); time.sleep(0.6)'\n"
    "page_renewal.PageRenewal.renew = lambda page: ("
    "subprocess.run([sys.executable, '-c', TAKES]))\n"
    "sys.argv =",
)
# As one that is kept from its watch, once the page is made, while a job's child grows.
LATE = EAGER.replace(
    "sys.argv =",
    "import pathlib, time\n"
    "from lowmem.supervisor.attempt import Attempt\n"
    "aside = Attempt._do\n"
    "def aside_and_late(attempt, work):\n"
    "    aside(attempt, work)\n"
    "    if attempt.page is not None and work == attempt.page.renew:\n"
    "        pathlib.Path('grow').touch()\n"
    "        while not pathlib.Path('grown').exists():\n"
    "            time.sleep(0.01)\n"
    "Attempt._do = aside_and_late\n"
    "sys.argv =",
)
# Has a child that takes 400 MiB, shared so that no limit refuses it, when it is told to.
WITH_CHILD = """
import mmap, os, pathlib, time
import lowmem

FOLDER = pathlib.Path(__file__).parent

def grow():
    while not (FOLDER / "grow").exists():
        time.sleep(0.01)
    held = mmap.mmap(-1, 400 << 20)
    for start in range(0, len(held), 4096):
        held[start] = 1
    (FOLDER / "grown").touch()
    time.sleep(600)

@lowmem.job(unit="rows", settings=({"block": 1},))
def late(ctx):
    'Three rows.'
    if os.fork() == 0:
        grow()
    for row in range(3):
        yield lowmem.CommitPoint(items=1, state={"row": row + 1})
    return lowmem.Result()
"""
# Takes at once, as its second cycle begins, what the budget still has.
AT_ONCE = """
import lowmem

@lowmem.job(unit="rows", settings=({"block": 2}, {"block": 1}))
def takes(ctx):
    'Take 250 MiB at once.'
    for row in range(ctx.state.get("row", 0), 3):
        held = bytearray(250 << 20) if row else None
        del held
        yield lowmem.CommitPoint(items=1, state={"row": row + 1})
    (ctx.staging / "takes.txt").write_text("3")
    return lowmem.Result(publish=["takes.txt"])
"""
# The command line, which becomes what supervises.
_START = """
import os, sys
become = os.execv
program = sys.argv.pop(1)
os.execv = lambda path, line: become(path, [path, "-c", program, *line[2:]])
from lowmem.cli.start import run
run()
"""


def supervised_by(program):
    """Return what Python runs for the command line to become ``program``."""
    return {"program": ("-c", _START, program)}


def test_the_page_is_renewed_while_a_job_runs_and_the_job_is_what_it_was(tmp_path):
    job, space = job_file(tmp_path, COUNTING), tmp_path / "w"
    page = space / "report.html"
    with running(
        job, space, "--rows", 600, "--pause", 0.02, **supervised_by(EAGER)
    ) as live:
        until(lambda: page.exists() or live.has_ended)
        first = page.stat().st_mtime_ns
        live.wait_for_commits(3)
        until(lambda: page.stat().st_mtime_ns != first)
        text = page.read_text(encoding="utf-8")
        assert re.search(r'class="chip running"', text)
        assert not live.has_ended
        live.process.send_signal(signal.SIGUSR1)
        assert live.process.wait(PATIENCE_S) == 75
    assert 'class="chip stopped"' in page.read_text(encoding="utf-8")
    assert run(job, space, "--rows", 600).status == 0
    assert_counted(space, 600)
    # What the page's process took, some 30 MiB, is no cycle's.
    peaks = {1: 0, 2: 0}
    for one in committed_cycles(records(space)):
        peaks[one.attempt] = max(peaks[one.attempt], one.ram_peak_bytes)
    assert peaks[1] < peaks[2] + 12 * 2**20


def test_a_job_that_leaves_no_room_for_a_page_has_none_until_it_ends(tmp_path):
    job, space = job_file(tmp_path, COUNTING), tmp_path / "w"
    words = ("--rows", 60, "--pause", 0.02, "--ram-budget", "120M")
    with running(job, space, *words, **supervised_by(EAGER)) as live:
        live.wait_for_commits(6)
        assert not (space / "report.html").exists()
        assert live.process.wait(PATIENCE_S) == 0
    assert (space / "report.html").exists()


def test_a_stop_while_a_page_is_made_is_heard(tmp_path):
    job, space = job_file(tmp_path, COUNTING), tmp_path / "w"
    with running(job, space, "--rows", 60, **supervised_by(SLOW)) as live:
        until(lambda: (tmp_path / "making").exists() or live.has_ended)
        live.process.send_signal(signal.SIGTERM)
        assert live.process.wait(PATIENCE_S) == 75
    assert run(job, space, "--rows", 60).status == 0
    assert_counted(space, 60)


def test_what_a_page_took_is_the_jobs_again_before_its_cycle_begins(tmp_path):
    job, space = job_file(tmp_path, AT_ONCE), tmp_path / "w"
    program = supervised_by(LARGE)
    words = ("--ram-budget", "400M")
    with running(job, space, *words, cycle_steps=1, **program) as live:
        assert live.process.wait(PATIENCE_S) == 0, live.process.communicate()
    assert not incidents(space)
    assert [one.settings for one in attempts(space)] == [{"block": 2}]


def test_a_run_that_the_reading_after_a_page_ends_keeps_its_last_cycles_peak(tmp_path):
    job, space = job_file(tmp_path, WITH_CHILD), tmp_path / "w"
    program = supervised_by(LATE)
    words = ("--ram-budget", "300M")
    with running(job, space, *words, cycle_steps=1, **program) as live:
        assert live.process.wait(PATIENCE_S) == 73, live.process.communicate()
    ended = [one for one in records(space) if isinstance(one, CycleEnded)]
    [stopped] = [one for one in ended if one.outcome != "committed"]
    assert stopped.ram_peak_bytes > 400 * 2**20
