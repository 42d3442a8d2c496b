"""Decide what to do about a memory reading; no clock, no process, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

# Bytes a second. The fastest filling measured with two threads on two cores was
# 3 GB/s; earlyoom assumes 6. The next reading is due before it could use the headroom.
FILL_RATE = 8e9
SHORTEST_INTERVAL_S = 0.0007
LONGEST_INTERVAL_S = 0.1
# Of the budget: what a full-speed filling can take between the last reading below the
# limit and the kill, measured as 7 MiB at worst with a budget of 1 GiB.
GUARD_BAND = 0.015
# Of the budget: from here on a worker is asked to commit and make room for a fresh one.
SOFT_SHARE = 0.95


class Pressure(Enum):
    """How close the job is to its budget."""

    NORMAL = auto()
    SOFT = auto()
    HARD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RamBudget:
    """Thresholds of one job, in bytes.

    Attributes
    ----------
    limit_bytes
        What the user gave: not even the peak may pass it.
    """

    limit_bytes: int

    def __post_init__(self) -> None:
        if self.limit_bytes <= 0:
            raise ValueError(f"limit_bytes must be > 0, got {self.limit_bytes}")

    @property
    def hard_bytes(self) -> int:
        """Above this the worker is killed at once."""
        return round(self.limit_bytes * (1 - GUARD_BAND))

    @property
    def soft_bytes(self) -> int:
        """Above this the worker commits and leaves."""
        return round(self.limit_bytes * SOFT_SHARE)

    def pressure(self, used_bytes: int) -> Pressure:
        """Return how close ``used_bytes`` is to the budget."""
        if used_bytes > self.hard_bytes:
            return Pressure.HARD
        if used_bytes > self.soft_bytes:
            return Pressure.SOFT
        return Pressure.NORMAL

    def next_interval_s(self, used_bytes: int) -> float:
        """Return the time after which the next reading is due.

        Notes
        -----
        A reading below the limit bounds the usage at the next one: it can have grown by
        `FILL_RATE` times the interval, that is, by the headroom and no more. Only the
        floor of the interval and a late wake-up can pass the limit; both are what
        `GUARD_BAND` is for.

        Examples
        --------
        >>> RamBudget(limit_bytes=10**9).next_interval_s(185_000_000)
        0.1
        """
        headroom = max(0, self.hard_bytes - used_bytes)
        interval_s = headroom / FILL_RATE
        return min(max(interval_s, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S)
