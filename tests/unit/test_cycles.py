"""The worker's cycles, in this process: cut at every commit, the result is the same."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.errors import (
    JobDefinitionError,
    StorageError,
)
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.errors_results import ResultNameError, UnwrittenResultError
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import generation_path, generations
from lowmem.checkpoints.manifest import ARRAYS
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.protocol.job_decorator import job
from lowmem.protocol.messages import Run
from lowmem.worker import cycles
from lowmem.worker.cycles import run_job
from tests.driver import Cutter, drive

N_STEPS = 7


@job()
def sums(ctx):
    """Sum squares, with the sum kept as an array."""
    total = ctx.arrays["total"] if ctx.state else np.zeros(2)
    for n in range(ctx.state.get("n", 0), N_STEPS):
        total = total + np.array([n, n * n])
        yield CommitPoint(items=1, state={"n": n + 1}, arrays={"total": total})
    (ctx.staging / "sums.json").write_text(json.dumps(list(total)))
    return Result(publish=["sums.json"], summary={"n": N_STEPS})


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(cycles, "clean_up", lambda: 0)


def result(space):
    return json.loads((space / "sums.json").read_text())


@pytest.mark.parametrize("cycle_steps", [1, 2, 3, 100])
def test_a_job_cut_after_every_commit_ends_like_one_never_cut(tmp_path, cycle_steps):
    items, index = 0, 0
    while True:
        cutter = Cutter(leave_after=1)
        done = drive(sums, tmp_path, cycle_steps=cycle_steps, overseer=cutter)
        for cycle in cutter.cycles:
            assert cycle.index == index
            items, index = items + cycle.items, index + 1
        if done is not None:
            break
        assert not (tmp_path / "sums.json").exists()
    assert done == {"n": N_STEPS}
    assert items == N_STEPS
    assert result(tmp_path) == [21, 91]


def test_results_are_moved_only_after_the_last_checkpoint_and_by_whoever_finds_it(
    tmp_path,
):
    assert drive(sums, tmp_path, cycle_steps=100, leave_after=1) is None
    assert not (tmp_path / "sums.json").exists()
    cutter = Cutter()
    assert drive(sums, tmp_path, cycle_steps=100, overseer=cutter) == {"n": N_STEPS}
    assert cutter.restored.manifest.phase == "publishing"
    assert cutter.cycles == []
    assert result(tmp_path) == [21, 91]


def test_what_staging_held_before_the_first_commit_is_gone_at_the_next_start(tmp_path):
    staging = Workspace.at(tmp_path).staging("sums")
    staging.mkdir(parents=True)
    (staging / "leftover").touch()
    assert drive(sums, tmp_path, leave_after=1) is None
    assert not (staging / "leftover").exists()


def test_a_checkpoint_of_another_recipe_is_never_continued(tmp_path):
    drive(sums, tmp_path, leave_after=2)
    request = Run(
        reference="sums",
        job="sums",
        workspace=str(tmp_path),
        options={},
        settings={},
        recipe={"test": "another"},
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
        vram_budget_bytes=None,
        cycle_steps=1,
    )
    with pytest.raises(RecipeChangedError, match="'driver', now 'another'"):
        run_job(sums, request, Cutter())
    assert drive(sums, tmp_path) == {"n": N_STEPS}


def test_a_result_that_was_never_written_is_an_error_before_anything_is_published(
    tmp_path,
):
    @job()
    def forgets(ctx):
        (ctx.staging / "there").touch()
        yield CommitPoint(items=1)
        return Result(publish=["there", "absent"])

    with pytest.raises(UnwrittenResultError, match="'absent'"):
        drive(forgets, tmp_path)
    assert not (tmp_path / "there").exists()


def test_nothing_is_committed_if_what_the_job_wrote_cannot_be_made_durable(tmp_path):
    def flush():
        raise StorageError(path="rows", problem="full")

    @job()
    def flushes(_ctx):
        yield CommitPoint(items=1, state={"n": 1})
        yield CommitPoint(items=1, state={"n": 2}, flush=flush)

    with pytest.raises(StorageError):
        drive(flushes, tmp_path)
    assert generations(Workspace.at(tmp_path).checkpoints("flushes")) == [0]


def test_arrays_are_asked_for_only_where_a_point_is_committed(tmp_path):
    asked = []

    @job()
    def lazy(ctx):
        for n in range(ctx.state.get("n", 0), 4):

            def arrays(n=n):
                asked.append(n)
                yield "a", np.array([n])

            yield CommitPoint(items=1, state={"n": n + 1}, arrays=arrays)

    drive(lazy, tmp_path, cycle_steps=2)
    assert asked == [1, 3]
    folder = Workspace.at(tmp_path).checkpoints("lazy")
    assert not (generation_path(folder, 2) / ARRAYS).exists()


def test_a_draining_worker_commits_at_the_next_point_whatever_the_pace(tmp_path):
    class Draining(Cutter):
        def is_draining(self) -> bool:
            return True

    cutter = Draining(leave_after=2)
    assert drive(sums, tmp_path, cycle_steps=100, overseer=cutter) is None
    assert [cycle.items for cycle in cutter.cycles] == [1, 1]


def test_a_job_that_offers_no_point_at_all_still_ends(tmp_path):
    @job()
    def nothing(_ctx):
        return
        yield

    assert drive(nothing, tmp_path) == {}


def test_the_generator_is_closed_when_the_worker_leaves(tmp_path):
    closed = []

    @job()
    def holds(_ctx):
        try:
            while True:
                yield CommitPoint(items=1)
        finally:
            closed.append(True)

    assert drive(holds, tmp_path, leave_after=1) is None
    assert closed == [True]


def test_results_are_on_the_disk_before_a_commit_says_that_they_are_complete(
    tmp_path, monkeypatch
):
    staging = Workspace.at(tmp_path).staging("writes")
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        calls.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real_fsync(descriptor)

    def replace(source, target):
        calls.append(f"rename to {target}")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)

    @job()
    def writes(ctx):
        (ctx.staging / "one").touch()
        (ctx.staging / "nested" / "two").mkdir(parents=True)
        (ctx.staging / "nested" / "two" / "part").touch()
        return Result(publish=["one", "nested/two"])
        yield

    drive(writes, tmp_path)
    commit = calls.index(
        f"rename to {Workspace.at(tmp_path).checkpoints('writes')}/gen-00000000"
    )
    names = ["one", "nested/two/part", "nested/two", "nested", "."]
    assert {str(staging / name) for name in names} <= set(calls[:commit])


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../out",
        "a/../../out",
        "a/./b",
        "a//b",
        "a/",
        "/out",
        ".lowmem",
        ".lowmem/journal.jsonl",
        "report.html",
        "lowmem.toml",
        5,
    ],
)
def test_a_result_that_would_leave_its_place_is_refused_before_anything_is_committed(
    tmp_path, name
):
    @job()
    def reaches(_ctx):
        return Result(publish=[name])
        yield

    config = tmp_path / "lowmem.toml"
    config.write_text("[run]\n")
    with pytest.raises(ResultNameError, match="reaches") as caught:
        drive(reaches, tmp_path)
    assert caught.value.exit_code == 70
    assert generations(Workspace.at(tmp_path).checkpoints("reaches")) == []
    assert config.read_text() == "[run]\n"


def test_a_result_may_be_nested(tmp_path):
    @job()
    def nests(ctx):
        (ctx.staging / "figures").mkdir()
        (ctx.staging / "figures" / "a.png").touch()
        return Result(publish=["figures/a.png"])
        yield

    drive(nests, tmp_path)
    assert (tmp_path / "figures" / "a.png").exists()


def plain(_ctx):
    return 5


def yields_nothing(_ctx):
    yield


def returns_a_mapping(_ctx):
    yield CommitPoint()
    return {"total": 3}


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (plain, "returned int, expected a generator function"),
        (yields_nothing, r"yielded None, expected a lowmem\.CommitPoint"),
        (returns_a_mapping, r"returned dict, expected a lowmem\.Result"),
    ],
)
def test_work_of_another_form_is_told_what_was_found_and_what_is_expected(
    tmp_path, work, words
):
    with pytest.raises(JobDefinitionError, match=words) as caught:
        drive(job(name="odd")(work), tmp_path)
    assert caught.value.exit_code == 70


@pytest.mark.parametrize("counts", [(0.5, 1.0), ("1",), (1, 2.0)])
def test_progress_is_counted_in_whole_numbers(tmp_path, counts):
    @job()
    def measures(ctx):
        ctx.progress(*counts)
        yield CommitPoint()

    with pytest.raises(TypeError, match=r"(done|total) must be a whole number, got"):
        drive(measures, tmp_path)


# --- time ---------------------------------------------------------------------------


class FakeClock(SystemClock):
    """Stands still but for what a job takes."""

    now_s = 0.0

    def monotonic(self):
        return self.now_s


class JumpingClock(FakeClock):
    """One whose time of day is set back, then forward, by days whenever it is asked."""

    jumps = 0

    def now(self):
        self.jumps += 1
        return super().now() + timedelta(days=(-5, 9)[self.jumps % 2])


def run_timed(space, *, steps, deadline, leave_after=None, **asked):
    """Run a job whose steps take so many seconds each; return its overseer."""
    clock, cutter = asked.get("clock", FakeClock()), Cutter(leave_after)

    @job(name="timed")
    def timed(ctx):
        for n in range(ctx.state.get("n", 0), len(steps)):
            clock.now_s += steps[n]
            yield CommitPoint(items=1, state={"n": n + 1})

    request = Run(
        reference="timed",
        job="timed",
        workspace=str(space),
        options={},
        settings={},
        recipe={},
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
        vram_budget_bytes=None,
        cycle_steps=asked.get("cycle_steps", 1000),
        time_budget_s=deadline,
        deadline=deadline,
        longest_step_seconds=asked.get("longest_step_seconds"),
        commit_seconds=asked.get("commit_seconds"),
    )
    run_job(timed, request, cutter, clock)
    return cutter.cycles


def test_a_commit_is_made_while_there_is_still_time_for_it(tmp_path):
    cycles = run_timed(tmp_path, steps=[1.0] * 60, deadline=30.0, leave_after=1)
    # Of 30 s, 1.5 are left for another step, 0.15 for its commit, 1 for the end.
    assert cycles[0].seconds == pytest.approx(28.0)
    assert cycles[0].longest_step_seconds == 1.0


def test_a_clock_that_is_set_by_days_changes_no_duration_and_no_end(tmp_path):
    clock = JumpingClock()
    steps = {"steps": [1.0] * 60, "deadline": 30.0, "leave_after": 1}
    (steady,) = run_timed(tmp_path / "steady", **steps)
    (jumping,) = run_timed(tmp_path / "jumping", **steps, clock=clock)
    assert clock.jumps > 0
    assert (jumping.seconds, jumping.items) == (steady.seconds, steady.items)
    assert jumping.commit_seconds == steady.commit_seconds


def test_the_longest_step_counts_however_long_ago_it_was(tmp_path):
    steps = [10.0] + [1.0] * 60
    (first, *_) = run_timed(tmp_path, steps=steps, deadline=60.0, leave_after=1)
    assert first.seconds == pytest.approx(44.0)


def test_what_an_earlier_worker_measured_counts_before_the_first_commit(tmp_path):
    (first, *_) = run_timed(
        tmp_path,
        steps=[1.0] * 60,
        deadline=60.0,
        leave_after=1,
        longest_step_seconds=10.0,
        commit_seconds=6.0,
    )
    assert first.seconds == pytest.approx(36.0)


def test_without_a_deadline_time_ends_no_cycle(tmp_path):
    cycles = run_timed(tmp_path, steps=[1.0] * 9, deadline=None, cycle_steps=4)
    assert [cycle.items for cycle in cycles] == [4, 4, 1]


def test_a_look_at_large_inputs_counts_to_the_commit_and_so_stays_rare(
    tmp_path, monkeypatch
):
    clock = FakeClock()

    def look(_inputs):
        clock.now_s += 5.0

    monkeypatch.setattr(cycles.WatchedInputs, "refuse_changed", look)
    _, second, *_ = run_timed(
        tmp_path, steps=[1.0] * 900, deadline=None, cycle_steps=None, clock=clock
    )
    assert second.commit_seconds == pytest.approx(5.0)
    assert second.seconds >= 50 * 5.0
