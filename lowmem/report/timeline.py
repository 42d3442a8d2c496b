"""Turn moments into seconds of work: pauses between runs take no room on a chart."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowmem.report.readings import TelemetryReading

# seconds; readings come one a second, so a longer silence means that nothing ran. What
# remains of it is a visible gap.
PAUSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Where each moment stands once the pauses are cut out.

    Attributes
    ----------
    moments
        POSIX seconds of the readings, in the order in which they were taken.
    elapsed_s
        Seconds of work before each of them, a pause counted as `PAUSE_S`.
    stretches
        The number of the unbroken stretch of work that each belongs to.
    starts
        Where a run of ascending moments begins: at the first, and where the machine's
        clock was set back.
    """

    moments: tuple[float, ...]
    elapsed_s: tuple[float, ...]
    stretches: tuple[int, ...]
    starts: tuple[int, ...] = (0,)

    @property
    def total_s(self) -> float:
        """Length of the whole line; never 0, so that it can be divided by."""
        return max(self.elapsed_s[-1], 1.0) if self.elapsed_s else 1.0

    def elapsed_at(self, moment: datetime) -> float:
        """Return the seconds of work before a moment, which may lie anywhere."""
        at_s = moment.timestamp()
        start, end = self._run_of(at_s)
        place = bisect_right(self.moments, at_s, start, end) - 1
        if place < start:
            return self.elapsed_s[start] if start < len(self.elapsed_s) else 0.0
        beyond = at_s - self.moments[place]
        limit = self.total_s
        if place + 1 < len(self.moments):
            limit = self.elapsed_s[place + 1]
        return min(self.elapsed_s[place] + beyond, limit)

    def _run_of(self, at_s: float) -> tuple[int, int]:
        """Return the first and the end of the last run of readings that may hold it."""
        ends = (*self.starts[1:], len(self.moments))
        runs = list(zip(self.starts, ends, strict=True))
        for start, end in reversed(runs):
            is_reached = start < end and self.moments[start] <= at_s
            if is_reached and at_s <= self.moments[end - 1] + PAUSE_S:
                return start, end
        return runs[0]


def timeline_from_readings(readings: Sequence[TelemetryReading]) -> Timeline:
    """Return the timeline of readings in the order in which they were taken."""
    moments = tuple(reading.at.timestamp() for reading in readings)
    elapsed = [0.0] if readings else []
    stretches = [0] if readings else []
    starts = [0]
    for place in range(1, len(readings)):
        step = moments[place] - moments[place - 1]
        is_new = readings[place].attempt != readings[place - 1].attempt
        elapsed.append(elapsed[-1] + min(max(step, 0.0), PAUSE_S))
        stretches.append(stretches[-1] + (is_new or not 0 <= step <= PAUSE_S))
        if step < 0:
            starts.append(place)
    return Timeline(
        moments=moments,
        elapsed_s=tuple(elapsed),
        stretches=tuple(stretches),
        starts=tuple(starts),
    )
