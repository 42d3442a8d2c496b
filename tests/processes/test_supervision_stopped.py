"""What stops a run, or its pipes, without a word: nothing hangs, nothing goes unwatched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from lowmem.protocol.messages import Describe
from lowmem.protocol.records import Mirrored
from lowmem.supervisor.processes import WorkerProcess, worker_environment
from tests.processes.lowmem_runs import (
    COUNTING,
    PATIENCE_S,
    assert_counted,
    children_of,
    committed_cycles,
    incidents,
    is_running,
    job_file,
    records,
    run,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# A child works beside the worker, in a session of its own, until the worker has gone.
WITH_A_CHILD = """
import os, time, lowmem
@lowmem.job(name="pair")
def pair(ctx):
    ends = ctx.workspace.root / "end"
    if os.fork() == 0:
        os.setsid()
        while not ends.exists(): time.sleep(0.001)
        os._exit(0)
    (ctx.workspace.root / "begun").touch()
    while not ends.exists(): time.sleep(0.001)
    os.wait()
    yield lowmem.CommitPoint(items=1)
"""


def state_of(pid):
    return psutil.Process(pid).status()


@contextmanager
def run_of_two(tmp_path):
    """Give a run under way, and its two processes."""
    job, space = job_file(tmp_path, WITH_A_CHILD), tmp_path / "w"
    words = ["run", str(job), "--workspace", str(space), "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-m", "lowmem", *words],
        # As a shell does it: only a group whose parent is in another can be stopped.
        process_group=0,
        cwd=tmp_path,
    ) as process:
        try:
            until((space / "begun").exists)
            pids = [child.pid for child in children_of(process.pid)]
            assert len(pids) == 2
            yield process, pids
        finally:
            process.kill()


def suspend(process):
    process.send_signal(signal.SIGTSTP)
    until(lambda: state_of(process.pid) == psutil.STATUS_STOPPED)


def test_a_run_that_is_suspended_holds_its_whole_job_and_goes_on_with_it(tmp_path):
    with run_of_two(tmp_path) as (process, pids):
        for _ in range(2):
            suspend(process)
            assert {state_of(pid) for pid in pids} == {psutil.STATUS_STOPPED}
            process.send_signal(signal.SIGCONT)
            until(lambda: psutil.STATUS_STOPPED not in map(state_of, pids))
        (tmp_path / "w" / "end").touch()
        assert process.wait(timeout=PATIENCE_S) == 0
    assert incidents(tmp_path / "w") == []


def test_a_run_that_is_killed_while_it_is_suspended_leaves_nothing(tmp_path):
    with run_of_two(tmp_path) as (process, pids):
        suspend(process)
    until(lambda: not any(map(is_running, pids)))


SPOILT = {
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "closes its input": "sys.stdin.close()",
    "closes the descriptor of its input": "os.close(0)",
    "reads its input to the end": "assert sys.stdin.read() == ''",
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_job_that_loses_its_input_or_stops_itself_is_run_to_the_end(tmp_path, how):
    source = COUNTING.replace("import json,", "import signal, sys, json,").replace(
        "    rows.touch()", f"    rows.touch(); {SPOILT[how]}"
    )
    ended = run(job_file(tmp_path, source), tmp_path / "w")
    assert ended.status == 0, ended
    assert_counted(tmp_path / "w")
    assert ("had been stopped, and continues" in ended.err) == (how == "stops itself")


GARBAGE = {
    "what is no message": "os.write(answers, b'hello\\n')",
    "a message of another kind": 'os.write(answers, b\'{"type":"Nobody"}\\n\')',
    "bytes of no encoding": "os.write(answers, bytes(range(128, 256)) + b'\\n')",
    "deep nesting": "os.write(answers, b'[' * 50_000 + b'\\n')",
    "a line without an end": "[os.write(answers, b'x' * 2**16) for _ in range(100)]",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_job_that_writes_to_lowmems_own_pipe_fails_with_one_sentence(tmp_path, kind):
    job = job_file(
        tmp_path,
        f"""
        import os, sys, lowmem
        @lowmem.job(name="writes")
        def writes(ctx):
            answers = int(sys.argv[1])
            {GARBAGE[kind]}
            yield lowmem.CommitPoint(items=1)
        """,
    )
    ended = run(job, tmp_path / "w")
    assert ended.status == 70, ended
    assert "expected a message of lowmem's" in ended.paragraph
    assert "Traceback" not in ended.err


def test_what_a_job_prints_and_notes_is_cut_at_the_pipe(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem
        @lowmem.job(name="prints")
        def prints(ctx):
            print("a" * 100_000_000)
            for _ in range(1000): print("b" * 1000, end="")
            print()
            print("c \\ud800 c")
            ctx.note("d" * 30_000_000)
            yield lowmem.CommitPoint(items=1)
        """,
    )
    ended = run(job, tmp_path / "w")
    assert ended.status == 0, ended
    assert f"{'a' * 3000} ... [99,997,000 more characters]" in ended.err
    assert f"{'b' * 3000} ... [997,000 more characters]" in ended.err
    assert "c ? c" in ended.err
    assert len(ended.err) < 100_000


