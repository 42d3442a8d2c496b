"""More of a finished result: where a run that asks for it begins, and what it keeps."""

from __future__ import annotations

import json

import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import generation_path, generations, read_manifest
from lowmem.history.fold import history_of
from lowmem.mirror.snapshot import News, take_snapshot
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Job, Result
from lowmem.protocol.messages import Run
from lowmem.protocol.option import Option
from lowmem.protocol.records import JobBegun
from lowmem.repair.check import foreign_problem
from lowmem.worker import cycles
from lowmem.worker.cycles import run_job
from tests.driver import Cutter

ROWS = Option(name="rows", kind="int", default=3, is_extent=True)


def keeping(*, is_due: bool = True, steps: list[int]) -> Job:
    """Return a job whose last state is all that more of it needs."""

    def work(ctx):
        total = ctx.state.get("total", 0)
        for row in range(ctx.state.get("done", 0), ctx.options["rows"]):
            steps.append(row)
            total += row * row
            yield CommitPoint(items=1, state={"done": row + 1, "total": total})
        done = {"done": ctx.options["rows"], "total": total}
        yield CommitPoint(state=done, is_due=is_due)
        (ctx.staging / "total.json").write_text(json.dumps(total))
        return Result(publish=["total.json"])

    return Job(name="count", work=work, options=(ROWS,), is_bare=True)


def taking(*, taken: list[str]) -> Job:
    """Return a job that takes over what was published of less of it."""

    def work(ctx):
        done = ctx.staging / "rows.txt"
        if not ctx.state:
            former = ctx.former / "rows.txt" if ctx.former else None
            done.write_text(former.read_text() if former else "")
            taken.append(done.read_text())
            yield CommitPoint(state={"begun": True})
        for row in range(len(done.read_text().split()), ctx.options["rows"]):
            with done.open("a") as stream:
                stream.write(f"{row * row}\n")
            yield CommitPoint(items=1, state={"begun": True})
        return Result(publish=["rows.txt"])

    return Job(name="count", work=work, options=(ROWS,))


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(cycles, "clean_up", lambda: 0)


def run(job, space, rows, overseer=None, *, seed=1, cycle_steps=100):
    recipe = {"seed": seed, "rows": rows}
    request = Run(
        reference="count",
        job="count",
        workspace=str(space),
        options={"rows": rows},
        settings={},
        recipe=recipe,
        seed=seed,
        device="cpu",
        ram_budget_bytes=10**9,
        vram_budget_bytes=None,
        cycle_steps=cycle_steps,
    )
    return run_job(job, request, overseer or Cutter())


def manifests(space):
    folder = Workspace.at(space).checkpoints("count")
    return [read_manifest(generation_path(folder, n)) for n in generations(folder)]


def test_more_of_a_finished_result_goes_on_from_its_end_and_equals_one_run(tmp_path):
    steps: list[int] = []
    job = keeping(steps=steps)
    for rows in (3, 5, 9):
        assert run(job, tmp_path / "more", rows) is not None
    assert steps == list(range(9))
    run(job, tmp_path / "once", 9)
    one, two = (tmp_path / name / "total.json" for name in ("more", "once"))
    assert one.read_text() == two.read_text() == "204"


@pytest.mark.parametrize("leave_after", [1, 2, 3])
def test_more_may_be_cut_after_any_commit_and_asked_for_anew(tmp_path, leave_after):
    steps: list[int] = []
    job = keeping(steps=steps)
    run(job, tmp_path, 3)
    cutter = Cutter(leave_after)
    assert run(job, tmp_path, 7, cutter, cycle_steps=1) is None
    assert cutter.cycles[0].index == 1, (
        "the commit of the end counts, not what published"
    )
    assert run(job, tmp_path, 9) is not None
    assert steps == list(range(9))
    assert (tmp_path / "total.json").read_text() == "204"


def test_without_a_state_to_go_on_from_all_is_made_anew_and_told(tmp_path):
    steps: list[int] = []
    job = keeping(steps=steps, is_due=False)
    run(job, tmp_path, 3)
    told = Cutter()
    run(job, tmp_path, 5, told)
    assert steps == [0, 1, 2, *range(5)]
    assert any("starts over" in line for line in told.lines)
    assert (tmp_path / "total.json").read_text() == "30"


@pytest.mark.parametrize(("rows", "seed"), [(2, 1), (5, 2)])
def test_less_and_anything_else_is_no_way_to_go_on(tmp_path, rows, seed):
    job = keeping(steps=[])
    run(job, tmp_path, 3)
    with pytest.raises(RecipeChangedError):
        run(job, tmp_path, rows, seed=seed)
    assert (tmp_path / "total.json").read_text() == "5"


def test_what_was_published_is_taken_over_if_it_is_as_it_was(tmp_path):
    taken: list[str] = []
    job = taking(taken=taken)
    run(job, tmp_path, 3)
    assert run(job, tmp_path, 5, Cutter(1), cycle_steps=1) is None
    run(job, tmp_path, 5)
    assert taken == ["", "0\n1\n4\n"]
    assert (tmp_path / "rows.txt").read_text() == "0\n1\n4\n9\n16\n"

    (tmp_path / "rows.txt").write_text("0\n1\n5\n9\n16\n")
    told = Cutter()
    run(job, tmp_path, 6, told)
    assert taken[-1] == ""
    assert any("rows.txt" in line for line in told.lines)
    assert (tmp_path / "rows.txt").read_text() == "0\n1\n4\n9\n16\n25\n"


def test_what_is_half_made_in_staging_is_not_taken_for_more(tmp_path):
    job = taking(taken=[])
    assert run(job, tmp_path, 3, Cutter(2), cycle_steps=1) is None
    with pytest.raises(RecipeChangedError):
        run(job, tmp_path, 5)


def test_the_last_commit_names_the_state_that_more_of_it_goes_on_from(tmp_path):
    run(keeping(steps=[]), tmp_path, 3)
    state, end = manifests(tmp_path)
    assert (state.phase, end.phase) == ("running", "publishing")
    assert end.goes_on_from == state.generation


def test_the_mirror_sends_the_state_that_more_of_it_goes_on_from(tmp_path):
    run(keeping(steps=[]), tmp_path, 3)
    state, end = manifests(tmp_path)
    news = News(job="count", generation=end.generation, published=("total.json",))
    snapshot = take_snapshot(
        Workspace.at(tmp_path), news, SystemClock(), has_data=False
    )
    assert snapshot is not None
    sent = {file.path for file in snapshot.files}
    snapshot.close()
    for generation in (state.generation, end.generation):
        folder = f".lowmem/jobs/count/checkpoints/gen-{generation:08d}"
        assert f"{folder}/manifest.json" in sent


def test_checkpoints_of_the_run_that_was_less_are_of_this_job(tmp_path):
    run(keeping(steps=[]), tmp_path, 3)
    former = manifests(tmp_path)[-1]
    begun = JobBegun(
        job="count",
        at="2026-01-01T00:00:00Z",
        reference="count",
        recipe={"seed": 1, "rows": 5},
        unit="rows",
    )
    past = history_of([begun]).of("count")
    assert "of another run" in foreign_problem(former, past)
    more = JobBegun(
        job="count",
        at=begun.at,
        reference="count",
        recipe=begun.recipe,
        unit="rows",
        extents=("rows",),
    )
    assert foreign_problem(former, history_of([more]).of("count")) == ""
