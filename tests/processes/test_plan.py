"""The plan against real workers: what it predicts, remembers, and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import attempts, incidents, job_file, lowmem

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.memory,
    pytest.mark.alone,
]

MIB = 2**20
# 60 MiB, and 10 for each of its block: nothing but trials can tell.
GREEDY = """
    import time
    import lowmem

    @lowmem.job(
        settings=[{"block": n} for n in (16, 8, 4, 2)], calibrate="block"
    )
    def greedy(ctx):
        \"\"\"Hold memory in proportion to its block.\"\"\"
        held = [bytearray(b"x") * (60 * 2**20)]
        for row in range(ctx.state.get("row", 0), 12):
            fresh = [b"y" * (2**20) for _ in range(10 * ctx.settings["block"])]
            # Longer than two readings are apart: what is told is what was seen.
            time.sleep(0.12)
            held[1:] = fresh
            (ctx.staging / "n.txt").write_text(str(row))
            yield lowmem.CommitPoint(items=1, state={"row": row + 1})
        return lowmem.Result(publish=["n.txt"])
"""


@pytest.fixture
def job(tmp_path) -> Path:
    return job_file(tmp_path, GREEDY)


def plan_of(job: Path, space: Path, budget: str, *words: object) -> dict:
    ended = lowmem(
        "plan", job, "--workspace", space, "--ram-budget", budget, "--json", *words
    )
    (plan,) = json.loads(ended.out)["plans"]
    assert ended.status == (0 if plan["fits"] else 73), ended
    return plan


def run(job: Path, space: Path, budget: str, *words: object):
    return lowmem("run", job, "--workspace", space, "--ram-budget", budget, *words)


def test_a_plan_measures_at_two_sizes_and_meets_the_peak_of_the_run(job, tmp_path):
    space = tmp_path / "w"
    plan = plan_of(job, space, "1G")
    assert (plan["settings"], plan["source"]) == ({"block": 16}, "calibrated")
    (file,) = Workspace.at(space).trials.iterdir()
    trials = json.loads(file.read_bytes())["trials"]
    assert [trial["settings"]["block"] for trial in trials] == [2, 8]
    # It left nothing else, and the second plan knows the first.
    assert [path.name for path in space.iterdir()] == [".lowmem"]
    assert list(Workspace.at(space).job("greedy").parent.iterdir()) == []
    written = file.stat().st_mtime_ns
    assert plan_of(job, space, "1G") == plan
    assert file.stat().st_mtime_ns == written
    assert run(job, space, "1G").status == 0
    peak = read_report(Workspace.at(space), is_live=False).jobs["greedy"].ram_peak_bytes
    assert 0.95 * peak < plan["ram_peak_bytes"] < 1.10 * peak
    # From now on the run itself is the best witness.
    after = plan_of(job, space, "1G")
    assert (after["source"], after["ram_peak_bytes"]) == ("remembered", peak)


def test_the_smallest_budget_of_a_plan_holds_the_job_and_less_is_refused_before_work(
    job, tmp_path
):
    space = tmp_path / "w"
    plan = plan_of(job, space, "400M")
    assert plan["fits"]
    smallest = plan["smallest_ram_budget_bytes"]
    refused = run(job, space, str(smallest - 10**6))
    assert refused.status == 73, refused
    assert not attempts(space)
    assert f"{-(-smallest // 10**7) * 10}M or more" in refused.paragraph
    done = run(job, space, str(smallest))
    assert done.status == 0, done
    assert [a.settings for a in attempts(space)] == [{"block": 2}]
    assert not incidents(space)


def test_a_run_without_a_formula_measures_first_and_starts_with_what_fits(
    job, tmp_path
):
    space = tmp_path / "w"
    ended = run(job, space, "220M")
    assert ended.status == 0, ended
    assert "measuring what it needs" in ended.err
    (attempt,) = attempts(space)
    assert attempt.settings in ({"block": 8}, {"block": 4})
    assert not incidents(space)


def test_a_trial_that_passes_the_budget_is_stopped_and_the_job_refused(job, tmp_path):
    space = tmp_path / "w"
    ended = run(job, space, "80M")
    assert ended.status == 73, ended
    assert not attempts(space)
    (file,) = Workspace.at(space).trials.iterdir()
    (trial,) = json.loads(file.read_bytes())["trials"]
    assert not trial["is_whole"]


def test_a_trial_is_refused_at_its_line_what_a_run_would_be_refused(tmp_path):
    # Reserved and hardly touched: what is in use never comes near the budget.
    reserving = GREEDY.replace("import time", "import time, numpy").replace(
        "fresh = [", "fresh = numpy.empty(2**32, 'u1') is None or ["
    )
    space = tmp_path / "w"
    ended = run(job_file(tmp_path, reserving), space, "1G")
    assert ended.status == 73, ended
    assert not attempts(space)
    assert "a trial run of it was stopped" in ended.paragraph
    assert "in job.py:12 in greedy" in ended.paragraph
    # What was refused is no measurement of what would do.
    assert not plan_of(tmp_path / "job.py", space, "1G")["fits"]


# A sum of floats in blocks of the setting's rows, or of 16 rows.
ADDING = """
    import lowmem
    import numpy as np

    @lowmem.job(
        options=[lowmem.Option(name="values", kind="path")],
        settings=[{{"block": n}} for n in (256, 64, 16)],
        calibrate="block",
    )
    def adding(ctx):
        \"\"\"Add rows up.\"\"\"
        values, block = np.load(ctx.options["values"]), ctx.settings["block"]
        total = ctx.arrays["total"] if ctx.state else np.zeros(3)
        for rows in ctx.blocks(values, {how}):
            total = total + rows.sum(axis=0)
            yield lowmem.CommitPoint(state={{"any": 1}}, arrays={{"total": total}})
        np.save(ctx.staging / "total.npy", total)
        return lowmem.Result(publish=["total.npy"])
