"""Make results again as they were: from the recipes that the journal holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.checkpoints.generations import generation_path, generations, read_manifest
from lowmem.history.fold import past_of
from lowmem.integrity.lines import read_lines
from lowmem.pipeline.compose import order_of
from lowmem.protocol.messages import Finished, Rebuild
from lowmem.supervisor.rebuild import rebuild_results
from lowmem.supervisor.remake import Step, remake_results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.base.workspace import Workspace
    from lowmem.checkpoints.manifest import FileEntry
    from lowmem.integrity.making import Making
    from lowmem.supervisor.session import Session


def recorded_results(space: Workspace, job: str) -> Mapping[str, FileEntry]:
    """Return what was recorded of a job's results when they were published."""
    folder = space.checkpoints(job)
    for generation in reversed(generations(folder)):
        manifest = read_manifest(generation_path(folder, generation))
        if manifest is not None and manifest.results:
            return manifest.results
    return {}


def make_again(session: Session, making: Making) -> None:
    """Make files again, by one run's job or by all the runs that made them.

    Raises
    ------
    LowmemError
        If they could not be made as they were; then they are as before.
    """
    if not making.is_alone:
        steps = [
            Step(run=run, order=order_of(run, session.space)) for run in making.runs
        ]
        remake_results(steps, session, making.files)
        return
    (run,) = making.runs
    past = past_of(read_lines(session.space.journal).records).of(run.job)
    wanted = Rebuild(
        files=making.files,
        rows=making.rows,
        next_cycle=past.last_cycle + 1,
        finished=Finished(
            published=run.ended.published,
            summary=run.ended.summary,
            results_sha256=run.ended.results_sha256,
        ),
    )
    rebuild_results(order_of(run, session.space), session, wanted)
