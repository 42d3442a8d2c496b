"""The disk is gone: the same command goes on from the mirror, to the same result."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil
import pytest

from lowmem.base.workspace import Workspace
from lowmem.mirror.recover import recover
from lowmem.mirror.remote import Remote
from lowmem.protocol.records import Mirrored
from lowmem.report.read import read_report
from tests import mirrors
from tests.faults import faulty_mirror
from tests.processes import pipeline
from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    attempts,
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

PAUSE = ("--pause", 0.15)


@pytest.fixture
def job(tmp_path):
    return job_file(tmp_path, COUNTING)


@pytest.fixture
def space(tmp_path):
    return tmp_path / "work"


def mirrored(found, job="count"):
    return [r for r in found if isinstance(r, Mirrored) and r.job == job]


def lose_everything(live) -> None:
    """Kill all processes of a run at once, and delete its disk."""
    everybody = psutil.Process(live.process.pid).children(recursive=True)
    for process in [live.process, *everybody]:
        kill(process.pid)
    live.process.wait()
    until(lambda: not any(is_running(p.pid) for p in everybody))
    shutil.rmtree(live.space.root)


def test_a_run_whose_disk_is_lost_goes_on_from_the_mirror(job, space, tmp_path):
    """Twice, so that what was recovered is itself mirrored and recovered."""
    n_rows = 400  # So many that it lasts a minute: on no machine it is done before.
    words = ("--mirror", tmp_path / "mirror", "--rows", n_rows)
    for _ in range(2):
        with running(job, space, *words, *PAUSE, cycle_steps=2) as live:
            before = len(mirrored(records(space)))
            live.wait_for(lambda found, n=before: len(mirrored(found)) > n)
            lose_everything(live)
    ended = run(job, space, *words, cycle_steps=50)
    assert ended.status == 0, ended
    assert "recovered from" in ended.err
    assert "cycles 0 to" in ended.err
    assert attempts(space)[-1].next_cycle > 1
    assert_counted(space, n_rows)


def test_results_are_recovered_and_told_to_be_durable(job, space, tmp_path):
    words = ("--mirror", tmp_path / "mirror")
    assert run(job, space, *words).status == 0
    told = read_report(Workspace.at(space), is_live=False).jobs["count"]
    n = len(told.committed)
    assert told.durable == n
    assert f"committed {n}, durable {n}" in lowmem("status", space).out
    assert f"{n} durable" in lowmem("report", space).out
    before, n_attempts = mirrors.sums(space), len(attempts(space))
    shutil.rmtree(space)
    ended = run(job, space, *words)
    assert "done already" in ended.err
    assert len(attempts(space)) == n_attempts
    for name in ("count.json", "rows.txt"):
        assert mirrors.sums(space)[name] == before[name]


def test_a_journal_that_lost_its_last_lines_is_taken_to_where_the_mirror_is(
    job, space, tmp_path
):
    """It is no other run: nothing is refused, run twice, or begun beside it."""
    words = ("--mirror", tmp_path / "mirror")
    assert run(job, space, *words).status == 0
    n_attempts, results = len(attempts(space)), mirrors.sums(space)
    journal = Workspace.at(space).journal
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:3]))
    shown = lowmem("verify", space)
    assert shown.status == 65
    assert "ends where its mirror continues" in " ".join(shown.out.split())
    (space / "count.json").unlink()
    ended = run(job, space, *words)
    assert ended.status == 0, ended
    assert "done already" in ended.err
    assert len(attempts(space)) == n_attempts
    assert mirrors.sums(space)["count.json"] == results["count.json"]
    assert journal.read_bytes().startswith(b"".join(lines[:-1]))
    # The same for a repair.
    journal.write_bytes(b"".join(lines[:3]))
    assert lowmem("verify", space, "--repair").status == 0
    assert journal.read_bytes().startswith(b"".join(lines[:-1]))
    assert_counted(space)


def test_a_supervisor_that_is_killed_leaves_no_mirror_process(job, space, tmp_path):
    with running(job, space, "--mirror", tmp_path / "mirror", "--pause", 5) as live:
        live.wait_for(attempts_of)
        until(lambda: helper_of(live) is not None)
        helper = helper_of(live)
        kill(live.process.pid)
        until(lambda: not is_running(helper.pid))


def attempts_of(found):
    return [r for r in found if type(r).__name__ == "AttemptBegun"]


def helper_of(live):
    for child in psutil.Process(live.process.pid).children():
        if "lowmem.mirror" in child.cmdline():
            return child
    return None


def test_a_mirror_process_that_is_killed_is_started_again(job, space, tmp_path):
    words = ("--mirror", tmp_path / "mirror", "--pause", 0.4)
    with running(job, space, *words, cycle_steps=1) as live:
        live.wait_for(attempts_of)
        until(lambda: helper_of(live) is not None)
        kill(helper_of(live).pid)
        ended = live.end()
    assert ended.status == 0, ended
    assert_counted(space)


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """A file whose words are the faults of the mirror, in every process."""
    plugins = tmp_path / "plugins"
    (plugins / "faulty-0.dist-info").mkdir(parents=True)
    info = plugins / "faulty-0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 0\n")
    (info / "entry_points.txt").write_text(faulty_mirror.ENTRY_POINT)
    shutil.copy(faulty_mirror.__file__, plugins)
    switch = tmp_path / "faults.txt"
    switch.write_text("")
    monkeypatch.setenv(faulty_mirror.VARIABLE, str(switch))
    former = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugins), former]))
    return switch


WORST = ("eio", "enospc", "gone", "truncate", "flip", "hangs")


def test_no_fault_of_a_mirror_stops_a_job_and_nothing_damaged_is_believed(
    job, space, tmp_path, faults
):
    mirror = tmp_path / "mirror"
    words = ("--mirror", f"faulty://{mirror}", "--rows", 24, "--pause", 0.15)
    with running(job, space, *words, cycle_steps=1) as live:
        live.wait_for(mirrored)
        for n, word in enumerate(("late twice shuffled slow", *WORST[:5]), start=2):
            faults.write_text(word)
            live.wait_for_commits(3 * n)
            assert_whole(mirror, tmp_path / f"elsewhere-{n}")
        faults.write_text("")
        ended = live.end()
    assert ended.status == 0, ended
    assert "is tried again" in ended.err
    assert "works again" in ended.err
    assert_counted(space, n_rows=24)
    shutil.rmtree(space)
    ended = run(job, space, *words, cycle_steps=1)
    assert ended.status == 0, ended
    assert_counted(space, n_rows=24)


def assert_whole(mirror: Path, elsewhere: Path) -> None:
    """Assert that what can be recovered now is what some commit left."""
    found = Workspace.at(elsewhere / "work")
    recover(Remote.open(str(mirror), "work"), found, "mirror")
    last = [r for r in records(found.root) if type(r).__name__ == "CycleEnded"][-1]
    rows = (found.staging("count") / "rows.txt").read_text().split()
    done = last.cycle.index + 1
    assert rows[:done] == [str(n) for n in range(done)]


def test_a_mirror_that_hangs_only_costs_the_bounded_wait(job, space, tmp_path, faults):
    mirror = tmp_path / "mirror"
    words = ("--mirror", f"faulty://{mirror}", *PAUSE)
    with running(job, space, *words, cycle_steps=2) as live:
        live.wait_for(attempts_of)
        faults.write_text("hangs")
        live.wait_for(lambda found: any(type(r).__name__ == "JobEnded" for r in found))
        # The wait at the end, which the user need not have.
        until(lambda: live.process.terminate() or live.has_ended, pause_s=3)
        ended = live.end()
    assert ended.status == 0, ended
    assert "not durable at the end: count" in ended.err
    assert_counted(space)


def test_an_empty_workspace_does_not_begin_anew_beside_a_mirror_it_cannot_read(
    job, space, tmp_path, faults
):
    faults.write_text("eio")
    ended = run(job, space, "--mirror", f"faulty://{tmp_path / 'mirror'}")
    assert ended.status == 74
    assert "cannot be read" in ended.paragraph
    assert not records(space)


def test_a_missing_package_is_named_before_anything_begins(job, space):
    ended = run(job, space, "--mirror", "s3://bucket/folder")
    assert ended.status == 69
    assert "pip install s3fs" in ended.paragraph


def test_stores_travel_as_a_few_large_files_when_asked(space, tmp_path):
    """And without being asked, small ones as part of their generation."""
    mirror = tmp_path / "mirror"
    words = ("--mirror", str(mirror), "--mirror-data", "--source", "faces:300")
    pipeline.run("ingest", space, *words)
    before = mirrors.sums(space / "images.zarr")
    shutil.rmtree(space)
    pipeline.run("ingest", space, *words)
    assert mirrors.sums(space / "images.zarr") == before
    data = list((mirror / "work").glob("*.data"))
    assert 1 <= len(data) <= 3
    assert len(attempts(space)) == 1
