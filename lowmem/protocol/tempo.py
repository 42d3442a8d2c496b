"""Whether the time that is left is enough for one more step and its commit: pure."""

from __future__ import annotations

from dataclasses import dataclass

# The next step and commit may take so many times the longest that was measured.
HEADROOM = 1.5
# seconds for what follows the last commit: the worker's end, the journal, the report.
CLOSING_S = 1.0
# seconds; the cost assumed of the first commit, before one was measured.
FIRST_COST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """What a job has been seen to take.

    Attributes
    ----------
    step_s
        The longest time between two commit points.
    commit_s
        The time of the last commit, until it was durable.
    """

    step_s: float = 0.0
    commit_s: float = FIRST_COST_S

    @property
    def needed_s(self) -> float:
        """Seconds that one more step, a commit after it, and the end are allowed.

        Examples
        --------
        >>> Tempo(step_s=2.0, commit_s=0.4).needed_s
        4.6
        """
        return HEADROOM * (self.step_s + self.commit_s) + CLOSING_S

    def is_last_chance(self, left_s: float | None) -> bool:
        """Return whether the commit at this point is the last that is sure to be in time.

        Parameters
        ----------
        left_s
            Seconds until the time budget ends; None for no limit.

        Notes
        -----
        Asked at every commit point. If it is False, then `needed_s` or more are left,
        and the next point is reached, and committed there, in time, as long as neither
        takes more than `HEADROOM` times what was measured. A step that takes longer than
        all that is left is killed at the deadline, and done again.
        """
        return left_s is not None and left_s < self.needed_s

    def after(self, step_s: float | None, commit_s: float | None) -> Tempo:
        """Return the tempo after another cycle; None where that was not measured.

        The longest step of a worker's life counts to its end, since it may come again.

        Examples
        --------
        >>> Tempo(step_s=2.0).after(1.0, 0.4)
        Tempo(step_s=2.0, commit_s=0.4)
        """
        return Tempo(
            step_s=max(self.step_s, step_s or 0.0),
            commit_s=self.commit_s if commit_s is None else commit_s,
        )
