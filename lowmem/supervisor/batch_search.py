"""Which batch of a model to try next, and what the trials so far say of one. Pure.

Two small batches make a line, and the line says where the budget ends. A line may be
wrong: memory may grow with the square of the batch, or by steps. So it only says what to
try next. A batch is called the largest because its own trial held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from lowmem.memory.extrapolation import JITTER_BYTES, Sample, excess_bytes, fitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Rows: no larger batch is tried.
MOST_ROWS = 2**16
# Each takes some seconds, most of them for loading the framework.
MOST_TRIALS = 12
# Of the largest batch that held: what is less than this beyond it is not looked for.
_FINE_SHARE = 0.03
# Of the room: a line is followed up to here, so that its own error does not miss.
_AIM_SHARE = 0.99
# Of the room: a batch that takes as much fills it.
_FULL_SHARE = 0.95
# One trial takes at most so many times the rows of the largest that held.
_LONGEST_LEAP = 16
# Fewer rows make no line.
_FEWEST_ASKED = 4

Outcome = Literal["held", "above", "stopped", "disturbed"]


class BatchTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What one trial of a batch showed.

    Attributes
    ----------
    ram_peak_bytes
        Of the process that computed; of one that was stopped, when it was.
    vram_peak_bytes
        What the device held beyond what it had held before; None where none was used.
    outcome
        ``held``; ``above``, which ran to its end and left too little room; ``stopped``
        at the budget; ``disturbed`` by memory that others took, so that it says nothing.
    predicted_ram_bytes
        What the trials before it had said of it; None before there were two.
    where
        The line at which it was stopped; None where that is not known.
    """

    batch_size: int
    ram_peak_bytes: int
    vram_peak_bytes: int | None
    outcome: Outcome
    predicted_ram_bytes: int | None
    seconds: float
    where: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it ran to its end, so that its peak is one."""
        return self.outcome in {"held", "above"}


class Room(NamedTuple):
    """The largest peaks, in bytes, that a budget holds; None of what is not limited."""

    ram_bytes: int
    vram_bytes: int | None = None


def next_batch(trials: Sequence[BatchTrial], asked: int, room: Room) -> int | None:
    """Return the batch to try next; None once the largest is known well enough.

    Parameters
    ----------
    asked
        The batch that the user asks about: it is tried, unless a smaller one missed.
    """
    low, high = bounds_of(trials)
    tried = {trial.batch_size for trial in trials}
    for size in _opening(asked):
        if size not in tried and size < high:
            return size
    if len(trials) >= MOST_TRIALS or high <= low + max(1, int(low * _FINE_SHARE)):
        return None
    if low == 0:
        return max(1, high // 4)
    wanted = min(_reached(trials, room), low * _LONGEST_LEAP, MOST_ROWS)
    if wanted <= low + int(low * _FINE_SHARE):
        if _is_filled(trials, low, room):
            return None
        # The line ends here and the room does not: it is a wrong one.
        wanted = min(2 * low, MOST_ROWS)
    return wanted if wanted < high else (low + high) // 2


def bounds_of(trials: Sequence[BatchTrial]) -> tuple[int, int]:
    """Return the largest batch that held, and the smallest that did not.

    0 where none held; more than any that is tried where none missed.
    """
    held = [one.batch_size for one in trials if one.outcome == "held"]
    missed = [one.batch_size for one in trials if one.outcome in {"above", "stopped"}]
    high = min(missed, default=MOST_ROWS + 1)
    # Beyond one that missed nothing is taken for sure, whatever held there.
    return max((size for size in held if size < high), default=0), high


def predicted_at(trials: Sequence[BatchTrial], batch_size: int) -> int | None:
    """Return the peak in RAM that a line through trials gives; None of fewer than two."""
    whole = [one for one in trials if one.is_whole and one.batch_size != batch_size]
    if len(whole) < 2:  # noqa: PLR2004 - a line
        return None
    samples = [
        Sample(
            terms=(float(one.batch_size),),
            floor_bytes=0,
            peak_bytes=one.ram_peak_bytes,
        )
        for one in whole
    ]
    return max(0, round(excess_bytes(fitted(samples), (float(batch_size),))))


def _opening(asked: int) -> Iterator[int]:
    """Yield the batches that make the line, and the one that is asked about.

    Examples
    --------
    >>> list(_opening(64)), list(_opening(1))
    ([8, 32, 64], [4, 8, 1])
    """
    if asked < _FEWEST_ASKED:
        yield from (_FEWEST_ASKED, 2 * _FEWEST_ASKED, asked)
    else:
        yield from (max(1, asked // 8), asked // 2, asked)


def _reached(trials: Sequence[BatchTrial], room: Room) -> int:
    """Return how far a line through the last trials leads within the room."""
    ram = [(t.batch_size, t.ram_peak_bytes) for t in trials if t.is_whole]
    vram = [(t.batch_size, t.vram_peak_bytes or 0) for t in trials if t.is_whole]
    reached = _line_to(ram, room.ram_bytes, bounds_of(trials)[0])
    if room.vram_bytes is not None:
        reached = min(reached, _line_to(vram, room.vram_bytes, bounds_of(trials)[0]))
    return reached


def _line_to(peaks: Sequence[tuple[int, int]], room_bytes: int, low: int) -> int:
    """Return the batch at which a line meets the room: through ``low`` and its neighbour.

    The neighbour above where there is one, since memory may grow faster there.
    """
    known = dict(peaks)
    others = sorted(size for size in known if size != low)
    if not others:
        return low * _LONGEST_LEAP
    beyond = [size for size in others if size > low]
    other = beyond[0] if beyond else others[-1]
    grown = abs(known[other] - known[low])
    if grown <= JITTER_BYTES:
        # No more than two runs of the same differ by: it says nothing.
        return low * _LONGEST_LEAP
    slope = grown / abs(other - low)
    return low + int((room_bytes * _AIM_SHARE - known[low]) / slope)


def _is_filled(trials: Sequence[BatchTrial], low: int, room: Room) -> bool:
    """Return whether the largest batch that held leaves next to nothing."""
    (last,) = (one for one in trials if one.batch_size == low)
    is_full = last.ram_peak_bytes >= _FULL_SHARE * room.ram_bytes
    if room.vram_bytes is not None and last.vram_peak_bytes is not None:
        is_full |= last.vram_peak_bytes >= _FULL_SHARE * room.vram_bytes
    return is_full
