"""The watch over a job's memory: measure when due, as finely as needed, and judge.

A reading is an interval, see `process_tree`. As long as even its upper end is below the
kill threshold, or its lower end above, it is fine enough. In between, the job is
stopped for the milliseconds that it takes to count every page once: so nothing grows
meanwhile, and neither is a job killed for pages that it shares, nor can it use up the
headroom while they are counted. If it turns out that it must die, it takes no step
more.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from lowmem.memory.budget import LONGEST_INTERVAL_S, Pressure
from lowmem.memory.machine import read_machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from lowmem.base.clock import Clock
    from lowmem.memory.budget import RamBudget
    from lowmem.memory.process_tree import TreeReading


class MemoryReader(Protocol):
    """What can be read: a `TreeSampler`, or a test's machine."""

    def read(self) -> TreeReading:
        """Return a quick reading."""

    def refine(self) -> TreeReading:
        """Return an exact reading."""

    def held(self) -> AbstractContextManager[None]:
        """Let the job take no step for the length of a block."""


class Look(NamedTuple):
    """What was found, and what follows from it.

    Attributes
    ----------
    ram_bytes
        The best estimate of what is in use: for the record.
    next_in_s
        When the next look is due.
    verdict
        Whose memory is short: the job's, or the machine's.
    """

    ram_bytes: int
    pressure: Pressure
    next_in_s: float
    verdict: Literal["ram_limit", "machine_limit"] = "ram_limit"


def look(
    tree: MemoryReader,
    budget: RamBudget,
    holding: ExitStack,
    *,
    minds_soft: bool = True,
) -> Look:
    """Measure the job against its budget.

    Cost: 0.1 ms, and 7 ms for each GB of the job where pages are shared and a threshold
    is near.

    Parameters
    ----------
    holding
        Where pages had to be counted, and `Pressure.HARD` was found, the job stands still
        until this is closed: once the caller has acted.
    minds_soft
        Whether `Pressure.SOFT` still matters to the caller, so that being sure of it is
        worth a refinement.
    """
    reading = tree.read()
    hard_bytes = budget.hard_bytes - budget.lateness_bytes(reading.n_processes)
    is_doubtful = reading.least_bytes <= hard_bytes < reading.most_bytes
    if minds_soft and reading.ram_bytes > budget.soft_bytes:
        is_doubtful |= not reading.is_exact
    if is_doubtful:
        holding.enter_context(tree.held())
        reading = tree.refine()
    late_bytes = budget.lateness_bytes(reading.n_processes)
    pressure = budget.pressure(reading.least_bytes + late_bytes)
    if pressure is not Pressure.HARD:
        pressure = budget.pressure(min(reading.ram_bytes, budget.hard_bytes))
        holding.close()
    return Look(
        ram_bytes=reading.ram_bytes,
        pressure=pressure,
        next_in_s=budget.next_interval_s(reading.most_bytes + late_bytes),
    )


@dataclass(slots=True, kw_only=True)
class Watch:
    """The watch over one job's memory: each reading taken when it is due, and judged.

    Five clients have it: a run, a command, a trial, the plan of a job, and a budget within
    a program. What they do about a reading is theirs, see `lowmem.supervisor.decide`.

    Attributes
    ----------
    tree
        Where the readings come from.
    limit
        Told after each reading what was in use, to limit what may be allocated, so that
        one allocation too many fails at its line; None for no such limit.
    longest_s
        The longest time from one reading to the next.
    """

    tree: MemoryReader
    budget: RamBudget
    clock: Clock
    limit: Callable[[int], None] | None = None
    longest_s: float = LONGEST_INTERVAL_S
    _due: float = 0.0
    _machine_due: float = 0.0

    @property
    def left_s(self) -> float:
        """Seconds until the next reading is due; 0 once it is."""
        return max(0.0, self._due - self.clock.monotonic())

    def look(self, act: Callable[[Look], None], *, minds_soft: bool = False) -> None:
        """Take a reading, and let it be acted upon.

        The machine, which others fill as well, is looked at where that is due: a job is
        to make room for them as if its own budget were used up.

        Parameters
        ----------
        act
            Where pages had to be counted, and `Pressure.HARD` was found, the job stands
            still until this returns.
        """
        now = self.clock.monotonic()
        with ExitStack() as holding:
            found = look(self.tree, self.budget, holding, minds_soft=minds_soft)
            self._due = now + min(found.next_in_s, self.longest_s)
            if self.limit is not None:
                self.limit(found.ram_bytes)
            if found.pressure is not Pressure.HARD and now >= self._machine_due:
                machine = read_machine()
                self._machine_due = now + machine.next_look_s(self.budget.fill_rate)
                if machine.is_exhausted:
                    found = found._replace(
                        pressure=Pressure.HARD, verdict="machine_limit"
                    )
            act(found)
