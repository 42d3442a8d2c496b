"""A run killed at any moment, resumed, equals the run that was never cut."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    attempts,
    children_of,
    committed_cycles,
    incidents,
    is_running,
    job_file,
    kill,
    lowmem,
    records,
    run,
    running,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

N_ROWS = 30
SLOWLY = ("--rows", N_ROWS, "--pause", 0.01)
# Row at which the job waits, passing commit points, as long as a file is there.
HELD_AT = 20
WAITING = """
        while done == {row} and os.path.exists({held!r}):
            time.sleep(ctx.options["pause"])
            yield lowmem.CommitPoint(
                state={{"done": done, "total": total, "size": rows.stat().st_size}},
                flush=lambda: sync_file(rows),
            )
"""
# Read by every process of a run: their clock jumps once a file is there.
JUMPING = """
import os, time
plain = time.monotonic
time.monotonic = lambda: plain() + ({jump_s} if os.path.exists({late!r}) else 0)
"""
BUDGET_S = 10 * 3600
# What a jump leaves of the budget, and is enough to commit on any machine.
LEFT_S = 600


@pytest.fixture
def job(tmp_path):
    """One that goes on from row `HELD_AT` only once its file `held` has gone."""
    waiting = WAITING.format(row=HELD_AT, held=str(tmp_path / "held"))
    paused = '        time.sleep(ctx.options["pause"])\n'
    assert paused in COUNTING
    return job_file(tmp_path, COUNTING.replace(paused, waiting.lstrip("\n") + paused))


@pytest.fixture
def held(tmp_path):
    """The file that holds the job back."""
    path = tmp_path / "held"
    path.touch()
    return path


@pytest.fixture
def clock_that_jumps(tmp_path, monkeypatch):
    """Let the clock of all runs jump once a job makes a file; return that file.

    So it is the job's doing that the time ends, and not the machine's speed.
    """

    def set_to_jump(jump_s):
        late = tmp_path / "late"
        site = tmp_path / "site"
        site.mkdir()
        text = JUMPING.format(jump_s=jump_s, late=str(late))
        (site / "sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        return late

    return set_to_jump


def test_a_run_that_is_never_cut_counts_every_row_once(tmp_path, job):
    ended = run(job, tmp_path / "w")
    assert ended.status == 0, ended
    assert_counted(tmp_path / "w")
    assert (tmp_path / "w" / "report.html").is_file()


def test_a_worker_killed_in_mid_cycle_is_replaced_and_the_result_is_the_same(
    tmp_path, job, held
):
    space = tmp_path / "w"
    with running(job, space, *SLOWLY) as live:
        live.wait_for_commits(2)
        first = live.worker.pid
        kill(first)
        live.wait_for(
            lambda found: (
                sum(r.__class__.__name__ == "AttemptBegun" for r in found) == 2
            )
        )
        assert live.worker.pid != first
        held.unlink()
        ended = live.end()
    assert ended.status == 0, ended
    assert_counted(space, N_ROWS)
    (incident,) = incidents(space)
    assert incident.verdict == "signal"
    assert incident.action == "restarted with the same settings"


def test_a_worker_dies_with_its_supervisor_and_the_next_run_loses_nothing(
    tmp_path, job, held
):
    space = tmp_path / "w"
    with running(job, space, *SLOWLY) as live:
        live.wait_for_commits(3)
        worker = live.worker.pid
        kill(live.process.pid)
        until(lambda: not is_running(worker))
    held.unlink()
    before = len(committed_cycles(records(space)))
    assert before >= 3
    # The workspace is free again at once.
    ended = run(job, space, *SLOWLY)
    assert ended.status == 0, ended
    assert_counted(space, N_ROWS)
    assert attempts(space)[-1].next_cycle >= before


def test_detached_grandchildren_die_with_the_supervisor_too(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, os, subprocess, sys, time
        @lowmem.job()
        def leaves_things_behind(ctx):
            pids = ctx.workspace.root / "pids"
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    subprocess.Popen(["sleep", "600"], start_new_session=True)
                    with pids.open("a") as stream:
                        print(os.getpid(), file=stream)
                    time.sleep(600)
                os._exit(0)
            os.wait()
            yield lowmem.CommitPoint(items=1)
            time.sleep(600)
        """,
    )
    space = tmp_path / "w"
    with running(job, space, cycle_steps=1) as live:
        live.wait_for_commits(1)
        until(lambda: (space / "pids").exists() and (space / "pids").read_text())
        descendants = [child.pid for child in children_of(live.process.pid)]
        assert int((space / "pids").read_text()) in descendants
        assert len(descendants) >= 3  # the worker, and the two that it left behind
        kill(live.process.pid)
        until(lambda: not any(map(is_running, descendants)))


def test_a_storm_of_kills_of_both_processes_changes_nothing(tmp_path, job):
    space = tmp_path / "w"
    chance = random.Random(7)  # noqa: S311 - moments of kills, not secrets
    for _ in range(12):
        with running(job, space, *SLOWLY, cycle_steps=1) as live:
            time.sleep(chance.uniform(0.2, 0.7))
            workers = [child.pid for child in children_of(live.process.pid)]
            if chance.random() < 0.5:
                for pid in workers:
                    kill(pid)
                time.sleep(chance.uniform(0, 0.05))
            kill(live.process.pid)
            until(lambda: not any(map(is_running, workers)))  # noqa: B023
    ended = run(job, space, *SLOWLY, cycle_steps=1)
    assert ended.status == 0, ended
    assert_counted(space, N_ROWS)


