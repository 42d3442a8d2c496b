"""Decide what to do about a memory reading; no clock, no process, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

# Bytes a second, where it was not measured: two threads on two cores fill 5 GB/s here;
# earlyoom assumes 6.
FILL_RATE = 8e9
SHORTEST_INTERVAL_S = 0.0003
# Safe whatever it is, see `RamBudget`: what is read more often costs more of a core.
LONGEST_INTERVAL_S = 0.125
# What may pass between the moment that a reading is due and the worker's death: a late
# wake-up, the reading itself, the stacks, the kill.
REACTION_S = 0.0007
# Of that a reading of so many processes; of each more it takes this much longer.
_PROCESSES_AT_ONCE, _PROCESS_S = 8, 0.00003
# Of the budget: the most by which the kill comes earlier for that.
_WIDEST_LATENESS = 0.1
# Of the budget: the kill comes this much before its end.
GUARD_BAND = 0.02
# Of a small budget the band may be wider, but never wider than of one this large.
_WIDEST_GUARD_BYTES = round(GUARD_BAND * 2**30)
# Of the budget: from here on a worker is asked to commit and make room for a fresh one.
SOFT_SHARE = 0.95


class Pressure(Enum):
    """How close the job is to its budget."""

    NORMAL = auto()
    SOFT = auto()
    HARD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RamBudget:
    """Thresholds of one job, in bytes, and when to look again.

    Attributes
    ----------
    limit_bytes
        What the user gave: not even the peak may pass it.
    fill_rate
        Bytes a second that nothing on this machine can fill faster than.
    guard_bytes
        The band between the kill and the limit.
    hard_bytes
        Above this the worker is killed at once.
    soft_bytes
        Above this the worker commits and leaves.

    Notes
    -----
    Why the peak u* stays within the limit B. Let r be the fill rate, e the longest time
    from the moment a reading is due to the death of the worker that it condemns, and
    R = `REACTION_S` >= e. The kill threshold is H = B - G, with a guard band G that is
    at least r (s + R), where s = `SHORTEST_INTERVAL_S`. Take the last reading u <= H;
    the next one is due after i, and by then, or while it takes effect, no more than
    r (i + e) was added: u* <= u + r (i + e). Two cases:

    - i = (B - u) / r - R: then u* <= B - r (R - e) <= B.
    - i = s, where the above is shorter than s: u* <= H + r (s + e) <= H + G = B.

    The longest interval only ever shortens i. A reading of hundreds of processes takes
    longer than R. So `lateness_bytes`, what r adds in that time, is taken for used: with
    it both cases hold for the longer e. What is assumed is e <= R: see `priority`
    and `background` for what makes it so, and the table of ``benchmarks/budgets.py``
    for what it was. On a machine that fills more than 21 GB/s the second case rests
    upon the band as it is: a fiftieth of 1 GiB is the widest that is taken from a job.
    """

    limit_bytes: int
    fill_rate: float = FILL_RATE
    guard_bytes: int = field(init=False)
    hard_bytes: int = field(init=False)
    soft_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        if self.limit_bytes <= 0:
            raise ValueError(f"limit_bytes must be > 0, got {self.limit_bytes}")
        blind = self.fill_rate * (SHORTEST_INTERVAL_S + REACTION_S)
        wanted = max(GUARD_BAND * self.limit_bytes, min(blind, _WIDEST_GUARD_BYTES))
        # A budget of a few MiB is no budget for a process, but must keep its order.
        guard = round(min(wanted, self.limit_bytes * (1 - SOFT_SHARE) * 0.9))
        # Once, since the thresholds are asked for at every reading.
        for name, value in (
            ("guard_bytes", guard),
            ("hard_bytes", self.limit_bytes - guard),
            ("soft_bytes", round(self.limit_bytes * SOFT_SHARE)),
        ):
            object.__setattr__(self, name, value)

    def pressure(self, used_bytes: int) -> Pressure:
        """Return how close ``used_bytes`` is to the budget."""
        if used_bytes > self.hard_bytes:
            return Pressure.HARD
        if used_bytes > self.soft_bytes:
            return Pressure.SOFT
        return Pressure.NORMAL

    def lateness_bytes(self, n_processes: int) -> int:
        """Return what may be added while so many processes are read, beyond `REACTION_S`.

        At most a tenth of the budget: more than some hundred processes in a small budget
        may pass it.

        Examples
        --------
        >>> budget = RamBudget(limit_bytes=2**30)
        >>> budget.lateness_bytes(8), budget.lateness_bytes(150) // 2**20
        (0, 32)
        """
        longer_s = max(0, n_processes - _PROCESSES_AT_ONCE) * _PROCESS_S
        return round(
            min(self.fill_rate * longer_s, _WIDEST_LATENESS * self.limit_bytes)
        )

    def next_interval_s(self, used_bytes: int) -> float:
        """Return the time after which the next reading is due; see the class's notes.

        Examples
        --------
        >>> RamBudget(limit_bytes=2 * 10**9).next_interval_s(185_000_000)
        0.125
        """
        interval_s = (self.limit_bytes - used_bytes) / self.fill_rate - REACTION_S
        return min(max(interval_s, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S)
