"""Every signal that asks for a stop, at any moment and to any process of a run."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lowmem.base.stop_signals import STOP_SIGNALS, WARNINGS
from lowmem.protocol.records import AttemptBegun, CycleEnded
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import (
    COUNTING,
    PATIENCE_S,
    Running,
    assert_counted,
    attempts,
    committed_cycles,
    incidents,
    job_file,
    lowmem,
    records,
    run,
    running,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

N_ROWS = 60
SLOWLY = ("--rows", N_ROWS, "--pause", 0.05)
TIMEOUT = shutil.which("timeout") or "timeout"
# More than the job has: no commit is due before the stop.
NEVER = 10_000

ENDLESS = """
import lowmem, time
@lowmem.job()
def endless(ctx):
    yield lowmem.CommitPoint(items=1, state={"begun": True})
    while True:
        time.sleep(0.1)
"""


@pytest.fixture
def job(tmp_path):
    return job_file(tmp_path, COUNTING)


def rows_written(live: Running) -> int:
    """Return the rows that the job has done, committed or not."""
    rows = live.space.job("count") / "staging" / "rows.txt"
    return len(rows.read_text().splitlines()) if rows.exists() else 0


def assert_nothing_is_lost(space, ended, name, n_rows) -> None:
    """Assert that all rows done before a stop were committed, and by whom it was asked."""
    assert ended.status == 75, ended
    assert "Traceback" not in ended.err
    assert f"asked to, by {name}" in ended.paragraph
    cycles = [r for r in records(space) if isinstance(r, CycleEnded)]
    assert {c.outcome for c in cycles} == {"committed"}
    assert sum(c.cycle.items for c in cycles) >= n_rows
    (event,) = incidents(space)
    assert (event.verdict, event.signal, event.where) == ("signal", name, None)


def tell_all(live: Running, number: int) -> None:
    """Send a signal to every process of a run, the supervisor last."""
    root = psutil.Process(live.process.pid)
    for process in [*reversed(root.children(recursive=True)), root]:
        process.send_signal(number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_signal_to_stop_commits_what_was_done_and_the_run_goes_on_from_there(
    tmp_path, job, number
):
    space = tmp_path / "w"
    with running(job, space, *SLOWLY, cycle_steps=NEVER) as live:
        until(lambda: rows_written(live) >= 3)
        before = rows_written(live)
        live.process.send_signal(number)
        ended = live.end()
    assert_nothing_is_lost(space, ended, signal.Signals(number).name, before)
    kept = sum(c.cycle.items for c in committed_cycles(records(space)))
    assert run(job, space, "--rows", N_ROWS, "--pause", 0).status == 0
    assert attempts(space)[-1].next_cycle == 1
    assert kept < N_ROWS
    assert_counted(space, N_ROWS)


@pytest.mark.parametrize("number", [signal.SIGTERM, *WARNINGS])
def test_a_signal_to_every_process_of_a_run_loses_nothing_either(tmp_path, job, number):
    space = tmp_path / "w"
    words = ("--mirror", tmp_path / "mirror")
    with running(job, space, *SLOWLY, *words, cycle_steps=NEVER) as live:
        until(lambda: rows_written(live) >= 3)
        before = rows_written(live)
        tell_all(live, number)
        ended = live.end()
    assert_nothing_is_lost(space, ended, signal.Signals(number).name, before)
    assert (space / "report.html").is_file()
    # The mirror's process has heard it too, and has sent the last commit.
    assert "not durable" not in ended.err
    shutil.rmtree(space)
    assert run(job, space, "--rows", N_ROWS, *words).status == 0
    assert attempts(space)[-1].next_cycle == 1
    assert_counted(space, N_ROWS)


def withheld_from(pid: int) -> set[int]:
    """Return the signals that a process does not get, from its status in /proc."""
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("SigBlk:")
    ]
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_no_signal_to_stop_reaches_the_processes_that_serve_a_run(tmp_path, job):
    space = tmp_path / "w"
    words = ("--pause", 0.5, "--mirror", tmp_path / "mirror")
    with running(job, space, *words, cycle_steps=1) as live:
        live.wait_for_commits(1)
        mark = f"LOWMEM_RUN={live.worker.environ()['LOWMEM_RUN']}"
        serving = [
            process
            for process in psutil.process_iter(["cmdline"])
            if (
                "lowmem.mirror" in (line := process.info["cmdline"] or [])
                and process.ppid() == live.process.pid
            )
            or mark in line
        ]
        assert len(serving) == 2  # the mirror, and what cleans up after all of them
        for process in serving:
            assert withheld_from(process.pid) >= set(STOP_SIGNALS)
        # But the worker gets them, and what a job starts inherits no such mask.
        assert not withheld_from(live.worker.pid) & set(STOP_SIGNALS)


def test_a_signal_is_heard_while_the_command_line_is_still_being_loaded(tmp_path, job):
    code = """
