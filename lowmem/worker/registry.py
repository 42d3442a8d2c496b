"""Find jobs: installed ones by their entry point, a user's own in a file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import InternalError, UsageError
from lowmem.mapping.naming import PREFIX
from lowmem.protocol.job import Job
from lowmem.protocol.job_names import installed_points, require_there
from lowmem.protocol.job_reference import file_and_name
from lowmem.worker.file_jobs import chosen, jobs_of
from lowmem.worker.needed_results import with_needs

if TYPE_CHECKING:
    from lowmem.protocol.job import Work
    from lowmem.protocol.row_blocks import Blocks

# The built-in jobs come first, in the order in which they are run.
_ORDER = ("ingest", "train", "encode", "analyze", "generate")


def installed_jobs() -> list[Job]:
    """Return every installed job, the built-in ones first."""
    points = installed_points()
    names = sorted({point.name for point in points}, key=_rank)
    return [find_job(name) for name in names]


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def find_job(reference: str) -> Job:
    """Return the job that ``reference`` names: installed, of a file, or a map's store.

    Raises
    ------
    UnknownJobError
        If no installed job has that name.
    UsageError
        If the file does not define the job, or several and none is named, or an entry
        point is not a job.
    JobDefinitionError
        If a job that it needs is not there.
    """
    in_file = file_and_name(reference)
    if in_file is not None:
        path, name = in_file
        beside, own = jobs_of(path)
        return with_needs(chosen(path, name, beside, own), find_job, path, beside)
    if reference.startswith(PREFIX):
        # Only who maps loads it.
        from lowmem.mapping.map_description import named_job

        return named_job(reference)
    require_there(reference)
    point = next(p for p in installed_points() if p.name == reference)
    job = point.load()
    if not isinstance(job, Job):
        raise UsageError(
            f"entry point {point.value} is a {type(job).__name__}, expected a lowmem.Job."
        )
    return with_needs(job, find_job)


def work_of(job: Job) -> Work:
    """Return the generator function of a job, importing it if need be."""
    if callable(job.work):
        return job.work
    work: Work = _named(job.work)
    return work


def blocks_of(job: Job) -> Blocks:
    """Return what opens the blocks of a job that has them, importing it if need be."""
    if isinstance(job.blocks, str):
        blocks: Blocks = _named(job.blocks)
        return blocks
    if job.blocks is None:
        raise InternalError(problem=f"job {job.name} has no blocks, and was divided")
    return job.blocks


def _named(text: str) -> Any:  # noqa: ANN401 - what a job names
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)
