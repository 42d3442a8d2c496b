"""What a real run used, held against what the job and the kernel tell of it."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from lowmem.base.workspace import Workspace
from lowmem.report.accounting import usage_of
from lowmem.report.read import read_sats
from tests.processes.lowmem_runs import (
    COUNTING,
    attempts,
    is_running,
    job_file,
    kill,
    lowmem,
    run,
    running,
    stop_after_commits,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

MB = 10**6
# Works for half a second of its own time a step, in a child too, and writes what is
# known. It tells what the kernel has on its account and its children's.
WORKS = """
import resource, subprocess, sys, time, lowmem

def used():
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    found = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in found)

CHILD = "import time\\nwhile time.process_time() < 0.25: pass"

@lowmem.job(unit="steps")
def works(ctx):
    "Work."
    for done in range(ctx.state.get("done", 0), 3):
        end = time.process_time() + 0.25
        while time.process_time() < end:
            pass
        subprocess.run([sys.executable, "-c", CHILD], check=True)
        (ctx.staging / "x.bin").write_bytes(bytes(4_000_000))
        yield lowmem.CommitPoint(items=1, state={"done": done + 1})
    return lowmem.Result(publish=["x.bin"], summary={"cpu_s": used()})
"""
# Holds more than it is given, and waits to be stopped for it.
HOLDS = """
import time, lowmem

@lowmem.job(unit="rows")
def holds(ctx):
    "Hold memory."
    held = [bytearray(b"x") * 2**20 for _ in range(400)]
    time.sleep(600)
    yield lowmem.CommitPoint(items=1, state={"done": len(held)})
