"""The report page of a running job: when it is renewed, so that the job does not feel it.

The page is made by a process of its own, which the budget counts with the job. It is made
while the worker waits for leave to begin its next cycle: nothing else grows meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem.base.clock import Clock
    from lowmem.memory.budget import RamBudget

# What the page's process takes: 30 MiB, some more for thousands of cycles.
PAGE_BYTES = 40 * 2**20
# seconds; what a job waits for one page at most.
LONGEST_S = 10.0
# seconds between two pages, and how many times as long as the last one took.
_SHORTEST_PAUSE_S = 60.0
_PAUSE_SHARE = 100


@dataclass(slots=True)
class PageRenewal:
    """Renews the page of one run, a hundredth of its time at most.

    Attributes
    ----------
    write
        Writes the page, within `LONGEST_S`; one that was not written is no fault.
    """

    write: Callable[[], object]
    clock: Clock
    _due_s: float = 0.0

    def __post_init__(self) -> None:
        # A job that ends sooner has its page then.
        self._due_s = self.clock.monotonic() + _SHORTEST_PAUSE_S

    def is_due(
        self, used_bytes: int, budget: RamBudget, *, left_s: float | None
    ) -> bool:
        """Return whether to renew it now, between two cycles.

        Parameters
        ----------
        used_bytes
            What the job holds.
        left_s
            Seconds until the time budget ends; None for no limit.

        Notes
        -----
        Twice the room of the process is asked for, so that one which is larger than was
        seen does not come near the limit. Near its end a job's time is its own.
        """
        has_time = left_s is None or left_s > _SHORTEST_PAUSE_S
        has_room = used_bytes + 2 * PAGE_BYTES <= budget.soft_bytes
        return has_time and has_room and self.clock.monotonic() >= self._due_s

    def renew(self) -> None:
        """Write the page."""
        began_s = self.clock.monotonic()
        self.write()
        ended_s = self.clock.monotonic()
        pause_s = max(_SHORTEST_PAUSE_S, _PAUSE_SHARE * (ended_s - began_s))
        self._due_s = ended_s + pause_s
