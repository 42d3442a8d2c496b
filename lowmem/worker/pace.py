"""When a cycle should end: a pure decision.

Covers: the length of a cycle from the cost of its commit, and the last commit before
the time budget ends. See `lowmem.protocol.tempo` for the latter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

from lowmem.protocol.tempo import FIRST_COST_S, Tempo

# A commit and its clean-up may cost this share of the cycle that they end.
COMMIT_SHARE = 0.02
# seconds; shorter cycles lose less at a kill but tell less apart in the report.
SHORTEST_CYCLE_S = 5.0
# seconds; where no time budget says how long the machine is likely to last.
LONGEST_CYCLE_S = 600.0


def optimal_interval_s(cost_s: float, mean_time_between_failures_s: float) -> float:
    """Return the time between commits that loses the least.

    Notes
    -----
    Let a commit cost C and failures come at random, one in M on average. Of each second
    C/T goes into commits, and a failure, at a random place of a cycle, loses T/2 of work
    on average: T/(2M) of each second. The sum C/T + T/(2M) has its minimum where
    C/T^2 = 1/(2M), that is, at T = sqrt(2 C M): Young's formula, the first order of
    Daly's, who sets T = M where commits cost so much that it does not hold.

    References
    ----------
    Young (1974), Communications of the ACM 17(9):530-531.
    Daly (2006), Future Generation Computer Systems 22(3):303-312.

    Examples
    --------
    >>> optimal_interval_s(0.5, 3600.0)
    60.0
    """
    optimal = sqrt(2 * cost_s * mean_time_between_failures_s)
    return min(optimal, mean_time_between_failures_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long cycles last.

    Attributes
    ----------
    cycle_steps
        The user's own choice, in commit points; None chooses by time.
    time_budget_s
        What the whole run may take; None for no limit. It is taken for the mean time
        between failures: whoever gives it expects the machine to last about so long.
    commit_cost_s
        What the last commit took, its clean-up included.
    tempo
        What steps and commits have been seen to take.
    """

    cycle_steps: int | None
    time_budget_s: float | None = None
    commit_cost_s: float = FIRST_COST_S
    tempo: Tempo = field(default_factory=Tempo)

    def is_due(
        self, *, steps: int, seconds: float, left_s: float | None = None
    ) -> bool:
        """Return whether a cycle of so many points and seconds should end now.

        Parameters
        ----------
        left_s
            Seconds until the time budget ends; None for no limit.
        """
        if self.tempo.is_last_chance(left_s):
            return True
        if self.cycle_steps is not None:
            return steps >= self.cycle_steps
        return seconds >= self.target_s

    @property
    def target_s(self) -> float:
        """Seconds that a cycle lasts where the user gave no steps.

        Notes
        -----
        The shortest for which the commit costs no more than `COMMIT_SHARE`, within
        bounds. Where a time budget is given, the interval that loses the least is the
        longer of the two nearly always: 91 s for a commit of 0.1 s in 11.5 hours.

        Examples
        --------
        >>> Pace(cycle_steps=None, commit_cost_s=0.4).target_s
        20.0
        >>> Pace(cycle_steps=None, commit_cost_s=0.4, time_budget_s=12_500.0).target_s
        100.0
        """
        cost_s = self.commit_cost_s
        by_share = min(max(cost_s / COMMIT_SHARE, SHORTEST_CYCLE_S), LONGEST_CYCLE_S)
        if self.time_budget_s is None:
            return by_share
        return max(by_share, optimal_interval_s(cost_s, self.time_budget_s))