def test_a_signal_stops_the_run_at_its_next_commit_resumable(tmp_path, job, held):
    space = tmp_path / "w"
    with running(job, space, *SLOWLY, cycle_steps=5) as live:
        live.wait_for_commits(1)
        live.process.terminate()
        ended = live.end()
    assert ended.status == 75, ended
    assert "the same command continues it" in ended.paragraph
    assert "Traceback" not in ended.err
    kept = len(committed_cycles(records(space)))
    assert not (space / "count.json").exists()
    held.unlink()
    assert run(job, space, *SLOWLY, cycle_steps=5).status == 0
    assert attempts(space)[-1].next_cycle == kept
    assert_counted(space, N_ROWS)


def test_a_second_signal_stops_at_once(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, time
        @lowmem.job()
        def endless(ctx):
            yield lowmem.CommitPoint(items=1, state={"begun": True})
            while True:
                time.sleep(0.1)
        """,
    )
    with running(job, tmp_path / "w", cycle_steps=1) as live:
        live.wait_for_commits(1)
        live.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert not live.has_ended
        live.process.terminate()
        ended = live.end()
    assert ended.status == 75, ended
    assert [i.verdict for i in incidents(tmp_path / "w")] == ["signal"]


def test_an_interrupt_while_a_job_file_is_read_prints_no_traceback(tmp_path):
    job = job_file(
        tmp_path,
        f"""
        import pathlib, time, lowmem
        pathlib.Path({str(tmp_path / "reading")!r}).touch()
        time.sleep(600)
        job = lowmem.job
        """,
    )
    with running(job, tmp_path / "w") as live:
        until((tmp_path / "reading").exists)
        live.process.send_signal(signal.SIGINT)
        ended = live.end()
    assert ended.status == 75, ended
    assert "Traceback" not in ended.err


def test_the_time_budget_stops_the_run_and_one_with_more_time_goes_on_to_the_end(
    tmp_path, clock_that_jumps
):
    late = clock_that_jumps(BUDGET_S - LEFT_S)
    paused = 'time.sleep(ctx.options["pause"])'
    ends = f"if done == 8: open({str(late)!r}, 'w').close()"
    assert paused in COUNTING
    job = job_file(tmp_path, COUNTING.replace(paused, ends))
    space = tmp_path / "w"
    words = ("--rows", 16, "--time-budget")
    first = run(job, space, *words, "10h", cycle_steps=1000)
    assert first.status == 75, first
    assert "time budget is used up" in first.paragraph
    # Left after a commit, in time, though no cycle was due.
    (event,) = incidents(space)
    assert (event.verdict, event.where) == ("time", None)
    assert "the same command continues" in event.action
    assert sum(c.cycle.items for c in committed_cycles(records(space))) == 9
    told = lowmem("status", space)
    assert "time budget is used up" in " ".join(told.out.split())
    assert "--time-budget 10h" in told.out
    # The clock has jumped already. A step is remembered to last as long as the jump.
    ended = run(job, space, *words, "1000h", cycle_steps=1000)
    assert ended.status == 0, ended
    assert_counted(space, 16)


def test_a_job_that_reaches_no_commit_in_time_is_killed_when_the_time_ends(
    tmp_path, clock_that_jumps
):
    late = clock_that_jumps(BUDGET_S)
    job = job_file(
        tmp_path,
        f"""
        import lowmem, time
        @lowmem.job()
        def endless(ctx):
            open({str(late)!r}, "w").close(); time.sleep(600)
            yield lowmem.CommitPoint()
        """,
    )
    ended = run(job, tmp_path / "w", "--time-budget", "10h")
    assert ended.status == 75, ended
    (event,) = incidents(tmp_path / "w")
    assert (event.verdict, event.where) == ("time", "job.py:5 in endless")
    assert "before this run's first commit" in ended.paragraph


def test_a_locked_workspace_is_refused_and_free_after_a_kill(tmp_path, job, held):
    space = tmp_path / "w"
    with running(job, space, *SLOWLY) as live:
        live.wait_for_commits(1)
        # At once, as `test_lock` holds it to by a clock of its own.
        refused = run(job, space, *SLOWLY)
        assert refused.status == 2, refused
        assert f"process {live.process.pid}" in refused.paragraph
        kill(live.process.pid)
        live.process.wait()
    held.unlink()
    assert run(job, space, *SLOWLY).status == 0
    assert_counted(space, N_ROWS)


def test_a_worker_that_dies_without_progress_three_times_ends_the_run(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, os, sys
        @lowmem.job()
        def dies(ctx):
            print("last words", file=sys.stderr, flush=True)
            os._exit(3)
            yield
        """,
    )
    ended = run(job, tmp_path / "w")
    assert ended.status == 70, ended
    assert "died 3 times in a row" in ended.paragraph
    assert "last words" in ended.paragraph
    assert [i.verdict for i in incidents(tmp_path / "w")] == ["crash"] * 3


def test_a_crash_counter_begins_anew_after_every_commit(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, os
        @lowmem.job()
        def stumbles(ctx):
            for done in range(ctx.state.get("done", 0), 5):
                yield lowmem.CommitPoint(items=1, state={"done": done + 1})
                os.kill(os.getpid(), 11)
        """,
    )
    ended = run(job, tmp_path / "w", cycle_steps=1)
    assert ended.status == 0, ended
    assert {i.verdict for i in incidents(tmp_path / "w")} == {"crash"}
    assert sum(c.cycle.items for c in committed_cycles(records(tmp_path / "w"))) == 5