import os, signal, sys
class Loading:
    def find_spec(self, name, path, target=None):
        if name == "lowmem.cli.main":
            os.kill(os.getpid(), signal.SIGUSR2)
sys.meta_path.insert(0, Loading())
from lowmem.cli.start import run
run()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(job)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=tmp_path,
    )
    assert done.returncode == 75, done
    assert "stopped by SIGUSR2" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "lowmem-work").exists()


def test_a_signal_in_the_moment_in_which_the_supervisor_takes_over_is_heard(
    tmp_path, job
):
    code = """
import os, signal, sys
from lowmem.cli import main
take_over = os.execv
def late(*words):
    os.kill(os.getpid(), signal.SIGUSR1)
    take_over(*words)
os.execv = late
main.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(job), "--workspace", tmp_path / "w"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=tmp_path,
    )
    assert done.returncode == 75, done
    assert "by SIGUSR1" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, *WARNINGS])
def test_a_signal_while_a_job_file_is_read_stops_without_a_traceback(tmp_path, number):
    job = job_file(
        tmp_path,
        f"""
        import pathlib, time, lowmem
        pathlib.Path({str(tmp_path / "reading")!r}).touch()
        time.sleep(60)
        job = lowmem.job
        """,
    )
    with running(job, tmp_path / "w") as live:
        until((tmp_path / "reading").exists)
        tell_all(live, number)
        ended = live.end()
    assert ended.status == 75, ended
    assert f"stopped by {signal.Signals(number).name}" in ended.paragraph
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, *WARNINGS])
def test_a_signal_while_memory_is_being_measured_stops(tmp_path, number):
    job = job_file(
        tmp_path,
        f"""
        import pathlib, time, lowmem
        @lowmem.job(settings=[{{"block": 8}}, {{"block": 4}}], calibrate="block")
        def unknown(ctx):
            if ".trial-" in str(ctx.staging):
                pathlib.Path({str(tmp_path / "measuring")!r}).touch()
                time.sleep(60)
            yield lowmem.CommitPoint(items=1)
            return lowmem.Result()
        """,
    )
    space = tmp_path / "w"
    with running(job, space) as live:
        until((tmp_path / "measuring").exists)
        tell_all(live, number)
        ended = live.end()
    assert ended.status == 75, ended
    assert f"asked to, by {signal.Signals(number).name}, while" in ended.paragraph
    assert attempts(space) == []


def test_a_signal_while_what_a_job_needs_is_made_stops_and_the_same_command_goes_on(
    tmp_path,
):
    job = job_file(
        tmp_path,
        """
        import lowmem
        from lowmem.protocol.planning import Need

        def images(context):
            return [Need(path=context.workspace.images, job="ingest",
                         options={"source": "faces:1000", "size": "64"})]

        def after(ctx):
            yield lowmem.CommitPoint(items=1)
            (ctx.staging / "after.txt").write_text("done")
            return lowmem.Result(publish=["after.txt"])

        JOB = lowmem.Job(name="after", work=after, needs=images)
        """,
    )
    space = tmp_path / "w"
    with running(job, space, cycle_steps=1) as live:
        live.wait_for_commits(1)
        live.process.send_signal(signal.SIGUSR1)
        ended = live.end()
    assert ended.status == 75, ended
    assert "job ingest stopped: asked to, by SIGUSR1" in ended.paragraph
    assert [r.job for r in records(space) if isinstance(r, AttemptBegun)] == ["ingest"]
    assert run(job, space, cycle_steps=None).status == 0
    jobs = read_report(live.space, is_live=False).jobs
    assert {name: jobs[name].state for name in jobs} == {
        "ingest": "done",
        "after": "done",
    }


def test_warnings_and_the_first_demand_wait_for_the_commit_and_the_second_does_not(
    tmp_path,
):
    space = tmp_path / "w"
    with running(job_file(tmp_path, ENDLESS), space, cycle_steps=1) as live:
        live.wait_for_commits(1)
        for number in (*WARNINGS, *WARNINGS, signal.SIGTERM):
            live.process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            live.process.wait(0.5)
        live.process.send_signal(signal.SIGTERM)
        ended = live.end()
    assert ended.status == 75, ended
    assert "killed, asked to, by SIGTERM" in ended.paragraph
    (event,) = incidents(space)
    assert (event.verdict, event.signal) == ("signal", "SIGTERM")


def test_timeout_which_sends_its_signal_twice_still_gets_a_commit(tmp_path, job):
    space = tmp_path / "w"
    line = [sys.executable, "-m", "lowmem", "run", job, "--workspace", space]
    line += ["--rows", 100_000, "--pause", 0.02, "--cycle-steps", NEVER]
    done = subprocess.run(
        [TIMEOUT, "--preserve-status", "4", *map(str, line)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=tmp_path,
    )
    assert done.returncode == 75, done
    # Wherever it came: a loaded machine may not yet have begun the job.
    assert "by SIGTERM" in " ".join(done.stderr.split())
    assert "killed" not in done.stderr


def test_a_limit_of_processor_time_commits_and_a_run_with_more_of_it_ends(tmp_path):
    job = job_file(
        tmp_path,
        """
        import time, lowmem
        @lowmem.job()
        def burns(ctx):
            for done in range(ctx.state.get("done", 0), 80):
                until_s = time.process_time() + 0.1
                while time.process_time() < until_s:
                    pass
                yield lowmem.CommitPoint(items=1, state={"done": done + 1})
            (ctx.staging / "burnt.txt").write_text("80")
            return lowmem.Result(publish=["burnt.txt"])
        """,
    )
    space = tmp_path / "w"
    line = [sys.executable, "-m", "lowmem", "run", str(job), "--workspace", str(space)]
    done = subprocess.run(
        [*line, "--cycle-steps", str(NEVER)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        # Of each process, and only the worker uses so much; SIGKILL never comes.
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_CPU, (4, resource.getrlimit(resource.RLIMIT_CPU)[1])
        ),
    )
    assert done.returncode == 75, done
    (event,) = incidents(space)
    assert (event.verdict, event.signal) == ("signal", "SIGXCPU")
    (cycle,) = committed_cycles(records(space))
    assert cycle.cycle.items >= 20
    assert lowmem("run", job, "--workspace", space).status == 0
    assert sum(c.cycle.items for c in committed_cycles(records(space))) == 80


def test_what_a_job_starts_can_be_ended_by_the_job_as_in_any_program(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, os, signal, subprocess, time
        @lowmem.job()
        def starts(ctx):
            program = subprocess.Popen(["sleep", "600"])
            program.terminate()
            statuses = [program.wait()]
            for number in (signal.SIGTERM, signal.SIGHUP):
                child = os.fork()
                if child == 0:
                    time.sleep(600)
                    os._exit(0)
                os.kill(child, number)
                statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            yield lowmem.CommitPoint(items=1, state={"statuses": statuses})
            (ctx.staging / "ended.txt").write_text(str(statuses))
            return lowmem.Result(publish=["ended.txt"])
        """,
    )
    space = tmp_path / "w"
    ended = run(job, space)
    assert ended.status == 0, ended
    assert (space / "ended.txt").read_text() == "[-15, -15, -1]"


def test_a_worker_that_somebody_kills_is_named_with_the_signal(tmp_path, job):
    space = tmp_path / "w"
    with running(job, space, *SLOWLY, cycle_steps=3) as live:
        live.wait_for_commits(1)
        os.kill(live.worker.pid, signal.SIGKILL)
        ended = live.end()
    assert ended.status == 0, ended
    (event,) = incidents(space)
    assert (event.verdict, event.signal) == ("signal", "SIGKILL")


def test_a_worker_killed_again_and_again_ends_the_run_naming_the_signal(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, os
        @lowmem.job()
        def killed(ctx):
            os.kill(os.getpid(), 9)
            yield
        """,
    )
    ended = run(job, tmp_path / "w")
    assert ended.status == 70, ended
    assert "last verdict: signal SIGKILL" in ended.paragraph
