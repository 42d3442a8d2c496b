"""What each rung of a ladder is expected to need: formula, trials and former runs. Pure.

A former run that ended well says best what its settings need. Trials come next, then the
job's own formula. A rung at which a run was stopped, and every larger one, needs more
than the budget of then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lowmem.history.job_history import Ceiling, setting_key
from lowmem.memory.extrapolation import Sample, fitted, predicted_bytes
from lowmem.supervisor.order import SUPERVISOR_BYTES, needed_budget_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.history.job_history import Ceilings
    from lowmem.protocol.messages import Planned, PlannedRung

# Of the budget: a job whose formula stays below it starts without trials.
ROOMY_SHARE = 0.5
# Of the budget: no trial runs where even the smallest setting is beyond it by formula.
HOPELESS_SHARE = 1.25


def forecast(
    planned: Planned, samples: Sequence[Sample] = (), ceilings: Ceilings | None = None
) -> tuple[PlannedRung, ...]:
    """Return the ladder with the best prediction for each rung."""
    rungs = [_calibrated(rung, samples) for rung in planned.rungs]
    for index, rung in enumerate(rungs):
        known = (ceilings or {}).get(setting_key(rung.settings), Ceiling())
        if known.held_bytes is not None:
            rungs[index] = _held(rung, known.held_bytes, is_whole=known.is_whole)
        if known.stopped_bytes is not None:
            for larger in range(index + 1):
                rungs[larger] = _above(rungs[larger], known.stopped_bytes)
    return tuple(rungs)


def _calibrated(rung: PlannedRung, samples: Sequence[Sample]) -> PlannedRung:
    if not samples:
        return rung
    ram_bytes = predicted_bytes(fitted(samples), rung.terms, rung.ram_bytes or 0)
    if not all(one.is_whole for one in samples):
        # A trial that was stopped says only that it needs more.
        ram_bytes = max(ram_bytes, rung.ram_bytes or 0)
    return replace(rung, ram_bytes=ram_bytes, source="calibrated")


def _held(rung: PlannedRung, peak_bytes: int, *, is_whole: bool) -> PlannedRung:
    """Return a rung whose peak, or that of its part of a run, is known."""
    ram_bytes = max(0, peak_bytes - SUPERVISOR_BYTES)
    if not is_whole and ram_bytes < (rung.ram_bytes or 0):
        return rung
    return replace(rung, ram_bytes=ram_bytes, source="remembered")


def _above(rung: PlannedRung, budget_bytes: int) -> PlannedRung:
    """Return a rung that was stopped at a budget: it needs more than that."""
    least = budget_bytes - SUPERVISOR_BYTES
    if rung.ram_bytes is not None and rung.ram_bytes > least:
        return rung
    return replace(rung, ram_bytes=least, source="remembered")


def is_trial_due(rungs: Sequence[PlannedRung], budget_bytes: int) -> bool:
    """Return whether a run should measure before it starts.

    Not where there is room enough, nor where the smallest setting is far too large; and
    not where a former run or trial has told already.
    """
    # The one to start with, as far as is known.
    chosen = next((rung for rung in rungs if fits(rung, budget_bytes)), rungs[-1])
    if chosen.source == "unknown":
        return True
    if chosen.source != "analytic":
        return False
    is_roomy = needed_budget_bytes(chosen) <= ROOMY_SHARE * budget_bytes
    is_hopeless = needed_budget_bytes(rungs[-1]) > HOPELESS_SHARE * budget_bytes
    return not (is_roomy or is_hopeless)


def start_of(
    rungs: Sequence[PlannedRung], predictions: Sequence[PlannedRung], budget_bytes: int
) -> int | None:
    """Return the rung to start with; None if none is expected to fit.

    Parameters
    ----------
    predictions
        The ladder without what real runs showed: a former stop alone refuses nothing,
        since what caused it may have been mended. The smallest setting is tried then.
    """
    for index, rung in enumerate(rungs):
        if fits(rung, budget_bytes):
            return index
    return len(rungs) - 1 if fits(predictions[-1], budget_bytes) else None


def smallest_budget_bytes(rungs: Sequence[PlannedRung]) -> int | None:
    """Return the smallest budget in which any setting is tried; None if unknown."""
    needs = [needed_budget_bytes(rung) for rung in rungs if rung.ram_bytes is not None]
    return min(needs) if len(needs) == len(rungs) and needs else None


def fits(rung: PlannedRung, budget_bytes: int) -> bool:
    """Return whether a rung is expected to fit; one of unknown need is tried."""
    return rung.ram_bytes is None or needed_budget_bytes(rung) <= budget_bytes
