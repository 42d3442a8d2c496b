"""What the user is told of a stop, and of a job that did not end well; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import (
    EXIT_BUDGET,
    BudgetError,
    LowmemError,
    ReportedError,
    StoppedError,
)
from lowmem.base.stop_signals import WARNINGS
from lowmem.base.units import format_budget, format_bytes, format_seconds
from lowmem.memory.shared import told_of_unmapped
from lowmem.supervisor import endings
from lowmem.supervisor.forecast import smallest_budget_bytes
from lowmem.supervisor.order import SUPERVISOR_BYTES, JobOrder, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.protocol.messages import PlannedRung
    from lowmem.report.live_line import LiveState
    from lowmem.supervisor.known_peaks import TrialPeak
    from lowmem.supervisor.stop_requests import Heard


def refusal(
    order: JobOrder,
    rungs: Sequence[PlannedRung],
    stop: TrialPeak | None = None,
    *,
    available_bytes: int,
) -> BudgetError:
    """Return why no rung is tried, and the smallest budget that would do.

    Parameters
    ----------
    stop
        A trial that was stopped at the budget: then nobody knows which would do.
    available_bytes
        Of the machine, now: where a budget that would do is larger, that is said too.
    """
    if stop is not None:
        where = f", in {stop.where}" if stop.where else ""
        return BudgetError(
            job=order.name,
            budget=format_budget(order.ram_budget_bytes),
            problem=f"a trial run of it was stopped at "
            f"{format_bytes(stop.ram_bytes + SUPERVISOR_BYTES)}{where}, and it needs more",
            needed="a larger size",
        )
    smallest = (smallest_budget_bytes(rungs) or 0) + order.mirror_bytes
    is_too_full = smallest > available_bytes
    least = min(rung.ram_bytes or 0 for rung in rungs) + order.mirror_bytes
    return BudgetError(
        job=order.name,
        budget=format_budget(order.ram_budget_bytes),
        problem="its smallest setting is predicted to use "
        f"{format_bytes(least + SUPERVISOR_BYTES)}, and some room must be left",
        needed=f"{format_size(smallest)} or more",
        note=f"Only {format_bytes(available_bytes)} of the machine's memory are "
        "available: `lowmem doctor` names the programs that hold most."
        if is_too_full
        else "",
    )


def told_of_done(job: str, losses: Sequence[str]) -> str:
    """Return the line that says that a job is done, and one of its last losses.

    Parameters
    ----------
    losses
        As the job told them last; none where it told none.

    Examples
    --------
    >>> print(told_of_done("train", ["loss 0.031", "val_loss 0.034"]))
    train is done
      last     loss 0.031, val_loss 0.034
    """
    last = f"\n  last     {', '.join(losses)}" if losses else ""
    return f"{job} is done{last}"


def error_of_end(
    order: JobOrder, verdict: endings.End, ending: endings.Ending
) -> LowmemError:
    """Return what the user is told of an end that is not a good one."""
    if verdict.state == "stopped":
        return StoppedError(job=order.name, reason=verdict.message)
    broke = ending if isinstance(ending, endings.Broke) else None
    if verdict.state == "refused" and broke is not None:
        return _stopped_at_the_smallest(order, broke)
    failure = broke.failure if broke else None
    return ReportedError(
        message=f"job {order.name} failed: {verdict.message}",
        exit_code=verdict.exit_code,
        traceback=failure.traceback if failure else "",
    )


def _stopped_at_the_smallest(order: JobOrder, broke: endings.Broke) -> LowmemError:
    if broke.verdict == "vram_limit":
        return _stopped_by_the_device(order, broke)
    used = f" at {format_bytes(broke.ram_bytes)}" if broke.ram_bytes else ""
    where = f" in {broke.where}" if broke.where else ""
    where += told_of_unmapped(broke.unmapped_bytes)
    if broke.verdict == "machine_limit":
        return stopped_for_the_machine(
            order.name,
            order.ram_budget_bytes,
            at=f"{used}{where}, at its smallest setting",
            then="the same command continues from the last commit",
        )
    how = f"stopped ({broke.verdict}){used}"
    if broke.failure is not None:
        # What was asked for and not given is in no reading.
        how = f"one allocation asked for more than is left{used.replace(' at', ' beside')}"
    return BudgetError(
        job=order.name,
        budget=format_budget(order.ram_budget_bytes),
        problem=f"{how}{where}, at its smallest setting",
        needed="a larger size",
    )


def stopped_for_the_machine(
    job: str, ram_budget_bytes: int, *, at: str, then: str
) -> LowmemError:
    """Return what is told where others fill the machine: no budget would help."""
    return ReportedError(
        message=f"job {job} was stopped{at}: {endings.MACHINE_IS_FULL}. Its RAM budget of "
        f"{format_budget(ram_budget_bytes)} is not used up. End other programs, or wait "
        f"for them: {then}.",
        exit_code=EXIT_BUDGET,
    )


def _stopped_by_the_device(order: JobOrder, broke: endings.Broke) -> BudgetError:
    used = f" at {format_bytes(broke.vram_bytes)}" if broke.vram_bytes else ""
    where = f" in {broke.where}" if broke.where else ""
    return BudgetError(
        job=order.name,
        budget=format_budget(order.vram_budget_bytes or 0),
        problem=f"stopped{used}{where}, at its smallest setting",
        needed="a larger size, use --device cpu",
        kind="VRAM",
    )


_WARNING_NAMES = frozenset(number.name for number in WARNINGS)


def told_of_stop(
    heard: Heard, standing: LiveState, *, n_committed: int, since_commit_s: float | None
) -> str:
    """Return the line that answers a signal to stop.

    Parameters
    ----------
    n_committed
        Cycles that are committed.
    since_commit_s
        Seconds of work that no commit holds yet; None while the worker is not ready.
    """
    by = "Ctrl-C" if heard.by == "SIGINT" else heard.by
    loss = _loss(since_commit_s, n_committed)
    if heard.demands > 1:
        return f"{by} again: stopping at once; {loss}"
    cycles = "1 cycle is" if n_committed == 1 else f"{n_committed:,} cycles are"
    kept = f"{cycles} committed" if n_committed else "nothing is committed yet"
    part = standing.fraction
    done = "" if part is None else f", {100 * part:.0f} % are done"
    first = f"{by}: stopping at the next commit, which keeps all; so far {kept}{done}"
    if heard.by in _WARNING_NAMES:
        # Such a signal may come again and again, and asks for nothing more then.
        return first
    return f"{first}. A second {by} stops at once; {loss}"


def _loss(since_commit_s: float | None, n_committed: int) -> str:
    if since_commit_s is None:
        return "nothing is lost, since the worker is only starting"
    since = "the last commit" if n_committed else "its beginning"
    return f"the {format_seconds(since_commit_s)} of work since {since} are lost"
