"""Blocks that shards make and a merge puts together: the files of a run by one process."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import lowmem
from lowmem.base.errors import DataError, JobDefinitionError
from lowmem.base.errors_shards import DisputedBlockError, MissingBlocksError
from lowmem.mapping import work as map_work
from lowmem.shards.claims import candidates
from lowmem.shards.complete import tally_of
from lowmem.stores import write_blocks
from lowmem.stores.row_writer import RowWriter
from lowmem.worker import divided as divided_work
from tests.driver import Cutter, drive
from tests.sharding import board_of, files_of, hidden_markers, merge, shard

N_ROWS = 83
VALUES = np.random.default_rng(3).standard_normal((N_ROWS, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """Blocks of two calls: six of them."""
    monkeypatch.setattr(map_work, "calls_in_block", lambda *_: 2)


def lines(rows):
    return np.stack([rows.max(axis=1), rows[:, 0] * 3], axis=1)


def write_rows(space: Path) -> None:
    writer = RowWriter.open(
        space / "rows.zarr", "rows", row_shape=(6,), dtype="f4", chunk_rows=8
    )
    for start in range(0, N_ROWS, 8):
        writer.append(VALUES[start : start + 8])
    writer.flush()


def map_of(function, **how) -> lowmem.Job:
    return lowmem.map(source="rows.zarr", out="out.zarr", rows=8, name="own", **how)(
        function
    )


@pytest.fixture
def whole(tmp_path):
    """Return the files and the summary of a run by one process."""
    space = tmp_path / "whole"
    space.mkdir()
    write_rows(space)
    summary = drive(map_of(lines), space, cycle_steps=99)
    return files_of(space / "out.zarr"), summary


ORDERS = [
    *([order] for order in ((0,),)),
    *([order] for order in permutations(range(3))),
    [(6, 0, 3, 1, 5, 2, 4)],
    # Shares that overlap, of two divisions one after the other.
    [(1, 0, 2), (4, 1, 0, 3, 2)],
]


@pytest.mark.parametrize("orders", ORDERS, ids=str)
def test_any_number_of_shards_in_any_order_makes_the_files_of_one(
    tmp_path, whole, orders
):
    space, job = tmp_path / "w", map_of(lines)
    space.mkdir()
    write_rows(space)
    for n, order in enumerate(orders):
        # Of a first division one share is left to the next.
        for index in order[: len(order) - (n + 1 < len(orders))]:
            shard(job, space, index, len(order))
    summary = merge(job, space, cycle_steps=99)
    assert (files_of(space / "out.zarr"), summary) == whole


def test_a_shard_cut_after_each_block_goes_on_and_makes_none_twice(tmp_path, whole):
    space, job = tmp_path / "w", map_of(lines)
    space.mkdir()
    write_rows(space)
    overseer = Cutter(leave_after=1)
    for index in (1, 0):
        n_runs = 1
        while shard(job, space, index, 2, leave_after=1, overseer=overseer) is None:
            overseer.leave_after = len(overseer.cycles) + 1
            n_runs += 1
        # Three blocks, and the commit that says that the share is done.
        assert n_runs == 5
        overseer.leave_after = len(overseer.cycles) + 1
    assert sum(cycle.items for cycle in overseer.cycles) == N_ROWS
    view = board_of(space).whole_view()
    assert {len(claims) for claims in view.claims.values()} == {1}
    merge(job, space)
    assert files_of(space / "out.zarr") == whole[0]


def test_a_merge_that_is_cut_goes_on_and_a_local_run_ends_it_as_well(tmp_path, whole):
    for ended_by in (merge, drive):
        space, job = tmp_path / ended_by.__name__, map_of(lines)
        space.mkdir()
        write_rows(space)
        shard(job, space, 0, 1)
        assert merge(job, space, leave_after=2) is None
        ended_by(job, space)
        assert files_of(space / "out.zarr") == whole[0]


def test_what_is_not_done_is_not_merged_and_is_named(tmp_path):
    job = map_of(lines)
    write_rows(tmp_path)
    with pytest.raises(MissingBlocksError, match="expected the blocks of its shards"):
        merge(job, tmp_path)
    shard(job, tmp_path, 0, 3)
    with pytest.raises(MissingBlocksError, match=r"blocks 2, 3, 4, 5 of own are not"):
        merge(job, tmp_path)
    tally = tally_of(board_of(tmp_path).whole_view())
    assert (tally.n_blocks, tally.n_done, tally.is_complete) == (6, 2, False)
    assert not (tmp_path / "out.zarr").exists()


def test_two_results_of_one_block_are_refused_and_never_chosen_from(tmp_path):
    job, other = map_of(lines), map_of(lambda rows: lines(rows) * 2)
    write_rows(tmp_path)
    shard(job, tmp_path, 0, 1)
    with hidden_markers(tmp_path, "0000003of*"):
        shard(other, tmp_path, 1, 2)
    with pytest.raises(DisputedBlockError, match="block 3 of own was made twice"):
        merge(job, tmp_path)


def test_the_same_rows_made_twice_are_one_result(tmp_path, whole):
    job = map_of(lines)
    write_rows(tmp_path)
    shard(job, tmp_path, 0, 1)
    with hidden_markers(tmp_path, "*"):
        for index in (0, 1):
            shard(job, tmp_path, index, 2)
    view = board_of(tmp_path).whole_view()
    assert [len(view.outputs[block]) for block in range(6)] == [2] * 6
    # Neither saw the other: the smaller token is as good as any rule that all follow.
    for block in range(6):
        one, other = (output.attempt for output in candidates(view, block))
        assert (one.number, other.number) == (1, 1)
        assert one.token < other.token
    merge(job, tmp_path)
    assert files_of(tmp_path / "out.zarr") == whole[0]


def test_a_damaged_block_is_taken_back_and_made_again(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("lowmem.shards.board._PATIENCE_S", ())
    job = map_of(lines)
    write_rows(tmp_path)
    shard(job, tmp_path, 0, 1)
    (file,) = (tmp_path / ".lowmem/shards/board/blocks.shared/00000").glob(
        "0000004of*.block"
    )
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(MissingBlocksError, match="block 4 of own is damaged"):
        merge(job, tmp_path)
    with pytest.raises(MissingBlocksError, match="block 4 of own is not done"):
        merge(job, tmp_path)
    shard(job, tmp_path, 2, 3)
    merge(job, tmp_path)
    assert files_of(tmp_path / "out.zarr") == whole[0]


def test_a_merge_says_that_the_blocks_are_of_several_kinds_of_machine(
    tmp_path, monkeypatch
):
    job = map_of(lines)
    write_rows(tmp_path)
    shard(job, tmp_path, 0, 2)
    monkeypatch.setattr(divided_work, "software_versions", lambda _: {"numpy": "9.9"})
    shard(job, tmp_path, 1, 2)
    overseer = Cutter()
    merge(job, tmp_path, overseer=overseer)
    (note,) = overseer.notes
    assert "made by 2 kinds of machine or software" in note
    assert "9.9" in note


def test_what_is_said_of_a_map_s_digits_is_said_by_the_merge_too(tmp_path):
    write_rows(tmp_path)
    job = map_of(lambda rows: rows[:, 0] * np.float32(1 + len(rows) * 1e-6))
    shard(job, tmp_path, 0, 1)
    overseer = Cutter()
    merge(job, tmp_path, overseer=overseer)
    (note,) = overseer.notes
    assert "always 8, which belongs to the recipe" in note


def squares(ctx) -> lowmem.RowBlocks:
    """Blocks of a job in the long form."""

    def make(start: int, stop: int) -> np.ndarray:
        return np.arange(start, stop, dtype=np.int64)[:, None] ** [1, 2]

    return lowmem.RowBlocks(
        store="squares.zarr",
        array="squares",
        n_rows=ctx.options["rows"],
        block_rows=4,
        row_shape=(2,),
        dtype="int64",
        codec="zstd",
        make=make,
        summary={"n": ctx.options["rows"]},
    )


def job_of_blocks(of=squares) -> lowmem.Job:
    @contextmanager
    def blocks(ctx):
        yield of(ctx)

    return lowmem.Job(
        name="squares",
        work=lambda ctx: write_blocks(ctx, of(ctx)),
        blocks=blocks,
        options=(lowmem.Option(name="rows", kind="int", default=18),),
    )


@pytest.mark.parametrize("rows", [18, 4, 1])
def test_a_job_of_one_s_own_is_divided_by_saying_what_its_blocks_are(tmp_path, rows):
    job, spaces = job_of_blocks(), [tmp_path / "a", tmp_path / "b"]
    options = {"rows": rows}
    drive(job, spaces[0], options)
    # More shards than blocks: some have none.
    for index in range(7):
        shard(job, spaces[1], index, 7, options=options)
    merge(job, spaces[1], options=options)
    one, other = (files_of(space / "squares.zarr") for space in spaces)
    assert one == other


def test_rows_that_are_not_as_the_blocks_say_are_refused(tmp_path):
    def floats(ctx):
        blocks = squares(ctx)
        return replace(blocks, make=lambda a, b: np.zeros((b - a, 2)))

    with pytest.raises(
        JobDefinitionError, match=r"made a block of shape \(4, 2\) of f"
    ):
        shard(job_of_blocks(floats), tmp_path, 0, 1)


def test_blocks_of_another_division_of_the_rows_are_not_mixed(tmp_path):
    shard(job_of_blocks(), tmp_path, 0, 2)
    longer = job_of_blocks(lambda ctx: replace(squares(ctx), block_rows=9))
    with pytest.raises(DataError, match="are 2 and 5 in number"):
        shard(longer, tmp_path, 1, 2)
    shard(job_of_blocks(), tmp_path / "b", 0, 2)
    other = job_of_blocks(lambda ctx: replace(squares(ctx), summary={"n": 0}))
    shard(other, tmp_path / "b", 1, 2)
    with pytest.raises(DataError, match="expected what the first says"):
        merge(job_of_blocks(), tmp_path / "b")


def test_once_merged_the_rows_are_gone_and_a_stale_shard_ends_at_once(tmp_path, whole):
    job = map_of(lines)
    write_rows(tmp_path)
    shard(job, tmp_path, 0, 1)
    merge(job, tmp_path)
    board_of(tmp_path).merged()
    folder = tmp_path / ".lowmem/shards/board"
    assert not list(folder.rglob("*.block"))
    assert shard(job, tmp_path, 1, 2) == {"shard": "1/2", "blocks": 0}
    assert not list(folder.rglob("*.block"))
    assert files_of(tmp_path / "out.zarr") == whole[0]
