"""What a launch decides, whatever happens to its shards in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lowmem.engines.next_step import (
    MOST_AGAIN,
    End,
    Halt,
    Merge,
    ShardEnd,
    ShardState,
    Standing,
    Start,
    Wait,
    next_step,
)

# Done; stopped; failures of every kind, also one that no release of lowmem has; killed,
# as its parent and as a shell tells it.
STATUSES = (0, 75, 2, 65, 69, 70, 73, 74, 1, -9, 137)
LOST = {-9, 137}
NEVER = 10**9


@st.composite
def courses(draw):
    """Return how many shards, what each of their runs ends with, and when it is stopped."""
    n_shards = draw(st.integers(1, 5))
    runs = draw(
        st.lists(
            st.tuples(
                st.integers(0, n_shards - 1),
                st.sampled_from(STATUSES),
                st.sampled_from([1.0, 3600.0]),
            ),
            max_size=40,
        )
    )
    return n_shards, runs, draw(st.sampled_from([*range(40), *[NEVER] * 40]))


def played(n_shards, runs, stop_at):
    """Play a launch; return its last step, all starts, and what each shard ended with.

    Ends that nothing runs for are left out; once there are no more, all that runs is done.
    """
    shards = [ShardState()] * n_shards
    starts: list[int] = []
    ends: dict[int, list[ShardEnd]] = {n: [] for n in range(n_shards)}
    ahead = list(runs)
    for turn in range(1_000):
        step = next_step(shards, is_to_end=turn >= stop_at)
        if isinstance(step, (Merge, End)):
            return step, shards, starts, ends
        if isinstance(step, Start):
            assert turn < stop_at
            assert all(shards[n].standing is Standing.WAITING for n in step.indices)
            starts += step.indices
            for n in step.indices:
                shards[n] = shards[n].started()
            continue
        running = [n for n, s in enumerate(shards) if s.standing is Standing.RUNNING]
        assert running, "it waits for nothing"
        assert isinstance(step, (Halt, Wait))
        known = next((run for run in ahead if run[0] in running), None)
        if known is not None:
            ahead.remove(known)
        index, status, lasted_s = known or (running[0], 0, 3600.0)
        end = ShardEnd(
            index=index, status=status, said=f"by {status}", lasted_s=lasted_s
        )
        ends[index].append(end)
        shards[index] = shards[index].ended(end)
    raise AssertionError("it never ends")


@given(courses())
def test_it_ends_and_merges_where_and_only_where_every_shard_is_done(course):
    step, _, _, ends = played(*course)
    all_done = all(own and own[-1].status == 0 for own in ends.values())
    assert isinstance(step, Merge) <= all_done
    if all_done and course[2] == NEVER:
        assert isinstance(step, Merge)


@given(courses())
def test_a_shard_that_is_done_or_has_failed_is_never_started_again(course):
    _, _, starts, ends = played(*course)
    for index, own in ends.items():
        assert starts.count(index) == len(own)
        assert all(e.status in {75, *LOST} for e in own[:-1])


@given(courses())
def test_one_that_is_lost_is_started_at_most_three_times_more(course):
    *_, ends = played(*course)
    for own in ends.values():
        at_once = [
            e for e in own if e.status in LOST or (e.status, e.lasted_s) == (75, 1.0)
        ]
        assert len(at_once) <= MOST_AGAIN + 1


@given(courses())
def test_the_exit_code_is_that_of_the_first_shard_that_failed_by_its_number(course):
    step, shards, _, ends = played(*course)
    failed = [n for n, s in enumerate(shards) if s.standing is Standing.FAILED]
    if not isinstance(step, End):
        assert not failed
        return
    if not failed:
        assert (step.status, step.index) == (75, None)
        return
    last = ends[failed[0]][-1].status
    known = {2, 65, 69, 70, 73, 74}
    expected = last if last in known else 75 if last in {75, *LOST} else 70
    assert (step.index, step.status) == (failed[0], expected)
    assert shards[failed[0]].said == f"by {last}"


def test_what_runs_beside_a_failure_is_asked_to_stop_and_nothing_more_is_started():
    failed = ShardState().ended(ShardEnd(index=0, status=65))
    beside = [failed, ShardState(standing=Standing.RUNNING), ShardState()]
    assert next_step(beside, is_to_end=False) == Halt()
    beside[1] = beside[1].ended(ShardEnd(index=1, status=75))
    assert next_step(beside, is_to_end=False) == End(status=65, index=0)