"""


def test_settings_that_change_a_sum_of_floats_are_told_before_the_work_and_not_used(
    tmp_path,
):
    values, space = tmp_path / "values.npy", tmp_path / "w"
    np.save(values, np.arange(3000).reshape(-1, 3))
    job = job_file(tmp_path, ADDING.format(how="rows=block"))
    words = ("--values", values)

    def ladder():
        plan = plan_of(job, space, "1G", *words)
        return [rung["settings"]["block"] for rung in plan["ladder"]]

    # Whole numbers have no rounding; other data are compared anew.
    assert ladder() == [256, 64, 16]
    np.save(values, np.random.default_rng(1).normal(size=(1000, 3)))
    assert ladder() == [256]
    assert ladder() == [256]
    ended = run(job, space, "1G", *words)
    assert ended.status == 0, ended
    assert "arrays['total'] differs between block 64 and block 16" in ended.err
    (attempt,) = attempts(space)
    assert attempt.settings == {"block": 256}


def test_blocks_of_a_fixed_number_of_rows_leave_every_setting_to_the_budget(tmp_path):
    values = tmp_path / "values.npy"
    np.save(values, np.random.default_rng(1).normal(size=(1000, 3)))
    job = job_file(tmp_path, ADDING.format(how="rows=16, held=block // 16"))
    plan = plan_of(job, tmp_path / "w", "1G", "--values", values)
    assert [rung["settings"]["block"] for rung in plan["ladder"]] == [256, 64, 16]
    totals = []
    for block in (256, 64, 16):
        space = tmp_path / f"w{block}"
        pinned = ("--values", values, "--set", f"block={block}")
        assert run(job, space, "1G", *pinned).status == 0
        totals.append((space / "total.npy").read_bytes())
    assert totals[0] == totals[1] == totals[2]


def test_where_a_run_was_stopped_the_next_one_starts_below(tmp_path):
    # Its trials cannot know: the memory comes after them.
    late = GREEDY.replace('10 * ctx.settings["block"]', LATE).replace(
        "range(12)", "range(8)"
    )
    job = job_file(tmp_path, late)
    space = tmp_path / "w"
    first = run(job, space, "220M")
    assert first.status == 0, first
    stepped = [attempt.settings["block"] for attempt in attempts(space)]
    assert stepped == [16, 8, 4]
    assert [i.verdict for i in incidents(space)] == ["ram_limit", "ram_limit"]
    again = run(job, space, "220M", "--restart")
    assert again.status == 0, again
    assert [a.settings["block"] for a in attempts(space)[3:]] == [4]


def test_a_trial_that_fails_otherwise_tells_nothing_and_leaves_the_error_to_the_run(
    tmp_path,
):
    broken = GREEDY.replace("held = [", "raise LookupError('no such row'); held = [")
    job = job_file(tmp_path, broken)
    space = tmp_path / "w"
    left = Workspace.at(space).job("greedy.trial-999999999")
    left.mkdir(parents=True)
    plan = plan_of(job, space, "1G")
    assert (plan["settings"], plan["source"]) == ({"block": 16}, "unknown")
    assert not left.exists()
    assert not Workspace.at(space).trials.exists()
    ended = run(job, space, "1G")
    assert ended.status == 70
    assert "no such row" in ended.err


LATE = '(10 * ctx.settings["block"] if row > 6 else 0)'


@pytest.mark.keras
def test_training_in_a_third_less_takes_a_smaller_micro_batch_and_ends_alike(tmp_path):
    options = ("--filters", "32,64", "--latent-dim", "4", "--batch-size", "512")
    options += ("--epochs", "1", "--validation-split", "0")
    space = tmp_path / "w"
    ingested = lowmem(
        "run", "ingest", "--source", "faces:520", "--size", "64", "--workspace", space
    )
    assert ingested.status == 0, ingested
    train = ("run", "train", "--workspace", space, *options)
    roomy = lowmem(*train, "--ram-budget", "6G")
    assert roomy.status == 0, roomy
    whole = read_report(Workspace.at(space), is_live=False).jobs["train"]
    tight = lowmem(*train, "--ram-budget", whole.ram_peak_bytes * 2 // 3, "--restart")
    assert tight.status == 0, tight
    parts = read_report(Workspace.at(space), is_live=False).jobs["train"]
    assert {cycle.settings["micro_batch"] for cycle in whole.cycles} == {512}
    assert max(cycle.settings["micro_batch"] for cycle in parts.cycles) < 512
    assert parts.ram_peak_bytes <= whole.ram_peak_bytes * 2 // 3
    assert parts.summary["loss"] == pytest.approx(whole.summary["loss"], rel=1e-5)