def test_an_error_of_30_mb_is_told_in_what_can_be_read(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem
        @lowmem.job(name="fails")
        def fails(ctx):
            raise ValueError("e" * 30_000_000)
            yield
        """,
    )
    ended = run(job, tmp_path / "w")
    assert ended.status == 70, ended
    assert "ValueError: eee" in ended.err
    assert len(ended.err) < 200_000


STARTS_AT_IMPORT = """
import os, time
from pathlib import Path
import lowmem
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            with Path("pids").open("a") as stream: stream.write(f"{os.getpid()}\\n")
            time.sleep(600)
        os._exit(0)
    os.waitpid(pid, 0)
@lowmem.job(name="started")
def started(ctx):
    yield lowmem.CommitPoint(items=1)
"""


def test_what_a_jobs_file_starts_when_it_is_imported_ends_with_the_run(tmp_path):
    ended = run(job_file(tmp_path, STARTS_AT_IMPORT), tmp_path / "w")
    assert ended.status == 0, ended
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    # Each process that imported it started two: to describe, to plan, to run it.
    assert len(pids) >= 4
    until(lambda: not any(map(is_running, pids)), patience_s=10)


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_file_that_ends_its_process_when_it_is_imported_is_named(tmp_path, how):
    job = job_file(tmp_path, f"import lowmem, os\n{how}\njob = lowmem.job\n")
    ended = run(job, tmp_path / "w")
    assert ended.status == 70, ended
    assert "job.py failed" in ended.paragraph
    assert ("SIGKILL" if "kill" in how else "status 3") in ended.paragraph
    assert "a bug in lowmem" not in ended.err


def test_a_worker_that_has_ended_is_not_taken_for_one_that_was_stopped():
    worker = WorkerProcess(Describe(), environment=worker_environment("cpu"))
    os.kill(worker.pid, signal.SIGKILL)
    until(worker.has_exited)
    assert worker.wake() is False
    assert worker.wait().status == -signal.SIGKILL


@pytest.mark.parametrize("rows", [12, 10**6])
def test_a_run_whose_terminal_is_gone_ends_with_its_own_exit_code(tmp_path, rows):
    """With its work done, and stopped by the signal that tells of the terminal's end."""
    job, space = job_file(tmp_path, COUNTING), tmp_path / "w"
    terminal, its_end = os.openpty()
    words = [
        "run",
        job,
        "--workspace",
        space,
        "--mirror",
        tmp_path / "m",
        "--rows",
        rows,
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "lowmem", *map(str, [*words, "--cycle-steps", 3])],
        stdin=subprocess.DEVNULL,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
        cwd=tmp_path,
    ) as process:
        os.close(its_end)
        until((space / ".lowmem" / "journal.jsonl").exists)
        os.close(terminal)
        if rows > 12:
            until(lambda: committed_cycles(records(space)))
            process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE_S) == (0 if rows == 12 else 75)
    assert any(isinstance(record, Mirrored) for record in records(space))
