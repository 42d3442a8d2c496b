"""Which blocks are whose, and what a SLURM array says of it."""

from __future__ import annotations

import pytest

from lowmem.base.errors import OptionValueError, UsageError
from lowmem.pipeline.orders import DEFAULT_LEASE_S, lease_s
from lowmem.report.shard_status import of_all_blocks
from lowmem.shards.board import Board
from lowmem.shards.claiming import LOOK_S, Claimant
from lowmem.shards.markers import marker_of
from lowmem.shards.shard import Shard, shard_from_text
from lowmem.shards.storage import Folder
from tests.mirrors import TestClock


def task(number: int, count: int, least: int = 0, **more: str) -> dict[str, str]:
    told = {"ID": number, "COUNT": count, "MIN": least, **more}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in told.items()}


@pytest.mark.parametrize("n_blocks", [0, 1, 5, 16, 17, 1000])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 31])
def test_the_shares_have_each_block_once_and_differ_by_one_at_most(n_blocks, count):
    shares = [Shard(index=i, count=count).blocks(n_blocks) for i in range(count)]
    assert [block for share in shares for block in share] == list(range(n_blocks))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_task_of_an_array_has_its_place_wherever_the_array_begins():
    cases = [
        (task(3, 16), "3/16"),
        (task(1, 16, 1), "0/16"),
        (task(16, 16, 1), "15/16"),
        (task(7, 4, 1, STEP="2"), "3/4"),
    ]
    for environment, expected in cases:
        assert str(shard_from_text("auto", environment)) == expected
        # What is typed counts whatever the array is.
        assert str(shard_from_text("1/2", environment)) == "1/2"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "SLURM_ARRAY_TASK_ID is set"),
        (task(3, 3, 1, STEP="4"), "evenly spaced"),
        # --array=1,3,7: the second of three, of which only its number is told.
        (task(7, 3, 1), "evenly spaced"),
    ],
)
def test_a_place_that_nobody_tells_is_not_guessed(environment, words):
    with pytest.raises(OptionValueError, match=words):
        shard_from_text("auto", environment)


@pytest.mark.parametrize("text", ["16/16", "0/0", "-1/4", "1", "1/2/3", "", "1/10000"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(OptionValueError, match="expected I/N with I from 0"):
        shard_from_text(text, {})


def test_a_lease_is_a_duration():
    assert (lease_s(None), lease_s("2m")) == (DEFAULT_LEASE_S, 120)
    for text in ("0s", "800h"):
        with pytest.raises(UsageError, match="a duration"):
            lease_s(text)


def test_a_block_that_another_has_claimed_is_waited_for_and_then_taken_over(tmp_path):
    told, clock = [], TestClock()
    board = Board(Folder(tmp_path), clock)
    board.claim(1, n_blocks=2, number=1, lease_s=60, holder="a-dead-one")
    made = []
    one = Claimant(
        job="job",
        board=Board(Folder(tmp_path), clock),
        shard=Shard(index=0, count=1),
        n_blocks=2,
        holder="0001of0001-here-0",
        lease_s=5,
        clock=clock,
        tell_waiting=lambda: told.append(len(made)),
    )
    for claim in one.claims():
        assert claim is not None
        assert one.board.publish(claim, [b"rows"])
        made.append((claim.attempt.block, claim.attempt.number))
    assert made == [(0, 1), (1, 2)]
    # Said once, after the first block; a look every second of this clock, and no other.
    assert told == [1]
    assert sum(clock.slept) >= 30 * LOOK_S


def test_no_marker_is_written_that_nobody_could_read(tmp_path):
    board = Board(Folder(tmp_path), TestClock())
    for block, n_blocks, holder in [(0, 1, "a b"), (1, 1, "a"), (0, 10**7, "a")]:
        with pytest.raises(ValueError, match="must be"):
            board.claim(block, n_blocks=n_blocks, number=1, lease_s=1, holder=holder)
    claim = board.claim(0, n_blocks=1, number=1, lease_s=1, holder="a")
    stranger = str(claim).replace("0000000of", "0000009of")
    assert (marker_of(str(claim)), marker_of(stranger)) == (claim, None)


def test_who_waits_is_not_kept_from_leaving(tmp_path):
    clock = TestClock()
    board = Board(Folder(tmp_path), clock)
    board.claim(0, n_blocks=1, number=1, lease_s=10**6, holder="another")
    one = Claimant(
        job="job",
        board=board,
        shard=Shard(index=0, count=1),
        n_blocks=1,
        holder="0001of0001-here-0",
        lease_s=5,
        clock=clock,
        is_wanted_elsewhere=lambda: len(clock.slept) >= 3,
    )
    assert next(one.claims()) is None
    assert len(clock.slept) == 3


def test_the_line_of_a_shard_becomes_one_of_all_that_is_left():
    words = [
        "map",
        "own.py:f",
        "rows.npy",
        "out.zarr",
        "--shard",
        "3/16",
        "--seed",
        "2",
    ]
    assert of_all_blocks(words) == [*words[:5], "0/1", "--seed", "2"]
