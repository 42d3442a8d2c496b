"""Make single files of a finished result again, and put them in their places.

The job's own generator makes them, in a scratch folder: where the job can begin at a row,
only the chunks that are wanted; where its last checkpoint is all that it needs, from there;
else from its beginning. Nothing is committed, and nothing is replaced by other bytes than
were published.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lowmem.base.containment import place_in
from lowmem.base.files import make_folder, publish, remove
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.restore import newest_running
from lowmem.integrity.chunks import sums_of
from lowmem.integrity.published import not_as_published
from lowmem.protocol.planning import PlanContext
from lowmem.worker.job_context import WorkerContext
from lowmem.worker.registry import work_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from lowmem.protocol.job import Job
    from lowmem.protocol.messages import Rebuild, Run
    from lowmem.worker.cycles import Overseer

    Start = tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]


def rebuild(job: Job, request: Run, wanted: Rebuild, overseer: Overseer) -> None:
    """Make the files of ``wanted`` again.

    Raises
    ------
    DataError
        If what was made is not what was published: then nothing is replaced.

    Notes
    -----
    A cut loses it all: the same command begins it again.
    """
    space = Workspace.at(request.workspace)
    scratch = space.job(request.job) / "rebuild"
    remove(scratch)
    for start, is_made in _starts(job, request, wanted, space, scratch):
        make_folder(scratch)
        _drive(job, request, overseer, scratch, start, is_made)
    for name, sha256 in wanted.files.items():
        _refuse_other(scratch / name, name, sha256)
    for name in wanted.files:
        publish(scratch / name, place_in(space.root, name))
    remove(scratch)


def _starts(
    job: Job, request: Run, wanted: Rebuild, space: Workspace, scratch: Path
) -> Iterator[tuple[Start, Callable[[], bool]]]:
    """Yield where to begin, and a function that tells when to stop."""
    by_row: dict[int, list[str]] = {}
    for name, row in wanted.rows.items():
        by_row.setdefault(row, []).append(name)
    context = _plan_context(request, space)
    states = {row: job.resume_at(context, row) for row in sorted(by_row)}
    if wanted.rows.keys() == wanted.files.keys() and None not in states.values():
        for row, state in states.items():
            files = [scratch / name for name in by_row[row]]
            yield (state or {}, {}), partial(_exist, files)
        return
    start: Start = ({}, {})
    last = newest_running(space.checkpoints(request.job)) if job.is_bare else None
    if last is not None:
        start = last.manifest.state, last.arrays
    yield start, lambda: False


def _exist(files: Iterable[Path]) -> bool:
    return all(file.exists() for file in files)


def _plan_context(request: Run, space: Workspace) -> PlanContext:
    return PlanContext(
        workspace=space,
        options=request.options,
        seed=request.seed,
        device=request.device,
        ram_budget_bytes=request.ram_budget_bytes,
    )


def _drive(
    job: Job,
    request: Run,
    overseer: Overseer,
    scratch: Path,
    start: Start,
    is_made: Callable[[], bool],
) -> None:
    state, arrays = start
    context = WorkerContext(
        job=job.name,
        workspace=Workspace.at(request.workspace),
        staging=scratch,
        options=request.options,
        settings=request.settings,
        seed=request.seed,
        device=request.device,
        ram_budget_bytes=request.ram_budget_bytes,
        vram_budget_bytes=request.vram_budget_bytes,
        state=state,
        arrays=arrays,
        show_line=overseer.show_line,
        # What it notes is in the report already.
        keep_line=overseer.show_line,
        show_progress=overseer.show_progress,
    )
    work = work_of(job)(context)
    try:
        for _ in work:
            if is_made():
                return
    finally:
        work.close()
        context.kept.end()


def _refuse_other(path: Path, name: str, sha256: str) -> None:
    """Refuse a file that differs from the published one, or of which nobody can tell."""
    sums = sums_of(path) if path.is_file() else None
    is_same = sums is not None and (
        sums.sha256 == sha256 if sha256 else sums.ends_in_crc
    )
    if not is_same:
        raise not_as_published(name)
