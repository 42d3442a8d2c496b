"""Which batch is tried next: a line only proposes, and a trial alone decides."""

from __future__ import annotations

import pytest

from lowmem.supervisor.batch_search import (
    MOST_ROWS,
    MOST_TRIALS,
    BatchTrial,
    Room,
    bounds_of,
    next_batch,
    predicted_at,
)

MB = 10**6
ROOM = Room(ram_bytes=900 * MB)
# Beyond it a trial is stopped, and its peak is not known.
BUDGET = 950 * MB


def straight(batch):
    return 300 * MB + 2 * MB * batch


def squared(batch):
    # As of a similarity of all rows with all: a line through small batches is far off.
    return 300 * MB + 2000 * batch + 40 * batch**2


def stepped(batch):
    return 300 * MB + 100 * MB * (batch // 128)


def bent(batch):
    return straight(batch) + (20 * MB * (batch - 64) if batch > 64 else 0)


def flat(batch):
    return 300 * MB + batch


def too_large(batch):
    return 2000 * MB + batch


def trial(trials, size, need, room=ROOM, vram=None):
    is_stopped = need(size) > BUDGET
    vram_bytes = vram(size) if vram else None
    is_over = need(size) > room.ram_bytes or (vram_bytes or 0) > (
        room.vram_bytes or 2**62
    )
    whole = "above" if is_over else "held"
    return BatchTrial(
        batch_size=size,
        ram_peak_bytes=min(need(size), BUDGET),
        vram_peak_bytes=vram_bytes,
        outcome="stopped" if is_stopped else whole,
        predicted_ram_bytes=predicted_at(trials, size),
        seconds=1.0,
    )


def searched(need, asked=32, room=ROOM, vram=None):
    trials = []
    while (size := next_batch(trials, asked, room)) is not None:
        assert 1 <= size <= MOST_ROWS
        assert size not in {one.batch_size for one in trials}
        trials.append(trial(trials, size, need, room, vram))
    assert len(trials) <= MOST_TRIALS
    return trials


def largest_by_hand(need, room=ROOM):
    return max(
        (size for size in range(1, MOST_ROWS + 1) if need(size) <= room.ram_bytes),
        default=0,
    )


@pytest.mark.parametrize("need", [straight, squared, stepped, bent, flat, too_large])
@pytest.mark.parametrize("asked", [1, 3, 4, 32, 100, 5000])
def test_the_largest_batch_was_tried_and_held_and_is_near_the_true_one(need, asked):
    trials = searched(need, asked)
    largest, _ = bounds_of(trials)
    true = largest_by_hand(need)
    assert largest <= true
    assert largest == 0 or need(largest) <= ROOM.ram_bytes
    # Within three rows of a hundred, or so near to the room that no more is worth a trial.
    is_full = largest and need(largest) >= 0.95 * ROOM.ram_bytes
    assert largest >= 0.97 * true - 1 or is_full, (largest, true)


@pytest.mark.parametrize(("need", "asked"), [(bent, 64), (squared, 64)])
def test_a_line_that_is_wrong_is_corrected_by_a_trial_and_never_believed(need, asked):
    trials = searched(need, asked)
    wrong = [
        one
        for one in trials
        if one.predicted_ram_bytes is not None
        and one.predicted_ram_bytes <= ROOM.ram_bytes < need(one.batch_size)
    ]
    # The line said that it holds; its trial did not.
    assert wrong
    assert all(one.outcome != "held" for one in wrong)
    largest, missed = bounds_of(trials)
    assert largest < min(one.batch_size for one in wrong)
    assert need(largest) <= ROOM.ram_bytes < need(missed)


def test_the_batch_that_is_asked_about_is_predicted_by_two_others_and_then_tried():
    trials = searched(straight, asked=64)
    assert [one.batch_size for one in trials[:3]] == [8, 32, 64]
    assert trials[2].predicted_ram_bytes == straight(64)
    assert [one.predicted_ram_bytes for one in trials[:2]] == [None, None]


def test_a_model_that_no_batch_fits_is_tried_with_one_row():
    trials = searched(too_large, asked=64)
    assert bounds_of(trials) == (0, 1)
    assert [one.batch_size for one in trials] == [8, 2, 1]


def test_the_search_ends_at_its_largest_batch():
    assert bounds_of(searched(flat)) == (MOST_ROWS, MOST_ROWS + 1)


def test_what_the_device_holds_ends_the_search_as_well():
    room = Room(ram_bytes=900 * MB, vram_bytes=500 * MB)
    trials = searched(flat, room=room, vram=lambda size: 100 * MB + MB * size)
    largest, _ = bounds_of(trials)
    assert 380 <= largest <= 400


def test_a_trial_that_others_ended_is_neither_held_nor_missed_nor_part_of_a_line():
    trials = [trial([], size, straight) for size in (8, 32)]
    disturbed = BatchTrial(
        batch_size=64,
        ram_peak_bytes=9 * MB,
        vram_peak_bytes=None,
        outcome="disturbed",
        predicted_ram_bytes=None,
        seconds=1.0,
    )
    assert bounds_of([*trials, disturbed]) == (32, MOST_ROWS + 1)
    assert predicted_at([*trials, disturbed], 100) == straight(100)
