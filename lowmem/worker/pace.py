"""When a cycle should end: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass

# A commit and its clean-up may cost this share of the cycle that they end.
COMMIT_SHARE = 0.02
# seconds; shorter cycles lose less at a kill but tell less apart in the report.
SHORTEST_CYCLE_S = 5.0
LONGEST_CYCLE_S = 600.0
# seconds; the cost assumed of the first commit, before one was measured.
FIRST_COST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long cycles last.

    Attributes
    ----------
    cycle_steps
        The user's own choice, in commit points; None chooses by time.
    commit_cost_s
        What the last commit took, its clean-up included.
    """

    cycle_steps: int | None
    commit_cost_s: float = FIRST_COST_S

    def is_due(self, *, steps: int, seconds: float) -> bool:
        """Return whether a cycle of so many points and seconds should end now."""
        if self.cycle_steps is not None:
            return steps >= self.cycle_steps
        return seconds >= self.target_s

    @property
    def target_s(self) -> float:
        """Seconds that a cycle lasts where the user gave no steps.

        Examples
        --------
        >>> Pace(cycle_steps=None, commit_cost_s=0.4).target_s
        20.0
        """
        wanted = self.commit_cost_s / COMMIT_SHARE
        return min(max(wanted, SHORTEST_CYCLE_S), LONGEST_CYCLE_S)
