"""Turn moments into seconds of work: pauses between runs take no room on a chart."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowmem.report.telemetry import Reading

# seconds; readings come one a second, so a longer silence means that nothing ran. What
# remains of it is a visible gap.
PAUSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Where each moment stands once the pauses are cut out.

    Attributes
    ----------
    moments
        POSIX seconds of the readings, ascending.
    elapsed_s
        Seconds of work before each of them, a pause counted as `PAUSE_S`.
    stretches
        The number of the unbroken stretch of work that each belongs to.
    """

    moments: tuple[float, ...]
    elapsed_s: tuple[float, ...]
    stretches: tuple[int, ...]

    @property
    def total_s(self) -> float:
        """Length of the whole line; never 0, so that it can be divided by."""
        return max(self.elapsed_s[-1], 1.0) if self.elapsed_s else 1.0

    def elapsed_at(self, moment: datetime) -> float:
        """Return the seconds of work before a moment, which may lie anywhere."""
        place = bisect_right(self.moments, moment.timestamp()) - 1
        if place < 0:
            return 0.0
        beyond = moment.timestamp() - self.moments[place]
        limit = self.total_s
        if place + 1 < len(self.moments):
            limit = self.elapsed_s[place + 1]
        return min(self.elapsed_s[place] + beyond, limit)


def timeline_from_readings(readings: Sequence[Reading]) -> Timeline:
    """Return the timeline of readings that are in order of time."""
    moments = tuple(reading.at.timestamp() for reading in readings)
    elapsed = [0.0] if readings else []
    stretches = [0] if readings else []
    for place in range(1, len(readings)):
        step = moments[place] - moments[place - 1]
        is_new = readings[place].attempt != readings[place - 1].attempt
        elapsed.append(elapsed[-1] + min(step, PAUSE_S))
        stretches.append(stretches[-1] + (is_new or step > PAUSE_S))
    return Timeline(
        moments=moments, elapsed_s=tuple(elapsed), stretches=tuple(stretches)
    )
