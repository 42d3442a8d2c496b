"""What the jobs make that another job needs: looked up once its file is read.

A description that says ``needs=[clean]`` names jobs. Where their results lie, and what is
typed to run them, follows from the file that holds both, or from what is installed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors import JobDefinitionError
from lowmem.base.workspace import Workspace
from lowmem.protocol.job_names import installed_points
from lowmem.protocol.job_reference import in_file
from lowmem.protocol.needed_jobs import NeededJobs, NeededResults
from lowmem.worker.file_jobs import name_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowmem.protocol.job import Job

_WORKSPACE = Workspace(Path())
# Results that are part of the contract, by the job that makes them.
_OF_CONTRACT = {
    "ingest": _WORKSPACE.images,
    "train": _WORKSPACE.model,
    "encode": _WORKSPACE.latents,
    "analyze": _WORKSPACE.analysis,
    "generate": _WORKSPACE.generated,
}


def with_needs(
    job: Job,
    find: Callable[[str], Job],
    file: Path | None = None,
    beside: Mapping[str, Job] | None = None,
) -> Job:
    """Return a job whose needs are found.

    Parameters
    ----------
    find
        Returns an installed job by its name.
    file, beside
        The file of the job, and the jobs in it by name.

    Raises
    ------
    JobDefinitionError
        If a job that it needs is not there, does not say what it makes, or needs it.
    """
    known = beside or {}
    _refuse_circles(job, known, ())
    return _found(job, find, file, known)


def _found(
    job: Job, find: Callable[[str], Job], file: Path | None, beside: Mapping[str, Job]
) -> Job:
    if not isinstance(job.needs, NeededJobs):
        return job
    installed = {point.name for point in installed_points()}
    results = []
    for one in job.needs.jobs:
        name = _name_of(one, beside)
        if name is not None and file is not None:
            needed = beside[name]
            typed, paths = in_file(file, name), tuple(needed.outputs)
        elif isinstance(one, str) and one in installed:
            needed, name, typed = find(one), one, one
            contract = (str(_OF_CONTRACT[one]),) if one in _OF_CONTRACT else ()
            paths = tuple(needed.outputs) or contract
        else:
            raise _no_such_job(job, one, beside, installed)
        if not paths:
            raise JobDefinitionError(
                job=job.name,
                problem=f"needs job {name}, which does not say what it makes",
                expected="@lowmem.job(outputs=[...]) there, or needs=lambda plan: "
                "[lowmem.Need(path=..., job=...)] here",
            )
        results.append(
            NeededResults(
                job=name,
                reference="" if typed == name else typed,
                paths=paths,
                is_run=typed != name,
            )
        )
    return replace(job, needs=replace(job.needs, results=tuple(results)))


def _name_of(one: Job | str, beside: Mapping[str, Job]) -> str | None:
    """Return the name of a needed job in the file; None if it is not there."""
    if isinstance(one, str):
        return name_in(one, beside)
    return one.name if beside.get(one.name) is one else None


def _no_such_job(
    job: Job, one: Job | str, beside: Mapping[str, Job], installed: set[str]
) -> JobDefinitionError:
    name = one if isinstance(one, str) else one.name
    known = sorted({*beside, *installed} - {job.name})
    return JobDefinitionError(
        job=job.name,
        problem=f"needs job {name}, which is neither in its file nor installed",
        expected=f"one of {', '.join(known)}. A job of another file is imported by name: "
        f"from ... import {name.replace('-', '_')}",
    )


def _refuse_circles(
    job: Job, beside: Mapping[str, Job], above: tuple[str, ...]
) -> None:
    way = (*above, job.name)
    if job.name in above:
        raise JobDefinitionError(
            job=job.name,
            problem=f"needs itself ({' needs '.join(way)})",
            expected="needs=[...] that lead to a job without such needs",
        )
    if isinstance(job.needs, NeededJobs):
        for one in job.needs.jobs:
            name = _name_of(one, beside)
            if name is not None:
                _refuse_circles(beside[name], beside, way)
