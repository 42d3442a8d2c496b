"""`ctx.blocks`: its place is kept with each commit, so that every row is done once."""

from __future__ import annotations

import numpy as np
import pytest

import lowmem
from tests.driver import Cutter, drive

VALUES = np.arange(1, 24)


def summing(found, rows=4, passes=("rows",)):
    @lowmem.job(name="summing")
    def work(ctx):
        total = ctx.state.get("total", 0)
        for name in passes:
            for block in ctx.blocks(VALUES, rows=rows, name=name):
                total += int(block.sum())
                found.append((name, int(block[0])))
                yield lowmem.CommitPoint(state={"total": total})
        return lowmem.Result(summary={"total": total})

    return work


def test_every_row_is_done_once_wherever_the_job_is_cut_and_whatever_a_block_is(
    tmp_path,
):
    found, items, sizes = [], 0, iter([4, 7, 1, 9, 9, 15, 99, 99, 99])
    summary = None
    while summary is None:
        overseer = Cutter(leave_after=1)
        job = summing(found, next(sizes), ("one", "two"))
        summary = drive(job, tmp_path, overseer=overseer)
        items += sum(cycle.items for cycle in overseer.cycles)
    assert summary == {"total": 2 * int(VALUES.sum())}
    assert items == 2 * len(VALUES)
    first = [(name, row) for name, row in found if name == "one"]
    assert first == [("one", row) for row in (1, 5, 12, 13, 22)]


def test_the_state_of_a_job_is_what_it_gave_and_its_own_items_count(tmp_path):
    seen = []

    @lowmem.job(name="seen")
    def work(ctx):
        seen.append(dict(ctx.state))
        for block in ctx.blocks(VALUES, rows=10):
            yield lowmem.CommitPoint(items=1, state={"rows": len(block)})

    overseer = Cutter(leave_after=2)
    drive(work, tmp_path, overseer=overseer)
    drive(work, tmp_path)
    assert seen == [{}, {"rows": 10}]
    assert [cycle.items for cycle in overseer.cycles] == [1, 1]


@pytest.mark.parametrize("rows", [0, -3])
def test_a_block_of_no_rows_is_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="rows must be >= 1"):
        drive(summing([], rows), tmp_path)
