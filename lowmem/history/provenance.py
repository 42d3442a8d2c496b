"""Who made each result: views of what a journal tells, pure.

Two jobs may make the same result, the second from the first's, as `append` does of what
`ingest` made. Then what the first recorded of it is no longer true, and to make it again
takes both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lowmem.history.job_history import DoneRun, History


def owners_of(history: History) -> dict[str, str]:
    """Return the job that published each result last, by the result's name."""
    return {name: run.job for run in history.done for name in run.ended.published}


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
    name: str, history: History, adds: Callable[[DoneRun], bool]
) -> tuple[DoneRun, ...]:
    """Return the runs that made a result, in their order; none if nobody did.

    Parameters
    ----------
    adds
        Whether a run built on what was there, rather than from nothing.
    """
    makers: list[DoneRun] = []
    for run in reversed(history.done):
        if name in run.ended.published:
            makers.insert(0, run)
            if not adds(run):
                break
    return tuple(makers)


def additions_to(
    job: str,
    lost: Iterable[str],
    history: History,
    adds: Callable[[DoneRun], bool],
) -> tuple[DoneRun, ...]:
    """Return the runs of other jobs that added to results which a job makes again.

    Parameters
    ----------
    lost
        Those of its results that are gone; none of what was added to them is left.
    """
    found: list[DoneRun] = []
    for name in lost:
        makers = makers_of(name, history, adds)
        if makers and makers[0].job == job:
            found += [run for run in makers[1:] if run not in found]
    return tuple(found)
