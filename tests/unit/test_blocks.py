"""`ctx.blocks` and `ctx.append`: a commit keeps the place, and the size of what was added."""

from __future__ import annotations

import numpy as np
import pytest

import lowmem
from lowmem.base.errors import DataError, LowmemError
from lowmem.worker import appended, cycles
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


def test_a_block_is_of_as_many_rows_however_many_are_read_at_once(tmp_path):
    reads = []

    class Rows:
        shape = VALUES.shape

        def __getitem__(self, rows):
            reads.append((rows.start, rows.stop))
            return VALUES[rows]

    def blocks(held, leave_after, space=tmp_path):
        @lowmem.job(name="held")
        def work(ctx):
            for block in ctx.blocks(Rows(), rows=4, held=held):
                found.append(block.tolist())
                yield lowmem.CommitPoint()

        drive(work, space, leave_after=leave_after)

    found = []
    # Cut within what was read at once, and gone on with another setting.
    blocks(4, 2)
    blocks(2, 1)
    blocks(9, None)
    assert found == [VALUES[n : n + 4].tolist() for n in range(0, len(VALUES), 4)]
    assert reads == [(0, 16), (8, 16), (12, 23)]
    with pytest.raises(ValueError, match="held must be >= 1"):
        blocks(0, None, tmp_path / "another")


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


def listing(before_the_end=lambda _: None):
    @lowmem.job(name="listing")
    def work(ctx):
        table, raw = ctx.append("out/rows.txt"), ctx.append("rows.bin")
        assert ctx.append("rows.bin") is raw
        for block in ctx.blocks(VALUES, rows=5):
            table.write(f"{block.sum()} \u00e9\n")
            raw.write(block.tobytes())
            yield lowmem.CommitPoint()
            # Nobody will count on it: the next commit is not reached.
            before_the_end(ctx)
        return lowmem.Result(publish=["out", "rows.bin"])

    return work


EXPECTED = "".join(f"{VALUES[n : n + 5].sum()} \u00e9\n" for n in range(0, 23, 5))


def test_a_file_that_grows_holds_each_line_once_wherever_the_job_is_cut(tmp_path):
    def spoil(ctx):
        for name in ("out/rows.txt", "rows.bin"):
            ctx.append(name).write("lost" * 9000)
        raise ConnectionError

    n_runs = 0
    while n_runs < 9:
        n_runs += 1
        if drive(listing(), tmp_path, leave_after=1) is not None:
            break
        # What is added and not committed is left behind by a fault.
        if n_runs < 5:
            with pytest.raises(ConnectionError):
                drive(listing(spoil), tmp_path, cycle_steps=9)
    # Five blocks, the commit before the results take their places, and the end.
    assert n_runs == 7
    assert (tmp_path / "out" / "rows.txt").read_text() == EXPECTED
    assert (tmp_path / "rows.bin").read_bytes() == VALUES.tobytes()


def test_bytes_are_on_the_disk_before_a_commit_counts_on_them(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(appended, "sync_file", lambda path: events.append(path.name))
    monkeypatch.setattr(cycles, "commit", lambda *_: events.append("commit"))
    drive(listing(), tmp_path, leave_after=1)
    assert set(events[:-1]) == {"rows.txt", "out", "rows.bin", "staging"}
    assert events[-1] == "commit"


def test_a_file_that_lost_bytes_and_a_name_outside_are_refused(tmp_path):
    drive(listing(), tmp_path, leave_after=2)
    file = tmp_path / ".lowmem" / "jobs" / "listing" / "staging" / "rows.bin"
    file.write_bytes(b"short")
    with pytest.raises(DataError, match=r"rows\.bin holds 5 bytes, expected the 80"):
        drive(listing(), tmp_path)

    @lowmem.job(name="outside")
    def outside(ctx):
        ctx.append("../../rows.txt")
        yield lowmem.CommitPoint()

    with pytest.raises(LowmemError, match="outside"):
        drive(outside, tmp_path)