"""
# In every Python that is started: another machine, by its name.
OTHER_MACHINE = """
import os
_uname = os.uname()
os.uname = lambda: os.uname_result(("Linux", "other-machine", *_uname[2:]))
"""


def usage(*spaces, words=()):
    ended = lowmem("usage", *spaces, "--json", *words)
    assert ended.status == 0, ended
    return json.loads(ended.out)


def test_a_run_tells_the_time_that_its_processes_took_and_what_they_wrote(tmp_path):
    space = tmp_path / "w"
    assert run(job_file(tmp_path, WORKS), space, cycle_steps=1).status == 0
    report = json.loads(lowmem("report", space, "--json").out)
    told = report["jobs"]["works"]["summary"]["cpu_s"]
    assert told >= 3 * 0.5
    document = usage(space)
    used = document["total"]["used"]
    # Beside the job there are its plan, its supervisor, and the end of its worker: what
    # they take depends on the machine.
    assert told - 0.1 <= used["cpu_seconds"]
    assert used["written_bytes"] >= 3 * 4 * MB
    assert used["read_bytes"] > 0
    assert used["gpu_seconds"] == 0.0
    (one,) = document["sittings"]
    assert (one["ended"], one["job"], one["exit_code"]) == ("done", "works", 0)
    assert one["used"] == used
    cycles = report["jobs"]["works"]["cycles"]
    assert used["seconds"] >= sum(cycle["seconds"] for cycle in cycles)
    # The page's report and the command's tell the same.
    assert report["usage"] == {
        name: document[name] for name in ("total", "jobs", "days", "sittings")
    }


def test_a_killed_sitting_is_lost_and_a_stopped_one_is_not(tmp_path):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    with running(job, space, "--pause", 0.05) as live:
        live.wait_for_commits(2)
        worker = live.worker.pid
        kill(live.process.pid)
        until(lambda: not is_running(worker))
    stop_after_commits(job, space, 3, "--pause", 0.05)
    assert run(job, space).status == 0
    found = usage(space)["sittings"]
    assert [one["ended"] for one in found] == ["lost", "signal", "done"]
    assert [one["signal"] for one in found] == [None, "SIGTERM", None]
    assert [one["exit_code"] for one in found] == [None, 75, 0]
    assert all(one["used"]["cpu_seconds"] > 0 for one in found)
    text = lowmem("usage", space)
    assert "1 lost without a word" in " ".join(text.out.split())
    assert "stopped by SIGTERM" in " ".join(text.out.split())


def test_while_it_runs_a_sitting_is_said_to(tmp_path):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    with running(job, space, "--pause", 600) as live:
        live.wait_for(lambda _: attempts(space))
        (one,) = usage(space)["sittings"]
        assert (one["ended"], one["exit_code"]) == ("running", None)


def test_a_sitting_whose_job_took_more_than_its_budget_says_so(tmp_path):
    space = tmp_path / "w"
    ended = run(job_file(tmp_path, HOLDS), space, "--ram-budget", "200M")
    assert ended.status == 73, ended
    (one,) = usage(space)["sittings"]
    assert (one["ended"], one["exit_code"]) == ("budget", 73)
    assert one["used"]["cpu_seconds"] > 0


def test_a_gpu_that_was_demanded_and_not_there_is_told(tmp_path, monkeypatch):
    # No driver answers: whatever this machine has is hidden from NVML's loader.
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"no library")
    refused = run(job, space, "--device", "gpu")
    assert refused.status == 69, refused
    # Nothing has run: a mirror still fills the workspace.
    assert usage(space)["sittings"] == []
    stop_after_commits(job, space, 2, "--pause", 0.1)
    refused = run(job, space, "--pause", 0.1, "--device", "gpu")
    assert refused.status == 69, refused
    assert run(job, space, "--pause", 0.1, "--device", "auto").status == 0
    _, first, second = usage(space)["sittings"]
    assert (first["ended"], first["gpu"], first["exit_code"]) == (
        "no_gpu",
        "absent",
        69,
    )
    # It only counts, and nobody demanded one of this run: nothing is said of a GPU.
    assert (second["ended"], second["gpu"]) == ("done", None)
    told = " ".join(lowmem("usage", space).out.split())
    assert told.count("no GPU was there") == 2  # the refused sitting, and its count
    status = json.loads(lowmem("status", space, "--json").out)["jobs"]["count"]
    assert status["state"] == "done"


def test_what_comes_back_from_a_mirror_has_the_sittings_of_the_lost_machine(
    tmp_path, monkeypatch
):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    words = ("--mirror", tmp_path / "mirror", "--pause", 0.1)
    stop_after_commits(job, space, 2, *words)
    before = usage(space)["sittings"]
    shutil.copytree(space, tmp_path / "kept")
    shutil.rmtree(space)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(OTHER_MACHINE)
    monkeypatch.setenv("PYTHONPATH", str(site))
    ended = run(job, space, *words)
    assert ended.status == 0, ended
    first, second = usage(space)["sittings"]
    assert first["machine"] == before[0]["machine"]
    assert second["machine"]["name"] == "other-machine" != first["machine"]["name"]
    assert attempts(space)[-1].next_cycle > 0
    assert first["began_at"] == before[0]["began_at"]
    assert second["ended"] == "done"
    # The lost machine's disk turns up again: its sitting counts once.
    together = usage(space, tmp_path / "kept")
    assert together["total"]["n_sittings"] == 2


def test_days_before_a_date_do_not_count_and_what_is_none_is_refused(tmp_path):
    space = tmp_path / "w"
    assert run(job_file(tmp_path, COUNTING), space).status == 0
    assert usage(space, words=("--since", "2000-01-01"))["total"]["n_sittings"] == 1
    later = usage(space, words=("--since", "2999-01-01"))
    assert (later["total"]["n_sittings"], later["since"]) == (0, "2999-01-01")
    wrong = lowmem("usage", space, "--since", "yesterday")
    assert wrong.status == 2
    assert "a day such as 2026-11-22" in wrong.paragraph
    absent = lowmem("usage", tmp_path / "nowhere")
    assert absent.status == 2


@pytest.mark.parametrize("columns", [40, 80])
def test_what_is_printed_fits_the_terminal(tmp_path, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    space = tmp_path / "w"
    assert run(job_file(tmp_path, COUNTING), space).status == 0
    shown = lowmem("usage", space).out
    # A path has no place to be broken at.
    lines = shown.partition("\n\n")[2].splitlines()
    assert max(map(len, lines)) <= columns


def test_a_program_under_a_budget_is_counted_too(tmp_path):
    space = tmp_path / "w"
    code = f"open({str(tmp_path / 'x')!r}, 'wb').write(bytes({5 * MB}))"
    words = ("exec", "--workspace", space, "--", sys.executable, "-c", code)
    assert lowmem(*words, cwd=tmp_path).status == 0
    sats = read_sats(Workspace.at(space), is_live=False)
    (one,) = usage_of(sats).sittings
    assert one.ended == "done"
    assert one.used.written_bytes >= 5 * MB
    assert one.used.gpu_seconds is None
