"""Who made each result: folds over the records of a journal, pure.

Two jobs may make the same result, the second from the first's, as `append` does of what
`ingest` made. Then what the first recorded of it is no longer true, and to make it again
takes both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.protocol.records import AttemptBegun, JobBegun, JobEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lowmem.protocol.job import Device
    from lowmem.protocol.records import AnyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneRun:
    """One life of a job, from its beginning to the end that made it done.

    Attributes
    ----------
    begun
        Its first record; None if that is lost.
    device
        Where its last worker ran.
    """

    job: str
    begun: JobBegun | None
    ended: JobEnded
    device: Device = "cpu"


def done_runs(records: Iterable[AnyRecord]) -> tuple[DoneRun, ...]:
    """Return the lives of all jobs that were brought to an end, in the order of the ends.

    A repair records the end of a life once more: only the first counts.
    """
    begun: dict[str, JobBegun | None] = {}
    devices: dict[str, Device] = {}
    done: list[DoneRun] = []
    for record in records:
        match record:
            case JobBegun():
                begun[record.job] = record
            case AttemptBegun():
                devices[record.job] = record.device
            case JobEnded(state="done"):
                device = devices.get(record.job, "cpu")
                run = DoneRun(
                    job=record.job,
                    begun=begun.pop(record.job, None),
                    ended=record,
                    device=device,
                )
                if not _is_again(run, done):
                    done.append(run)
            case _:
                continue
    return tuple(done)


def _is_again(run: DoneRun, done: Iterable[DoneRun]) -> bool:
    """Return whether a run's end is one that was recorded before."""
    former = [one.ended for one in done if one.job == run.job]
    if run.begun is not None or not former:
        return False
    one, two = former[-1], run.ended
    return (one.published, one.results_sha256) == (two.published, two.results_sha256)


def owners_of(records: Iterable[AnyRecord]) -> dict[str, str]:
    """Return the job that published each result last, by the result's name."""
    return {name: run.job for run in done_runs(records) for name in run.ended.published}


def result_of(path: str, owners: Mapping[str, str]) -> str | None:
    """Return the result that a file is, or is part of; None if it is of none."""
    parts = path.split("/")
    names = ("/".join(parts[: n + 1]) for n in range(len(parts)))
    return next((name for name in names if name in owners), None)


def owner_of(path: str, owners: Mapping[str, str]) -> str | None:
    """Return the job whose result a file is, or is part of; None if it is of none."""
    name = result_of(path, owners)
    return None if name is None else owners[name]


def owned(published: Iterable[str], job: str, owners: Mapping[str, str]) -> list[str]:
    """Return those results of a job that no other job has replaced since."""
    return [name for name in published if owners.get(name, job) == job]


def makers_of(
    name: str, records: Iterable[AnyRecord], adds: Callable[[DoneRun], bool]
) -> tuple[DoneRun, ...]:
    """Return the runs that made a result, in their order; none if nobody did.

    Parameters
    ----------
    adds
        Whether a run built on what was there, rather than from nothing.
    """
    makers: list[DoneRun] = []
    for run in reversed(done_runs(records)):
        if name in run.ended.published:
            makers.insert(0, run)
            if not adds(run):
                break
    return tuple(makers)


def additions_to(
    job: str,
    lost: Iterable[str],
    records: Iterable[AnyRecord],
    adds: Callable[[DoneRun], bool],
) -> tuple[DoneRun, ...]:
    """Return the runs of other jobs that added to results which a job makes again.

    Parameters
    ----------
    lost
        Those of its results that are gone; none of what was added to them is left.
    """
    listed = list(records)
    found: list[DoneRun] = []
    for name in lost:
        makers = makers_of(name, listed, adds)
        if makers and makers[0].job == job:
            found += [run for run in makers[1:] if run not in found]
    return tuple(found)
