"""Blocks that several claim: each has one output that counts, whatever happens when."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lowmem.shards.claims import BoardView, candidates, disputed, is_done
from lowmem.shards.markers import BlockAttempt, Claim, Output, marker_of
from lowmem.shards.shard import Shard
from tests.staged import Stage

pytestmark = pytest.mark.slow

# What one number of a schedule does: who has the next turn, how much time passes
# before, and now and then that somebody is killed and begun again.
TURNS = st.tuples(
    st.integers(0, 7),
    st.sampled_from([0.0, 0.0, 0.5, 4.0, 11.0, 1000.0]),
    st.sampled_from(["turn"] * 12 + ["kill"]),
)
COUNTS = st.lists(st.integers(1, 4), min_size=1, max_size=3)


def rows_of(claim: Claim) -> bytes:
    return f"rows of {claim.attempt.block}".encode() * 3


def begin_all(stage: Stage, counts, n_blocks: int, lateness: int, rows=rows_of) -> None:
    """Begin each shard of each division of the blocks: several hold the same block."""
    for division, count in enumerate(counts):
        for index in range(count):
            begin(stage, division, index, count, n_blocks, lateness, rows)


def begin(stage, *again) -> None:
    division, index, count, n_blocks, lateness, rows = again
    one = stage.begin(
        Shard(index=index, count=count),
        n_blocks,
        rows,
        holder=f"{division}-{index}of{count}",
        lateness=lateness,
        skew_s=1e6 * division + 17 * index,
    )
    one.again = again


def play(stage: Stage, schedule) -> None:
    for who, passes_s, what in schedule:
        if not stage.live:
            return
        one = stage.live[who % len(stage.live)]
        if what == "kill":
            stage.kill(one)
            begin(stage, *one.again)
        else:
            stage.turn(one, passes_s=passes_s)


def merged(stage: Stage, n_blocks: int) -> list[bytes | None]:
    board = stage.board()
    view = board.whole_view()
    assert all(is_done(view, block) for block in range(n_blocks))
    return [board.rows(candidates(view, block)[0]) for block in range(n_blocks)]


@given(
    counts=COUNTS,
    n_blocks=st.integers(0, 6),
    lateness=st.sampled_from([0, 3, 25]),
    schedule=st.lists(TURNS, max_size=150),
)
# Two claim the same block at once and neither sees the other's claim.
@example(
    counts=[1, 1],
    n_blocks=1,
    lateness=25,
    schedule=[(n % 2, 0, "turn") for n in range(60)],
)
# The first is stopped within its block past its lease, and woken after the other's output.
@example(
    counts=[1, 1],
    n_blocks=2,
    lateness=0,
    schedule=[(0, 0.0, "turn")] * 6 + [(1, 11.0, "turn")] * 80,
)
def test_whatever_happens_each_block_has_the_rows_of_a_run_by_one(
    counts, n_blocks, lateness, schedule
):
    with Stage() as stage:
        begin_all(stage, counts, n_blocks, lateness)
        play(stage, schedule)
        stage.to_the_end()
        assert not disputed(stage.board().whole_view())
        whole = [
            rows_of(Claim(BlockAttempt(b, n_blocks, 1, ""), 1, "a"))
            for b in range(n_blocks)
        ]
        assert merged(stage, n_blocks) == whole


@given(schedule=st.lists(TURNS, min_size=20, max_size=150))
def test_what_a_stale_attempt_writes_after_the_merge_changes_nothing(schedule):
    n_blocks = 3
    with Stage() as stage:
        begin_all(stage, [2, 1], n_blocks, 0)
        play(stage, schedule)
        # One of them is stopped here; all others end, and the blocks are put together.
        stale, *others = stage.live or [None]
        if stale is None:
            return
        for one in others:
            while not one.is_over:
                stage.turn(one, passes_s=3.0)
        if not all(is_done(stage.board().whole_view(), b) for b in range(n_blocks)):
            return
        before = merged(stage, n_blocks)
        former = stage.board().whole_view()
        stage.to_the_end()
        assert merged(stage, n_blocks) == before
        # At most the marker that it was about to write is new, and it is no newer attempt's.
        view = stage.board().whole_view()
        new = [o for b in range(n_blocks) for o in view.outputs[b] - former.outputs[b]]
        assert len(new) <= 1
        for output in new:
            newest = candidates(former, output.attempt.block)[0]
            assert output.attempt.number <= newest.attempt.number
            assert output.sha256 == newest.sha256


@given(
    names=st.lists(
        st.builds(
            Output,
            st.builds(
                BlockAttempt,
                st.integers(0, 2),
                st.just(3),
                st.integers(1, 3),
                st.sampled_from(["0" * 16, "f" * 16]),
            ),
            st.just(9),
            st.sampled_from(["a" * 64, "b" * 64]),
        ).map(str),
        max_size=12,
    ),
    order=st.randoms(use_true_random=False),
)
def test_every_reader_of_the_same_names_takes_the_same_outputs(names, order):
    shuffled = [*names, *names[:3], "0000001of0000003.001.x (1).done", ".tmp"]
    order.shuffle(shuffled)
    one, other = BoardView.of(names), BoardView.of(shuffled)
    for block in range(3):
        assert candidates(one, block) == candidates(other, block)
        best = candidates(one, block)[:1]
        # An older attempt that appears late comes behind.
        if best and best[0].attempt.number > 1:
            late = Output(BlockAttempt(block, 3, 1, "0" * 16), 9, "a" * 64)
            assert candidates(BoardView.of([*names, str(late)]), block)[:1] == best
    shas = {b: {o.sha256 for o in candidates(one, b)} for b in range(3)}
    assert disputed(one) == [b for b in range(3) if len(shas[b]) > 1]


@given(schedule=st.lists(TURNS, max_size=120), lateness=st.sampled_from([0, 25]))
def test_a_job_that_gives_two_results_is_told_or_has_one(schedule, lateness):
    with Stage() as stage:
        n_made = [0]

        def other_each_time(_: Claim) -> bytes:
            n_made[0] += 1
            return f"{n_made[0]}".encode()

        begin_all(stage, [1, 2], 2, lateness, other_each_time)
        play(stage, schedule)
        stage.to_the_end()
        view = stage.board().whole_view()
        for block in range(2):
            made = {output.sha256 for output in view.outputs[block]}
            assert (len(made) == 1) == (block not in disputed(view))


@given(st.text(max_size=40))
def test_a_stranger_s_name_says_nothing(text):
    assert marker_of(text) is None
