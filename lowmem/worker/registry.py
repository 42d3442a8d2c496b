"""Find jobs: installed ones by their entry point, a user's own in a file."""

from __future__ import annotations

import sys
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import InternalError, UsageError
from lowmem.base.errors_exec import NoJobError
from lowmem.mapping.naming import PREFIX
from lowmem.protocol.job import Job
from lowmem.protocol.job_names import (
    installed_points,
    is_file_reference,
    require_there,
)
from lowmem.worker.job_files import may_hold_job

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Return the job that ``reference`` names: an installed name, a file, a map's store.

    Raises
    ------
    UnknownJobError
        If no installed job has that name.
    UsageError
        If the file does not define exactly one job, or an entry point is not a job.
    """
    if is_file_reference(reference):
        return _job_in_file(Path(reference))
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
    return job


def _job_in_file(path: Path) -> Job:
    require_there(str(path))
    if not may_hold_job(path):
        raise NoJobError(path=path)
    # Imports beside the file work, as they do for ``python FILE.py``.
    sys.path.insert(0, str(path.parent.absolute()))
    name = path.stem
    spec = util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported, expected a Python file.")
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    job = _only_job(path, [v for v in vars(module).values() if isinstance(v, Job)])
    taken = {point.name for point in installed_points()} | {"all"}
    if job.name in taken:
        raise UsageError(
            f"{path} defines job {job.name!r}, expected a name that is neither `all` nor "
            "an installed job's, whose progress it would share. Give it another: "
            "@lowmem.job(name=...)."
        )
    return job


def _only_job(path: Path, found: Sequence[Job]) -> Job:
    if not found:
        raise NoJobError(path=path, has_run=True)
    if len(found) > 1:
        raise UsageError(
            f"{path} defines {len(found)} jobs, expected one function decorated with "
            "@lowmem.job(...), or one lowmem.Job."
        )
    return found[0]


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
