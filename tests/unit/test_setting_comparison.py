"""What two trials of other settings make is held side by side: the decision, and the marks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lowmem
from lowmem.protocol.messages import PlannedTrial
from lowmem.supervisor.setting_comparison import Made, SettingComparison, compared
from lowmem.worker.state_digests import marked
from tests.driver import Cutter, drive


def trial(block, **options):
    return PlannedTrial(
        settings={"block": block}, options=options, points=4, terms=(), floor_bytes=0
    )


LADDER = [{"block": n} for n in (16, 8, 4, 2)]
SMALL, LARGE = trial(2), trial(8)


class Trials:
    """Trials of a job of 64 rows that makes ``made(block, rows)``."""

    def __init__(self, made, *, most=16, points=4, fails=lambda *_: False):
        self.made, self.most, self.points = made, most, points
        self.fails = fails
        self.ran = []

    def __call__(self, one, marks_at=()):
        block = one.settings["block"]
        self.ran.append((block, tuple(marks_at)))
        if self.fails(block, tuple(marks_at)):
            return Made(marks={}, has_failed=True)
        if block > self.most:
            return Made(marks={})
        ends = [n for n in range(block, 65, block) if not marks_at or n in marks_at]
        ends = ends[:1] if marks_at else ends[: self.points]
        return Made(marks={rows: self.made(block, rows) for rows in ends})


def exact(_block, rows):
    return {"arrays['total']": f"sum of {rows}", "state['n']": f"{rows}"}


def rounded(block, rows):
    return {**exact(block, rows), "arrays['total']": f"{rows} by {block}"}


def test_settings_that_change_nothing_can_be_used_and_no_trial_runs_twice():
    trials = Trials(exact)
    assert compared([SMALL, LARGE], LADDER, trials) == SettingComparison()
    assert trials.ran == [(8, ()), (2, ())]


def test_settings_that_change_a_part_are_told_with_it_and_where():
    trials = Trials(rounded)
    told = compared([SMALL, LARGE], LADDER, trials).refusal
    assert told.startswith(
        "they change its result: after 8 items arrays['total'] differs between block 8 "
        "and block 2."
    )
    # The smaller once more, as far as that: it makes the same again.
    assert trials.ran[2:] == [(2, (8,))]


def test_the_smaller_goes_on_to_where_the_larger_stopped():
    trials = Trials(rounded, points=1)
    assert "after 8 items" in compared([SMALL, LARGE], LADDER, trials).refusal
    assert trials.ran[:3] == [(8, ()), (2, ()), (2, (8,))]


def test_what_changes_from_run_to_run_by_itself_says_nothing_of_settings():
    def timed(block, rows):
        return {**made(block, rows), "state['at']": str(len(trials.ran))}

    made, trials = exact, Trials(timed)
    assert compared([SMALL, LARGE], LADDER, trials) == SettingComparison()
    made, trials = rounded, Trials(timed)
    told = compared([SMALL, LARGE], LADDER, trials).refusal
    assert "arrays['total'] differs" in told
    assert "state['at']" not in told


def test_a_larger_that_does_not_fit_gives_way_to_the_next_above_the_smallest():
    trials = Trials(rounded, most=4)
    assert (
        "between block 4 and block 2"
        in compared([SMALL, LARGE], LADDER, trials).refusal
    )
    found = compared([SMALL, LARGE], LADDER, Trials(rounded, most=2))
    assert found == SettingComparison(is_known=False)


def test_trials_of_other_options_are_not_taken_for_the_same_work():
    trials = Trials(rounded)
    others = [SMALL, trial(8, batch_size=8)]
    # The rung above the smallest, with the smallest one's options, is the same work.
    assert "between block 4 and block 2" in compared(others, LADDER, trials).refusal
    found = compared(others, LADDER[:1], Trials(rounded))
    assert found == SettingComparison(is_known=False)


def test_settings_that_never_stop_after_as_many_items_are_not_compared():
    found = compared([trial(3), trial(7)], LADDER, Trials(rounded, points=1))
    assert found == SettingComparison()


@pytest.mark.parametrize(
    ("points", "fails"),
    [
        (4, lambda block, _: block > 2),
        (4, lambda block, _: block == 2),
        (1, lambda block, marks_at: block == 2 and marks_at),
    ],
    ids=["all larger ones", "the smallest", "the smallest, as it goes on"],
)
@pytest.mark.parametrize("made", [exact, rounded])
def test_a_trial_that_fails_says_nothing_of_settings_and_is_told(made, points, fails):
    found = compared([SMALL, LARGE], LADDER, Trials(made, points=points, fails=fails))
    assert (found.is_known, found.refusal) == (False, "")
    assert found.doubt.startswith("a trial with block ")


def test_a_larger_that_fails_gives_way_to_the_next_above_the_smallest():
    trials = Trials(rounded, fails=lambda block, _: block == 8)
    found = compared([SMALL, LARGE], LADDER, trials)
    assert "between block 4 and block 2" in found.refusal
    assert found.is_known


def test_a_difference_that_could_not_be_tried_again_holds_until_it_is():
    trials = Trials(rounded, fails=lambda _, marks_at: marks_at == (8,))
    found = compared([SMALL, LARGE], LADDER, trials)
    assert "arrays['total'] differs between block 8 and block 2" in found.refusal
    assert "a trial with block 2 failed" in found.refusal
    assert not found.is_known


VALUES = np.random.default_rng(1).normal(size=(640, 3)).astype(np.float32)


@lowmem.job()
def adding(ctx):
    """Add rows up, and list them."""
    total = ctx.arrays["total"] if ctx.state else np.zeros(3, np.float32)
    table = ctx.append("sums.txt")
    settings = ctx.settings
    for block in ctx.blocks(VALUES, rows=settings["rows"], held=settings["held"]):
        total = total + block.sum(axis=0)
        table.write(f"{json.dumps([float(v) for v in block[:, 0]])[1:-1]}, ")
        yield lowmem.CommitPoint(state={"last": "x"}, arrays={"total": total})
    return lowmem.Result(publish=["sums.txt"])


def marks_of(tmp_path, rows, held, marks_at=()):
    told, cutter = [], Cutter()
    space = tmp_path / f"{rows}-{held}-{marks_at}"
    job = marked(adding, marks_at, told.append)
    drive(
        job,
        space,
        settings={"rows": rows, "held": held},
        overseer=cutter,
        cycle_steps=10**6,
    )
    return {one.items: one.parts for one in told}, cutter


def test_a_float_sum_by_block_is_seen_and_one_by_fixed_blocks_is_the_same(tmp_path):
    fixed, _ = marks_of(tmp_path, 32, 1)
    held, _ = marks_of(tmp_path, 32, 8)
    assert fixed == held
    larger, _ = marks_of(tmp_path, 256, 1)
    both = {rows: (fixed[rows], larger[rows]) for rows in larger}
    assert list(both) == [256, 512, 640]
    for one, other in both.values():
        # The same rows were appended, in other pieces.
        assert set(one) == {"state['last']", "arrays['total']", "the file sums.txt"}
        assert [name for name in one if one[name] != other[name]] == ["arrays['total']"]


@pytest.mark.parametrize(("marks_at", "met"), [((64, 96), [64]), ((70,), [])])
def test_a_trial_commits_at_the_first_number_of_items_that_it_meets_or_passes(
    tmp_path, marks_at, met
):
    marks, cutter = marks_of(tmp_path, 32, 1, marks_at)
    assert [items for items in marks if items <= 64] == met
    assert cutter.cycles[0].items == (met or [96])[0]


def test_a_marked_job_is_refused_as_it_would_be(tmp_path):
    @lowmem.job(name="plain")
    def plain(ctx):
        """Return no generator."""

    with pytest.raises(lowmem.base.errors.JobDefinitionError, match="returned None"):
        drive(marked(plain, (), print), tmp_path)
