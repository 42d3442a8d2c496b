"""What a supervisor writes down of a run: its beginning, what ended workers, its end.

Beginning and end tell the machine: of a run that was refused before it began there is
only an end, and a repair that makes results again has no beginning of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import MissingDeviceError
from lowmem.protocol.records import Incident, JobEnded, RunBegun
from lowmem.supervisor.order import EXEC, chosen_device
from lowmem.supervisor.usage_meter import this_machine

if TYPE_CHECKING:
    from lowmem.protocol.planning import Device
    from lowmem.protocol.records import GpuWish, State, StopCause
    from lowmem.supervisor.endings import Broke, Finished
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.session import Session


def device_of(order: JobOrder, session: Session) -> Device:
    """Return where to run; write down that a GPU was demanded and is not there.

    Of a job that has begun alone: a record in an empty journal would make the workspace
    one that has run, and a mirror's generations those of another machine.

    Raises
    ------
    MissingDeviceError
        If it is not.
    """
    try:
        return chosen_device(order.device, uses_device=order.uses_device)
    except MissingDeviceError as error:
        own = session.history().jobs.get(order.name)
        if own is not None and own.begun is not None:
            write_end(session, order.name, "refused", error.exit_code, str(error))
        raise


def write_begin(
    session: Session,
    order: JobOrder,
    device: Device,
    *,
    memory_key: str = "",
    source: str = "",
) -> None:
    """Write down that somebody typed what runs a job.

    Parameters
    ----------
    memory_key, source
        See `RunBegun`.
    """
    session.journal.write(
        RunBegun(
            job=order.name,
            at=session.journal.now(),
            seed=order.seed,
            ram_budget_bytes=order.ram_budget_bytes,
            vram_budget_bytes=order.vram_budget_bytes,
            time_budget_s=order.time_budget_s,
            memory_key=memory_key,
            source=source,
            machine=this_machine(),
            gpu=gpu_wish(order, device),
        )
    )


def gpu_wish(order: JobOrder, device: Device) -> GpuWish | None:
    """Return what became of the wish for a GPU; None where nobody can tell of one.

    That is of a program, which asks by itself, and of a job that does not say whether it
    uses one, unless a person demands it.
    """
    if order.reference == EXEC:
        return None
    if order.device == "cpu" or order.uses_device is False:
        return "unasked"
    if order.uses_device is None and order.device == "auto":
        return None
    return "given" if device == "gpu" else "absent"


def write_incident(
    session: Session,
    job: str,
    attempt: int,
    broke: Broke,
    action: str,
    *,
    is_gpu_lost: bool | None = None,
) -> None:
    """Write down what ended a worker, and what is done about it."""
    session.journal.write(
        Incident(
            job=job,
            at=session.journal.now(),
            attempt=attempt,
            verdict=broke.verdict,
            signal=broke.signal,
            ram_bytes=broke.ram_bytes,
            vram_bytes=broke.vram_bytes,
            where=broke.where,
            action=action,
            is_gpu_lost=is_gpu_lost,
        )
    )


def write_end(
    session: Session,
    job: str,
    state: State,
    exit_code: int,
    message: str = "",
    *,
    finished: Finished | None = None,
    stopped_for: StopCause | None = None,
) -> None:
    """Write down the end of a run.

    Parameters
    ----------
    finished
        What came of it, where it is done.
    stopped_for
        Why it was stopped, where it was.
    """
    session.journal.write(
        JobEnded(
            job=job,
            at=session.journal.now(),
            state=state,
            exit_code=exit_code,
            message=message,
            published=finished.published if finished else (),
            summary=dict(finished.summary) if finished else {},
            results_sha256=finished.results_sha256 if finished else "",
            stopped_for=stopped_for,
            spent=session.meter.spent(),
            machine=this_machine(),
        )
    )
